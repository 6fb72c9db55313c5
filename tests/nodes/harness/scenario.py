"""What is played, and with what."""

import importlib
from dataclasses import dataclass

PARTS = ["basics", "faults", "signing", "limits", "life", "upgrade", "paths", "deploy", "measure"]


@dataclass
class Scenario:
    name: str
    play: object
    long_only: bool = False


class Context:
    """A folder, a PostgreSQL that all scenarios share, and whether there is time."""

    def __init__(self, place, postgres, long):
        self.place = place
        self.postgres = postgres
        self.long = long

    def times(self, short, long):
        return long if self.long else short

    @staticmethod
    def say(text):
        print(f"    {text}", flush=True)


_all = []


def scenario(name, long_only=False):
    def keep(play):
        _all.append(Scenario(name, play, long_only))
        return play

    return keep


def all_scenarios(long):
    for part in PARTS:
        importlib.import_module(f"scenarios.{part}")
    return [s for s in _all if long or not s.long_only]
