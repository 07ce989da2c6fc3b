#!/usr/bin/env python3
"""How fast a recording is replayed through many recipes, against the same rules in SQL.

Usage: scripts/replay-speed.py [--write] [--events N] [--recipes N]   (after `make build`)

The recording is made of picket's own samples, real executions, with pid, time and arguments
changed; one in a thousand matches one of the further recipes. picket runs on one processor. SQLite and
DuckDB, with one thread each, get the same events as a table and each recipe as one SELECT; what they need
to read the JSON is told apart. All must find the same number of matches. Writes below target/replay.
--write: into docs/figures.md.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASE = ROOT / "target/replay"
PICKET = ROOT / "target/release/picket"
FIGURES = ROOT / "docs/figures.md"
BEGIN, END = "<!-- replay:begin -->", "<!-- replay:end -->"
GUIDANCE = "guidance:\n" + "".join(
    f"  {where}: {{implication: i, actions: [a]}}\n" for where in ("ci", "staging", "production")
)
# Each as a recipe has it, and as SQL has it.
SHAPES = [
    ("match: {{program: [tool{n}x]}}", "name = 'tool{n}x'"),
    ("when: process.exe.path.endsWith(\"/tool{n}x\")", "path LIKE '%/tool{n}x'"),
    ("when: process.command_line.contains(\"--flag-{n}-\")", "instr(command_line, '--flag-{n}-') > 0"),
    (
        "when: process.args.exists(a, a.startsWith(\"-x{n}=\")) && process.uid == 0",
        "uid = 0 AND (instr(command_line, ' -x{n}=') > 0)",
    ),
]


def option(name, default):
    return int(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


def samples():
    lines = []
    for path in sorted((ROOT / "recipes").glob("*/webserver_exec.*match.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if record.get("kind") == "exec" and "before" not in record:
                record.pop("expect", None)
                lines.append((record, "no-match" in path.name))
    return lines


def make_recording(path, count, recipes):
    benign = [record for record, harmless in samples() if harmless]
    servers = [record for record, harmless in samples() if not harmless]
    with open(path, "w", encoding="utf-8") as file:
        for number in range(count):
            record = servers[number % len(servers)] if number % 1000 == 7 else benign[number % len(benign)]
            process = record["process"]
            args = process["args"]
            pid, flag = process["pid"], process["uid"]
            process["pid"] = number + 1
            process["args"] = args + [f"run-{number}"]
            if number % 1000 == 500:
                process["args"] = process["args"] + [f"--flag-{number // 1000 * 4 % recipes + 2}-"]
            record["seq"], record["boot_ns"] = number, 10**9 + number * 1000
            file.write(json.dumps(record, separators=(",", ":")) + "\n")
            process["args"], process["pid"], process["uid"] = args, pid, flag


def make_recipes(directory, count):
    directory.mkdir(parents=True)
    for n in range(count):
        text = (
            f"name: further_{n}\nversion: \"1\"\ndescription: d\ncategory: c\nmethod: m\nimportance: high\n"
            f"attack: []\nevent: exec\n{SHAPES[n % 4][0].format(n=n)}\n{GUIDANCE}"
        )
        (directory / f"r{n}.yaml").write_text(text, encoding="utf-8")


def replay(recording, config):
    out = BASE / "out.jsonl"
    with open(out, "wb") as into:
        begin = time.monotonic()
        child = subprocess.Popen(
            ["taskset", "-c", "0", PICKET, "replay", "--format", "json", "--config", config, recording], stdout=into
        )
        _, status, usage = os.wait4(child.pid, 0)
        took = time.monotonic() - begin
    if status:
        sys.exit("replay-speed: picket failed")
    found = servers = 0
    with open(out, encoding="utf-8") as lines:
        for line in lines:
            name = json.loads(line).get("recipe", {}).get("name", "")
            found += name.startswith("further_")
            servers += name == "webserver_exec"
    return took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, found, servers


def rows(recording):
    with open(recording, encoding="utf-8") as lines:
        for line in lines:
            process = json.loads(line)["process"]
            path = process["exe"]["path"]
            yield path, path.rsplit("/", 1)[-1], " ".join(process["args"]), process["uid"]


def in_sql(recording, recipes):
    """Seconds to load and to ask, and what was found, of each engine that is here."""
    queries = [f"SELECT count(*) FROM e WHERE {SHAPES[n % 4][1].format(n=n)}" for n in range(recipes)]
    table = "CREATE TABLE e (path TEXT, name TEXT, command_line TEXT, uid INTEGER)"
    results = []
    for name in ("SQLite", "DuckDB"):
        try:
            if name == "SQLite":
                import sqlite3

                base, version = sqlite3.connect(":memory:"), sqlite3.sqlite_version
            else:
                import duckdb

                base, version = duckdb.connect(config={"threads": 1}), duckdb.__version__
        except ImportError:
            results.append((name, None))
            continue
        begin = time.process_time()
        base.execute(table)
        if name == "SQLite":
            base.executemany("INSERT INTO e VALUES (?, ?, ?, ?)", rows(recording))
        else:
            base.execute(
                "INSERT INTO e SELECT process->'exe'->>'path', split_part(process->'exe'->>'path', '/', -1), "
                "array_to_string(CAST(process->'args' AS VARCHAR[]), ' '), CAST(process->'uid' AS INTEGER) "
                f"FROM read_json('{recording}', format='newline_delimited', columns={{process: 'JSON'}})"
            )
        loaded = time.process_time()
        found = sum(base.execute(query).fetchone()[0] for query in queries)
        results.append((f"{name} {version}", (loaded - begin, time.process_time() - loaded, found)))
    return results


def main():
    if not PICKET.exists():
        sys.exit(f"replay-speed: {PICKET} is missing: run `make build` first")
    events, recipes = option("--events", 1_000_000), option("--recipes", 1000)
    subprocess.run(["rm", "-rf", BASE], check=True)
    make_recipes(BASE / "recipes", recipes)
    config = BASE / "config.yaml"
    config.write_text(f"recipes: [{BASE}/recipes]\nhost: replay\n", encoding="utf-8")
    plain = BASE / "plain.yaml"
    plain.write_text("host: replay\n", encoding="utf-8")
    large, small = BASE / "large.jsonl", BASE / "small.jsonl"
    make_recording(large, events, recipes)
    make_recording(small, events // 10, recipes)
    size = large.stat().st_size / events
    table = [
        f"{events:,} executions of {size:.0f} bytes each, {recipes} recipes beside picket's own; one processor.",
        "",
        "| what | events | events a second | CPU seconds | peak memory, MiB | matches of the further recipes |",
        "|---|---|---|---|---|---|",
    ]
    expected = {large: sum(1 for n in range(events) if n % 1000 == 500), small: sum(
        1 for n in range(events // 10) if n % 1000 == 500)}
    wrong = []
    for what, recording, setting in [
        (f"picket, {recipes} further recipes", large, config),
        (f"picket, {recipes} further recipes", small, config),
        ("picket, its own recipes", large, plain),
    ]:
        count = events if recording == large else events // 10
        _, cpu, memory, found, servers = replay(recording, setting)
        want = expected[recording] if setting == config else 0
        if found != want or servers == 0:
            wrong.append(f"{what}: {found} matches, expected {want}; {servers} servers")
        table.append(f"| {what} | {count:,} | {count / cpu:,.0f} | {cpu:.1f} | {memory:.1f} | {found} |")
    for name, result in in_sql(small, recipes):
        if result is None:
            table.append(f"| {name}: not installed | – | – | – | – | – |")
            continue
        load, ask, found = result
        if found != expected[small]:
            wrong.append(f"{name}: {found} matches, expected {expected[small]}")
        count = events // 10
        total = count / (load + ask)
        table.append(f"| {name}, each recipe a SELECT (reading {load:.1f} s, asking {ask:.1f} s) | {count:,} | "
                     f"{total:,.0f} | {load + ask:.1f} | – | {found} |")
    text = "\n".join(table)
    print(text)
    if "--write" in sys.argv:
        before, _, rest = FIGURES.read_text(encoding="utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        FIGURES.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
    subprocess.run(["rm", "-rf", BASE], check=True)
    if wrong:
        sys.exit("replay-speed: " + "; ".join(wrong))


main()
