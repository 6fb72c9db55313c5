"""A client that keeps its connection, and says what it knows of the outcome."""

import http.client
import json
import socket
from dataclasses import dataclass

from .host import Failure, now

TIMEOUT_SECS = 20


@dataclass
class Answer:
    """What came back, and when. `status` is 0 when nothing did: then nobody knows what happened."""

    status: int
    body: bytes
    headers: object
    began: float
    ended: float

    def json(self):
        return json.loads(self.body)


class Client:
    """One connection to one address. Not for several threads."""

    def __init__(self, port, timeout=TIMEOUT_SECS):
        self.port = port
        self.timeout = timeout
        self.connection = None

    def ask(self, method, path, bearer=None, body=None, headers=()):
        sent = dict(headers)
        if bearer:
            sent["Authorization"] = f"Bearer {bearer}"
        if body is not None:
            sent["Content-Type"] = "application/json"
            body = json.dumps(body).encode()
        began = now()
        fresh = self.connection is None
        if fresh:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        try:
            self.connection.request(method, path, body, sent)
            answer = self.connection.getresponse()
            read = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            # A server may close a connection that waits, as RFC 9112 §9.3.1 has it: what was sent on it
            # then was not read, if not a byte came back.
            is_stale = isinstance(error, (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError))
            if not fresh and is_stale and method == "GET":
                return self.ask(method, path, bearer, None, headers)
            return Answer(0, str(error).encode(), {}, began, now())
        ended = now()
        if answer.will_close:
            self.close()
        return Answer(answer.status, read, answer.headers, began, ended)

    def post(self, path, bearer, body=None, headers=()):
        return self.ask("POST", f"/v1/{path}", bearer, {} if body is None else body, headers)

    def get(self, path, bearer=None, headers=()):
        return self.ask("GET", path, bearer, None, headers)

    def must(self, path, bearer, body=None, headers=()):
        """A call that must succeed; its JSON."""
        answer = self.post(path, bearer, body, headers)
        if answer.status != 200:
            raise Failure(f"POST {path}: {answer.status} {answer.body[:300]!r}")
        return answer.json()

    def gate(self, credential, path="/v1/conversation/c1/fetch", method="GET"):
        """Asks the gate whether a credential may make a request of the API behind it."""
        headers = (("X-Original-Method", method), ("X-Original-URI", path))
        return self.get("/v1/authorize/nginx", credential, headers)

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def is_listening(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
