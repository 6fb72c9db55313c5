"""Receives webhooks of hallpass and prints what happened. The secret is in WEBHOOK_SECRET_FILE."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from standardwebhooks.webhooks import Webhook

from verify import verify, verify_simple

MAX_BYTES = 1024 * 1024
seen = set()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        if length > MAX_BYTES:
            return self.answer(413)
        body = self.rfile.read(length)
        headers = {name.lower(): value for name, value in self.headers.items()}
        secret = Path(os.environ["WEBHOOK_SECRET_FILE"]).read_text().strip()
        try:
            event = verify(secret, headers, body)
            verify_simple(secret, headers, body)
            # The package of Standard Webhooks comes to the same.
            Webhook(secret).verify(body.decode(), headers)
        except Exception as error:  # whatever is wrong, nothing is done
            print(f"refused: {error}", flush=True)
            return self.answer(401)
        # Deliveries come at least once.
        if headers["webhook-id"] not in seen:
            seen.add(headers["webhook-id"])
            data = event["data"]
            print(event["type"], data.get("targetId") or data["userId"], flush=True)
        return self.answer(204)

    def answer(self, status):
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 0))), Receiver)
print(f"listening on http://127.0.0.1:{server.server_address[1]}/", flush=True)
server.serve_forever()
