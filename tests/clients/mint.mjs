// Tokens for verifiers to judge, good and bad, as JSON on standard output:
// { label, jwks, cases: [{ name, token, issuer, audience, good }] }.
//
//   node mint.mjs LABEL
//
// HALLPASS_KEY is unrestricted; SECOND_KEY may mint for https://second.example.com.

import { createHmac } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { sleep } from './checks.mjs'

const url = process.env.HALLPASS_URL
const key = process.env.HALLPASS_KEY
const label = process.argv[2]

async function post(path, body, bearer = key) {
  const answer = await fetch(`${url}/v1/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`)
  return JSON.parse(text)
}

const mint = async (body = {}, bearer) =>
  (await post('session/create', { allowedRoutes: ['bot/**'], ...body }, bearer)).token
const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

const jwks = `${url}/.well-known/jwks.json`
const issuer = url
const audience = `${url}/api`
const cases = []
const bad = (name, token, expected = {}) => cases.push({ name, token, issuer, audience, good: false, ...expected })

const expiring = await mint({ durationInSeconds: 1 })
const good = await mint()
cases.push({ name: 'a good token', token: good, issuer, audience, good: true })
cases.push({
  name: 'a token of the second audience where that is asked for',
  token: await mint({ audience: 'https://second.example.com' }, process.env.SECOND_KEY),
  issuer,
  audience: 'https://second.example.com',
  good: true,
})

bad('a token of the second audience', await mint({ audience: 'https://second.example.com' }, process.env.SECOND_KEY))
bad('a token where another audience is asked for', good, { audience: `${url}/other` })
bad('a token where another issuer is asked for', good, { issuer: 'https://other.example.com' })
const testKey = await post('token/create', { environment: 'test', unrestricted: true })
bad('a token of the test environment', await mint({}, testKey.token))

const [header, payload, signature] = good.split('.')
const alg = decodeProtectedHeader(good).alg
const flipped = Buffer.from(signature, 'base64url')
flipped[flipped.length - 1] ^= 1
bad('another subject under the same signature', [header, encode({ ...decodeJwt(good), sub: 'usr_00000000000000000000000000' }), signature].join('.'))
bad('a later end under the same signature', [header, encode({ ...decodeJwt(good), exp: 4102444800 }), signature].join('.'))
bad('a signature with one bit changed', [header, payload, flipped.toString('base64url')].join('.'))
bad('no signature', `${header}.${payload}.`)
const plain = { ...decodeProtectedHeader(good), alg: 'none' }
bad('alg none', `${encode(plain)}.${payload}.`)
bad('alg none with the signature left in place', `${encode(plain)}.${payload}.${signature}`)
bad('alg None', `${encode({ ...plain, alg: 'None' })}.${payload}.`)
bad('another kid', `${encode({ ...decodeProtectedHeader(good), kid: 'another' })}.${payload}.${signature}`)
const set = await (await fetch(jwks)).text()
const symmetric = encode({ ...decodeProtectedHeader(good), alg: 'HS256' })
bad('HS256 with the published key as secret', [symmetric, payload, createHmac('sha256', set).update(`${symmetric}.${payload}`).digest('base64url')].join('.'))

const left = decodeJwt(expiring).exp * 1000 - Date.now()
if (left > 5000) throw new Error('a session of one second lasts longer')
await sleep(Math.max(0, left) + 50)
bad('an expired token', expiring)

if (label !== 'all' && alg !== label) throw new Error(`signs with ${alg}, not with ${label}`)
process.stdout.write(JSON.stringify({ label, jwks, cases }))
