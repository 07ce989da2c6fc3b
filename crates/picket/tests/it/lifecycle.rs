//! Start and stop, and everything that can stand in the way.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Instant;

use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Sensor, args_of, kill, picket, trial, wait};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("root::lifecycle::ends_on_sigterm", ends_on_sigterm),
        trial("root::lifecycle::second_sigint_ends_at_once", second_sigint),
        trial("root::lifecycle::a_stuck_reader_does_not_keep_it", stuck_reader),
        trial("root::lifecycle::a_slow_reader_loses_events_before_detections", slow_reader),
        trial("root::lifecycle::disabled_rules_degrade_coverage", disabled_rules),
        trial("root::lifecycle::closed_stdout_is_said_at_once", closed_stdout),
        trial("root::lifecycle::full_disk_is_said", full_disk),
        trial("root::lifecycle::missing_capability_is_said", missing_capability),
        trial("root::lifecycle::two_instances_see_the_same", two_instances),
        trial("root::lifecycle::killed_leaves_nothing_attached", killed),
        trial("root::lifecycle::tiny_ring_reports_its_losses", tiny_ring),
        trial("root::lifecycle::tells_systemd_when_it_is_ready", systemd),
        trial("root::lifecycle::doctor_is_content_here", doctor),
    ]
}

/// What counts every loss on the machine: the canaries of other sensors may be gone before they are
/// read.
pub(crate) fn alone() -> Vec<Trial> {
    vec![trial("root::lifecycle::ends_on_sigint_with_a_last_coverage_record", ends_on_sigint)]
}

fn coverage(records: &[Value]) -> Vec<&Value> {
    records.iter().filter(|r| r["type"] == "coverage").collect()
}

fn ends_on_sigint() {
    let sensor = Sensor::start(&["run", "--format", "json"]);
    sensor.barrier();
    let (code, records, _) = sensor.stop();
    assert_eq!(code, Some(0));
    let coverage = coverage(&records);
    assert_eq!(coverage.len(), 2, "one at the start and one at the end: {coverage:#?}");
    for record in &coverage {
        assert_eq!(record["state"], "full", "{record:#}");
        assert_eq!(
            record["lost"],
            serde_json::json!({"kernel": 0, "queue": 0, "sink": 0, "unread": 0, "lineage": 0})
        );
    }
    assert!(coverage[1]["seen"].as_u64() > coverage[0]["seen"].as_u64());
    assert_eq!(coverage[1]["window"]["from"], coverage[0]["window"]["from"]);
}

