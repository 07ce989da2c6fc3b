#!/usr/bin/env python3
"""Precision and recall of `picket scan` over real projects. No root; fetches them once.

Usage: eval/scan/run.py [--write | --list]   (after `make build`)

The projects are those of labels.toml, each fetched as a source package of the version that is named there
into target/eval-scan. A start that is labelled and not found is missed, one that is found and not labelled is
false; a place is a file and a line. --list: what could not be read, too. --write: into docs/scan.md. Exit code 1 only if
something could not be fetched or read.
"""

import collections
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PICKET = pathlib.Path(os.environ.get("PICKET", ROOT / "target/release/picket"))
WORK = ROOT / "target/eval-scan"
PAGE = ROOT / "docs/scan.md"
BEGIN, END = "<!-- scan:begin -->", "<!-- scan:end -->"

Outcome = collections.namedtuple("Outcome", "name files right false missed own own_found unread")


def own_apt():
    """apt as it is on this machine, but with source packages, and with lists of its own."""
    base = WORK / "apt"
    (base / "lists/partial").mkdir(parents=True, exist_ok=True)
    (base / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
    mirror = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Origin: Debian", "Label: Debian"]
    mirrors = subprocess.run(mirror, capture_output=True, text=True, check=True).stdout.split()
    if not mirrors:
        sys.exit("run: apt knows no mirror of Debian")
    (base / "debian.sources").write_text(
        f"Types: deb-src\nURIs: {mirrors[0]}\nSuites: bookworm\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
        encoding="utf-8",
    )
    config = base / "apt.conf"
    config.write_text(
        f'Dir::Etc::sourcelist "{base}/debian.sources";\nDir::Etc::sourceparts "-";\n'
        f'Dir::State::lists "{base}/lists";\nDir::Cache "{base}/cache";\nAPT::Sandbox::User "root";\n',
        encoding="utf-8",
    )
    env = {**os.environ, "APT_CONFIG": str(config)}
    subprocess.run(["apt-get", "--quiet=2", "update"], env=env, check=True)
    return env


def fetch(name, project, apt):
    """The archive of a project, fetched with the client of its registry. Nothing of it is run."""
    into = WORK / "src" / name
    into.mkdir(parents=True, exist_ok=True)
    source, version = project.get("source", name), project["version"]
    if project["from"] == "debian":
        command = ["apt-get", "--quiet=2", "source", "--download-only", "--tar-only", f"{source}={version}"]
    elif project["from"] == "npm":
        command = ["npm", "pack", "--silent", f"{source}@{version}"]
    else:
        command = ["pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", f"{source}=={version}"]
    if not any(into.iterdir()):
        print(f"run: fetching {name}", file=sys.stderr)
        env = apt() if project["from"] == "debian" else None
        done = subprocess.run(command, cwd=into, env=env, stdout=subprocess.DEVNULL, check=False)
        if done.returncode:
            shutil.rmtree(into)
            sys.exit(f"run: cannot fetch {name}: {' '.join(command)}")
    archives = [p for p in into.iterdir() if ".orig." in p.name or project["from"] != "debian"]
    return min(archives, key=lambda p: len(p.name))


def unpack(name, archive):
    """Below a directory of its own, without the archive's first component."""
    tree = WORK / "tree" / name
    if tree.exists():
        return tree
    part = tree.with_name(f".{name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            path = pathlib.PurePosixPath(member.name)
            below = pathlib.PurePosixPath(*path.parts[1:])
            if member.isfile() and below.parts and ".." not in below.parts:
                (part / below.parent).mkdir(parents=True, exist_ok=True)
                with tar.extractfile(member) as file:
                    (part / below).write_bytes(file.read())
    part.rename(tree)
    return tree


def places(labels):
    return {(file, line) for file, lines in labels.items() for line in lines}


def judge(name, project, tree):
    command = [PICKET, "--format", "json", "scan", tree]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"run: {name}: {done.stderr}")
    found = {(f["file"], f["line"]) for f in map(json.loads, done.stdout.splitlines())}
    starts, own = places(project.get("starts", {})), places(project.get("own", {}))
    files = int(done.stderr.splitlines()[-1].split(": ")[2].split()[0])
    unread = [line for line in done.stderr.splitlines()[:-1]]
    return Outcome(name, files, found & starts, found - starts - own, starts - found, own, found & own, unread)


def percent(part, whole):
    return f"{100 * part / whole:.1f} % ({part} of {whole})" if whole else "–"


def table(outcomes):
    total = lambda of: sum(len(getattr(o, of)) for o in outcomes)
    right, false, missed, own = total("right"), total("false"), total("missed"), total("own")
    lines = [
        f"{len(outcomes)} projects, {sum(o.files for o in outcomes)} files read, "
        f"{right + missed} starts of servers that the catalogue knows.",
        "",
        "| | |",
        "|---|---|",
        f"| precision | {percent(right, right + false)} |",
        f"| recall | {percent(right, right + missed)} |",
        f"| recall, programs of the projects' own that serve included | "
        f"{percent(right + total('own_found'), right + missed + own)} |",
        "",
        "| project | files | right | false | missed | own, found |",
        "|---|---|---|---|---|---|",
    ]
    for o in outcomes:
        own = f"{len(o.own_found)} of {len(o.own)}" if o.own else ""
        lines.append(f"| {o.name} | {o.files} | {len(o.right)} | {len(o.false)} | {len(o.missed)} | {own} |")
    for what in ("false", "missed"):
        places_ = [f"{o.name}/{file}:{line}" for o in outcomes for file, line in sorted(getattr(o, what))]
        if places_:
            lines += ["", f"{what.capitalize()}: " + ", ".join(f"`{place}`" for place in places_) + "."]
    return "\n".join(lines) + "\n"


def main():
    labels = tomllib.loads((ROOT / "eval/scan/labels.toml").read_text(encoding="utf-8"))
    env = []

    def apt():
        if not env:
            env.append(own_apt())
        return env[0]

    outcomes = []
    for name, project in labels.items():
        outcomes.append(judge(name, project, unpack(name, fetch(name, project, apt))))
    text = table(outcomes)
    print(text, end="")
    if "--list" in sys.argv:
        for o in outcomes:
            for line in o.unread:
                print(f"{o.name}: {line}")
    if "--write" in sys.argv:
        page = PAGE.read_text(encoding="utf-8")
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", encoding="utf-8")


main()
