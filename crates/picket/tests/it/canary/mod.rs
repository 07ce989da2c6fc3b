//! The canary: coverage falls when a hook is broken, or when the canary itself is, and recovers.

pub(crate) mod breaker;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Group, Sensor, kill, picket, trial, wait};
use breaker::Breaker;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("root::canary::a_dead_exec_hook_leaves_nothing", || broken("on_exec", "none", EXEC)),
        trial("root::canary::a_dead_fork_hook_degrades", || broken("on_fork", "degraded", FORK)),
        trial("root::canary::a_dead_listen_hook_degrades", || {
            broken("on_listen", "degraded", LISTEN);
        }),
        trial("root::canary::a_dead_exit_hook_degrades", || broken("on_exit", "degraded", EXIT)),
        trial("root::canary::killed_it_degrades_until_the_next", killed),
        trial("root::canary::held_up_it_degrades_until_the_next", held_up),
        trial("root::canary::it_cannot_be_executed", cannot_be_executed),
        trial("root::canary::it_flies_in_a_pid_namespace", in_a_namespace),
        trial("root::canary::another_of_its_name_is_any_program", foreign),
        trial("root::canary::it_flies_every_second_and_shows_nowhere", periodic),
    ]
}

const EXEC: &str = "the exec hook does not work";
const FORK: &str = "the fork hook does not work";
const LISTEN: &str = "the listen hook does not work";
const EXIT: &str = "the exit hook does not work";

/// A sensor that flies only when it is told to.
fn sensor(extra: &[&str]) -> (Sensor, tempfile::TempDir) {
    configured("canary_seconds: 0\n", extra)
}

fn configured(text: &str, extra: &[&str]) -> (Sensor, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yaml");
    std::fs::write(&config, text).unwrap();
    let args = ["run", "--format", "json", "--config", config.to_str().unwrap()];
    (Sensor::start(&[&args[..], extra].concat()), dir)
}

fn is_coverage(record: &Value, state: &str, reason: &str) -> bool {
    record["type"] == "coverage"
        && record["state"] == state
        && record["reasons"].to_string().contains(reason)
}

/// Whether a coverage record has nothing against the canary: other tests may make picket lose
/// something at any time.
fn is_proved(record: &Value) -> bool {
    let reasons = record["reasons"].to_string();
    record["type"] == "coverage" && !reasons.contains("canary") && !reasons.contains("hook")
}

fn broken(program: &str, state: &str, reason: &str) {
    let breaker = Breaker::build();
    let (sensor, _dir) = sensor(&[]);
    breaker.unhook(sensor.pid(), program);
    sensor.signal(Signal::HUP);
    let record = sensor.wait_for(reason, |r| is_coverage(r, state, reason));
    // What works is not accused.
    for other in [EXEC, FORK, LISTEN, EXIT] {
        let said = record["reasons"].to_string().contains(other);
        assert_eq!(said, other == reason, "{record:#}");
    }
    let (code, records, log) = sensor.stop();
    assert_eq!(code, Some(0));
    assert!(log.contains(&format!("picket: coverage {state}: ")), "{log}");
    let last = records.last().unwrap();
    assert!(is_coverage(last, state, reason), "the last record forgets it: {last:#}");
}

fn killed() {
    let breaker = Breaker::build();
    let (sensor, _dir) = sensor(&[]);
    let mut ambush = breaker.ambush("kill", sensor.pid());
    sensor.signal(Signal::HUP);
    ambush.expect("killed");
    ambush.end();
    sensor.wait_for("that it was killed", |r| {
        is_coverage(r, "degraded", "the canary was killed by signal 9")
    });
    recovers(&sensor);
}

/// It flies again, and all is proved.
fn recovers(sensor: &Sensor) {
    let mark = sensor.mark();
    sensor.signal(Signal::HUP);
    sensor.wait_for("recovery", |r| {
        let new = sensor.since(mark).iter().any(|new| new == r);
        new && is_proved(r)
    });
}

fn held_up() {
    let breaker = Breaker::build();
    let (sensor, _dir) = sensor(&[]);
    let mut ambush = breaker.ambush("hold", sensor.pid());
    sensor.signal(Signal::HUP);
    ambush.expect("held");
    sensor.wait_for("that it is late", |r| {
        is_coverage(r, "degraded", "the canary did not land within 5 s")
    });
    // picket itself goes on meanwhile.
    sensor.barrier();
    ambush.end();
    recovers(&sensor);
}

