// ChatBotKit's own SDK, unchanged, against hallpass.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import ChatBotKit from '@chatbotkit/sdk'
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose'
import { check, refusal } from './checks.mjs'
import { startProxy } from './proxy.mjs'

const baseUrl = process.env.HALLPASS_URL
const secret = process.env.HALLPASS_KEY
const imported = process.env.IMPORTED_KEY
const ours = { issuer: baseUrl, audience: `${baseUrl}/api`, typ: 'at+jwt' }
const jwks = createRemoteJWKSet(new URL(`${baseUrl}/.well-known/jwks.json`))
const verify = async (token) => (await jwtVerify(token, jwks, ours)).payload

const client = (options = {}) => new ChatBotKit({ secret, baseUrl, ...options })
const cbk = client()
// What the SDK has no method for is reached by its `clientFetch`.
const call = (path, record = {}, from = cbk) => from.clientFetch(`/api/v1/${path}`, { record })
const makeKey = (config, more = {}) => call('token/create', { name: 'test', config, ...more })
const assertRefused = (error, code, message) => {
  assert.equal(error.name, 'FetchError')
  assert.equal(error.code, code)
  assert.equal(typeof error.message, 'string')
  assert.doesNotMatch(error.message, /^HTTP Error|generic error/)
  if (message) assert.match(error.message, message)
}
const isRecent = (ms) => Number.isInteger(ms) && Math.abs(ms - Date.now()) < 120_000
const name = (what) => `${what} ${randomBytes(4).toString('hex')}`
const email = () => `${randomBytes(6).toString('hex')}@example.com`

const someone = { name: name('child'), email: email(), meta: { plan: 'free' } }
const child = await cbk.partner.user.create(someone)
const other = client({ secret: (await cbk.partner.user.token.create(child.id, { name: 'other', config: null })).token })

// Sessions

await check('sdk: bot.session.create answers as ChatBotKit does', async () => {
  const session = await cbk.bot.session.create('b1', { durationInSeconds: 1800 })
  assert.equal(session.id, 'b1')
  assert.equal(typeof session.conversationId, 'string')
  assert.match(session.token, /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/)
  assert.ok(Math.abs(session.expiresAt - Date.now() - 1_800_000) < 60_000)
  const claims = await verify(session.token)
  assert.deepEqual(claims.allowedRoutes, [`conversation/${session.conversationId}/**`])
})

await check('sdk: bot.session.create lasts an hour by default, and null is as good as nothing', async () => {
  for (const request of [undefined, {}, { durationInSeconds: null, contact: null, messages: null, meta: null }]) {
    const session = await cbk.bot.session.create('b1', request)
    assert.ok(Math.abs(session.expiresAt - Date.now() - 3_600_000) < 60_000)
  }
})

await check('sdk: contact and meta of a bot session are in the token, messages are refused', async () => {
  const contact = { name: 'Ann', email: 'ann@example.com' }
  const session = await cbk.bot.session.create('b1', { contact, meta: { page: 'home' }, messages: [] })
  const { data } = await verify(session.token)
  assert.deepEqual(data.contact, contact)
  assert.deepEqual(data.meta, { page: 'home' })
  const messages = [{ type: 'user', text: 'hello' }]
  assertRefused(await refusal(cbk.bot.session.create('b1', { messages })), 'BAD_REQUEST', /messages/)
})

await check('sdk: conversation.session.create answers as ChatBotKit does', async () => {
  const session = await cbk.conversation.session.create('c1', { durationInSeconds: 1800 })
  assert.equal(session.id, 'c1')
  assert.deepEqual((await verify(session.token)).allowedRoutes, ['conversation/c1/**'])
})

await check('sdk: durations of 0, -1, 1.5 and a year are 400 and are not sent again', async () => {
  for (const durationInSeconds of [0, -1, 1.5, 31_536_000, '60']) {
    const error = await refusal(cbk.conversation.session.create('c1', { durationInSeconds }))
    assertRefused(error, 'BAD_REQUEST', /durationInSeconds/)
  }
})

