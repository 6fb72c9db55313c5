"""What holds when something fails: it stops trusting what it knows, and goes on by itself afterwards."""

import threading
import time

from harness.cluster import SETTINGS, Cluster
from harness.history import BOUND, CREATE, REVOKE, USE, Recorder, no_contradiction, outcome_of
from harness.host import check, now, wait_until
from harness.load import Load
from harness.node import Node
from harness.objects import make_key, make_session
from harness.pooler import Pooler
from harness.proxy import Proxy
from harness.scenario import scenario
from harness.statistics import percentile

REFUSE = SETTINGS.replace("[nodes]\n", "[nodes]\npast_lease = 'refuse'\n")


def proxied(context, settings=SETTINGS, count=2):
    """Nodes of which each has a proxy of its own before the database."""
    proxies = [Proxy(context.place, context.postgres.port) for _ in range(count)]
    urls = [lambda name, proxy=proxy: context.postgres.url(name, proxy.port) for proxy in proxies]
    cluster = Cluster(context.place, context.postgres, count=count, settings=settings, urls=urls, balanced=False)
    return cluster, proxies


class Watcher(threading.Thread):
    """Asks one node about one credential, again and again, over connections of its own."""

    def __init__(self, node, made, recorder, pause=0.02):
        super().__init__(daemon=True)
        self.node, self.made, self.recorder, self.pause = node, made, recorder, pause
        self.over = threading.Event()
        self.answers = []

    def run(self):
        client = self.node.client(timeout=15)
        while not self.over.is_set():
            answer = client.gate(self.made.credential)
            self.recorder.add(USE, self.made.name, self.node.name, answer)
            self.answers.append((answer.began, answer.ended, outcome_of(answer)))
            time.sleep(self.pause)

    def stop(self):
        self.over.set()
        self.join(30)

    def last_allowed(self):
        """When the last use began that was allowed."""
        return max((began for began, _, outcome in self.answers if outcome == "done"), default=None)


