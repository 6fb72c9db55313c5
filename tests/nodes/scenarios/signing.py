"""Signing keys on many nodes: rotation under load, seen by a verifier that is not ours."""

import threading
import time

import jwt

from harness.cluster import Cluster
from harness.host import check, now, wait_until
from harness.node import ISSUER
from harness.objects import make_session
from harness.scenario import scenario
from harness.wire import Client


class Verifier:
    """PyJWT with the published keys of any node. It asks for them again when it meets a `kid` that it
    does not have, once, at a node that it takes in turn: that node has to publish the key then."""

    def __init__(self, ports):
        self.ports = ports
        self.turn = 0
        self.keys = {}

    def fetch(self):
        self.turn += 1
        client = Client(self.ports[self.turn % len(self.ports)])
        published = jwt.PyJWKSet.from_dict(client.get("/.well-known/jwks.json").json())
        client.close()
        self.keys = {key.key_id: key for key in published.keys}

    def verify(self, token):
        kid = jwt.get_unverified_header(token)["kid"]
        if kid not in self.keys:
            self.fetch()
        check(kid in self.keys, f"no node that was asked publishes {kid}, which has signed")
        claims = jwt.decode(token, self.keys[kid], algorithms=["ES256"], audience=f"{ISSUER}/api", issuer=ISSUER)
        return kid, claims


@scenario("signing keys rotate every second on three nodes under load: a verifier of others meets no unknown key")
def rotation(context):
    cluster = Cluster(context.place, context.postgres)
    operator = cluster.operator_key()
    ports = [node.port for node in cluster.nodes]
    over = threading.Event()
    failures, seen, verified = [], set(), [0]

    def work(index):
        clients = [Client(port) for port in ports]
        verifier = Verifier(ports)
        kept = []
        step = index
        while not over.is_set():
            step += 1
            try:
                answer, made = make_session(clients[step % 3], cluster.key)
                check(made, f"nothing was minted: {answer.status} {answer.body[:200]!r}")
                kid, _ = verifier.verify(made.credential)
                seen.add(kid)
                verified[0] += 1
                kept.append(made.credential)
                # An old token goes on being good.
                old = kept[step * 7 % len(kept)]
                verifier.verify(old)
                use = clients[(step + 1) % 3].gate(old)
                check(use.status == 200, f"a token of before is refused: {use.status} {use.headers.get('X-Auth-Reason')}")
            except Exception as error:
                failures.append(repr(error))
            time.sleep(0.002)

    workers = [threading.Thread(target=work, args=(index,), daemon=True) for index in range(2)]
    for worker in workers:
        worker.start()
    rotations = context.times(12, 120)
    for turn in range(rotations):
        began = now()
        # The next key has been published since the last rotation, a second ago. The lead of six
        # seconds that the settings ask for at least is taken off, so that all depends on the nodes.
        context.postgres.sql("UPDATE signing_key SET created_at = created_at - 10000 WHERE state = 'next'", cluster.database)
        rotated = Client(ports[turn % 3]).post("signing-key/rotate", operator, {"environment": "live"})
        check(rotated.status == 200, f"rotation {turn}: {rotated.status} {rotated.body[:200]!r}")
        time.sleep(max(0, 1.0 - (now() - began)))
    over.set()
    for worker in workers:
        worker.join(30)
    check(not failures, f"{len(failures)} failures: {failures[:3]}")
    check(len(seen) >= rotations, f"only {len(seen)} keys were seen in {rotations} rotations")
    context.say(f"{rotations} rotations, {len(seen)} keys seen, {verified[0]} tokens verified by PyJWT, 0 failures")


@scenario("a node that slept through a rotation does not sign with the retired key")
def asleep(context):
    cluster = Cluster(context.place, context.postgres, count=2, balanced=False)
    awake, sleeper = cluster.nodes
    operator = cluster.operator_key()
    for _ in range(context.times(3, 30)):
        clients = [sleeper.client() for _ in range(3)]
        for client in clients:
            _, made = make_session(client, cluster.key)
        retired = jwt.get_unverified_header(made.credential)["kid"]
        sleeper.freeze()
        context.postgres.sql("UPDATE signing_key SET created_at = created_at - 10000 WHERE state = 'next'", cluster.database)
        rotated = awake.client().post("signing-key/rotate", operator, {"environment": "live"})
        check(rotated.status == 200, f"{rotated.status} {rotated.body[:200]!r}")
        time.sleep(1.2)
        minted = []
        askers = [threading.Thread(target=lambda client=client: minted.append(make_session(client, cluster.key)), daemon=True) for client in clients]
        for asker in askers:
            asker.start()
        time.sleep(0.1)
        sleeper.thaw()
        for asker in askers:
            asker.join(20)
        check(len(minted) == len(clients), "a request that waited for the end of the sleep has no answer")
        for answer, made in minted:
            if made is None:
                check(answer.status == 503, f"{answer.status}")
                continue
            kid = jwt.get_unverified_header(made.credential)["kid"]
            check(kid != retired, "it signed with a key that was retired while it slept")
    wait_until("it is ready", sleeper.is_ready)
