"""What holds on a good day: made here, used there; ended here, refused there."""

import threading

from harness.cluster import Cluster
from harness.history import CREATE, REVOKE, USE, Recorder, no_contradiction, self_test
from harness.host import check, now
from harness.load import Load
from harness.objects import KINDS
from harness.scenario import scenario
from harness.statistics import percentile


@scenario("the checker finds forged histories, and nothing in good ones")
def checker(_):
    wrong = self_test()
    check(not wrong, "; ".join(wrong))


@scenario("three nodes behind HAProxy: made at one, used at another; ended at one, refused at the others")
def made_and_ended(context):
    cluster = Cluster(context.place, context.postgres)
    recorder = Recorder()
    times = context.times(150, 10_000)
    with Load(cluster, recorder, workers=3) as load:
        took = [made_and_ended_once(cluster, recorder, step) for step in range(times)]
    load.none_failed()
    # What the load has seen is judged with it.
    report(context, times, took, recorder)


def made_and_ended_once(cluster, recorder, step):
    """One life. For each of the other nodes, how long after the end it refused for the first time."""
    kind = list(KINDS)[step % len(KINDS)]
    first = step % 3
    nodes = cluster.nodes[first:] + cluster.nodes[:first]
    clients = client_of(nodes)
    answer, made = KINDS[kind](clients[0], cluster.key)
    check(made, f"a {kind} could not be made: {answer.status} {answer.body[:200]!r}")
    recorder.add(CREATE, made.name, nodes[0].name, answer)
    for node, client in zip(nodes, clients):
        use = client.gate(made.credential)
        recorder.add(USE, made.name, node.name, use)
        check(use.status == 200, f"{node.name} does not know the {kind} that {nodes[0].name} made: {use.status} {use.body[:200]!r}")
    # Ended at a node that did not make it.
    ended = made.end(clients[1], cluster.key)
    recorder.add(REVOKE, made.name, nodes[1].name, ended)
    check(ended.status == 200, f"the {kind} could not be ended: {ended.status} {ended.body[:200]!r}")
    use = clients[1].gate(made.credential)
    recorder.add(USE, made.name, nodes[1].name, use)
    took = []
    for node, client in ((nodes[0], clients[0]), (nodes[2], clients[2])):
        while True:
            use = client.gate(made.credential)
            event = recorder.add(USE, made.name, node.name, use)
            if event.outcome == "refused":
                break
            check(now() - ended.ended < 10, f"{node.name} goes on allowing a {kind} that was ended")
        took.append(use.ended - ended.ended)
    return took


_clients = threading.local()


def client_of(nodes):
    """A connection of this thread to each node."""
    known = _clients.__dict__
    return [known.setdefault(node.port, node.client()) for node in nodes]


def report(context, times, took, recorder):
    # The second of the two is asked after the first has refused, so it may be later than it could be.
    first = sorted(pair[0] for pair in took)
    both = sorted(value for pair in took for value in pair)
    context.say(f"{times} lives, 0 unknown at another node; {len(recorder.events)} events")
    for name, values in (("one other node", first), ("all other nodes", both)):
        p50, p99 = percentile(values, 50), percentile(values, 99)
        context.say(
            f"until {name} refused, from the return of the revoking call: "
            f"p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, max {values[-1] * 1000:.1f} ms"
        )
    no_contradiction(recorder)
