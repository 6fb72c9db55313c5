"""Starts the gateways from the files of examples/gateways: the same files, with other ports."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import wire

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = HERE.parent.parent / "examples" / "gateways"
VENV = HERE / ".venv" / "bin"

NAMES = ["nginx", "caddy", "envoy", "traefik", "haproxy"]


def command(name, folder):
    """How README.md of the examples says that it is started."""
    return {
        "nginx": ["nginx", "-p", folder, "-c", f"{folder}/nginx.conf", "-g", "daemon off;"],
        "caddy": ["caddy", "run", "--config", "Caddyfile"],
        "envoy": [str(VENV / "envoy"), "-c", "envoy.yaml", "--use-dynamic-base-id", "-l", "error"],
        "traefik": [str(VENV / "traefik"), "--configFile=traefik.yml"],
        "haproxy": ["haproxy", "-db", "-f", "haproxy.cfg"],
    }[name]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Gateway:
    def __init__(self, name, hallpass, api):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix=f"hallpass-{name}.")
        # The workers of nginx are somebody else.
        os.chmod(self.folder, 0o755)
        for _ in range(3):
            self.port = free_port()
            self._configure(hallpass, api)
            self._start(hallpass)
            if self._listens():
                return
            self.stop(keep=True)
        log = self.log()
        self.stop()
        raise RuntimeError(f"{name} does not start:\n{log}")

    def _configure(self, hallpass, api):
        changed = set()
        for source in (EXAMPLES / self.name).iterdir():
            text = source.read_text()
            for old, new in {
                "127.0.0.1:8080": f"127.0.0.1:{hallpass}",
                "127.0.0.1:9000": f"127.0.0.1:{api}",
                "address: 127.0.0.1, port_value: 8080": f"address: 127.0.0.1, port_value: {hallpass}",
                "address: 127.0.0.1, port_value: 9000": f"address: 127.0.0.1, port_value: {api}",
                "address: 0.0.0.0, port_value: 8000": f"address: 127.0.0.1, port_value: {self.port}",
                "listen 8000": f"listen 127.0.0.1:{self.port}",
                '":8000"': f'"127.0.0.1:{self.port}"',
                "bind :8000": f"bind 127.0.0.1:{self.port}",
                "\n:8000 {": f"\nhttp://:{self.port} {{",
            }.items():
                if old in text:
                    changed.add(new)
                    text = text.replace(old, new)
            (pathlib.Path(self.folder) / source.name).write_text(text)
        if len(changed) < 3:
            raise RuntimeError(f"{self.name}: the example names other addresses than expected")

    def _start(self, hallpass):
        environment = dict(os.environ, HALLPASS_URL=f"http://127.0.0.1:{hallpass}")
        # Caddy keeps what it runs with in these.
        environment.update(XDG_DATA_HOME=self.folder, XDG_CONFIG_HOME=self.folder)
        with open(f"{self.folder}/log", "wb") as log:
            self.process = subprocess.Popen(
                command(self.name, self.folder),
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _listens(self):
        """Until hallpass, through the gateway, refuses a request without a credential."""
        until = time.monotonic() + 30
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if wire.request(self.port, "/v1/bot/ok/a").status == 401:
                    return True
            except OSError:
                pass
            time.sleep(0.05)
        return False

    def log(self):
        return pathlib.Path(self.folder, "log").read_text(errors="replace")[-4000:]

    def stop(self, keep=False):
        if self.process.poll() is None:
            # The group: nginx and HAProxy have workers.
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(timeout=5)
        if not keep:
            shutil.rmtree(self.folder, ignore_errors=True)
