"""Keys, claims and signatures for make.py and attacks.py."""

import base64
import hashlib
import json
import random

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

NOW = 1_767_225_600  # 2026-01-01T00:00:00Z
ISSUER = "https://hallpass.test"
AUDIENCE = "https://hallpass.test/api"

# The order of P-256, and that of the group of Ed25519.
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
L = 2**252 + 27742317777372353535851937790883648493


def b64(data):
    if isinstance(data, str):
        data = data.encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number(value, length=None):
    return b64(value.to_bytes(length or (value.bit_length() + 7) // 8, "big"))


def compact(value):
    return value if isinstance(value, (str, bytes)) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class Key:
    """A key of one algorithm, derived from a word."""

    def __init__(self, alg, word):
        self.alg = alg
        seed = hashlib.sha256(f"hallpass test key: {word}".encode()).digest()
        if alg == "ES256":
            self.private = ec.derive_private_key(int.from_bytes(seed, "big") % N, ec.SECP256R1())
        elif alg == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        else:
            self.private = rsa_key(random.Random(seed))
        self.public = self.private.public_key()
        members = self.members()
        text = json.dumps({name: members[name] for name in sorted(members)}, separators=(",", ":"))
        self.kid = b64(hashlib.sha256(text.encode()).digest())

    def members(self):
        if self.alg == "ES256":
            point = self.public.public_numbers()
            return {"kty": "EC", "crv": "P-256", "x": number(point.x, 32), "y": number(point.y, 32)}
        if self.alg == "EdDSA":
            raw = self.public.public_bytes_raw()
            return {"kty": "OKP", "crv": "Ed25519", "x": b64(raw)}
        numbers = self.public.public_numbers()
        return {"kty": "RSA", "n": number(numbers.n), "e": number(numbers.e)}

    def jwk(self):
        return {**self.members(), "kid": self.kid, "alg": self.alg, "use": "sig"}

    def private_jwk(self):
        if self.alg == "ES256":
            return {**self.jwk(), "d": number(self.private.private_numbers().private_value, 32)}
        if self.alg == "EdDSA":
            return {**self.jwk(), "d": b64(self.private.private_bytes_raw())}
        p = self.private.private_numbers()
        names = {"d": p.d, "p": p.p, "q": p.q, "dp": p.dmp1, "dq": p.dmq1, "qi": p.iqmp}
        return {**self.jwk(), **{name: number(value) for name, value in names.items()}}

    def spki(self, encoding):
        return self.public.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)

    def rs(self, message, hash=hashes.SHA256()):
        """The two numbers of an ECDSA signature, s the lower of the two."""
        der = self.private.sign(message, ec.ECDSA(hash, deterministic_signing=True))
        r, s = utils.decode_dss_signature(der)
        return r, min(s, N - s)

    def sign(self, message):
        if self.alg == "ES256":
            return pair(*self.rs(message))
        if self.alg == "EdDSA":
            return self.private.sign(message)
        return self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())


def pair(r, s):
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def rsa_key(dice):
    """2048 bits from a seeded generator: the same key each time, and worth nothing as a secret."""

    def prime():
        while True:
            p = dice.getrandbits(1024) | (3 << 1022) | 1
            if p % 65537 != 1 and is_prime(p, dice):
                return p

    p, q = prime(), prime()
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return numbers.private_key()


def is_prime(p, dice):
    if any(p % small == 0 for small in (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47)):
        return False
    d, twos = p - 1, 0
    while d % 2 == 0:
        d, twos = d // 2, twos + 1
    for _ in range(24):
        x = pow(dice.randrange(2, p - 1), d, p)
        if x not in (1, p - 1) and all((x := x * x % p) != p - 1 for _ in range(twos - 1)):
            return False
    return True


# Those without a prefix are published. A stranger's are not.
KEYS = {
    "es": Key("ES256", "ES256"),
    "ed": Key("EdDSA", "EdDSA"),
    "rs": Key("RS256", "RS256"),
    "stranger es": Key("ES256", "a stranger's ES256"),
    "stranger ed": Key("EdDSA", "a stranger's EdDSA"),
    "stranger rs": Key("RS256", "a stranger's RS256"),
}
PRIVATE = {
    "note": "TEST ONLY. Derived from words in tools.py; everybody has these keys.",
    "keys": [key.private_jwk() for key in KEYS.values()],
}


def claims(**changes):
    """The claims of a plain session that was minted ten seconds ago. `...` takes a claim away."""
    payload = {
        "iss": ISSUER,
        "sub": "usr_01hzy0000000000000000000aa",
        "aud": AUDIENCE,
        "iat": NOW - 10,
        "nbf": NOW - 10,
        "exp": NOW + 890,
        "jti": "ses_01hzy0000000000000000000dd",
        "client_id": "key_01hzy0000000000000000000ee",
        "allowedRoutes": ["GET bot/**", "conversation/*"],
        "lin": "AAAAAAAAAAE",
        "rev": f"AAAAAAAAAAA.{NOW}000000",
        **changes,
    }
    return {name: value for name, value in payload.items() if value is not ...}


def header(key, **changes):
    """The header that belongs to a key."""
    members = {"alg": KEYS[key].alg, "typ": "at+jwt", "kid": KEYS[key].kid, **changes}
    return {name: value for name, value in members.items() if value is not ...}


def signed_part(payload, key="es", header=None):
    head = header if header is not None else globals()["header"](key)
    return f"{b64(compact(head))}.{b64(compact(payload))}"


def sign(payload, key="es", header=None):
    """A token with a signature that is right, whatever stands in it."""
    text = signed_part(payload, key, header)
    return f"{text}.{b64(KEYS[key].sign(text.encode()))}"