await check('sdk: partner.user.session.create speaks for the child and names the parent', async () => {
  const session = await cbk.partner.user.session.create(child.id, {
    durationInSeconds: 900,
    config: { allowedRoutes: ['/api/v1/bot/**', 'v1/conversation/*'], contactId: 'contact-1', namespace: 'n' },
  })
  assert.match(session.id, /^ses_/)
  assert.ok(Math.abs(session.expiresAt - Date.now() - 900_000) < 60_000)
  const claims = await verify(session.token)
  assert.equal(claims.sub, child.id)
  assert.match(claims.act.sub, /^usr_/)
  assert.notEqual(claims.act.sub, child.id)
  assert.equal(claims.allowedRoutes.length, 2)
  assert.equal(claims.data.contactId, 'contact-1')
})

await check('sdk: a session for a child without a body lasts 900 s', async () => {
  const session = await cbk.partner.user.session.create(child.id, {})
  assert.ok(Math.abs(session.expiresAt - Date.now() - 900_000) < 60_000)
})

// Accounts

await check('sdk: partner.user create, fetch, update, delete', async () => {
  const limits = { tokens: 5, conversations: 3, messages: 9, database: { datasets: 1 } }
  const made = await cbk.partner.user.create({
    name: name('full'),
    alias: name('alias').replace(' ', '-'),
    description: 'a test',
    image: 'https://example.com/i.png',
    email: 'Upper.Case@Example.COM',
    limits,
    meta: { plan: 'pro' },
  })
  assert.match(made.id, /^usr_/)
  const fetched = await cbk.partner.user.fetch(made.id)
  assert.equal(fetched.id, made.id)
  assert.equal(fetched.email, 'upper.case@example.com')
  assert.deepEqual(fetched.limits, limits)
  assert.deepEqual(fetched.meta, { plan: 'pro' })
  assert.ok(isRecent(fetched.createdAt) && isRecent(fetched.updatedAt))
  assert.deepEqual(await cbk.partner.user.update(made.id, { name: 'renamed' }), { id: made.id })
  const renamed = await cbk.partner.user.fetch(made.id)
  assert.equal(renamed.name, 'renamed')
  assert.equal(renamed.description, 'a test')
  assert.deepEqual(await cbk.partner.user.delete(made.id), { id: made.id })
  assertRefused(await refusal(cbk.partner.user.fetch(made.id)), 'NOT_FOUND')
})

await check('sdk: partner.user.list pages by cursor until an empty page', async () => {
  const made = []
  for (let i = 0; i < 5; i++) made.push((await cbk.partner.user.create({ name: `page ${i}`, meta: { batch: 'p' } })).id)
  const found = []
  let cursor
  for (let pages = 0; pages < 10; pages++) {
    const page = await cbk.partner.user.list({ cursor, take: 2, order: 'asc', meta: { batch: 'p' } })
    assert.equal(typeof page.cursor, 'string')
    if (page.items.length === 0) break
    assert.ok(page.items.length <= 2)
    found.push(...page.items.map((item) => item.id))
    assert.equal(page.cursor, found.at(-1))
    cursor = page.cursor
  }
  assert.deepEqual(found, made)
})

await check('sdk: partner.user.list finds by e-mail', async () => {
  const { items } = await cbk.partner.user.list({ email: someone.email })
  assert.deepEqual(items.map((item) => item.id), [child.id])
})

await check('sdk: partner.user.list().stream() goes through all pages', async () => {
  const made = new Set()
  for (let i = 0; i < 103; i++) made.add((await cbk.partner.user.create({ meta: { batch: 's' } })).id)
  const page = await cbk.partner.user.list({ meta: { batch: 's' } })
  assert.equal(page.items.length, 100)
  for await (const line of cbk.partner.user.list({ meta: { batch: 's' } }).stream()) {
    assert.equal(line.type, 'item')
    assert.ok(Number.isInteger(line.data.createdAt))
    assert.ok(made.delete(line.data.id), 'streamed twice, or never made')
  }
  assert.equal(made.size, 0)
})

await check('sdk: an empty stream has no line, a refused one is an error', async () => {
  for await (const line of cbk.partner.user.list({ meta: { batch: 'none' } }).stream()) assert.fail(JSON.stringify(line))
  const wrong = client({ secret: 'sk_live_wrong' })
  assertRefused(await refusal(wrong.partner.user.list().stream().next()), 'NOT_AUTHENTICATED')
})

