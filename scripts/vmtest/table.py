"""Writes what the matrix measured into docs/kernels.md."""

BEGIN, END = "<!-- vmtest:begin -->", "<!-- vmtest:end -->"
HEAD = [
    "| kernel | from Debian's | hooks | servers' answers heard | BPF LSM | end to end | tests |",
    "|---|---|---|---|---|---|---|",
]


def write(path, reports, expected, whole):
    """Replaces the table, or only the rows of these kernels in it. `expected` has the kernels of
    each test that cannot pass, and why, as {(test, reason): [kernel]}."""
    text = path.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    old, _, tail = rest.partition(END)
    rows = {row(report).split(" | ")[0]: row(report) for report in reports}
    if not whole:
        before = {line.split(" | ")[0]: line for line in old.splitlines() if line.startswith("| ")}
        before.pop(HEAD[0].split(" | ", maxsplit=1)[0], None)
        rows = {**before, **rows}
    lines = [*HEAD, *rows.values(), ""]
    if expected:
        lines += ["Expected to fail:", ""]
        for (test, reason), kernels in sorted(expected.items()):
            lines.append(f"- `{test}` on {', '.join(kernels)}: {reason}")
    else:
        lines.append("No test is expected to fail on any of them.")
    body = "\n".join(lines)
    path.write_text(f"{head}{BEGIN}\n{body}\n{END}{tail}", encoding="utf-8")


def row(report):
    passed = sum(1 for result in report.tests.values() if result == "ok")
    failed = sum(1 for result in report.tests.values() if result == "FAILED")
    tests = f"{passed} passed" + (f", {failed} failed as expected" if failed else "")
    if report.problems:
        tests += ", **not as expected**"
    return (
        f"| {report.release or report.name} | {report.suite} ({report.arch}) | {report.hooks} "
        f"| {report.answers} | {report.lsm} | {report.end2end} | {tests} |"
    )
