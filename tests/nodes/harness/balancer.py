"""HAProxy, with the configuration that examples/deploy ships: the same file, with other ports."""

import re
import shutil
import signal
import socket

from .host import ROOT, Process, check, free_port, wait_until
from .wire import is_listening

EXAMPLE = ROOT / "examples/deploy/haproxy.cfg"


class Balancer(Process):
    def __init__(self, place, nodes):
        super().__init__("haproxy", place.folder / f"haproxy-{free_port()}")
        self.port = free_port()
        text = EXAMPLE.read_text()
        text, changed = re.subn(r"bind :8080\b.*", f"bind 127.0.0.1:{self.port}", text)
        check(changed == 1, "examples/deploy/haproxy.cfg binds elsewhere than expected")
        lines = []
        for line in text.splitlines():
            if re.match(r"\s+server hallpass-\d ", line):
                continue
            # Names of containers are nobody's here.
            if line.strip().startswith(("resolvers", "nameserver", "parse-resolv-conf", "hold ")):
                continue
            if line.strip() == "# nodes":
                lines += [f"    server {node.name} 127.0.0.1:{node.port}" for node in nodes]
            lines.append(re.sub(r" resolvers \S+| init-addr \S+", "", line))
        text = "\n".join(lines) + "\n"
        self.socket = self.folder / "admin"
        text = text.replace("global\n", f"global\n    stats socket {self.socket} mode 600 level admin\n", 1)
        (self.folder / "haproxy.cfg").write_text(text)
        place.at_end(lambda: self.stop(signal.SIGKILL))

    def start(self):
        self.launch([shutil.which("haproxy"), "-db", "-f", "haproxy.cfg"])
        wait_until("HAProxy listens", self._listens, 10)
        return self

    def _listens(self):
        check(self.is_running(), f"HAProxy ended: {self.errors()}")
        return is_listening(self.port)

    def _tell(self, command):
        with socket.socket(socket.AF_UNIX) as end:
            end.connect(str(self.socket))
            end.sendall(command.encode() + b"\n")
            answer = b""
            while part := end.recv(65536):
                answer += part
        return answer.decode()

    def drain(self, name):
        """Sends nothing more to a node."""
        self._tell(f"set server nodes/{name} state drain")

    def ready(self, name):
        self._tell(f"set server nodes/{name} state ready")

    def is_up(self, name):
        lines = [line.split(",") for line in self._tell("show stat").splitlines()]
        return any(line[:2] == ["nodes", name] and line[17] == "UP" for line in lines if len(line) > 17)
