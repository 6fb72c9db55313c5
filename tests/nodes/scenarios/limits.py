"""What nodes count for themselves, and what they write together."""

import secrets
import string
import time
import zlib

from harness.cluster import SETTINGS, Cluster
from harness.host import check, wait_until
from harness.scenario import scenario

REQUESTS = 5
BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase


def unknown_key():
    """A key in the right form, checksum and all, that nobody made."""
    text = "sk_live_" + "".join(secrets.choice(BASE62) for _ in range(43))
    number, checksum = zlib.crc32(text.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        checksum = BASE62[digit] + checksum
    return text + checksum


@scenario("rate limits are kept by each node: three nodes let through three times as much, and not more")
def rates(context):
    settings = SETTINGS.replace("requests = 1000000, per_seconds = 1 ", f"requests = {REQUESTS}, per_seconds = 600 ")
    cluster = Cluster(context.place, context.postgres, settings=settings, balanced=False)
    limit = {"unrestricted": True, "config": {"rateLimit": {"requests": REQUESTS, "perSeconds": 600}}}
    made = cluster.nodes[0].client().must("token/create", cluster.key, {"name": "limited", **limit})
    clients = [node.client() for node in cluster.nodes]
    allowed = [sum(client.gate(made["token"]).status == 200 for _ in range(3 * REQUESTS)) for client in clients]
    check(allowed == [REQUESTS] * 3, f"allowed at each node: {allowed}")
    told = []
    for client in clients:
        answers = [client.get("/v1/token/self/fetch", unknown_key()).status for _ in range(2 * REQUESTS)]
        check(set(answers) == {401, 429}, f"answers to guesses: {answers}")
        told.append(answers.count(401))
    check(told == [REQUESTS] * 3, f"guesses that were answered at each node: {told}")
    context.say(f"a limit of {REQUESTS}: {allowed} requests and {told} guesses at the three nodes")


@scenario("last use is told by every node, the latest of all uses, and never goes back")
def last_used(context):
    cluster = Cluster(context.place, context.postgres, balanced=False)
    made = cluster.nodes[0].client().must("token/create", cluster.key, {"name": "seen", "unrestricted": True})
    path = f"/v1/token/{made['id']}/fetch"

    def shown(node):
        return node.client().get(path, cluster.key).json().get("lastUsedAt") or 0

    for node in (cluster.nodes[1], cluster.nodes[2], cluster.nodes[0]):
        before = int(time.time() * 1000)
        check(node.client().gate(made["token"]).status == 200, "it is not allowed")
    took = wait_until("the last use is written", lambda: shown(cluster.nodes[1]) >= before - 1, 20)
    latest = shown(cluster.nodes[2])
    # The others write their batches, of uses before that.
    time.sleep(context.times(5, 12))
    check(all(shown(node) == latest for node in cluster.nodes), "the last use went back, or differs")
    context.say(f"told by all nodes {took:.1f} s after the use")
