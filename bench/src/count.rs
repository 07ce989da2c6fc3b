//! How many executions a piece of work has, from the kernel's own trace of its process tree.
//!
//! No tool is asked: what a tool missed is what it did not record of these.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Traces one run in an instance of its own, which follows forks. tracefs is mounted where it is
/// not, for this process only. Before the tree is known nothing is traced, and nothing else is.
const SCRIPT: &str = r#"
    set -eu
    [ -e /sys/kernel/tracing/events ] || mount -t tracefs tracefs /sys/kernel/tracing
    trace=/sys/kernel/tracing/instances/picket-bench-$$
    mkdir "$trace"
    trap 'rmdir "$trace"' EXIT
    trap 'exit 1' INT TERM
    echo 1 >"$trace/options/event-fork"
    sh -c '
        echo $$ >"$0/set_event_pid"
        echo 1 >"$0/events/sched/sched_process_exec/enable"
        exec "$@"
    ' "$trace" "$@" >&2
    echo 0 >"$trace/events/sched/sched_process_exec/enable"
    cat "$trace"/per_cpu/cpu*/stats
"#;

/// Runs a command line once and counts its executions, and that of the shell that becomes it.
pub(crate) fn executions(words: &[OsString], dir: &Path) -> Result<u64> {
    let name = words.first().map(|word| word.to_string_lossy()).unwrap_or_default();
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", SCRIPT, "sh"])
        .args(words)
        .current_dir(dir)
        .output()
        .context("cannot start unshare")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or("it said nothing");
    ensure!(output.status.success(), "cannot count the executions of {name}: {last}");
    let text = String::from_utf8_lossy(&output.stdout);
    // Those that found no room were counted, too.
    let of = |line: &str| {
        let (name, value) = line.split_once(": ")?;
        let counts = ["entries", "overrun", "dropped events"].contains(&name);
        counts.then(|| value.trim().parse::<u64>().ok())?
    };
    let count: u64 = text.lines().filter_map(of).sum();
    ensure!(count > 0, "the trace of {name} has no executions");
    Ok(count + 1)
}
