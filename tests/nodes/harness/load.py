"""Work that goes on meanwhile, through the balancer or at the nodes."""

import threading
import time

from .history import CREATE, REVOKE, USE, outcome_of
from .host import check
from .objects import KINDS
from .wire import Client


class Load:
    """Workers that live the lives of keys, sessions and accounts until the block ends.

    Through the balancer a use is on a node that its answer names. With `paused` seconds between calls
    it leaves the machine to others.
    """

    def __init__(self, cluster, recorder, workers=2, paused=0.005, through=None):
        self.cluster = cluster
        self.recorder = recorder
        self.paused = paused
        self.through = through or cluster.balancer.port
        self.over = threading.Event()
        self.calls = 0
        self.failures = []
        self.acknowledged = []
        self.threads = [threading.Thread(target=self._run, args=(index,), daemon=True) for index in range(workers)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join(60)

    def none_failed(self):
        check(not self.failures, f"{len(self.failures)} of {self.calls} calls failed: {self.failures[:3]}")

    def _run(self, index):
        client = Client(self.through)
        kinds = list(KINDS)
        step = index
        while not self.over.is_set():
            try:
                self._live(client, kinds[step % len(kinds)])
            except Exception as error:  # told by whoever asks for failures
                self.failures.append(repr(error))
            step += 1
        client.close()

    def _node(self, answer):
        return answer.headers.get("X-Served-By", "balancer") if answer.headers else "balancer"

    def _seen(self, kind, name, answer):
        self.calls += 1
        if answer.status not in (200, 401, 403) or (kind != USE and answer.status != 200):
            self.failures.append(f"{kind} {name}: {answer.status} {answer.body[:120]!r}")
        elif kind == USE and outcome_of(answer) == "unknown":
            self.failures.append(f"{kind} {name}: {answer.status} {answer.headers.get('X-Auth-Reason')}")
        self.recorder.add(kind, name, self._node(answer), answer)
        if self.paused:
            time.sleep(self.paused)

    def _live(self, client, kind):
        answer, made = KINDS[kind](client, self.cluster.key)
        if made is None:
            self.calls += 1
            self.failures.append(f"create: {answer.status} {answer.body[:120]!r}")
            time.sleep(0.05)
            return
        self._seen(CREATE, made.name, answer)
        if kind == "session":
            self.acknowledged.append(made.name)
        for _ in range(6):
            self._seen(USE, made.name, client.gate(made.credential))
        self._seen(REVOKE, made.name, made.end(client, self.cluster.key))
        for _ in range(6):
            self._seen(USE, made.name, client.gate(made.credential))