fn ends_on_sigterm() {
    let mut child = picket()
        .args(["run", "--format", "json"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    ready(&mut child);
    kill(child.id(), Signal::TERM);
    assert_eq!(wait(&mut child).code(), Some(0));
}

/// Waits for the ready line.
fn ready(child: &mut std::process::Child) -> BufReader<std::process::ChildStderr> {
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    log.read_line(&mut line).unwrap();
    assert_eq!(line, "picket: watching, coverage full\n");
    log
}

/// picket cannot end by itself while its output is stuck in a full pipe.
fn second_sigint() {
    let mut child = picket()
        .args(["run", "--events", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _log = ready(&mut child);
    for _ in 0..3000 {
        Command::new("/bin/true").status().unwrap();
    }
    kill(child.id(), Signal::INT);
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(child.try_wait().unwrap().is_none(), "nothing was stuck: the test tests nothing");
    kill(child.id(), Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(130));
}

/// Nobody reads the pipe: asked to end, picket waits a second, says what is lost, and ends.
fn stuck_reader() {
    let mut child = picket()
        .args(["run", "--events", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = ready(&mut child);
    for _ in 0..1000 {
        Command::new("/bin/true").status().unwrap();
    }
    kill(child.id(), Signal::TERM);
    assert_eq!(wait(&mut child).code(), Some(1));
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("stdout is not being read: "), "{rest}");
}

/// With events turned on and a reader that is too slow for them, detections still arrive, and the
/// last record says what was lost.
fn slow_reader() {
    // Room for whatever else the machine executes meanwhile: the kernel's ring is not what is tested.
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yaml");
    std::fs::write(&config, "ring_bytes: 67108864\n").unwrap();
    let mut child = picket()
        .args(["run", "--events", "--format", "json", "--config", config.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let _log = ready(&mut child);
    let file = dir.path().join("nginx");
    std::os::unix::fs::symlink("/bin/true", &file).unwrap();
    const SERVERS: usize = 50;
    for i in 0..3000 {
        Command::new("/bin/true").status().unwrap();
        if i % (3000 / SERVERS) == 0 {
            Command::new(&file).arg(dir.path()).status().unwrap();
        }
    }
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text
    });
    // The pipe was full all that time; now it is read to its end.
    std::thread::sleep(std::time::Duration::from_millis(500));
    kill(child.id(), Signal::INT);
    assert_eq!(wait(&mut child).code(), Some(0));
    let text = reader.join().unwrap();
    let records: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let mark = dir.path().to_str().unwrap();
    let one = |r: &&Value| r["recipe"]["name"] == "webserver_exec" && args_of(r).contains(&mark);
    assert_eq!(records.iter().filter(one).count(), SERVERS);
    assert_eq!(records.last().unwrap()["type"], "coverage");
}

fn disabled_rules() {
    let dir = tempfile::tempdir().unwrap();
    let broken = dir.path().join("broken.yaml");
    std::fs::write(&broken, "family: x\nabout: y\nservers: 7\n").unwrap();
    let config = dir.path().join("config.yml");
    std::fs::write(&config, format!("catalogue: [{}]\n", broken.display())).unwrap();
    let args = ["run", "--format", "json", "--config", config.to_str().unwrap()];
    let (sensor, line) = Sensor::start_anyhow(&args);
    assert!(
        line.starts_with("picket: watching, coverage degraded: 1 rules are disabled"),
        "{line}"
    );
    let (_, records, _) = sensor.stop();
    for record in coverage(&records) {
        assert_eq!(record["state"], "degraded");
        assert!(record["reasons"].to_string().contains("broken.yaml:3:"), "{record}");
    }
}

fn closed_stdout() {
    let mut child = picket()
        .args(["run", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = ready(&mut child);
    drop(child.stdout.take());
    assert_eq!(wait(&mut child).code(), Some(1));
    let mut rest = String::new();
    log.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "picket: the reader of stdout has gone away\n");
}

fn full_disk() {
    let mut child = picket()
        .args(["run", "--format", "json"])
        .stdout(File::options().write(true).open("/dev/full").unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert_eq!(wait(&mut child).code(), Some(1));
    let last = log.lines().last().unwrap();
    assert!(last.starts_with("picket: the disk is full: make room, or write elsewhere"), "{log}");
}

fn missing_capability() {
    // Its own copy: another user need not be able to reach the build directory.
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("picket");
    std::fs::copy(env!("CARGO_BIN_EXE_picket"), &program).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open).unwrap();
    for command in ["run", "record"] {
        // The shell waits until no other thread's child still has the copy open for writing.
        let mut run = Command::new("sh");
        run.arg("-c").arg(
            "for i in 1 2 3 4 5; do \"$0\" \"$@\"; r=$?; [ $r = 126 ] || exit $r; sleep 0.2; done",
        );
        let out = run.arg(&program).arg(command).uid(65534).gid(65534).output().unwrap();
        assert_eq!(out.status.code(), Some(1), "{out:?}");
        let log = String::from_utf8(out.stderr).unwrap();
        assert_eq!(
            log.lines().last().unwrap(),
            "picket: not allowed to use eBPF: missing CAP_BPF and CAP_PERFMON; run as root, or give \
             the program the capabilities CAP_BPF and CAP_PERFMON"
        );
        assert_eq!(out.stdout, b"");
    }
}

fn two_instances() {
    let one = Sensor::start(&["run", "--format", "json"]);
    let two = Sensor::start(&["run", "--format", "json"]);
    one.barrier();
    two.barrier();
    one.barrier();
    let ids = |sensor: &Sensor| -> Vec<String> {
        let records = sensor.records();
        // What ran before one of them began, that one tells in another way.
        let own = records.iter().filter(|r| r["seeded"] != true).filter(|r| {
            r["ancestry"].as_array().into_iter().flatten().any(|a| a["pid"] == std::process::id())
        });
        own.map(|r| r["process"]["args"].to_string()).collect()
    };
    let (first, second) = (ids(&one), ids(&two));
    assert!(second.iter().all(|args| first.contains(args)), "{first:?} {second:?}");
    assert!(second.len() >= 2);
}

fn killed() {
    let sensor = Sensor::start(&["run", "--format", "json"]);
    let before = programs_of(sensor.pid());
    assert!(before >= 4, "the test cannot see picket's programs: {before}");
    let pid = sensor.pid();
    sensor.signal(Signal::KILL);
    drop(sensor);
    assert_eq!(programs_of(pid), 0);
}

/// How many eBPF programs a process holds.
fn programs_of(pid: u32) -> usize {
    let Ok(infos) = std::fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return 0 };
    let texts = infos.flatten().filter_map(|info| std::fs::read_to_string(info.path()).ok());
    texts.filter(|text| text.contains("prog_id:")).count()
}

/// A ring that holds a few records, and nobody to empty it: the loss is said, with its number.
fn tiny_ring() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yaml");
    std::fs::write(&config, "ring_bytes: 4096\n").unwrap();
    let config = config.to_str().unwrap();
    // On a busy machine such a ring may lose even the canary, and picket says so.
    let args = ["run", "--events", "--format", "json", "--config", config];
    let (sensor, _) = Sensor::start_anyhow(&args);
    sensor.signal(Signal::STOP);
    const EXECUTIONS: u64 = 200;
    let mark = dir.path().to_str().unwrap();
    for _ in 0..EXECUTIONS {
        Command::new("/bin/true").arg(mark).status().unwrap();
    }
    sensor.signal(Signal::CONT);
    sensor.wait_for("a coverage record of the loss", |r| {
        r["type"] == "coverage" && r["state"] == "degraded" && r["lost"]["kernel"] != 0
    });
    let (code, records, log) = sensor.stop();
    assert_eq!(code, Some(0));
    let last = coverage(&records).last().copied().cloned().unwrap();
    assert_eq!(last["state"], "degraded", "the last record speaks of the whole time");
    let lost = last["lost"]["kernel"].as_u64().unwrap();
    let ours = |r: &&Value| r["type"] == "event" && args_of(r).contains(&mark);
    let seen = records.iter().filter(ours).count() as u64;
    assert!(lost > 0 && seen < EXECUTIONS, "nothing was lost: lost {lost}, seen {seen}");
    assert!(seen + lost >= EXECUTIONS, "a loss was not counted: lost {lost}, seen {seen}");
    assert!(log.contains("coverage degraded: lost"), "{log}");
}

fn systemd() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
    let mut child = picket()
        .args(["run", "--format", "json"])
        .env("NOTIFY_SOCKET", &path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut bytes = [0; 64];
    // A wait with a time limit may be interrupted, and picket must not be asked to end before it
    // has begun.
    let received = loop {
        match socket.recv(&mut bytes) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            received => break received,
        }
    };
    if received.is_err() {
        let _ = child.kill();
    }
    kill(child.id(), Signal::INT);
    let status = wait(&mut child);
    let text = String::from_utf8_lossy(&bytes[..received.unwrap()]).into_owned();
    assert!(status.success(), "{status}, after {text}");
    assert!(text.contains("READY=1"), "{text}");
}

fn doctor() {
    let begun = Instant::now();
    let out = picket().args(["doctor", "--format", "json"]).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    let checks: Vec<Value> = String::from_utf8(out.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for name in [
        "kernel",
        "CAP_BPF",
        "rules",
        "hooks",
        "canary",
        "exec hook",
        "fork hook",
        "listen hook",
        "exit hook",
    ] {
        let check = checks.iter().find(|c| c["name"] == name);
        assert_eq!(check.unwrap()["ok"], true, "{name} after {:?}: {checks:#?}", begun.elapsed());
    }
}
