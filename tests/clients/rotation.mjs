// One server that signs with ES256, then EdDSA, then RS256. A verifier that started before goes on
// all the while, and tokens that are out stay good. The tokens of all three are written to a file
// as cases for the other verifiers.
//
//   node rotation.mjs OPERATOR_KEY CASES.json

import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { createRemoteJWKSet, decodeProtectedHeader, jwtVerify } from 'jose'
import { check, sleep } from './checks.mjs'

const url = process.env.HALLPASS_URL
const key = process.env.HALLPASS_KEY
const [operator, casesFile] = process.argv.slice(2)
const issuer = url
const audience = `${url}/api`
const jwks = `${url}/.well-known/jwks.json`
const keys = createRemoteJWKSet(new URL(jwks), { cooldownDuration: 0 })
const verify = (token) => jwtVerify(token, keys, { issuer, audience, typ: 'at+jwt' })

async function post(path, body, bearer) {
  const answer = await fetch(`${url}/v1/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { status: answer.status, body: await answer.json() }
}

const cases = []
async function mint(algorithm) {
  const { status, body } = await post('session/create', { allowedRoutes: ['bot/**'] }, key)
  assert.equal(status, 200, JSON.stringify(body))
  assert.equal(decodeProtectedHeader(body.token).alg, algorithm)
  await verify(body.token)
  cases.push({ name: `a token that ${algorithm} signed in a server with all three`, token: body.token, issuer, audience, good: true })
}

async function rotateTo(algorithm) {
  const rotate = () => post('signing-key/rotate', { environment: 'live', algorithm }, operator)
  // The first call replaces the next key by one of that algorithm, which waits until it is known.
  const prepared = await rotate()
  assert.equal(prepared.status, 200, JSON.stringify(prepared.body))
  const early = await rotate()
  assert.equal(early.status, 409, 'a key that nobody knows yet must not sign')
  for (let attempt = 0; attempt < 60; attempt++) {
    await sleep(250)
    const done = await rotate()
    if (done.status === 200) return
    assert.equal(done.status, 409, JSON.stringify(done.body))
  }
  assert.fail('the next key never became old enough')
}

await check('rotation: a server signs with ES256 first', () => mint('ES256'))
for (const algorithm of ['EdDSA', 'RS256']) {
  await check(`rotation: it changes to ${algorithm}, and a running verifier follows`, async () => {
    await rotateTo(algorithm)
    await mint(algorithm)
  })
}
await check('rotation: tokens that were out before each change stay good', async () => {
  for (const { token } of cases) await verify(token)
  assert.equal(cases.length, 3)
})
await check('rotation: five keys one after the other under load, and no verification fails', async () => {
  const before = [...cases]
  let verified = 0
  let over = false
  const load = Array.from({ length: 8 }, async () => {
    while (!over) {
      const { status, body } = await post('session/create', { allowedRoutes: ['bot/**'] }, key)
      assert.equal(status, 200, JSON.stringify(body))
      await verify(body.token)
      for (const { token } of before) await verify(token)
      verified++
    }
  })
  const kids = new Set()
  const rotations = async () => {
    try {
      for (let attempt = 0; kids.size < 5 && attempt < 400; attempt++) {
        // As soon as the next key has been published for long enough.
        const { status, body } = await post('signing-key/rotate', { environment: 'live' }, operator)
        assert.ok(status === 200 || status === 409, JSON.stringify(body))
        if (status === 200) kids.add(body.kid)
        await sleep(250)
      }
    } finally {
      over = true
    }
  }
  await Promise.all([rotations(), ...load])
  assert.equal(kids.size, 5)
  assert.ok(verified > 50, `${verified} verifications`)
})
writeFileSync(casesFile, JSON.stringify({ label: 'all', jwks, cases }))
