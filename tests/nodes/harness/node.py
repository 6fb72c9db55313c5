"""One node of hallpass, and a few of them."""

import base64
import os
import secrets
import signal

from .host import Failure, Process, free_port, wait_until
from .wire import Client

BINARY = os.environ.get("HALLPASS_BIN", "")
ISSUER = "http://hallpass.test"


class Node(Process):
    def __init__(self, place, name, url, master_key, settings="", binary=None, direct_url=None):
        super().__init__(name, place.folder / f"{name}-{free_port()}")
        self.port = free_port()
        self.binary = binary or BINARY
        (self.folder / "hallpass.toml").write_text(settings)
        clean = {word: value for word, value in os.environ.items() if not word.startswith("HALLPASS_")}
        self.environment = {
            **clean,
            "HALLPASS_LISTEN": f"127.0.0.1:{self.port}",
            "HALLPASS_ISSUER": ISSUER,
            "HALLPASS_DATABASE_URL": url,
            "HALLPASS_MASTER_KEY": master_key,
            "HALLPASS_LOG": "warn",
        }
        if direct_url:
            self.environment["HALLPASS_DATABASE_DIRECT_URL"] = direct_url
        place.at_end(lambda: self.stop(signal.SIGKILL))

    def start(self, wait=True):
        self.launch([self.binary], self.environment)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=60):
        def ready():
            if not self.is_running():
                raise Failure(f"{self.name} ended:\n{self.errors()}")
            return self.is_ready()

        return wait_until(f"{self.name} is ready", ready, seconds)

    def is_ready(self):
        client = self.client(timeout=3)
        try:
            return client.get("/readyz").status == 200
        finally:
            client.close()

    def client(self, timeout=20):
        return Client(self.port, timeout)

    def first_key(self):
        """The key that it printed when it was the one that set the database up."""
        lines = (self.folder / "out").read_text().splitlines()
        return lines[0] if lines and lines[0].startswith("sk_live_") else None

    def metric(self, name):
        """The sum of a metric over its labels."""
        client = self.client()
        try:
            text = client.get("/metrics").body.decode()
        finally:
            client.close()
        lines = [line for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name]
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def cli(self, *words):
        """The command line on the node's own database and settings."""
        import subprocess

        done = subprocess.run(
            [self.binary, *words], env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode != 0:
            raise Failure(f"hallpass {' '.join(words)}: {done.stderr[-400:]}")
        return done.stdout

    def freeze(self):
        self.send(signal.SIGSTOP)

    def thaw(self):
        self.send(signal.SIGCONT)


def new_master_key():
    return base64.b64encode(secrets.token_bytes(32)).decode()