def cut(context, mode, settings, what):
    cluster, proxies = proxied(context, settings)
    here, cut_off = cluster.nodes
    recorder = Recorder()
    answer, made = make_session(here.client(), cluster.key)
    recorder.add(CREATE, made.name, here.name, answer)
    watchers = [Watcher(cut_off, made, recorder) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    wait_until("the node allows", lambda: all(watcher.last_allowed() for watcher in watchers))
    proxies[1].set(mode)
    at = now()
    # Ended elsewhere in the same moment.
    ended = made.end(here.client(), cluster.key)
    check(ended.status == 200, f"{ended.status} {ended.body[:200]!r}")
    recorder.add(REVOKE, made.name, here.name, ended)
    time.sleep(2.5)
    wait_until("the node says that it is not ready", lambda: not cut_off.is_ready(), 10)
    last = max(watcher.last_allowed() for watcher in watchers)
    check(last - at <= BOUND + 0.05, f"allowed {last - at:.3f} s after the node was cut off")
    proxies[1].set("pass")
    back = wait_until("the node is ready again", cut_off.is_ready, 15)
    fresh = wait_until("it refuses what was ended", lambda: cut_off.client().gate(made.credential).status == 401, 10)
    for watcher in watchers:
        watcher.stop()
    no_contradiction(recorder)
    context.say(f"{what}: last allowed {max(0, last - at) * 1000:.0f} ms after, ready {back:.1f} s after it was mended (+{fresh:.1f} s)")


@scenario("a node cut from the database stops trusting what it knows: connections end")
def cut_ended(context):
    cut(context, "cut", SETTINGS, "ended, asks past the bound")


@scenario("a node cut from the database stops trusting what it knows: connections are silent")
def cut_stalled(context):
    cut(context, "stall", SETTINGS, "silent, asks past the bound")


@scenario("a node cut from the database stops trusting what it knows: it may not ask")
def cut_refusing(context):
    cut(context, "stall", REFUSE, "silent, refuses past the bound")


@scenario("a standby is not believed, whether the node comes to it directly or through PgBouncer")
def standby(context):
    cluster, proxies = proxied(context)
    here, moved = cluster.nodes
    recorder = Recorder()
    answer, made = make_key(here.client(), cluster.key)
    recorder.add(CREATE, made.name, here.name, answer)
    recorder.add(USE, made.name, moved.name, moved.client().gate(made.credential))
    copy = context.postgres.standby(context.place)
    copy.sql("SELECT pg_wal_replay_pause()")
    ended = made.end(here.client(), cluster.key)
    recorder.add(REVOKE, made.name, here.name, ended)
    check(ended.status == 200, f"{ended.status}")
    # As a name does that leads elsewhere from now on. The standby still has the key.
    check(copy.one(f"SELECT count(*) FROM api_key WHERE id = '{made.name}' AND ended_at IS NULL", cluster.database) == "1", "it was replayed")
    proxies[1].set("cut")
    proxies[1].target = copy.port
    proxies[1].set("pass")
    time.sleep(BOUND + 0.2)
    for _ in range(context.times(1, 10)):
        use = moved.client().gate(made.credential)
        recorder.add(USE, made.name, moved.name, use)
        check(use.status == 403 and outcome_of(use) == "unknown", f"answered from a standby: {use.status} {use.body[:120]!r}")
    pooled = Pooler(context.place, copy).start()
    node = Node(context.place, "pooled", context.postgres.url(cluster.database, pooled.port), cluster.master_key, SETTINGS, direct_url=context.postgres.url(cluster.database))
    node.start(wait=False)
    wait_until("it does not start on a standby", lambda: not node.is_running(), 30)
    proxies[1].set("cut")
    proxies[1].target = context.postgres.port
    proxies[1].set("pass")
    wait_until("the node is back", moved.is_ready, 15)
    no_contradiction(recorder)


@scenario("a node that was frozen trusts nothing that it knew before")
def frozen(context):
    cluster = Cluster(context.place, context.postgres, count=2, balanced=False)
    here, asleep = cluster.nodes
    recorder = Recorder()
    times = context.times(6, 100)
    for _ in range(times):
        clients = [asleep.client() for _ in range(4)]
        lives = []
        for make in (make_key, make_session):
            answer, made = make(here.client(), cluster.key)
            recorder.add(CREATE, made.name, here.name, answer)
            for client in clients:
                use = client.gate(made.credential)
                recorder.add(USE, made.name, asleep.name, use)
                check(use.status == 200, f"not known: {use.status}")
            lives.append(made)
        asleep.freeze()
        for made in lives:
            ended = made.end(here.client(), cluster.key)
            recorder.add(REVOKE, made.name, here.name, ended)
        time.sleep(BOUND + 0.1)
        # Sent while it sleeps: they lie in its sockets when it wakes.
        askers = []
        for index, client in enumerate(clients):
            made = lives[index % 2]

            def ask(client=client, made=made):
                recorder.add(USE, made.name, asleep.name, client.gate(made.credential))

            askers.append(threading.Thread(target=ask, daemon=True))
            askers[-1].start()
        time.sleep(0.1)
        asleep.thaw()
        for asker in askers:
            asker.join(20)
        for client in clients:
            client.close()
    no_contradiction(recorder)
    late = [e for e in recorder.events if e.kind == USE and e.outcome == "refused"]
    check(len(late) == 4 * times, f"{len(late)} of {4 * times} uses after the sleep were refused")
    context.say(f"{times} sleeps, {len(late)} uses that waited for its end: all refused")


@scenario("the connection for hints is gone: changes are heard of by polling, and hints come back")
def hints_lost(context):
    cluster = Cluster(context.place, context.postgres, count=2, balanced=False)
    here, deaf = cluster.nodes
    recorder = Recorder()
    hints = f"FROM pg_stat_activity WHERE datname = '{cluster.database}' AND application_name = 'hallpass hints'"
    listening = f"SELECT count(*) {hints}"
    wait_until("both nodes listen", lambda: context.postgres.one(listening) == "2", 10)

    def until_refused(times):
        took = []
        for _ in range(times):
            answer, made = make_session(here.client(), cluster.key)
            recorder.add(CREATE, made.name, here.name, answer)
            client = deaf.client()
            recorder.add(USE, made.name, deaf.name, client.gate(made.credential))
            ended = made.end(here.client(), cluster.key)
            recorder.add(REVOKE, made.name, here.name, ended)
            while recorder.add(USE, made.name, deaf.name, client.gate(made.credential)).outcome != "refused":
                check(now() - ended.ended < 5, "it goes on allowing")
            took.append(now() - ended.ended)
        return sorted(took)

    heard = until_refused(context.times(20, 200))
    # Nobody may connect for a while, so that the hints stay away.
    over = threading.Event()

    def keep_away():
        while not over.is_set():
            context.postgres.sql(f"SELECT pg_terminate_backend(pid) {hints}")
            time.sleep(0.02)

    keeper = threading.Thread(target=keep_away, daemon=True)
    keeper.start()
    wait_until("the node knows that it hears nothing", lambda: deaf.metric("hallpass_change_log_listening") == 0)
    check(deaf.is_ready(), "a node without hints is not ready")
    polled = until_refused(context.times(20, 200))
    over.set()
    keeper.join()
    back = wait_until("hints are back", lambda: deaf.metric("hallpass_change_log_listening") == 1, 60)
    no_contradiction(recorder)
    check(polled[-1] <= BOUND, f"without hints it took {polled[-1]:.3f} s")
    context.say(
        f"refused after: with hints p50 {percentile(heard, 50) * 1000:.0f} ms, max {heard[-1] * 1000:.0f} ms; "
        f"without p50 {percentile(polled, 50) * 1000:.0f} ms, max {polled[-1] * 1000:.0f} ms; back after {back:.1f} s"
    )


@scenario("PostgreSQL is stopped and started under load: nothing wrong allowed, nothing acknowledged lost")
def database_away(context):
    # One of our own: the others go on.
    from harness.postgres import Postgres

    postgres = Postgres(context.place)
    cluster = Cluster(context.place, postgres)
    recorder = Recorder()
    recovered = []
    with Load(cluster, recorder, workers=3) as load:
        for mode in ("fast", "immediate") * context.times(1, 5):
            time.sleep(1.5)
            pids = [node.pid for node in cluster.nodes]
            postgres.stop(mode)
            time.sleep(2.0)
            postgres.start()
            began = now()
            for node in cluster.nodes:
                wait_until(f"{node.name} is ready again", node.is_ready, 10)
            made = None
            while made is None:
                _, made = make_session(cluster.front(), cluster.key)
                check(now() - began < 10, "nothing can be made")
            recovered.append(now() - began)
            check(pids == [node.pid for node in cluster.nodes], "a node was started again")
        time.sleep(1)
    check(max(recovered) <= 5, f"recovery took {max(recovered):.1f} s")
    no_contradiction(recorder)
    kept = {row[0] for row in postgres.sql("SELECT id FROM session", cluster.database)}
    lost = [session for session in load.acknowledged if session not in kept]
    check(not lost, f"{len(lost)} acknowledged sessions are gone: {lost[:3]}")
    unknown = sum(1 for event in recorder.events if event.outcome == "unknown")
    context.say(
        f"{load.calls} calls, {len(load.acknowledged)} acknowledged sessions all there, {unknown} answers without knowledge; "
        f"recovered after {', '.join(f'{secs:.1f} s' for secs in recovered)}"
    )
