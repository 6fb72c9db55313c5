"""The examples in this folder against the data that all verifiers share."""

import json
import sys
from pathlib import Path

from feed import Feed
from jws import Refused, read_keys
from routes import allows, read_path
from tokens import verify_token

HERE = Path(__file__).parent
VECTORS = HERE.parent.parent.parent / "tests/vectors/tokens"
failed = False


def read(path):
    return json.loads(path.read_text())


def report(what, wrong):
    global failed
    print(*wrong[:20], sep="\n", end="\n" if wrong else "")
    print(f"{'FAIL' if wrong else 'ok  '} verify, python: {what}")
    failed |= bool(wrong)


def text(vector):
    """Large tokens are built of repeated texts."""
    pieces = vector.get("pieces", [vector.get("token")])
    return "".join(piece if isinstance(piece, str) else piece["repeat"] * piece["times"] for piece in pieces)


KEYS = read_keys(read(VECTORS / "jwks.json"))


def outcome(document, vector):
    try:
        return verify_token(text(vector), document["issuer"], document["audience"], KEYS.get, document["now"])[0]
    except Refused as refused:
        return str(refused)


good = read(VECTORS / "good.json")
wrong = [f"{vector['name']}: {got}" for vector in good["tokens"] if (got := outcome(good, vector)) != vector["payload"]]
report(f"{len(good['tokens'])} good tokens are accepted", wrong)

bad = read(VECTORS / "bad.json")
wrong = []
for vector in bad["tokens"]:
    wanted = " ".join(filter(None, (vector["code"], vector.get("claim"), vector.get("reason"))))
    if (got := outcome(bad, vector)) != wanted:
        wrong.append(f"{vector['name']}: {got}, not {wanted}")
report(f"{len(bad['tokens'])} bad tokens are refused, each with its code", wrong)

wrong = []
for row in read(HERE.parent / "routes.json"):
    method = row.get("method", "GET")
    for targets, wanted in ((row["yes"], True), (row["no"], False)):
        for target in targets:
            segments = read_path(target)
            if (segments is not None and allows([row["pattern"]], method, segments)) != wanted:
                wrong.append(f"{row['pattern']}: {method} {target}")
if allows([], "GET", ["bot"]) or allows(["**/a/**/a/**/a/b"], "GET", ["a"] * 64):
    wrong.append("too much is allowed")
report("routes.json", wrong)

document = read(VECTORS / "feed.json")
wrong = []
for scenario in document["scenarios"]:
    feed = Feed(document["issuer"], KEYS.get)
    for step in scenario["steps"]:
        answer = text({"pieces": step.get("pieces", [step.get("answer")])}).encode()
        try:
            got = feed.take(answer, {"since": step["since"], "nonce": step["nonce"], "at": feed.now()})
        except Refused as refused:
            got = str(refused)
        if got != step.get("code", step.get("more")):
            wrong.append(f"{scenario['name']}: {got}, not {step.get('code', step.get('more'))}")
    for token in scenario["tokens"]:
        if (got := feed.dead(token, token["kid"])) != token["dead"]:
            wrong.append(f"{scenario['name']}: {token['rev']} is {got}, not {token['dead']}")
report(f"{len(document['scenarios'])} answers of the feed are judged alike", wrong)
sys.exit(failed)
