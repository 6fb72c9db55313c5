"""An API behind hallpass: it verifies session tokens offline, and follows the revocation feed."""

import json
import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from feed import Feed
from jws import Refused, RemoteKeys
from routes import allows, read_path
from tokens import verify_token

ISSUER = os.environ["ISSUER"]
AUDIENCE = os.environ["AUDIENCE"]
KEYS = RemoteKeys(ISSUER)
FEED = Feed(ISSUER, KEYS, float(os.environ.get("BOUND_SECS", "10")))


class Api(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_request(self):
        # A body that is not read would be taken for the next request.
        self.close_connection = True
        # Two headers are none: which one would count?
        values = self.headers.get_all("authorization", [])
        token = len(values) == 1 and re.fullmatch(r"bearer ([\w.-]+)", values[0], re.I | re.A)
        if not token:
            return self.answer(401, {"message": "a bearer token is needed"})
        try:
            claims, kid = verify_token(token[1], ISSUER, AUDIENCE, KEYS)
        except ConnectionError:
            return self.answer(503, {"message": "no keys"})
        except Refused as refused:
            return self.answer(401, {"message": str(refused)})
        dead = FEED.dead(claims, kid)
        if dead:
            return self.answer(503 if dead == "revocation_unknown" else 401, {"message": dead})
        segments = read_path(self.path)
        if segments is None:
            return self.answer(403, {"message": "the path can be read in two ways"})
        if not allows(claims["allowedRoutes"], self.command, segments):
            return self.answer(403, {"message": "the session does not allow this request"})
        # This API has no permissions, projects or pages of its own. To leave a restriction unread would
        # widen it.
        for name in ("scope", "bindings", "domains"):
            if name in claims:
                return self.answer(403, {"message": f"sessions with {name} are not for this service"})
        self.answer(
            200,
            {
                "method": self.command,
                "path": "/".join(segments),
                "account": claims["sub"],
                "actor": claims.get("act", {}).get("sub"),
            },
        )

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_request

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.send_header("connection", "close")
        if status == 401:
            self.send_header("www-authenticate", "Bearer")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    FEED.follow()
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "0"))), Api)
    print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
