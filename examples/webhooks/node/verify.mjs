// Whether a delivery of hallpass is genuine. No package is needed.
import { createHmac, timingSafeEqual } from 'node:crypto';

const TOLERANCE_SECS = 300;

const same = (one, other) => one.length === other.length && timingSafeEqual(one, other);

/**
 * Throws unless one of the signatures fits. `body` is the body as it came, as a Buffer; parsing and
 * printing it again would give other bytes.
 */
export function verify(secret, headers, body, now = Date.now()) {
  const id = headers['webhook-id'];
  const timestamp = headers['webhook-timestamp'];
  const signatures = headers['webhook-signature'];
  if (!id || !/^\d+$/.test(timestamp ?? '') || !signatures) throw new Error('headers');
  if (Math.abs(now / 1000 - Number(timestamp)) > TOLERANCE_SECS) throw new Error('timestamp');
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const wanted = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
  // During a rotation there are two.
  const fits = signatures
    .split(' ')
    .filter((one) => one.startsWith('v1,'))
    .some((one) => same(Buffer.from(one.slice(3), 'base64'), wanted));
  if (!fits) throw new Error('signature');
  return JSON.parse(body);
}

/**
 * The simple way: the body alone, with the whole text of the secret as the key. During a rotation
 * the second header is made with the secret before.
 */
export function verifySimple(secret, headers, body) {
  const wanted = 'sha256=' + createHmac('sha256', secret).update(body).digest('hex');
  const fits = ['x-hallpass-signature', 'x-hallpass-signature-previous'].some((name) =>
    same(Buffer.from(headers[name] ?? ''), Buffer.from(wanted)),
  );
  if (!fits) throw new Error('signature');
}
