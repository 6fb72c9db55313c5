"""A JWS of hallpass in compact form: three parts, a header of exactly alg, kid and typ, one spelling."""

import base64
import http.client
import json
import math
import re
import threading
import time
import urllib.request

import jwt

ALGORITHMS = ("ES256", "EdDSA", "RS256")
# (n - 1) / 2 of P-256. Of the two values of s that are right, hallpass writes the lower one.
HALF = bytes.fromhex("7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8")


class Refused(Exception):
    def __init__(self, code, claim=None, reason=None):
        super().__init__(" ".join(filter(None, (code, claim, reason))))
        self.code, self.claim, self.reason = code, claim, reason


def verify_jws(jws, typ, find_key, bytes_max):
    """The payload's bytes, and the `kid`. `find_key` answers a `jwt.PyJWK` or None."""
    if len(jws.encode("utf-8", "surrogatepass")) > bytes_max:
        raise Refused("token_too_long")
    parts = [decode(part) for part in jws.split(".", 3)]
    if len(parts) != 3 or None in parts:
        raise Refused("token_malformed")
    header = read_header(parts[0])
    if header["alg"] not in ALGORITHMS:
        raise Refused("algorithm_not_allowed")
    if header["typ"] != typ:
        raise Refused("type_not_allowed")
    key = find_key(header["kid"])
    if key is None:
        raise Refused("key_unknown")
    if key.algorithm_name != header["alg"]:
        raise Refused("algorithm_mismatch")
    if header["alg"] == "ES256" and parts[2][32:] > HALF:
        raise Refused("signature_invalid")
    try:
        payload = jwt.api_jws.decode(jws, key, algorithms=[key.algorithm_name])
    except jwt.InvalidTokenError:
        raise Refused("signature_invalid") from None
    return payload, header["kid"]


def decode(part):
    """Base64url without padding and without stray bits, so that there is one text for some bytes."""
    if not re.fullmatch("[A-Za-z0-9_-]+", part) or len(part) % 4 == 1:
        return None
    data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    return data if encode(data) == part else None


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def read_header(data):
    try:
        header = parse_strict(data, 1)
    except ValueError:
        raise Refused("header_invalid") from None
    are_texts = isinstance(header, dict) and all(isinstance(value, str) for value in header.values())
    if not are_texts or set(header) != {"alg", "kid", "typ"} or not 0 < len(header["kid"].encode()) <= 128:
        raise Refused("header_invalid")
    return header


def parse_strict(data, depth_max):
    """JSON with one reading. `json.loads` takes the last of two members with one name, guesses at
    encodings, and knows NaN. Anything else than a value is a ValueError."""

    def once(pairs):
        members = dict(pairs)
        if len(members) != len(pairs):
            raise ValueError("a name is repeated")
        return members

    def finite(text):
        if not math.isfinite(float(text)):
            raise ValueError("a number is too large")
        return float(text)

    try:
        text = data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=once, parse_float=finite, parse_constant=finite)
        if depth(value) > depth_max:
            raise ValueError("nested too deeply")
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a character fails here
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return value


def depth(value):
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def read_keys(jwks):
    """The usable keys of a key set, by `kid`."""
    keys = {}
    for jwk in jwks["keys"]:
        if jwk.get("alg") in ALGORITHMS and isinstance(jwk.get("kid"), str) and jwk.get("use", "sig") == "sig":
            try:
                keys[jwk["kid"]] = jwt.PyJWK(jwk, jwk["alg"])
            except (jwt.PyJWTError, ValueError):
                pass  # a broken key must not spoil the others
    return keys


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


def get(url, timeout, bytes_max):
    """The body of an answer of 200, and nothing else: other statuses and redirects are OSErrors."""
    try:
        with urllib.request.build_opener(NoRedirect).open(url, timeout=timeout) as answer:
            body = answer.read(bytes_max + 1)
            if answer.status != 200 or len(body) > bytes_max:
                raise OSError(f"{answer.status}, {len(body)} bytes")
            return body
    except http.client.HTTPException as error:
        raise OSError(repr(error)) from error


class RemoteKeys:
    """The published keys of an issuer: for ten minutes, and again for an unknown `kid`, at most every
    30 seconds. When they cannot be fetched, those that are there go on for an hour."""

    def __init__(self, issuer):
        self.url, self.lock = f"{issuer}/.well-known/jwks.json", threading.Lock()
        self.keys, self.asked_at, self.fetched_at = None, -math.inf, -math.inf

    def __call__(self, kid):
        with self.lock:  # one fetch for all who ask meanwhile
            age = time.monotonic() - self.asked_at
            if (age > 1) if self.keys is None else (age > 600 or (kid not in self.keys and age > 30)):
                self.fetch()
            if self.keys is None or time.monotonic() - self.fetched_at > 3600:
                raise ConnectionError("no keys")
            return self.keys.get(kid)

    def fetch(self):
        self.asked_at = time.monotonic()
        try:
            self.keys = read_keys(parse_strict(get(self.url, 5, 65_536), 4))
            self.fetched_at = self.asked_at
        except (OSError, ValueError):
            pass  # whoever asks next tries again
