#!/usr/bin/env python3
"""Identifies every program of the false-positive corpus and compares with what is expected.

Usage: scripts/corpus-check.py [--write]   (after scripts/corpus.sh; --write: into docs/figures.md)

scripts/corpus-expect.txt says which files may be called a web server, and by which name; any other
file that is called one is a false positive, and the exit code is 1. A server that only its name
speaks for, and whose own content speaks against it (`disputed`), is counted on a line of its own: it
is reported as weak, with severity low.
"""

import collections
import fnmatch
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
CORPUS = os.path.join(ROOT, "target/corpus/root")
PICKET = os.path.join(ROOT, "target/release/picket")
FIGURES = os.path.join(ROOT, "docs/figures.md")
BEGIN, END = "<!-- corpus:begin -->", "<!-- corpus:end -->"


def expectations():
    exact, globs = collections.defaultdict(set), []
    with open(os.path.join(ROOT, "scripts/corpus-expect.txt"), encoding="utf-8") as file:
        for line in file:
            line = line.rstrip("\n")
            if not line or line.startswith("#"):
                continue
            path, name = line.split("\t")[:2]
            name = name.strip()
            if "*" in path:
                globs.append((re.compile(fnmatch.translate(path)), name))
            else:
                exact[path].add(name)
    return exact, globs


def identify():
    begin = time.monotonic()
    done = subprocess.run(
        [PICKET, "identify", "--format", "json", CORPUS], capture_output=True, text=True, check=False
    )
    took = time.monotonic() - begin
    tally = re.search(r"(\d+) files, of them (\d+) programs with (\d+) MiB; .* (\d+) could not be", done.stderr)
    if not tally:
        sys.exit(f"corpus-check: picket said: {done.stderr}")
    programs, mebibytes, unreadable = (int(tally[i]) for i in (2, 3, 4))
    return [json.loads(line) for line in done.stdout.splitlines()], programs, mebibytes, unreadable, took


def forget_pages():
    """Empties the page cache, so that the next run reads from the disk."""
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("1\n")


def kinds():
    elf = script = archive = 0
    for folder, _, names in os.walk(CORPUS):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                head = file.read(4)
            elf += head == b"\x7fELF"
            script += head[:2] == b"#!"
            archive += head[:2] == b"PK"
    return elf, script, archive


def main():
    exact, globs = expectations()
    cold = None
    if "--write" in sys.argv:
        forget_pages()
        cold = identify()
    answers, programs, mebibytes, unreadable, took = identify()
    wrong, disputed, right = [], [], collections.Counter()
    for answer in answers:
        path = os.path.relpath(answer["subject"], CORPUS)
        name = answer["server"]["name"]
        allowed = set(exact.get(path, ()))
        allowed |= {one for pattern, one in globs if pattern.match(path)}
        if name in allowed:
            right[answer["server"]["confidence"]] += 1
        elif answer["server"]["disputed"]:
            disputed.append((path, name))
        else:
            why = "; ".join(e["detail"] for e in answer["server"]["evidence"])
            wrong.append((path, name, why))
    for path, name, why in wrong:
        print(f"false positive: {path} is called {name}: {why}")
    for path, name in disputed:
        print(f"by its name only: {path} is called {name}")
    elf, script, archive = kinds()
    packages = len(os.listdir(CORPUS))
    lines = [
        f"{packages} packages of Debian 12 with {elf} ELF files, {script} scripts and {archive} archives "
        f"({mebibytes} MiB), identified offline:",
        "",
        "| | files |",
        "|---|---|",
        f"| looked at | {programs} |",
        f"| called a web server, and are one: by content or package | {right['strong']} |",
        f"| called a web server, and are one: by name, path or arguments | {right['weak']} |",
        f"| called a web server by name only, against their content (weak, severity low) | {len(disputed)} |",
        f"| called a web server, and are none | {len(wrong)} |",
        f"| could not be read | {unreadable} |",
    ]
    if disputed:
        lines += ["", "By name only: " + ", ".join(f"`{path}` ({name})" for path, name in disputed) + "."]
    if wrong:
        lines += ["", "Wrong: " + ", ".join(f"`{path}` ({name})" for path, name, _ in wrong) + "."]
    if cold:
        lines += [
            "",
            f"Files a second: {cold[1] / cold[4]:.0f} from the disk ({mebibytes / cold[4]:.0f} MiB/s), "
            f"{programs / took:.0f} from the page cache as far as it holds them ({mebibytes / took:.0f} MiB/s).",
        ]
    text = "\n".join(lines)
    print(text)
    if "--write" in sys.argv:
        with open(FIGURES, encoding="utf-8") as file:
            page = file.read()
        before, rest = page.split(BEGIN)
        after = rest.split(END)[1]
        with open(FIGURES, "w", encoding="utf-8") as file:
            file.write(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
