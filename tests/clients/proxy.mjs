// A proxy that loses answers: what a client does when the network fails behind a committed change.

import http from 'node:http'

// `fault(count, request)` says for the request of that number what the client gets: nothing for the
// true answer, a status in its place, or 'cut' for a connection that ends. The request reaches the
// server in any case, unless `before` is set.
export async function startProxy(target) {
  const proxy = { seen: [], fault: () => undefined, before: false, url: '', close: undefined }
  const server = http.createServer((request, response) => {
    const chunks = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', async () => {
      proxy.seen.push({ method: request.method, url: request.url, headers: request.headers })
      const fault = proxy.fault(proxy.seen.length, request)
      const deny = () => {
        if (fault === 'cut') {
          request.socket.destroy()
        } else {
          response.writeHead(fault, { 'content-type': 'application/json', 'retry-after': '60' })
          response.end(JSON.stringify({ message: 'lost', code: `LOST_${fault}` }))
        }
      }
      if (fault && proxy.before) return deny()
      const headers = { ...request.headers }
      for (const name of ['host', 'connection', 'content-length', 'transfer-encoding', 'accept-encoding']) {
        delete headers[name]
      }
      const hasBody = request.method === 'POST'
      const answer = await fetch(target + request.url, {
        method: request.method,
        headers,
        body: hasBody ? Buffer.concat(chunks) : undefined,
      })
      const body = Buffer.from(await answer.arrayBuffer())
      if (fault) return deny()
      response.writeHead(answer.status, {
        'content-type': answer.headers.get('content-type') ?? '',
        'content-length': body.length,
      })
      response.end(body)
    })
  })
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  proxy.url = `http://127.0.0.1:${server.address().port}`
  proxy.reset = (fault = () => undefined, { before = false } = {}) => {
    proxy.seen = []
    proxy.fault = fault
    proxy.before = before
  }
  proxy.close = () => {
    server.closeAllConnections()
    server.close()
  }
  return proxy
}
