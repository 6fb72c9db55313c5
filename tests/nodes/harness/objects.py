"""What is made at one node and ended at another: keys, sessions, accounts."""

import secrets

from .host import Failure


class Made:
    """Something that was made: its name in histories, the credential to use it, and how to end it."""

    def __init__(self, name, credential, end_path):
        self.name = name
        self.credential = credential
        self._end_path = end_path

    def end(self, client, bearer):
        return client.post(self._end_path, bearer)


def make_key(client, bearer):
    answer = client.post("token/create", bearer, {"name": "made", "unrestricted": True})
    return answer, _read(answer, lambda key: Made(key["id"], key["token"], f"token/{key['id']}/delete"))


def make_session(client, bearer):
    answer = client.post("session/create", bearer, {"allowedRoutes": ["conversation/**"], "durationInSeconds": 600})
    return answer, _read(answer, lambda made: Made(made["id"], made["token"], f"session/{made['id']}/revoke"))


def make_account(client, bearer):
    """A child with a key that was made for it: it ends with the child."""
    made = client.post("user/create", bearer, {"name": "child", "email": f"{secrets.token_hex(6)}@example.com"})
    child = _read(made, lambda child: child)
    if child is None:
        return made, None
    answer = client.post(f"user/{child['id']}/token/create", bearer, {"name": "of a child", "unrestricted": True})
    return answer, _read(answer, lambda key: Made(child["id"], key["token"], f"user/{child['id']}/suspend"))


KINDS = {"key": make_key, "session": make_session, "account": make_account}


def _read(answer, take):
    if answer.status == 200:
        return take(answer.json())
    if answer.status in (0, 503):
        return None
    raise Failure(f"nothing was made: {answer.status} {answer.body[:300]!r}")
