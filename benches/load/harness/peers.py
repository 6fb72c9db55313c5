"""Other people's servers that do a like thing: from npm two, from Debian one."""

import base64
import gzip
import http.client
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import time

from .host import ROOT, TARGET, Failure
from .load import Request
from .servers import Server

PLACE = ROOT / "benches/load/peers"
FORM = (("Content-Type", "application/x-www-form-urlencoded"),)


def add(bench):
    """Adds their cases."""

    def node(name, script, *words):
        def make():
            packages()
            server = Node(name, bench.pinning, bench.folder / name, script, words)
            bench.servers[name] = server
            server.start()
            return server

        return bench.once(name, make)

    def oidc_provider():
        server = node("oidc-provider", "oidc-provider.mjs")
        body = (
            "grant_type=client_credentials&client_id=load&scope=conversation+bot+report"
            "&client_secret=a-secret-that-is-long-enough-for-a-client"
        )
        return server, checked(bench, server, "mint oidc", Request("POST", "/token", "", FORM, body))

    def oidc_jwks():
        server = node("oidc-provider", "oidc-provider.mjs")
        return server, checked(bench, server, "jwks oidc", Request("GET", "/jwks"))

    key = "sk_live_of_the_fastify_server"

    def fastify():
        return node("fastify", "fastify.mjs", str(bench.folder / "fastify"), key)

    def fastify_mint():
        return fastify(), checked(bench, fastify(), "mint fastify", bench.mint_request(key))

    def fastify_gate():
        from .cases import ASKED, GATE

        return fastify(), checked(bench, fastify(), "gate fastify", Request("GET", GATE, key, ASKED))

    def glewlwyd():
        def make():
            server = Glewlwyd("glewlwyd", bench.pinning, bench.folder / "glewlwyd")
            bench.servers["glewlwyd"] = server
            server.start()
            return server

        server = bench.once("glewlwyd", make)
        return server, checked(bench, server, "mint glewlwyd", server.mint_request())

    bench.add("peer: oidc-provider, mint", oidc_provider, against="axum: sign ES256")
    bench.add("peer: fastify + jose + SQLite, mint", fastify_mint, against="axum: sign ES256")
    bench.add("peer: glewlwyd, mint", glewlwyd, against="axum: sign ES256")
    bench.add("peer: oidc-provider, JWKS", oidc_jwks, against="axum: hello")
    bench.add("peer: fastify + SQLite, gate by key", fastify_gate, against="axum: hello")


def checked(bench, server, name, request):
    """The file of a request that is answered well."""
    status, _, body = server.call(request)
    if status != 200:
        raise Failure(f"{server.name}: {request.path}: {status} {body[:200]!r}")
    return bench.write(name, request)


