// routes.mjs against the table that all implementations share.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { allows, readPath } from './routes.mjs'

const table = JSON.parse(readFileSync(new URL('../routes.json', import.meta.url), 'utf8'))
for (const { pattern, yes, no, method = 'GET' } of table) {
  for (const [targets, wanted] of [[yes, true], [no, false]]) {
    for (const target of targets) {
      const segments = readPath(target)
      const allowed = segments !== undefined && allows([pattern], method, segments)
      assert.equal(allowed, wanted, `${pattern}: ${method} ${target}`)
    }
  }
}
assert.equal(allows([], 'GET', ['bot']), false)
const stars = `${'**/a/'.repeat(3)}b`
assert.equal(allows([stars], 'GET', new Array(64).fill('a')), false)
