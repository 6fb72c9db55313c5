// An API behind hallpass: it verifies session tokens offline, and follows the revocation feed.

import http from 'node:http'
import { Feed } from './feed.mjs'
import { Refused, remoteKeys } from './jws.mjs'
import { allows, readPath } from './routes.mjs'
import { verifyToken } from './token.mjs'

const issuer = process.env.ISSUER
const audience = process.env.AUDIENCE
const findKey = remoteKeys(issuer)
const feed = new Feed({ issuer, findKey, boundMs: Number(process.env.BOUND_SECS ?? 10) * 1000 })
feed.follow()

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

  let verified
  try {
    verified = await verifyToken(token, { issuer, audience, findKey })
  } catch (error) {
    return error instanceof Refused ? answer(401, { message: error.message }) : answer(503, { message: 'no keys' })
  }
  const dead = feed.dead(verified)
  if (dead) return answer(dead === 'revocation_unknown' ? 503 : 401, { message: dead })

  const { claims } = verified
  const segments = readPath(request.url)
  if (!segments) return answer(403, { message: 'the path can be read in two ways' })
  if (!allows(claims.allowedRoutes, request.method, segments)) {
    return answer(403, { message: 'the session does not allow this request' })
  }
  // This API has no permissions, projects or pages of its own. To leave a restriction unread would widen it.
  for (const name of ['scope', 'bindings', 'domains']) {
    if (claims[name] !== undefined) return answer(403, { message: `sessions with ${name} are not for this service` })
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
