#!/usr/bin/env python3
"""Writes ../paths.json.

    generate.py CORPORA

CORPORA is a folder with the three sources that README.md names, each in a folder of its own. The
verdicts come from `judge`, which was written from the rules of docs/routes.md and shares nothing
with the program: where the two differ, one of them is wrong.
"""

import json
import pathlib
import re
import sys

MOUNT = b"/v1"
ROUTES = ["bot/ok/**"]
UNRESERVED = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
)
ITSELF = UNRESERVED | frozenset(b"!$&'()*+,=:@")


class Refused(Exception):
    """The target is refused whatever the credential may do."""


def judge(target):
    """The segments of a target behind the mount, or None when it is refused."""
    try:
        return segments_of(target)
    except Refused:
        return None


def segments_of(target):
    if not target.startswith(b"/"):
        raise Refused("not a path")
    if any(byte < 0x20 or byte == 0x7F or byte == 0x23 for byte in target):
        raise Refused("a control character or a fragment")
    path = target.split(b"?", 1)[0]
    if len(path) > 2048:
        raise Refused("too long")
    if path != MOUNT and not path.startswith(MOUNT + b"/"):
        raise Refused("outside the mount")
    rest = path[len(MOUNT) :]
    if rest.endswith(b"/"):
        rest = rest[:-1]
    if not rest:
        raise Refused("nothing behind the mount")
    parts = rest[1:].split(b"/")
    if len(parts) > 64:
        raise Refused("too many segments")
    return [decode(part) for part in parts]


def decode(part):
    if part in (b"", b".", b".."):
        raise Refused("an empty or a dot segment")
    if not re.fullmatch(rb"(?:[^%]|%[0-9A-Fa-f]{2})*", part, re.DOTALL):
        raise Refused("a broken triplet")
    if any(byte not in ITSELF and byte != 0x25 for byte in part):
        raise Refused("a character that does not stand for itself")
    for triplet in re.findall(rb"%(..)", part):
        byte = int(triplet, 16)
        if byte in UNRESERVED or byte in b"/\\%?#;" or byte < 0x20 or byte == 0x7F:
            raise Refused("a character that must not be encoded")
    decoded = re.sub(rb"%(..)", lambda match: bytes([int(match[1], 16)]), part)
    try:
        text = decoded.decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("no UTF-8") from None
    if any(0x80 <= ord(character) <= 0x9F for character in text):
        raise Refused("a control character")
    return text


def matches(routes, segments):
    """For the few patterns that occur here: literals, `*`, and `**` at the end."""

    def one(pattern):
        wanted = pattern.split("/")
        if wanted[-1] == "**":
            wanted = wanted[:-1]
            if len(segments) <= len(wanted):
                return False
        elif len(segments) != len(wanted):
            return False
        return all(want in ("*", have) for want, have in zip(wanted, segments))

    return any(map(one, routes))


class Collection:
    def __init__(self):
        self.vectors = []
        self.seen = set()

    def add(self, kind, target, source=None, breach=None, routes=None):
        if isinstance(target, str):
            target = target.encode("utf-8")
        key = (target, tuple(routes or ROUTES))
        if key in self.seen and not breach:
            return
        self.seen.add(key)
        segments = judge(target)
        vector = {"id": f"{kind}-{sum(v['kind'] == kind for v in self.vectors) + 1}"}
        vector["kind"] = kind
        vector["target"] = target.decode("latin-1")
        if source:
            vector["source"] = source
        if breach:
            vector["breach"] = breach
        if routes:
            vector["routes"] = routes
        vector["segments"] = segments
        vector["allowed"] = segments is not None and matches(routes or ROUTES, segments)
        self.vectors.append(vector)


