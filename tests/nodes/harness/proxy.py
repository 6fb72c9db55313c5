"""A TCP proxy between a node and its database that can be made to fail.

`pass`: bytes go through. `stall`: connections stay, and not a byte comes. `cut`: connections are
ended, and new ones refused.
"""

import selectors
import socket
import threading
import time

from .host import free_port


class Proxy:
    def __init__(self, place, target_port):
        self.port = free_port()
        self.target = target_port
        self.mode = "pass"
        self._pairs = {}
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._over = False
        self._lock = threading.RLock()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        place.at_end(self.close)

    def set(self, mode):
        """Fails like this from now on."""
        with self._lock:
            self.mode = mode
            if mode == "cut":
                for end in list(self._pairs):
                    self._drop(end)

    def close(self):
        self._over = True
        self._thread.join(5)
        with self._lock:
            for end in list(self._pairs):
                self._drop(end)
            self._listener.close()

    def _run(self):
        while not self._over:
            if self.mode == "stall":
                # What comes is left where it is: the other end sees a full window, or silence.
                time.sleep(0.005)
                continue
            for key, _ in self._selector.select(0.02):
                with self._lock:
                    if self.mode == "stall":
                        break
                    if key.fileobj is self._listener:
                        self._accept()
                    else:
                        self._move(key.fileobj)

    def _accept(self):
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        if self.mode == "cut":
            client.close()
            return
        try:
            server = socket.create_connection(("127.0.0.1", self.target), 2)
        except OSError:
            client.close()
            return
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _move(self, end):
        other = self._pairs.get(end)
        if other is None:
            return
        try:
            part = end.recv(65536)
            if part:
                other.settimeout(5)
                other.sendall(part)
                return
        except OSError:
            pass
        self._drop(end)

    def _drop(self, end):
        other = self._pairs.pop(end, None)
        for one in (end, other):
            if one is None:
                continue
            self._pairs.pop(one, None)
            try:
                self._selector.unregister(one)
            except (KeyError, ValueError):
                pass
            one.close()
