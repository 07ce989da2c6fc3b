#!/usr/bin/env python3
"""Records the labelled corpus: runs the scenarios below eval/scenarios and keeps what picket saw of each.

Usage: eval/record.py [NAME...]   (as root, after `make build`, scripts/test-servers-setup.sh and
eval/setup.sh)

A scenario is a shell script, scenarios/<label>/<name>.sh. Its comments say `environment:`, and of an
attack `must:`, the recipes that have to fire. It runs twice, as on two days, in namespaces of its own
(network, processes, mounts: nothing of it is reachable or stays) and with overlays over the system's
directories, so that packages can be installed and removed. Only the events of its own processes are kept,
without what is above them, in recordings/<label>/<name>.<day>.jsonl.gz.
"""

import gzip
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PICKET = pathlib.Path(os.environ.get("PICKET", ROOT / "target/release/picket"))
WORK = ROOT / "target/eval"
# Where scenarios run; an empty directory of their own lies over it.
PLACE = "/srv"
DAYS = 2
SECONDS = 240
ENTER = """set -e
mount --make-rprivate /
mount -t tmpfs -o size=1g tmpfs "$1"; mkdir "$1/files"; mount --bind "$2" "$1/files"
for d in usr etc var opt root; do
  mkdir -p "$1/$d.up" "$1/$d.work"
  mount -t overlay -o lowerdir=/$d,upperdir="$1/$d.up",workdir="$1/$d.work" overlay /$d
done
mount --bind "$1/files" /mnt
mount -t tmpfs -o mode=755 tmpfs /srv; mount -t tmpfs -o mode=1777 tmpfs /tmp; mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/php /run/lighttpd; ip link set lo up; cd /srv
exec env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin bash "/mnt/$3"
"""


def run(script, output):
    """One run of a scenario, with all events of the machine meanwhile: the first process's pid, and the exit code."""
    recorder = subprocess.Popen(
        [PICKET, "record", "--events", "-o", output], stderr=subprocess.PIPE, text=True
    )
    for line in recorder.stderr:
        if "watching" in line:
            break
    else:
        sys.exit(f"record: picket does not record: {recorder.wait()}")
    scratch = WORK / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    files = WORK / "files"
    files.mkdir(exist_ok=True)
    (files / script.name).write_text(
        (ROOT / "eval/lib.sh").read_text() + script.read_text(), encoding="utf-8"
    )
    command = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command += ["sh", "-c", ENTER, "scenario", scratch, files, script.name]
    log = open(WORK / f"{script.stem}.log", "wb")
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )
    try:
        code = process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        code = process.wait()
    time.sleep(1)
    recorder.send_signal(signal.SIGINT)
    recorder.stderr.read()
    recorder.wait()
    return process.pid, code


def clean(event):
    """An event as a line, without what names this machine."""
    host = os.uname().nodename
    event["host"] = "host-1"
    text = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    text = text.replace(str(WORK / "files"), "/mnt").replace(str(ROOT), "/opt/picket")
    return re.sub(rf"\b{re.escape(host)}\b(?=[@:]|\")", "host-1", text) if len(host) > 3 else text


def own(path, root):
    """The events of the processes below `root`, cleaned of the machine."""
    kept, ours, started = [], set(), False
    for line in open(path, encoding="utf-8"):
        event = json.loads(line)
        if event.get("type") != "event":
            continue
        body = event.get("exec", event)
        process = body.get("process")
        if not process:
            # A socket's event: it names the process, and its parents.
            if ours & {event.get("pid"), *(p["pid"] for p in event.get("parents", []))}:
                kept.append(clean(event))
            continue
        chain = [a["pid"] for a in body.get("ancestry", [])]
        if not started:
            # What comes before the scenario's own shell prepares its place.
            started = chain[:1] == [root] and process["args"][:1] == ["bash"]
            continue
        if root in chain:
            # What is above the scenario's own shell is the recorder.
            top = len(chain) - 1 - chain[::-1].index(root)
            body["ancestry"] = body["ancestry"][: max(top - 1, 0)]
            body["ancestry_truncated"] = False
            ours.add(process["pid"])
        elif process["pid"] not in ours:
            continue
        for key in ("cgroup_path", "cgroup_v1_path"):
            process.pop(key, None)
        kept.append(clean(event))
    return kept


def main():
    if os.geteuid():
        sys.exit("record: run as root: kernel events and namespaces need it")
    wanted = sys.argv[1:]
    WORK.mkdir(parents=True, exist_ok=True)
    scripts = sorted((ROOT / "eval/scenarios").glob("*/*.sh"))
    if unknown := set(wanted) - {s.stem for s in scripts}:
        sys.exit(f"record: no such scenario: {', '.join(sorted(unknown))}")
    failed = []
    for script in scripts:
        if wanted and script.stem not in wanted:
            continue
        for day in range(1, DAYS + 1):
            raw = WORK / f"{script.stem}.jsonl"
            root, code = run(script, raw)
            if code:
                failed.append(f"{script.parent.name}/{script.stem}.{day}: exit code {code}, see {WORK}/{script.stem}.log")
                continue
            events = own(raw, root)
            raw.unlink()
            target = ROOT / "eval/recordings" / script.parent.name / f"{script.stem}.{day}.jsonl.gz"
            target.parent.mkdir(parents=True, exist_ok=True)
            # Without a time in it, the same events make the same file.
            target.write_bytes(gzip.compress("\n".join(events).encode() + b"\n", 9, mtime=0))
            print(f"{script.parent.name}/{script.stem}.{day}: {len(events)} events")
    if failed:
        sys.exit("record: these scenarios failed and were not recorded:\n" + "\n".join(failed))


if __name__ == "__main__":
    main()
