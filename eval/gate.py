#!/usr/bin/env python3
"""Runs the tests of real projects under `picket ci`, as they are and with a planted backdoor.

Usage: eval/gate.py [--write] [--rounds N]   (as root, after `make build`, scripts/test-servers-setup.sh and
eval/setup.sh)

As they are: N times with and without picket, in turn. The gate must pass; the command's own time, with picket
against without, is the ratio. With a backdoor: the gate must fail, and name the server. What a run leaves behind
is adopted by this program, which ends it; servers listen on loopback only.
--write: into docs/figures.md.
"""

import ctypes
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PICKET = pathlib.Path(os.environ.get("PICKET", ROOT / "target/release/picket"))
FILES = ROOT / "target/eval/files"
WORK = ROOT / "target/eval/gate"
FIGURES = ROOT / "docs/figures.md"
BEGIN, END = "<!-- gate:begin -->", "<!-- gate:end -->"
GATE_FAILED = 80
LIMIT = 1.01
PORT = 18099
PR_SET_CHILD_SUBREAPER = 36

# Some of their tests need what is not there.
PYTEST = "python3 -m pytest -q -p no:cacheprovider || test $? -eq 1"
# Archive, directory in it, the command, and where a backdoor is put: a file and what is before the rest of it.
PROJECTS = {
    "click": ("sdist/click-8.1.8.tar.gz", "click-8.1.8", PYTEST, "tests/conftest.py"),
    "flask": ("sdist/flask-3.1.3.tar.gz", "flask-3.1.3", PYTEST, "tests/conftest.py"),
    "h11": ("sdist/h11-0.16.0.tar.gz", "h11-0.16.0", PYTEST, "h11/tests/conftest.py"),
    "markupsafe": ("sdist/markupsafe-3.0.2.tar.gz", "markupsafe-3.0.2", PYTEST, "tests/conftest.py"),
    "hello": (
        "source/hello_2.10.orig.tar.gz",
        "hello-2.10",
        "./configure --quiet && make && make check",
        "configure",
    ),
}
NGINX = f"pid PIDFILE; error_log /dev/null; daemon off; events {{}} http {{ access_log off; server {{ listen 127.0.0.1:{PORT}; }} }}"
SERVE = f"python3 -m http.server --bind 127.0.0.1 {PORT}"
# What is planted, as shell, and the server that must be named.
BACKDOORS = {
    "post-install script": (
        f"echo '{{\"name\":\"x\",\"version\":\"1.0.0\",\"scripts\":{{\"postinstall\":\"nohup {SERVE} >/dev/null 2>&1 &\"}}}}' >planted/package.json; "
        "(cd planted && npm install --silent >/dev/null 2>&1)",
        "python-http-server",
    ),
    "a test starts it": (f"timeout 2 {SERVE} >/dev/null 2>&1 &", "python-http-server"),
    "renamed binary": (
        f"cp /usr/sbin/nginx planted/cc1; echo '{NGINX}' | sed \"s,PIDFILE,$PWD/planted/pid,\" >planted/c; planted/cc1 -p planted -c $PWD/planted/c >/dev/null 2>&1 &",
        "nginx",
    ),
    "memfd loader": (
        f"echo '{NGINX}' | sed \"s,PIDFILE,$PWD/planted/pid,\" >planted/c; python3 -c 'import os; f = os.memfd_create(\"x\"); "
        "os.write(f, open(\"/usr/sbin/nginx\", \"rb\").read()); "
        "os.execv(f\"/proc/self/fd/{f}\", [\"kworker\", \"-c\", os.getcwd() + \"/planted/c\"])' >/dev/null 2>&1 &",
        "nginx",
    ),
    "delayed daemon": (
        f"setsid sh -c 'sleep 1; exec busybox httpd -f -p 127.0.0.1:{PORT}' >/dev/null 2>&1 </dev/null &",
        "busybox-httpd",
    ),
}


def fresh(project):
    archive, directory, _, _ = PROJECTS[project]
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    subprocess.run(["tar", "-xzf", FILES / archive, "-C", WORK], check=True)
    return WORK / directory


