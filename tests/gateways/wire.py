"""Requests as bytes on a socket, and an API that keeps what it was asked: nothing in between cleans
a path or a header."""

import asyncio
import http.client
import json
import socket
import threading

# The header by which a request is found again at the API.
MARK = "X-Check"


class Answer:
    """What a client got: `status` (0 when the connection ended without one), headers, body."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        return values[0] if values else None

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def request(port, target, headers=(), method="GET", body=b"", timeout=20, tail=b""):
    """Sends one request with exactly this target and these headers, in this order, and `tail` behind
    its body. The answer is that to the first request."""
    if isinstance(target, str):
        target = target.encode("latin-1")
    head = [method.encode() + b" " + target + b" HTTP/1.1", b"Host: api.example"]
    head += [f"{name}: {value}".encode("latin-1") for name, value in headers]
    if body:
        head.append(f"Content-Length: {len(body)}".encode())
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        try:
            connection.sendall(b"\r\n".join(head) + b"\r\n\r\n" + body + tail)
            response = http.client.HTTPResponse(connection, method=method)
            response.begin()
            return Answer(response.status, response.getheaders(), response.read())
        except (OSError, http.client.HTTPException):
            return Answer(0, [], b"")


class Asked:
    """A request as the API got it."""

    def __init__(self, method, target, headers):
        self.method = method
        self.target = target
        self.headers = headers
        self.trailers = []

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def header(self, name):
        values = self.all(name)
        return values[0] if values else None


class Api:
    """An API on a free port that answers 200 to everything. `asked` are the requests by their mark,
    `unmarked` those that have none or several."""

    def __init__(self):
        self.asked = {}
        self.unmarked = []
        started = threading.Event()

        async def serve():
            server = await asyncio.start_server(self._connection, "127.0.0.1", 0, limit=1 << 20)
            self.port = server.sockets[0].getsockname()[1]
            started.set()
            await server.serve_forever()

        threading.Thread(target=lambda: asyncio.run(serve()), daemon=True).start()
        if not started.wait(10):
            raise RuntimeError("the API does not start")

    async def _connection(self, reader, writer):
        try:
            while True:
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _one(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head[:-4].split("\r\n")
        method, _, rest = line.partition(" ")
        asked = Asked(
            method,
            rest.rpartition(" ")[0],
            [(name, value.strip()) for name, _, value in (field.partition(":") for field in fields)],
        )
        length = int(asked.header("Content-Length") or 0)
        await reader.readexactly(length)
        if "chunked" in (asked.header("Transfer-Encoding") or ""):
            while size := int(await reader.readuntil(b"\r\n"), 16):
                await reader.readexactly(size + 2)
            while (field := (await reader.readuntil(b"\r\n")).decode("latin-1").strip()) != "":
                name, _, value = field.partition(":")
                asked.trailers.append((name, value.strip()))
        marks = asked.all(MARK)
        if len(marks) == 1:
            self.asked.setdefault(marks[0], []).append(asked)
        else:
            self.unmarked.append(asked)
        body = b"" if method == "HEAD" else b'{"served":true}'
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Served: yes\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()
