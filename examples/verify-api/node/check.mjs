// The same questions to each of the three APIs.
//
//   node check.mjs NAME URL

import assert from 'node:assert/strict'
import http from 'node:http'
import { decodeJwt, decodeProtectedHeader } from 'jose'

const [name, url] = process.argv.slice(2)
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
    console.log(`ok   verify-api, ${name}: ${what}`)
  } catch (error) {
    failed = 1
    console.log(`FAIL verify-api, ${name}: ${what}: ${String(error.message).replaceAll('\n', ' ')}`)
  }
}
const status = async (wanted, method, target, token) => {
  const answer = await ask(method, target, token && `Bearer ${token}`)
  assert.equal(answer.status, wanted, `${method} ${target}: ${JSON.stringify(answer.body)}`)
  if (wanted === 401) assert.match(answer.headers['www-authenticate'], /^Bearer\b/)
  return answer.body
}

const allowedRoutes = ['GET bot/**', 'conversation/*']
const expiring = await post('session/create', { allowedRoutes, durationInSeconds: 1 })
const child = await post('user/create', { name: 'customer' })
const { token } = await post('session/create', { allowedRoutes }, { 'x-runas-user-id': child.id })

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
if (name === 'rust') {
  await check('refuses a session that was revoked, within a second', async () => {
    const session = await post('session/create', { allowedRoutes })
    await status(200, 'GET', '/v1/bot/b1', session.token)
    await post(`session/${session.id}/revoke`, {})
    const until = Date.now() + 1000
    let answer
    do answer = await ask('GET', '/v1/bot/b1', `Bearer ${session.token}`)
    while (answer.status === 200 && Date.now() < until)
    assert.equal(answer.status, 401)
  })
}
process.exit(failed)