def breaches(out):
    """One or more for each breach of a program that matched paths; the rest of FACTS are headers."""
    for breach, targets in {
        "CVE-2026-33494 Ory Oathkeeper: matched raw, served normalised": [
            "/v1/bot/ok/../../admin/x",
            "/v1/bot/ok/..",
        ],
        "CVE-2026-42274 heimdall: dot segments below an open prefix": [
            "/v1/bot/ok/%2e%2e/%2e%2e/admin/x",
            "/v1/bot/ok/..%2f..%2fadmin/x",
            "/v1/bot/ok/%2e%2f%2e%2e%2fadmin",
        ],
        "CVE-2026-48020 Traefik StripPrefix": ["/v1/bot/ok/v1/../../../admin/x", "/v1../admin/x"],
        "CVE-2026-73551 Envoy: dot segment with a parameter": [
            "/v1/bot/ok/..;x/..;x/admin/x",
            "/v1/bot/ok/..;/admin/x",
        ],
        "CVE-2019-9901 Envoy: path was not normalised": [
            "/v1/bot/ok/../admin/x",
            "/v1/admin/../bot/ok/x",
            "//v1/bot/ok/x",
        ],
        "CVE-2026-50559 Quarkus: encoded semicolon": ["/v1/bot/ok%3Bx/a", "/v1/bot/ok/a%3b.css"],
        "CVE-2026-39852 Quarkus: encoded slash and backslash": [
            "/v1/bot/ok%2F..%2Fadmin",
            "/v1/bot/ok/..%5C..%5Cadmin%5Cx",
        ],
        "CVE-2025-71399 better-auth: doubled slash": ["/v1//bot/ok/a", "/v1/bot//ok/a", "/v1/bot/ok//admin"],
        "CVE-2026-33808 fastify: decoded twice": ["/v1/bot/ok/%252e%252e/admin", "/v1/bot/ok/%2561dmin"],
        "CVE-2026-2880 fastify: duplicate and trailing slashes, semicolon": [
            "/v1/bot/ok/admin//",
            "/v1/bot/ok/admin;x=/",
            "///v1/bot/ok/admin",
        ],
        "CVE-2026-32031 OpenClaw: encoded path": ["/v1/bot/%6fk/a", "/v1/%62ot/ok/a", "/%76%31/bot/ok/a"],
        "CVE-2026-0650 OpenFlagr: prefix of an open path": ["/v1/bot/ok/../../flags", "/v1/bot/okay/a"],
        "Authelia GHSA-68wm-pfjf-wqp6: malformed target": ["/v1/bot/ok/%", "/v1/bot/ok/%zz", ":/v1/bot/ok/a", ""],
        "tinyauth GHSA-xg2q-62g2-cvcm, GHSA-3q28-qjrv-qr39: target that does not parse": [
            "/v1/bot/ok/%%",
            "?/v1/bot/ok/a",
            "http://[::1/v1/bot/ok/a",
        ],
        "globset defaults: the trailing slash of `foo/**`": ["/v1/bot/ok", "/v1/bot/ok/"],
    }.items():
        for target in targets:
            out.add("breach", target, breach=breach)
    for breach, pattern, targets in [
        (
            "CVE-2026-23813 AOS-CX: a wildcard that crosses a slash",
            "bot/*",
            ["/v1/bot/a/b", "/v1/bot/a%2Fb", "/v1/bot/a", "/v1/bot/a/", "/v1/bot/"],
        ),
        (
            "globset defaults: `*` crosses a slash and matches nothing",
            "bot/*/fetch",
            ["/v1/bot/a/b/fetch", "/v1/bot//fetch", "/v1/bot/fetch", "/v1/bot/a/fetch", "/v1/bot/a/fetch/b"],
        ),
        (
            "globset defaults: what a pattern means by braces and brackets",
            "bot/ok/**",
            ["/v1/bot/{ok,admin}/x", "/v1/bot/[o]k/x", "/v1/bot/*/x", "/v1/bot/**"],
        ),
    ]:
        for target in targets:
            out.add("breach", target, breach=breach, routes=[pattern])


