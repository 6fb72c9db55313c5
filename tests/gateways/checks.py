"""What each gateway must do with hallpass behind it: everything but paths."""

import base64
import itertools
import json
import socketserver
import threading

import fleet
import service
import wire

# Gateways that refuse underscores in names, and those that obey `Connection` before anybody sees it.
REFUSES_UNDERSCORES = {"envoy"}
DROPS_UNDERSCORES = {"nginx"}
OBEYS_CONNECTION = {"envoy", "traefik"}
# This version cannot drop the trailers of a body; docs/gateways.md says so.
PASSES_TRAILERS = {"haproxy"}
# auth_request throws the body of hallpass away.
OWN_BODY = {"nginx"}
# It cannot change a status by a header.
NO_429 = {"traefik"}
ORIGIN = "https://app.example.com"


class World:
    """Accounts and keys, made once; `fresh` makes what is used up by a check."""

    def __init__(self, hallpass):
        self.hallpass = hallpass
        self.parent = hallpass.own_account()
        self.child = hallpass.account("child")
        self.stranger = hallpass.account("stranger")
        self.scoped, self.scoped_id = hallpass.key(config={"allowedRoutes": ["bot/ok/**"]})
        self.reader, _ = hallpass.key(
            config={"allowedRoutes": ["GET bot/ok/**", "HEAD bot/ok/**"]}
        )
        minter, self.minter_id = hallpass.key(
            config={"allowedRoutes": ["session/create"], "session": {"allowedRoutes": ["bot/ok/**"]}}
        )
        self.session, self.session_id = hallpass.session(minter, allowedRoutes=["bot/ok/**"])
        self.test, _ = hallpass.key(environment="test", config={"allowedRoutes": ["bot/ok/**"]})
        self.permitted, _ = hallpass.key(config={"permissions": ["bots:read"]})
        self.bound, _ = hallpass.key(config={"bindings": {"bot": ["b1"]}})
        self.domain, _ = hallpass.key(
            config={"allowedRoutes": ["bot/ok/**"], "domains": ["app.example.com"]}
        )
        self.here, _ = hallpass.key(
            config={"allowedRoutes": ["bot/ok/**"], "cidrs": ["127.0.0.0/8"]}
        )
        self.elsewhere, _ = hallpass.key(
            config={"allowedRoutes": ["bot/ok/**"], "cidrs": ["192.0.2.0/24"]}
        )
        self.full, self.full_id = hallpass.key(unrestricted=True)

    def said(self, key, path="/v1/bot/ok/a", method="GET", **headers):
        """The identity headers of hallpass's own answer to the same question."""
        status, answer, _ = self.hallpass.ask(
            "GET",
            "/v1/authorize/nginx",
            {"Authorization": f"Bearer {key}", "X-Original-Method": method, "X-Original-URI": path}
            | {name.replace("_", "-"): value for name, value in headers.items()},
        )
        assert status == 200, (status, path)
        return {name: answer.get(name) for name in service.IDENTITY}


