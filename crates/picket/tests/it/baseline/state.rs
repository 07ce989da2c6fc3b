//! Where what was seen is kept: full disks, broken files, files of others, two pickets at once.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;

use super::{Place, is};
use crate::harness::{PATIENCE, Sensor, trial};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("root::baseline::a_full_disk_is_a_message", full_disk),
        trial("root::baseline::broken_memory_is_a_message", broken),
        trial("root::baseline::two_pickets_keep_their_own", two),
        trial("root::baseline::learning_needs_a_place", no_place),
    ]
}

/// Runs a picket by this place's configuration, whose disk is this full.
fn full_disk() {
    let place = Place::new("");
    place.nginx();
    let state = place.path("state");
    fs::create_dir(&state).unwrap();
    // A file system of its own, in a mount namespace of its own, with nothing left.
    let script = "mount -t tmpfs -o size=16k,mode=700 none \"$0\" && \
                  head -c 16384 /dev/zero > \"$0/full\"; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script]).arg(&state);
    command.arg(env!("CARGO_BIN_EXE_picket")).args([
        "run",
        "--format",
        "json",
        "--severity",
        "info",
    ]);
    command.args(["--environment", "production", "--config"]).arg(place.path("config.yaml"));
    let (sensor, line) = Sensor::start_command(command);
    assert_eq!(line, "picket: watching, coverage full", "{}", sensor.log());
    is(&place.start(&sensor), "new", "new here: never run before");
    let deadline = Instant::now() + PATIENCE;
    while !sensor.log().contains("cannot be kept in") {
        assert!(Instant::now() < deadline, "{}", sensor.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    // It counts all the same.
    is(&place.start(&sensor), "new", "seen 1 times before");
    let (code, _, log) = sensor.stop();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(log.matches("cannot be kept in").count(), 1, "said once: {log}");
}

fn broken() {
    let place = Place::new("");
    place.nginx();
    let sensor = place.sensor();
    place.start(&sensor);
    sensor.stop();
    let files = ["seen-0.jsonl", "seen-1.jsonl"].map(|name| place.path("state").join(name));
    for file in &files {
        assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);
    }
    let sensor = place.sensor();
    is(&place.start(&sensor), "new", "seen 1 times before");
    sensor.stop();
    // A line that somebody cut, in the newest.
    for file in &files {
        let mut bytes = fs::read(file).unwrap();
        bytes.truncate(bytes.len() / 2);
        fs::write(file, bytes).unwrap();
    }
    let sensor = place.sensor();
    assert!(sensor.log().contains("is broken: remove seen-0.jsonl"), "{}", sensor.log());
    is(&place.start(&sensor), "new", "new here: never run before");
    is(&place.start(&sensor), "new", "seen 1 times before");
    sensor.stop();
    let (code, _, err) = place.try_baseline(&["show"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("is broken: remove seen-0.jsonl and seen-1.jsonl there"), "{err}");
    // Anybody could have written that.
    for file in &files {
        fs::write(file, "").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o666)).unwrap();
    }
    let sensor = place.sensor();
    assert!(sensor.log().contains("others may write there"), "{}", sensor.log());
    sensor.stop();
}

fn two() {
    let place = Place::new("");
    place.nginx();
    let one = place.sensor();
    let two = place.sensor();
    assert!(two.log().contains("another picket keeps its own there"), "{}", two.log());
    is(&place.start(&one), "new", "new here");
    two.stop();
    one.stop();
    let shown = place.baseline(&["show", "--format", "text"]);
    assert!(shown.contains(place.path("nginx").to_str().unwrap()), "{shown}");
}

fn no_place() {
    let place = Place::new("baseline_learning: 1d\n");
    let config = fs::read_to_string(place.path("config.yaml")).unwrap();
    let config: String =
        config.lines().filter(|l| !l.starts_with("state:")).map(|l| format!("{l}\n")).collect();
    fs::write(place.path("config.yaml"), config).unwrap();
    let mut command = crate::harness::picket();
    command.args(["run", "--config"]).arg(place.path("config.yaml"));
    let out = command.output().unwrap();
    let err = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(1), "{err}");
    assert!(err.contains("when it began is kept nowhere: set `state: /var/lib/picket`"), "{err}");
}
