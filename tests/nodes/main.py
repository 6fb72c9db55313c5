"""Runs the scenarios. See `run`."""

import argparse
import sys
import time
import traceback

from harness.host import Failure, Place
from harness.postgres import Postgres
from harness.scenario import Context, all_scenarios


def main():
    arguments = argparse.ArgumentParser(prog="tests/nodes/run")
    arguments.add_argument("--long", action="store_true", help="repeat more often, the first 10,000 times, and measure")
    arguments.add_argument("--only", metavar="WORD", help="scenarios with this in their name")
    arguments.add_argument("--list", action="store_true", help="only the names")
    options = arguments.parse_args()
    chosen = [s for s in all_scenarios(options.long) if not options.only or options.only in s.name]
    if options.list:
        print("\n".join(scenario.name for scenario in chosen))
        return 0
    passed = failed = 0
    place = Place()
    began_all = time.monotonic()
    try:
        postgres = Postgres(place)
        for scenario in chosen:
            began = time.monotonic()
            print(f"{scenario.name}", flush=True)
            own = Place()
            context = Context(own, postgres, options.long)
            try:
                scenario.play(context)
                verdict, passed = "ok", passed + 1
            except Failure as failure:
                verdict, failed = f"FAILED: {failure}", failed + 1
            except Exception:
                verdict, failed = f"FAILED: {traceback.format_exc()}", failed + 1
            finally:
                own.close()
            print(f"    {verdict} ({time.monotonic() - began:.1f} s)", flush=True)
    finally:
        place.close()
    print(f"took {time.monotonic() - began_all:.0f} s")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
