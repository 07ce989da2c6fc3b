//! The gate of a pipeline: real commands under watch, and real servers that they start.

mod attribution;
mod change;
mod changes;
mod end;
mod media;
mod reports;
mod steps;
mod terminal;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use libtest_mimic::Trial;
use rustix::process::Signal;

use crate::harness::{Group, PATIENCE, free_port, kill, outside_ci, picket, trial, wait};

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = media::trials();
    trials.extend(steps::trials());
    trials.extend(end::trials());
    trials.extend(changes::trials());
    trials.extend(terminal::trials());
    trials.extend(attribution::trials());
    trials.extend(change::trials());
    trials.extend(reports::trials());
    trials.extend([
        trial("root::ci::the_command_runs_as_if_alone", as_if_alone),
        trial("root::ci::its_own_code_comes_first", own_code),
        trial("root::ci::a_daemon_is_found_and_named", daemon),
        trial("root::ci::servers_of_others_do_not_count", elsewhere),
        trial("root::ci::signals_are_passed_on", signals),
        trial("root::ci::a_signal_that_was_turned_off_stays_off", turned_off),
        trial("root::ci::severity_decides", severity),
        trial("root::ci::blind_is_no_evidence", blind),
        trial("root::ci::a_killed_sensor_is_no_evidence", killed_sensor),
        trial("root::ci::works_in_a_pid_namespace", pid_namespace),
    ]);
    trials
}

/// Runs a script under watch. `options` come before it.
fn run(options: &[&str], script: &str) -> Output {
    picket().arg("ci").args(options).args(["--", "sh", "-c", script]).output().unwrap()
}

/// The text of stderr.
fn err(out: &Output) -> String {
    String::from_utf8_lossy(&out.stderr).into_owned()
}

/// A server that begins to listen and is ended.
fn short_server() -> String {
    let port = free_port();
    let server = format!("python3 -m http.server --bind 127.0.0.1 {port}");
    format!(
        "{server} >/dev/null 2>&1 & {}; kill $!; wait $! || true; exit 0",
        until_it_listens(port)
    )
}

/// Waits in a shell until somebody listens.
fn until_it_listens(port: u16) -> String {
    format!("until grep -q ':{port:04X} 00000000:0000 0A' /proc/net/tcp; do sleep 0.05; done")
}

fn as_if_alone() {
    let script = "id -u; pwd; echo $MARK; read line; echo $line; echo own >&2; cat <&3";
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("three"), "three\n").unwrap();
    let binary = env!("CARGO_BIN_EXE_picket");
    // A shell opens the descriptor, as the runner of a pipeline may.
    let mut child = outside_ci("sh")
        .args(["-c", "exec \"$0\" ci -- sh -c \"$1\" 3<three", binary, script])
        .current_dir(dir.path())
        .env("MARK", "mark")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"typed\nmore\n").unwrap();
    let out = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let here = dir.path().canonicalize().unwrap();
    let err = err(&out);
    assert_eq!(text, format!("0\n{}\nmark\ntyped\nthree\n", here.display()), "{err}");
    assert!(err.contains("\nown\n"), "{err}");
    assert!(err.contains("picket ci: passed: no web server was started\n"), "{err}");
    assert!(err.contains("  coverage  "), "{err}");
    assert_eq!(out.status.code(), Some(0), "{err}");
}

