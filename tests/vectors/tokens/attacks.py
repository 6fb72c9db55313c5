"""The bad tokens, in groups. Each has one fault, and a signature that is right unless that is the fault."""

import hashlib
import hmac
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, utils

from tools import AUDIENCE, ISSUER, KEYS, L, N, NOW, b64, claims, compact, header, pair, sign, signed_part

FORM = {"code": "token_malformed"}
LONG = {"code": "token_too_long"}
HEADER = {"code": "header_invalid"}
ALG = {"code": "algorithm_not_allowed"}
TYPE = {"code": "type_not_allowed"}
KEY = {"code": "key_unknown"}
MISMATCH = {"code": "algorithm_mismatch"}
SIGNATURE = {"code": "signature_invalid"}
PAYLOAD = {"code": "payload_invalid"}
UNKNOWN = {"code": "claim_unknown"}
EXPIRED = {"code": "token_expired", "claim": "exp", "reason": "check_failed"}

ES, ED, RS = KEYS["es"], KEYS["ed"], KEYS["rs"]
PLAIN = sign(claims())
HEAD, BODY, SIG = PLAIN.split(".")


def refused(claim, reason):
    return {"code": "claim_refused", "claim": claim, "reason": reason}


def early(claim):
    return {"code": "token_not_yet_valid", "claim": claim, "reason": "check_failed"}


def vector(name, token, expected):
    return {"name": name, "token": token, **expected}


def large(name, pieces, expected):
    """A token that is too large to be stored: texts, and texts that are repeated."""
    return {"name": name, "pieces": pieces, **expected}


def with_header(name, changes, expected, key="es"):
    return vector(name, sign(claims(), key, header(key, **changes)), expected)


# Header


def alg_none():
    for alg in ["none", "None", "NONE", "nOnE", "noNe", ""]:
        text = signed_part(claims(), header=header("es", alg=alg))
        yield vector(f"{alg!r} without a signature", f"{text}.", FORM)
        yield vector(f"{alg!r} without a signature and its dot", text, FORM)
        yield vector(f"{alg!r} with some signature", f"{text}.{SIG}", ALG)
    text = signed_part(claims(), header={"alg": "none"})
    yield vector("RFC 7519 §6, an unsecured token", f"{text}.", FORM)
    yield vector("with a signature of one byte", f"{signed_part(claims(), header=header('es', alg='none'))}.AA", ALG)


def alg_hmac():
    pem = serialization.Encoding.PEM
    der = serialization.Encoding.DER
    point = b"\x04" + ES.public.public_numbers().x.to_bytes(32, "big") + ES.public.public_numbers().y.to_bytes(32, "big")
    pkcs1 = serialization.PublicFormat.PKCS1
    secrets = [
        ("es", "the PEM of the key", ES.spki(pem)),
        ("es", "the PEM without its last line break", ES.spki(pem).rstrip()),
        ("es", "the DER of the key", ES.spki(der)),
        ("es", "the point", point),
        ("es", "x and y", point[1:]),
        ("es", "x", point[1:33]),
        ("es", "the JWK", compact(ES.jwk()).encode()),
        ("es", "the kid", ES.kid.encode()),
        ("es", "nothing", b""),
        ("es", "zeros", bytes(32)),
        ("es", "secret", b"secret"),
        ("ed", "the raw key", ED.public.public_bytes_raw()),
        ("ed", "the PEM of the key", ED.spki(pem)),
        ("rs", "the PEM of the key", RS.spki(pem)),
        ("rs", "the PKCS #1 PEM of the key", RS.public.public_bytes(pem, pkcs1)),
        ("rs", "the PKCS #1 DER of the key", RS.public.public_bytes(der, pkcs1)),
        ("rs", "the modulus", RS.public.public_numbers().n.to_bytes(256, "big")),
        ("rs", "the modulus as in the JWK", RS.members()["n"].encode()),
    ]
    for key, name, secret in secrets:
        text = signed_part(claims(), header=header(key, alg="HS256"))
        mac = hmac.new(secret, text.encode(), hashlib.sha256).digest()
        yield vector(f"HS256 under {KEYS[key].alg}'s kid with {name} as secret", f"{text}.{b64(mac)}", ALG)
    for alg, digest in [("HS384", "sha384"), ("HS512", "sha512")]:
        text = signed_part(claims(), header=header("rs", alg=alg))
        mac = hmac.new(RS.spki(pem), text.encode(), digest).digest()
        yield vector(f"{alg} with the PEM of the key as secret", f"{text}.{b64(mac)}", ALG)


def alg_other():
    names = [
        "ES384", "ES512", "ES256K", "PS256", "PS384", "PS512", "RS384", "RS512", "RS1", "Ed25519", "Ed448", "ML-DSA-44",
        "es256", "Es256", "EDDSA", "eddsa", "rs256", "ES256 ", " ES256", "ES256\n", "ES256\0", "ES-256", "ECDSA", "SHA256withECDSA",
        "RSA-OAEP", "ECDH-ES", "dir", "A128KW", "A256GCM", "PBES2-HS256+A128KW", "*", "null", "ＥＳ256",
    ]
    for alg in names:
        yield with_header(repr(alg), {"alg": alg}, ALG)
    for alg in [None, 1, 256, True, ["ES256"], {"ES256": None}, {}]:
        yield with_header(json.dumps(alg), {"alg": alg}, HEADER)
    yield with_header("missing", {"alg": ...}, HEADER)
    yield with_header("in upper case", {"alg": ..., "ALG": "ES256"}, HEADER)


def alg_of_another_key():
    for named, signer in [("es", "ed"), ("es", "rs"), ("ed", "es"), ("ed", "rs"), ("rs", "es"), ("rs", "ed")]:
        alg = KEYS[signer].alg
        token = sign(claims(), signer, header(named, alg=alg))
        yield vector(f"{alg} under the kid of {KEYS[named].alg}, signed by our own {alg} key", token, MISMATCH)
        token = sign(claims(), f"stranger {signer}", header(named, alg=alg))
        yield vector(f"{alg} under the kid of {KEYS[named].alg}, signed by a stranger", token, MISMATCH)


