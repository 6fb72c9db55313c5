"""The routes of a session: docs/routes.md, as far as an API needs it."""

import re
from urllib.parse import unquote_to_bytes

# Each character is one that may stand for itself, or two hexadecimal digits behind `%`.
SEGMENT = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-Fa-f]{2})+")
# What needs no encoding, and what programs decode at different times, must not be encoded.
NEVER_ENCODED = re.compile(rb"[A-Za-z0-9\-._~/\\%?#;]")
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def read_path(target, mount="/v1"):
    """Reads a request target into decoded segments. Whatever two programs could read in two ways
    is refused with None; nothing is normalised."""
    path, _, query = target.partition("?")
    if re.search("[#\x00-\x1f\x7f]", query):
        return None
    if len(path) > 2048 or not path.startswith(mount + "/"):
        return None
    rest = path[len(mount) + 1 :].removesuffix("/")
    segments = [read_segment(raw) for raw in rest.split("/")]
    if len(segments) > 64 or None in segments:
        return None
    return segments


def read_segment(raw):
    if not SEGMENT.fullmatch(raw):
        return None
    for encoded in re.findall("%(..)", raw):
        if NEVER_ENCODED.fullmatch(bytes.fromhex(encoded)):
            return None
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if text in (".", "..") or CONTROL.search(text) else text


METHOD = "(?:CONNECT|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT|TRACE)"
PIECE = r"(?:\*\*?|[^/*?\[\]{}<>!\\%;#\s\x00-\x1f\x7f-\x9f]+)"
PATTERN = re.compile(f"(?:({METHOD}(?:,{METHOD})*) )?({PIECE}(?:/{PIECE})*)")


def is_pattern(text):
    """Whether a text is a pattern as hallpass writes it into tokens: methods sorted, each once, and
    no wildcard behind `**`."""
    found = PATTERN.fullmatch(text)
    if not found or len(text) > 256:
        return False
    methods = found[1].split(",") if found[1] else []
    pieces = found[2].split("/")
    return (
        methods == sorted(set(methods))
        and len(pieces) <= 32
        and pieces.count("**") <= 3
        and not {".", ".."} & set(pieces)
        and not any(a == "**" and b.startswith("*") for a, b in zip(pieces, pieces[1:]))
    )


def allows(patterns, method, segments):
    """Whether one of the patterns allows the request. A token has canonical patterns only."""
    for pattern in patterns:
        methods, _, path = pattern.rpartition(" ")
        if methods and method not in methods.split(","):
            continue
        if matches(path.split("/"), segments):
            return True
    return False


def matches(pieces, segments):
    """`*` is one segment, `**` any number, at the end at least one. Rows of a table from the end of
    the pattern: `row[j]` says whether the rest of the pattern matches the segments from `j` on. So
    the work is pattern times path, whatever the pattern."""
    count = len(segments)
    row = [j == count for j in range(count + 1)]
    for i in range(len(pieces) - 1, -1, -1):
        following, row = row, [False] * (count + 1)
        is_last = i == len(pieces) - 1
        for j in range(count, -1, -1):
            if pieces[i] == "**":
                row[j] = j < count if is_last else following[j] or (j < count and row[j + 1])
            elif j < count:
                row[j] = pieces[i] in ("*", segments[j]) and following[j + 1]
    return row[0]
