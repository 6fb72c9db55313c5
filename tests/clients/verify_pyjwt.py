"""Verifies with PyJWT: PyJWKClient and decode, the way its documentation shows.

    python verify_pyjwt.py CASES.json
"""

import json
import sys

import jwt

ALGORITHMS = ["ES256", "EdDSA", "RS256"]


def verify(keys, case):
    key = keys.get_signing_key_from_jwt(case["token"])
    return jwt.decode(
        case["token"],
        key,
        algorithms=ALGORITHMS,
        issuer=case["issuer"],
        audience=case["audience"],
        options={"require": ["exp", "iat", "nbf", "iss", "aud", "sub", "jti"]},
    )


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        given = json.load(file)
    keys = jwt.PyJWKClient(given["jwks"])
    failed = False
    for case in given["cases"]:
        verb = "accepts" if case["good"] else "refuses"
        name = f"PyJWT, {given['label']}: {verb} {case['name']}"
        try:
            verify(keys, case)
            outcome, reason = True, "it was accepted"
        except jwt.PyJWTError as error:
            outcome, reason = False, repr(error)
        if outcome == case["good"]:
            print(f"ok   {name}")
        else:
            failed = True
            print(f"FAIL {name}: {reason}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
