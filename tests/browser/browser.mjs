// A real browser on a real hallpass: what every check needs.

import { mkdtemp, rm } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createRequire } from 'node:module'
import { chromium } from 'playwright-core'

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

export const url = process.env.HALLPASS_URL
export const firstKey = process.env.HALLPASS_KEY
export const operatorKey = process.env.OPERATOR_KEY

/** Starts Chromium. Nothing that it asks for but hallpass is answered. */
export async function launch() {
  const profile = await mkdtemp(join(tmpdir(), 'hallpass-browser.'))
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  return {
    browser,
    close: async () => {
      await browser.close()
      await rm(profile, { recursive: true, force: true })
    },
  }
}

/** A window, and all that went wrong in it. */
export async function open(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
  const wrong = []
  await context.route('**/*', (route) => {
    if (new URL(route.request().url()).origin === url) return route.continue()
    wrong.push(`asked another host: ${route.request().url()}`)
    return route.abort()
  })
  const page = await context.newPage()
  watch(page, wrong)
  context.on('page', (other) => watch(other, wrong))
  return { context, page, wrong }
}

function watch(page, wrong) {
  page.on('pageerror', (error) => wrong.push(`script: ${error.message}`))
  page.on('dialog', (dialog) => {
    wrong.push(`dialog: ${dialog.message()}`)
    void dialog.dismiss()
  })
  page.on('console', (message) => {
    // A page that is refused with 403 is an error for the console, and no mistake here.
    const text = message.text()
    if (message.type() === 'error' && !text.startsWith('Failed to load resource')) wrong.push(text)
  })
}

export async function signIn(page, key) {
  await page.goto(url)
  await page.getByLabel('API key').fill(key)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('button', { name: 'Sign out', exact: true }).waitFor()
}

/** What axe finds on the page as it is, serious or worse. */
export async function violations(page) {
  // By the debugger, so that the policy of the page is not asked.
  const session = await page.context().newCDPSession(page)
  const run = async (expression, awaitPromise) => {
    const { result, exceptionDetails } = await session.send('Runtime.evaluate', {
      expression,
      awaitPromise,
      returnByValue: true,
    })
    if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails))
    return result.value
  }
  await run(`${axeSource};0`, false)
  const found = await run(
    `axe.run(document, { resultTypes: ['violations'] }).then((r) => JSON.stringify(r.violations
      .filter((v) => ['serious', 'critical'].includes(v.impact))
      .map((v) => v.id + ': ' + v.nodes.map((n) => n.target.join(' ') + ' ' + n.failureSummary).join(' | '))))`,
    true,
  )
  await session.detach()
  return JSON.parse(found)
}
