"""What a request costs with one, two and three nodes. CPU time, since all of it shares one machine.

Each node has as many connections, as many requests a second and a client of its own, however many nodes
there are: with fewer, a node takes fewer requests each time that it wakes, and fewer mints in one commit,
which would be measured as well. The rate is one that the machine has room for. Nodes are on one core, and
clients and PostgreSQL on the other, where there are two.
"""

import multiprocessing
import os
import socket
import time
from pathlib import Path

from harness.cluster import Cluster
from harness.host import check, cpu_seconds
from harness.scenario import scenario

MORE_AT_MOST = 1.10
CONNECTIONS = 16
WRITTEN = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"


NODES, CLIENTS = 0, 1


def pin(pid, core):
    """Puts all threads of a process on one core."""
    if {NODES, CLIENTS} <= set(range(os.cpu_count())):
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), {core})


def wire(method, path, bearer, headers=(), body=b""):
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {bearer}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def hammer(ports, request, rate, seconds, counted):
    """The same request on all connections, again and again, so many a second."""
    pin(os.getpid(), CLIENTS)
    ends = [socket.create_connection(("127.0.0.1", port), 10) for port in ports]
    until = time.monotonic() + seconds
    count = failed = 0
    due = time.monotonic()
    while (began := time.monotonic()) < until:
        time.sleep(max(0, due - began))
        due = max(due, began - 0.1) + len(ends) / rate
        # All are under way at the same time.
        for end in ends:
            end.sendall(request)
        for end in ends:
            head, _, body = b"", b"", b""
            while b"\r\n\r\n" not in head:
                part = end.recv(65536)
                if not part:
                    raise ConnectionError
                head += part
            head, _, body = head.partition(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            while len(body) < length:
                body += end.recv(65536)
            count += 1
            failed += not head.startswith(b"HTTP/1.1 200")
    counted.put((count, failed))


def measure(nodes, request, rate, seconds):
    """CPU time for each request in microseconds, and requests per second."""
    counted = multiprocessing.Queue()
    before = sum(cpu_nanos(node.pid) for node in nodes)
    began = time.monotonic()
    workers = [
        multiprocessing.Process(target=hammer, args=([node.port] * CONNECTIONS, request, rate, seconds, counted)) for node in nodes
    ]
    for worker in workers:
        worker.start()
    results = [counted.get(timeout=seconds + 60) for _ in workers]
    for worker in workers:
        worker.join()
    used = sum(cpu_nanos(node.pid) for node in nodes) - before
    took = time.monotonic() - began
    check(not sum(failed for _, failed in results), "requests failed")
    count = sum(count for count, _ in results)
    return used / count / 1e3, count / took


def cpu_nanos(pid):
    """CPU time of all threads that a process has now. `stat` counts in hundredths of a second."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def children_cpu(pid):
    """CPU time of PostgreSQL and of the sessions that it has now."""
    return sum(cpu_seconds(process) for process in family(pid))


def family(pid):
    """A process and its children."""
    found = [pid]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
                if int(text[text.rindex(")") + 2 :].split()[1]) == pid:
                    found.append(int(entry.name))
            except (OSError, ValueError):
                continue
    return found


@scenario("CPU time for a request with one, two and three nodes", long_only=True)
def cpu_per_request(context):
    cluster = Cluster(context.place, context.postgres, balanced=False)
    asked = (("X-Original-Method", "GET"), ("X-Original-URI", "/v1/bot/b1/fetch"))
    requests = {
        "gate by key": (wire("GET", "/v1/authorize/nginx", cluster.key, asked), 2400),
        "mint": (wire("POST", "/v1/session/create", cluster.key, body=b'{"allowedRoutes":["bot/**"]}'), 640),
    }
    for node in cluster.nodes:
        pin(node.pid, NODES)
    database = int((context.postgres.folder / "data/postmaster.pid").read_text().split("\n", 1)[0])
    for process in family(database):
        pin(process, CLIENTS)
    rounds, seconds = 7, 3
    worse = []
    for name, (request, rate) in requests.items():
        taken = {count: [] for count in (1, 2, 3)}
        rates = {count: [] for count in (1, 2, 3)}
        for nodes in (1, 2, 3):
            measure(cluster.nodes[:nodes], request, rate, 1)
        of_database, log_bytes = [], []
        for turn in range(rounds):
            for nodes in (1, 2, 3) if turn % 2 == 0 else (3, 2, 1):
                before, written = children_cpu(database), int(context.postgres.one(WRITTEN))
                cost, reached = measure(cluster.nodes[:nodes], request, rate, seconds)
                requests_made = reached * seconds
                of_database.append((children_cpu(database) - before) / requests_made * 1e6)
                log_bytes.append((int(context.postgres.one(WRITTEN)) - written) / requests_made)
                taken[nodes].append(cost)
                rates[nodes].append(reached)
        median = {nodes: sorted(values)[rounds // 2] for nodes, values in taken.items()}
        told = ", ".join(
            f"{nodes}: {median[nodes]:.0f} µs ({min(taken[nodes]):.0f} to {max(taken[nodes]):.0f}) at {sorted(rates[nodes])[rounds // 2]:.0f}/s"
            for nodes in median
        )
        # Round by round: what disturbs a round disturbs all that is compared in it.
        times = {nodes: sorted(many / one for many, one in zip(taken[nodes], taken[1]))[rounds // 2] for nodes in (2, 3)}
        middle = len(of_database) // 2
        context.say(f"{name}: {told}; {', '.join(f'{nodes} nodes: {ratio:.2f} ×' for nodes, ratio in times.items())}")
        context.say(f"PostgreSQL {sorted(of_database)[middle]:.0f} µs and {sorted(log_bytes)[middle]:.0f} bytes of its log")
        worse += [f"{name} with {nodes} nodes" for nodes in (2, 3) if times[nodes] > MORE_AT_MOST]
    size = context.postgres.sql(
        "SELECT count(*), pg_relation_size('session') / count(*), pg_indexes_size('session') / count(*) FROM session", cluster.database
    )[0]
    context.say(f"{size[0]} sessions: {size[1]} bytes each in the table, {size[2]} in its indexes")
    check(not worse, f"more than {MORE_AT_MOST:.2f} times as much as with one node: {', '.join(worse)}")
