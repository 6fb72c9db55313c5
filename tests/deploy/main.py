"""Judges the files of examples/deploy. See `run`."""

import fnmatch
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request
from pathlib import Path

import compose_spec
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "examples/deploy"
TOOLS = Path(sys.executable).parent
HALLPASS = os.environ["HALLPASS_BIN"]
# The oldest that still gets fixes from its makers, and the newest that the checker knows.
KUBERNETES = ["1.33", "1.37"]
# What is finished after the port was closed: docs/operations.md, "When a node stops".
FINISH_SECS = 30


class Failure(Exception):
    """Something that must be so, and is not."""


def check(holds, what):
    if not holds:
        raise Failure(what)


def text_of(name):
    return (DEPLOY / name).read_text()


def run(*words, environment=None):
    """Runs a program; its output. It fails when the program does."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=120, check=False, env=environment)
    output = done.stdout + done.stderr
    check(done.returncode == 0, f"{Path(words[0]).name}: {output.strip()[-1500:]}")
    return output


def is_answered(path):
    try:
        with urllib.request.urlopen(os.environ["HALLPASS_URL"] + path, timeout=10) as answer:
            return answer.status == 200
    except urllib.error.HTTPError:
        return False


def settings_taken(text):
    """What a real hallpass makes of settings: it refuses names that it does not know, and values."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HALLPASS_")}
    with tempfile.TemporaryDirectory(prefix="hallpass-deploy.") as folder:
        file = Path(folder) / "hallpass.toml"
        file.write_text(text)
        words = [HALLPASS, "--config", file, "--database-url", f"sqlite://{folder}/h.db", "--keys-dir", f"{folder}/keys", "init"]
        run(*words, environment=environment)


def number(setting, text):
    found = re.search(rf"^\s*{setting} = (\d+)$", text, re.M)
    check(found, f"{setting} is not set")
    return int(found[1])


def drain_secs(text):
    return number("drain_delay_secs", text)


def manifests():
    return {item["kind"]: item for item in yaml.safe_load_all(text_of("kubernetes.yaml"))}


def known_variables():
    """The names that the source reads from the environment."""
    files = [ROOT / "src/settings/source.rs", *(ROOT / "src/cli").rglob("*.rs")]
    return {name for file in files for name in re.findall(r'"(HALLPASS_[A-Z_]+)"', file.read_text())}


def names():
    """Every variable that is named anywhere exists, and so does every command."""
    known = known_variables()
    check(len(known) > 10, f"the names are not where they were: {known}")
    for file in DEPLOY.iterdir():
        unknown = set(re.findall(r"HALLPASS_[A-Z_]+", file.read_text())) - known
        check(not unknown, f"{file.name} names {unknown}, which hallpass does not read")
    settings_taken(text_of("hallpass.toml"))
    help_text = run(HALLPASS, "--help")
    for text in (text_of("hallpass.service"), text_of("Containerfile")):
        for line in re.findall(r"/usr/local/bin/hallpass (--.*)$", text, re.M):
            for word in line.split():
                if word.startswith("--") or re.fullmatch(r"[a-z]+", word):
                    check(re.search(rf"(^|\s){word}\b", help_text), f"hallpass has no {word}")


