//! The end of a run: what begins late, what runs on, and the proof that all was seen.

use std::process::{Output, Stdio};

use libtest_mimic::Trial;
use rustix::process::Signal;

use super::{err, run};
use crate::canary::breaker::Breaker;
use crate::harness::{free_port, kill, picket, trial};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("root::ci::a_server_that_starts_after_the_command_is_found", late),
        trial("root::ci::what_runs_on_is_named", runs_on),
        trial("root::ci::an_end_without_a_canary_is_no_evidence", no_canary),
        trial("root::ci::a_hook_that_is_gone_is_no_evidence", unhooked),
        trial("root::ci::a_lost_window_is_no_evidence", lost),
    ]
}

/// Puts the sensor's pid into `$sensor`: the other child of the command's parent.
const FIND: &str = "for p in /proc/[0-9]*; do \
    if grep -qs \"^PPid:.$PPID$\" $p/status && [ \"$(cat $p/comm)\" = picket ]; then \
      sensor=${p#/proc/}; fi; done; ";

/// Runs a script that knows the sensor.
fn with_sensor(script: &str) -> Output {
    run(&[], &format!("{FIND}{script}"))
}

/// So many servers that the ring cannot hold them while the sensor stands still.
fn lost() {
    let dir = tempfile::tempdir().unwrap();
    let (config, fake) = (dir.path().join("config.yaml"), dir.path().join("nginx"));
    std::fs::write(&config, "ring_bytes: 4096\n").unwrap();
    std::os::unix::fs::symlink("/bin/true", &fake).unwrap();
    let script = format!(
        "{FIND} kill -STOP $sensor; for i in $(seq 100); do {} -t $i; done; kill -CONT $sensor",
        fake.display()
    );
    let out = run(&["--config", config.to_str().unwrap(), "--fail-on", "critical"], &script);
    let text = err(&out);
    assert_eq!(out.status.code(), Some(81), "{text}");
    assert!(text.contains(" events were lost in the kernel"), "{text}");
    let open = ["--config", config.to_str().unwrap(), "--without-evidence", "pass"];
    let out = run(&[&open[..], &["--fail-on", "critical"]].concat(), &script);
    let text = err(&out);
    assert_eq!(out.status.code(), Some(0), "{text}");
    assert!(text.contains("it does not fail for that, by --without-evidence pass"), "{text}");
}

fn late() {
    let server = format!("exec python3 -m http.server --bind 127.0.0.1 {}", free_port());
    let out = run(&[], &format!("(sleep 0.6; {server}) >/dev/null 2>&1 </dev/null & exit 0"));
    let text = err(&out);
    let on =
        text.lines().find_map(|line| line.trim().strip_prefix("runs on   python-http-server ("));
    let pid = on.and_then(|on| on.split(')').next()?.parse().ok());
    if let Some(pid) = pid {
        kill(pid, Signal::KILL);
    }
    assert_eq!(out.status.code(), Some(80), "{text}");
    assert!(pid.is_some(), "{text}");
}

fn runs_on() {
    let script = "for i in 1 2 3 4 5 6; do sleep 61 >/dev/null 2>&1 & echo $!; done; exit 0";
    let out =
        picket().args(["ci", "--", "sh", "-c", script]).stdin(Stdio::null()).output().unwrap();
    let pids = String::from_utf8_lossy(&out.stdout).into_owned();
    let pids: Vec<u32> = pids.lines().map(|pid| pid.parse().unwrap()).collect();
    pids.iter().for_each(|pid| kill(*pid, Signal::KILL));
    let text = err(&out);
    assert_eq!(out.status.code(), Some(0), "{text}");
    let named = format!("6 other processes run on: sleep ({})", pids[0]);
    assert!(text.contains(&named) && text.contains(" and 1 more"), "{text}");
}

/// Somebody lies in wait for the last canary.
fn no_canary() {
    let breaker = Breaker::build();
    let said = tempfile::NamedTempFile::new().unwrap();
    let script = format!(
        "{} kill $sensor > {said} & until grep -q ready {said}; do sleep 0.05; done; exit 0",
        breaker.path().display(),
        said = said.path().display()
    );
    let out = with_sensor(&script);
    let text = err(&out);
    assert_eq!(out.status.code(), Some(81), "{text}");
    assert!(
        text.contains("the last moment is not proved: the canary was killed by signal 9"),
        "{text}"
    );
}

fn unhooked() {
    let breaker = Breaker::build();
    for (hook, why) in [
        ("on_exec", "there was a time when nothing was seen"),
        ("on_fork", "the fork hook does not work"),
    ] {
        let unhook = format!("{} unhook $sensor {hook}", breaker.path().display());
        let out = with_sensor(&unhook);
        let text = err(&out);
        assert_eq!(out.status.code(), Some(81), "{hook}: {text}");
        assert!(text.contains(why), "{hook}: {text}");
        assert!(text.contains("no evidence: that nothing was found means nothing"), "{text}");
    }
}
