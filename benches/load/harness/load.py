"""The clients: wrk for throughput, our own program for a fixed rate and for each request once."""

import json
import re
import subprocess
from dataclasses import dataclass

from .host import ROOT, TARGET, Failure, cpu_seconds

REPLAY = ROOT / "benches/load/replay.lua"
PROGRAM = TARGET / "release/hallpass-load"


@dataclass
class Request:
    """One request as it goes over the wire."""

    method: str
    path: str
    bearer: str = ""
    headers: tuple = ()
    body: object = None

    def wire(self):
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: 127.0.0.1", "User-Agent: load"]
        if self.bearer:
            lines.append(f"Authorization: Bearer {self.bearer}")
        lines += [f"{name}: {value}" for name, value in self.headers]
        body = self.body if isinstance(self.body, str) else json.dumps(self.body)
        if self.body is not None:
            if not any(name.lower() == "content-type" for name, _ in self.headers):
                lines.append("Content-Type: application/json")
            lines.append(f"Content-Length: {len(body.encode())}")
        else:
            body = ""
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def write_requests(file, requests):
    with open(file, "wb") as out:
        for request in requests:
            wire = request.wire()
            out.write(b"%d\n" % len(wire))
            out.write(wire)
    return file


@dataclass
class Measured:
    """One run of a load against one server."""

    requests: int = 0
    per_second: float = 0.0
    cpu_us: float = 0.0
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    failed: int = 0


class Generator:
    def __init__(self, pinning, connections, seconds):
        self.pinning = pinning
        self.connections = connections
        self.seconds = seconds

    def wrk(self, server, requests, seconds=None, first=0, connections=None):
        """As much as the server takes; its CPU time is counted meanwhile."""
        seconds = seconds or self.seconds
        command = ["wrk", "-t1", f"-c{connections or self.connections}", f"-d{seconds}s", "--timeout", "10s"]
        command += ["-s", str(REPLAY), f"http://127.0.0.1:{server.port}", "--", str(requests), str(first)]
        before = server.cpu_seconds()
        done = subprocess.run(
            self.pinning.client(command), capture_output=True, text=True, timeout=seconds + 60, check=False
        )
        used = server.cpu_seconds() - before
        found = re.search(r"^RESULT (.*)$", done.stdout, re.M)
        if done.returncode != 0 or not found:
            raise Failure(f"wrk: {done.stdout[-300:]} {done.stderr[-300:]}")
        value = read_values(found.group(1))
        failed = sum(value[name] for name in ("status", "connect", "read", "write", "timeout"))
        count = value["requests"]
        if count == 0:
            raise Failure(f"no answer within {seconds} s")
        return Measured(
            requests=count,
            per_second=count / (value["duration_us"] / 1e6),
            cpu_us=used / count * 1e6,
            p50_ms=value["p50_us"] / 1000,
            p99_ms=value["p99_us"] / 1000,
            failed=failed,
        )

    def paced(self, server, requests, rate, seconds, samples=None):
        """A fixed rate, whether or not the server keeps up."""
        extra = ["--samples", str(samples)] if samples else []
        before = server.cpu_seconds()
        value = self._own(
            "paced",
            server,
            requests,
            "--rate", f"{rate:.1f}", "--seconds", str(seconds), *extra,
            timeout=seconds * 3 + 60,
        )  # fmt: skip
        used = server.cpu_seconds() - before
        return Measured(
            requests=value["requests"],
            per_second=value["requests"] / seconds,
            cpu_us=used / max(1, value["requests"]) * 1e6,
            p50_ms=value["p50_us"] / 1000,
            p99_ms=value["p99_us"] / 1000,
            failed=value["failed"],
        )

    def once(self, server, requests, timeout=600):
        """Each request of the file once."""
        return self._own("once", server, requests, timeout=timeout)

    def tokens(self, server, requests, count, out):
        """Mints tokens into a file."""
        self._own("tokens", server, requests, "--count", str(count), "--out", str(out), timeout=300)
        return out.read_text().split()

    def pieces(self):
        """Nanoseconds of a bare signature and a bare verification, by algorithm."""
        command = self.pinning.client([str(PROGRAM), "pieces"])
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return read_values(done.stdout)

    def _own(self, what, server, requests, *options, timeout):
        command = [str(PROGRAM), what, "--to", f"127.0.0.1:{server.port}", "--requests", str(requests)]
        command += ["--connections", str(self.connections), *options]
        done = subprocess.run(
            self.pinning.client(command), capture_output=True, text=True, timeout=timeout, check=False
        )
        if done.returncode != 0:
            raise Failure(f"{what}: {done.stderr.strip()}")
        return read_values(done.stdout)


def read_values(line):
    return {
        name: float(value) if "." in value else int(value)
        for name, value in (pair.split("=") for pair in line.split())
    }