// Keys of a child

await check('sdk: partner.user.token create, list, update, delete', async () => {
  const made = await cbk.partner.user.token.create(child.id, {
    name: 'widget',
    description: 'for the site',
    config: { allowedRoutes: ['bot/b1/session/create'] },
    meta: { site: 'a' },
  })
  assert.match(made.token, /^sk_live_[0-9A-Za-z]{49}$/)
  assert.ok(isRecent(made.createdAt))
  const item = (await cbk.partner.user.token.list(child.id)).items.find((item) => item.id === made.id)
  assert.equal(item.name, 'widget')
  assert.ok(Number.isInteger(item.createdAt) && Number.isInteger(item.updatedAt))
  assert.ok(!JSON.stringify(item).includes(made.token))
  const streamed = []
  for await (const line of cbk.partner.user.token.list(child.id).stream()) streamed.push(line.data.id)
  assert.ok(streamed.includes(made.id))
  assert.deepEqual(await cbk.partner.user.token.update(child.id, made.id, { name: 'new name' }), { id: made.id })

  const widget = client({ secret: made.token })
  const session = await widget.bot.session.create('b1', {})
  assert.equal((await verify(session.token)).sub, child.id)
  assertRefused(await refusal(widget.bot.session.create('b2', {})), 'NOT_AUTHORIZED')
  assertRefused(await refusal(widget.partner.user.list()), 'NOT_AUTHORIZED')

  assert.deepEqual(await cbk.partner.user.token.delete(child.id, made.id, {}), { id: made.id })
  assertRefused(await refusal(widget.bot.session.create('b1', {})), 'NOT_AUTHENTICATED')
})

await check('sdk: a key that was imported from ChatBotKit works', async () => {
  assert.match(imported, /^sk-[0-9a-f]{64}$/)
  const session = await client({ secret: imported }).bot.session.create('b1', {})
  assert.equal(session.id, 'b1')
  assertRefused(await refusal(client({ secret: imported }).bot.session.create('b2', {})), 'NOT_AUTHORIZED')
})

// Acting as a child

await check('sdk: runAsUserId and runAsChildUserEmail act as the child', async () => {
  for (const option of [{ runAsUserId: child.id }, { runAsChildUserEmail: someone.email }, { runAsChildUserEmail: someone.email.toUpperCase() }]) {
    const session = await client({ ...option, timezone: 'Europe/Berlin' }).bot.session.create('b1', {})
    const claims = await verify(session.token)
    assert.equal(claims.sub, child.id)
    assert.notEqual(claims.act.sub, child.id)
  }
})

await check('sdk: extend() keeps the secret and adds the child', async () => {
  const session = await cbk.extend({ runAsUserId: child.id }).conversation.session.create('c1', {})
  assert.equal((await verify(session.token)).sub, child.id)
})

await check("sdk: nobody's child, another's child, oneself and a grandchild are one refusal", async () => {
  const { id: foreignParent } = await cbk.partner.user.create({ name: 'agency' })
  const agency = client({ secret: (await cbk.partner.user.token.create(foreignParent, {})).token })
  const grandchild = { email: email() }
  const grand = await agency.partner.user.create(grandchild)
  const me = decodeJwt((await cbk.conversation.session.create('c1', {})).token).sub
  const wishes = [
    { runAsUserId: 'usr_00000000000000000000000000' },
    { runAsUserId: grand.id },
    { runAsUserId: me },
    { runAsChildUserEmail: 'nobody@example.com' },
    { runAsChildUserEmail: grandchild.email },
  ]
  const answers = new Set()
  for (const wish of wishes) {
    const error = await refusal(client(wish).bot.session.create('b1', {}))
    assertRefused(error, 'NOT_AUTHORIZED')
    answers.add(error.message)
  }
  assert.equal(answers.size, 1)
  assertRefused(await refusal(other.extend({ runAsUserId: child.id }).bot.session.create('b1', {})), 'NOT_AUTHORIZED')
})

