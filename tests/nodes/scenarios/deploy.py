"""The compose file of examples/deploy, played by processes in place of containers."""

import base64
import json
import re
import signal
import time

from harness.balancer import Balancer
from harness.cluster import Cluster
from harness.history import Recorder, no_contradiction
from harness.host import ROOT, check, wait_until
from harness.load import Load
from harness.scenario import scenario

DEPLOY = ROOT / "examples/deploy"
BALANCER = "172.28.0.10/32"


def shipped_settings():
    """hallpass.toml as it is, but for the address of the balancer, which is this machine's here, and the
    limit on guesses: what is ended here is used again on purpose."""
    text = (DEPLOY / "hallpass.toml").read_text()
    check(text.count(BALANCER) == 1, f"hallpass.toml does not trust {BALANCER}")
    text = text.replace("[limits]\n", "[limits]\nfailed_authentications = { requests = 1000000, per_seconds = 1 }\n")
    return text.replace(BALANCER, "127.0.0.1/32")


def shipped_variables(url, master_key):
    """hallpass.env, made from its example as its comments say."""
    lines = (DEPLOY / "hallpass.env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    check(set(given) == {"HALLPASS_MASTER_KEY", "HALLPASS_DATABASE_URL"}, f"hallpass.env has {set(given)}")
    user, database = re.search(r"//(\w+):PASSWORD@postgres/(\w+)$", given["HALLPASS_DATABASE_URL"]).groups()
    check(f"//{user}:" in url and url.endswith(f"/{database}"), f"it is for {user} and {database}")
    return {"HALLPASS_MASTER_KEY": master_key, "HALLPASS_DATABASE_URL": url}


class Shipped(Cluster):
    """Three nodes that have what the files give them, and nothing else but ports."""

    def __init__(self, context):
        database = context.postgres.create("hallpass")
        super().__init__(context.place, context.postgres, settings=shipped_settings(), balanced=False, database=database, prepare=self.prepare)
        self.balancer = Balancer(context.place, self.nodes).start()

    def prepare(self, node):
        own = {name: value for name, value in node.environment.items() if not name.startswith("HALLPASS_") or name == "HALLPASS_LISTEN"}
        node.environment = own | shipped_variables(node.environment["HALLPASS_DATABASE_URL"], self.master_key)


def claims_of(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


@scenario("the files of examples/deploy: three nodes with their settings behind their HAProxy, and one leaves under load")
def shipped(context):
    cluster = Shipped(context)
    front = cluster.front()
    minted = front.must("session/create", cluster.key, {"allowedRoutes": ["bot/**"]})
    claims = claims_of(minted["token"])
    told = (claims["iss"], claims["aud"])
    check(told == ("https://hallpass.example.com", "https://api.example.com"), f"issuer and audience are {told}")
    check(front.get("/metrics").status == 404, "metrics are shown to everybody")
    # The balancer tells who asks; what the client tells of itself is nothing.
    for network, forged, wanted in (
        ("127.0.0.1/32", "203.0.113.9", 200),
        ("203.0.113.9/32", "203.0.113.9", 403),
    ):
        key = front.must("token/create", cluster.key, {"unrestricted": True, "config": {"cidrs": [network]}})
        answer = front.ask("GET", "/v1/token/self/fetch", key["token"], headers={"X-Forwarded-For": forged})
        check(answer.status == wanted, f"a key for {network} from elsewhere: {answer.status} {answer.body[:120]!r}")
    use = front.gate(minted["token"], "/v1/bot/b1/fetch")
    check(use.status == 200, f"a session is refused at the gate: {use.status} {use.headers.get('X-Auth-Reason')} {use.body}")
    recorder = Recorder()
    with Load(cluster, recorder, workers=2) as load:
        time.sleep(0.5)
        leaving = cluster.nodes[0]
        leaving.send(signal.SIGTERM)
        took = wait_until("the node has ended", lambda: not leaving.is_running(), 45)
        check(leaving.process.returncode == 0, f"it ended with {leaving.process.returncode}")
        leaving.process = None
        leaving.start()
        wait_until("the balancer uses it again", lambda: cluster.balancer.is_up(leaving.name), 10)
        time.sleep(0.5)
    load.none_failed()
    no_contradiction(recorder)
    context.say(f"{load.calls} calls, 0 failed; a node took {took:.1f} s to leave")
