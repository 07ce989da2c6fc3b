//! Floods: real servers are started in the middle of one, and each is found, or coverage says exactly
//! what was lost and when.
//!
//! `PICKET_FLOOD=full` (`make flood`) for the full sizes.

mod known;
mod pids;
mod storm;

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Group, Sensor, args_of, kill, picket, trial, wait_long};
use known::{Known, sum};
use pids::Pids;
pub(crate) use storm::{STORM, main as storm};
use storm::{Storm, tiny};

/// How long a flood and what follows from it may take on a busy machine.
const LONGEST: Duration = Duration::from_secs(600);
/// Servers that are started in each flood.
const SERVERS: usize = 40;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("root::flood::benign_programs_on_all_cpus", benign),
        trial("root::flood::a_fork_bomb_within_a_limit", fork_bomb),
        trial("root::flood::programs_named_like_servers", candidates),
        trial("root::flood::listeners", listeners),
        trial("root::flood::arguments_of_two_mebibytes", long_arguments),
        trial("root::flood::picket_is_stopped_for_a_while", stopped),
        trial("root::flood::nobody_reads_stdout_for_a_while", unread),
    ]
}

/// The size of a flood: in short, and in full.
fn size(short: u64, full: u64) -> u64 {
    if std::env::var_os("PICKET_FLOOD").is_some_and(|size| size == "full") { full } else { short }
}

fn start() -> Sensor {
    Sensor::start_anyhow(&["run", "--format", "json", "--environment", "production"]).0
}

fn coverage(records: &[Value]) -> Vec<&Value> {
    records.iter().filter(|r| r["type"] == "coverage").collect()
}

/// What must hold after every flood. Returns the last record.
fn check(records: &[Value], known: &Known, executed: u64) -> Value {
    let all = coverage(records);
    let (first, last) = (all[0], *all.last().unwrap());
    let seen = |r: &Value| r["seen"].as_u64().unwrap();
    let counted = seen(last) - seen(first);
    assert!(counted >= executed, "{counted} executions seen of at least {executed}");
    // The last record sums up those before it, and what came after them.
    let before = &all[..all.len() - 1];
    for place in ["kernel", "queue", "sink", "unread", "lineage"] {
        let each: u64 = before.iter().map(|r| r["lost"][place].as_u64().unwrap()).sum();
        let whole = last["lost"][place].as_u64().unwrap();
        assert!(whole >= each, "{place}: {whole} in all, {each} in the records before");
    }
    assert_eq!(last["state"] == "full", last["reasons"].as_array().unwrap().is_empty());
    if sum(&last["lost"]) > 0 {
        assert_ne!(last["state"], "full", "{last:#}");
    }
    // It explains nothing: its window is the whole time.
    let (summary, others) = records.split_last().unwrap();
    assert_eq!(summary, last);
    let missing = known.check(others);
    let found = known.len() - missing;
    let line = format!("{found} of {} servers found, {counted} executions seen", known.len());
    let _ = writeln!(std::io::stderr(), "flood: {line}, lost {}", last["lost"]);
    last.clone()
}

/// Lets everything come out, and ends the sensor.
fn finish(sensor: Sensor) -> Vec<Value> {
    until_caught_up(&sensor);
    let (code, records, log) = sensor.stop();
    assert_eq!(code, Some(0), "{log}");
    records
}

/// Waits until a start is detected that came after everything else.
fn until_caught_up(sensor: &Sensor) {
    let begun = std::time::Instant::now();
    loop {
        let barrier = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sensor.barrier()));
        if barrier.is_ok() {
            return;
        }
        // The barrier itself may be lost in what is left of the flood.
        assert!(begun.elapsed() < LONGEST, "picket does not catch up: {}", sensor.log());
    }
}

/// Starts the known servers while a storm goes on.
fn in_the_middle(storm: Storm, pause: Duration) -> (Known, u64) {
    let mut known = Known::new();
    known.start(SERVERS, pause);
    (known, storm.count())
}

const PAUSE: Duration = Duration::from_millis(40);

fn benign() {
    let dir = tempfile::tempdir().unwrap();
    let path = tiny(dir.path(), "benign-x");
    let sensor = start();
    let many = size(20_000, 200_000);
    let (known, done) = in_the_middle(Storm::of_execs(&path, "b", 0, many), PAUSE);
    assert_eq!(done, many);
    check(&finish(sensor), &known, many + known.len() as u64);
}

fn candidates() {
    let dir = tempfile::tempdir().unwrap();
    let path = tiny(dir.path(), "nginx");
    let sensor = start();
    let many = size(20_000, 100_000);
    let (known, done) = in_the_middle(Storm::of_execs(&path, "c", 0, many), PAUSE);
    assert_eq!(done, many);
    let records = finish(sensor);
    let last = check(&records, &known, many);
    let path = path.to_str().unwrap();
    let found = records.iter().filter(|r| r["process"]["exe"]["path"] == path).count() as u64;
    let lost = sum(&last["lost"]);
    assert!(found + lost >= many, "{found} of {many} found, {lost} said to be lost");
    assert!(found > 0);
}

fn listeners() {
    let sensor = start();
    let many = size(20_000, 200_000);
    let (known, done) = in_the_middle(Storm::of_listeners(many), PAUSE);
    assert_eq!(done, many);
    check(&finish(sensor), &known, known.len() as u64);
}