def embedded_keys():
    stranger = KEYS["stranger es"]
    members = {
        "jwk": stranger.jwk(),
        "jku": "https://evil.example/jwks.json",
        "x5u": "https://evil.example/cert.pem",
        "x5c": [b64(stranger.spki(serialization.Encoding.DER))],
        "x5t": b64(bytes(20)),
        "x5t#S256": b64(bytes(32)),
    }
    for name, value in members.items():
        # Under the stranger's own kid, under ours, and signed by us: the member itself is refused.
        for kid, key in [("stranger es", "stranger es"), ("es", "stranger es"), ("es", "es")]:
            token = sign(claims(), key, header(kid, **{name: value}))
            whose = "ours" if kid == "es" else "the stranger's"
            signer = "us" if key == "es" else "a stranger"
            yield vector(f"{name}, kid {whose}, signed by {signer}", token, HEADER)
    yield with_header("jku that names this issuer", {"jku": f"{ISSUER}/.well-known/jwks.json"}, HEADER)
    yield with_header("jku of a file", {"jku": "file:///dev/null"}, HEADER)
    yield with_header("jku of an inner address", {"jku": "http://169.254.169.254/latest/meta-data"}, HEADER)
    yield with_header("jwk that is symmetric", {"jwk": {"kty": "oct", "k": b64(bytes(32))}}, HEADER)
    yield with_header("jwk that is null", {"jwk": None}, HEADER)


def critical():
    for name, changes in [
        ("crit empty", {"crit": []}),
        ("crit with b64", {"crit": ["b64"], "b64": True}),
        ("crit with b64 false", {"crit": ["b64"], "b64": False}),
        ("crit with a known member", {"crit": ["exp"], "exp": NOW}),
        ("crit with alg", {"crit": ["alg"]}),
        ("crit with what is not there", {"crit": ["http://example.com/x"]}),
        ("crit as a text", {"crit": "b64"}),
        ("crit null", {"crit": None}),
        ("b64 true", {"b64": True}),
        ("b64 false", {"b64": False}),
    ]:
        yield with_header(name, changes, HEADER)
    # RFC 7797: the payload as it stands.
    head = b64(compact(header("es", crit=["b64"], b64=False)))
    body = compact(claims())
    signature = b64(ES.sign(f"{head}.{body}".encode()))
    yield vector("b64 false with a raw payload", f"{head}.{body}.{signature}", FORM)
    yield vector("b64 false, payload detached", f"{head}..{signature}", FORM)


def other_members():
    members = {
        "zip": "DEF", "cty": "JWT", "enc": "A256GCM", "epk": ES.members(), "apu": "QQ", "apv": "QQ", "iv": "QQ", "tag": "QQ",
        "p2s": "QQ", "p2c": 2_147_483_647, "nonce": "n", "url": "https://evil.example", "iss": ISSUER, "sub": "usr_01hzy0000000000000000000zz",
        "aud": AUDIENCE, "exp": NOW + 900, "ppt": "shaken", "svt": [], "trust_chain": [], "client_id": "key_01hzy0000000000000000000zz",
        "": "", "alg2": "ES256", "Kid": ES.kid, "TYP": "at+jwt", "__proto__": {"alg": "none"}, "constructor": "x", "kid ": ES.kid,
    }
    for name, value in members.items():
        yield with_header(f"member {name!r}", {name: value}, HEADER)


def kid():
    for name, value in [
        ("a path", "../../../../../../dev/null"),
        ("an absolute path", "/etc/passwd"),
        ("a path on Windows", "C:\\Windows\\win.ini"),
        ("a file address", "file:///dev/null"),
        ("an address", "https://evil.example/key"),
        ("SQL", "' OR '1'='1"),
        ("SQL that selects", "x' UNION SELECT 'AAAA' -- "),
        ("SQL that drops", "'; DROP TABLE signing_key; --"),
        ("a command", "| cat /etc/passwd"),
        ("a command in backquotes", "`id`"),
        ("a template", "{{7*7}}"),
        ("LDAP", "*)(uid=*))(|(uid=*"),
        ("NUL", "\0"),
        ("a line break", f"{ES.kid}\n"),
        ("a space behind", f"{ES.kid} "),
        ("a space before", f" {ES.kid}"),
        ("NUL behind", f"{ES.kid}\0"),
        ("padded", f"{ES.kid}="),
        ("in lower case", ES.kid.lower()),
        ("cut", ES.kid[:-1]),
        ("that of a stranger's key", KEYS["stranger es"].kid),
        ("a prototype's name", "__proto__"),
        ("a method's name", "toString"),
        ("128 bytes", "k" * 128),
        ("another script", "ключ"),
    ]:
        yield with_header(name, {"kid": value}, KEY)
    for value in [None, 0, 1, 1.5, True, [ES.kid], {"kid": ES.kid}, ""]:
        yield with_header(json.dumps(value)[:9], {"kid": value}, HEADER)
    yield with_header("missing", {"kid": ...}, HEADER)
    yield with_header("129 bytes", {"kid": "k" * 129}, HEADER)
    yield with_header("4096 bytes", {"kid": "k" * 4096}, HEADER)


def typ():
    for value in [
        "JWT", "jwt", "JOSE", "JWS", "JWE", "AT+JWT", "At+jwt", "application/at+jwt", "at+jwt ", " at+jwt", "at+jwt\n", "at+jwt;v=1",
        "at+JWT", "at jwt", "at%2Bjwt", "", "logout+jwt", "dpop+jwt", "id+jwt", "secevent+jwt", "token-introspection+jwt", "rt+jwt",
        "client-authentication+jwt", "kb+jwt", "hallpass-revocations+jwt", "hallpass-auth+jwt", "at+jwt\0",
    ]:
        yield with_header(repr(value), {"typ": value}, TYPE)
    for value in [None, 1, True, ["at+jwt"], {}]:
        yield with_header(json.dumps(value), {"typ": value}, HEADER)
    yield with_header("missing", {"typ": ...}, HEADER)


