"""An API behind hallpass: it verifies session tokens offline, from the published keys."""

import json
import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

from routes import allows, read_path

ISSUER = os.environ["ISSUER"]
AUDIENCE = os.environ["AUDIENCE"]
# PyJWKClient keeps the keys for 5 minutes and asks again for an unknown `kid`.
KEYS = jwt.PyJWKClient(f"{ISSUER}/.well-known/jwks.json", timeout=5)


def verify(token):
    # PyJWT does not look at `typ`: an access token is the only kind that is meant here.
    if jwt.get_unverified_header(token).get("typ") != "at+jwt":
        raise jwt.InvalidTokenError("not an access token")
    key = KEYS.get_signing_key_from_jwt(token)
    return jwt.decode(
        token,
        key,
        algorithms=["ES256", "EdDSA", "RS256"],
        issuer=ISSUER,
        audience=AUDIENCE,
        options={"require": ["exp", "iat", "nbf", "iss", "aud", "sub", "jti", "allowedRoutes"]},
    )


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
            claims = verify(token[1])
        except jwt.PyJWKClientConnectionError:
            return self.answer(503, {"message": "no keys"})
        except jwt.PyJWTError as error:
            return self.answer(401, {"message": str(error)})
        segments = read_path(self.path)
        if segments is None:
            return self.answer(403, {"message": "the path can be read in two ways"})
        if not allows(claims["allowedRoutes"], self.command, segments):
            return self.answer(403, {"message": "the session does not allow this request"})
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
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "0"))), Api)
    print(f"listening on http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
