//! The gate on a real terminal.

use std::process::Command;

use libtest_mimic::Trial;

use super::err;
use crate::harness::{outside_ci, trial};

pub(super) fn trials() -> Vec<Trial> {
    vec![trial("root::ci::ctrl_c_reaches_the_command_once", ctrl_c)]
}

/// Runs picket on a terminal of its own, types Ctrl-C once the command is ready, and prints what
/// the terminal showed; the last line is the exit code.
const TYPIST: &str = r#"
import os, pty, select, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
shown, typed, end = b"", False, time.monotonic() + 60
while time.monotonic() < end:
    if not select.select([terminal], [], [], 1)[0]:
        continue
    try:
        new = os.read(terminal, 65536)
    except OSError:
        break
    if not new:
        break
    shown += new
    if not typed and b"ready" in shown:
        typed = True
        os.write(terminal, b"\x03")
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(shown)
print("\ncode", os.waitstatus_to_exitcode(status))
"#;

fn ctrl_c() {
    // A second SIGINT would be counted, too: it goes on for a while.
    let script = "n=0; trap 'n=$((n+1))' INT; echo ready; \
                  i=0; while [ $i -lt 15 ]; do sleep 0.05; i=$((i+1)); done; \
                  echo interrupted $n times; exit 4";
    let mut typist: Command = outside_ci("python3");
    typist.args(["-c", TYPIST, env!("CARGO_BIN_EXE_picket"), "ci", "--", "sh", "-c", script]);
    let out = typist.output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).replace('\r', "");
    assert_eq!(out.stderr, b"", "{}", err(&out));
    assert!(text.contains("interrupted 1 times"), "{text}");
    assert!(text.contains("picket ci: the command failed with 4"), "{text}");
    assert!(text.contains("  coverage  full"), "{text}");
    assert!(
        text.ends_with(
            "code 4
"
        ),
        "{text}"
    );
}
