"""Sends every target of tests/vectors/paths.json through a gateway, as bytes, with a credential for
`bot/ok/**`. Whatever comes to the API must lie there, however the API may read it."""

import concurrent.futures
import itertools
import json
import pathlib
import re

import wire

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "paths.json"
INSIDE = [b"v1", b"bot", b"ok"]


# How programs read paths

OVERLONG = {
    rb"\xc0\xae|\xe0\x80\xae|\xf0\x80\x80\xae": b".",
    rb"\xc0\xaf|\xe0\x80\xaf|\xf0\x80\x80\xaf": b"/",
    rb"\xc1\x9c|\xe0\x81\x9c": b"\\",
    rb"\xc0\x80": b"\0",
}


def decoded(path):
    return re.sub(rb"%([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), path)


def utf16(path):
    """%u002f, as IIS had it."""
    return re.sub(rb"%u00([0-9A-Fa-f]{2})", lambda match: bytes([int(match[1], 16)]), path)


def overlong(path):
    for pattern, meant in OVERLONG.items():
        path = re.sub(pattern, lambda _, meant=meant: meant, path)
    return path


def without_parameters(path):
    """As servlets do: from `;` to the end of the segment."""
    return re.sub(rb";[^/]*", b"", path)


def backslashes(path):
    return path.replace(b"\\", b"/")


def cut_at_nul(path):
    return path.split(b"\0", 1)[0]


def cut_at_fragment(path):
    return path.split(b"#", 1)[0]


def cut_at_query(path):
    """Again, when a `?` came out of a decoder."""
    return path.split(b"?", 1)[0]


STEPS = [without_parameters, backslashes, overlong, cut_at_nul, cut_at_fragment, cut_at_query]


def resolved(path):
    """Segments without empty and dot segments."""
    segments = []
    for segment in path.split(b"/"):
        if segment in (b"", b"."):
            continue
        if segment == b"..":
            if segments:
                segments.pop()
        else:
            segments.append(segment)
    return segments


def readings(target):
    """All that the path of a target might be taken for."""
    path = target.split(b"?", 1)[0]
    if not path.startswith(b"/"):
        # Absolute form: scheme and authority are not the path.
        path = re.sub(rb"^[A-Za-z][A-Za-z0-9+.-]*:(//[^/]*)?", b"", path)
    found = set()
    for rounds in range(4):
        for chosen in itertools.product((False, True), repeat=len(STEPS)):
            early = late = path
            for _ in range(rounds):
                early, late = decoded(utf16(early)), decoded(utf16(late))
                for step in itertools.compress(STEPS, chosen):
                    early = step(early)
            for step in itertools.compress(STEPS, chosen):
                late = step(late)
            found.add(early)
            found.add(late)
    return {tuple(segments) for text in found for segments in (resolved(text),)}


def outside(target):
    """A reading of the target that the credential does not allow, if there is one."""
    for segments in readings(target):
        if list(segments[: len(INSIDE)]) != INSIDE or len(segments) <= len(INSIDE):
            return b"/" + b"/".join(segments)
    return None


# Sending them

# What a gateway may say of a target that it does not send on: a line end in it makes the request one
# of HTTP/0.9, which is 426 to Envoy. And no 5xx: a broken gateway refuses everything, too.
REFUSALS = {0, 400, 401, 403, 404, 405, 414, 426, 501}


def run(gateway, api, key):
    """A pair of text and problem for each kind of vector, and how many were sent."""
    vectors = json.loads(VECTORS.read_text())["vectors"]

    def one(vector):
        mark = f"{gateway.name}-{vector['id']}"
        headers = [("Authorization", f"Bearer {key}"), (wire.MARK, mark)]
        answer = wire.request(gateway.port, vector["target"], headers, timeout=10)
        return vector, answer, api.asked.pop(mark, [])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(one, vectors))

    kinds = {}
    for vector, answer, asked in outcomes:
        kind = kinds.setdefault(vector["kind"], {"sent": 0, "served": 0, "wrong": []})
        kind["sent"] += 1
        kind["served"] += bool(asked)
        problem = wrong(vector, answer, asked)
        if problem:
            kind["wrong"].append(f"{vector['id']} {vector['target']!r}: {problem}")
    return kinds


def wrong(vector, answer, asked):
    for request in asked:
        target = request.target.encode("latin-1")
        reading = outside(target)
        if reading is not None:
            return f"the API got {request.target!r}, which can be read as {reading!r}"
    if len(asked) > 1:
        return f"it reached the API {len(asked)} times"
    if not asked and answer.status not in REFUSALS:
        return f"{answer.status} {answer.body[:100]!r}"
    if vector["kind"] == "plain" and vector["allowed"]:
        if not asked:
            return f"an ordinary path was refused: {answer.status} {answer.body[:100]!r}"
        if asked[0].target != vector["target"]:
            return f"an ordinary path came as {asked[0].target!r}"
    return ""


def self_check():
    """The readings find what they are for: each vector that hallpass refuses on principle and that
    names its way out is seen as outside by one of them."""
    for target in (
        "/v1/bot/ok/../no/a",
        "/v1/bot/ok/%2e%2e/no/a",
        "/v1/bot/ok/%252e%252e/no/a",
        "/v1/bot/ok/..%2fno/a",
        "/v1/bot/ok/..;x/no/a",
        "/v1/bot/ok/..\\no\\a",
        "/v1/bot/ok/%c0%ae%c0%ae/no/a",
        "/v1/bot/ok/..%c0%afno",
        "/v1/bot/ok/%u002e%u002e/no",
        "/v1/bot/ok%00/a",
        "/v1/bot/ok#/a",
        "/v1/bot/ok%3f/a",
        "/v1/bot/ok/..",
        "/v1/bot/ok2/a",
        "http://h/v1/bot/no/a",
        "/v1/bot/ok",
    ):
        if outside(target.encode()) is None:
            raise AssertionError(f"the readings take {target} for harmless")
    for target in ("/v1/bot/ok/a", "/v1/bot/ok/a%20b?x=/../..", "/v1/bot/ok/caf%c3%a9/"):
        if outside(target.encode()) is not None:
            raise AssertionError(f"the readings take {target} for an attack")
