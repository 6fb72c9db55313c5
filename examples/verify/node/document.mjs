// One document of the revocation feed, as far as it can be judged by itself.

import { isObject, parseStrict } from './json.mjs'
import { Refused, verifyJws } from './jws.mjs'

export const ANSWER_MAX = 1_048_576
const CURSOR = /^[\w-]{11}\.\d{1,19}(?:\.[\w-]{11})?$/
const MEMBERS = 'confirmed,entries,floor,issuer,log,more,next,nonce,revokedKeys,since'
const FEED_CODES = {
  token_too_long: 'feed_too_long', token_malformed: 'feed_malformed', header_invalid: 'feed_malformed',
  algorithm_not_allowed: 'feed_malformed', type_not_allowed: 'feed_type', key_unknown: 'feed_key_unknown',
  algorithm_mismatch: 'feed_signature', signature_invalid: 'feed_signature',
}

export async function readDocument(answer, findKey) {
  if (Buffer.byteLength(answer) > ANSWER_MAX) throw new Refused('feed_too_long')
  const jws = readAnswer(answer)
  const verified = await verifyJws(jws, 'hallpass-revocations+jwt', findKey, ANSWER_MAX).catch((error) => {
    throw error instanceof Refused ? new Refused(FEED_CODES[error.code]) : error
  })
  const told = readPayload(verified.payload)
  return { ...told, entries: readEntries(told), kid: verified.kid }
}

function readAnswer(answer) {
  try {
    const { value } = parseStrict(Buffer.from(answer), 2)
    if (Object.keys(value).join() === 'document' && typeof value.document === 'string') return value.document
  } catch {}
  throw new Refused('feed_malformed')
}

function readPayload(bytes) {
  let told, integers
  try {
    ;({ value: told, integers } = parseStrict(bytes, 2))
  } catch {
    throw new Refused('feed_payload')
  }
  const isText = (value) => typeof value === 'string'
  const isRight =
    isObject(told) && Object.keys(told).sort().join() === MEMBERS &&
    [told.issuer, told.log, told.entries, told.next].every(isText) &&
    (told.nonce === null || isText(told.nonce)) && (told.since === null || CURSOR.test(told.since)) &&
    typeof told.more === 'boolean' && integers.has('confirmed') && integers.has('floor') &&
    [told.confirmed, told.floor].every(Number.isSafeInteger) &&
    Array.isArray(told.revokedKeys) && told.revokedKeys.every(isText) && /^[\w-]{11}$/.test(told.log)
  if (!isRight) throw new Refused('feed_payload')
  return { ...told, confirmed: BigInt(told.confirmed), floor: BigInt(told.floor) }
}

// Records of a tag and a position, in order, behind the cursor and not above what is confirmed.
function readEntries({ log, since, entries, next, more, confirmed }) {
  const bytes = Buffer.from(entries, 'base64url')
  if (bytes.toString('base64url') !== entries || bytes.length % 16) throw new Refused('feed_payload')
  let [ofLog, position, tag] = since === null ? [log, -1n, 0n] : readCursor(since)
  if (ofLog !== log) throw new Refused('feed_entries')
  const read = []
  for (let at = 0; at < bytes.length; at += 16) {
    const entry = [bytes.readBigUInt64BE(at), bytes.readBigInt64BE(at + 8)]
    if (entry[1] < 0n) throw new Refused('feed_payload')
    const isBehind = entry[1] > position || (entry[1] === position && entry[0] > tag)
    if (!isBehind || entry[1] > confirmed) throw new Refused('feed_entries')
    ;[tag, position] = entry
    read.push(entry)
  }
  const bytesOfTag = Buffer.alloc(8)
  if (more) bytesOfTag.writeBigUInt64BE(tag)
  const last = more ? `${log}.${position}.${bytesOfTag.toString('base64url')}` : `${log}.${confirmed}`
  if (next !== last || (more && position !== confirmed)) throw new Refused('feed_entries')
  return read
}

// `<log>.<position>` is behind every tag of that position.
function readCursor(cursor) {
  const [log, position, tag] = cursor.split('.')
  return [log, BigInt(position), tag === undefined ? 2n ** 64n : Buffer.from(tag, 'base64url').readBigUInt64BE()]
}
