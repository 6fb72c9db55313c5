"""Nodes come and go: the first start, and the end."""

import secrets
import time

from harness.cluster import SETTINGS, Cluster
from harness.history import Recorder, no_contradiction
from harness.host import check, wait_until
from harness.load import Load
from harness.node import Node, new_master_key
from harness.objects import make_session
from harness.scenario import scenario


@scenario("nodes that start at once on an empty database: one set of keys, one operator, one first key")
def first_start(context):
    for _ in range(context.times(2, 20)):
        name = context.postgres.create(f"d{secrets.token_hex(4)}")
        master = new_master_key()
        nodes = [Node(context.place, f"first-{index}", context.postgres.url(name), master, SETTINGS) for index in range(3)]
        for node in nodes:
            node.start(wait=False)
        for node in nodes:
            node.wait_ready()
        keys = [node.first_key() for node in nodes]
        check(sum(key is not None for key in keys) == 1, f"first keys were printed by {[key is not None for key in keys]}")
        counts = context.postgres.sql(
            "SELECT (SELECT count(*) FROM account), (SELECT count(*) FROM api_key), (SELECT count(*) FROM instance),"
            " (SELECT count(*) FROM change_head), (SELECT string_agg(environment || ' ' || state, ', ' ORDER BY 1)"
            " FROM (SELECT environment, state FROM signing_key ORDER BY environment, state) AS keys)",
            name,
        )[0]
        check(counts[:4] == ["1"] * 4, f"accounts, keys, instances, heads: {counts}")
        check(counts[4] == "live active, live next, test active, test next", counts[4])
        sets = {node.client().get("/.well-known/jwks.json").body for node in nodes}
        check(len(sets) == 1, "they publish different keys")
        key = next(key for key in keys if key)
        for node in nodes:
            _, made = make_session(node.client(), key)
            for other in nodes:
                check(other.client().gate(made.credential).status == 200, "a token of one is nothing to another")
        for node in nodes:
            check(node.stop() == 0, "a node did not end well")


@scenario("a node leaves under load: not ready first, then drained; not one request fails")
def leaves(context):
    cluster = Cluster(context.place, context.postgres)
    recorder = Recorder()
    with Load(cluster, recorder, workers=3) as load:
        for node in cluster.nodes[: context.times(2, 3)]:
            time.sleep(0.5)
            node.send(15)
            wait_until("it says that it is not ready", lambda: not node.is_ready(), 5)
            use = node.client().gate(cluster.key)
            check(use.status == 200, f"it serves no more before its port is closed: {use.status}")
            node.process.wait(60)
            check(node.process.returncode == 0, f"it ended with {node.process.returncode}")
            node.process = None
            node.start()
            time.sleep(1.2)
    load.none_failed()
    no_contradiction(recorder)
    context.say(f"{load.calls} calls, 0 failed")
