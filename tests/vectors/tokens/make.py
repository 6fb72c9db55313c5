#!/usr/bin/env python3
"""Writes good.json, bad.json, feed.json, jwks.json and keys.json beside itself: always the same bytes.

    python3 tests/vectors/tokens/make.py            # writes the files
    python3 tests/vectors/tokens/make.py --check    # says whether they are as this would write them

It needs `cryptography` 43 or newer. All keys are derived from words in this file, so nothing that they
sign means anything; they must never be used for anything but these tests.
"""

import json
import sys
from pathlib import Path

import attacks
import feeds
from tools import AUDIENCE, ISSUER, KEYS, NOW, PRIVATE, sign, claims

HERE = Path(__file__).parent


def good():
    """Tokens that must be accepted, with the payload that must come out."""
    deep = 7
    for _ in range(30):
        deep = [deep]
    tokens = [
        ("ES256", {}, "es"),
        ("EdDSA", {}, "ed"),
        ("RS256", {}, "rs"),
        ("a permission", {"scope": "bots:read"}, "es"),
        ("several permissions", {"scope": "admin bots:read bots:write"}, "es"),
        ("narrowed to no permission", {"scope": ""}, "es"),
        ("a binding", {"bindings": {"project": ["p1"]}}, "es"),
        ("bindings in every dimension", {"bindings": {"bot": ["b1", "b2"], "integration": ["i:1"], "project": [], "workspace": ["w@x"]}}, "es"),
        ("a domain", {"domains": ["example.com"]}, "es"),
        ("several domains", {"domains": ["*.example.com", "[::1]", "localhost"]}, "es"),
        ("narrowed to no domain", {"domains": []}, "es"),
        ("an actor", {"act": {"sub": "usr_01hzy0000000000000000000bb"}}, "es"),
        ("a chain of actors", {"act": {"sub": "usr_01hzy0000000000000000000bb", "act": {"sub": "usr_01hzy0000000000000000000cc"}}}, "es"),
        ("no route at all", {"allowedRoutes": []}, "es"),
        ("every route", {"allowedRoutes": ["**"]}, "es"),
        ("routes with methods and wildcards", {"allowedRoutes": ["**/list", "GET,HEAD bot/**", "POST bot/*/session/create", "caf\u00e9/*"]}, "es"),
        ("64 routes", {"allowedRoutes": sorted(f"bot/b{i:02}" for i in range(64))}, "es"),
        ("several tags", {"lin": "AAAAAAAAAAEAAAAAAAAAAgAAAAAAAAAD"}, "es"),
        ("the first position", {"rev": "AAAAAAAAAAA.0"}, "es"),
        ("the last position", {"rev": "AAAAAAAAAAA.9223372036854775807"}, "es"),
        ("data of the caller", {"data": {"10": "ten", "9": 1.5, "cart": [1, 2.0, None, True, {"a": {"a": -1}}], "text": "\u00e9 \U0001f511 \\ \" /"}}, "es"),
        ("empty data", {"data": {}}, "es"),
        ("data nested as deeply as a payload may be", {"data": {"deep": deep}}, "es"),
        ("a second before its end", {"iat": NOW - 899, "nbf": NOW - 899, "exp": NOW + 1}, "es"),
        ("valid from now on", {"nbf": NOW}, "es"),
        ("issued by a clock that is a minute ahead", {"iat": NOW + 60, "nbf": NOW, "exp": NOW + 960}, "es"),
        ("a whole day long", {"iat": NOW, "nbf": NOW, "exp": NOW + 86_400}, "es"),
        ("a second long", {"iat": NOW, "nbf": NOW, "exp": NOW + 1}, "es"),
    ]
    for name, changes, key in tokens:
        payload = claims(**changes)
        yield {"name": name, "token": sign(payload, key), "payload": payload}
    order = f'{{"kid":"{KEYS["es"].kid}","typ":"at+jwt","alg":"ES256"}}'
    yield {"name": "header in another order", "token": sign(claims(), "es", header=order), "payload": claims()}
    spaced = f'{{\n  "alg" : "ES256" ,\t"kid":"{KEYS["es"].kid}", "typ":"at\\u002bjwt"\r\n}} '
    yield {"name": "header with white space and an escape", "token": sign(claims(), "es", header=spaced), "payload": claims()}
    spaced = json.dumps(claims(), indent=2)
    yield {"name": "payload with white space", "token": sign(spaced, "es"), "payload": claims()}


def bad():
    """Tokens that must be refused, each with the code of the refusal."""
    names = set()
    for about, vectors in attacks.GROUPS:
        for vector in vectors():
            name = f"{about}: {vector.pop('name')}"
            assert name not in names, name
            names.add(name)
            yield {"name": name, **vector}


def document(kind, vectors):
    lines = ",\n".join("  " + json.dumps(vector, ensure_ascii=True) for vector in vectors)
    head = {"issuer": ISSUER, "audience": AUDIENCE, "now": NOW}
    head = "".join(f" {json.dumps(name)}: {json.dumps(value)},\n" for name, value in head.items())
    return f'{{\n{head} "{kind}": [\n{lines}\n ]\n}}\n'


def main():
    files = {
        "good.json": document("tokens", good()),
        "bad.json": document("tokens", bad()),
        "feed.json": document("scenarios", feeds.scenarios()),
        "jwks.json": json.dumps({"keys": [KEYS[name].jwk() for name in ("es", "ed", "rs")]}, indent=1) + "\n",
        "keys.json": json.dumps(PRIVATE, indent=1) + "\n",
    }
    for name, text in files.items():
        path = HERE / name
        if "--check" in sys.argv:
            if not path.exists() or path.read_text() != text:
                sys.exit(f"{name} is not what make.py writes")
        else:
            path.write_text(text)
    count = len(json.loads(files["bad.json"])["tokens"])
    scenarios = len(json.loads(files["feed.json"])["scenarios"])
    print(f"{len(json.loads(files['good.json'])['tokens'])} good, {count} bad, {scenarios} of the feed")


if __name__ == "__main__":
    main()
