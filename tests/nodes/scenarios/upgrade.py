"""A rolling upgrade from the first schema, under load."""

import hashlib
import os
import secrets
import subprocess
import threading
import time

from harness.balancer import Balancer
from harness.cluster import SETTINGS, Cluster
from harness.history import BOUND, Recorder, no_contradiction
from harness.host import ROOT, Failure, check, wait_until
from harness.load import Load
from harness.node import Node, new_master_key
from harness.scenario import scenario
from harness.wire import Client

FIRST = ROOT / "migrations/postgres/0001_first.sql"
# The last state of the source with the first schema alone.
FIRST_COMMIT = "fc449da"
# With ES256 it made two kinds of signature, and nodes since then take one of them alone: half of its
# tokens would be nothing to them. See "Security" in CHANGELOG.md.
ALGORITHM = "algorithm = 'EdDSA'\n"
FIRST_SETTINGS = ALGORITHM + """\
jwks_max_age_secs = 1
[limits]
database_connections_max = 10
failed_authentications = { requests = 1000000, per_seconds = 1 }
"""


def with_first_schema(postgres, source):
    """A new database with the schema of the first migration, and in it what another one has of it."""
    name = postgres.create(f"d{secrets.token_hex(4)}")
    text = FIRST.read_text()
    postgres.sql(text, name)
    checksum = hashlib.sha384(FIRST.read_bytes()).hexdigest()
    postgres.sql(
        "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,"
        " installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL,"
        " execution_time BIGINT NOT NULL);"
        f" INSERT INTO _sqlx_migrations VALUES (1, 'first', now(), true, decode('{checksum}', 'hex'), 0)",
        name,
    )
    tables = ["instance", "change_head", "change_log", "account", "api_key", "api_key_secret", "session", "audit", "signing_key"]
    for table in tables:
        columns = postgres.one(
            "SELECT string_agg(column_name, ', ' ORDER BY ordinal_position) FROM information_schema.columns"
            f" WHERE table_name = '{table}' AND is_generated = 'NEVER'",
            name,
        )
        psql = [str(postgres.tools / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d"]
        taken = subprocess.run(
            [*psql, postgres.url(source), "-c", f"COPY (SELECT {columns} FROM {table}) TO STDOUT"], capture_output=True, check=True, timeout=60
        )
        subprocess.run([*psql, postgres.url(name), "-c", f"COPY {table} ({columns}) FROM STDIN"], input=taken.stdout, check=True, timeout=60)
    return name


class OldNode(threading.Thread):
    """What a node of the first version does to the log: it moves it, and says nothing of what it touched."""

    def __init__(self, postgres, database):
        super().__init__(daemon=True)
        self.postgres, self.database = postgres, database
        self.over = threading.Event()
        self.moves = 0

    def run(self):
        while not self.over.is_set():
            self.postgres.sql(
                "UPDATE change_head SET position = greatest(position + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint)"
                " WHERE id = 1",
                self.database,
            )
            self.moves += 1
            time.sleep(0.05)

    def stop(self):
        self.over.set()
        self.join(10)


@scenario("new nodes start on a database of the first schema while it is changed as an old node changes it, under load")
def from_first_schema(context):
    """There is no old program here, only its schema, rows and statement; the long form has one."""
    postgres = context.postgres
    before = Cluster(context.place, postgres, count=1, balanced=False)
    kept = before.nodes[0].client().must("token/create", before.key, {"name": "kept", "unrestricted": True})
    before.stop()
    name = with_first_schema(postgres, before.database)
    old = OldNode(postgres, name)
    old.start()
    nodes = [Node(context.place, f"new-{index + 1}", postgres.url(name), before.master_key, SETTINGS) for index in range(3)]
    # All at once: one migrates, and the others wait for it.
    for node in nodes:
        node.start(wait=False)
    for node in nodes:
        node.wait_ready()
    cluster = before
    cluster.nodes, cluster.database = nodes, name
    cluster.balancer = Balancer(context.place, nodes).start()
    recorder = Recorder()
    with Load(cluster, recorder, workers=2) as load:
        time.sleep(2)
        old.stop()
        time.sleep(0.5)
    load.none_failed()
    no_contradiction(recorder)
    for node in nodes:
        check(node.client().gate(kept["token"]).status == 200, "a key of the old database is refused")
    context.say(f"{load.calls} calls beside {old.moves} changes of the old version, 0 failed")


def first_binary(context):
    """The program of the first schema: named, or built from the history."""
    given = os.environ.get("HALLPASS_FIRST_BIN")
    if given:
        return given
    source = context.place.folder / "first"

    def git(*words):
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, timeout=120, check=False)
        check(done.returncode == 0, f"git {words[0]}: {done.stderr[-200:]}")

    git("worktree", "add", "--detach", str(source), FIRST_COMMIT)
    context.place.at_end(lambda: git("worktree", "remove", "--force", str(source)))
    target = ROOT / "target/first"
    done = subprocess.run(
        ["cargo", "build", "--locked", "--bin", "hallpass"],
        cwd=source, env={**os.environ, "CARGO_TARGET_DIR": str(target)}, capture_output=True, text=True, timeout=1800, check=False,
    )
    check(done.returncode == 0, f"the first version does not build: {done.stderr[-400:]}")
    return str(target / "debug/hallpass")


class MintAndVerify(threading.Thread):
    """What both versions can do: mint, verify, end, verify again. By whatever node the balancer chooses."""

    def __init__(self, port, key, phase):
        super().__init__(daemon=True)
        self.client, self.key, self.phase = Client(port), key, phase
        self.over = threading.Event()
        self.calls = 0
        self.failures = []

    def _post(self, path, body):
        answer = self.client.post(path, self.key, body)
        self.calls += 1
        if answer.status != 200:
            raise Failure(f"{path}: {answer.status} {answer.body[:160]!r} by {answer.headers.get('X-Served-By') if answer.headers else None}")
        return answer.json(), answer.headers.get("X-Served-By")

    def run(self):
        while not self.over.is_set():
            try:
                made, by = self._post("session/create", {"allowedRoutes": ["conversation/**"]})
                shown, there = self._post("session/verify", {"token": made["token"]})
                check(shown["active"], f"{self.phase[0]}: a token that {by} made is not active at {there}")
                self._post(f"session/{made['id']}/revoke", {})
                time.sleep(BOUND)
                shown, there = self._post("session/verify", {"token": made["token"]})
                check(not shown["active"], f"{self.phase[0]}: an ended token is active at {there} past the bound")
            except Failure as failure:
                self.failures.append(str(failure))

    def stop(self):
        self.over.set()
        self.join(30)


@scenario("a rolling upgrade of three nodes from the program of the first schema, under load", long_only=True)
def rolling(context):
    old_binary = first_binary(context)
    postgres = context.postgres
    name = postgres.create(f"d{secrets.token_hex(4)}")
    master = new_master_key()
    old = [Node(context.place, f"node-{index + 1}", postgres.url(name), master, FIRST_SETTINGS, binary=old_binary) for index in range(3)]
    for node in old:
        node.start()
    key = next(key for key in (node.first_key() for node in old) if key)
    check(postgres.one("SELECT max(version) FROM _sqlx_migrations", name) == "1", "it is not the first schema")
    balancer = Balancer(context.place, old).start()
    phase = ["all old"]
    workers = [MintAndVerify(balancer.port, key, phase) for _ in range(8)]
    for worker in workers:
        worker.start()
    time.sleep(3)
    # The first version has no delay between "not ready" and the end, so the balancer is told before.
    for index, node in enumerate(old):
        phase[0] = f"{node.name} leaves"
        balancer.drain(node.name)
        time.sleep(1)
        phase[0] = f"{node.name} is started anew"
        check(node.stop() == 0, "an old node did not end well")
        new = Node(context.place, node.name, postgres.url(name), master, ALGORITHM + SETTINGS)
        new.port = node.port
        new.environment["HALLPASS_LISTEN"] = f"127.0.0.1:{node.port}"
        new.start()
        balancer.ready(node.name)
        wait_until("the balancer uses it", lambda: balancer.is_up(node.name), 10)
        phase[0] = f"{node.name} is new"
        context.say(f"{index + 1} of 3 nodes are new, schema {postgres.one('SELECT max(version) FROM _sqlx_migrations', name)}")
        time.sleep(3)
    for worker in workers:
        worker.over.set()
    for worker in workers:
        worker.stop()
    failures = [failure for worker in workers for failure in worker.failures]
    calls = sum(worker.calls for worker in workers)
    check(not failures, f"{len(failures)} of {calls} calls failed: {failures[:3]}")
    context.say(f"{calls} calls, 0 failed")
