// What a session token says (docs/verifier.md), once its signature is right.

import { isIPv6 } from 'node:net'
import { isObject, parseStrict } from './json.mjs'
import { Refused, verifyJws } from './jws.mjs'
import { isPattern } from './routes.mjs'

const isText = (value) => typeof value === 'string' && value !== ''
const isTexts = (value) => Array.isArray(value) && value.every((item) => typeof item === 'string')
const matches = (regex) => (value) => typeof value === 'string' && regex.test(value)
const isId = (prefix) => matches(new RegExp(`^${prefix}_[0-9a-hjkmnp-tv-z]{26}$`))
const isBase64 = (text) => Buffer.from(text, 'base64url').toString('base64url') === text

const isUser = isId('usr')
const isActor = (value) =>
  isObject(value) &&
  isUser(value.sub) &&
  Object.keys(value).every((name) => name === 'sub' || (name === 'act' && isActor(value.act)))
const isPermission = (text) => text.length <= 64 && /^[a-z0-9-]+(?::[a-z0-9-]+)?$/.test(text)
const isScope = (value) => value === '' || (isText(value) && value.split(' ').every(isPermission))
const isBindings = (value) =>
  isObject(value) &&
  Object.entries(value).every(
    ([name, values]) =>
      ['project', 'workspace', 'bot', 'integration'].includes(name) &&
      isTexts(values) &&
      values.length <= 100 &&
      values.every((text) => /^[A-Za-z0-9._~:@-]{1,128}$/.test(text)),
  )
const LABEL = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?'
const HOST = new RegExp(`^(?:\\*\\.)?(?=.{1,253}$)${LABEL}(?:\\.${LABEL})*$`)
const isDomain = (text) => HOST.test(text) || (/^\[[0-9a-f:.]+\]$/.test(text) && isIPv6(text.slice(1, -1)))
const isTags = (value) => isText(value) && isBase64(value) && Buffer.from(value, 'base64url').length % 8 === 0
const isRev = (value) => {
  const [, log, position] = /^([\w-]{11})\.(0|[1-9]\d{0,18})$/.exec(typeof value === 'string' ? value : '') ?? []
  return log !== undefined && isBase64(log) && BigInt(position) < 2n ** 63n
}
const isTime = (value, isInteger) => isInteger && value <= 253_402_300_799

// What each claim looks like. Those that are not named here are refused: hallpass never writes them.
const REQUIRED = {
  iss: isText,
  sub: isUser,
  aud: isText,
  iat: isTime,
  nbf: isTime,
  exp: isTime,
  jti: isId('ses'),
  client_id: isId('key'),
  allowedRoutes: (value) => isTexts(value) && value.length <= 64 && value.every(isPattern),
  lin: isTags,
  rev: isRev,
}
const OPTIONAL = {
  act: isActor,
  scope: isScope,
  bindings: isBindings,
  domains: (value) => isTexts(value) && value.length <= 100 && value.every(isDomain),
  data: isObject,
  cnf: isObject,
}

// The claims of a token that is genuine, ours and of now (seconds since 1970).
export async function verifyToken(token, { issuer, audience, findKey, now = Date.now() / 1000 }) {
  const { payload, kid } = await verifyJws(token, 'at+jwt', findKey, 8192)
  const claims = readClaims(payload)
  const check = (holds, claim, code = 'claim_refused') => {
    if (!holds) throw new Refused(code, claim, 'check_failed')
  }
  const lifetime = claims.exp - claims.iat
  check(claims.iss === issuer, 'iss')
  check(claims.aud === audience, 'aud')
  check(lifetime >= 1 && lifetime <= 86_400, 'exp')
  check(claims.iat <= now + 60, 'iat', 'token_not_yet_valid')
  check(claims.nbf <= now, 'nbf', 'token_not_yet_valid')
  check(now < claims.exp, 'exp', 'token_expired')
  check(claims.cnf === undefined, 'cnf') // nothing proves possession here
  return { claims, kid }
}

function readClaims(bytes) {
  let read
  try {
    read = parseStrict(bytes, 32)
  } catch {
    throw new Refused('payload_invalid')
  }
  const { value: claims, integers } = read
  if (!isObject(claims)) throw new Refused('payload_invalid')
  for (const [name, isRight] of Object.entries({ ...REQUIRED, ...OPTIONAL })) {
    const isThere = Object.hasOwn(claims, name)
    if (!isThere && name in REQUIRED) throw new Refused('claim_refused', name, 'missing')
    if (isThere && !isRight(claims[name], integers.has(name))) throw new Refused('claim_refused', name, 'invalid')
  }
  const isKnown = (name) => Object.hasOwn(REQUIRED, name) || Object.hasOwn(OPTIONAL, name)
  if (!Object.keys(claims).every(isKnown)) throw new Refused('claim_unknown')
  return claims
}
