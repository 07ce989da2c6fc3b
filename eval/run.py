#!/usr/bin/env python3
"""Precision and recall of the recipes over the labelled corpus. Pure replay: no root, no network.

Usage: eval/run.py [--write | NAME...]   (after `make build`)

Every recording below eval/recordings is replayed with the environment of its scenario. An alert is a
detection of severity low or above. All alerts of benign scenarios are false, those of attacks are true. A recipe
that an attack `must` bring is missed when it is silent. With a baseline: all that the benign scenarios
brought on the first day is accepted, and the second day is judged, attacks included. Exit code 1 only if
the corpus or a replay is broken; a missed goal is printed. --write: into docs/evaluation.md.
"""

import collections
import gzip
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PICKET = pathlib.Path(os.environ.get("PICKET", ROOT / "target/release/picket"))
WORK = ROOT / "target/eval"
PAGE = ROOT / "docs/evaluation.md"
BEGIN, END = "<!-- eval:begin -->", "<!-- eval:end -->"

# Recipes about what runs below a server, and published rules about the same, as eval/peers has them.
BELOW = {"webserver_shell_spawn", "webserver_discovery", "webserver_download", "webserver_dropped_program"}
PEERS = [
    ("peer_sigma_webshell", "Sigma, Linux Webshell Indicators"),
    ("peer_falco_shell", "Falco, Run shell untrusted (its exclusions left out)"),
]

Scenario = collections.namedtuple("Scenario", "name attack environment must")
Outcome = collections.namedtuple("Outcome", "scenario day execs alerts found peers")


def scenarios():
    for script in sorted((ROOT / "eval/scenarios").glob("*/*.sh")):
        said = dict(re.findall(r"^# (environment|must): (.+)$", script.read_text(encoding="utf-8"), re.M))
        attack = script.parent.name == "attack"
        if "environment" not in said or attack != ("must" in said):
            sys.exit(f"run: {script}: `# environment:` is needed, and of an attack `# must:`")
        yield Scenario(script.stem, attack, said["environment"], frozenset(said.get("must", "").split()))


