// OAuth client libraries that know nothing of hallpass: openid-client, and oauth4webapi below it.

import assert from 'node:assert/strict'
import { decodeJwt } from 'jose'
import * as oauth from 'oauth4webapi'
import * as client from 'openid-client'
import { check, refusal } from './checks.mjs'

const issuer = process.env.HALLPASS_URL
const key = process.env.HALLPASS_KEY
const audience = `${issuer}/api`
const insecure = { [oauth.allowInsecureRequests]: true }

async function post(path, body, bearer = key) {
  const answer = await fetch(`${issuer}/v1/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  assert.equal(answer.status, 200, path)
  return answer.json()
}

// A key that is an OAuth client: its id, and its secret.
const config = {
  allowedRoutes: ['POST session/create', 'POST session/verify', 'session/*/revoke'],
  permissions: ['bots:read', 'bots:write'],
  session: { allowedRoutes: ['bot/**'], permissions: ['bots:read', 'bots:write'] },
}
const made = await post('token/create', { name: 'oauth client', config })

const discover = (authentication, clientId = made.id, secret = made.token) =>
  client.discovery(new URL(issuer), clientId, secret, authentication?.(secret), { execute: [client.allowInsecureRequests] })

// RFC 9068, by oauth4webapi's profile.
async function validate(token, { server = issuer, forAudience = audience } = {}) {
  const as = await oauth
    .discoveryRequest(new URL(server), { ...insecure })
    .then((answer) => oauth.processDiscoveryResponse(new URL(server), answer))
  const request = new Request('https://api.example.com/v1/bot/b1', { headers: { authorization: `Bearer ${token}` } })
  return oauth.validateJwtAccessToken(as, request, forAudience, insecure)
}

let token
for (const [name, authentication] of [
  ['client_secret_post', client.ClientSecretPost],
  ['client_secret_basic', client.ClientSecretBasic],
]) {
  await check(`oauth: openid-client gets a token by client_credentials with ${name}`, async () => {
    const answer = await client.clientCredentialsGrant(await discover(authentication), { scope: 'bots:read', audience })
    assert.equal(answer.token_type, 'bearer')
    assert.ok(answer.expires_in > 0 && answer.expires_in <= 900)
    assert.equal(answer.scope, 'bots:read')
    token = answer.access_token
    const claims = decodeJwt(token)
    assert.equal(claims.client_id, made.id)
    assert.deepEqual(claims.allowedRoutes, ['bot/**'])
  })
}

await check('oauth: allowed_routes narrow the token', async () => {
  const allowed_routes = JSON.stringify(['GET bot/b1'])
  const answer = await client.clientCredentialsGrant(await discover(), { allowed_routes })
  assert.deepEqual(decodeJwt(answer.access_token).allowedRoutes, ['GET bot/b1'])
})

await check('oauth: oauth4webapi validates the token by RFC 9068', async () => {
  const claims = await validate(token)
  assert.equal(claims.client_id, made.id)
  assert.equal(claims.aud, audience)
})

await check('oauth: and refuses it for another audience, for the test issuer, and when it was changed', async () => {
  for (const wrong of [
    () => validate(token, { forAudience: 'https://other.example.com' }),
    () => validate(token, { server: `${issuer}/test` }),
    () => validate(token.slice(0, -6) + (token.at(-6) === 'A' ? 'B' : 'A') + token.slice(-5)),
  ]) {
    const error = await refusal(wrong())
    assert.match(error.code ?? error.cause?.code ?? '', /^OAUTH_/, error.message)
  }
})

await check('oauth: the test issuer has metadata of its own', async () => {
  const found = await client.discovery(new URL(`${issuer}/test`), made.id, made.token, undefined, {
    execute: [client.allowInsecureRequests],
  })
  assert.equal(found.serverMetadata().issuer, `${issuer}/test`)
  const byRfc8414 = await fetch(`${issuer}/.well-known/oauth-authorization-server/test`)
  assert.equal((await byRfc8414.json()).issuer, `${issuer}/test`)
})

await check('oauth: openid-client introspects the token', async () => {
  const found = await client.tokenIntrospection(await discover(), token)
  assert.equal(found.active, true)
  assert.equal(found.client_id, made.id)
  assert.equal(found.scope, 'bots:read')
  assert.equal(found.iss, issuer)
  assert.deepEqual(await client.tokenIntrospection(await discover(), 'no.such.token'), { active: false })
})

await check('oauth: openid-client exchanges the token for a narrower one', async () => {
  const answer = await client.genericGrantRequest(
    await discover(),
    'urn:ietf:params:oauth:grant-type:token-exchange',
    {
      subject_token: token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      allowed_routes: JSON.stringify(['GET bot/b1']),
    },
  )
  assert.equal(answer.issued_token_type, 'urn:ietf:params:oauth:token-type:access_token')
  const [before, after] = [decodeJwt(token), decodeJwt(answer.access_token)]
  assert.deepEqual(after.allowedRoutes, ['GET bot/b1'])
  assert.ok(after.exp <= before.exp)
  assert.equal(after.sub, before.sub)
  await validate(answer.access_token)
})

await check('oauth: openid-client revokes the token, also twice, and introspection says so', async () => {
  const configuration = await discover()
  await client.tokenRevocation(configuration, token)
  await client.tokenRevocation(configuration, token)
  assert.deepEqual(await client.tokenIntrospection(configuration, token), { active: false })
})

await check('oauth: a wrong secret and a wrong id are invalid_client with 401', async () => {
  const wrong = `sk_live_${'a'.repeat(49)}`
  const other = 'key_00000000000000000000000000'
  for (const authentication of [client.ClientSecretPost, client.ClientSecretBasic]) {
    for (const [id, secret] of [[made.id, wrong], [other, made.token]]) {
      const configuration = await discover(authentication, id, secret)
      const error = await refusal(client.clientCredentialsGrant(configuration))
      assert.equal(error.status, 401, String(error))
      const answer = error.response ?? error.cause?.response
      if (answer && !answer.bodyUsed) assert.equal((await answer.json()).error, 'invalid_client')
    }
  }
})

await check('oauth: errors are those of RFC 6749', async () => {
  const configuration = await discover()
  const tooMuch = await refusal(client.clientCredentialsGrant(configuration, { scope: 'channels:write' }))
  assert.equal(tooMuch.error, 'invalid_scope')
  const routes = await refusal(client.clientCredentialsGrant(configuration, { allowed_routes: '["user/**"]' }))
  assert.ok(['invalid_scope', 'invalid_target', 'access_denied', 'invalid_request'].includes(routes.error), routes.error)
  const grant = await refusal(client.genericGrantRequest(configuration, 'password', { username: 'x', password: 'y' }))
  assert.equal(grant.error, 'unsupported_grant_type')
  const subject = await refusal(
    client.genericGrantRequest(configuration, 'urn:ietf:params:oauth:grant-type:token-exchange', {
      subject_token: 'eyJ.eyJ.x',
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    }),
  )
  assert.ok(['invalid_grant', 'invalid_request'].includes(subject.error), subject.error)
})
