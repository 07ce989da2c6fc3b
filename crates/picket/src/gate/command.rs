//! The command: it runs as if picket were not there, and gets the signals that picket gets.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};

use crate::sink;

/// Signals that are passed on.
const PASSED: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// The signals that picket gets.
pub(crate) struct Signals(SignalsInfo<WithOrigin>);

impl Signals {
    /// From here on they no longer end the process by themselves. Those that the caller had turned
    /// off stay off, for the command as well (`nohup`).
    pub(crate) fn catch() -> Result<Self> {
        let ignored = ignored();
        let passed = PASSED.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
        let signals = SignalsInfo::new(passed.chain([SIGCHLD])).context("cannot catch signals")?;
        Ok(Self(signals))
    }

    /// A signal that came before there was a command to pass it on to.
    pub(crate) fn asked_to_end(&mut self) -> Option<i32> {
        self.0.pending().map(|origin| origin.signal).find(|signal| *signal != SIGCHLD)
    }
}

/// The signals that this process was started with turned off, as a mask.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default()
}

/// How the command ended.
pub(crate) struct Ended {
    /// Its exit code, as a shell would tell it.
    pub(crate) code: u8,
}

/// Runs the command and waits for it.
pub(crate) fn run(words: &[OsString], signals: &mut Signals) -> Ended {
    let [program, arguments @ ..] = words else { return Ended { code: 0 } };
    let child = Command::new(program).args(arguments).spawn();
    let ended = child.and_then(|mut child| wait(&mut child, signals));
    let code = match ended {
        Ok(status) => code(status),
        Err(error) => {
            let name = program.to_string_lossy();
            sink::log(&format!("ci: cannot run {name}: {error}: is its path right?"));
            // What shells answer then.
            if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
        }
    };
    Ended { code }
}

fn wait(child: &mut Child, signals: &mut Signals) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        for origin in signals.0.wait() {
            pass_on(child, &origin);
        }
    }
}

fn pass_on(child: &Child, origin: &Origin) {
    // What comes from the terminal, the command has got from there as well.
    if origin.signal == SIGCHLD || matches!(origin.cause, Cause::Kernel) {
        return;
    }
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(origin.signal)) {
        // It is not waited for yet, so that the number is still its own; that it may have ended is fine.
        let _ = kill_process(pid, signal);
    }
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().map(|code| u8::try_from(code).unwrap_or(u8::MAX));
    code.unwrap_or_else(|| code_of_signal(status.signal().unwrap_or_default()))
}

/// What a shell tells of a command that a signal ended.
pub(crate) fn code_of_signal(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}
