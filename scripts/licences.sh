#!/usr/bin/env bash
# Every dependency's licence must be on the list of deny.toml (any one of its alternatives).
set -euo pipefail
cd "$(dirname "$0")/.."
cargo metadata --format-version 1 --locked | python3 -c '
import json, re, sys

allowed = set(re.findall(r"^    \"([^\"]+)\",$", open("deny.toml").read(), re.M))
bad = []
for package in json.load(sys.stdin)["packages"]:
    licence = (package["license"] or "none").replace("/", " OR ")
    # "A OR B": one must be allowed; "A AND B": all must be.
    def holds(text):
        text = text.strip()
        while text.startswith("(") and text.endswith(")") and text.count("(") == 1:
            text = text[1:-1]
        if " AND " in text:
            return all(holds(part) for part in text.split(" AND "))
        if " OR " in text:
            return any(holds(part) for part in text.split(" OR "))
        return text in allowed
    if not holds(licence):
        bad.append("%s %s: %s" % (package["name"], package["version"], licence))
for line in bad:
    print("licences: not on the list of deny.toml: " + line, file=sys.stderr)
sys.exit(1 if bad else 0)
'