/// In a pid namespace of its own, where nothing in memory may be executed.
fn cannot_be_executed() {
    let line = in_namespace("echo 2 > /proc/sys/vm/memfd_noexec && ");
    assert!(line.starts_with("picket: watching, coverage degraded: "), "{line}");
    assert!(line.contains("; the canary could not fly: cannot make a file in memory"), "{line}");
    assert!(line.contains("vm.memfd_noexec") && line.contains("Permission denied"), "{line}");
}

fn in_a_namespace() {
    let line = in_namespace("");
    assert!(!line.contains("canary") && !line.contains("hook"), "{line}");
}

/// Starts picket as the first process of a pid namespace; its ready line.
fn in_namespace(before: &str) -> String {
    let program = picket().get_program().to_owned();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c"]);
    command.arg(format!("{before}exec \"$0\" run --format json")).arg(program);
    let mut group = Group::start(command.stdout(Stdio::null()).stderr(Stdio::piped()));
    let mut log = BufReader::new(group.child.stderr.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    // `unshare` waits for its child, which is asked to end.
    let children = format!("/proc/{0}/task/{0}/children", group.child.id());
    let children = std::fs::read_to_string(children).unwrap();
    kill(children.trim().parse().unwrap(), Signal::INT);
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert_eq!(wait(&mut group.child).code(), Some(0), "{line}{rest}");
    line
}

/// A program in memory that calls itself so, with an argument like the canary's.
const FOREIGN: &str = "\
import os, sys
fd = os.memfd_create('picket-canary', 0)
os.write(fd, open('/bin/true', 'rb').read())
os.execv('/proc/self/fd/%d' % fd, ['picket-canary', sys.argv[1]])
";

fn foreign() {
    let breaker = Breaker::build();
    let (sensor, _dir) = sensor(&["--events"]);
    // The true one is held up; the false one must not stand in for it.
    let mut ambush = breaker.ambush("hold", sensor.pid());
    sensor.signal(Signal::HUP);
    ambush.expect("held");
    let mut python = Command::new("python3");
    let mut child = python.args(["-c", FOREIGN, "0123456789abcdef"]).spawn().unwrap();
    let pid = child.id();
    assert!(wait(&mut child).success());
    sensor.wait_for("the false canary, as an event", |r| {
        r["process"]["pid"] == pid && r["process"]["exe"]["path"] == "memfd:picket-canary"
    });
    sensor.wait_for("that the true one is late", |r| {
        is_coverage(r, "degraded", "the canary did not land within 5 s")
    });
    ambush.end();
    recovers(&sensor);
}

fn periodic() {
    let text = "canary_seconds: 1\n";
    let (one, _first) = configured(text, &["--events"]);
    let (two, _second) = configured("canary_seconds: 0\n", &["--events"]);
    // To another picket it is a program like any other: it executes, and executes again, and
    // listens.
    let flights = |of: &Sensor, by: &Sensor| {
        let parent = of.pid();
        let records = by.records();
        let first = records.iter().filter(|r| {
            r["process"]["ppid"] == parent && r["process"]["exe"]["path"] == "memfd:picket-canary"
        });
        let first: Vec<u64> = first.map(|r| r["process"]["pid"].as_u64().unwrap()).collect();
        let listens = records.iter().filter(|r| {
            r["kind"] == "listen" && first.iter().any(|pid| r["pid"].as_u64() == Some(*pid))
        });
        (first.len(), listens.count())
    };
    two.wait_for("the third flight of the other", |_| flights(&one, &two).1 >= 3);
    two.barrier();
    one.barrier();
    assert_eq!(flights(&one, &one), (0, 0), "its own show");
    let pid = one.pid();
    let (code, records, _) = one.stop();
    assert_eq!(code, Some(0));
    // What it would have shown: the flight of the other, at its start.
    let foreign = records.iter().filter(|r| r.to_string().contains("picket-canary"));
    assert!(foreign.count() >= 3, "{records:#?}");
    let own = records.iter().filter(|r| r.to_string().contains("picket-canary"));
    let own: Vec<&Value> = own.filter(|r| r["process"]["ppid"] == pid).collect();
    assert!(own.is_empty(), "{own:#?}");
}
