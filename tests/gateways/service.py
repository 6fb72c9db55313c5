"""A hallpass with accounts and keys for the checks, all made through its API."""

import http.client
import itertools
import json
import os
import urllib.parse

# What docs/gateways.md tells the operator of the checks' hallpass to write into hallpass.toml.
SETTINGS = """
trusted_proxies = ["127.0.0.1/32"]

[gate.token]
audience = "https://api.example/internal"

[[gate.routes]]
route = "GET report/**"
permission = "bots:read"

[[gate.routes]]
route = "POST report/**"
permission = "bots:write"

[[gate.routes]]
route = "bound/{bot}/**"
"""

IDENTITY = [
    "X-Auth-Identity",
    "X-Auth-Account-Id",
    "X-Auth-Actor-Id",
    "X-Auth-Key-Id",
    "X-Auth-Session-Id",
    "X-Auth-Environment",
    "X-Auth-Scope",
    "X-Auth-Token",
]


class Hallpass:
    def __init__(self):
        self.url = urllib.parse.urlsplit(os.environ["HALLPASS_URL"])
        self.port = self.url.port
        self.first = os.environ["HALLPASS_KEY"]
        self.names = itertools.count()

    def ask(self, method, path, headers):
        """Any request; the status, the headers, and the body as JSON."""
        connection = http.client.HTTPConnection(self.url.hostname, self.port, timeout=30)
        connection.request(method, path, headers.pop("", None), headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, response.headers, json.loads(body) if body else None

    def post(self, path, body, key=None):
        headers = {"Authorization": f"Bearer {key or self.first}", "Content-Type": "application/json"}
        status, _, answer = self.ask("POST", f"/v1/{path}", headers | {"": json.dumps(body)})
        if status != 200:
            raise RuntimeError(f"{path}: {status} {answer}")
        return answer

    def key(self, user=None, **members):
        """A new key: its secret and its id."""
        path = f"user/{user}/token/create" if user else "token/create"
        made = self.post(path, {"name": f"check {next(self.names)}"} | members)
        return made["token"], made["id"]

    def own_account(self):
        headers = {"Authorization": f"Bearer {self.first}"}
        return self.ask("GET", "/v1/user/self/fetch", headers)[2]["id"]

    def account(self, name):
        return self.post("user/create", {"name": name, "email": f"{name}@example.com"})["id"]

    def session(self, key, **members):
        made = self.post("session/create", {"durationInSeconds": 900} | members, key)
        return made["token"], made["id"]