def from_corpora(out, corpora):
    lines = lambda name: [
        line for line in (corpora / name).read_bytes().split(b"\n") if line.strip(b"\r")
    ]
    source = "nomore403 payloads/midpaths"
    for middle in lines("nomore403/midpaths"):
        out.add("bypass", b"/v1/bot/ok/" + middle + b"/admin", source)
        out.add("bypass", b"/v1/bot/ok" + middle + b"admin", source)
        out.add("bypass", b"/" + middle + b"v1/bot/ok/a", source)
    source = "nomore403 payloads/endpaths"
    for end in lines("nomore403/endpaths"):
        out.add("bypass", b"/v1/bot/ok" + end, source)
        out.add("bypass", b"/v1/bot/ok/a" + end, source)

    source = "PayloadsAllTheThings directory_traversal"
    for line in lines("payloads-all-the-things/Directory_Traversal_Intruder_directory_traversal.txt"):
        out.add("traversal", b"/v1/bot/ok/" + line.rstrip(b"\r"), source)
    for name in ("deep_traversal", "traversals-8-deep-exotic-encoding"):
        source = f"PayloadsAllTheThings {name}"
        shortest = {}
        for line in lines(f"payloads-all-the-things/Directory_Traversal_Intruder_{name}.txt"):
            line = line.rstrip(b"\r")
            # The lists repeat each spelling up to eight times: two steps up leave `bot/ok`, and
            # three the mount.
            unit = re.match(rb"(.+?)\1*\{FILE\}", line)
            spelling = unit[1] if unit else line
            depth = line.count(spelling)
            if depth == (2 if name == "deep_traversal" else 3):
                shortest.setdefault((spelling, depth), line)
        for line in shortest.values():
            out.add("traversal", b"/v1/bot/ok/" + line.replace(b"{FILE}", b"admin/x"), source)

    source = "web-platform-tests urltestdata.json"
    absolute = 0
    for case in json.loads((corpora / "url-idna/urltestdata.json").read_text("utf-8")):
        if isinstance(case, str):
            continue
        try:
            text = case["input"].encode("utf-8")
        except UnicodeEncodeError:
            continue
        if not text or len(text) > 120 or not re.search(rb"[%\\.;#?/|@]", text):
            continue
        if re.match(rb"[A-Za-z][A-Za-z0-9+.-]*:", text):
            if re.match(rb"https?:", text) and len(text) < 40 and absolute < 100:
                out.add("absolute", text, source)
                absolute += 1
        else:
            out.add("url", b"/v1/bot/ok/" + text, source)


UPS = {
    "plain": "..",
    "encoded": "%2e%2e",
    "upper": "%2E%2E",
    "half": ".%2e",
    "other half": "%2e.",
    "twice": "%252e%252e",
    "thrice": "%25252e%25252e",
    "broken": "%%32%65%%32%65",
    "overlong 2": "%c0%ae%c0%ae",
    "overlong 3": "%e0%80%ae%e0%80%ae",
    "overlong 4": "%f0%80%80%ae%f0%80%80%ae",
    "utf-16": "%u002e%u002e",
    "nul": "..%00",
    "tab": "..%09",
    "line": "..%0a",
    "space": "..%20",
    "parameter": "..;",
    "named parameter": "..;a=b",
    "encoded parameter": "..%3b",
    "fullwidth": "%ef%bc%8e%ef%bc%8e",
    "one dot leader": "%e2%80%a4%e2%80%a4",
    "small": "%ef%b9%92%ef%b9%92",
    "ideographic": "%e3%80%82%e3%80%82",
    "three": "...",
    "one": ".",
    "one encoded": "%2e",
    "zero width": "%e2%80%8b..",
    "byte order": "%ef%bb%bf..",
    "soft hyphen": ".%c2%ad.",
}
SLASHES = {
    "plain": "/",
    "encoded": "%2f",
    "upper": "%2F",
    "twice": "%252f",
    "backslash": "\\",
    "encoded backslash": "%5c",
    "backslash twice": "%255c",
    "overlong 2": "%c0%af",
    "overlong 3": "%e0%80%af",
    "overlong 4": "%f0%80%80%af",
    "overlong backslash": "%c1%9c",
    "utf-16": "%u002f",
    "fullwidth": "%ef%bc%8f",
    "division": "%e2%88%95",
    "fraction": "%e2%81%84",
    "big": "%e2%a7%b8",
    "fullwidth backslash": "%ef%bc%bc",
    "double": "//",
    "dot": "/./",
    "parameter": ";/",
    "nul": "%00/",
    "mixed": "/\\",
}