def header_json():
    kid = ES.kid
    plain = compact(header("es"))
    for name, text in [
        ("alg twice", f'{{"alg":"ES256","alg":"ES256","typ":"at+jwt","kid":"{kid}"}}'),
        ("alg none, then right", f'{{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"{kid}"}}'),
        ("alg right, then none", f'{{"alg":"ES256","typ":"at+jwt","kid":"{kid}","alg":"none"}}'),
        ("alg twice, once escaped", f'{{"alg":"ES256","\\u0061lg":"none","typ":"at+jwt","kid":"{kid}"}}'),
        ("kid twice", f'{{"alg":"ES256","typ":"at+jwt","kid":"{kid}","kid":"{kid}"}}'),
        ("kid of a stranger, then ours", f'{{"alg":"ES256","typ":"at+jwt","kid":"x","kid":"{kid}"}}'),
        ("typ twice", f'{{"alg":"ES256","typ":"JWT","typ":"at+jwt","kid":"{kid}"}}'),
        ("an array", f'["ES256","at+jwt","{kid}"]'),
        ("an array of an object", f"[{plain}]"),
        ("a text", '"ES256"'),
        ("a number", "1"),
        ("null", "null"),
        ("true", "true"),
        ("an empty object", "{}"),
        ("no JSON", "ES256"),
        ("cut short", plain[:-1]),
        ("two objects", plain + plain),
        ("something behind", plain + "x"),
        ("a NUL behind", plain + "\0"),
        ("a comma at the end", plain[:-1] + ",}"),
        ("a comment", plain[:-1] + "/* */}"),
        ("single quotes", plain.replace('"', "'")),
        ("names without quotes", plain.replace('"alg"', "alg")),
        ("a byte order mark", "\ufeff" + plain),
        ("a lone surrogate", plain.replace("at+jwt", "at+jwt\\ud800")),
        ("a raw line break in a text", plain.replace("at+jwt", "at+jwt\n")),
        ("a bad escape", plain.replace("at+jwt", "at\\+jwt")),
    ]:
        yield vector(name, sign(claims(), header=text), HEADER)
    yield vector("bytes that are not UTF-8", sign(claims(), header=plain.encode().replace(b"at+jwt", b"at+jwt\xff")), HEADER)
    yield vector("an overlong form", sign(claims(), header=plain.encode().replace(b"at+jwt", b"at+jwt\xc0\x80")), HEADER)
    yield vector("UTF-16", sign(claims(), header=plain.encode("utf-16")), HEADER)
    yield vector("nested a thousand deep", sign(claims(), header=plain[:-1] + ',"x":' + "[" * 1000 + "]" * 1000 + "}"), HEADER)
    yield vector("a thousand openings", sign(claims(), header='{"alg":' * 500), HEADER)


# Structure


def parts():
    jwe = {"alg": "RSA-OAEP", "enc": "A256GCM"}
    general = {"payload": BODY, "signatures": [{"protected": HEAD, "signature": SIG}]}
    flat = {"payload": BODY, "protected": HEAD, "signature": SIG}
    for name, token in [
        ("nothing", ""),
        ("one dot", "."),
        ("two dots", ".."),
        ("three dots", "..."),
        ("a hundred dots", "." * 100),
        ("one part", HEAD),
        ("two parts", f"{HEAD}.{BODY}"),
        ("no header", f".{BODY}.{SIG}"),
        ("no payload", f"{HEAD}..{SIG}"),
        ("no signature", f"{HEAD}.{BODY}."),
        ("payload only", f".{BODY}."),
        ("a dot before", f".{PLAIN}"),
        ("a dot behind", f"{PLAIN}."),
        ("four parts", f"{PLAIN}.{SIG}"),
        ("four parts, the last empty, signed twice", f"{HEAD}.{BODY}.{SIG}.{SIG}."),
        ("five parts", f"{HEAD}.{BODY}.{SIG}.{SIG}.{SIG}"),
        ("a JWE", ".".join([b64(compact(jwe)), b64(bytes(256)), b64(bytes(12)), BODY, b64(bytes(16))])),
        ("a JWE with a direct key", ".".join([b64(compact({"alg": "dir", "enc": "A128GCM"})), "", b64(bytes(12)), BODY, b64(bytes(16))])),
        ("a nested token", f"{HEAD}.{b64(PLAIN)}.{SIG}.{BODY}.{SIG}"),
        ("JSON serialisation, flattened", compact(flat)),
        ("JSON serialisation, general", compact(general)),
        ("an API key", "sk_live_" + "0" * 49),
        ("a scheme before", f"Bearer {PLAIN}"),
        ("in quotes", f'"{PLAIN}"'),
        ("two tokens", f"{PLAIN},{PLAIN}"),
        ("two tokens with a space", f"{PLAIN} {PLAIN}"),
        ("percent-encoded dots", PLAIN.replace(".", "%2E")),
        ("dots of another script", PLAIN.replace(".", "\u3002")),
    ]:
        yield vector(name, token, FORM)