fn long_arguments() {
    let dir = tempfile::tempdir().unwrap();
    let sensor = start();
    let many = size(500, 5_000);
    let path = tiny(dir.path(), "lighttpd");
    let (known, done) = in_the_middle(Storm::of_execs(&path, "a", 2 << 20, many), PAUSE);
    assert_eq!(done, many);
    let records = finish(sensor);
    let last = check(&records, &known, many);
    let path = path.to_str().unwrap();
    let found = records.iter().filter(|r| r["process"]["exe"]["path"] == path).count() as u64;
    assert!(found + sum(&last["lost"]) >= many, "{found} of {many} found: {last:#}");
}

/// Each process makes others until there is no more room, and most of them execute something;
/// until so many have.
const BOMB: &str = "\
import os, random, sys, time
first = os.getpid()
open(sys.argv[1], 'w').write(str(first))
log = os.open(sys.argv[2], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
def execute():
    os.write(log, b'x')
    os.execv('/bin/true', ['true'])
while os.fstat(log).st_size < int(sys.argv[3]):
    try:
        if os.fork() == 0 and random.random() < 0.9:
            execute()
    except OSError:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            # Neither room nor a child to wait for: who is not the first makes room.
            if os.getpid() != first:
                execute()
            time.sleep(0.001)
os._exit(0)
";

fn fork_bomb() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let cgroup = Pids::new(60);
    let sensor = start();
    let many = size(500, 10_000);
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-c", BOMB]).arg(cgroup.procs()).arg(&log).arg(many.to_string());
    let mut bomb = Group::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
    let mut known = Known::new();
    known.start(SERVERS, PAUSE);
    wait_long(&mut bomb.child, LONGEST);
    cgroup.wait_until_empty(LONGEST);
    let refused = cgroup.refused();
    drop(cgroup);
    drop(bomb);
    let executed = std::fs::metadata(&log).unwrap().len();
    assert!(executed >= many && refused > 0, "{executed} executed, {refused} refused");
    check(&finish(sensor), &known, executed + known.len() as u64);
}

/// Nobody empties the rings for a while: more happens than they hold, and the gap is known to the
/// single execution.
fn stopped() {
    let dir = tempfile::tempdir().unwrap();
    let path = tiny(dir.path(), "nginx");
    let sensor = start();
    let many = size(10_000, 50_000);
    sensor.signal(Signal::STOP);
    let (known, done) = in_the_middle(Storm::of_execs(&path, "s", 0, many), PAUSE);
    sensor.signal(Signal::CONT);
    assert_eq!(done, many);
    let records = finish(sensor);
    let last = check(&records, &known, many + known.len() as u64);
    let shown = path.to_str().unwrap();
    let found = records.iter().filter(|r| r["process"]["exe"]["path"] == shown).count() as u64;
    let lost = |place: &str| last["lost"][place].as_u64().unwrap();
    assert!(lost("kernel") > 0, "the ring held all of {many}: {last:#}");
    // What is missing of ours was lost, and what was lost is ours or another's on this machine.
    let all = coverage(&records);
    let seen = last["seen"].as_u64().unwrap() - all[0]["seen"].as_u64().unwrap();
    let (missing, others) = (many - found, seen - many);
    // (On a busy machine this test itself may read stdout too slowly.)
    let told = lost("kernel") + lost("sink");
    assert!(missing <= told, "{missing} are missing of {many}: {last:#}");
    assert!(lost("kernel") <= missing + others, "{missing} and {others} of others: {last:#}");
    assert!(last["thinned"].as_u64().unwrap() > 1000, "facts first: {last:#}");
    // Two mebibytes hold thousands of facts.
    assert!(found + lost("sink") > 3000, "{found} of {many}: {last:#}");
}

/// Records wait, and at last are left out: it is said how many, and of when.
fn unread() {
    let dir = tempfile::tempdir().unwrap();
    let path = tiny(dir.path(), "nginx");
    let mut child = picket()
        .args(["run", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    assert!(line.starts_with("picket: watching"), "{line}");
    let many = size(4_000, 40_000);
    let (known, done) = in_the_middle(Storm::of_execs(&path, "u", 0, many), PAUSE);
    assert_eq!(done, many);
    // Until it has dealt with all, as its processor time tells.
    let mut before = 0;
    loop {
        std::thread::sleep(Duration::from_secs(2));
        let now = cpu_ticks(child.id());
        if now - before < 10 {
            break;
        }
        before = now;
    }
    let out = BufReader::new(child.stdout.take().unwrap());
    let (told, is_told) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut records = Vec::new();
        for line in out.lines().map_while(Result::ok) {
            let record: Value = serde_json::from_str(&line).unwrap();
            if record["type"] == "coverage" && record["lost"]["sink"] != 0 {
                let _ = told.send(());
            }
            records.push(record);
        }
        records
    });
    is_told.recv_timeout(LONGEST).unwrap_or_else(|_| panic!("nothing is said to be lost"));
    kill(child.id(), Signal::INT);
    assert_eq!(wait_long(&mut child, LONGEST).code(), Some(0));
    let records = reader.join().unwrap();
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    let last = check(&records, &known, many);
    let shown = path.to_str().unwrap();
    let found = records.iter().filter(|r| r["process"]["exe"]["path"] == shown).count() as u64;
    assert!(last["lost"]["sink"].as_u64().unwrap() > 0, "{last:#}");
    let lost = sum(&last["lost"]);
    assert!(found + lost >= many, "{found} of {many} found, {lost} said to be lost");
    assert!(rest.contains("records that were not read as fast as they came"), "{rest}");
    assert!(args_of(&records[0]).is_empty(), "the first is coverage");
}

/// Processor time of a process, in clock ticks.
fn cpu_ticks(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = text.rsplit_once(") ").unwrap();
    let fields: Vec<u64> = rest.split(' ').map(|field| field.trim().parse().unwrap_or(0)).collect();
    fields[11] + fields[12]
}
