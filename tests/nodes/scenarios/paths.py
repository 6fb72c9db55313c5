"""Ways to the database: a pooler between, and TLS."""

import subprocess
import time

from harness.cluster import Cluster
from harness.history import Recorder, no_contradiction
from harness.host import check
from harness.load import Load
from harness.node import Node, new_master_key
from harness.objects import make_session
from harness.pooler import Pooler
from harness.postgres import Postgres
from harness.scenario import scenario


@scenario("three nodes through PgBouncer in transaction mode")
def pooler(context):
    between = Pooler(context.place, context.postgres).start()
    urls = [lambda name: context.postgres.url(name, between.port)] * 3
    direct = [context.postgres.url] * 3
    cluster = Cluster(context.place, context.postgres, urls=urls, direct_urls=direct)
    recorder = Recorder()
    with Load(cluster, recorder, workers=4, paused=0) as load:
        time.sleep(context.times(4, 60))
    load.none_failed()
    no_contradiction(recorder)
    for node in cluster.nodes:
        check(node.metric("hallpass_change_log_listening") == 1, "it does not listen past the pooler")
        check("prepared statement" not in node.errors(200), node.errors())
    kept = {row[0] for row in context.postgres.sql("SELECT id FROM session", cluster.database)}
    lost = [session for session in load.acknowledged if session not in kept]
    check(not lost, f"{len(lost)} acknowledged sessions are gone")
    context.say(f"{load.calls} calls over 4 connections to the server, 0 failed")


def certificates(folder):
    """An authority of our own, and a certificate for `localhost`."""
    folder.mkdir()

    def openssl(*words):
        done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
        check(done.returncode == 0, done.stderr[-300:])

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for name in ("ca", "other"):
        openssl("req", "-x509", *curve, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-days", "2", "-subj", f"/CN=test {name}")
    openssl("req", *curve, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost")
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "server.crt")
    return folder


@scenario("TLS to the database: the right authority and name, and neither other is taken")
def tls(context):
    folder = certificates(context.place.folder / "tls")
    postgres = Postgres(context.place, tls=folder)
    name = postgres.create("secured")
    master = new_master_key()

    def node(parameters, host="localhost"):
        return Node(context.place, "tls", postgres.url(name, host=host, parameters=parameters), master)

    good = node(f"sslmode=verify-full&sslrootcert={folder}/ca.crt").start()
    key = good.first_key()
    _, made = make_session(good.client(), key)
    check(good.client().gate(made.credential).status == 200, "a session is not good")
    sessions = "FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'hallpass%'"
    plain = postgres.one(f"SELECT count(*) {sessions} AND NOT ssl", "secured")
    secured = postgres.one(f"SELECT count(*) {sessions} AND ssl", "secured")
    check(plain == "0" and int(secured) >= 2, f"{plain} sessions without TLS, {secured} with it")
    good.stop()
    refused = {
        "another authority": node(f"sslmode=verify-full&sslrootcert={folder}/other.crt"),
        "another name": node(f"sslmode=verify-full&sslrootcert={folder}/ca.crt", host="127.0.0.1"),
    }
    for what, bad in refused.items():
        bad.start(wait=False)
        code = bad.process.wait(30)
        check(code != 0, f"{what} was taken")
        check(postgres.password not in bad.errors(200), "the password is told")
    context.say(f"{secured} sessions, all with TLS; another authority and another name are refused")