def systematic(out):
    for up_name, up in UPS.items():
        for slash_name, slash in SLASHES.items():
            source = f"systematic: dots {up_name}, slash {slash_name}"
            out.add("dots", f"/v1/bot/ok/{up}{slash}{up}{slash}admin/x", source)
    for name, up in UPS.items():
        out.add("dots", f"/v1/bot/ok/a/{up}/b", f"systematic: dots {name}, inside")
        out.add("dots", f"/v1/bot/ok/{up}", f"systematic: dots {name}, at the end")
        out.add("dots", f"/{up}/v1/bot/ok/a", f"systematic: dots {name}, before the mount")
        out.add("dots", f"/v1/{up}/v1/bot/ok/a", f"systematic: dots {name}, behind the mount")
        out.add("dots", f"/v1/admin/{up}/bot/ok/a", f"systematic: dots {name}, from outside in")
    for name, slash in SLASHES.items():
        source = f"systematic: slash {name}"
        out.add("slash", f"/v1/bot{slash}ok/a", source)
        out.add("slash", f"/v1/bot/ok{slash}a", source)
        out.add("slash", f"/v1{slash}bot/ok/a", source)
        out.add("slash", f"{slash}v1/bot/ok/a", source)
        out.add("slash", f"/v1/bot/ok/a{slash}", source)
        out.add("slash", f"/v1/bot/ok/a{slash}b", source)
    for byte in range(256):
        out.add("byte", b"/v1/bot/ok/a" + bytes([byte]) + b"b", f"systematic: byte {byte:#04x}")
        upper, lower = f"%{byte:02X}", f"%{byte:02x}"
        for triplet in dict.fromkeys([upper, lower]):
            out.add("byte", f"/v1/bot/ok/a{triplet}b", f"systematic: byte {byte:#04x} encoded")
    for byte in b"\t\n\r \"#%;<>?[\\]^`{|}~\x00\x7f\x80\xff":
        out.add("byte", b"/v1/bot/ok" + bytes([byte]), f"systematic: byte {byte:#04x} at the end")
        out.add("byte", f"/v1/bot/ok%{byte:02X}/a", f"systematic: byte {byte:#04x} at the border")
        out.add("byte", f"/v1/bot/%{byte:02X}ok/a", f"systematic: byte {byte:#04x} in front")
        out.add("byte", b"/v1/bot/ok/a?q=" + bytes([byte]), f"systematic: byte {byte:#04x} in the query")


def utf8(out):
    for name, text in {
        "lone continuation": "%80",
        "two continuations": "%80%bf",
        "cut two": "%c3",
        "cut three": "%e2%82",
        "cut four": "%f0%9f%a4",
        "cut across a slash": "%c3/%a9",
        "lead and ASCII": "%c3a",
        "overlong NUL": "%c0%80",
        "overlong A": "%c1%81",
        "overlong 3 of U+07FF": "%e0%9f%bf",
        "overlong 4 of U+FFFF": "%f0%8f%bf%bf",
        "five bytes": "%f8%88%80%80%80",
        "six bytes": "%fc%84%80%80%80%80",
        "surrogate": "%ed%a0%80",
        "surrogate pair": "%ed%a0%bd%ed%b8%80",
        "past U+10FFFF": "%f4%90%80%80",
        "fe ff": "%fe%ff",
        "Latin-1": "caf%e9",
        "last scalar": "%f4%8f%bf%bf",
        "noncharacter": "%ef%bf%bf",
        "replacement": "%ef%bf%bd",
        "two bytes": "caf%c3%a9",
        "decomposed": "cafe%cc%81",
        "three bytes": "%e2%82%ac",
        "four bytes": "%f0%9f%a4%96",
        "mixed case triplets": "%C3%a9",
        "right to left": "%e2%80%aegpj.exe",
        "C1 control": "%c2%85",
        "line separator": "%e2%80%a8",
        "fullwidth letters": "%ef%bd%8f%ef%bd%8b",
        "Kelvin sign": "o%e2%84%aa",
        "long s": "%c5%bf",
        "dotless i": "adm%c4%b1n",
        "Cyrillic o": "%d0%bek",
    }.items():
        out.add("utf8", f"/v1/bot/ok/{text}", f"systematic: {name}")
        out.add("utf8", f"/v1/bot/{text}/a", f"systematic: {name} as the bot")
        out.add("utf8", f"/v1/bot/ok{text}/a", f"systematic: {name} behind the bot")
    for raw in (b"caf\xc3\xa9", b"caf\xe9", b"\xc0\xaf", b"\xc0\xae\xc0\xae", b"\xef\xbc\x8f", b"\xff"):
        out.add("utf8", b"/v1/bot/ok/" + raw, "systematic: raw bytes above 127")