await check('sdk: both kinds of run-as at once are 400, with a session 403', async () => {
  const both = client({ runAsUserId: child.id, runAsChildUserEmail: someone.email })
  assertRefused(await refusal(both.bot.session.create('b1', {})), 'BAD_REQUEST')
  const { token } = await cbk.bot.session.create('b1', {})
  const session = client({ secret: token, runAsUserId: child.id })
  assertRefused(await refusal(session.clientFetch('/api/v1/token/self/fetch')), 'NOT_AUTHORIZED')
})

await check("sdk: with run-as nobody makes accounts or keys, and foreign accounts are not found", async () => {
  const asChild = client({ runAsUserId: child.id })
  assertRefused(await refusal(asChild.partner.user.create({ name: 'x' })), 'NOT_AUTHORIZED')
  assertRefused(await refusal(call('token/create', { unrestricted: true }, asChild)), 'NOT_AUTHORIZED')
  assertRefused(await refusal(cbk.partner.user.fetch('usr_00000000000000000000000000')), 'NOT_FOUND')
  assertRefused(await refusal(other.partner.user.fetch(child.id)), 'NOT_FOUND')
})

// Errors

await check('sdk: a scoped key is refused outside its routes with code and message', async () => {
  const { token } = await makeKey({ allowedRoutes: ['bot/b1/session/create'] })
  const scoped = client({ secret: token })
  assert.equal((await scoped.bot.session.create('b1', {})).id, 'b1')
  assertRefused(await refusal(scoped.bot.session.create('b2', {})), 'NOT_AUTHORIZED')
  assertRefused(await refusal(scoped.conversation.session.create('c1', {})), 'NOT_AUTHORIZED')
  assertRefused(await refusal(scoped.partner.user.create({ name: 'x' })), 'NOT_AUTHORIZED')
})

await check('sdk: a revoked, an unknown and a missing key are 401', async () => {
  const { id, token } = await makeKey({ allowedRoutes: ['bot/**'] })
  await call(`token/${id}/delete`)
  for (const secret of [token, 'sk_live_' + 'a'.repeat(49), 'sk-' + '0'.repeat(64), '']) {
    assertRefused(await refusal(client({ secret }).bot.session.create('b1', {})), 'NOT_AUTHENTICATED')
  }
})

await check('sdk: unknown members and unknown paths are told', async () => {
  assertRefused(await refusal(cbk.partner.user.create({ nmae: 'x' })), 'BAD_REQUEST', /nmae/)
  assertRefused(await refusal(call('no/such/thing')), 'NOT_FOUND')
})

// The wire

await check('wire: success is 200 with application/json, /v1 and /api/v1, user and partner/user, one slash at the end', async () => {
  const headers = { authorization: `Bearer ${secret}` }
  for (const prefix of ['/v1/', '/api/v1/']) {
    for (const path of ['user/list', 'partner/user/list', 'user/list/', 'partner/user/list/']) {
      const answer = await fetch(baseUrl + prefix + path, { headers: { ...headers, accept: '*/*' } })
      assert.equal(answer.status, 200, prefix + path)
      assert.equal(answer.headers.get('content-type').split(';')[0], 'application/json')
    }
  }
  const made = await cbk.partner.user.create({})
  for (const verb of ['update', 'delete']) {
    const answer = await fetch(`${baseUrl}/api/v1/user/${made.id}/${verb}`, { method: 'POST', headers })
    assert.equal(answer.status, 200, `${verb} without a body: ${await answer.clone().text()}`)
    assert.equal(answer.headers.get('content-type').split(';')[0], 'application/json')
  }
})

await check('wire: Bearer in any case and Token are accepted, and both spellings of X-RunAs-User-ID', async () => {
  for (const scheme of ['Bearer', 'bearer', 'BEARER', 'Token', 'token']) {
    const answer = await fetch(`${baseUrl}/api/v1/user/list?take=1`, { headers: { authorization: `${scheme} ${secret}` } })
    assert.equal(answer.status, 200, scheme)
  }
  for (const header of ['X-RunAs-User-ID', 'X-RunAs-UserId', 'x-runas-userid']) {
    const answer = await fetch(`${baseUrl}/api/v1/bot/b1/session/create`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, [header]: child.id },
    })
    assert.equal(answer.status, 200, header)
    assert.equal(decodeJwt((await answer.json()).token).sub, child.id)
  }
})

