#!/usr/bin/env python3
"""An API to put a gateway before: it answers with the request as it got it.

    api.py [PORT]    9000 when none is given
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def echo(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        identity = {
            name: value for name, value in self.headers.items() if name.lower().startswith("x-auth-")
        }
        seen = {"method": self.command, "target": self.path, "identity": identity}
        body = json.dumps(seen, indent=2).encode() + b"\n"
        # An API that believes these headers answers nobody who comes without them.
        self.send_response(200 if identity else 403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = echo

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """A gateway closes connections that it keeps for later as it likes."""


Server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 9000), Echo).serve_forever()
