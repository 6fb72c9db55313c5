// The page's own session code against the backend, without a browser.
//
//   node check.mjs URL      sessions last 5 s here

import assert from 'node:assert/strict'
import { Session } from './session.mjs'

const base = process.argv[2]
const { HALLPASS_URL: hallpass, HALLPASS_KEY: parentKey, WIDGET_KEY: widgetKey } = process.env
const until = (time) => new Promise((resolve) => setTimeout(resolve, Math.max(0, time - Date.now()) + 50))
const calls = []
const texts = []
let last // what the page was given last
const realFetch = globalThis.fetch
globalThis.fetch = async (url, options) => {
  const answer = await realFetch(url, options)
  const path = new URL(url).pathname
  if (String(url).startsWith(base)) {
    calls.push(path)
    texts.push(await answer.clone().text())
    if (answer.ok && path.startsWith('/session') && options?.method === 'POST') last = await answer.clone().json()
  }
  return answer
}
const count = (path) => calls.filter((call) => call === path).length

let failed = 0
async function check(what, body) {
  try {
    await body()
    console.log(`ok   widget: ${what}`)
  } catch (error) {
    failed = 1
    console.log(`FAIL widget: ${what}: ${String(error.message).replaceAll('\n', ' ')}`)
  }
}
const session = new Session(base)
let conversation
const send = async (from = session) => {
  const answer = await from.fetch(
    ({ conversationId }) => {
      conversation = conversationId
      return `/v1/conversation/${conversationId}/message`
    },
    { method: 'POST' },
  )
  const body = await answer.json()
  assert.equal(answer.status, 200, JSON.stringify(body))
  return body
}

await check('the page and its scripts are served', async () => {
  for (const path of ['/', '/page.mjs', '/session.mjs']) assert.equal((await fetch(base + path)).status, 200)
})

let first
await check('ten messages at once cost one session', async () => {
  const answers = await Promise.all(Array.from({ length: 10 }, () => send()))
  first = answers[0].session
  assert.ok(answers.every((answer) => answer.session === first))
  assert.equal(count('/session'), 1)
})

await check('it is renewed before it ends, once for all, and the conversation goes on', async () => {
  const before = conversation
  await until(last.renewAt)
  const answers = await Promise.all(Array.from({ length: 10 }, () => send()))
  assert.ok(answers.every((answer) => answer.session !== first))
  assert.equal(count('/session/renew'), 1)
  assert.equal(count('/session'), 1)
  assert.equal(conversation, before)
})

await check('another conversation is refused', async () => {
  const answer = await session.fetch('/v1/conversation/somebody-elses/message', { method: 'POST' })
  assert.equal(answer.status, 403)
})

await check('when the session was ended, renewal is refused and a new one is got', async () => {
  const current = (await send()).session
  const revoked = await realFetch(`${hallpass}/v1/session/${current}/revoke`, {
    method: 'POST',
    headers: { authorization: `Bearer ${parentKey}` },
  })
  assert.equal(revoked.status, 200)
  await until(last.renewAt)
  await send()
  assert.equal(count('/session/renew'), 2)
  assert.equal(count('/session'), 2)
})

await check('a session that came too late is replaced', async () => {
  await until(last.expiresAt)
  await send()
  assert.equal(count('/session'), 3)
})

await check('other sites cannot mint, and the key is in no answer', async () => {
  const foreign = await fetch(`${base}/session`, { method: 'POST', headers: { 'sec-fetch-site': 'cross-site' } })
  assert.equal(foreign.status, 404)
  assert.ok(texts.length > 20)
  assert.ok(!texts.some((text) => text.includes(widgetKey) || text.includes('sk_live_')))
})

await check('the key can do nothing but mint for this widget', async () => {
  for (const path of ['session/create', 'integration/widget/other/session/create', 'user/create', 'token/create']) {
    const answer = await realFetch(`${hallpass}/v1/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${widgetKey}`, 'content-type': 'application/json' },
      body: '{}',
    })
    assert.equal(answer.status, 403, path)
  }
})
process.exit(failed)
