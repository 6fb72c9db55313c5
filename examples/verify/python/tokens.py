"""What a session token says (docs/verifier.md), once its signature is right."""

import ipaddress
import re
import time

from jws import Refused, decode, parse_strict, verify_jws
from routes import is_pattern


def is_text(value):
    return isinstance(value, str) and value != ""


def are_texts(value, is_right=lambda text: True, most=100):
    return isinstance(value, list) and len(value) <= most and all(isinstance(text, str) and is_right(text) for text in value)


def matching(pattern):
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def is_id(prefix):
    return matching(f"{prefix}_[0-9a-hjkmnp-tv-z]{{26}}")


def is_object(value):
    return isinstance(value, dict)


def is_time(value):
    return type(value) is int and 0 <= value <= 253_402_300_799


is_user = is_id("usr")


def is_actor(value):
    return is_object(value) and is_user(value.get("sub")) and all(
        name == "sub" or (name == "act" and is_actor(inner)) for name, inner in value.items()
    )


is_permission = matching("(?=.{1,64}$)[a-z0-9-]+(?::[a-z0-9-]+)?")
is_binding_value = matching("[A-Za-z0-9._~:@-]{1,128}")
LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
is_host = matching(rf"(?:\*\.)?(?=.{{1,253}}$){LABEL}(?:\.{LABEL})*")


def is_scope(value):
    return isinstance(value, str) and (value == "" or all(map(is_permission, value.split(" "))))


def is_bindings(value):
    return is_object(value) and all(
        name in ("project", "workspace", "bot", "integration") and are_texts(values, is_binding_value) for name, values in value.items()
    )


def is_domain(text):
    if re.fullmatch(r"\[[0-9a-f:.]+\]", text):
        try:
            return bool(ipaddress.IPv6Address(text[1:-1]))
        except ValueError:
            return False
    return is_host(text)


def is_tags(value):
    data = decode(value) if isinstance(value, str) else None
    return bool(data) and len(data) % 8 == 0


def is_rev(value):
    found = re.fullmatch(r"([\w-]{11})\.(0|[1-9][0-9]{0,18})", value, re.A) if isinstance(value, str) else None
    return found is not None and decode(found[1]) is not None and int(found[2]) < 2**63


# What each claim looks like. Those that are not named here are refused: hallpass never writes them.
REQUIRED = {
    "iss": is_text,
    "sub": is_user,
    "aud": is_text,
    "iat": is_time,
    "nbf": is_time,
    "exp": is_time,
    "jti": is_id("ses"),
    "client_id": is_id("key"),
    "allowedRoutes": lambda value: are_texts(value, is_pattern, most=64),
    "lin": is_tags,
    "rev": is_rev,
}
OPTIONAL = {
    "act": is_actor,
    "scope": is_scope,
    "bindings": is_bindings,
    "domains": lambda value: are_texts(value, is_domain),
    "data": is_object,
    "cnf": is_object,
}


def verify_token(token, issuer, audience, find_key, now=None):
    """The claims and the `kid` of a token that is genuine, ours and of now (seconds since 1970)."""
    now = time.time() if now is None else now
    payload, kid = verify_jws(token, "at+jwt", find_key, 8192)
    claims = read_claims(payload)

    def check(holds, claim, code="claim_refused"):
        if not holds:
            raise Refused(code, claim, "check_failed")

    check(claims["iss"] == issuer, "iss")
    check(claims["aud"] == audience, "aud")
    check(1 <= claims["exp"] - claims["iat"] <= 86_400, "exp")
    check(claims["iat"] <= now + 60, "iat", "token_not_yet_valid")
    check(claims["nbf"] <= now, "nbf", "token_not_yet_valid")
    check(now < claims["exp"], "exp", "token_expired")
    check("cnf" not in claims, "cnf")  # nothing proves possession here
    return claims, kid


def read_claims(payload):
    try:
        claims = parse_strict(payload, 32)
    except ValueError:
        raise Refused("payload_invalid") from None
    if not is_object(claims):
        raise Refused("payload_invalid")
    for name, is_right in {**REQUIRED, **OPTIONAL}.items():
        if name not in claims:
            if name in REQUIRED:
                raise Refused("claim_refused", name, "missing")
        elif not is_right(claims[name]):
            raise Refused("claim_refused", name, "invalid")
    if not set(claims) <= {*REQUIRED, *OPTIONAL}:
        raise Refused("claim_unknown")
    return claims