def plant(place, project, text):
    (place / "planted").mkdir()
    (place / "planted/run.sh").write_text(text + "\n", encoding="utf-8")
    host = place / PROJECTS[project][3]
    old = host.read_text(encoding="utf-8") if host.exists() else ""
    if host.name == "configure":
        first, rest = old.split("\n", 1)
        host.write_text(f"{first}\n. ./planted/run.sh\n{rest}", encoding="utf-8")
    else:
        # Future imports come before anything else.
        line = "import subprocess\nsubprocess.run(['sh', 'planted/run.sh'])\n"
        future = "from __future__ import annotations\n"
        host.write_text(
            future + line + old.replace(future, "") if future in old else line + old, encoding="utf-8"
        )


def end_orphans():
    """Ends the children that this program has adopted, and those that they leave."""
    while True:
        children = pathlib.Path("/proc/thread-self/children").read_text(encoding="ascii").split()
        if not children:
            return
        for child in map(int, children):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def run(place, project, watched):
    """The exit code, what picket said, the command's own seconds, and all seconds."""
    command = f"date +%s.%N >began; ({PROJECTS[project][2]}) >log 2>&1; code=$?; date +%s.%N >ended; exit $code"
    inner = ["sh", "-c", command]
    if watched:
        inner = [PICKET, "ci", "--", *inner]
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(WORK),
        "LANG": "C.UTF-8",
        "PYTHONPATH": f"src:{FILES / 'python'}",
    }
    if node := shutil.which("node"):
        environment["PATH"] += f":{pathlib.Path(node).resolve().parent}:{pathlib.Path(node).parent}"
    began = time.monotonic()
    done = subprocess.run(
        inner,
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    whole = time.monotonic() - began
    end_orphans()
    own = float((place / "ended").read_text()) - float((place / "began").read_text())
    return done.returncode, done.stderr, own, whole


def benign(project, rounds):
    """Ratios of the command's own time, and the seconds that picket adds beside it."""
    ratios, around = [], []
    for number in range(rounds):
        seen = {}
        for watched in (False, True) if number % 2 else (True, False):
            code, said, own, whole = run(fresh(project), project, watched)
            if code:
                log = next(WORK.glob("*/log")).read_text(encoding="utf-8")[-2000:]
                sys.exit(f"gate: {project} without a backdoor: exit code {code}\n{said}\n{log}")
            seen[watched] = (own, whole - own)
        ratios.append(seen[True][0] / seen[False][0])
        around.append(seen[True][1] - seen[False][1])
    return ratios, around, seen[False][0]


def main():
    rounds = int(sys.argv[sys.argv.index("--rounds") + 1]) if "--rounds" in sys.argv else 5
    if os.geteuid():
        sys.exit("gate: run as root: the kernel's events need it")
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        sys.exit("gate: cannot adopt what the runs leave behind")
    lines = [
        f"picket ci over the tests of {len(PROJECTS)} projects, {rounds} rounds each; the median, and the smallest and largest.",
        "",
        "| project | its tests, s | time against none | beside it, s: start and stop | "
        + " | ".join(BACKDOORS)
        + " |",
        "|---|---|---|---|" + "---|" * len(BACKDOORS),
    ]
    every, missed = [], []
    for project in PROJECTS:
        ratios, around, alone = benign(project, rounds)
        every += ratios
        cells = []
        for name, (text, server) in BACKDOORS.items():
            place = fresh(project)
            plant(place, project, text)
            code, said, _, _ = run(place, project, True)
            found = code == GATE_FAILED and re.search(rf" {server}( \S+)? started", said)
            cells.append("found" if found else f"**not found** (exit code {code})")
            if not found:
                missed.append(f"{project}, {name}: exit code {code}\n{said}")
        lines.append(
            f"| {project} | {alone:.1f} | {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}) "
            f"| {statistics.median(around):.2f} | {' | '.join(cells)} |"
        )
        print(lines[-1], flush=True)
    overall = statistics.median(every)
    verdict = "met" if overall <= LIMIT else "**not met**"
    lines += ["", f"All rounds: {overall:.3f}; goal at most {LIMIT}: {verdict}. Nothing was told of the projects as they are."]
    shutil.rmtree(WORK, ignore_errors=True)
    if "--write" in sys.argv:
        text = FIGURES.read_text(encoding="utf-8")
        head, rest = text.split(BEGIN)
        FIGURES.write_text(f"{head}{BEGIN}\n\n" + "\n".join(lines) + f"\n\n{END}{rest.split(END)[1]}", encoding="utf-8")
    else:
        print("\n".join(lines))
    if missed:
        sys.exit("gate: not found:\n" + "\n".join(missed))


if __name__ == "__main__":
    main()
