"""One document of the revocation feed, as far as it can be judged by itself."""

import re

from jws import Refused, decode, encode, parse_strict, verify_jws

ANSWER_MAX = 1_048_576
CODES = {
    "token_too_long": "feed_too_long",
    "token_malformed": "feed_malformed",
    "header_invalid": "feed_malformed",
    "algorithm_not_allowed": "feed_malformed",
    "type_not_allowed": "feed_type",
    "key_unknown": "feed_key_unknown",
    "algorithm_mismatch": "feed_signature",
    "signature_invalid": "feed_signature",
}


def read_document(answer, find_key):
    if len(answer) > ANSWER_MAX:
        raise Refused("feed_too_long")
    try:
        value = parse_strict(answer, 2)
    except ValueError:
        value = None
    if not isinstance(value, dict) or set(value) != {"document"} or not isinstance(value["document"], str):
        raise Refused("feed_malformed")
    try:
        payload, kid = verify_jws(value["document"], "hallpass-revocations+jwt", find_key, ANSWER_MAX)
    except Refused as refused:
        raise Refused(CODES[refused.code]) from None
    told = read_payload(payload)
    return {**told, "entries": read_entries(told), "kid": kid}


def is_text(value):
    return isinstance(value, str)


def is_position(value):
    return type(value) is int and 0 <= value < 2**63


CURSOR = re.compile(r"[A-Za-z0-9_-]{11}\.[0-9]{1,19}(?:\.[A-Za-z0-9_-]{11})?")
MEMBERS = {
    "issuer": is_text,
    "log": lambda value: is_text(value) and re.fullmatch(r"[A-Za-z0-9_-]{11}", value),
    "since": lambda value: value is None or (is_text(value) and CURSOR.fullmatch(value)),
    "entries": is_text,
    "next": is_text,
    "more": lambda value: isinstance(value, bool),
    "confirmed": is_position,
    "floor": is_position,
    "revokedKeys": lambda value: isinstance(value, list) and all(map(is_text, value)),
    "nonce": lambda value: value is None or is_text(value),
}


def read_payload(payload):
    try:
        told = parse_strict(payload, 2)
    except ValueError:
        raise Refused("feed_payload") from None
    if not isinstance(told, dict) or set(told) != set(MEMBERS) or not all(is_right(told[name]) for name, is_right in MEMBERS.items()):
        raise Refused("feed_payload")
    return told


def read_entries(told):
    """Records of a tag and a position, in order, behind the cursor and not above what is confirmed."""
    data = b"" if told["entries"] == "" else decode(told["entries"])
    if data is None or len(data) % 16:
        raise Refused("feed_payload")
    of_log, *last = read_cursor(told["since"] or f"{told['log']}.-1")
    last = tuple(last)
    if of_log != told["log"]:
        raise Refused("feed_entries")
    entries = []
    for at in range(0, len(data), 16):
        tag, position = data[at : at + 8], int.from_bytes(data[at + 8 : at + 16], "big", signed=True)
        if position < 0:
            raise Refused("feed_payload")
        if not last < (position, tag) or position > told["confirmed"]:
            raise Refused("feed_entries")
        last = (position, tag)
        entries.append((tag, position))
    place = f"{last[0]}.{encode(last[1])}" if told["more"] else str(told["confirmed"])
    if told["next"] != f"{told['log']}.{place}" or (told["more"] and last[0] != told["confirmed"]):
        raise Refused("feed_entries")
    return entries


def read_cursor(cursor):
    """`<log>.<position>` is behind every tag of that position."""
    log, position, *tag = cursor.split(".")
    return log, int(position), decode(tag[0]) if tag else b"\xff" * 9
