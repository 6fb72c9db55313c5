// The revocation feed (docs/feed.md): which tokens were ended, and whether we may believe that we know.

import { randomBytes } from 'node:crypto'
import { uptime } from 'node:os'
import { ANSWER_MAX, readDocument } from './document.mjs'
import { get, Refused } from './jws.mjs'

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))

export class Feed {
  log; cursor = null; confirmed = -1n; floor = 0n; ended = new Map(); revokedKeys = new Set()
  knownAt = -Infinity // when the request was sent whose answer made us know everything
  rewound = false // an old database under the same log id: nothing can be believed until the id changes

  // `now` is milliseconds on a clock that cannot be set and that goes on while the machine sleeps.
  constructor({ issuer, findKey, boundMs = 10_000, now = () => uptime() * 1000 }) {
    Object.assign(this, { issuer, findKey, boundMs, now })
  }

  // The one question. `undefined` when the token is alive.
  dead({ kid, claims }) {
    const [log, position] = claims.rev.split('.')
    const rev = BigInt(position)
    const isFresh = this.now() - this.knownAt <= this.boundMs
    if (this.revokedKeys.has(kid)) return 'key_revoked'
    if (this.rewound || (log !== this.log && !isFresh)) return 'revocation_unknown'
    if (log !== this.log || rev < this.floor) return 'token_ended'
    const tags = Buffer.from(claims.lin, 'base64url')
    for (let at = 0; at < tags.length; at += 8) {
      if (this.ended.get(tags.readBigUInt64BE(at)) > rev) return 'token_ended'
    }
    if (!isFresh) return 'revocation_unknown'
  }

  // Follows the feed until `signal` is aborted. A third of the bound is a good wait.
  async follow(signal) {
    for (let wait = 0; !signal?.aborted; ) {
      try {
        const [before, began] = [this.cursor, performance.now()]
        const more = await this.ask(wait, signal)
        if (more) continue
        // The service may wait for less than it was asked.
        const rest = before === this.cursor ? wait * 1000 - (performance.now() - began) : 50
        wait = Math.max(1, Math.floor(this.boundMs / 3000))
        await pause(rest)
      } catch {
        wait = 0
        await pause(250 + Math.random() * 500)
      }
    }
  }

  async ask(wait, signal) {
    const asked = { since: this.cursor, nonce: randomBytes(24).toString('base64url'), at: this.now() }
    const query = new URLSearchParams({ nonce: asked.nonce, wait, ...(asked.since && { since: asked.since }) })
    const timeout = AbortSignal.timeout(wait * 1000 + 5000)
    const answer = await get(
      `${this.issuer}/v1/revocations?${query}`,
      signal ? AbortSignal.any([signal, timeout]) : timeout,
      ANSWER_MAX,
    )
    return this.take(answer.toString(), asked)
  }

  // Takes in one answer, or throws and keeps what was known. Answers whether there is more.
  async take(answer, asked) {
    const told = await readDocument(answer, this.findKey)
    const refuse = (isWrong, code) => {
      if (isWrong) throw new Refused(code)
    }
    refuse(this.revokedKeys.has(told.kid) || told.revokedKeys.includes(told.kid), 'feed_key_revoked')
    refuse(told.issuer !== this.issuer, 'feed_issuer')
    refuse(told.nonce !== asked.nonce, 'feed_nonce')
    const isOther = this.log !== undefined && told.log !== this.log
    refuse(told.since !== asked.since && !(told.since === null && isOther), 'feed_gap')
    if (!told.more && !isOther && told.confirmed < this.confirmed) {
      this.rewound = true
      throw new Refused('feed_position')
    }
    if (isOther) Object.assign(this, { confirmed: -1n, floor: 0n, ended: new Map(), knownAt: -Infinity, rewound: false })
    for (const [tag, position] of told.entries) {
      if (!(this.ended.get(tag) >= position)) this.ended.set(tag, position)
    }
    told.revokedKeys.forEach((kid) => this.revokedKeys.add(kid))
    if (told.floor > this.floor) {
      this.floor = told.floor
      for (const [tag, position] of this.ended) if (position <= this.floor) this.ended.delete(tag)
    }
    Object.assign(this, { log: told.log, cursor: told.next })
    if (!told.more) Object.assign(this, { confirmed: told.confirmed, knownAt: asked.at })
    return told.more
  }
}