await check('wire: a stream has one object a line and no empty line', async () => {
  const answer = await fetch(`${baseUrl}/api/v1/user/list?meta.batch=s`, {
    headers: { authorization: `Bearer ${secret}`, accept: 'application/jsonl' },
  })
  assert.equal(answer.headers.get('content-type').split(';')[0], 'application/jsonl')
  const text = await answer.text()
  assert.ok(text.endsWith('\n') && !text.includes('\n\n') && !text.includes('\r'))
  assert.equal(text.trimEnd().split('\n').map(JSON.parse).length, 103)
})

// Repeats

const proxy = await startProxy(baseUrl)
const flaky = (options = {}) => client({ baseUrl: proxy.url, ...options })

await check('retry: an answer that was lost is asked for again, and an Idempotency-Key makes that one effect', async () => {
  for (const fault of [500, 503, 'cut']) {
    proxy.reset((count) => (count === 1 ? fault : undefined))
    const key = randomBytes(12).toString('hex')
    const batch = randomBytes(6).toString('hex')
    const made = await flaky({ headers: { 'idempotency-key': key } }).partner.user.create({ meta: { batch } })
    assert.equal(proxy.seen.length, 2)
    const { items } = await cbk.partner.user.list({ meta: { batch } })
    assert.deepEqual(items.map((item) => item.id), [made.id])
  }
})

await check('retry: an Idempotency-Key also keeps a repeated mint one session', async () => {
  proxy.reset((count) => (count === 1 ? 502 : undefined))
  const headers = { 'idempotency-key': randomBytes(12).toString('hex') }
  const session = await flaky({ headers }).bot.session.create('b1', {})
  assert.equal(proxy.seen.length, 2)
  const again = await client({ headers }).bot.session.create('b1', {})
  assert.equal(again.token, session.token)
})

await check('retry: what hallpass refuses is sent once', async () => {
  const { token } = await makeKey({ allowedRoutes: ['bot/b1/session/create'] })
  const wrongs = [
    [() => flaky({ secret: 'sk_live_wrong' }).bot.session.create('b1', {}), 'NOT_AUTHENTICATED'],
    [() => flaky({ secret: token }).bot.session.create('b2', {}), 'NOT_AUTHORIZED'],
    [() => flaky().partner.user.fetch('usr_00000000000000000000000000'), 'NOT_FOUND'],
    [() => flaky().bot.session.create('b1', { durationInSeconds: 0 }), 'BAD_REQUEST'],
    [() => flaky({ runAsUserId: 'usr_00000000000000000000000000' }).bot.session.create('b1', {}), 'NOT_AUTHORIZED'],
  ]
  for (const [wrong, code] of wrongs) {
    proxy.reset()
    assertRefused(await refusal(wrong()), code)
    assert.equal(proxy.seen.length, 1, code)
  }
})

await check('retry: a key over its rate is TOO_MANY_REQUESTS after four attempts, and a short window is waited for', async () => {
  const strict = await makeKey({ allowedRoutes: ['bot/**'], rateLimit: { requests: 1, perSeconds: 3600 } })
  await client({ secret: strict.token }).bot.session.create('b1', {})
  proxy.reset()
  assertRefused(await refusal(flaky({ secret: strict.token }).bot.session.create('b1', {})), 'TOO_MANY_REQUESTS')
  assert.equal(proxy.seen.length, 4)

  const mild = await makeKey({ allowedRoutes: ['bot/**'], rateLimit: { requests: 1, perSeconds: 1 } })
  const burst = client({ secret: mild.token })
  assert.equal((await burst.bot.session.create('b1', {})).id, 'b1')
  assert.equal((await burst.bot.session.create('b1', {})).id, 'b1')
})

await check('retry: a body that is too large is CONTENT_TOO_LARGE', async () => {
  const error = await refusal(cbk.partner.user.create({ description: 'x'.repeat(3_000_000) }))
  assertRefused(error, 'CONTENT_TOO_LARGE')
})

proxy.close()
