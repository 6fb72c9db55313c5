"""A PostgreSQL of our own: started, stopped under load, and started again on the same port."""

import os
import pwd
import secrets
import shutil
import subprocess
from pathlib import Path

from .host import Failure, check, free_port, wait_until

USER = "hallpass"


def tools():
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if found:
        return found[0].parent
    initdb = shutil.which("initdb")
    check(initdb, "initdb is not here")
    return Path(initdb).resolve().parent


def unprivileged():
    """Who runs it when we are root, which PostgreSQL refuses to run as."""
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Failure("there is no user to run PostgreSQL as")


class Postgres:
    def __init__(self, place, tls=None):
        self.tools = tools()
        self.folder = place.folder / f"postgres-{free_port()}"
        self.folder.mkdir()
        self.password = secrets.token_hex(16)
        self.port = free_port()
        self.runner = []
        self.owner = None
        if os.getuid() == 0:
            self.owner = unprivileged()
            self.runner = ["runuser", "-u", self.owner.pw_name, "--"]
            os.chown(self.folder, self.owner.pw_uid, self.owner.pw_gid)
        secret = self.folder / "password"
        secret.write_text(self.password + "\n")
        self._own(secret)
        self._tool("initdb", "-D", "data", "-U", USER, f"--pwfile={secret}", "--auth=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8")
        self.options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories= -c max_connections=200"
        if tls:
            for name in ("server.crt", "server.key"):
                shutil.copy(tls / name, self.folder / "data" / name)
                (self.folder / "data" / name).chmod(0o600)
                self._own(self.folder / "data" / name)
            self.options += " -c ssl=on"
        place.at_end(lambda: self.stop("immediate"))
        self.start()

    def _own(self, path):
        if self.owner:
            os.chown(path, self.owner.pw_uid, self.owner.pw_gid)

    def _tool(self, name, *words, timeout=120, good=(0,)):
        done = subprocess.run(
            [*self.runner, str(self.tools / name), *words],
            cwd=self.folder, capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL,
        )
        check(done.returncode in good, f"{name}: {done.stdout[-300:]} {done.stderr[-300:]}")

    def start(self):
        # Its streams in a file: a server that has ours would keep them open.
        with open(self.folder / "log", "ab") as log:
            done = subprocess.run(
                [*self.runner, str(self.tools / "pg_ctl"), "-D", "data", "-w", "-t", "60", "-o", self.options, "start"],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=90, check=False,
            )
        check(done.returncode == 0, f"PostgreSQL does not start:\n{(self.folder / 'log').read_text()[-800:]}")

    def stop(self, mode="fast"):
        if (self.folder / "data/postmaster.pid").exists():
            self._tool("pg_ctl", "-D", "data", "-m", mode, "-w", "-t", "60", "stop", good=(0, 1))

    def create(self, name):
        self.sql(f"CREATE DATABASE {name}")
        return name

    def url(self, database, port=None, host="127.0.0.1", parameters=""):
        mark = "?" if parameters else ""
        return f"postgres://{USER}:{self.password}@{host}:{port or self.port}/{database}{mark}{parameters}"

    def sql(self, text, database="postgres"):
        """Runs statements; the rows as lists of texts."""
        done = subprocess.run(
            [str(self.tools / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), "-f", "-"],
            input=text, capture_output=True, text=True, timeout=60, check=False,
        )
        check(done.returncode == 0, f"psql: {done.stderr[-400:]}")
        return [line.split("|") for line in done.stdout.splitlines()]

    def load(self, file, database):
        self.sql(Path(file).read_text(), database)

    def one(self, text, database="postgres"):
        return self.sql(text, database)[0][0]

    def standby(self, place):
        """A standby of this one, of which the replay is then held."""
        other = object.__new__(Postgres)
        other.__dict__.update(self.__dict__)
        other.port = free_port()
        other.folder = place.folder / f"standby-{other.port}"
        other.folder.mkdir()
        if other.owner:
            os.chown(other.folder, other.owner.pw_uid, other.owner.pw_gid)
        uri = self.url("postgres")
        other._tool("pg_basebackup", "-D", "data", "-R", "-X", "stream", "-c", "fast", "-d", uri)
        other.options = f"-c listen_addresses=127.0.0.1 -c port={other.port} -c unix_socket_directories= -c max_connections=200"
        place.at_end(lambda: other.stop("immediate"))
        other.start()
        return other

    def wait_ready(self):
        def ready():
            try:
                return bool(self.sql("SELECT 1"))
            except Failure:
                return False

        wait_until("PostgreSQL answers", ready)
