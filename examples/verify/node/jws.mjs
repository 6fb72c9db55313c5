// A JWS of hallpass in compact form: three parts, a header of exactly alg, kid and typ, one spelling.

import { compactVerify, importJWK } from 'jose'
import { isObject, parseStrict } from './json.mjs'

const ALGORITHMS = ['ES256', 'EdDSA', 'RS256']
// (n - 1) / 2 of P-256. Of the two values of s that are right, hallpass writes the lower one.
const HALF = '7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8'

export class Refused extends Error {
  constructor(code, claim, reason) {
    super([code, claim, reason].filter(Boolean).join(' '))
    Object.assign(this, { code, claim, reason })
  }
}

// The payload's bytes, and the `kid`. `findKey` answers `{ alg, key }` or nothing.
export async function verifyJws(jws, typ, findKey, bytesMax) {
  if (Buffer.byteLength(jws) > bytesMax) throw new Refused('token_too_long')
  const parts = jws.split('.').map(decode)
  if (parts.length !== 3 || parts.includes(undefined)) throw new Refused('token_malformed')
  const [head, payload, signature] = parts
  const header = readHeader(head)
  if (!ALGORITHMS.includes(header.alg)) throw new Refused('algorithm_not_allowed')
  if (header.typ !== typ) throw new Refused('type_not_allowed')
  const found = await findKey(header.kid)
  if (!found) throw new Refused('key_unknown')
  if (found.alg !== header.alg) throw new Refused('algorithm_mismatch')
  const isHigh = header.alg === 'ES256' && signature.toString('hex', 32) > HALF
  const isRight = !isHigh && (await compactVerify(jws, found.key, { algorithms: [found.alg] }).catch(() => false))
  if (!isRight) throw new Refused('signature_invalid')
  return { payload, kid: header.kid }
}

// Base64url without padding and without stray bits, so that there is one text for some bytes.
function decode(part) {
  const bytes = Buffer.from(part, 'base64url')
  return part !== '' && bytes.toString('base64url') === part ? bytes : undefined
}

function readHeader(bytes) {
  let header
  try {
    header = parseStrict(bytes, 1).value
  } catch {
    throw new Refused('header_invalid')
  }
  const names = isObject(header) ? Object.keys(header).sort().join() : ''
  const areTexts = names === 'alg,kid,typ' && Object.values(header).every((value) => typeof value === 'string')
  if (!areTexts || header.kid === '' || Buffer.byteLength(header.kid) > 128) throw new Refused('header_invalid')
  return header
}

// The usable keys of a key set, by `kid`.
export async function readKeys(jwks) {
  const keys = new Map()
  for (const jwk of jwks.keys) {
    if (!ALGORITHMS.includes(jwk.alg) || typeof jwk.kid !== 'string' || (jwk.use ?? 'sig') !== 'sig') continue
    const key = await importJWK(jwk, jwk.alg).catch(() => undefined)
    if (key) keys.set(jwk.kid, { alg: jwk.alg, key })
  }
  return keys
}

// The body of an answer of 200; redirects are not followed.
export async function get(url, signal, bytesMax) {
  const answer = await fetch(url, { redirect: 'error', signal })
  if (answer.status !== 200) throw new Error(`${url} answered ${answer.status}`)
  const chunks = []
  for await (const chunk of answer.body) {
    chunks.push(chunk)
    if (chunks.reduce((sum, { length }) => sum + length, 0) > bytesMax) throw new Error(`${url} answered too much`)
  }
  return Buffer.concat(chunks)
}

// The published keys of an issuer: for ten minutes, and again for an unknown `kid`, at most every 30 s.
// When they cannot be fetched, those that are there go on for an hour.
export function remoteKeys(issuer) {
  let keys, fetching
  let askedAt = -Infinity
  let fetchedAt = -Infinity
  const since = (at) => performance.now() - at
  async function fetchKeys() {
    askedAt = performance.now()
    const body = await get(`${issuer}/.well-known/jwks.json`, AbortSignal.timeout(5000), 65_536)
    keys = await readKeys(parseStrict(body, 4).value)
    fetchedAt = askedAt
  }
  return async (kid) => {
    const age = since(askedAt)
    const isDue = keys === undefined ? age > 1000 : age > 600_000 || (!keys.has(kid) && age > 30_000)
    // One fetch for all who ask meanwhile.
    if (isDue) fetching ??= fetchKeys().catch(() => {}).finally(() => (fetching = undefined))
    if (!keys?.has(kid)) await fetching
    if (keys === undefined || since(fetchedAt) > 3_600_000) throw new Error('no keys')
    return keys.get(kid)
  }
}