def spelling():
    def last(part):
        """The same bytes with the unused bits of the last character set."""
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        return part[:-1] + alphabet[alphabet.index(part[-1]) + 1]

    # A header and a payload whose length leaves unused bits.
    def fill(text):
        return text if len(text) % 3 else text + " "

    head, body = b64(fill(compact(header("es")))), b64(fill(compact(claims())))
    signature = b64(ES.sign(f"{head}.{body}".encode()))
    for name, token in [
        ("unused bits in the header", ".".join([last(head), body, b64(ES.sign(f"{last(head)}.{body}".encode()))])),
        ("unused bits in the payload", ".".join([head, last(body), b64(ES.sign(f"{head}.{last(body)}".encode()))])),
        ("unused bits in the signature", f"{head}.{body}.{last(signature)}"),
        ("padding of the header", f"{head}==.{body}.{signature}"),
        ("padding of the payload", f"{head}.{body}==.{signature}"),
        ("padding of the signature", f"{head}.{body}.{signature}=="),
        ("too much padding", f"{head}.{body}.{signature}===="),
        ("a signature that is padding", f"{head}.{body}.===="),
        ("a lone character behind the signature", f"{head}.{body}.{signature}AAA"),
        ("a length that no bytes have", f"{head}.{body}.{SIG[:85]}"),
        ("a plus", f"{head}.{body}.+{SIG[1:]}"),
        ("a slash", f"{head}.{body}./{SIG[1:]}"),
        ("a star", f"{head}.{body}.*{SIG[1:]}"),
        ("a tilde in the payload", f"{head}.~{body}.{signature}"),
        ("a letter beyond ASCII", f"{head}.{body}.\u00e9{SIG[1:]}"),
        ("a digit of another script", f"{head}.{body}.\u0661{SIG[1:]}"),
        ("white space before", f" {PLAIN}"),
        ("white space behind", f"{PLAIN} "),
        ("a line break behind", f"{PLAIN}\n"),
        ("a line break on Windows behind", f"{PLAIN}\r\n"),
        ("a tab behind", f"{PLAIN}\t"),
        ("NUL behind", f"{PLAIN}\0"),
        ("a zero-width space behind", f"{PLAIN}\u200b"),
        ("a byte order mark before", f"\ufeff{PLAIN}"),
        ("a line break in the header", f"{HEAD[:20]}\n{HEAD[20:]}.{BODY}.{SIG}"),
        ("a line break in the payload", f"{HEAD}.{BODY[:76]}\n{BODY[76:]}.{SIG}"),
        ("a line break in the signature", f"{HEAD}.{BODY}.{SIG[:40]}\n{SIG[40:]}"),
        ("a space beside a dot", f"{HEAD} .{BODY}.{SIG}"),
    ]:
        yield vector(name, token, FORM)


