"""Says whether what a virtual machine reported is what it should be."""

import dataclasses
import fnmatch
import json
import re

# Port, name, whether it hides, and the name of the file: what guest.sh starts.
SERVERS = {
    8081: ("nginx", False, "nginx"),
    8082: ("nginx", True, "kworker"),
    8083: ("python-http-server", False, "python3"),
    8084: ("busybox-httpd", False, "busybox"),
}


@dataclasses.dataclass
class Report:
    """What one kernel did."""

    name: str
    arch: str
    suite: str
    release: str = ""
    hooks: str = ""
    answers: str = ""
    lsm: str = ""
    end2end: str = ""
    tests: dict = dataclasses.field(default_factory=dict)
    expected: dict = dataclasses.field(default_factory=dict)
    problems: list = dataclasses.field(default_factory=list)
    notes: list = dataclasses.field(default_factory=list)
    seconds: int = 0


def expectations(path, kernel):
    """Tests that are expected to fail on a kernel, with the reason."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            pattern, test, reason = line.split("\t")
            if fnmatch.fnmatch(kernel, pattern):
                found[test] = reason
    return found


def judge(report, lines, phases, listed_here, every_test):
    """Fills a report from what was said."""
    said = {}
    for line in lines:
        if found := re.match(r"VMTEST (\S+) ?(.*)", line):
            said.setdefault(found[1], []).append(found[2])
    bad = report.problems.append
    report.release = next(iter(said.get("begin", [])), "")
    for word in said.get("broken", []):
        bad(word)
    if not report.release:
        bad("it did not boot: " + " / ".join(line for line in lines[-3:] if line))
        return
    if "end" not in said:
        bad("it ended early: " + " / ".join(line for line in lines[-3:] if line))
    report.notes += said.get("note", [])
    for line in said.get("trouble", []):
        bad(f"the kernel complained: {line}")
    status = dict(line.rsplit(" ", 1) for line in said.get("status", []))
    for phase in phases:
        if phase not in status:
            bad(f"{phase} did not end")
    if "doctor" in phases:
        doctor(report, said, status.get("doctor"))
    if "refused" in phases:
        refused(report, said, status.get("refused"))
    if "end2end" in phases:
        end2end(report, said, status.get("end2end"))
    if "tests" in phases:
        tests(report, said, listed_here, every_test)


def doctor(report, said, status):
    checks = {}
    for line in said.get("doctor", []):
        check = json.loads(line)
        checks[check["name"]] = check
        if check["ok"] is False:
            report.problems.append(f"doctor: {check['name']}: {check['found']}")
    if status != "0":
        report.problems.append("doctor: " + " / ".join(said.get("said", [])))
    found = lambda name: checks.get(name, {}).get("found", "")
    report.hooks = found("hooks").partition(" attached")[0]
    if found("canary") != "executed and seen":
        report.problems.append(f"the canary: {found('canary') or 'not flown'}")
    report.answers = "yes" if found("cgroup programs") == "loads" else found("cgroup programs")
    lsm = found("LSM programs")
    report.lsm = {"loads": "yes", "does not load here": "no"}.get(lsm, "with `lsm=…,bpf`")
    if (lsm == "loads") != ("bpf" in said.get("lsm", [""])[0].split(",")):
        report.problems.append(f"doctor: LSM programs: {lsm}, but {said.get('lsm')}")


def refused(report, said, status):
    """Without type information picket must end at once, and say what to do."""
    words = " ".join(said.get("refusal", []))
    if status != "1" or "type information" not in words or "CONFIG_DEBUG_INFO_BTF=y" not in words:
        report.problems.append(f"without type information: exit {status}, and said: {words}")


def end2end(report, said, status):
    """The records that picket wrote while guest.sh started servers."""
    before = len(report.problems)
    bad = lambda text: report.problems.append(f"end to end: {text}")
    for why in said.get("end2end-failed", []):
        bad(why)
    if status != "0":
        bad(f"picket ended with {status}: " + " / ".join(said.get("said", [])))
    records = []
    for line in said.get("record", []):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            bad(f"not a record: {line[:80]}")
    of = lambda kind: [record for record in records if record["type"] == kind]
    coverage = of("coverage")
    if not coverage or any(c["state"] != "full" for c in coverage):
        bad("coverage: " + "; ".join(f"{c['state']} {c['reasons']} {c['lost']}" for c in coverage))
    # Other recipes tell of the disguised one as well.
    starts = [record for record in of("detection") if record["recipe"]["name"] == "webserver_exec"]
    detections = {record["id"]: record for record in starts}
    seen = sorted(f"{d['server']['name']} as {d['process']['exe']['path']}" for d in detections.values())
    if len(detections) != len(SERVERS):
        bad(f"{len(SERVERS)} servers were started, {len(detections)} seen: {', '.join(seen)}")
    for port, (name, hides, file) in SERVERS.items():
        updates = [
            u
            for u in of("update")
            if u["id"] in detections and any(at["port"] == port for at in u.get("listen") or [])
        ]
        first = detections.get(updates[0]["id"]) if updates else None
        if not first:
            bad(f"{name} on port {port} was not seen")
            continue
        server, exe = first["server"], first["process"]["exe"]["path"]
        if server["name"] != name or server["masquerade"] != hides or file not in exe:
            bad(f"port {port}: {server['name']}, masquerade {server['masquerade']}, {exe}")
        if updates[-1]["server"]["confidence"] != "confirmed":
            bad(f"port {port}: only {updates[-1]['server']['confidence']}")
        if not first["ancestry"]:
            bad(f"port {port}: no ancestry")
    report.end2end = "passed" if len(report.problems) == before else "FAILED"


def tests(report, said, listed_here, every_test):
    """The kernel tests: each that exists ran, and those failed that cannot pass."""
    listed = int(next(iter(said.get("listed", ["0"]))) or 0)
    for line in said.get("test", []):
        name, result = line.rsplit(" ", 1)
        report.tests[name.removesuffix(" - should panic")] = result
    if listed != listed_here or len(report.tests) != listed or not listed:
        report.problems.append(
            f"{listed_here} tests exist, {listed} were listed, {len(report.tests)} ended"
        )
    for name, result in report.tests.items():
        if result not in ("ok", "FAILED"):
            report.problems.append(f"test {name}: {result}")
        elif result == "FAILED" and name not in report.expected:
            report.problems.append(f"test {name} failed")
        elif result == "ok" and name in report.expected:
            report.problems.append(f"test {name} passed: take it off expected.txt")
    for name in report.expected:
        if name not in every_test:
            report.problems.append(f"test {name} of expected.txt does not exist")
