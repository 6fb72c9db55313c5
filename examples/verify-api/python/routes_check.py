"""routes.py against the table that all implementations share."""

import json
from pathlib import Path

from routes import allows, read_path

table = json.loads((Path(__file__).parent.parent / "routes.json").read_text())
for row in table:
    method = row.get("method", "GET")
    for targets, wanted in ((row["yes"], True), (row["no"], False)):
        for target in targets:
            segments = read_path(target)
            allowed = segments is not None and allows([row["pattern"]], method, segments)
            assert allowed == wanted, f"{row['pattern']}: {method} {target}"
assert not allows([], "GET", ["bot"])
assert not allows(["**/a/**/a/**/a/b"], "GET", ["a"] * 64)