class Check:
    """The checks of one gateway. `results` are pairs of text and problem, which is empty when it
    passed."""

    def __init__(self, gateway, api, world):
        self.gateway = gateway
        self.api = api
        self.world = world
        self.results = []
        self.count = itertools.count()

    # Asking

    def ask(self, key, target="/v1/bot/ok/a", headers=(), scheme="Bearer", **more):
        """The answer to the client, and the requests that came to the API."""
        mark = f"{self.gateway.name}-{next(self.count)}"
        headers = [*headers, (wire.MARK, mark)]
        if key:
            headers.insert(0, ("Authorization", f"{scheme} {key}"))
        answer = wire.request(self.gateway.port, target, headers, **more)
        return answer, self.api.asked.pop(mark, [])

    def note(self, text, problem):
        self.results.append((text, problem))

    # Judging

    def wrong_identity(self, asked, said):
        """What is wrong with the identity that the API saw, in any spelling of a header."""
        for name, value in asked.headers:
            # To some APIs these are other spellings of headers that were judged.
            if "_" in name or "." in name:
                return f"the API got {name}: {value}"
            if name.lower() == "connection" and "x-auth" in value.lower():
                return f"the API got {name}: {value}"
            if not name.lower().startswith("x-auth"):
                continue
            known = {name.lower(): name for name in service.IDENTITY}.get(name.lower())
            if known is None:
                return f"the API got {name}: {value}"
            if known == "X-Auth-Token":
                if value and value != said["X-Auth-Token"] and not same_claims(value, said[known]):
                    return f"the API got another X-Auth-Token: {value}"
            elif value != said[known]:
                return f"the API got {name}: {value!r} instead of {said[known]!r}"
        for name in service.IDENTITY:
            values = asked.all(name)
            if len(values) > 1 or (said[name] and not values):
                return f"the API got {name} {len(values)} times"
        return ""

    def allowed(self, text, key, said=None, target="/v1/bot/ok/a", **more):
        answer, asked = self.ask(key, target, **more)
        if answer.status != 200 or len(asked) != 1:
            self.note(text, f"{answer.status} {answer.body[:300]!r}, {len(asked)} at the API")
            return None
        asked = asked[0]
        method = more.get("method", "GET")
        problem = self.wrong_identity(asked, said or self.world.said(key, target, method))
        if not problem and (asked.target, asked.method) != (target, method):
            problem = f"the API got {asked.method} {asked.target}"
        self.note(text, problem)
        return asked

    def refused(self, text, key, status, reason=None, code=None, target="/v1/bot/ok/a", **more):
        answer, asked = self.ask(key, target, **more)
        statuses = status if isinstance(status, tuple) else (status,)
        problem = ""
        if asked:
            problem = "it reached the API"
        elif answer.status not in statuses:
            problem = f"{answer.status} {answer.body[:300]!r}"
        elif reason and answer.header("X-Auth-Reason") != reason:
            problem = f"X-Auth-Reason is {answer.header('X-Auth-Reason')}"
        elif code and (answer.json() or {}).get("error", {}).get("code") != code:
            problem = f"the body is {answer.body[:300]!r}"
        elif answer.status == 401 and not answer.header("WWW-Authenticate"):
            problem = "WWW-Authenticate is missing"
        self.note(text, problem)
        return answer

    def never_spoofed(
        self, text, key, headers, said=None, refusals=(400, 401, 403), target="/v1/bot/ok/a"
    ):
        """Either it is refused, or the API sees exactly what hallpass said."""
        answer, asked = self.ask(key, target, headers)
        if asked:
            problem = self.wrong_identity(asked[0], said or self.world.said(key))
        else:
            problem = "" if answer.status in refusals else f"{answer.status} {answer.body[:300]!r}"
        self.note(text, problem)
        return asked[0] if asked else None

    # The checks

    def run(self):
        for name in dir(type(self)):
            if name.startswith("check_"):
                getattr(self, name)()
        return self.results

    def check_allowed(self):
        world = self.world
        asked = self.allowed("a scoped key passes, and the API learns who it is", world.scoped)
        if asked:
            told = asked.header("X-Auth-Account-Id"), asked.header("X-Auth-Key-Id")
            expected = world.parent, world.scoped_id
            self.note("the identity is that of the key", "" if told == expected else str(told))
        asked = self.allowed("a session passes", world.session)
        if asked:
            told = asked.header("X-Auth-Session-Id"), asked.header("X-Auth-Key-Id")
            expected = world.session_id, world.minter_id
            self.note("the identity is that of the session", "" if told == expected else str(told))
        self.allowed("a query is passed on as it is", world.scoped, target="/v1/bot/ok/a?x=%2F..&y=%")
        self.allowed("a body is passed on", world.scoped, method="POST", body=b"x" * 200_000)
        self.allowed("HEAD passes where it is allowed", world.reader, method="HEAD")
        self.allowed("the scheme may be written in any case", world.scoped, scheme="bEaReR")

    def check_framing(self):
        world = self.world
        chunked = ("Transfer-Encoding", "chunked")
        body = b"5\r\nhello\r\n0\r\n"
        answer, asked = self.ask(world.scoped, headers=[chunked], method="POST", tail=body + b"\r\n")
        problem = "" if answer.status == 200 and asked else f"{answer.status} {answer.body[:300]!r}"
        self.note("a body of unknown length is passed on", problem)
        trailers = b"X-Auth-Actor-Id: evil\r\nX-Auth-Identity: evil\r\n\r\n"
        headers = [chunked, ("Trailer", "X-Auth-Actor-Id, X-Auth-Identity")]
        for text, headers in {"announced ": headers, "": [chunked]}.items():
            _, asked = self.ask(world.scoped, headers=headers, method="POST", tail=body + trailers)
            evil = [name for one in asked for name, value in one.headers if value == "evil"]
            if self.gateway.name not in PASSES_TRAILERS:
                evil += [name for one in asked for name, value in one.trailers if value == "evil"]
            self.note(f"{text}trailers name nobody", f"the API got {evil}" if evil else "")
        # Two requests in one write, of which the second is not allowed.
        mark = f"{self.gateway.name}-second"
        lines = ["GET /v1/bot/no/a HTTP/1.1", "Host: api.example", f"Authorization: Bearer {world.scoped}", f"{wire.MARK}: {mark}", "Connection: close", "", ""]
        answer, asked = self.ask(world.scoped, tail="\r\n".join(lines).encode())
        problem = "" if answer.status == 200 and asked else f"{answer.status}"
        # What follows on the connection is over when its answers are.
        if self.api.asked.pop(mark, None):
            problem = "the second request came to the API"
        self.note("each request on a connection is asked about", problem)

    def check_methods(self):
        for method in ("get", "Get", "DELETE", "PURGE", "TRACE", "CONNECT", "M-SEARCH", "GET,HEAD", "_"):
            _, asked = self.ask(self.world.reader, method=method)
            self.note(f"{method} is not GET", "it reached the API" if asked else "")

    def check_token_for_the_api(self):
        answer, asked = self.ask(self.world.scoped)
        token = asked[0].header("X-Auth-Token") if asked else None
        claims = claims_of(token) if token else {}
        problem = ""
        if claims.get("aud") != "https://api.example/internal":
            problem = f"the claims are {claims}"
        elif claims.get("sub") != self.world.parent:
            problem = f"it is about {claims.get('sub')}"
        self.note("the API gets a token of its own audience", problem)
        self.refused("that token opens no door", token or "x", 401)

    def check_refusals(self):
        world = self.world
        own = self.gateway.name in OWN_BODY
        self.refused("no credential is 401", None, 401)
        answer = self.refused("an unknown key is 401", "sk_live_" + "1" * 49, 401, "invalid_api_key", "INVALID_API_KEY")
        if not own:
            whole = (answer.json() or {}).get("code") == "NOT_AUTHENTICATED"
            self.note("the body of a refusal is hallpass's", "" if whole else str(answer.body))
        self.refused("a token that is not ours is 401", "eyJhbGciOiJub25lIn0.e30.", 401, "invalid_token")
        self.refused("another path is 403", world.scoped, 403, "route_not_allowed", "ROUTE_NOT_ALLOWED", "/v1/bot/no/a")
        self.refused("another method is 403", world.reader, 403, "route_not_allowed", method="DELETE")
        self.refused("a path outside the mount is 403", world.full, 403, target="/v2/bot/ok/a")
        self.refused("an ambiguous path is 403, whatever the key may do", world.full, (400, 403), target="/v1/bot/%2e%2e%2fx")
        self.refused("a test key is 403 at a live API", world.test, 403, "environment_not_allowed")
        self.refused("a session elsewhere is 403", world.session, 403, "route_not_allowed", target="/v1/bot/no/a")

    def check_permissions_and_bindings(self):
        world = self.world
        self.allowed("a permission opens its routes", world.permitted, target="/v1/report/r1")
        answer = self.refused("another permission is missing", world.permitted, 403, "insufficient_permissions", "INSUFFICIENT_PERMISSIONS", "/v1/report/r1", method="POST")
        if self.gateway.name not in OWN_BODY:
            scope = (answer.json() or {}).get("error", {}).get("required_scope")
            self.note("the refusal names the permission", "" if scope == "bots:write" else str(answer.body))
        bound = world.bound
        self.allowed("a bound key passes for its bot", bound, target="/v1/bound/b1/x")
        self.refused("another bot is refused", bound, 403, "binding_denied", target="/v1/bound/b2/x")
        self.refused("a header does not make another bot one's own", bound, 403, target="/v1/bound/b2/x", headers=[("X-Bot-ID", "b1")])
        self.refused("nor does it disagree unnoticed", bound, 403, target="/v1/bound/b1/x", headers=[("X-Bot-ID", "b2")])
        said = world.said(bound, "/v1/bot/list", X_Bot_ID="b1")
        self.allowed("the header alone names the bot, too", bound, said, "/v1/bot/list", headers=[("X-Bot-ID", "b1")])
        for twin in ("X_Bot_ID", "X-Bot_ID", "X.Bot.ID"):
            both = [("X-Bot-ID", "b1"), (twin, "b2")]
            text = f"another bot as {twin} is refused, or does not come to the API"
            self.never_spoofed(text, bound, both, said, target="/v1/bot/list")
        self.refused("two of that header are refused", bound, 403, target="/v1/bot/list", headers=[("X-Bot-ID", "b1"), ("X-Bot-ID", "b2")])

    def check_domains_and_addresses(self):
        world = self.world
        said = world.said(world.domain, Origin=ORIGIN)
        self.allowed("the right origin passes", world.domain, said, headers=[("Origin", ORIGIN)])
        for origin in ("https://evil.example.com", "https://app.example.com.evil.net", "null"):
            self.refused(f"the origin {origin} is refused", world.domain, 403, "domain_not_allowed", headers=[("Origin", origin)])
        self.refused("no origin is refused", world.domain, 403, "domain_not_allowed")
        self.refused("Referer does not count", world.domain, 403, headers=[("Referer", ORIGIN + "/")])
        here = world.said(world.here, X_Forwarded_For="127.0.0.1")
        self.allowed("the client's address is the one that the gateway sees", world.here, here)
        lie = "192.0.2.5"
        for headers in (
            [("X-Forwarded-For", lie)],
            [("X-Forwarded-For", lie), ("X-Forwarded-For", lie)],
            [("X-Real-IP", lie), ("True-Client-IP", lie), ("Forwarded", f"for={lie}")],
        ):
            names = ", ".join(name for name, _ in headers)
            self.refused(f"an address in {names} is not believed", world.elsewhere, 403, "address_not_allowed", headers=headers)

    def check_rate_limit(self):
        limited, _ = self.world.hallpass.key(
            config={"allowedRoutes": ["bot/ok/**"], "rateLimit": {"requests": 2, "perSeconds": 3600}}
        )
        statuses = [self.ask(limited)[0].status for _ in range(2)]
        self.note("two requests of two pass", "" if statuses == [200, 200] else str(statuses))
        status = 403 if self.gateway.name in NO_429 else 429
        code = "TOO_MANY_REQUESTS"
        answer = self.refused(f"the third is {status}", limited, status, "rate_limited", code)
        after = answer.header("Retry-After") or ""
        self.note("it says when to come back", "" if after.isdigit() else f"Retry-After: {after}")
        left = answer.header("RateLimit-Limit"), answer.header("RateLimit-Remaining")
        self.note("and what the limit is", "" if left == ("2", "0") else str(left))

    def check_revocation(self):
        key, key_id = self.world.hallpass.key(config={"allowedRoutes": ["bot/ok/**"]})
        self.allowed("a key works until it is deleted", key)
        self.world.hallpass.post(f"token/{key_id}/delete", {})
        self.refused("the next request is refused", key, 401, "invalid_api_key")

    def check_impersonation(self):
        world = self.world
        wish = [("X-RunAs-User-ID", world.child)]
        asked = self.allowed("a parent acts as its child", world.full, world.said(world.full, X_RunAs_User_ID=world.child), headers=wish)
        if asked:
            told = asked.header("X-Auth-Account-Id"), asked.header("X-Auth-Actor-Id")
            self.note("the API learns of both", "" if told == (world.child, world.parent) else str(told))
            both = f'account="{world.child}"' in asked.header("X-Auth-Identity")
            both = both and f'actor="{world.parent}"' in asked.header("X-Auth-Identity")
            self.note("in one header", "" if both else asked.header("X-Auth-Identity"))
        by_mail = world.said(world.full, X_RunAs_User_Email="child@example.com")
        self.allowed("by e-mail", world.full, by_mail, headers=[("X-RunAs-User-Email", "child@example.com")])
        denied = "impersonation_denied"
        self.refused("as an account that is not there: the one answer", world.full, 403, denied, headers=[("X-RunAs-User-ID", "usr_01kdvdna00v3rs3dtr98h6bcfn")])
        self.refused("as itself: the one answer", world.full, 403, denied, headers=[("X-RunAs-User-ID", world.parent)])
        self.refused("a scoped key may not", world.scoped, 403, denied, headers=wish)
        self.refused("a session may not", world.session, 403, headers=wish)
        name = "X-RunAs-User-ID"
        for text, headers in {
            "twice": wish * 2,
            "twice, differently": [*wish, (name, world.stranger)],
            "in two ways": [*wish, ("X-RunAs-User-Email", "child@example.com")],
            "joined": [(name, f"{world.child}, {world.stranger}")],
            "empty": [(name, "")],
            "misspelt": [("X-RunAs-UserID-", world.child)],
            "with one word more": [("X-RunAs-User", world.child)],
            "with one dash more": [("X-Run-As-User-ID", world.child)],
        }.items():
            self.refused(f"a wish {text} is refused, not ignored", world.full, (400, 403), headers=headers)
        for spelling in ("X_RunAs_User_ID", "X.RunAs.User.ID", "X-RunAs_User-ID"):
            # nginx drops such a header before anybody sees it; docs/gateways.md says so.
            if self.gateway.name in DROPS_UNDERSCORES:
                self.never_spoofed(f"a wish as {spelling} is dropped", world.full, [(spelling, world.child)])
            else:
                self.refused(f"a wish as {spelling} is refused", world.full, (400, 403), headers=[(spelling, world.child)])
        # Either the wish counts, with both named, or it is refused; where the gateway obeys
        # `Connection` first, the request is the parent's own.
        mark = "`Connection: X-RunAs-User-ID` makes nobody the child alone"
        answer, asked = self.ask(world.full, headers=[*wish, ("Connection", name)])
        if not asked:
            self.note(mark, "" if answer.status in (400, 403) else str(answer.status))
        elif asked[0].header("X-Auth-Account-Id") == world.child:
            self.note(mark, self.wrong_identity(asked[0], world.said(world.full, X_RunAs_User_ID=world.child)))
        else:
            problem = "" if self.gateway.name in OBEYS_CONNECTION else "the wish was ignored"
            self.note(mark, problem or self.wrong_identity(asked[0], world.said(world.full)))

    def check_spoofed_identity(self):
        world = self.world
        for name in service.IDENTITY:
            for separators in ("-", "-.", "-_."):
                words = name.split("-")
                headers = []
                for choice in itertools.product(separators, repeat=len(words) - 1):
                    spelt = "".join(word + mark for word, mark in zip(words, (*choice, "")))
                    headers += [(spelt, "evil"), (spelt.lower(), "evil")]
                text = f"{name} of the client, spelt with {' '.join(separators)}"
                self.never_spoofed(text, world.scoped, headers)
        every = [(name, "evil") for name in service.IDENTITY]
        self.refused("they are no credential", None, 401, headers=every)
        said = world.said(world.full, X_RunAs_User_ID=world.child)
        wish = [("X-RunAs-User-ID", world.child)]
        self.never_spoofed("an actor cannot be hidden by another", world.full, [*wish, ("X-Auth-Actor-Id", world.child)], said)
        self.never_spoofed("nor by an empty one", world.full, [*wish, ("X-Auth-Actor-Id", ""), ("X-Auth-Identity", "")], said)

    def check_connection_tricks(self):
        world = self.world
        said = world.said(world.full, X_RunAs_User_ID=world.child)
        for value in (
            "X-Auth-Identity",
            "X-Auth-Actor-Id, X-Auth-Account-Id",
            "close, X-Auth-Identity, X-Auth-Actor-Id",
            "keep-alive, x-auth-actor-id",
            "upgrade, X-Auth-Actor-Id",
            "Upgrade , X-Auth-Identity",
            "X-Original-URI, X-Original-Method",
            "X-Forwarded-Uri, X-Forwarded-Method, X-Forwarded-For",
            "Authorization",
            "Host",
            ",",
        ):
            # Traefik and Envoy say neither yes nor no to an upgrade that they do not make.
            self.never_spoofed(f"`Connection: {value}`", world.full, [("X-RunAs-User-ID", world.child), ("Connection", value)], said, (400, 401, 403, 426, 501))
        self.never_spoofed("two Connection headers", world.full, [("X-RunAs-User-ID", world.child), ("Connection", "close"), ("Connection", "X-Auth-Identity")], said)

    def check_conventions(self):
        """The client writes what another gateway would say: for an allowed path about a forbidden
        one, and the other way round."""
        world = self.world
        good, bad = "/v1/bot/ok/a", "/v1/bot/no/a"
        targets = ("X-Original-URI", "X-Forwarded-Uri", "X-Original-URL", "X-Rewrite-URL", "X-Envoy-Original-Path", "X-Forwarded-Path")
        methods = ("X-Original-Method", "X-Forwarded-Method", "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")
        for names in [(name,) for name in targets] + [targets]:
            text = names[0] if len(names) == 1 else "all of them"
            lie = [(name, good) for name in names]
            self.refused(f"{text} does not open another path", world.scoped, 403, "route_not_allowed", target=bad, headers=lie)
            self.refused(f"{text}, twice", world.scoped, 403, target=bad, headers=lie * 2)
            answer, asked = self.ask(world.scoped, good, [(name, bad) for name in names])
            # Whatever the API reads there, it is not the client's word.
            left = [name for name in names if asked and bad in asked[0].all(name)]
            left = [name for name in left if name != "X-Envoy-Original-Path"]
            problem = f"the API got {left}" if left else ""
            self.note(f"{text} of the client does not come to the API", problem)
        for name in methods:
            self.refused(f"{name} does not open another method", world.reader, 403, "route_not_allowed", method="DELETE", headers=[(name, "GET")])
            answer, asked = self.ask(world.reader, good, [(name, "DELETE")])
            left = bool(asked) and "DELETE" in asked[0].all(name)
            problem = f"it came to the API" if left else ""
            if not asked and answer.status not in (400, 403):
                problem = f"{answer.status}"
            self.note(f"{name} of the client does not come to the API", problem)
        for name, value in {
            "X-Forwarded-Prefix": "/v1/bot/ok",
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Proto": "https",
            "Forwarded": "for=192.0.2.5;host=evil.example",
        }.items():
            self.refused(f"{name} does not open another path", world.scoped, 403, "route_not_allowed", target=bad, headers=[(name, value)])
            answer, asked = self.ask(world.scoped, good, [(name, value)])
            left = bool(asked) and value in asked[0].all(name)
            self.note(f"{name} of the client does not come to the API", "it did" if left else "")
        self.refused("the query says nothing to hallpass", world.scoped, 403, target=bad + "?uri=" + good + "&method=GET&access_token=x")
        self.refused("nor does Host", world.scoped, (400, 403), target=f"http://evil.example{bad}")

    def check_credentials(self):
        world = self.world
        two = [("Authorization", f"Bearer {world.full}")]
        self.refused("two Authorization headers are refused", world.scoped, (400, 401, 403), headers=two)
        self.refused("also when both are the same", world.scoped, (400, 401, 403), headers=[("Authorization", f"Bearer {world.scoped}")])
        joined = f"{world.scoped}, Bearer {world.full}"
        self.refused("also when they are joined", joined, (400, 401, 403))
        self.refused("an empty one is refused", None, (400, 401, 403), headers=[("Authorization", "")])
        self.refused("a credential elsewhere does not count", None, 401, headers=[("Proxy-Authorization", f"Bearer {world.full}"), ("X-Api-Key", world.full), ("Cookie", f"token={world.full}")], target=f"/v1/bot/ok/a?access_token={world.full}")
        self.never_spoofed("Authorization in a second spelling changes nobody", world.scoped, [("Authori_zation", "x"), ("authorization_", f"Bearer {world.full}")])

    def check_preflight(self):
        ask = [("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", "authorization")]
        answer, asked = self.ask(None, "/v1/bot/ok/a", [("Origin", ORIGIN), *ask], method="OPTIONS")
        problem = ""
        if asked or answer.status not in (200, 204):
            problem = f"{answer.status}, {len(asked)} at the API"
        elif answer.header("Access-Control-Allow-Origin") != ORIGIN:
            problem = f"{answer.headers}"
        elif "PUT" not in (answer.header("Access-Control-Allow-Methods") or ""):
            problem = f"{answer.headers}"
        elif "authorization" not in (answer.header("Access-Control-Allow-Headers") or "").lower():
            problem = f"{answer.headers}"
        self.note("a preflight is answered by the gateway, without a credential", problem)
        answer, asked = self.ask(None, "/v1/bot/ok/a", [("Origin", "https://evil.example"), *ask], method="OPTIONS")
        problem = "it reached the API" if asked else answer.header("Access-Control-Allow-Origin") or ""
        self.note("another origin gets none", problem)
        self.refused("OPTIONS that is no preflight is asked about", None, 401, method="OPTIONS")
        for key, text in ((self.world.scoped, "an answer"), (None, "a refusal")):
            answer, _ = self.ask(key, headers=[("Origin", ORIGIN)])
            origins = answer.all("Access-Control-Allow-Origin")
            self.note(f"{text} can be read by the page", "" if origins == [ORIGIN] else str(origins))

    def check_own_pages(self):
        """What the gateway says about its own doors is nobody's business."""
        for target in ("/_hallpass", "/v1/authorize/nginx", "/v1/authorize/forwarded", "/v1/authorize"):
            self.refused(f"{target} is not open to clients", None, (401, 403, 404), target=target)
        self.refused("nor to a key that may not call it", self.world.scoped, (403, 404), target="/_hallpass")


