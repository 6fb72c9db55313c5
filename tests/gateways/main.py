"""Runs the checks through each gateway that the command line names. One line a check, then the sums."""

import sys
import time

import checks
import fleet
import paths
import service
import wire


def main(names):
    passed = failed = 0

    def note(name, text, problem, count=1):
        nonlocal passed, failed
        if problem:
            failed += 1
            print(f"FAIL {name}: {text}: {problem}", flush=True)
        else:
            passed += count
            print(f"ok   {name}: {text}", flush=True)

    paths.self_check()
    api = wire.Api()
    hallpass = service.Hallpass()
    world = checks.World(hallpass)
    for name in names:
        began = time.monotonic()
        try:
            gateway = fleet.Gateway(name, hallpass.port, api.port)
        except (RuntimeError, OSError) as error:
            note(name, "it starts", str(error))
            continue
        try:
            for text, problem in checks.Check(gateway, api, world).run():
                note(name, text, problem)
            for text, problem in checks.without_hallpass(name, api):
                note(name, text, problem)
            for kind, seen in paths.run(gateway, api, world.scoped).items():
                text = f"paths, {kind}: {seen['sent']} targets, {seen['served']} reached the API"
                note(name, text, "", seen["sent"] - len(seen["wrong"]))
                for wrong in seen["wrong"]:
                    note(name, f"paths, {kind}", wrong)
            unmarked = [f"{one.method} {one.target}" for one in api.unmarked]
            note(name, "nothing else came to the API", ", ".join(unmarked[:5]))
            api.unmarked.clear()
        finally:
            gateway.stop()
        print(f"     {name}: {time.monotonic() - began:.1f} s", flush=True)
    print(f"\n{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed or not passed else 0


sys.exit(main(sys.argv[1:] or fleet.NAMES))
