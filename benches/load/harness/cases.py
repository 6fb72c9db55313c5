"""What is measured, beside what, and which figure is wanted."""

import random
import time
from dataclasses import dataclass, field

from . import fill
from .host import Failure, family_cpu_seconds
from .load import Request, write_requests
from .servers import Hallpass, Postgres, Yardstick

ROUTES = ["conversation/c1/**", "POST bot/b1/complete", "platform/report/list"]
WANTED = {"allowedRoutes": ROUTES, "data": {"contact": {"name": "Ann"}}}
# What the key of a backend for a widget may do: mint, and ask about tokens.
MINTER = {
    "name": "widget backend",
    "config": {
        "allowedRoutes": ["POST session/create", "POST session/verify"],
        "session": {"allowedRoutes": ["conversation/**", "POST bot/*/complete", "platform/**"]},
    },
}
# Ten patterns; the request of the gate cases is allowed by the seventh.
TEN = [
    "GET bot/list",
    "GET bot/*/fetch",
    "POST bot/*/session/create",
    "dataset/*/record/**",
    "GET file/*/download",
    "POST integration/*/trigger",
    "POST conversation/*/complete",
    "conversation/*/message/**",
    "GET event/**",
    "platform/report/**",
]
ASKED = (("X-Original-Method", "POST"), ("X-Original-URI", "/v1/conversation/c1/complete?stream=1"))
GATE = "/v1/authorize/nginx"
SAME_BYTES = "axum: the bytes of the gate"
# Keys that take turns when a case is about any of many.
TURNS = 200_000
# Keys are touched in pieces, and no new piece is begun behind this time.
TOUCH_AT_ONCE = 50_000
TOUCH_SECS = 600


@dataclass
class Goal:
    """A figure to reach: `measure` of a case, alone or against the same of a yardstick."""

    measure: str
    at_least: float = None
    at_most: float = None
    against: str = None

    def reached(self, value):
        if self.at_least is not None and value < self.at_least:
            return False
        return not (self.at_most is not None and value > self.at_most)

    def __str__(self):
        return f"≥ {self.at_least:g}" if self.at_least is not None else f"≤ {self.at_most:g}"


@dataclass
class Case:
    """One thing that is measured in each round."""

    name: str
    prepare: object  # () -> (server, file of requests); once
    against: str = None  # the yardstick of the ratios
    goals: list = field(default_factory=list)
    before_round: object = None  # (server, round): what must be so before each round
    measure: object = None  # (generator, server, requests) -> Measured, in place of wrk
    cpu_of_others: object = None  # () -> seconds that other processes spent for this one
    server: object = None
    requests: object = None
    rounds: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    skipped: str = None


