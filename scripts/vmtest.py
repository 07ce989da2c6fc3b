#!/usr/bin/env python3
"""Runs picket and its kernel tests on other kernels, in virtual machines under software emulation.

Usage: scripts/vmtest.py [--short] [--write] [--refresh] [--jobs N] [--phases A,B] [--filter TEST]…
       [KERNEL…]

--short    one kernel, end to end and some of the tests
--write    write what was measured into docs/kernels.md
--refresh  look for newer packages of the kernels
--jobs     kernels at a time
KERNEL     names of scripts/vmtest/kernels.txt; all of them without

Nothing is installed: kernels and programs come from Debian and are unpacked below target/vmtest, which
can be removed at any time. scripts/vmtest/expected.txt says which tests cannot pass where, and why.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts/vmtest"))
sys.dont_write_bytecode = True

import apt  # noqa: E402
import cross  # noqa: E402
import image  # noqa: E402
import judge  # noqa: E402
import machine  # noqa: E402
import table  # noqa: E402

BASE = ROOT / "target/vmtest"
HERE = ROOT / "scripts/vmtest"
# What the short form runs: one kernel that many run, and tests of each kind of hook.
SHORT_KERNEL = "6.1"
SHORT_TESTS = ["root::plain", "root::listen", "root::script", "root::loss"]
# What docs/kernels.md calls needed.
NEEDED = ["CONFIG_BPF_SYSCALL", "CONFIG_BPF_EVENTS", "CONFIG_DEBUG_INFO_BTF", "CONFIG_CGROUP_BPF"]
PHASES = ["doctor", "end2end", "refused", "tests"]


def say(text):
    print(f"vmtest: {text}", flush=True)


def kernels():
    """The lines of kernels.txt."""
    for line in (HERE / "kernels.txt").read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.split()


def build():
    """Builds picket and the kernel tests for this machine. Returns the programs."""
    cargo = ["cargo", "--locked", "--message-format=json-render-diagnostics", "-p"]
    wanted = {
        "picket": [*cargo[:1], "build", *cargo[1:], "picket", "--bin", "picket"],
        "kernel": [*cargo[:1], "test", *cargo[1:], "picket-probe", "--test", "kernel", "--no-run"],
    }
    programs = {}
    for name, command in wanted.items():
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise apt.Trouble(f"{' '.join(command)} failed")
        for line in done.stdout.splitlines():
            message = json.loads(line)
            if message.get("executable") and message["target"]["name"] == name:
                built = pathlib.Path(message["executable"])
        programs[name] = BASE / f"{name}-amd64"
        # Without what only a debugger needs: it is read by an emulated processor.
        apt.run(["strip", "-g", "-o", str(programs[name]), str(built)])
    return programs


def tests_of(program, filters):
    """The names of the tests that a program has."""
    out = apt.run([str(program), "--list", *filters])
    return {line.removesuffix(": test") for line in out.splitlines() if line.endswith(": test")}


def machine_suite():
    """The Debian that this machine is, and so its C library."""
    for line in pathlib.Path("/etc/os-release").read_text(encoding="utf-8").splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.split("=")[1].strip('"')
    raise apt.Trouble("/etc/os-release names no Debian")


class Machines:
    """Programs and disks by architecture, made when first asked for."""

    def __init__(self):
        self.suites, self.made, self.lock = {}, {}, threading.RLock()
        say("building picket and the kernel tests")
        self.native = build()

    def suite(self, name, arch):
        return self.suites.setdefault((name, arch), apt.Suite(BASE / "apt", name, arch))

    def of(self, arch):
        """The root directory and the disk."""
        with self.lock:
            return self.made_for(arch)

    def made_for(self, arch):
        if arch not in self.made:
            programs, suite = self.native, machine_suite()
            if arch != "amd64":
                say(f"building picket and the kernel tests for {arch}")
                programs, suite = cross.build(BASE, ROOT), cross.SUITE
            root = image.userland(BASE, suite, arch)
            disk = BASE / f"disk-{arch}.ext4"
            image.disk(root, programs, disk)
            self.made[arch] = root, disk
        return self.made[arch]


def run(line, machines, options):
    """Runs one kernel; what goes wrong there is told, and the others go on."""
    name, arch, suite_name, pattern = line
    report = judge.Report(name, arch, suite_name)
    report.expected = judge.expectations(HERE / "expected.txt", name)
    begun = time.monotonic()
    try:
        boot(report, pattern, machines, options)
    except apt.Trouble as trouble:
        report.problems.append(str(trouble))
    report.seconds = round(time.monotonic() - begun)
    return report


def boot(report, pattern, machines, options):
    """Makes what a kernel needs, boots it, and judges."""
    name, arch, suite_name = report.name, report.arch, report.suite
    root, disk = machines.of(arch)
    into = BASE / "kernels" / name
    if options.refresh:
        shutil.rmtree(into, ignore_errors=True)
    with machines.lock:
        kernel, release = image.kernel(into, machines.suite(suite_name, arch), pattern)
    say(f"{name}: booting {release} ({arch}, {suite_name}); {BASE}/log-{name} says what it prints")
    initramfs = BASE / f"initramfs-{name}"
    image.initramfs(kernel, root, initramfs)
    words = [f"vmtest.phases={','.join(options.phases)}"]
    if options.filter:
        words.append(f"vmtest.filter={','.join(options.filter)}")
    lines = machine.boot(arch, image.vmlinuz(kernel), initramfs, disk, words, BASE / f"log-{name}")
    every = tests_of(machines.native["kernel"], [])
    here = len(tests_of(machines.native["kernel"], options.filter))
    judge.judge(report, lines, options.phases, here, every)
    config = image.config(kernel).splitlines()
    for option in NEEDED:
        if f"{option}=y" not in config and not report.problems:
            report.problems.append(f"it works without {option}, which docs/kernels.md calls needed")


def tell(report):
    """A kernel's summary."""
    passed = sum(1 for result in report.tests.values() if result == "ok")
    failed = [name for name, result in report.tests.items() if result == "FAILED"]
    foreseen = sum(1 for name in failed if name in report.expected)
    parts = [
        f"hooks {report.hooks}" if report.hooks else "",
        f"answers {report.answers}" if report.answers else "",
        f"end to end {report.end2end}" if report.end2end else "",
        f"{passed} tests passed, {len(failed)} failed ({foreseen} as expected)"
        if report.tests
        else "",
    ]
    verdict = "FAILED" if report.problems else "ok"
    say(
        f"{report.name}: {verdict} in {report.seconds} s ({report.release}): "
        + "; ".join(part for part in parts if part)
    )
    for text in report.problems:
        say(f"{report.name}:   {text}")
    for text in report.notes:
        say(f"{report.name}:   note: {text}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kernel", nargs="*")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--refresh", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--phases", type=lambda text: text.split(","), default=PHASES)
    parser.add_argument("--filter", action="append", default=[])
    options = parser.parse_args()
    lines = list(kernels())
    if options.short:
        options.kernel = options.kernel or [SHORT_KERNEL]
        options.filter = options.filter or SHORT_TESTS
    unknown = set(options.kernel) - {line[0] for line in lines}
    if unknown:
        raise apt.Trouble(f"kernels.txt has no {', '.join(sorted(unknown))}")
    if options.write and (options.filter or options.phases != PHASES):
        raise apt.Trouble("--write wants all tests and phases")
    BASE.mkdir(parents=True, exist_ok=True)
    machines, reports = Machines(), []
    wanted = [line for line in lines if not options.kernel or line[0] in options.kernel]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as jobs:
        for report in jobs.map(lambda line: run(line, machines, options), wanted):
            reports.append(report)
            tell(report)
    if options.write:
        expected = {}
        for name, *_ in lines:
            for why in judge.expectations(HERE / "expected.txt", name).items():
                expected.setdefault(why, []).append(name)
        table.write(ROOT / "docs/kernels.md", reports, expected, whole=not options.kernel)
    say("summary")
    for report in reports:
        tell(report)
    passed = sum(1 for report in reports if not report.problems)
    # Alone on a line, for those who count.
    print(f"{passed} passed, {len(reports) - passed} failed")
    return 1 if passed < len(reports) or not reports else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except apt.Trouble as trouble:
        sys.exit(f"vmtest: {trouble}")
    except KeyboardInterrupt:
        sys.exit(130)
