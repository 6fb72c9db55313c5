"""Answers of the revocation feed (docs/feed.md): played to a verifier one after the other, good ones and bad ones."""

import json

from tools import ISSUER, KEYS, NOW, b64, claims, compact, header, sign

TYP = "hallpass-revocations+jwt"
LOG, OTHER = "AAAAAAAAAAA", "AAAAAAAAAAE"
NONCE = "nonce-of-this-request"
POSITION = NOW * 1_000_000
TAG = (1).to_bytes(8, "big")  # that of the plain token of the corpus


def record(tag, position):
    return tag + position.to_bytes(8, "big", signed=True)


def members(records=(), **changes):
    told = {
        "issuer": ISSUER,
        "log": LOG,
        "since": None,
        "entries": b64(b"".join(record(*entry) for entry in records)),
        "more": False,
        "confirmed": POSITION,
        "floor": 0,
        "revokedKeys": [],
        "nonce": NONCE,
    }
    told.update(changes)
    if "next" not in told:
        last = records[-1] if records and told["more"] else None
        told["next"] = f"{told['log']}.{last[1]}.{b64(last[0])}" if last else f"{told['log']}.{told['confirmed']}"
    return {name: value for name, value in told.items() if value is not ...}


def document(told, key="es", **head):
    return sign(told, key, header(key, **{"typ": TYP, **head}))


def answer(jws):
    return json.dumps({"document": jws})


def step(told=None, *, since=None, nonce=NONCE, code=None, text=None, more=False, key="es", **head):
    """One request and its answer, and what becomes of it: a code, or whether there is more."""
    text = text if text is not None else answer(document(told, key, **head))
    expected = {"code": code} if code else {"more": more}
    asked = {"since": since, "nonce": nonce}
    return {**asked, **({"answer": text} if isinstance(text, str) else {"pieces": text}), **expected}


def token(dead, **changes):
    """A question about a token: why it is dead, or null."""
    read = {"kid": KEYS["es"].kid, **{name: claims()[name] for name in ("lin", "rev")}, **changes}
    return {**read, "dead": dead}


ALIVE = token(None)
ENDED = token("token_ended")
UNKNOWN = token("revocation_unknown")


def follow(name, steps, *questions):
    return {"name": name, "steps": steps, "tokens": list(questions)}


def good():
    at = lambda position: {"rev": f"{LOG}.{position}"}
    after = (TAG, POSITION + 1)
    ended = step(members([after], confirmed=POSITION + 5))
    yield follow("nothing is known before the first answer", [], UNKNOWN)
    yield follow("nothing is ended", [step(members())], ALIVE)
    yield follow("a tag is ended after the token was minted", [ended], ENDED, token(None, lin="AAAAAAAAAAI"))
    yield follow("a tag was ended before, or at, its position", [ended], token(None, **at(POSITION + 1)), token(None, **at(POSITION + 2)), ENDED)
    yield follow("any of its tags", [ended], token("token_ended", lin="AAAAAAAAAAIAAAAAAAAAAQ"), token("token_ended", lin="AAAAAAAAAAEAAAAAAAAAAg"))
    yield follow("a token of another log", [step(members())], token("token_ended", rev=f"{OTHER}.{POSITION}"))
    yield follow("a token from before the floor", [step(members(floor=POSITION + 1, confirmed=POSITION + 5))], ENDED, token(None, **at(POSITION + 1)))
    yield follow("a token of a revoked key", [step(members(revokedKeys=[KEYS["rs"].kid]))], token("key_revoked", kid=KEYS["rs"].kid, **at(POSITION * 2)), ALIVE)
    yield follow(
        "a page and the rest",
        [
            step(members([after], more=True, confirmed=POSITION + 1), more=True),
            step(members([(TAG, POSITION + 3)], since=f"{LOG}.{POSITION + 1}.{b64(TAG)}", confirmed=POSITION + 5), since=f"{LOG}.{POSITION + 1}.{b64(TAG)}"),
        ],
        ENDED,
    )
    page = step(members([after], more=True, confirmed=POSITION + 1), more=True)
    yield follow("a page alone makes nothing fresh, but what it ends is dead", [page], ENDED, token("revocation_unknown", lin="AAAAAAAAAAI"))
    cursor = f"{LOG}.{POSITION}"
    yield follow(
        "an increment", [step(members()), step(members([after], since=cursor, confirmed=POSITION + 5), since=cursor)], ENDED
    )
    yield follow("nothing new", [step(members()), step(members(since=cursor, confirmed=POSITION), since=cursor)], ALIVE)
    yield follow("an older entry undoes nothing", [ended, step(members([(TAG, POSITION - 5)]), since=None, code="feed_position")], UNKNOWN)
    other = members(log=OTHER, confirmed=3)
    yield follow(
        "another log makes all new",
        [ended, step(other, since=f"{LOG}.{POSITION + 5}")],
        ENDED, token(None, rev=f"{OTHER}.2"),
    )
    page = members([(TAG, 2)], log=OTHER, more=True, confirmed=2)
    yield follow(
        "another log knows nothing before its end",
        [ended, step(page, since=f"{LOG}.{POSITION + 5}", more=True)],
        UNKNOWN, token("token_ended", rev=f"{OTHER}.1"), token("revocation_unknown", rev=f"{OTHER}.2"),
    )
    yield follow(
        "a revoked key stays revoked in another log",
        [step(members(revokedKeys=[KEYS["rs"].kid])), step(other, since=f"{LOG}.{POSITION}")],
        token("key_revoked", kid=KEYS["rs"].kid, rev=f"{OTHER}.2"),
    )
    yield follow(
        "the floor does not fall",
        [step(members(floor=POSITION + 1, confirmed=POSITION + 5)), step(members(since=f"{LOG}.{POSITION + 5}", confirmed=POSITION + 6), since=f"{LOG}.{POSITION + 5}")],
        ENDED,
    )
    rewound = step(members(since=f"{LOG}.{POSITION + 5}", confirmed=POSITION, next=f"{LOG}.{POSITION}"), since=f"{LOG}.{POSITION + 5}", code="feed_position")
    yield follow("a log that fell back is not believed", [ended, rewound], UNKNOWN, token("revocation_unknown", **at(POSITION + 9)))
    again = step(members(since=f"{LOG}.{POSITION + 5}", confirmed=POSITION + 9), since=f"{LOG}.{POSITION + 5}")
    yield follow("nor when it comes forward again", [ended, rewound, again], token("revocation_unknown", **at(POSITION + 9)))
    yield follow("but under another id", [ended, rewound, step(other, since=f"{LOG}.{POSITION + 5}")], token(None, rev=f"{OTHER}.2"))
    for key in ("ed", "rs"):
        yield follow(f"signed with {KEYS[key].alg}", [step(members(), key=key)], ALIVE)