def prefixes(out):
    for target in (
        "/v1 /v1/ /v1? /v1/? / // /v10/bot/ok/a /v1bot/ok/a /v1.0/bot/ok/a /v1./bot/ok/a /V1/bot/ok/a "
        "/v1/v1/bot/ok/a /api/v1/bot/ok/a /api/bot/ok/a /v2/bot/ok/a /bot/ok/a /x/v1/bot/ok/a /v1-/bot/ok/a "
        "/v1;x/bot/ok/a /v1%20/bot/ok/a /v1%2e/bot/ok/a /v%31/bot/ok/a /%761/bot/ok/a /v1%00/bot/ok/a "
        "/v1,/bot/ok/a /v1:80/bot/ok/a /v1@h/bot/ok/a /v1&/bot/ok/a /~v1/bot/ok/a /.v1/bot/ok/a "
        "/v1/bot /v1/bot/ /v1/bot/o /v1/bot/ok /v1/bot/okk /v1/bot/ok2/a /v1/bot/ok.json /v1/bot/ok./a "
        "/v1/bot/ok../a /v1/bot/.ok/a /v1/bot/ok-/a /v1/bot/ok_/a /v1/bot/ok~/a /v1/bot/ok~1/a /v1/bot/ok:x/a "
        "/v1/bot/ok,x/a /v1/bot/ok@x/a /v1/bot/ok!/a /v1/bot/ok$/a /v1/bot/ok&x/a /v1/bot/ok'/a /v1/bot/ok(/a "
        "/v1/bot/ok*/a /v1/bot/ok+/a /v1/bot/ok=1/a /v1/bot/ok%20/a /v1/bot/%20ok/a /v1/bot/+ok/a "
        "/v1/bot/ok::$DATA/a /v1/bot/ok:$i30:$INDEX_ALLOCATION/a /v1/botok/a /v1/bots/ok/a /v1/bo/ok/a "
        "/v1/bot/OK/a /v1/bot/Ok/a /v1/bot/oK/a /v1/BOT/ok/a /v1/Bot/ok/a /v1/bot/ok/A /v1/admin/bot/ok/a "
        "/v1/x/bot/ok/a /v1/bot/x/ok/a /v1/bot/bot/ok/a /v1/bot/other/ok /v1/bot/other/ok/a /v1/bot/b1/bot/ok/a "
        "/v1/bot/ok/a. /v1/bot/ok/a.. /v1/bot/ok/a... /v1/bot/ok/.a /v1/bot/ok/..a /v1/bot/ok/... "
        "/v1/bot/ok/.... /v1/bot/ok/a%20 /v1/bot/ok/%20a /v1/bot/ok/%20 /v1/bot/ok/..%20 /v1/bot/ok/.%20. "
        "/v1/bot/ok/a.json /v1/bot/ok/a.css /v1/bot/ok/.well-known/x /v1/bot/ok/index.html "
        "/v1/bot/ok/CON /v1/bot/ok/c:/x /v1/bot/ok/~root /v1/bot/ok/WEB-INF/web.xml /v1/bot/ok/.git/config"
    ).split():
        out.add("prefix", target, "systematic: prefixes, case, trailing dots")


def forms(out):
    for target in (
        "http://api.example/v1/bot/ok/a https://api.example/v1/bot/ok/a HTTP://api.example/v1/bot/ok/a "
        "http:/v1/bot/ok/a http:///v1/bot/ok/a http:v1/bot/ok/a //api.example/v1/bot/ok/a "
        "///api.example/v1/bot/ok/a http://api.example/v1/admin/x http://api.example:80/v1/bot/ok/a "
        "http://user:pass@api.example/v1/bot/ok/a http://api.example@evil.example/v1/bot/ok/a "
        "http://[::1]/v1/bot/ok/a http://api.example/v1/bot/ok/../../admin/x http://api.example "
        "http://api.example?/v1/bot/ok/a http://api.example#/v1/bot/ok/a http://api.example\\v1/bot/ok/a "
        "ftp://api.example/v1/bot/ok/a ws://api.example/v1/bot/ok/a file:///v1/bot/ok/a javascript:/v1/bot/ok/a "
        "* /* api.example:443 api.example v1/bot/ok/a ./v1/bot/ok/a ../v1/bot/ok/a \\v1\\bot\\ok\\a "
        "@/v1/bot/ok/a ;/v1/bot/ok/a :80/v1/bot/ok/a %2fv1/bot/ok/a %2Fv1%2Fbot%2Fok%2Fa ?/v1/bot/ok/a "
        "#/v1/bot/ok/a &/v1/bot/ok/a"
    ).split():
        out.add("form", target, "systematic: forms of the target")
    for target in (
        "/v1/bot/ok/a#f /v1/bot/ok/a# /v1/bot/ok#/a /v1/bot#/ok/a /v1/admin#/../bot/ok/a #/v1/bot/ok/a "
        "/v1/bot/ok/a?x#f /v1/bot/ok/a%23f /v1/bot/ok/a%3fx /v1/bot/ok%3f/a /v1/admin%3f/../bot/ok/a "
        "/v1/admin/x?/../../bot/ok/a /v1/bot/ok/a?/../../admin/x /v1/bot/ok/a??x /v1/bot/ok/a?x?y "
        "/v1/bot/ok/a?%2e%2e/%00%zz /v1/bot/ok/a?x=%0d%0a /v1/bot/ok/a?; /v1/bot/ok/a?\\ /v1/bot/ok?a "
        "/v1/bot/ok/?a /v1/bot/ok/a/? /v1/bot/ok/a/?/ /v1/bot/ok/a?a=http://evil.example/ "
        "/v1/bot/ok/a?uri=/v1/admin /v1/bot/ok/a?_method=DELETE /v1/bot/ok/a?access_token=x"
    ).split():
        out.add("form", target, "systematic: fragments and queries")


