// The examples in this folder against the data that all verifiers share.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Feed } from './feed.mjs'
import { readKeys, Refused } from './jws.mjs'
import { allows, readPath } from './routes.mjs'
import { verifyToken } from './token.mjs'

const read = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
const vectors = '../../../tests/vectors/tokens'
const keys = await readKeys(read(`${vectors}/jwks.json`))
const findKey = (kid) => keys.get(kid)

function report(what, wrong) {
  for (const line of wrong.slice(0, 20)) console.log(line)
  console.log(`${wrong.length ? 'FAIL' : 'ok  '} verify, node: ${what}`)
  if (wrong.length) process.exitCode = 1
}

// Large tokens are built of repeated texts.
const text = ({ token, pieces }) =>
  token ?? pieces.map((piece) => (typeof piece === 'string' ? piece : piece.repeat.repeat(piece.times))).join('')

const good = read(`${vectors}/good.json`)
let wrong = []
for (const vector of good.tokens) {
  try {
    const { claims } = await verifyToken(text(vector), { ...good, findKey })
    assert.deepEqual(claims, vector.payload)
  } catch (error) {
    wrong.push(`${vector.name}: ${error.message}`)
  }
}
report(`${good.tokens.length} good tokens are accepted`, wrong)

const bad = read(`${vectors}/bad.json`)
wrong = []
for (const vector of bad.tokens) {
  const got = await verifyToken(text(vector), { ...bad, findKey }).then(
    () => 'accepted',
    (error) => (error instanceof Refused ? error.message : error.stack),
  )
  const wanted = [vector.code, vector.claim, vector.reason].filter(Boolean).join(' ')
  if (got !== wanted) wrong.push(`${vector.name}: ${got}, not ${wanted}`)
}
report(`${bad.tokens.length} bad tokens are refused, each with its code`, wrong)

wrong = []
for (const { pattern, yes, no, method = 'GET' } of read('../routes.json')) {
  for (const [targets, wanted] of [[yes, true], [no, false]]) {
    for (const target of targets) {
      const segments = readPath(target)
      const allowed = segments !== undefined && allows([pattern], method, segments)
      if (allowed !== wanted) wrong.push(`${pattern}: ${method} ${target}`)
    }
  }
}
if (allows([], 'GET', ['bot'])) wrong.push('no pattern allows something')
if (allows(['**/a/**/a/**/a/b'], 'GET', new Array(64).fill('a'))) wrong.push('too much is allowed')
report('routes.json', wrong)

const { issuer, scenarios } = read(`${vectors}/feed.json`)
wrong = []
for (const { name, steps, tokens } of scenarios) {
  const feed = new Feed({ issuer, findKey })
  for (const { since, nonce, answer, pieces, code, more } of steps) {
    const got = await feed.take(text({ token: answer, pieces }), { since, nonce, at: feed.now() }).catch((error) => error.message)
    if (got !== (code ?? more)) wrong.push(`${name}: ${got}, not ${code ?? more}`)
  }
  for (const { kid, lin, rev, dead } of tokens) {
    const got = feed.dead({ kid, claims: { lin, rev } }) ?? null
    if (got !== dead) wrong.push(`${name}: ${rev} is ${got}, not ${dead}`)
  }
}
report(`${scenarios.length} answers of the feed are judged alike`, wrong)