def bad():
    def lone(name, code, told=None, **rest):
        return follow(name, [step(told if told is not None else members(), code=code, **rest)], UNKNOWN)

    right = document(members())
    head, body, signature = right.split(".")
    yield lone("of another issuer", "feed_issuer", members(issuer="https://evil.example"))
    yield lone("of another environment", "feed_issuer", members(issuer=f"{ISSUER}/test"))
    yield lone("of an issuer with a slash", "feed_issuer", members(issuer=f"{ISSUER}/"))
    yield lone("replayed, with the nonce of another request", "feed_nonce", members(nonce="nonce-of-another-one"))
    yield lone("replayed, a cached snapshot without nonce", "feed_nonce", members(nonce=None))
    yield lone("without heartbeat", "feed_payload", members(nonce=...))
    yield lone("without what is confirmed", "feed_payload", members(confirmed=..., next=f"{LOG}.1"))
    for name in ("issuer", "log", "since", "entries", "next", "more", "floor", "revokedKeys"):
        told = members()
        del told[name]
        yield lone(f"without {name}", "feed_payload", told)
        yield lone(f"{name} a number with a fraction", "feed_payload", {**members(), name: 1.5})
    yield lone("with a member that is not known", "feed_payload", members(exp=NOW + 900))
    yield lone("confirmed as a text", "feed_payload", members(confirmed=str(POSITION)))
    yield lone("confirmed negative", "feed_payload", members(confirmed=-1))
    yield lone("floor negative", "feed_payload", members(floor=-1))
    yield lone("confirmed with an exponent", "feed_payload", compact(members()).replace(f'"confirmed":{POSITION}', '"confirmed":1e15'))
    yield lone("a member twice", "feed_payload", compact(members())[:-1] + ',"floor":0}')
    yield lone("a revoked key that is no text", "feed_payload", members(revokedKeys=[1]))
    yield lone("a log id that is too short", "feed_payload", members(log="AAAA"))
    yield lone("an array", "feed_payload", "[]")
    yield lone("no JSON", "feed_payload", "x")
    yield lone("a payload that is a token's", "feed_payload", claims())
    for typ in ("at+jwt", "JWT", "application/hallpass-revocations+jwt", "HALLPASS-REVOCATIONS+JWT", ""):
        yield lone(f"typ {typ!r}", "feed_type", typ=typ)
    yield lone("a session token", "feed_type", text=answer(sign(claims())))
    yield lone("without kid", "feed_malformed", kid=...)
    yield lone("with crit", "feed_malformed", crit=["exp"])
    yield lone("with a key of its own", "feed_malformed", jwk=KEYS["stranger es"].jwk())
    yield lone("alg none", "feed_malformed", text=answer(f"{b64(compact(header('es', typ=TYP, alg='none')))}.{body}.{signature}"))
    yield lone("HS256", "feed_malformed", alg="HS256")
    yield lone("without a signature", "feed_malformed", text=answer(f"{head}.{body}."))
    yield lone("of two parts", "feed_malformed", text=answer(f"{head}.{body}"))
    yield lone("padded", "feed_malformed", text=answer(right + "=="))
    yield lone("of a stranger's key", "feed_key_unknown", key="stranger es")
    yield lone("signed by a stranger under our kid", "feed_signature", text=answer(sign(members(), "stranger es", header("es", typ=TYP))))
    yield lone("of the algorithm of another key", "feed_signature", text=answer(sign(members(), "ed", header("es", typ=TYP, alg="EdDSA"))))
    yield lone("changed", "feed_signature", text=answer(f"{head}.{b64(compact(members(floor=1)))}.{signature}"))
    yield lone("signed by a key that it revokes", "feed_key_revoked", members(revokedKeys=[KEYS["es"].kid]))
    yield follow(
        "signed by a key that was revoked before",
        [step(members(revokedKeys=[KEYS["rs"].kid])), step(members(since=f"{LOG}.{POSITION}"), since=f"{LOG}.{POSITION}", key="rs", code="feed_key_revoked")],
        ALIVE,
    )
    for name, text in [
        ("nothing", ""),
        ("no JSON", "x"),
        ("the document alone", right),
        ("a text", json.dumps(right)),
        ("an array", json.dumps([right])),
        ("another member", json.dumps({"document": right, "x": 1})),
        ("document twice", f'{{"document":"{right}","document":"{right}"}}'),
        ("document null", '{"document":null}'),
        ("an error", '{"message":"x","code":"SERVICE_UNAVAILABLE"}'),
    ]:
        yield lone(f"the answer is {name}", "feed_malformed", text=text)
    yield lone("too large", "feed_too_long", text=[{"repeat": " ", "times": 1_100_000}, answer(right)])
    yield lone("a document that is too large", "feed_too_long", text=['{"document":"', {"repeat": "A", "times": 1_048_577}, '"}'])

    # Gaps and order.
    cursor = f"{LOG}.{POSITION}"
    first = step(members())
    later = POSITION + 5
    yield follow("from the beginning, when an increment was asked", [first, step(members(confirmed=later), since=cursor, code="feed_gap")], ALIVE)
    yield follow("from a later place than was asked", [first, step(members(since=f"{LOG}.{POSITION + 1}", confirmed=later), since=cursor, code="feed_gap")], ALIVE)
    yield follow("an increment, when the beginning was asked", [step(members(since=cursor, confirmed=later), code="feed_gap")], UNKNOWN)
    yield follow("an increment in another log", [first, step(members(since=cursor, log=OTHER, confirmed=later), since=cursor, code="feed_entries")], ALIVE)
    other_tag = (2).to_bytes(8, "big")
    for name, entries, changes in [
        ("entries out of order", [(TAG, POSITION + 2), (other_tag, POSITION + 1)], {}),
        ("tags out of order", [(other_tag, POSITION + 1), (TAG, POSITION + 1)], {}),
        ("an entry twice", [(TAG, POSITION + 1), (TAG, POSITION + 1)], {}),
        ("an entry above what is confirmed", [(TAG, later + 1)], {}),
        ("a next that is not what is confirmed", [(TAG, POSITION + 1)], {"next": f"{LOG}.{POSITION + 1}"}),
        ("a next of another log", [(TAG, POSITION + 1)], {"next": f"{OTHER}.{later}"}),
        ("more behind nothing", [], {"more": True}),
        ("more, with a next that is not the last", [(TAG, POSITION + 1)], {"more": True, "confirmed": POSITION + 1, "next": f"{LOG}.{POSITION + 1}"}),
        ("more, with more confirmed than the last", [(TAG, POSITION + 1)], {"more": True}),
    ]:
        yield lone(name, "feed_entries", members(entries, **{"confirmed": later, **changes}))
    text = b64(record(TAG, POSITION + 1))
    for name, entries in [
        ("entries that are no records", b64(bytes(15))),
        ("entries with padding", text + "=="),
        ("entries with a line break", f"{text[:8]}\n{text[8:]}"),
        ("an entry at a negative position", b64(record(TAG, -1))),
    ]:
        yield lone(name, "feed_payload", members(confirmed=later, entries=entries))
    behind = step(members([(TAG, POSITION)], since=cursor, confirmed=later), since=cursor, code="feed_entries")
    yield follow("an entry that is not behind the cursor", [first, behind], ALIVE)
    tagged = f"{LOG}.{POSITION + 1}.{b64(other_tag)}"
    page = step(members([(other_tag, POSITION + 1)], more=True, confirmed=POSITION + 1), more=True)
    again = step(members([(TAG, POSITION + 1)], since=tagged, confirmed=later), since=tagged, code="feed_entries")
    yield follow("an entry that is not behind the cursor's tag", [page, again], UNKNOWN)


def scenarios():
    yield from good()
    yield from bad()