def size():
    million = 1_048_576
    yield large("1 MiB of one letter", [{"repeat": "A", "times": million}], LONG)
    yield large("1 MiB of dots", [{"repeat": ".", "times": million}], LONG)
    yield large("1 MiB of white space behind", [PLAIN, {"repeat": " ", "times": million}], LONG)
    yield large("1 MiB of header", [{"repeat": "A", "times": million}, f".{BODY}.{SIG}"], LONG)
    yield large("1 MiB of payload", [f"{HEAD}.", {"repeat": "A", "times": million}, f".{SIG}"], LONG)
    yield large("1 MiB of signature", [f"{HEAD}.{BODY}.", {"repeat": "A", "times": million}], LONG)
    yield large("1 MiB of nesting", [f"{HEAD}.", {"repeat": b64("[[["), "times": million // 4}, f".{SIG}"], LONG)
    yield large("1 MiB of letters of two bytes", [{"repeat": "\u00e9", "times": million // 2}], LONG)
    yield large("8193 bytes", [{"repeat": "A", "times": 8193}], LONG)
    yield large("8193 bytes in 4097 letters", [{"repeat": "\u00e9", "times": 4096}, "A"], LONG)
    yield large("8192 bytes", [{"repeat": "A", "times": 8192}], FORM)
    yield large("8192 dots", [{"repeat": ".", "times": 8192}], FORM)


# Signature


def signature(bytes_, text=None, key="es"):
    return f"{text or signed_part(claims(), key)}.{b64(bytes_)}"


def flips(name, key):
    text = signed_part(claims(), key)
    right = KEYS[key].sign(text.encode())
    for at in [0, 1, len(right) // 2 - 1, len(right) // 2, len(right) - 1]:
        wrong = bytearray(right)
        wrong[at] ^= 1 if at else 0x10
        yield vector(f"{name}, a bit of byte {at} turned", signature(bytes(wrong), text), SIGNATURE)


def signature_es():
    text = signed_part(claims()).encode()
    other = signed_part(claims(jti="ses_01hzy0000000000000000000zz")).encode()
    r, s = ES.rs(text)
    zero = bytes(32)
    r_bytes, s_bytes = pair(r, s)[:32], pair(r, s)[32:]
    order = N.to_bytes(32, "big")
    for name, bytes_ in [
        ("in DER", utils.encode_dss_signature(r, s)),
        ("in DER, cut to 64 bytes", utils.encode_dss_signature(r, s)[:64]),
        ("the higher s", pair(r, N - s)),
        ("r and s zero", bytes(64)),
        ("r zero", zero + s_bytes),
        ("s zero", r_bytes + zero),
        ("r and s one", pair(1, 1)),
        ("r the order", order + s_bytes),
        ("s the order", r_bytes + order),
        ("r and s the order", order + order),
        ("r the order plus one", pair(N + 1, s)),
        ("s the order minus one", pair(r, N - 1)),
        ("r negative", pair(N - r, s)),
        ("all bits set", b"\xff" * 64),
        ("r and s swapped", s_bytes + r_bytes),
        ("in little-endian", r_bytes[::-1] + s_bytes[::-1]),
        ("one byte short", pair(r, s)[:-1]),
        ("without its first byte", pair(r, s)[1:]),
        ("half", r_bytes),
        ("one byte", b"\0"),
        ("one byte long", pair(r, s) + b"\0"),
        ("a zero before", b"\0" + pair(r, s)),
        ("twice", pair(r, s) * 2),
        ("r and s of 33 bytes", b"\0" + r_bytes + b"\0" + s_bytes),
        ("r and s of 48 bytes, as for P-384", bytes(16) + r_bytes + bytes(16) + s_bytes),
        ("of another payload", ES.sign(other)),
        ("of another header", ES.sign(signed_part(claims(), header=header("es", typ="JWT")).encode())),
        ("of the payload alone", ES.sign(BODY.encode())),
        ("of the decoded parts", ES.sign(f"{compact(header('es'))}.{compact(claims())}".encode())),
        ("of the digest", ES.sign(hashlib.sha256(text).digest())),
        ("with SHA-384", pair(*ES.rs(text, hashes.SHA384()))),
        ("with SHA-512", pair(*ES.rs(text, hashes.SHA512()))),
        ("of a stranger", KEYS["stranger es"].sign(text)),
        ("of our EdDSA key", ED.sign(text)),
        ("of our RS256 key", RS.sign(text)),
        ("as hexadecimal text", pair(r, s).hex().encode()),
    ]:
        yield vector(f"ES256, {name}", signature(bytes_, text.decode()), SIGNATURE)
    yield from flips("ES256", "es")
    changed = b64(compact(claims(allowedRoutes=["**"])))
    yield vector("ES256, payload changed", f"{HEAD}.{changed}.{SIG}", SIGNATURE)
    spaced = b64(compact(claims()) + " ")
    yield vector("ES256, payload with a space more", f"{HEAD}.{spaced}.{SIG}", SIGNATURE)
    respelt = b64(json.dumps(header("es")))
    yield vector("ES256, header with spaces", f"{respelt}.{BODY}.{SIG}", SIGNATURE)


def signature_ed():
    text = signed_part(claims(), "ed").encode()
    right = ED.sign(text)
    high = (int.from_bytes(right[32:], "little") + L).to_bytes(32, "little")
    identity = b"\x01" + bytes(31)
    for name, bytes_ in [
        ("zeros", bytes(64)),
        ("all bits set", b"\xff" * 64),
        ("S plus the order", right[:32] + high),
        ("S zero", right[:32] + bytes(32)),
        ("R the identity", identity + right[32:]),
        ("R the identity and S zero", identity + bytes(32)),
        ("R zero", bytes(32) + right[32:]),
        ("R and S swapped", right[32:] + right[:32]),
        ("one byte short", right[:-1]),
        ("one byte long", right + b"\0"),
        ("half", right[:32]),
        ("twice", right * 2),
        ("of another payload", ED.sign(text + b"x")),
        ("of the digest", ED.sign(hashlib.sha512(text).digest())),
        ("of a stranger", KEYS["stranger ed"].sign(text)),
        ("of our ES256 key", ES.sign(text)),
    ]:
        yield vector(f"EdDSA, {name}", signature(bytes_, text.decode()), SIGNATURE)
    yield from flips("EdDSA", "ed")


def signature_rs():
    text = signed_part(claims(), "rs").encode()
    right = RS.sign(text)
    modulus = RS.public.public_numbers().n
    value = int.from_bytes(right, "big")
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=0)
    v15 = padding.PKCS1v15()
    for name, bytes_ in [
        ("zeros", bytes(256)),
        ("one", (1).to_bytes(256, "big")),
        ("the modulus", modulus.to_bytes(256, "big")),
        ("the modulus minus one", (modulus - 1).to_bytes(256, "big")),
        ("all bits set", b"\xff" * 256),
        ("negative", (modulus - value).to_bytes(256, "big")),
        ("plus the modulus", (value + modulus).to_bytes(257, "big")),
        ("PSS", RS.private.sign(text, pss, hashes.SHA256())),
        ("with SHA-1", RS.private.sign(text, v15, hashes.SHA1())),
        ("with SHA-384", RS.private.sign(text, v15, hashes.SHA384())),
        ("with SHA-512", RS.private.sign(text, v15, hashes.SHA512())),
        ("a zero before", b"\0" + right),
        ("one byte short", right[:-1]),
        ("one byte long", right + b"\0"),
        ("half", right[:128]),
        ("one byte", b"\0"),
        ("in little-endian", right[::-1]),
        ("of another payload", RS.sign(text + b"x")),
        ("of the digest", RS.sign(hashlib.sha256(text).digest())),
        ("of a stranger", KEYS["stranger rs"].sign(text)),
        ("of our EdDSA key", ED.sign(text)),
        ("the padded digest without a signature", padded(text)),
    ]:
        yield vector(f"RS256, {name}", signature(bytes_, text.decode()), SIGNATURE)
    yield from flips("RS256", "rs")


def padded(text):
    """What RS256 signs, unsigned: right for a key with the exponent 1."""
    info = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(text).digest()
    return b"\0\1" + b"\xff" * (256 - 3 - len(info)) + b"\0" + info


# Claims

TEXTS = ["iss", "sub", "aud", "jti", "client_id", "lin", "rev"]
TIMES = ["iat", "nbf", "exp"]


def claim(name, claim_name, value, expected=None):
    return vector(f"{claim_name} {name}", sign(claims(**{claim_name: value})), expected or refused(claim_name, "invalid"))


def claim_types():
    for name in [*TEXTS, *TIMES, "allowedRoutes"]:
        yield claim("missing", name, ..., refused(name, "missing"))
        yield claim("null", name, None)
        yield claim("true", name, True)
        yield claim("an object", name, {})
    for name in TEXTS:
        yield claim("empty", name, "")
        yield claim("a number", name, 1)
        yield claim("an array of the right one", name, [claims()[name]])
    for name in TIMES:
        right = claims()[name]
        yield claim("a text", name, str(right))
        yield claim("an empty text", name, "")
        yield claim("an array", name, [right])
        yield claim("negative", name, -1)
        yield claim("a fraction", name, right + 0.5)
        yield claim("a whole number as a fraction", name, float(right))
        yield claim("a date", name, "2026-01-01T00:00:00Z")
        yield claim("past the year 9999", name, 253_402_300_800)
        yield claim("milliseconds", name, right * 1000)
        for power in (53, 63, 64):
            yield claim(f"2^{power}", name, 2**power)
        yield claim("-2^63", name, -(2**63))
        for text in ["1e9", "1767225600e0", "1E400", "-1e400"]:
            expected = PAYLOAD if "400" in text else refused(name, "invalid")
            payload = compact(claims(**{name: 0})).replace(f'"{name}":0', f'"{name}":{text}')
            yield vector(f"{name} {text}", sign(payload), expected)
        for text in ["NaN", "Infinity", "01767225600", "+1767225600", "0x69559000", "1_767_225_600"]:
            payload = compact(claims(**{name: 0})).replace(f'"{name}":0', f'"{name}":{text}')
            yield vector(f"{name} {text}", sign(payload), PAYLOAD)


def claim_times():
    def at(name, expected, **changes):
        return vector(name, sign(claims(**changes)), expected)

    yield at("exp is now", EXPIRED, iat=NOW - 900, nbf=NOW - 900, exp=NOW)
    yield at("exp a second ago", EXPIRED, iat=NOW - 900, nbf=NOW - 900, exp=NOW - 1)
    yield at("exp an hour ago", EXPIRED, iat=NOW - 4500, nbf=NOW - 4500, exp=NOW - 3600)
    yield at("exp in 1970", EXPIRED, iat=0, nbf=0, exp=1)
    yield at("nbf in a second", early("nbf"), nbf=NOW + 1)
    yield at("nbf in an hour", early("nbf"), nbf=NOW + 3600)
    yield at("nbf in the year 9999", early("nbf"), nbf=253_402_300_799)
    yield at("iat in 61 seconds", early("iat"), iat=NOW + 61, nbf=NOW, exp=NOW + 900)
    yield at("iat in an hour", early("iat"), iat=NOW + 3600, nbf=NOW, exp=NOW + 4500)
    yield at("exp is iat", refused("exp", "check_failed"), exp=NOW - 10)
    yield at("exp before iat", refused("exp", "check_failed"), iat=NOW, exp=NOW - 10)
    yield at("a day and a second", refused("exp", "check_failed"), iat=NOW, nbf=NOW, exp=NOW + 86_401)
    yield at("a year", refused("exp", "check_failed"), exp=NOW + 31_536_000)
    yield at("until the year 9999", refused("exp", "check_failed"), exp=253_402_300_799)
    yield at("from 1970 on", refused("exp", "check_failed"), iat=0, nbf=0)


def claim_issuer():
    for value in [
        f"{ISSUER}/", "https://HALLPASS.test", "HTTPS://hallpass.test", "http://hallpass.test", "hallpass.test", f"{ISSUER}/test", f"{ISSUER}:443",
        f"{ISSUER} ", f" {ISSUER}", f"{ISSUER}\0", f"{ISSUER}.evil.example", "https://evil.example", f"https://evil.example/{ISSUER}",
        "https://hallpass.test@evil.example", "https://hallpa\u0455s.test", f"{ISSUER}?x", f"{ISSUER}#", "//hallpass.test", "*",
    ]:
        yield claim(repr(value), "iss", value, refused("iss", "check_failed"))
    yield claim("ours and a stranger's", "iss", [ISSUER, "https://evil.example"])
    yield claim("a stranger's and ours", "iss", ["https://evil.example", ISSUER])


def claim_audience():
    for value in [
        f"{AUDIENCE}/", AUDIENCE.upper(), f"{AUDIENCE} ", f"{AUDIENCE}2", f"{ISSUER}/manage", ISSUER, "https://other.example/api", "*", "api",
        f"{AUDIENCE} https://other.example", f"{AUDIENCE},https://other.example", f"{AUDIENCE}\0",
    ]:
        yield claim(repr(value), "aud", value, refused("aud", "check_failed"))
    for value in [[AUDIENCE, "https://stranger.example"], ["https://stranger.example", AUDIENCE], [], [""], [1], [None], {AUDIENCE: True}]:
        yield claim(json.dumps(value), "aud", value)


def claim_ids():
    tail = "01hzy0000000000000000000aa"
    for name, prefix, other in [("sub", "usr_", "ses_"), ("jti", "ses_", "usr_"), ("client_id", "key_", "usr_")]:
        for value in [
            other + tail, tail, prefix, prefix + tail[:-1], prefix + tail + "0", prefix + tail.upper(), (prefix + tail).upper(), f"{prefix}{tail} ",
            f" {prefix}{tail}", f"{prefix}{tail[:-1]}i", f"{prefix}{tail[:-1]}/", f"{prefix}{tail[:-1]}\u00e9", f"{prefix}../{tail}", "admin", "*", "0",
            "' OR '1'='1", "<script>alert(1)</script>", f"{prefix}{tail}\n",
        ]:
            yield claim(repr(value), name, value)


def claim_actor():
    right = "usr_01hzy0000000000000000000bb"
    for value in [
        None, "", right, 1, True, [], [{"sub": right}], {}, {"sub": None}, {"sub": ""}, {"sub": 1}, {"sub": "key_01hzy0000000000000000000bb"},
        {"sub": [right]}, {"act": {"sub": right}}, {"sub": right, "iss": ISSUER}, {"sub": right, "client_id": "x"}, {"sub": right, "act": None},
        {"sub": right, "act": {}}, {"sub": right, "act": right}, {"sub": right, "act": {"sub": "x"}}, {"Sub": right},
    ]:
        yield claim(json.dumps(value), "act", value)
    chain = {"sub": right}
    for _ in range(40):
        chain = {"sub": right, "act": chain}
    yield claim("40 deep", "act", chain, PAYLOAD)


def claim_routes():
    for value in [
        "**", "", 1, {"0": "**"}, [None], [1], [["**"]], ["**", None], [""], ["/"], ["/bot"], ["/v1/bot"], ["/api/v1/bot"], ["bot/"], ["bot//x"], ["."],
        ["bot/.."], ["bot/../x"], ["bot*"], ["bot/*x"], ["bot/***"], ["bot/**x"], ["bot/?"], ["bot/[a]"], ["bot/{a,b}"], ["bot/<id>"], ["!bot"],
        ["bot\\x"], ["bot/%2f"], ["bot;x"], ["bot#x"], ["bot/\0"], ["bot\n"], [" bot"], ["bot "], ["GET  bot"], ["GET\tbot"], ["GET "], ["FLY bot"],
        ["get bot"], ["Get bot"], ["POST,GET bot"], ["GET,GET bot"], ["GET, POST bot"], [",GET bot"], ["GET, bot"], ["GET bot x"], ["**/*"],
        ["bot/**/**"], ["bot/**/*/x"], ["GET /bot"], ["a/**/b/**/c/**/d/**"],
    ]:
        yield claim(json.dumps(value), "allowedRoutes", value)
    yield claim("65 patterns", "allowedRoutes", [f"b/{i}" for i in range(65)])
    yield claim("1000 patterns", "allowedRoutes", ["a"] * 1000)
    yield claim("a pattern of 257 letters", "allowedRoutes", ["a" * 257])
    yield claim("a pattern of 33 segments", "allowedRoutes", ["/".join("a" * 33)])
    yield claim("a good one and a bad one", "allowedRoutes", ["bot/**", "bot/{x}"])


def claim_scope():
    for value in [
        None, 1, True, [], ["bots:read"], {}, " ", "bots:read ", " bots:read", "bots:read  bots:write", "bots:read\tbots:write", "bots:read\n",
        "bots:read,bots:write", "Bots:read", "bots:READ", "bots:", ":read", ":", "bots:read:all", "bots:*", "*", "b\u00f6ts:read", 'bots"read', "bots\\read",
        "a" * 65, "bots_read", "bots.read", "admin\0",
    ]:
        yield claim(json.dumps(value)[:40], "scope", value)


def claim_bindings():
    for value in [
        None, "", 1, [], [["project", "p1"]], {"project": None}, {"project": "p1"}, {"project": 1}, {"project": {}}, {"project": [1]}, {"project": [None]},
        {"project": [["p1"]]}, {"project": [""]}, {"project": ["p 1"]}, {"project": ["p/1"]}, {"project": ["p*"]}, {"project": ["p,1"]},
        {"project": ["\u00e9"]}, {"project": ["p1\n"]}, {"project": ["p" * 129]}, {"Project": ["p1"]}, {"projects": ["p1"]}, {"": ["p1"]},
        {"account": ["p1"]}, {"project": ["p1"], "other": []}, {"__proto__": ["p1"]},
    ]:
        yield claim(json.dumps(value)[:50], "bindings", value)
    yield claim("of 101 values", "bindings", {"project": [f"p{i}" for i in range(101)]})


def claim_domains():
    for value in [
        None, "", "example.com", 1, {}, [1], [None], [["example.com"]], [""], ["*"], ["*."], ["*.*.com"], ["a.*.com"], ["https://example.com"],
        ["example.com:443"], ["example.com/"], ["example.com."], [".example.com"], ["example..com"], ["exa mple.com"], ["ex\u00e4mple.com"],
        ["user@example.com"], ["-example.com"], ["example-.com"], ["a" * 64 + ".com"], ["[::1"], ["example.com\n"], ["null/"], ["Example.com"],
    ]:
        yield claim(json.dumps(value)[:50], "domains", value)
    yield claim("101 of them", "domains", [f"d{i}.example.com" for i in range(101)])


def claim_liveness():
    for value in [
        "AAAA", "AAAAAAAAAA", "AAAAAAAAAAA=", "AAAAAAAAAAAA", "AAAAAAAAAAB", "!!!!!!!!!!!", "AAAAAAAAAAE AAAAAAAAAAI", "AAAAAAAAAAE.AAAAAAAAAAI",
        "AAAAAAAAAA+", "AAAAAAAAAAE\n", "AAAAAAAAAAAAAAAAAAAA", "\u00e9",
    ]:
        yield claim(repr(value), "lin", value)
    for value in [
        "AAAAAAAAAAA", "AAAAAAAAAAA.", ".1", ".", "1", "AAAAAAAAAAA.+1", "AAAAAAAAAAA.-1", "AAAAAAAAAAA.01", "AAAAAAAAAAA. 1", "AAAAAAAAAAA.1 ",
        "AAAAAAAAAAA.1.2", "AAAAAAAAAAA.1.0", "AAAAAAAAAAA.1e3", "AAAAAAAAAAA.0x1", "AAAAAAAAAAA.\u0661", "AA.1", "AAAAAAAAAAA=.1", "AAAAAAAAAAB.1",
        "AAAAAAAAAAAAAAA.1", "AAAAAAAAAAA.9223372036854775808", "AAAAAAAAAAA.99999999999999999999", "AAAAAAAAAAA,1", "AAAAAAAAAAA.x",
    ]:
        yield claim(repr(value), "rev", value)


def claim_rest():
    for value in [None, "", "x", 1, True, [], [{}]]:
        yield claim(json.dumps(value), "data", value)
        yield claim(json.dumps(value), "cnf", value)
    for value in [{}, {"jkt": "x"}, {"jwk": ES.members()}, {"x5t#S256": b64(bytes(32))}]:
        yield claim(f"that binds to {json.dumps(value)[:12]}", "cnf", value, refused("cnf", "check_failed"))
    unknown = {
        "roles": ["admin"], "admin": True, "userId": "usr_01hzy0000000000000000000zz", "azp": "x", "nonce": "x", "auth_time": NOW, "events": {}, "token_use": "access",
        "typ": "at+jwt", "alg": "ES256", "Exp": NOW, "EXP": NOW, "exp ": NOW, "permissions": ["admin"], "allowedroutes": ["**"], "allowed_routes": ["**"],
        "allowedRoutes\0": ["**"], "routes": ["**"], "tenant": "x", "": "", "__proto__": {"sub": "x"}, "constructor": {}, "may_act": {"sub": "x"}, "at_hash": "x",
        "sid": "x", "amr": [], "acr": "0", "\u0435xp": NOW, "null": None,
    }
    for name, value in unknown.items():
        yield vector(f"unknown claim {name!r}", sign(claims(**{name: value})), UNKNOWN)


def payload_json():
    plain = compact(claims())
    in_order = [claims()[name] for name in claims()]

    def doubled(name, value):
        return f'{plain[:-1]},"{name}":{json.dumps(value)}}}'

    for name, text in [
        ("an array of the claims", compact(in_order)),
        ("an array of the object", f"[{plain}]"),
        ("a text", '"x"'),
        ("a number", "1"),
        ("null", "null"),
        ("true", "true"),
        ("no JSON", "iss=x"),
        ("a form", "iss=https%3A%2F%2Fhallpass.test&sub=x"),
        ("XML", "<claims/>"),
        ("cut short", plain[:-1]),
        ("cut in the middle", plain[: len(plain) // 2]),
        ("two objects", plain + plain),
        ("something behind", plain + "x"),
        ("a NUL behind", plain + "\0"),
        ("a comma at the end", plain[:-1] + ",}"),
        ("a comma at the begin", "{," + plain[1:]),
        ("a comment", plain[:-1] + "// x\n}"),
        ("single quotes", plain.replace('"', "'")),
        ("a name without quotes", plain.replace('"exp"', "exp")),
        ("a byte order mark", "\ufeff" + plain),
        ("a lone surrogate", plain[:-1] + ',"data":{"x":"\\ud800"}}'),
        ("a lone second surrogate", plain[:-1] + ',"data":{"x":"\\udc00x"}}'),
        ("a lone surrogate as a name", plain[:-1] + ',"data":{"\\ud800":1}}'),
        ("a raw control character", plain.replace("GET bot", "GET\x01bot")),
        ("a bad escape", plain[:-1] + ',"data":{"x":"\\x41"}}'),
        ("a short escape", plain[:-1] + ',"data":{"x":"\\u12"}}'),
        ("exp twice", doubled("exp", NOW + 890)),
        ("exp twice, the second later", doubled("exp", NOW + 80_000)),
        ("sub twice", doubled("sub", "usr_01hzy0000000000000000000zz")),
        ("iss twice", doubled("iss", ISSUER)),
        ("aud twice", doubled("aud", AUDIENCE)),
        ("allowedRoutes twice", doubled("allowedRoutes", ["**"])),
        ("lin twice", doubled("lin", "AAAAAAAAAAI")),
        ("exp twice, once escaped", plain[:-1] + f',"\\u0065xp":{NOW + 80_000}}}'),
        ("a member of data twice", plain[:-1] + ',"data":{"a":1,"a":2}}'),
        ("a member of data twice, further in", plain[:-1] + ',"data":{"a":[{"b":{"c":1,"c":1}}]}}'),
        ("a dimension twice", plain[:-1] + ',"bindings":{"bot":["b1"],"bot":["b2"]}}'),
        ("the actor's sub twice", plain[:-1] + ',"act":{"sub":"usr_01hzy0000000000000000000bb","sub":"usr_01hzy0000000000000000000cc"}}'),
        ("nested 33 deep", plain[:-1] + ',"data":{"x":' + "[" * 31 + "]" * 31 + "}}"),
        ("nested a thousand deep", plain[:-1] + ',"data":{"x":' + "[" * 1000 + "]" * 1000 + "}}"),
        ("a thousand objects deep", plain[:-1] + ',"data":' + '{"x":' * 700 + "1" + "}" * 700 + "}"),
        ("three thousand openings", "[" * 3000),
        ("objects that never end", '{"x":' * 900),
    ]:
        yield vector(name, sign(text), PAYLOAD)
    yield vector("an empty object", sign("{}"), refused("iss", "missing"))
    raw = plain.encode()
    yield vector("bytes that are not UTF-8", sign(raw.replace(b"GET bot", b"GET bot\xff")), PAYLOAD)
    yield vector("an overlong form", sign(raw.replace(b"GET bot", b"GET bot\xc0\xaf")), PAYLOAD)
    yield vector("a surrogate in UTF-8", sign(raw.replace(b"GET bot", b"GET bot\xed\xa0\x80")), PAYLOAD)
    yield vector("UTF-16", sign(plain.encode("utf-16-le")), PAYLOAD)
    yield vector("UTF-16 with a mark", sign(plain.encode("utf-16")), PAYLOAD)
    yield vector("UTF-32", sign(claims_short().encode("utf-32-be")), PAYLOAD)
    yield vector("compressed", sign(bytes.fromhex("789cab562a2e4d52b25252a92c4855d25150ca4c51b232d4514acb2f020093d30888")), PAYLOAD)
    yield vector("one byte", sign(b"\0"), PAYLOAD)


def claims_short():
    return compact({"iss": ISSUER, "exp": NOW + 890})


def another_kind():
    """Tokens of other kinds, signed by our key: only typ and claims tell them apart (RFC 8725 §3.11, §3.12)."""
    logout = {"iss": ISSUER, "aud": AUDIENCE, "iat": NOW, "exp": NOW + 60, "jti": "x", "events": {"http://schemas.openid.net/event/backchannel-logout": {}}}
    identity = {"iss": ISSUER, "sub": claims()["sub"], "aud": AUDIENCE, "iat": NOW, "exp": NOW + 60, "nonce": "x"}
    yield vector("a logout token", sign(logout, header=header("es", typ="logout+jwt")), TYPE)
    yield vector("a logout token that says at+jwt", sign(logout), refused("sub", "missing"))
    yield vector("an ID token", sign(identity, header=header("es", typ="JWT")), TYPE)
    yield vector("an ID token that says at+jwt", sign(identity), refused("nbf", "missing"))
    proof = {"jti": "x", "htm": "GET", "htu": AUDIENCE, "iat": NOW}
    yield vector("a DPoP proof", sign(proof, header=header("es", typ="dpop+jwt")), TYPE)
    yield vector("a client assertion", sign({**identity, "jti": "x", "sub": "key_01hzy0000000000000000000ee"}), refused("sub", "invalid"))


GROUPS = [
    ("alg none", alg_none),
    ("alg HMAC", alg_hmac),
    ("alg", alg_other),
    ("alg of another key", alg_of_another_key),
    ("embedded key", embedded_keys),
    ("critical", critical),
    ("header", other_members),
    ("kid", kid),
    ("typ", typ),
    ("header JSON", header_json),
    ("parts", parts),
    ("spelling", spelling),
    ("size", size),
    ("signature", signature_es),
    ("signature", signature_ed),
    ("signature", signature_rs),
    ("claim", claim_types),
    ("times", claim_times),
    ("issuer", claim_issuer),
    ("audience", claim_audience),
    ("id", claim_ids),
    ("actor", claim_actor),
    ("routes", claim_routes),
    ("scope", claim_scope),
    ("bindings", claim_bindings),
    ("domains", claim_domains),
    ("liveness", claim_liveness),
    ("claims", claim_rest),
    ("payload JSON", payload_json),
    ("another kind of token", another_kind),
]
