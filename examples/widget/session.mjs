// Keeps a session for a page: gets one, renews it in time, gets a new one when that is refused.

export class Session {
  #base
  #current
  #underway

  // `base` is where the backend is; '' for the page's own origin.
  constructor(base = '') {
    this.#base = base
  }

  // Calls the API with the session. When the API refuses the session, it is tried once more with
  // another one. `path` may be a function of the session, which knows its `conversationId`.
  async fetch(path, options = {}) {
    for (let attempt = 1; ; attempt++) {
      const session = await this.#get()
      const target = typeof path === 'function' ? path(session) : path
      const headers = { ...options.headers, authorization: `Bearer ${session.token}` }
      const answer = await fetch(this.#base + target, { ...options, headers })
      if (answer.status !== 401 || attempt === 2) return answer
      if (this.#current === session) this.#current = undefined
    }
  }

  // However many ask at once, one request is made.
  async #get() {
    const now = Date.now()
    if (this.#current && now < (this.#current.renewAt ?? this.#current.expiresAt)) return this.#current
    this.#underway ??= this.#renewOrMint().finally(() => (this.#underway = undefined))
    return this.#underway
  }

  async #renewOrMint() {
    const old = this.#current
    let fresh
    if (old?.renewAt && Date.now() < old.expiresAt) {
      fresh = await this.#ask('/session/renew', old.token)
      // A renewal goes on with the same conversation.
      if (fresh) fresh.conversationId ??= old.conversationId
    }
    fresh ??= await this.#ask('/session')
    if (!fresh) throw new Error('no session')
    this.#current = fresh
    return fresh
  }

  async #ask(path, token) {
    const headers = token ? { authorization: `Bearer ${token}` } : {}
    const answer = await fetch(this.#base + path, { method: 'POST', headers })
    return answer.ok ? answer.json() : undefined
  }
}