def packages():
    """Installs what npm gives, once; better-sqlite3 may have to be compiled."""
    wanted = (PLACE / "package-lock.json").read_bytes()
    stamp = PLACE / "node_modules/.installed"
    if stamp.exists() and stamp.read_bytes() == wanted:
        return
    if not shutil.which("npm"):
        raise Failure("npm is not here")
    done = subprocess.run(
        ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=PLACE, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise Failure(f"npm ci: {done.stderr[-300:]}")
    stamp.write_bytes(wanted)


class Node(Server):
    """One of the scripts beside package.json."""

    def __init__(self, name, pinning, folder, script, words):
        super().__init__(name, pinning, folder)
        self.command = ["node", PLACE / script, *words]

    def start(self):
        self.launch(self.command, {"NODE_ENV": "production"})
        self.port = int(self.wait_for("out", r"^ready (\d+)$"))


class Glewlwyd(Server):
    """glewlwyd's OAuth 2 plugin on SQLite: client_credentials, tokens signed with ES256.

    Nothing is installed but libraries: the package of the server is unpacked below the target folder.
    """

    PACKAGES = ("glewlwyd", "glewlwyd-common")
    CLIENT = ("load", "a-secret-that-is-long-enough-for-a-client")

    def unpack(self):
        place = TARGET / "load-peers/glewlwyd"
        if (place / "usr/bin/glewlwyd").exists():
            return place
        if not (os.geteuid() == 0 and shutil.which("apt-get")):
            raise Failure("glewlwyd is taken from Debian, which needs root and apt-get")
        debs = self.folder / "debs"
        debs.mkdir()
        quiet = {"check": True, "capture_output": True, "text": True, "timeout": 300}
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        try:
            subprocess.run(["apt-get", "update", "-qq"], **quiet)
            subprocess.run(["apt-get", "download", "-qq", *self.PACKAGES], cwd=debs, **quiet)
            shown = subprocess.run(["apt-cache", "depends", "glewlwyd"], **quiet).stdout
            depends = [line.split()[1] for line in shown.splitlines() if line.strip().startswith("Depends: lib")]
            command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *depends]
            subprocess.run(command, env=environment, **quiet)
            place.mkdir(parents=True, exist_ok=True)
            for deb in sorted(debs.glob("*.deb")):
                subprocess.run(["dpkg", "-x", str(deb), str(place)], **quiet)
        except subprocess.CalledProcessError as error:
            raise Failure(f"glewlwyd cannot be had: {error.stderr[-200:]}") from error
        return place

    def start(self):
        place = self.unpack()
        library = place / "usr/lib/glewlwyd"
        nothing = self.folder / "nothing"
        nothing.mkdir()
        file = self.folder / "glewlwyd.db"
        with gzip.open(place / "usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz", "rt") as script:
            database = sqlite3.connect(file)
            database.executescript(script.read())
            # Kinder than as it is shipped: its 150,000 rounds over a client's secret, for each token,
            # are for secrets that people choose, and its journal syncs twice.
            database.execute(
                "UPDATE g_client_module_instance SET gcmi_parameters = "
                "json_set(gcmi_parameters, '$.pbkdf2-iterations', 1)"
            )
            database.commit()
            database.execute("PRAGMA journal_mode = WAL")
            database.close()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = self.folder / "glewlwyd.conf"
        config.write_text(
            f"""
            port={self.port}
            bind_address="127.0.0.1"
            external_url="http://127.0.0.1:{self.port}"
            api_prefix="api"
            log_mode="console"
            log_level="ERROR"
            cookie_secure=0
            login_api_enabled=true
            admin_scope="g_admin"
            profile_scope="g_profile"
            user_module_path="{library}/user"
            user_middleware_module_path="{nothing}"
            client_module_path="{library}/client"
            user_auth_scheme_module_path="{library}/scheme"
            plugin_module_path="{library}/plugin"
            hash_algorithm="SHA512"
            database = {{ type = "sqlite3" path = "{file}" }};
            """
        )
        self.launch([place / "usr/bin/glewlwyd", "--config-file", config])
        until = time.monotonic() + 20
        while True:
            try:
                cookie = self.log_in()
                break
            except OSError as error:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise Failure(f"glewlwyd did not start: {self.log_tail()}") from error
                time.sleep(0.05)
        self.set_up(cookie)

    def api(self, path, body, cookie=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Content-Type": "application/json", **({"Cookie": cookie} if cookie else {})}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status != 200:
            raise Failure(f"glewlwyd: POST {path}: {answer.status} {text[:300]!r}")
        return answer.headers

    def log_in(self):
        headers = self.api("/api/auth", {"username": "admin", "password": "password"})
        return headers["Set-Cookie"].split(";", 1)[0]

    def set_up(self, cookie):
        key = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        private = subprocess.run(key, capture_output=True, check=True, text=True).stdout
        command = ["openssl", "pkey", "-pubout"]
        public = subprocess.run(command, input=private, capture_output=True, check=True, text=True).stdout
        self.api("/api/scope/", {"name": "conversation", "display_name": "conversation", "password_required": False}, cookie)
        parameters = {
            "jwt-type": "ecdsa",
            "jwt-key-size": "256",
            "key": private,
            "cert": public,
            "access-token-duration": 900,
            "refresh-token-duration": 900,
            "code-duration": 600,
            "auth-type-code-enabled": False,
            "auth-type-implicit-enabled": False,
            "auth-type-password-enabled": False,
            "auth-type-client-enabled": True,
            "auth-type-refresh-enabled": False,
            "scope": [],
        }
        plugin = {"module": "oauth2-glewlwyd", "name": "load", "display_name": "load", "parameters": parameters}
        self.api("/api/mod/plugin/", plugin, cookie)
        name, secret = self.CLIENT
        client = {
            "client_id": name,
            "confidential": True,
            "password": secret,
            "enabled": True,
            "scope": ["conversation"],
            "authorization_type": ["client_credentials"],
        }
        self.api("/api/client/", client, cookie)

    def mint_request(self):
        basic = base64.b64encode(":".join(self.CLIENT).encode()).decode()
        headers = (("Authorization", f"Basic {basic}"), *FORM)
        body = "grant_type=client_credentials&scope=conversation"
        return Request("POST", "/api/load/token", "", headers, body)
