"""Says which events which Sigma rules match, by pySigma's SQLite back end: {title: [pid, …]} as JSON.

Usage: check-sigma.py EVENTS.jsonl RULES.yml…
Events are as `picket record` writes them. What an event has for Sigma's fields is said here once more,
independent of picket."""
import json, pathlib, re, sqlite3, sys

from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection

FIELDS = {
    "Image": "TEXT", "CommandLine": "TEXT", "ParentImage": "TEXT", "ParentCommandLine": "TEXT",
    "User": "TEXT", "CurrentDirectory": "TEXT", "LogonId": "INTEGER", "ProcessId": "INTEGER",
    "ParentProcessId": "INTEGER",
}


def row(event):
    process = event["process"]
    parent = event["ancestry"][0] if event["ancestry"] else None
    return (
        process["exe"]["path"], " ".join(process["args"]),
        parent and parent["exe"], parent and " ".join(parent["args"]),
        process["user"], process["cwd"], process["uid"], process["pid"], process["ppid"],
    )


events = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
database = sqlite3.connect(":memory:")
columns = ", ".join(f"{name} {kind}" for name, kind in FIELDS.items())
database.execute(f"CREATE TABLE logs ({columns})")
places = ", ".join("?" * len(FIELDS))
database.executemany(f"INSERT INTO logs VALUES ({places})", map(row, events))
# SQLite has the operator, and leaves the function to its user: Sigma's expressions are Perl's.
database.create_function(
    "REGEXP", 2, lambda pattern, text: text is not None and re.search(pattern, text) is not None
)
matches = {}
for path in sys.argv[2:]:
    for rule in SigmaCollection.from_yaml(pathlib.Path(path).read_text(encoding="utf-8")).rules:
        found = set()
        for query in sqliteBackend(collate_nocase=True).convert_rule(rule):
            wanted = query.replace("SELECT *", "SELECT ProcessId", 1)
            found.update(pid for (pid,) in database.execute(wanted))
        if rule.title in matches:
            sys.exit(f"two rules are called {rule.title}")
        matches[rule.title] = sorted(found)
print(json.dumps(matches))
