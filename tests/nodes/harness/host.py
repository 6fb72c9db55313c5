"""Ports, folders, processes: what every part of the harness stands on."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """Something that must be so, and is not."""


def check(holds, what):
    if not holds:
        raise Failure(what)


def now():
    """The clock of all histories. It is the one that the nodes measure their bound with, too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


_handed_out = set()


def free_port():
    """A port that nobody has, and that was not handed out before."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        if port not in _handed_out:
            _handed_out.add(port)
            return port


def wait_until(what, holds, seconds=30, pause=0.02):
    """Asks until it holds; how long that took."""
    began = time.monotonic()
    while True:
        if holds():
            return time.monotonic() - began
        check(time.monotonic() - began < seconds, f"after {seconds} s still not so: {what}")
        time.sleep(pause)


def cpu_seconds(pid):
    """User and system time that a process has used, all its threads together."""
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text[text.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


class Process:
    """A program that runs in a folder, with its streams in files there."""

    def __init__(self, name, folder):
        self.name = name
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process = None

    def launch(self, command, environment=None):
        with open(self.folder / "out", "ab") as out, open(self.folder / "err", "ab") as err:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self.folder,
                env=environment,
            )

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def send(self, number):
        self.process.send_signal(number)

    def stop(self, by=signal.SIGTERM, seconds=60):
        """Stops it; the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            # A process that is frozen hears nothing else.
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(by)
            try:
                self.process.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        code = self.process.returncode
        self.process = None
        return code

    def errors(self, lines=15):
        text = (self.folder / "err").read_text(errors="replace")
        return "\n".join(text.splitlines()[-lines:])


class Place:
    """A folder that is gone at the end, with all that was started in it."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="hallpass-nodes."))
        # PostgreSQL does not run as root, and goes through here.
        self.folder.chmod(0o755)
        self._ends = []

    def at_end(self, end):
        self._ends.append(end)

    def close(self):
        for end in reversed(self._ends):
            try:
                end()
            except Exception as error:  # what is left must be stopped, too
                print(f"    while stopping: {error}")
        self._ends.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