def container():
    """The container file: its linter, and that what is copied is there and enough for what the source takes in."""
    run(TOOLS / "hadolint", "--failure-threshold", "warning", DEPLOY / "Containerfile")
    text = text_of("Containerfile")
    build = text.split("\nFROM ")[1]
    sources = [word for line in re.findall(r"^COPY (.*)$", build, re.M) for word in line.split()[:-1]]
    sources = [word.removeprefix("./") for word in sources]
    for source in sources:
        check((ROOT / source).exists(), f"{source} is copied and not there")
    ignored = (ROOT / ".dockerignore").read_text().split("\n")
    sent = [line[1:] for line in ignored if line.startswith("!")]
    for source in sources:
        check(any(s == source or s.startswith(f"{source}/") for s in sent), f".dockerignore keeps {source} from the build")

    def is_copied(path):
        relative = path.resolve().relative_to(ROOT).as_posix()
        copied = any(relative == s or relative.startswith(f"{s}/") for s in sources)
        return copied and any(relative == s or relative.startswith(f"{s}/") or fnmatch.fnmatch(relative, s) for s in sent)

    for file in (ROOT / "src").rglob("*.rs"):
        source = file.read_text().split("#[cfg(test)]")[0]
        if "tests" in file.parts or file.name == "tests.rs":
            continue
        taken = [file.parent / path for path in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', source)]
        taken += [ROOT / path for path in re.findall(r'migrate!\("([^"]+)"\)', source)]
        for path in taken:
            check(path.exists() and is_copied(path), f"{file.relative_to(ROOT)} takes in {path}, which is not copied")
    metadata = json.loads(run("cargo", "metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path", ROOT / "Cargo.toml"))
    for package in metadata["packages"]:
        files = [Path(package["manifest_path"])]
        # Cargo looks for every target of the package that it builds, and finds tests by itself.
        files += [Path(target["src_path"]) for target in package["targets"] if target["kind"] != ["test"] and package["name"] == "hallpass"]
        for path in files:
            check(is_copied(path), f"Cargo wants {path.relative_to(ROOT)}, which is not copied")
    toolchain = re.search(r'channel = "([^"]+)"', (ROOT / "rust-toolchain.toml").read_text())[1]
    used = re.search(r"rust:([\d.]+)", text)[1]
    check(toolchain.startswith(used), f"the image has Rust {used}, and rust-toolchain.toml asks for {toolchain}")
    check("ENTRYPOINT [\"/usr/local/bin/hallpass\"]" in text and ":nonroot" in text, "it does not start hallpass, or not as nobody")


def compose():
    """The compose file: its form, three nodes that differ in nothing, secrets apart, and time to stop."""
    parsed = compose_spec.PyOptions(apply_merge=True).from_yaml(text_of("compose.yaml"))
    parsed.validate()
    services = parsed.to_dict()["services"]
    nodes = {name: service for name, service in services.items() if service.get("image") == "hallpass"}
    check(len(nodes) == 3, f"nodes: {list(nodes)}")
    same = [{key: value for key, value in node.items() if key != "build"} for node in nodes.values()]
    check(all(node == same[0] for node in same), "nodes differ")
    for service in services.values():
        mounts = [mount.split(":")[0] for mount in service.get("volumes", []) if mount.startswith(".")]
        for path in [*mounts, *([f"{service['env_file']}.example"] if "env_file" in service else [])]:
            check((DEPLOY / path).exists(), f"{path} is named and not there")
    settings = text_of("hallpass.toml")
    check(services["haproxy"]["networks"]["inside"]["ipv4_address"] in settings, "the balancer is not among trusted_proxies")
    stop = int(same[0]["stop_grace_period"].removesuffix("s"))
    check(stop >= drain_secs(settings) + FINISH_SECS, f"a node is killed after {stop} s")
    database = json.dumps(services["postgres"]) + text_of(f"{services['postgres']['env_file']}.example")
    check("HALLPASS_" not in database, "PostgreSQL is given what is the nodes' alone")
    servers = re.findall(r"^\s+server \S+ (\S+):8080$", text_of("haproxy.cfg"), re.M)
    check(sorted(servers) == sorted(nodes), f"HAProxy sends to {servers}")
    limit = number("database_connections_max", settings)
    check(3 * (limit + 1) + 1 < 97, "PostgreSQL has not as many connections by default")


def kubernetes():
    """The manifests: their schemas, probes that are answered, a budget, secrets, and time to stop."""
    for version in KUBERNETES:
        told = run(TOOLS / "kubernetes-validate", "--strict", "-k", version, DEPLOY / "kubernetes.yaml")
        check(told.count(" passed for resource ") == len(manifests()), told)
    kinds = manifests()
    deployment, budget, service = (kinds[kind]["spec"] for kind in ("Deployment", "PodDisruptionBudget", "Service"))
    pod = deployment["template"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    for selector in (deployment["selector"]["matchLabels"], budget["selector"]["matchLabels"], service["selector"]):
        check(selector.items() <= labels.items(), f"{selector} finds no pod")
    check(1 <= budget["minAvailable"] < deployment["replicas"], "the budget lets all go, or none")
    check(deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0, "an upgrade takes a node away first")
    node = pod["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in node["ports"]}
    paths = {}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = node[probe]["httpGet"]
        check(asked["port"] in ports and is_answered(asked["path"]), f"{probe} asks {asked}, and is not answered")
        paths[probe] = asked["path"]
    check(paths["readinessProbe"] == "/readyz" and paths["livenessProbe"] == "/healthz", f"{paths}")
    check(is_answered(deployment["template"]["metadata"]["annotations"]["prometheus.io/path"]), "there are no metrics")
    check(service["ports"][0]["targetPort"] in ports, "the service leads to no port")
    settings = kinds["ConfigMap"]["data"]["hallpass.toml"]
    settings_taken(settings)
    check(re.search(r'^listen = "0\.0\.0\.0:(\d+)"$', settings, re.M)[1] == str(ports["http"]), "it listens elsewhere")
    ready = node["readinessProbe"]
    unseen = ready["periodSeconds"] * ready["failureThreshold"] + ready["timeoutSeconds"]
    check(drain_secs(settings) > unseen, f"it is not seen for {unseen} s that a node is leaving")
    check(pod["terminationGracePeriodSeconds"] >= drain_secs(settings) + FINISH_SECS, "a node is killed before it is done")
    variables = {variable["name"]: variable for variable in node["env"]}
    made = text_of("kubernetes.yaml").split("apiVersion", 1)[0]
    for name in ("HALLPASS_MASTER_KEY", "HALLPASS_DATABASE_URL"):
        secret = variables[name].get("valueFrom", {}).get("secretKeyRef")
        check(secret, f"{name} is not from a secret")
        told = f"create secret generic {secret['name']} " in made and f"--from-literal={secret['key']}=" in made
        check(told, f"nothing tells how to make {secret}")
    for volume in pod["volumes"]:
        if "secret" in volume:
            check(f"create secret generic {volume['secret']['secretName']} " in made, f"nothing tells how to make {volume}")
    mounted = {mount["name"] for mount in node["volumeMounts"]}
    check(mounted == {volume["name"] for volume in pod["volumes"]}, f"mounted: {mounted}")


def systemd():
    """The unit: systemd's own reader takes it, and finds it well confined."""
    with tempfile.TemporaryDirectory(prefix="hallpass-deploy.") as folder:
        unit = Path(folder) / "hallpass.service"
        # The program is not installed here.
        unit.write_text(text_of("hallpass.service").replace("ExecStart=/usr/local/bin/hallpass", f"ExecStart={HALLPASS}"))
        told = run("systemd-analyze", "verify", "--man=no", unit)
        # It says what it does not know, and goes on.
        check(unit.name not in told, told)
        run("systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", unit)
    stop = number("TimeoutStopSec", text_of("hallpass.service").replace("=", " = "))
    check(stop >= drain_secs(text_of("hallpass.toml")) + FINISH_SECS, f"a node is killed after {stop} s")


def haproxy():
    """HAProxy takes its file as it is, and sees a node leave before its port is closed."""
    run("haproxy", "-c", "-f", DEPLOY / "haproxy.cfg")
    text = text_of("haproxy.cfg")
    asked = re.search(r"httpchk GET (\S+)", text)[1]
    check(asked == "/readyz" and is_answered(asked), f"it asks {asked}")
    interval, fall = re.search(r"check inter (\d+)ms .*fall (\d+)", text).groups()
    unseen = int(interval) * int(fall) / 1000
    check(drain_secs(text_of("hallpass.toml")) > unseen + 1, f"it is not seen for {unseen} s that a node is leaving")


def main():
    passed = failed = 0
    for judged in (names, container, compose, kubernetes, systemd, haproxy):
        began = time.monotonic()
        try:
            judged()
            verdict, passed = "ok", passed + 1
        except Failure as failure:
            verdict, failed = f"FAILED: {failure}", failed + 1
        except Exception:
            verdict, failed = f"FAILED: {traceback.format_exc()}", failed + 1
        print(f"{judged.__name__}: {verdict} ({time.monotonic() - began:.1f} s)", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
