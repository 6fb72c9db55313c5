"""The revocation feed (docs/feed.md): which tokens were ended, and whether we may believe that we know."""

import math
import random
import secrets
import threading
import time
import urllib.parse

from document import ANSWER_MAX, read_document
from jws import Refused, decode, get

# A clock that cannot be set and that goes on while the machine sleeps, where there is one.
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Feed:
    def __init__(self, issuer, find_key, bound_secs=10.0, now=lambda: time.clock_gettime(CLOCK)):
        self.issuer, self.find_key, self.bound_secs, self.now = issuer, find_key, bound_secs, now
        self.lock = threading.Lock()
        self.log, self.cursor, self.confirmed, self.floor = None, None, -1, 0
        self.ended, self.revoked_keys = {}, set()
        self.known_at = -math.inf  # when the request was sent whose answer made us know everything
        self.rewound = False  # an old database under the same log id: nothing can be believed

    def dead(self, claims, kid):
        """The one question. None when the token is alive."""
        log, position = claims["rev"].split(".")
        tags = decode(claims["lin"])
        with self.lock:
            is_fresh = self.now() - self.known_at <= self.bound_secs
            if kid in self.revoked_keys:
                return "key_revoked"
            if self.rewound or (log != self.log and not is_fresh):
                return "revocation_unknown"
            ended = [self.ended.get(tags[at : at + 8], -1) for at in range(0, len(tags), 8)]
            if log != self.log or int(position) < self.floor or max(ended) > int(position):
                return "token_ended"
            return None if is_fresh else "revocation_unknown"

    def follow(self):
        """Follows the feed in the background. A third of the bound is a good wait."""
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self):
        wait = 0
        while True:
            before, began = self.cursor, time.monotonic()
            try:
                if self.ask(wait):
                    continue
                # The service may wait for less than it was asked.
                rest = wait - (time.monotonic() - began) if before == self.cursor else 0.05
                wait = max(1, int(self.bound_secs / 3))
                time.sleep(max(0, rest))
            except Exception:  # nothing that goes wrong may end this thread
                wait = 0
                time.sleep(random.uniform(0.25, 0.75))

    def ask(self, wait):
        asked = {"since": self.cursor, "nonce": secrets.token_urlsafe(24), "at": self.now()}
        query = {"nonce": asked["nonce"], "wait": wait, **({"since": self.cursor} if self.cursor else {})}
        url = f"{self.issuer}/v1/revocations?{urllib.parse.urlencode(query)}"
        return self.take(get(url, wait + 5, ANSWER_MAX), asked)

    def take(self, answer, asked):
        """Takes in one answer, or raises and keeps what was known. Says whether there is more."""
        told = read_document(answer, self.find_key)

        def refuse(is_wrong, code):
            if is_wrong:
                raise Refused(code)

        with self.lock:
            refuse(told["kid"] in self.revoked_keys or told["kid"] in told["revokedKeys"], "feed_key_revoked")
            refuse(told["issuer"] != self.issuer, "feed_issuer")
            refuse(told["nonce"] != asked["nonce"], "feed_nonce")
            is_other = self.log is not None and told["log"] != self.log
            refuse(told["since"] != asked["since"] and not (told["since"] is None and is_other), "feed_gap")
            if not told["more"] and not is_other and told["confirmed"] < self.confirmed:
                self.rewound = True
                raise Refused("feed_position")
            if is_other:
                self.confirmed, self.floor, self.ended, self.known_at, self.rewound = -1, 0, {}, -math.inf, False
            for tag, position in told["entries"]:
                self.ended[tag] = max(position, self.ended.get(tag, -1))
            self.revoked_keys.update(told["revokedKeys"])
            if told["floor"] > self.floor:
                self.floor = told["floor"]
                self.ended = {tag: position for tag, position in self.ended.items() if position > self.floor}
            self.log, self.cursor = told["log"], told["next"]
            if not told["more"]:
                self.confirmed, self.known_at = told["confirmed"], asked["at"]
            return told["more"]
