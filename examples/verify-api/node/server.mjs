// An API behind hallpass: it verifies session tokens offline, from the published keys.

import http from 'node:http'
import { createRemoteJWKSet, errors, jwtVerify } from 'jose'
import { allows, readPath } from './routes.mjs'

const issuer = process.env.ISSUER
const audience = process.env.AUDIENCE
// jose keeps the keys for 10 minutes and asks again for an unknown `kid`, at most every 30 s.
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`))

const server = http.createServer(async (request, response) => {
  const answer = (status, body) => {
    const headers = { 'content-type': 'application/json' }
    if (status === 401) headers['www-authenticate'] = 'Bearer'
    response.writeHead(status, headers).end(JSON.stringify(body))
  }
  // Two headers are none: which one would count?
  const values = request.headersDistinct.authorization ?? []
  const token = values.length === 1 && /^bearer ([\w.-]+)$/i.exec(values[0])?.[1]
  if (!token) return answer(401, { message: 'a bearer token is needed' })

  let claims
  try {
    const verified = await jwtVerify(token, keys, {
      issuer,
      audience,
      typ: 'at+jwt',
      algorithms: ['ES256', 'EdDSA', 'RS256'],
      requiredClaims: ['exp', 'iat', 'nbf', 'sub', 'jti', 'allowedRoutes'],
    })
    claims = verified.payload
  } catch (error) {
    const isTokens = error instanceof errors.JOSEError && !(error instanceof errors.JWKSTimeout)
    return isTokens ? answer(401, { message: error.message }) : answer(503, { message: 'no keys' })
  }

  const segments = readPath(request.url)
  if (!segments) return answer(403, { message: 'the path can be read in two ways' })
  if (!allows(claims.allowedRoutes, request.method, segments)) {
    return answer(403, { message: 'the session does not allow this request' })
  }
  answer(200, {
    method: request.method,
    path: segments.join('/'),
    account: claims.sub,
    actor: claims.act?.sub ?? null,
  })
})

server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`)
})