fn own_code() {
    assert_eq!(run(&[], "exit 7").status.code(), Some(7));
    assert_eq!(run(&[], "kill -TERM $$").status.code(), Some(143));
    let found = run(&[], &short_server().replace("exit 0", "exit 9"));
    let text = err(&found);
    assert_eq!(found.status.code(), Some(9), "{text}");
    assert!(text.contains("the command failed with 9; 1 detection, 1 of severity high"), "{text}");
    let missing = picket().args(["ci", "--", "/no/such/command"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(127));
    assert!(err(&missing).contains("cannot run /no/such/command: "), "{}", err(&missing));
}

fn daemon() {
    let dir = tempfile::tempdir().unwrap();
    let (pid, end) = (dir.path().join("pid"), dir.path().join("end"));
    let port = free_port();
    let server = format!("exec python3 -m http.server --bind 127.0.0.1 {port}");
    let script = format!(
        "(setsid sh -c 'echo $$ > {}; {server}' >/dev/null 2>&1 </dev/null &); \
         {}; touch {}",
        pid.display(),
        until_it_listens(port),
        end.display()
    );
    let out = run(&[], &script);
    let took = SystemTime::now().duration_since(modified(&end)).unwrap();
    let pid: u32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    let runs = Path::new(&format!("/proc/{pid}/exe")).exists();
    kill(pid, Signal::KILL);
    let err = err(&out);
    assert!(runs, "it ended by itself: {err}");
    assert_eq!(out.status.code(), Some(80), "{err}");
    assert!(err.contains("HIGH python-http-server started"), "{err}");
    assert!(err.contains(&format!("runs on   python-http-server ({pid})")), "{err}");
    assert!(took < Duration::from_secs(2), "the report took {took:?}");
}

fn modified(path: &Path) -> SystemTime {
    path.metadata().unwrap().modified().unwrap()
}

/// A server that the test itself starts while the command runs.
fn elsewhere() {
    let mut child = picket()
        .args(["ci", "--", "sh", "-c", "echo ready; read line"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let port = free_port().to_string();
    let mut server = Command::new("python3");
    server.args(["-m", "http.server", "--bind", "127.0.0.1", &port]);
    let server = Group::start(server.stdout(Stdio::null()).stderr(Stdio::null()));
    let deadline = std::time::Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
        assert!(std::time::Instant::now() < deadline, "the server does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let out = child.wait_with_output().unwrap();
    drop(server);
    let err = err(&out);
    assert_eq!(out.status.code(), Some(0), "{err}");
    assert!(err.contains("of what others started on this machine meanwhile"), "{err}");
}

fn signals() {
    for (signal, name) in [(Signal::TERM, "TERM"), (Signal::INT, "INT"), (Signal::HUP, "HUP")] {
        let script =
            format!("trap 'echo got; exit 3' {name}; echo ready; while :; do sleep 0.05; done");
        let mut child = picket()
            .args(["ci", "--", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(out.next().unwrap().unwrap(), "ready");
        kill(child.id(), signal);
        assert_eq!(out.next().unwrap().unwrap(), "got");
        assert_eq!(wait(&mut child).code(), Some(3), "{name}");
    }
}

fn turned_off() {
    let binary = env!("CARGO_BIN_EXE_picket");
    let script = "grep SigIgn /proc/self/status";
    let out = outside_ci("sh")
        .args(["-c", "trap '' HUP; exec \"$0\" ci -- sh -c \"$1\"", binary, script])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let mask = u64::from_str_radix(text.trim_start_matches("SigIgn:").trim(), 16).unwrap();
    assert_eq!(mask & 1, 1, "SIGHUP is on again: {text}{}", err(&out));
}

fn severity() {
    let found = run(&[], &short_server());
    assert_eq!(found.status.code(), Some(80), "{}", err(&found));
    let out = run(&["--fail-on", "critical"], &short_server());
    let text = err(&out);
    assert_eq!(out.status.code(), Some(0), "{text}");
    assert!(text.contains("passed: 1 detection, none of severity critical or more"), "{text}");
}

/// Without any privilege nothing can be seen, and the command runs all the same.
fn blind() {
    let run = |options: &[&str]| {
        let mut command = outside_ci("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", "--reuid=65534", "--clear-groups"]);
        command.arg(env!("CARGO_BIN_EXE_picket")).arg("ci").args(options);
        command.args(["--", "echo", "ran"]).output().unwrap()
    };
    let out = run(&[]);
    let text = err(&out);
    assert_eq!(String::from_utf8_lossy(&out.stdout), "ran\n", "{text}");
    assert_eq!(out.status.code(), Some(81), "{text}");
    assert!(text.contains("no evidence: that nothing was found means nothing"), "{text}");
    assert!(text.contains("the sensor never watched"), "{text}");
    let out = run(&["--without-evidence", "pass"]);
    let text = err(&out);
    assert_eq!(out.status.code(), Some(0), "{text}");
    assert!(text.contains("by --without-evidence pass"), "{text}");
}

fn killed_sensor() {
    // Its own sensor: the other child of the command's parent.
    let out = run(
        &[],
        "for p in /proc/[0-9]*; do \
           if grep -qs \"^PPid:.$PPID$\" $p/status && [ \"$(cat $p/comm)\" = picket ]; then \
             kill -9 ${p#/proc/}; fi; done; sleep 0.2",
    );
    let text = err(&out);
    assert_eq!(out.status.code(), Some(81), "{text}");
    assert!(text.contains("the sensor ended before the command did"), "{text}");
}

/// As in the containers that pipelines run in.
fn pid_namespace() {
    let server = short_server();
    for (script, code) in [(server.as_str(), 80), ("true", 0)] {
        let mut command = outside_ci("unshare");
        command.args(["--pid", "--fork", "--mount-proc", env!("CARGO_BIN_EXE_picket"), "ci"]);
        let out = command.args(["--", "sh", "-c", script]).output().unwrap();
        assert_eq!(out.status.code(), Some(code), "{}", err(&out));
    }
}