class Broken:
    """Stands where hallpass should, and is no hallpass."""

    ANSWERS = {
        "closes the connection": b"",
        "answers 500": b"HTTP/1.1 500 Oops",
        "answers 503": b"HTTP/1.1 503 Oops",
        "answers 404": b"HTTP/1.1 404 Oops",
        "answers 429": b"HTTP/1.1 429 Oops",
        "sends elsewhere": b"HTTP/1.1 302 Found\r\nLocation: /v1/bot/ok/a",
        "speaks nonsense": b"allowed",
        "says no": b"HTTP/1.1 401 Unauthorized",
    }

    def __init__(self):
        self.answer = "says no"
        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def _handler(self):
        broken = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                while (line := self.rfile.readline()) not in (b"\r\n", b""):
                    pass
                head = broken.ANSWERS[broken.answer]
                if head:
                    self.wfile.write(head + b"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        return Handler


def without_hallpass(name, api):
    """A gateway whose hallpass is broken lets nothing through. Pairs of text and problem."""
    broken = Broken()
    gateway = fleet.Gateway(name, broken.port, api.port)
    results = []
    try:
        for count, answer in enumerate(broken.ANSWERS):
            broken.answer = answer
            mark = f"{name}-broken-{count}"
            headers = [("Authorization", "Bearer x"), (wire.MARK, mark)]
            got = wire.request(gateway.port, "/v1/bot/ok/a", headers)
            problem = f"the client got {got.status}" if 200 <= got.status < 300 else ""
            if api.asked.pop(mark, None):
                problem = "the request reached the API"
            results.append((f"nothing passes when hallpass {answer}", problem))
    finally:
        gateway.stop()
    return results


def claims_of(token):
    try:
        part = token.split(".")[1]
        return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (IndexError, ValueError):
        return {}


def same_claims(left, right):
    """Of the same credential, minted at different moments."""
    changing = ("iat", "nbf", "exp", "jti")
    strip = lambda token: {k: v for k, v in claims_of(token).items() if k not in changing}
    return bool(left) and bool(right) and strip(left) == strip(right)
