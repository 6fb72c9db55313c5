"""What the machine tells: processes, their CPU time and memory, and itself."""

import os
import re
import statistics
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

SERVER_CORE = "0"
CLIENT_CORE = "1"


class Failure(Exception):
    """Something without which a case cannot be measured."""


class Pinning:
    """Servers on one core, clients on another, or everything where the kernel likes."""

    def __init__(self, wanted):
        allowed = os.sched_getaffinity(0)
        self.on = wanted and {int(SERVER_CORE), int(CLIENT_CORE)} <= allowed
        self.missed = wanted and not self.on

    def server(self, command):
        return ["taskset", "-c", SERVER_CORE, *command] if self.on else command

    def client(self, command):
        return ["taskset", "-c", CLIENT_CORE, *command] if self.on else command

    def __str__(self):
        if self.on:
            return f"servers on core {SERVER_CORE}, load on core {CLIENT_CORE}"
        return "not pinned"


def cpu_seconds(pid):
    """User and system time that a process has used, all its threads together."""
    text = Path(f"/proc/{pid}/stat").read_text()
    # The name of the program stands in brackets and may hold anything.
    fields = text[text.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


def family_cpu_seconds(pid):
    """The same for a process and the children that it has now."""
    total = 0.0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
            parent = int(text[text.rindex(")") + 2 :].split()[1])
            if int(entry.name) == pid or parent == pid:
                total += cpu_seconds(entry.name)
        except (OSError, ValueError):
            continue
    return total


def resident_mib(pid):
    """Resident memory. `anonymous` is what the process itself holds, without the pages of its files."""
    text = Path(f"/proc/{pid}/status").read_text()
    value = {name: int(kib) / 1024 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
    return value["VmRSS"], value["RssAnon"]


def fsync_ms(folder):
    """What one small synced write costs on the disk of a folder."""
    file = folder / "fsync-probe"
    took = []
    with open(file, "wb", buffering=0) as out:
        for _ in range(50):
            begin = time.perf_counter()
            out.write(b"x" * 4096)
            os.fdatasync(out.fileno())
            took.append((time.perf_counter() - begin) * 1000)
    file.unlink()
    return statistics.median(took)


def describe(folder):
    """The machine and the state of the source, as lines."""
    cpu = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    memory = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.M)
    file_system = run_quietly("stat", "-f", "-c", "%T", str(folder))
    commit = run_quietly("git", "-C", str(ROOT), "log", "-1", "--format=%h %s")
    changed = run_quietly("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no")
    load = os.getloadavg()[0]
    lines = [
        f"machine: {os.cpu_count()} cores, {cpu.group(1) if cpu else os.uname().machine}, "
        f"{int(memory.group(1)) / 1048576:.0f} GiB, Linux {os.uname().release}",
        f"disk: {file_system}, a synced write of 4 KiB takes {fsync_ms(folder):.2f} ms",
        f"source: {commit}{' (with changes that are not committed)' if changed else ''}",
        f"load of the machine before the start: {load:.2f}",
    ]
    if load > 0.5:
        lines.append("THE MACHINE IS BUSY WITH OTHER WORK: these figures are noise")
    if file_system == "tmpfs":
        lines.append("THE DATA IS IN MEMORY: a durable write costs nothing here")
    return lines


def run_quietly(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip()
