"""What is measured: hallpass, the yardsticks, the peers. Each is one process on a free port."""

import http.client
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from .host import ROOT, TARGET, Failure, cpu_seconds, resident_mib
from .load import PROGRAM

HALLPASS = TARGET / "release/hallpass"
ISSUER = "http://hallpass.test"
START_SECS = 60


class Server:
    """A process that serves on `port`."""

    def __init__(self, name, pinning, folder):
        self.name = name
        self.pinning = pinning
        self.folder = folder
        self.process = None
        self.port = None
        folder.mkdir(parents=True, exist_ok=True)

    def launch(self, command, environment=None):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HALLPASS_")}
        with open(self.folder / "out", "wb") as out, open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                self.pinning.server([str(word) for word in command]),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                cwd=self.folder,
                env={**clean, **(environment or {})},
            )

    def wait_for(self, file, pattern):
        """The first group of a pattern, once it stands in what the process wrote."""
        until = time.monotonic() + START_SECS
        while time.monotonic() < until:
            text = (self.folder / file).read_text(errors="replace")
            found = re.search(pattern, text, re.M)
            if found:
                return found.group(1)
            if self.process.poll() is not None:
                break
            time.sleep(0.002)
        raise Failure(f"{self.name} did not start: {self.log_tail()}")

    def log_tail(self):
        return (self.folder / "log").read_text(errors="replace")[-500:].strip()

    def cpu_seconds(self):
        return cpu_seconds(self.process.pid)

    def resident_mib(self):
        return resident_mib(self.process.pid)

    def call(self, request):
        """Status, headers and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.connect()
            connection.sock.sendall(request.wire())
            answer = http.client.HTTPResponse(connection.sock)
            answer.begin()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def stop(self, by=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(by)
            try:
                self.process.wait(timeout=40)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None


class Yardstick(Server):
    """One of our own bare servers."""

    def __init__(self, name, pinning, folder, *words):
        super().__init__(name, pinning, folder)
        self.words = words

    def start(self):
        for old in self.folder.glob("record.db*"):
            old.unlink()
        self.launch([PROGRAM, *self.words])
        self.port = int(self.wait_for("out", r"^ready (\d+)$"))


class Hallpass(Server):
    """hallpass as it is shipped: no setting but where it is, and the algorithm."""

    def __init__(self, name, pinning, folder, algorithm="ES256", database=None):
        super().__init__(name, pinning, folder)
        self.algorithm = algorithm
        self.file = folder / "hallpass.db"
        self.database = database or f"sqlite://{self.file}"
        self.first = None

    def start(self):
        began = time.perf_counter()
        self.launch(
            [HALLPASS, "--listen", "127.0.0.1:0"],
            {
                "HALLPASS_ISSUER": ISSUER,
                "HALLPASS_ALGORITHM": self.algorithm,
                "HALLPASS_DATABASE_URL": self.database,
                "HALLPASS_KEYS_DIR": str(self.folder / "keys"),
            },
        )
        line = self.wait_for("log", r"^(.*\bready\b.*)$")
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
        self.port = int(re.search(r"listen=127\.0\.0\.1:(\d+)", plain).group(1))
        while not self.is_ready():
            time.sleep(0.002)
        self.ready_secs = time.perf_counter() - began
        if self.first is None:
            first = (self.folder / "out").read_text().split("\n", 1)[0].strip()
            self.first = first or None

    def is_ready(self):
        from .load import Request

        return self.call(Request("GET", "/readyz"))[0] == 200

    def post(self, path, body, bearer=None, headers=()):
        """Calls the API as a client does; anything but a good answer ends the benchmark."""
        from .load import Request

        request = Request("POST", f"/v1/{path}", bearer or self.first, tuple(headers), body)
        status, _, answer = self.call(request)
        if status // 100 != 2:
            raise Failure(f"{self.name}: POST {path}: {status} {answer[:300]!r}")
        return json.loads(answer)


class Postgres:
    """A throw-away cluster with fsync on, from `.ci/postgres`; one that runs already is left running."""

    SCRIPT = ROOT / ".ci/postgres"

    def __init__(self):
        state = ROOT / "target/ci-postgres"
        self.was_there = state.exists()
        done = subprocess.run([self.SCRIPT, "start"], capture_output=True, text=True, timeout=900, check=False)
        found = re.search(r"^TEST_DATABASE_URL=(.*)$", done.stdout, re.M)
        if not found:
            raise Failure(f"PostgreSQL: {done.stderr[-300:]}")
        self.admin = found.group(1)
        folder = Path(state.read_text().split("\n", 1)[0])
        self.pid = int((folder / "data/postmaster.pid").read_text().split("\n", 1)[0])
        self.name = f"load_{os.getpid()}"
        self.psql("-c", f"CREATE DATABASE {self.name}")
        self.url = self.admin.rsplit("/", 1)[0] + "/" + self.name

    def psql(self, *words):
        tools = sorted(Path("/usr/lib/postgresql").glob("*/bin/psql"), reverse=True)
        psql = str(tools[0]) if tools else "psql"
        subprocess.run([psql, "-q", self.admin, *words], check=True, capture_output=True, timeout=60)

    def stop(self):
        if self.was_there:
            self.psql("-c", f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        else:
            subprocess.run([self.SCRIPT, "stop"], check=False, timeout=120, capture_output=True)