def replay(path, environment, baseline=None):
    """The records of one replay, by the configuration of this evaluation alone."""
    config = WORK / "config.yaml"
    text = f"recipes: [{ROOT}/eval/peers]\n" + (f"baseline: {baseline}\n" if baseline else "")
    config.write_text(text, encoding="utf-8")
    config.chmod(0o600)
    command = [PICKET, "--config", config, "--environment", environment, "--format", "json"]
    done = subprocess.run([*command, "replay", "--severity", "info", path], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"run: {path.name}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def judge(scenario, day, baseline=None):
    packed = ROOT / "eval/recordings" / ("attack" if scenario.attack else "benign") / f"{scenario.name}.{day}.jsonl.gz"
    if not packed.exists():
        sys.exit(f"run: {packed} is missing: `eval/record.py {scenario.name}` makes it")
    events = gzip.decompress(packed.read_bytes()).decode()
    plain = WORK / f"{scenario.name}.{day}.jsonl"
    plain.write_text(events, encoding="utf-8")
    execs = sum(json.loads(line)["kind"] == "exec" for line in events.splitlines())
    records = replay(plain, scenario.environment, baseline)
    plain.unlink()
    every = [record for record in records if record["type"] == "detection"]
    found = [d for d in every if not d["recipe"]["name"].startswith("peer_")]
    alerts = [d for d in found if d["severity"] != "info"]
    return Outcome(scenario, day, execs, alerts, found, [d for d in every if d not in found])


def baseline_of(outcomes):
    """A baseline file in which all that these brought is accepted."""
    seen, made = WORK / "seen.jsonl", WORK / "baseline.yaml"
    made.unlink(missing_ok=True)
    lines = [json.dumps(d) for outcome in outcomes for d in outcome.found]
    if not lines:
        made.write_text("accepted: []\n", encoding="utf-8")
        made.chmod(0o600)
        return made
    seen.write_text("\n".join(lines) + "\n", encoding="utf-8")
    command = [PICKET, "baseline", "accept", "--all-new", "--from", seen, "--file", made]
    done = subprocess.run([*command, "--by", "evaluation", "--why", "first day"], capture_output=True, text=True)
    if not made.exists():
        sys.exit(f"run: no baseline: {done.stderr}")
    return made


def percent(part, whole):
    return f"{100 * part / whole:.1f} % ({part} of {whole})" if whole else "no case"


def figures(outcomes):
    """For each recipe and environment: precision by alerts, recall by attacks."""
    true, false, caught, due = (collections.Counter() for _ in range(4))
    for outcome in outcomes:
        scenario = outcome.scenario
        names = collections.Counter(d["recipe"]["name"] for d in outcome.alerts)
        for name, count in names.items():
            (true if scenario.attack else false)[name, scenario.environment] += count
        for name in scenario.must:
            due[name, scenario.environment] += 1
            caught[name, scenario.environment] += name in names
    rows = {key: (true[key], false[key], caught[key], due[key]) for key in set(true) | set(false) | set(due)}
    return rows


def table(before, after):
    lines = ["| recipe | environment | precision | recall | precision, baseline | recall, baseline |", "|---|---|---|---|---|---|"]
    for key in sorted(set(before) | set(after)):
        cells = []
        for true, false, caught, due in (before.get(key, (0,) * 4), after.get(key, (0,) * 4)):
            cells += [percent(true, true + false), percent(caught, due)]
        lines.append(f"| {key[0]} | {key[1]} | {' | '.join(cells)} |")
    sums = [[sum(column) for column in zip(*rows.values())] for rows in (before, after)]
    cells = [c for t, f, g, d in sums for c in (percent(t, t + f), percent(g, d))]
    return [*lines, f"| all | all | {' | '.join(cells)} |"]


def noise(title, outcomes, goal):
    benign = [o for o in outcomes if not o.scenario.attack]
    alerts, execs = sum(len(o.alerts) for o in benign), sum(o.execs for o in benign)
    rate = 1000 * alerts / max(execs, 1)
    return f"| {title} | {alerts} | {execs} | {rate:.2f} | {goal} | {'met' if (rate < 1 if goal != '0' else not alerts) else '**not met**'} |"


def false_alerts(outcomes):
    counts = collections.Counter()
    for o in outcomes:
        for d in o.alerts:
            if not o.scenario.attack:
                counts[o.scenario.name, d["recipe"]["name"], pathlib.PurePath(d["process"]["exe"]["path"]).name] += 1
    return [f"| {a} | {b} | {c} | {n} |" for (a, b, c), n in sorted(counts.items())]


def peers(outcomes):
    """The web shells that a tool's own rule finds, and what it says of benign scenarios."""
    shells = [o for o in outcomes if "webserver_shell_spawn" in o.scenario.must]
    benign = [o for o in outcomes if not o.scenario.attack]
    rows = [("picket, recipes about what runs below a server", lambda o: [d for d in o.alerts if d["recipe"]["name"] in BELOW])]
    for name, title in PEERS:
        rows.append((title, lambda o, name=name: [d for d in o.peers if d["recipe"]["name"] == name]))
    for title, alerts in rows:
        yield f"| {title} | {percent(sum(bool(alerts(o)) for o in shells), len(shells))} | {sum(len(alerts(o)) for o in benign)} |"


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    wanted = [a for a in sys.argv[1:] if a != "--write"]
    corpus = [s for s in scenarios() if not wanted or s.name in wanted]
    if unknown := set(wanted) - {s.name for s in corpus}:
        sys.exit(f"run: no such scenario: {', '.join(sorted(unknown))}")
    first = [judge(s, 1) for s in corpus]
    second = [judge(s, 2) for s in corpus]
    baseline = baseline_of([o for o in first if not o.scenario.attack])
    settled = [judge(s, 2, baseline) for s in corpus]
    before, after = figures(first + second), figures(settled)
    missed = [
        f"- {o.scenario.name}, day {o.day}{how}: {', '.join(sorted(silent))}"
        for how, outcomes in (("", first + second), (" with a baseline", settled))
        for o in outcomes
        if (silent := o.scenario.must - {d["recipe"]["name"] for d in o.alerts})
    ]
    attacks = sum(s.attack for s in corpus)
    said = [
        f"{len(corpus) - attacks} benign scenarios and {attacks} attacks, each run twice.",
        "",
        "| benign part | alerts | execs | per 1000 execs | goal |  |",
        "|---|---|---|---|---|---|",
        noise("without a baseline", first + second, "under 1"),
        noise("second day, with the first as baseline", settled, "0"),
        "",
        *table(before, after),
        "",
        "| rules, without a baseline | web shells found | alerts in benign scenarios |",
        "|---|---|---|",
        *peers(first + second),
        "",
        "Missed:" if missed else "Nothing was missed.",
        *missed,
        "",
        "False alerts without a baseline, both days:",
        "",
        "| scenario | recipe | program | alerts |",
        "|---|---|---|---|",
        *false_alerts(first + second),
        "",
        "False alerts that remain with a baseline:",
        "",
        "| scenario | recipe | program | alerts |",
        "|---|---|---|---|",
        *(false_alerts(settled) or ["| none | | | |"]),
    ]
    text = "\n".join(said)
    print(text)
    if "--write" in sys.argv[1:] and not wanted:
        page = PAGE.read_text(encoding="utf-8")
        head, rest = page.split(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