def limits(out):
    source = "systematic: limits"
    at_most = "/v1/bot/ok/" + "a" * (2048 - len("/v1/bot/ok/"))
    for target in (
        at_most,
        at_most + "a",
        at_most + "?" + "q" * 3000,
        at_most[:-1] + "/",
        at_most + "/",
        "/v1/bot/ok" + "/a" * 62,
        "/v1/bot/ok" + "/a" * 63,
        "/v1/bot/ok" + "/a" * 62 + "/",
        "/v1/bot/ok/" + "%C3%A9" * 100,
        "/v1/bot/ok/" + "../" * 60 + "admin",
        "/v1/bot/ok/" + "/" * 200 + "a",
        "/v1/bot/ok/" + "%25" * 200,
        "/v1/bot/ok/" + "..;/" * 60 + "admin",
        "/v1/bot/ok/" + "%2e" * 300,
    ):
        out.add("limit", target, source)


def plain(out):
    """What must go on working."""
    for target in (
        "/v1/bot/ok/a /v1/bot/ok/a/ /v1/bot/ok/a/b/c /v1/bot/ok/fetch?id=1&x=y /v1/bot/ok/a-b_c.d~e "
        "/v1/bot/ok/me@example.com /v1/bot/ok/a%20b /v1/bot/ok/a+b /v1/bot/ok/a:b /v1/bot/ok/a,b,c "
        "/v1/bot/ok/(a) /v1/bot/ok/a=b /v1/bot/ok/!$&'()*+,= /v1/bot/ok/%7Ba%7D /v1/bot/ok/%5Ba%5D "
        "/v1/bot/ok/%22a%22 /v1/bot/ok/%3Ca%3E /v1/bot/ok/a%7Cb /v1/bot/ok/a%5Eb /v1/bot/ok/a%60b "
        "/v1/bot/ok/%40a /v1/bot/ok/a%3Ab /v1/bot/ok/a%2Cb /v1/bot/ok/a%2Bb /v1/bot/ok/a%3Db /v1/bot/ok/a%26b "
        "/v1/bot/ok/%E6%97%A5%E6%9C%AC /v1/bot/ok/%D0%BF%D1%80%D0%B8 /v1/bot/ok/0 /v1/bot/ok/-1 /v1/bot/ok/_ "
        "/v1/bot/ok/2026-11-26T21:00:00Z /v1/bot/ok/v1/bot/ok /v1/conversation/c1/message/list /v1/bot/list"
    ).split():
        out.add("plain", target, "systematic: ordinary paths")


def main():
    corpora = pathlib.Path(sys.argv[1])
    out = Collection()
    plain(out)
    breaches(out)
    prefixes(out)
    forms(out)
    systematic(out)
    utf8(out)
    limits(out)
    from_corpora(out, corpora)
    lines = ",\n".join("  " + json.dumps(vector) for vector in out.vectors)
    path = pathlib.Path(__file__).resolve().parent.parent / "paths.json"
    path.write_text(f'{{ "mount": "/v1", "routes": {json.dumps(ROUTES)}, "vectors": [\n{lines}\n] }}\n')
    kinds = {}
    for vector in out.vectors:
        kinds.setdefault(vector["kind"], [0, 0, 0])
        kinds[vector["kind"]][0] += 1
        kinds[vector["kind"]][1] += vector["segments"] is not None
        kinds[vector["kind"]][2] += vector["allowed"]
    for kind, (total, accepted, allowed) in kinds.items():
        print(f"{kind:10} {total:5}, accepted {accepted}, allowed {allowed}")
    print(f"{'in all':10} {len(out.vectors):5}")


main()
