// The dashboard, as a person uses it who never saw it: from the first key to a revoked session.

import assert from 'node:assert/strict'
import { check } from '../clients/checks.mjs'
import { firstKey, launch, open, operatorKey, signIn, url, violations } from './browser.mjs'

const { browser, close } = await launch()
const shots = process.env.SHOTS

async function shot(page, name) {
  if (shots) await page.screenshot({ path: `${shots}/${name}.png`, fullPage: false })
}

async function api(path, body, key = firstKey, headers = {}) {
  const response = await fetch(`${url}/v1/${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  })
  return { status: response.status, body: await response.json() }
}

const status = async (credential) => (await api('token/self/fetch', undefined, credential)).status

const { page, context, wrong } = await open(browser)
let scoped
let token

await check('a wrong key is not let in, and says so', async () => {
  await page.goto(url)
  await page.getByLabel('API key').fill('sk_live_nonsense')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('alert').getByText('not valid').waitFor()
})

await check('the first key signs in', async () => {
  await signIn(page, firstKey)
  assert.equal(new URL(page.url()).pathname, '/ui/keys')
  const cookies = await context.cookies()
  assert.equal(cookies.length, 1)
  assert.equal(cookies[0].httpOnly, true)
  assert.equal(cookies[0].sameSite, 'Strict')
  assert.ok(!cookies[0].value.includes(firstKey.slice(8, 20)))
  assert.equal(await page.evaluate(() => document.cookie), '')
})

await check('a new key is looked at while it is written', async () => {
  await page.getByRole('link', { name: 'New key' }).click()
  await page.getByRole('link', { name: 'Bot Session Create' }).click()
  await page.getByLabel('Name').fill('widget backend')
  await page.getByLabel('botId').fill('b1')
  const preview = page.locator('#preview')
  await preview.getByText('Your key may make this one').waitFor()
  await page.getByLabel('Method').selectOption('POST')
  await page.getByLabel('Path').fill('bot/b1/session/create')
  await preview.getByText('The key may call').waitFor()
  await preview.getByText('by the pattern').first().waitFor()
  await shot(page, 'new-key')
  await page.getByLabel('Path').fill('bot/b2/session/create')
  await preview.getByText('The key may not call').waitFor()
  // A pattern that is none is told at once, too.
  await page.getByLabel('Routes that its sessions may carry').fill('bot/[ab]')
  await preview.getByRole('alert').waitFor()
  await page.getByLabel('Routes that its sessions may carry').fill('')
  await preview.getByText('Your key may make this one').waitFor()
})

await check('the key is made, shown once and copied by a button', async () => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: url })
  await page.getByRole('button', { name: 'Create key' }).click()
  scoped = await page.getByLabel('API key').inputValue()
  assert.match(scoped, /^sk_live_/)
  await page.getByRole('button', { name: 'Copy' }).click()
  await page.getByRole('button', { name: 'Copied' }).waitFor()
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), scoped)
  // The page again is the same key again, and no second one.
  await page.reload()
  assert.equal(await page.getByLabel('API key').inputValue(), scoped)
  // It is tried at once, as a backend would use it.
  await page.getByRole('button', { name: 'Mint a session with it' }).click()
  assert.equal(await page.getByLabel('With the key').inputValue(), scoped)
  assert.equal(await page.getByLabel('On', { exact: true }).inputValue(), 'bot/b1')
  await page.getByRole('button', { name: 'Mint' }).click()
  const minted = await page.getByLabel('Session token').inputValue()
  await page.getByText('conversation/').first().waitFor()
  await page.getByRole('link', { name: 'Go to the session' }).click()
  await page.getByRole('link', { name: 'widget backend' }).or(page.getByText('Minted with')).first().waitFor()
  assert.equal(await status(minted), 200)
  await page.goto(`${url}/ui/keys`)
  await page.getByRole('link', { name: 'widget backend' }).click()
  await page.getByRole('heading', { name: 'widget backend' }).waitFor()
  assert.ok(!(await page.content()).includes(scoped))
  assert.equal((await api('bot/b1/session/create', {}, scoped)).status, 200)
  assert.equal((await api('bot/b2/session/create', {}, scoped)).status, 403)
})

await check('a session is minted, and its token taken apart', async () => {
  await page.goto(`${url}/ui/sessions`)
  await page.getByRole('link', { name: 'Mint one' }).click()
  await page.getByLabel('Routes').fill('GET bot/**')
  await page.getByRole('button', { name: 'Mint' }).click()
  token = await page.getByLabel('Session token').inputValue()
  await page.getByRole('button', { name: 'Look into it' }).click()
  await page.getByText('This token is good.').waitFor()
  assert.equal(await page.locator('.checks .failed').count(), 0)
  await shot(page, 'inspect')
})

await check('the session is revoked at once', async () => {
  assert.equal(await status(token), 200)
  await page.goto(`${url}/ui/sessions?state=active`)
  await page.locator('tbody tr', { hasText: 'GET bot/**' }).getByRole('link').first().click()
  await page.getByRole('button', { name: 'Revoke' }).click()
  await page.getByText('The session and its renewals are revoked.').waitFor()
  assert.equal(await status(token), 401)
})

await check('the key is rotated with an overlap, and the old secret works on', async () => {
  await page.goto(`${url}/ui/keys`)
  await page.getByRole('link', { name: 'widget backend' }).click()
  await page.getByRole('link', { name: 'Rotate' }).click()
  await page.getByLabel('The old secret works for').selectOption('3600')
  await page.getByRole('button', { name: 'Rotate' }).click()
  const renewed = await page.getByLabel('New secret').inputValue()
  assert.notEqual(renewed, scoped)
  assert.equal(await status(renewed), 200)
  assert.equal(await status(scoped), 200)
  assert.equal(await page.locator('caption:has-text("Secrets") ~ tbody tr').count(), 2)
})

await check('the key is revoked after a question', async () => {
  await page.goto(`${url}/ui/keys`)
  await page.getByRole('link', { name: 'widget backend' }).click()
  await page.getByRole('link', { name: 'Revoke' }).click()
  await page.getByRole('link', { name: 'Cancel' }).click()
  assert.equal(await status(scoped), 200)
  await page.getByRole('link', { name: 'Revoke' }).click()
  await page.getByRole('button', { name: 'Revoke for ever' }).click()
  await page.getByText('The key is revoked').waitFor()
  assert.equal(await status(scoped), 401)
  // What it was and did is one click away, though it is gone.
  await page.getByRole('link', { name: 'This key in the ledger' }).click()
  const rows = await page.locator('tbody').innerText()
  for (const action of ['token.create', 'session.create', 'token.rotate', 'token.delete']) {
    assert.ok(rows.includes(action), action)
  }
})

await check('all of it is in the ledger', async () => {
  await page.getByRole('link', { name: 'Ledger' }).click()
  const rows = await page.locator('tbody').innerText()
  for (const action of ['token.create', 'session.create', 'session.revoke', 'token.rotate', 'token.delete']) {
    assert.ok(rows.includes(action), action)
  }
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('link', { name: 'Export' }).click(),
  ])
  assert.equal(download.suggestedFilename(), 'ledger.jsonl')
})

await check('a webhook is made, its URL judged, a test event sent, and the webhook deleted', async () => {
  await page.getByRole('link', { name: 'Webhooks' }).click()
  await page.getByRole('link', { name: 'New webhook' }).click()
  await page.getByLabel('URL').fill('https://169.254.169.254/latest')
  await page.getByLabel('token.reported').check()
  await page.getByRole('button', { name: 'Create webhook' }).click()
  await page.getByRole('alert').getByText('a public host').waitFor()
  assert.equal(await page.getByLabel('token.reported').isChecked(), true)
  // A name that leads nowhere: it is stored, and what is sent fails.
  await page.getByLabel('URL').fill('https://hooks.invalid/hallpass')
  await page.getByRole('button', { name: 'Create webhook' }).click()
  assert.match(await page.getByLabel('Secret').inputValue(), /^whsec_/)
  await page.getByRole('link', { name: 'Go to the webhook' }).click()
  await page.getByRole('button', { name: 'Send a test event' }).click()
  await page.getByText('It is on its way').waitFor()
  await page.getByText('webhook.test').first().waitFor()
  await shot(page, 'webhook')
  await page.getByRole('link', { name: 'Delete' }).click()
  await page.getByRole('button', { name: 'Delete the webhook' }).click()
  await page.getByText('The webhook is deleted').waitFor()
})

const hostile = '<img src=x onerror=alert(1)><script>alert(2)</script>'

await check('a hostile account name is shown as text', async () => {
  await page.getByRole('link', { name: 'Accounts' }).click()
  await page.getByRole('link', { name: 'New account' }).click()
  await page.getByLabel('Name').fill(hostile)
  await page.getByRole('button', { name: 'Create account' }).click()
  assert.equal(await page.getByRole('heading', { level: 1 }).innerText(), hostile)
  await page.goto(`${url}/ui/accounts`)
  assert.equal(await page.locator('td .name').first().innerText(), hostile)
  assert.equal(await page.locator('img, main script').count(), 0)
})

await check('one acts as a child behind a banner, and ends it with one click', async () => {
  const made = await api('user/create', { name: 'Corner shop' })
  await page.goto(`${url}/ui/accounts/${made.body.id}`)
  await page.getByRole('button', { name: 'Act as this account' }).click()
  const banner = page.getByText('Acting as Corner shop')
  await banner.waitFor()
  await shot(page, 'acting')
  assert.equal(await page.getByRole('link', { name: 'New key' }).count(), 0)
  for (const link of ['Sessions', 'Accounts', 'Ledger']) {
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: link }).click()
    await banner.waitFor()
  }
  // In a second tab, too.
  const other = await context.newPage()
  await other.goto(`${url}/ui/keys`)
  await other.getByText('Acting as Corner shop').waitFor()
  assert.deepEqual(await violations(other), [])
  await page.getByRole('button', { name: 'End acting' }).click()
  await page.getByText('You act as yourself again.').waitFor()
  // What was open in the other tab is out of date.
  await other.getByRole('button', { name: 'End acting' }).click()
  await other.getByText('This page was out of date').waitFor()
  await other.close()
})

await check('what was typed survives the end of the sign-in', async () => {
  await page.goto(`${url}/ui/accounts/new`)
  await page.getByLabel('Name').fill('typed for long')
  await context.clearCookies()
  await page.getByRole('button', { name: 'Create account' }).click()
  await page.getByText('What you typed is kept').waitFor()
  await page.getByLabel('API key').fill(firstKey)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'New account' }).waitFor()
  assert.equal(await page.getByLabel('Name').inputValue(), 'typed for long')
  await page.getByRole('button', { name: 'Create account' }).click()
  await page.getByRole('heading', { name: 'typed for long' }).waitFor()
})

await check('a key that is revoked elsewhere signs out at once', async () => {
  const made = await api('token/create', { name: 'short', unrestricted: true })
  const window = await open(browser)
  await signIn(window.page, made.body.token)
  await api(`token/${made.body.id}/delete`, {})
  await window.page.getByRole('link', { name: 'Sessions' }).click()
  await window.page.getByText('is not valid any more').waitFor()
  assert.deepEqual(window.wrong, [])
  await window.context.close()
})

await check('it works without scripts', async () => {
  const window = await open(browser, { javaScriptEnabled: false })
  await signIn(window.page, firstKey)
  await window.page.getByRole('link', { name: 'New key' }).click()
  await window.page.getByLabel('Routes that it may call').fill('bot/**')
  await window.page.getByLabel('Path').fill('bot/b1/fetch')
  await window.page.getByRole('button', { name: 'Try' }).click()
  await window.page.locator('#preview').getByText('The key may call').waitFor()
  assert.equal(await window.page.getByLabel('Routes that it may call').inputValue(), 'bot/**')
  await window.page.getByRole('button', { name: 'Create key' }).click()
  assert.match(await window.page.getByLabel('API key').inputValue(), /^sk_live_/)
  await window.page.getByRole('button', { name: 'Sign out', exact: true }).click()
  await window.page.getByText('You are signed out.').waitFor()
  await window.context.close()
})

await check('it is used by keyboard', async () => {
  await page.goto(`${url}/ui/keys`)
  await page.keyboard.press('Tab')
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to content')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Tab')
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'New key')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'New key' }).waitFor()
})

await check('signing out ends it', async () => {
  await page.getByRole('button', { name: 'Sign out', exact: true }).click()
  await page.getByText('You are signed out.').waitFor()
  await page.goto(`${url}/ui/keys`)
  await page.getByLabel('API key').waitFor()
})

await check('nothing was asked of another host, and the policy was never broken', async () => {
  assert.deepEqual(wrong, [])
})

// Every page, in each look.

await api('session/create', { allowedRoutes: ['**'] })
const ids = {
  key: (await api('token/list')).body.items[0].id,
  account: (await api('user/list')).body.items[0].id,
  session: (await api('session/list')).body.items[0].id,
  webhook: (await api('webhook/create', { url: 'https://hooks.invalid/hallpass' })).body.id,
}
await api(`webhook/${ids.webhook}/test`, {})
const pages = [
  'keys',
  'keys?q=nothing-like-that',
  'keys/new',
  'keys/new?template=bot-session-create',
  `keys/${ids.key}?try-path=bot/b1/fetch`,
  `keys/${ids.key}/rotate`,
  `keys/${ids.key}/revoke`,
  'keys/key_nothing',
  'sessions',
  'sessions/mint',
  'sessions/inspect',
  `sessions/${ids.session}`,
  'accounts',
  'accounts/new',
  `accounts/${ids.account}`,
  `accounts/${ids.account}/delete`,
  'webhooks',
  'webhooks/new',
  `webhooks/${ids.webhook}`,
  `webhooks/${ids.webhook}/edit`,
  `webhooks/${ids.webhook}/rotate`,
  `webhooks/${ids.webhook}/delete`,
  'ledger',
  'ledger/acted',
  'usage',
  'signing-keys',
  'signing-keys/a/revoke',
]
const looks = {
  light: { colorScheme: 'light' },
  dark: { colorScheme: 'dark' },
  phone: { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true },
}
for (const [look, options] of Object.entries(looks)) {
  const window = await open(browser, options)
  await check(`${look}: the sign-in page is accessible`, async () => {
    await window.page.goto(url)
    assert.deepEqual(await violations(window.page), [])
    await shot(window.page, `${look}-sign-in`)
  })
  await signIn(window.page, operatorKey)
  for (const path of pages) {
    const name = path.replace(/(key|ses|usr|whk)_\w{10,}/, '$1')
    await check(`${look}: /ui/${name} is accessible and fits`, async () => {
      await window.page.goto(`${url}/ui/${path}`)
      await shot(window.page, `${look}-${name.replace(/\W+/g, '-')}`)
      assert.deepEqual(await violations(window.page), [])
      const over = await window.page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
      assert.ok(over <= 0, `wider than the screen by ${over} px`)
      assert.deepEqual(window.wrong, [])
    })
  }
  await window.context.close()
}

await close()
