// Receives webhooks of hallpass and prints what happened. The secret is in the file WEBHOOK_SECRET_FILE.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';
import { verify, verifySimple } from './verify.mjs';

const MAX_BYTES = 1024 * 1024;
const seen = new Set();

const server = createServer(async (request, response) => {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BYTES) return response.writeHead(413).end();
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  const secret = readFileSync(process.env.WEBHOOK_SECRET_FILE, 'utf8').trim();
  try {
    const event = verify(secret, request.headers, body);
    verifySimple(secret, request.headers, body);
    // The package of Standard Webhooks comes to the same.
    new Webhook(secret).verify(body.toString(), request.headers);
    // Deliveries come at least once.
    const id = request.headers['webhook-id'];
    const fresh = !seen.has(id);
    seen.add(id);
    if (fresh) console.log(`${event.type} ${event.data.targetId ?? event.data.userId}`);
    response.writeHead(204).end();
  } catch (error) {
    console.log(`refused: ${error.message}`);
    response.writeHead(401).end();
  }
});
server.listen(Number(process.env.PORT ?? 0), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}/`);
});
