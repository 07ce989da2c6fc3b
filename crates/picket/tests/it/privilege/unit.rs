//! The service's unit: how little it allows, and that picket works with that.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use libtest_mimic::Trial;

use super::{Unprivileged, check_threads, kept};
use crate::harness::{Sensor, copy_program, kill, root, trial};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("privilege::unit::exposes_little", exposure),
        trial("privilege::unit::is_valid", valid),
        trial("root::privilege::unit::its_capabilities_are_enough", capabilities),
        trial("root::privilege::unit::its_system_calls_are_enough", system_calls),
    ]
}

fn unit() -> String {
    fs::read_to_string(root().join("packaging/picket.service")).unwrap()
}

/// The values of a setting, in order.
fn settings<'u>(unit: &'u str, name: &str) -> Vec<&'u str> {
    let lines = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    lines.collect()
}

/// In tenths, as `systemd-analyze` counts.
const MOST: &str = "25";

fn exposure() {
    let analyze = |unit: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("picket.service");
        fs::write(&path, unit).unwrap();
        let out = Command::new("systemd-analyze")
            .args(["security", "--no-pager", "--offline=true", "--threshold", MOST])
            .arg(&path)
            .output()
            .unwrap();
        (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned())
    };
    let (good, report) = analyze(&unit());
    assert!(good, "{report}");
    // The threshold means something.
    let without = unit().replace("NoNewPrivileges=yes", "").replace("ProtectSystem=strict", "");
    let without = without.replace("CapabilityBoundingSet=", "#").replace("SystemCallFilter=", "#");
    let (good, report) = analyze(&without);
    assert!(!good, "{report}");
}

fn valid() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("picket.service");
    let unit = unit();
    assert!(unit.contains("ExecStart=/usr/bin/picket "));
    // Where the program is on this machine; systemd wants it to exist.
    let unit = unit.replace("/usr/bin/picket ", &format!("{} ", env!("CARGO_BIN_EXE_picket")));
    fs::write(&path, &unit).unwrap();
    let out = Command::new("systemd-analyze")
        .args(["verify", "--no-pager", "--man=no", "--recursive-errors=no"])
        .arg(&path)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    // It also reads other units of this machine, and may find fault with those.
    assert!(out.status.success(), "{said}");
    assert!(!said.contains("picket"), "{said}");
    fs::write(&path, unit.replace("Type=notify", "Type=nonsense")).unwrap();
    let out = Command::new("systemd-analyze")
        .args(["verify", "--no-pager", "--man=no", "--recursive-errors=no"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&out.stderr).contains("picket"), "it finds no fault at all");
}

/// No root at any moment, and everything is seen.
fn capabilities() {
    let unit = unit();
    let ambient = settings(&unit, "AmbientCapabilities");
    assert_eq!(ambient, settings(&unit, "CapabilityBoundingSet"));
    let names: Vec<String> = ambient[0]
        .split(' ')
        .map(|name| name.strip_prefix("CAP_").unwrap().to_ascii_lowercase())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let unprivileged = Unprivileged::new();
    // As the unit does: no network but its own, a read-only tree of files, no new privileges.
    let inner = unprivileged.command(&names);
    let mut command = Command::new("unshare");
    command.args(["--net", "--ipc", "--uts", "--mount", "--propagation", "slave"]);
    command.args([
        "sh",
        "-c",
        "ip link set lo up; mount -o remount,bind,ro / && exec \"$@\"",
        "sh",
    ]);
    command.arg(inner.get_program()).arg("--no-new-privs").args(inner.get_args());
    command.args(["run", "--format", "json"]);
    let (sensor, line) = Sensor::start_command(command);
    assert_eq!(line, "picket: watching, coverage full");
    let mut all = kept();
    all |= 1 << 38 | 1 << 39;
    check_threads(sensor.pid(), 65534, kept(), all);
    sensor.barrier();
    // A renamed server that only root may read.
    let dir = tempfile::Builder::new().prefix("unit").tempdir_in("/var/lib").unwrap();
    let path = dir.path().join("kworkerd");
    copy_program("/usr/sbin/nginx", &path, "700");
    let mut child = Command::new(&path)
        .args(["-g", "daemon off;", "-c"])
        .arg("/dev/null")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id();
    let found = sensor
        .wait_for("the renamed server", |r| r["type"] == "detection" && r["process"]["pid"] == pid);
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(found["server"]["name"], "nginx");
    assert_eq!(found["server"]["masquerade"], true);
}

/// What a set of system calls holds, sets within it included.
fn expand(set: &str, into: &mut BTreeSet<String>) {
    let out = Command::new("systemd-analyze").args(["syscall-filter", set]).output().unwrap();
    assert!(out.status.success(), "{set}");
    for word in String::from_utf8(out.stdout).unwrap().lines().skip(1) {
        match word.trim() {
            "" => {}
            comment if comment.starts_with('#') => {}
            inner if inner.starts_with('@') => expand(inner, into),
            call => {
                into.insert(call.to_owned());
            }
        }
    }
}

/// The calls that the unit allows.
fn allowed(unit: &str) -> BTreeSet<String> {
    let mut allowed = BTreeSet::new();
    // An allow list always holds these.
    expand("@default", &mut allowed);
    for line in settings(unit, "SystemCallFilter") {
        let (words, take) = line.strip_prefix('~').map_or((line, false), |words| (words, true));
        let mut calls = BTreeSet::new();
        for word in words.split(' ') {
            if word.starts_with('@') {
                expand(word, &mut calls);
            } else {
                calls.insert(word.to_owned());
            }
        }
        if take {
            allowed.retain(|call| !calls.contains(call));
        } else {
            allowed.extend(calls);
        }
    }
    allowed
}

/// Every call that picket makes from its beginning to its end is one that the unit allows.
fn system_calls() {
    let allowed = allowed(&unit());
    assert!(allowed.len() > 100 && !allowed.contains("ptrace") && !allowed.contains("mount"));
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let unprivileged = Unprivileged::new();
    let inner = unprivileged.command(&[
        "bpf",
        "perfmon",
        "sys_ptrace",
        "dac_read_search",
        "net_admin",
        "checkpoint_restore",
    ]);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(&trace).arg(inner.get_program()).args(inner.get_args());
    command.args(["run", "--format", "json"]);
    let (sensor, _) = Sensor::start_command(command);
    sensor.barrier();
    // strace hands the signal on to nobody; picket is its child.
    let children =
        fs::read_to_string(format!("/proc/{0}/task/{0}/children", sensor.pid())).unwrap();
    kill(children.trim().parse().unwrap(), rustix::process::Signal::INT);
    let (code, _, log) = sensor.wait();
    assert_eq!(code, Some(0), "{log}");
    let trace = fs::read_to_string(&trace).unwrap();
    // setpriv's own come first.
    let begin = trace.find("/picket\", [").unwrap();
    let mut calls = BTreeSet::new();
    for line in trace[begin..].lines().skip(1) {
        let call = line.split_once(' ').map(|(_, rest)| rest.trim_start()).unwrap_or_default();
        if let Some((name, _)) = call.split_once('(')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            // What the filter refuses is not needed.
            if !call.contains("= -1 EPERM") && !call.contains("= -1 ENOSYS") {
                calls.insert(name.to_owned());
            }
        }
    }
    assert!(calls.len() > 30 && calls.contains("bpf"), "{calls:?}");
    let missing: Vec<_> = calls.difference(&allowed).collect();
    assert!(missing.is_empty(), "the unit forbids {missing:?}");
}
