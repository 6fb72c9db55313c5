// The same questions to each of the APIs.
//
//   node check.mjs NAME URL              all that can be asked while hallpass runs
//   node check.mjs NAME URL cut-off      hallpass hangs: the API must refuse at its bound
//   node check.mjs NAME URL recovered    hallpass goes on: the API must answer again
//   node check.mjs NAME URL restarted    the API is new: what was revoked before stays refused
//
// TOKEN and REVOKED are two sessions, the second of them revoked. BOUND_SECS is the bound of the API.

import assert from 'node:assert/strict'
import http from 'node:http'
import { decodeJwt, decodeProtectedHeader } from 'jose'

const [name, url, part] = process.argv.slice(2)
const boundMs = Number(process.env.BOUND_SECS) * 1000
const hallpass = process.env.HALLPASS_URL
const key = process.env.HALLPASS_KEY

async function post(path, body, headers = {}) {
  const answer = await fetch(`${hallpass}/v1/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  assert.ok(answer.ok, `${path}: ${answer.status}`)
  return answer.json()
}

// The target as it stands: `fetch` would normalise it.
function ask(method, target, authorization) {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const headers = authorization ? { authorization } : {}
    const request = http.request({ hostname, port, method, path: target, headers, agent: false }, (response) => {
      let text = ''
      response.on('data', (chunk) => (text += chunk))
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: JSON.parse(text) }))
    })
    request.on('error', reject)
    request.end()
  })
}

let failed = 0
async function check(what, body) {
  try {
    await body()
    console.log(`ok   verify, ${name}: ${what}`)
  } catch (error) {
    failed = 1
    console.log(`FAIL verify, ${name}: ${what}: ${String(error.message).replaceAll('\n', ' ')}`)
  }
}
const status = async (wanted, method, target, token) => {
  const answer = await ask(method, target, token && `Bearer ${token}`)
  assert.equal(answer.status, wanted, `${method} ${target}: ${JSON.stringify(answer.body)}`)
  if (wanted === 401) assert.match(answer.headers['www-authenticate'], /^Bearer\b/)
  return answer.body
}


// Until the API answers so, at most so long; the milliseconds that it took.
async function until(wanted, token, atMostMs) {
  const began = performance.now()
  for (;;) {
    const answer = await ask('GET', '/v1/bot/b1', `Bearer ${token}`)
    const took = Math.round(performance.now() - began)
    if (answer.status === wanted) return took
    assert.ok(took < atMostMs, `still ${answer.status} after ${took} ms: ${JSON.stringify(answer.body)}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

const { TOKEN, REVOKED } = process.env
if (part === 'cut-off') {
  await check(`refuses at its bound of ${boundMs} ms when hallpass hangs`, () => until(503, TOKEN, boundMs + 1000))
  process.exit(failed)
}
if (part === 'recovered') {
  await check('answers again when hallpass goes on, and goes on refusing what was revoked', async () => {
    await until(200, TOKEN, 10_000)
    await status(401, 'GET', '/v1/bot/b1', REVOKED)
  })
  process.exit(failed)
}
if (part === 'restarted') {
  await check('does not accept what was revoked before it started', async () => {
    for (let answers = 0; answers < 300; answers++) {
      const answer = await ask('GET', '/v1/bot/b1', `Bearer ${REVOKED}`)
      if (answer.status === 401) return
      assert.equal(answer.status, 503, JSON.stringify(answer.body))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.fail('the feed was not read')
  })
  process.exit(failed)
}

const allowedRoutes = ['GET bot/**', 'conversation/*']
const expiring = await post('session/create', { allowedRoutes, durationInSeconds: 1 })
const child = await post('user/create', { name: 'customer' })
const { token } = await post('session/create', { allowedRoutes }, { 'x-runas-user-id': child.id })

await check('knows of the feed soon after its start', () => until(200, token, 10_000))
await check('answers for the account, and tells who acts', async () => {
  const body = await status(200, 'GET', '/v1/bot/b1?q=1', token)
  assert.deepEqual(body, { method: 'GET', path: 'bot/b1', account: child.id, actor: decodeJwt(token).act.sub })
  await status(200, 'POST', '/v1/conversation/c1', token)
})
await check('refuses what the routes do not allow', async () => {
  await status(403, 'POST', '/v1/bot/b1', token)
  await status(403, 'GET', '/v1/bot', token)
  await status(403, 'GET', '/v1/conversation/c1/message', token)
  await status(403, 'GET', '/admin', token)
})
await check('refuses paths that can be read in two ways', async () => {
  for (const path of ['/v1/bot/../bot/b1', '/v1/bot//b1', '/v1/bot/%62', '/v1/bot/a%2Fb', '/v1/bot/a;b', '/v1/bot/%2e%2e/x']) {
    await status(403, 'GET', path, token)
  }
})
await check('refuses requests without a token, with a broken one, a key, and alg none', async () => {
  await status(401, 'GET', '/v1/bot/b1')
  const [header, payload, signature] = token.split('.')
  const none = Buffer.from(JSON.stringify({ ...decodeProtectedHeader(token), alg: 'none' })).toString('base64url')
  const other = Buffer.from(JSON.stringify({ ...decodeJwt(token), allowedRoutes: ['**'] })).toString('base64url')
  for (const bad of [key, 'eyJ.eyJ.x', `${header}.${payload}.`, `${header}.${other}.${signature}`, `${none}.${payload}.`]) {
    await status(401, 'GET', '/v1/bot/b1', bad)
  }
})
await check('refuses a revoked session within the bound', async () => {
  const times = []
  for (let round = 0; round < 5; round++) {
    const session = await post('session/create', { allowedRoutes })
    await status(200, 'GET', '/v1/bot/b1', session.token)
    await post(`session/${session.id}/revoke`, {})
    times.push(await until(401, session.token, boundMs))
  }
  console.log(`     verify, ${name}: refused ${times.join(', ')} ms after the call that revoked returned`)
})
await check('refuses the sessions of a key that was deleted, and of an account that was suspended', async () => {
  const made = await post('token/create', { unrestricted: true })
  const ofKey = await post('session/create', { allowedRoutes }, { authorization: `Bearer ${made.token}` })
  const owner = await post('user/create', { name: 'suspended' })
  const ofAccount = await post('session/create', { allowedRoutes }, { 'x-runas-user-id': owner.id })
  for (const session of [ofKey, ofAccount]) await status(200, 'GET', '/v1/bot/b1', session.token)
  await post(`token/${made.id}/delete`, {})
  await until(401, ofKey.token, boundMs)
  await post(`user/${owner.id}/suspend`, {})
  await until(401, ofAccount.token, boundMs)
})
await check('refuses sessions that are narrowed in what it does not know', async () => {
  for (const narrowed of [{ permissions: ['bots:read'] }, { bindings: { project: ['p1'] } }, { domains: ['example.com'] }]) {
    const session = await post('session/create', { allowedRoutes, ...narrowed })
    await status(403, 'GET', '/v1/bot/b1', session.token)
  }
})
await check('refuses tokens of the test environment', async () => {
  const test = await post('token/create', { environment: 'test', unrestricted: true })
  const session = await post('session/create', { allowedRoutes: ['**'] }, { authorization: `Bearer ${test.token}` })
  await status(401, 'GET', '/v1/bot/b1', session.token)
})
await check('refuses an expired token', async () => {
  const left = expiring.expiresAt - Date.now()
  assert.ok(left < 5000)
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, left) + 50))
  await status(401, 'GET', '/v1/bot/b1', expiring.token)
})
process.exit(failed)