class Bench:
    """All cases, and the servers that they share."""

    def __init__(self, pinning, folder, generator, options):
        self.pinning = pinning
        self.folder = folder
        self.generator = generator
        self.options = options
        self.servers = {}
        self.kept = {}
        self.postgres = None
        self.cases = []
        self.results = []  # (what, value, goal or None, note): what is measured once
        self._yardsticks()
        self._mint()
        self._gate()
        self._reads()
        self._scale()
        from . import peers

        peers.add(self)

    # -- what is shared ----------------------------------------------------------------------------

    def add(self, name, prepare, **more):
        case = Case(name, prepare, **more)
        self.cases.append(case)
        return case

    def once(self, name, make):
        """A thing that is made the first time it is asked for."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]

    def yardstick(self, name, *words):
        def make():
            server = Yardstick(name, self.pinning, self.folder / name.replace(" ", "-"), *words)
            server.start()
            self.servers[name] = server
            return server

        return self.once(name, make)

    def hallpass(self, name="hallpass", algorithm="ES256", database=None):
        def make():
            server = Hallpass(name, self.pinning, self.folder / name, algorithm, database)
            self.servers[name] = server
            server.start()
            server.minter = server.post("token/create", MINTER)["token"]
            return server

        return self.once(name, make)

    def write(self, name, *requests):
        return write_requests(self.folder / (name.replace(" ", "-").replace("/", "-") + ".requests"), requests)

    def mint_request(self, bearer, headers=()):
        return Request("POST", "/v1/session/create", bearer, headers, WANTED)

    def close(self):
        for server in self.servers.values():
            server.stop()
        if self.postgres:
            self.postgres.stop()

    # -- the yardsticks ----------------------------------------------------------------------------

    def _yardsticks(self):
        def hello():
            return self.yardstick("hello", "hello"), self.write("hello", Request("GET", "/"))

        self.add("axum: hello", hello)
        for algorithm in ("ES256", "EdDSA", "RS256"):

            def sign(algorithm=algorithm):
                server = self.yardstick(f"sign {algorithm}", "sign", "--algorithm", algorithm)
                return server, self.write("sign", self.mint_request("sk_live_yardstick"))

            self.add(f"axum: sign {algorithm}", sign)

        def commit():
            file = self.folder / "commit/record.db"
            server = self.yardstick("commit", "commit", "--algorithm", "ES256", "--database", str(file))
            return server, self.write("commit", self.mint_request("sk_live_yardstick"))

        self.add("axum: sign ES256, group commit", commit, against="axum: sign ES256")

    # -- minting -----------------------------------------------------------------------------------

    def _mint(self):
        for algorithm in ("ES256", "EdDSA", "RS256"):
            goals = [Goal("per_second", at_least=0.6), Goal("cpu_us", at_most=1.5)]

            def by_key(algorithm=algorithm):
                server = self.hallpass("hallpass" if algorithm == "ES256" else f"hallpass-{algorithm}", algorithm)
                return server, self.write(f"mint {algorithm}", self.mint_request(server.minter))

            case = self.add(
                f"mint {algorithm}, SQLite",
                by_key,
                against=f"axum: sign {algorithm}",
                goals=goals if algorithm == "ES256" else [],
            )
            if algorithm == "ES256":
                case.goals += [
                    Goal("per_second", against="axum: sign ES256, group commit"),
                    Goal("cpu_us", against="axum: sign ES256, group commit"),
                    Goal("per_second", at_least=8, against="peer: oidc-provider, mint"),
                    Goal("per_second", against="peer: fastify + jose + SQLite, mint"),
                    Goal("per_second", against="peer: glewlwyd, mint"),
                ]

        def alone(generator, server, requests):
            return generator.wrk(server, requests, connections=1)

        self.add("axum: sign ES256, group commit, one at a time", self.prepared("axum: sign ES256, group commit"), measure=alone)
        self.add(
            "mint ES256, SQLite, one at a time",
            self.prepared("mint ES256, SQLite"),
            against="axum: sign ES256, group commit, one at a time",
            measure=alone,
        )

        def as_child():
            server = self.hallpass()
            child = self.child(server)
            parent = server.post("token/create", {"name": "parent", "unrestricted": True})["token"]
            request = self.mint_request(parent, (("X-RunAs-User-ID", child),))
            return server, self.write("mint as a child", request)

        self.add("mint as a child, SQLite", as_child, against="axum: sign ES256")

        def on_postgres():
            self.postgres = Postgres()
            case.cpu_of_others = lambda: family_cpu_seconds(self.postgres.pid)
            server = self.hallpass("hallpass-postgres", database=self.postgres.url)
            return server, self.write("mint on postgres", self.mint_request(server.minter))

        case = self.add(
            "mint ES256, PostgreSQL",
            on_postgres,
            against="axum: sign ES256",
            goals=[Goal("per_second", at_least=0.4)],
        )

        def half_load(generator, server, requests):
            rate = self.median_rate("mint ES256, SQLite") / 2
            return generator.paced(server, requests, rate, generator.seconds)

        self.add(
            "mint ES256, SQLite, half load",
            self.prepared("mint ES256, SQLite"),
            measure=half_load,
            goals=[Goal("p99_ms", at_most=10)],
        )

    def median_rate(self, name):
        from .report import median

        rounds = next(case.rounds for case in self.cases if case.name == name)
        if not rounds:
            raise Failure(f"`{name}` was not measured before")
        return median(rounds, "per_second")

    def prepared(self, name):
        """What another case measures, to be measured in another way."""
        return lambda: next(case for case in self.cases if case.name == name).prepare()

    def child(self, server):
        answer = server.post("user/create", {"name": "child", "email": "child@example.com"})
        return answer["id"]

    # -- the gate ----------------------------------------------------------------------------------

    def _gate(self):
        def gate_request(bearer):
            return Request("GET", GATE, bearer, ASKED)

        def ready(server, request):
            status, _, body = server.call(request)
            if status == 404:
                raise Failure(f"{GATE} is not there yet")
            if status != 200:
                raise Failure(f"{GATE}: {status} {body[:200]!r}")

        def gate_key(server):
            config = {"allowedRoutes": TEN}
            return server.post("token/create", {"name": "ten patterns", "config": config})["token"]

        def answers():
            """A handler that does nothing, with the bytes of the gate in both directions."""
            server = self.hallpass()
            request = gate_request(gate_key(server))
            ready(server, request)
            _, headers, _ = server.call(request)
            own = ("date", "content-length")
            head = self.folder / "gate-head"
            head.write_text("".join(f"{name}: {value}\n" for name, value in headers.items() if name.lower() not in own))
            yardstick = self.yardstick("answer", "answer", "--head", str(head))
            return yardstick, self.write("gate answer", request)

        self.add(SAME_BYTES, answers, against="axum: hello")

        def by_key():
            server = self.hallpass()
            request = gate_request(gate_key(server))
            ready(server, request)
            return server, self.write("gate by key", request)

        goals = [
            Goal("per_second", at_least=0.8),
            Goal("per_second", at_least=0.8, against=SAME_BYTES),
            Goal("cpu_us", against=SAME_BYTES),
        ]
        self.add("gate by key, 10 patterns", by_key, against="axum: hello", goals=goals)

        def session_body():
            return {"allowedRoutes": TEN, "durationInSeconds": 3600}

        def minter_of_ten(server):
            config = {"allowedRoutes": ["POST session/create"], "session": {"allowedRoutes": TEN}}
            return server.post("token/create", {"name": "mints ten", "config": config})["token"]

        def by_token():
            server = self.hallpass()
            token = server.post("session/create", session_body(), minter_of_ten(server))["token"]
            ready(server, gate_request(token))
            return server, self.write("gate by token", gate_request(token))

        self.add("gate by token, warm", by_token, against="axum: hello", goals=goals)

        # More than a core can verify in one round, so that none comes twice.
        count = int(self.options.seconds * 14_000) + 2_000

        def by_many_tokens():
            server = self.hallpass("hallpass-cold")
            body = self.write("ten tokens", Request("POST", "/v1/session/create", minter_of_ten(server), (), session_body()))
            server.warm = self.write("gate warm", gate_request(gate_key(server)))
            ready(server, gate_request(gate_key(server)))
            tokens = self.generator.tokens(server, body, count, self.folder / "tokens")
            return server, self.write("gate cold", *map(gate_request, tokens))

        def forget(server, _round):
            server.stop()
            server.start()
            self.generator.wrk(server, server.warm, seconds=1)

        def cold(generator, server, requests):
            measured = generator.wrk(server, requests)
            if measured.requests > count:
                case.notes.append("some tokens came twice")
            return measured

        case = self.add("gate by token, cold", by_many_tokens, against="axum: hello", before_round=forget, measure=cold)
        case.goals = [Goal("verify_share", at_least=0.8)]

    # -- reads -------------------------------------------------------------------------------------

    def _reads(self):
        def jwks():
            return self.hallpass(), self.write("jwks", Request("GET", "/.well-known/jwks.json"))

        self.add("JWKS", jwks, against="axum: hello")

        def verify():
            server = self.hallpass()
            token = server.post("session/create", {**WANTED, "durationInSeconds": 3600}, server.minter)["token"]
            request = Request("POST", "/v1/session/verify", server.minter, (), {"token": token})
            return server, self.write("verify", request)

        self.add("verify online, one token", verify, against="axum: hello")

    # -- many rows ---------------------------------------------------------------------------------

    def crowded(self, name, key_count, session_count=0):
        """A hallpass with many keys for a tenth as many accounts, and with many sessions."""

        def make():
            server = Hallpass(name, self.pinning, self.folder / name)
            self.servers[name] = server
            server.start()
            child = self.child(server)
            key = server.post(f"user/{child}/token/create", MINTER)
            session = server.post("session/create", WANTED, key["token"])
            server.stop()
            began = time.monotonic()
            clear = fill.keys(server.file, key_count, child, key["id"])
            if session_count:
                fill.sessions(server.file, session_count, session["id"])
            server.session = session["id"]
            print(f"  filled {name} in {time.monotonic() - began:.0f} s", flush=True)
            server.start()
            server.clear = random.Random(2).sample(clear, len(clear))
            return server

        return self.once(name, make)

    def _scale(self):
        def any_key(name, count, session_count=0):
            server = self.crowded(name, count, session_count)
            requests = self.write(name, *map(self.mint_request, server.clear[:TURNS]))
            # As in a service that has run for a while, which has seen each of them.
            failed = self.generator.once(server, requests)["failed"]
            if failed:
                raise Failure(f"{failed:,} of the keys cannot mint")
            return server, requests

        self.add("mint, any of 1,000 keys", lambda: any_key("keys-1k", 1000), against="axum: sign ES256")
        million = self.options.million
        self.add(
            f"mint, any of {million:,} keys",
            lambda: any_key("keys-1m", million),
            against="mint, any of 1,000 keys",
            goals=[Goal("per_second", at_least=0.95)],
        )
        sessions = self.options.sessions
        self.add(
            f"mint, {sessions:,} sessions on disk",
            lambda: any_key("sessions-5m", 1000, sessions),
            against="mint, any of 1,000 keys",
        )

    # -- what is measured once ---------------------------------------------------------------------

    def singles(self):
        """Name and function of what has no rounds."""
        return [
            ("memory, idle", self._memory_idle),
            ("memory and start with many keys", self._many_keys),
            ("pruning", self._pruning),
        ]

    def _memory_idle(self):
        server = Hallpass("hallpass-idle", self.pinning, self.folder / "hallpass-idle")
        self.servers["hallpass-idle"] = server
        server.start()
        time.sleep(1)
        resident, own = server.resident_mib()
        server.stop()
        goal = Goal("MiB", at_most=40)
        self.results.append(("resident memory, idle", resident, "MiB", goal, f"{own:.0f} MiB without mapped files"))

    def _many_keys(self):
        server = self.crowded("keys-1m", self.options.million)
        count = f"{self.options.million:,} keys"
        took = []
        for _ in range(3):
            server.stop()
            server.start()
            took.append(server.ready_secs)
        goal = Goal("s", at_most=2)
        self.results.append((f"start to ready, {count}", sorted(took)[1], "s", goal, "files in the page cache"))
        touched = failed = 0
        until = time.monotonic() + TOUCH_SECS
        while touched < len(server.clear) and time.monotonic() < until:
            some = server.clear[touched : touched + TOUCH_AT_ONCE]
            file = self.write("touch", *(Request("GET", "/v1/token/self/fetch", key) for key in some))
            failed += self.generator.once(server, file)["failed"]
            touched += len(some)
        resident, own = server.resident_mib()
        note = f"{own:.0f} MiB without mapped files; {touched:,} keys made a request, {failed} failed"
        goal = Goal("MiB", at_most=200)
        self.results.append((f"resident memory, {count}, all touched", resident, "MiB", goal, note))

    def _pruning(self):
        from .pruning import measure

        measure(self, self.crowded("sessions-5m", 1000, self.options.sessions))
