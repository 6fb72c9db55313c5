"""What minting feels like while expired sessions are dropped in the background."""

import bisect
import sqlite3
import threading
import time

from . import fill
from .cases import Goal
from .host import Failure

# Sessions stay for 90 days behind their end.
OVER_MS = 90 * 86_400_000
LONG_OVER_MS = OVER_MS + 2 * 86_400_000
# Few enough that their rows are put in with the indexes in place, and dropped within the time.
PRUNABLE = 150_000
NORMAL_SECS = 15
LASTS_SECS = 30
# Of fewer requests a p99 says nothing.
REQUESTS_MIN = 2_000
LOOK_SECS = 0.05
# Rows are seen to be gone when that is committed; who had to wait for it came before.
BEFORE_SECS = 0.25
AFTER_SECS = 0.1


class Watch(threading.Thread):
    """Notices when rows disappear: the instants between two looks at the oldest session."""

    def __init__(self, file):
        super().__init__(daemon=True)
        self.file = file
        self.over = threading.Event()
        self.spans = []

    def run(self):
        connection = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)
        before, seen = time.time(), None
        while not self.over.wait(LOOK_SECS):
            (oldest,) = connection.execute("SELECT min(expires_at) FROM session").fetchone()
            now = time.time()
            if seen is not None and oldest != seen:
                self.spans.append((before, now))
            before, seen = now, oldest
        connection.close()

    def stop(self):
        self.over.set()
        self.join()
        return self.spans


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def paced(bench, server, requests, rate, seconds):
    """When requests were due, and the milliseconds that each took."""
    samples = bench.folder / "samples"
    bench.generator.paced(server, requests, rate, seconds, samples)
    begin_us, *rest = samples.read_text().split()
    begin = int(begin_us) / 1e6
    return [(begin + int(due) / 1e6, int(us) / 1000) for due, us in zip(rest[::2], rest[1::2])]


def prunable(file):
    """Sessions that are yet to be dropped."""
    before = int(time.time() * 1000) - OVER_MS
    with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as connection:
        (count,) = connection.execute("SELECT count(*) FROM session WHERE expires_at < ?", (before,)).fetchone()
    return count


def measure(bench, server):
    """p99 of the requests that were due while rows disappeared, against p99 at the same rate before
    there was a row to drop."""
    requests = bench.write("pruning", *map(bench.mint_request, server.clear[:1000]))
    rate = bench.generator.wrk(server, requests, seconds=2).per_second / 2
    normal = [ms for _, ms in paced(bench, server, requests, rate, NORMAL_SECS)]
    server.stop()
    fill.sessions(server.file, PRUNABLE, server.session, int(time.time() * 1000) - LONG_OVER_MS)
    server.start()
    # It has to read each key once.
    bench.generator.once(server, requests)
    watch = Watch(server.file)
    watch.start()
    try:
        took = paced(bench, server, requests, rate, LASTS_SECS)
    finally:
        spans = watch.stop()
    if not spans:
        raise Failure(f"nothing was dropped within {LASTS_SECS} s")
    moments = []
    for start, end in spans:
        start, end = start - BEFORE_SECS, end + AFTER_SECS
        if moments and start <= moments[-1][1]:
            moments[-1] = (moments[-1][0], end)
        else:
            moments.append((start, end))
    starts = [start for start, _ in moments]

    def during(instant):
        place = bisect.bisect_right(starts, instant) - 1
        return place >= 0 and instant <= moments[place][1]

    pruned = [ms for instant, ms in took if during(instant)]
    if min(len(pruned), len(normal)) < REQUESTS_MIN:
        raise Failure(f"{len(pruned):,} requests while rows were dropped and {len(normal):,} before are too few")
    during_ms, normal_ms = percentile(pruned, 0.99), percentile(normal, 0.99)
    note = (
        f"{during_ms:.1f} ms over {len(pruned):,} requests while rows were dropped, "
        f"{normal_ms:.1f} ms over {len(normal):,} before; at half load, {bench.options.sessions:,} sessions; "
        f"{PRUNABLE - prunable(server.file):,} of {PRUNABLE:,} rows dropped"
    )
    bench.results.append(("p99 during pruning / normal", during_ms / normal_ms, "×", Goal("×", at_most=2), note))
