"""Whether a delivery of hallpass is genuine. No package is needed."""

import base64
import hashlib
import hmac
import json
import time

TOLERANCE_SECS = 300


def verify(secret, headers, body, now=None):
    """Raises ValueError unless one of the signatures fits. `body` is the bytes as they came."""
    event_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    signatures = headers.get("webhook-signature", "")
    if not event_id or not (timestamp.isascii() and timestamp.isdigit()) or not signatures:
        raise ValueError("headers")
    if abs((time.time() if now is None else now) - int(timestamp)) > TOLERANCE_SECS:
        raise ValueError("timestamp")
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b".".join([event_id.encode(), timestamp.encode(), body])
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    # During a rotation there are two.
    if not any(hmac.compare_digest(one, f"v1,{wanted}") for one in signatures.split(" ")):
        raise ValueError("signature")
    return json.loads(body)


def verify_simple(secret, headers, body):
    """The simple way: the body alone, with the whole text of the secret as the key.

    During a rotation the second header is made with the secret before.
    """
    wanted = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    names = ("x-hallpass-signature", "x-hallpass-signature-previous")
    if not any(hmac.compare_digest(headers.get(name, ""), wanted) for name in names):
        raise ValueError("signature")
