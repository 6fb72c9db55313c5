"""What was asked and what came back, and a checker that finds answers which contradict each other.

An event is one call: when it was invoked, when it returned, what came of it. The outcome of a call
without an answer, or with 5xx, is unknown: it may have happened, at any moment from then on.

The rules, for each object (a key, a session, an account), with `bound` the time within which a
revocation is in force on all nodes:

1. A use that begins more than `bound` after a revocation returned is refused; on the node that
   acknowledged the revocation, one that begins after it returned at all.
2. A use that begins after the creation returned, and returned before any revocation was invoked, is
   not refused.
3. Once a node has refused, no later use on that node is allowed; and none anywhere that begins more
   than `bound` after the refusal returned.
"""

import threading
from dataclasses import dataclass

from .host import check

# `nodes.lease_ms` of the nodes here, in seconds.
BOUND = 1.0
CREATE, REVOKE, USE = "create", "revoke", "use"
DONE, REFUSED, UNKNOWN = "done", "refused", "unknown"


@dataclass(frozen=True)
class Event:
    kind: str
    object: str
    node: str
    invoked: float
    returned: float
    outcome: str


def outcome_of(answer):
    """What an answer says of a use. A node that says that it does not know has not refused."""
    if answer.status == 200:
        return DONE
    if answer.status in (401, 403):
        # At the gate a lost database is 403 with a reason, for nginx.
        reason = answer.headers.get("X-Auth-Reason", "") if answer.headers else ""
        return UNKNOWN if reason.replace("_", "-") in ("service-unavailable", "internal-server-error") else REFUSED
    return UNKNOWN


class Recorder:
    """Takes events from many threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self.events = []

    def add(self, kind, object, node, answer, outcome=None):
        if outcome is None:
            if kind == USE:
                outcome = outcome_of(answer)
            else:
                outcome = DONE if answer.status == 200 else UNKNOWN if answer.status in (0, 500, 503) else REFUSED
        event = Event(kind, object, node, answer.began, answer.ended, outcome)
        with self._lock:
            self.events.append(event)
        return event


def contradictions(events, bound):
    """Every contradiction, as a line."""
    found = []
    by_object = {}
    for event in events:
        by_object.setdefault(event.object, []).append(event)
    for object, those in by_object.items():
        found += _of_object(object, those, bound)
    return found


def no_contradiction(recorder):
    """Fails when what was recorded contradicts itself."""
    wrong = contradictions(recorder.events, BOUND)
    check(not wrong, f"{len(wrong)} contradictions: {'; '.join(wrong[:5])}")


def _of_object(object, events, bound):
    created = min((e.returned for e in events if e.kind == CREATE and e.outcome == DONE), default=None)
    revokes = [e for e in events if e.kind == REVOKE and e.outcome != REFUSED]
    in_force = min((e.returned for e in revokes if e.outcome == DONE), default=None)
    first_invoked = min((e.invoked for e in revokes), default=None)
    here = {}
    for event in revokes:
        if event.outcome == DONE:
            here[event.node] = min(event.returned, here.get(event.node, event.returned))
    uses = sorted((e for e in events if e.kind == USE), key=lambda e: e.invoked)
    refused = sorted((e for e in uses if e.outcome == REFUSED), key=lambda e: e.returned)
    found = []
    for use in uses:
        if use.outcome == DONE:
            if in_force is not None and use.invoked > in_force + bound:
                found.append(f"{object}: allowed by {use.node} {use.invoked - in_force:.3f} s after its revocation returned")
            elif use.node in here and use.invoked > here[use.node]:
                found.append(f"{object}: allowed by {use.node}, which had acknowledged the revocation before")
            earlier = next((r for r in refused if r.node == use.node and r.returned < use.invoked), None)
            anywhere = next((r for r in refused if r.returned + bound < use.invoked), None)
            if earlier is not None:
                found.append(f"{object}: allowed by {use.node} after it had refused")
            elif anywhere is not None:
                found.append(f"{object}: allowed by {use.node} long after {anywhere.node} had refused")
        if use.outcome == REFUSED and created is not None and use.invoked > created:
            if first_invoked is None or use.returned < first_invoked:
                found.append(f"{object}: refused by {use.node}, though it was there and nobody had revoked it")
    return found


def self_test():
    """Forged histories, good and bad. What the checker says wrongly, as lines."""
    def event(kind, node, invoked, returned, outcome=DONE):
        return Event(kind, "k", node, invoked, returned, outcome)

    made, gone = event(CREATE, "a", 0, 1), event(REVOKE, "a", 10, 11)
    lost = event(REVOKE, "a", 10, 11, UNKNOWN)
    good = {
        "an ordinary life": [made, event(USE, "b", 2, 3), gone, event(USE, "b", 11.5, 11.6), event(USE, "b", 12.5, 12.6, REFUSED)],
        "a use that overlaps the revocation": [made, gone, event(USE, "b", 10.5, 11.2, REFUSED), event(USE, "c", 10.9, 12.9)],
        "a revocation of which nobody knows": [made, lost, event(USE, "b", 15, 16), event(USE, "a", 20, 21)],
        "a lost revocation that happened": [made, lost, event(USE, "b", 15, 16, REFUSED), event(USE, "c", 15.5, 15.6)],
        "a node that does not know": [made, event(USE, "b", 2, 3, UNKNOWN), gone, event(USE, "b", 14, 15, UNKNOWN)],
        "a revocation that was refused": [made, event(REVOKE, "a", 10, 11, REFUSED), event(USE, "a", 20, 21)],
    }
    bad = {
        "allowed past the bound": [made, gone, event(USE, "b", 12.5, 12.6)],
        "allowed where it was revoked": [made, gone, event(USE, "a", 11.1, 11.2)],
        "refused before it was revoked": [made, event(USE, "b", 2, 3, REFUSED), gone],
        "refused and never revoked": [made, event(USE, "b", 2, 3, REFUSED)],
        "back again on the same node": [made, gone, event(USE, "b", 11.1, 11.2, REFUSED), event(USE, "b", 11.3, 11.4)],
        "a lost revocation that came and went": [made, lost, event(USE, "b", 12, 12.1, REFUSED), event(USE, "c", 14, 14.1)],
        "a slow answer does not excuse a late use": [made, gone, event(USE, "c", 12.1, 30)],
    }
    wrong = [f"a good history is refused: {name}" for name, events in good.items() if contradictions(events, 1.0)]
    wrong += [f"a forged history is not found: {name}" for name, events in bad.items() if not contradictions(events, 1.0)]
    return wrong
