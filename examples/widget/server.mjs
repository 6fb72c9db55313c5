// A web site with a chat widget. Its backend has an API key that can do one thing: mint sessions for
// this widget. The page gets a session and never the key.

import { readFileSync } from 'node:fs'
import http from 'node:http'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { allows, readPath } from '../verify/node/routes.mjs'

const hallpass = process.env.HALLPASS_URL
const key = process.env.WIDGET_KEY
const widget = process.env.WIDGET_ID
const durationInSeconds = Number(process.env.SESSION_SECONDS ?? 300)
const keys = createRemoteJWKSet(new URL(`${hallpass}/.well-known/jwks.json`))

const file = (name) => readFileSync(new URL(name, import.meta.url))
const files = {
  '/': ['text/html; charset=utf-8', file('page.html')],
  '/page.mjs': ['text/javascript', file('page.mjs')],
  '/session.mjs': ['text/javascript', file('session.mjs')],
}

async function askHallpass(path, credential, body) {
  const answer = await fetch(`${hallpass}/v1/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${credential}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(5000),
  })
  return { status: answer.status, body: await answer.json() }
}

// The page needs these and nothing else.
function forPage({ status, body }) {
  if (status === 200) {
    const { token, expiresAt, renewAt, conversationId } = body
    return { status, body: { token, expiresAt, renewAt, conversationId } }
  }
  // What is wrong with our own key is not the page's business.
  return { status: status === 401 ? 401 : 503, body: { message: 'no session' } }
}

// A new visitor. A real site would know here who this is, and say so in `data`; and it would bound
// how often one visitor may ask.
const mint = async () =>
  forPage(
    await askHallpass(`integration/widget/${widget}/session/create`, key, {
      durationInSeconds,
      renewableForInSeconds: 3600,
    }),
  )

// Nothing but the session itself is needed to renew it. The page could do it at hallpass directly;
// by this way it talks to one origin only.
const renew = async (token) =>
  token ? forPage(await askHallpass('session/renew', token, {})) : { status: 401, body: { message: 'no session' } }

// The API behind: it verifies offline, as in examples/verify.
async function api(request, token) {
  let claims
  try {
    const { payload } = await jwtVerify(token ?? '', keys, {
      issuer: hallpass,
      audience: `${hallpass}/api`,
      typ: 'at+jwt',
      algorithms: ['ES256', 'EdDSA', 'RS256'],
      requiredClaims: ['exp', 'sub', 'jti', 'allowedRoutes'],
    })
    claims = payload
  } catch {
    return { status: 401, body: { message: 'the session is not good' } }
  }
  const path = readPath(request.url)
  if (!path || !allows(claims.allowedRoutes, request.method, path)) {
    return { status: 403, body: { message: 'the session does not allow this' } }
  }
  return { status: 200, body: { reply: `You are in ${path.join('/')}.`, session: claims.jti } }
}

async function handle(request) {
  const token = /^bearer ([\w.-]+)$/i.exec(request.headers.authorization ?? '')?.[1]
  // Other web sites must not use their visitors' browsers to mint here.
  const isForeign = !['same-origin', undefined].includes(request.headers['sec-fetch-site'])
  if (request.url.startsWith('/v1/')) return api(request, token)
  if (request.method === 'POST' && !isForeign) {
    if (request.url === '/session') return mint()
    if (request.url === '/session/renew') return renew(token)
  }
  return { status: 404, body: { message: 'not here' } }
}

const server = http.createServer(async (request, response) => {
  request.resume()
  const found = request.method === 'GET' && Object.hasOwn(files, request.url) && files[request.url]
  if (found) {
    response.writeHead(200, {
      'content-type': found[0],
      'content-security-policy': "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    })
    return response.end(found[1])
  }
  const { status, body } = await handle(request).catch(() => ({ status: 503, body: { message: 'try again' } }))
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' })
  response.end(JSON.stringify(body))
})

server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`)
})
