//! The known set: real servers, started while a flood goes on, of which each must be found or be
//! among what coverage says was lost.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use event::Stamp;
use probe::Clock;
use serde_json::Value;

use crate::harness::{self, args_of};

/// Names that say nothing.
const NAMES: [&str; 8] =
    ["kworker", "update", "worker", "agent-x", "sync", "helper", "backup", "report"];

struct Start {
    server: &'static str,
    mark: String,
    /// Between these it was executed, in nanoseconds of the time of day.
    between: (i64, i64),
    child: Child,
}

/// Servers that were started; they are ended with it.
pub(super) struct Known {
    dir: tempfile::TempDir,
    clock: Clock,
    starts: Vec<Start>,
}

impl Known {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in NAMES {
            fs::copy("/usr/sbin/nginx", dir.path().join(name)).unwrap();
        }
        Self { dir, clock: Clock::now(), starts: Vec::new() }
    }

    /// Starts servers, one after the other, with a pause after each.
    pub(super) fn start(&mut self, count: usize, pause: Duration) {
        for _ in 0..count {
            self.start_one();
            sleep(pause);
        }
    }

    fn start_one(&mut self) {
        let number = self.starts.len();
        let home = self.dir.path().join(format!("s{number}"));
        fs::create_dir_all(home.join("logs")).unwrap();
        let port = harness::free_port();
        let mark = home.to_str().unwrap().to_owned();
        let (server, mut command) = match number % 3 {
            0 => ("nginx", self.nginx(number, port, &home)),
            1 => {
                let mut python = Command::new("/usr/bin/python3");
                python.args(["-m", "http.server", "--bind", "127.0.0.1", "--directory"]);
                python.arg(&home).arg(port.to_string());
                ("python-http-server", python)
            }
            _ => {
                let mut busybox = Command::new("/usr/bin/busybox");
                busybox.args(["httpd", "-f", "-p", &format!("127.0.0.1:{port}"), "-h"]).arg(&home);
                ("busybox-httpd", busybox)
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // What an nginx starts ends with its group.
        command.process_group(0);
        let before = self.clock.stamp(Clock::boot_ns()).unix_nanos();
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        // It has been executed when this returns.
        let after = self.clock.stamp(Clock::boot_ns()).unix_nanos();
        self.starts.push(Start { server, mark, between: (before, after), child });
    }

    fn nginx(&self, number: usize, port: u16, home: &PathBuf) -> Command {
        let conf = home.join("c");
        let text = format!(
            "error_log stderr; pid {0}/pid; events {{}}\nhttp {{ access_log off; \
             client_body_temp_path {0}/1; proxy_temp_path {0}/2; fastcgi_temp_path {0}/3; \
             uwsgi_temp_path {0}/4; scgi_temp_path {0}/5; server {{ listen 127.0.0.1:{port}; }} }}\n",
            home.display()
        );
        fs::write(&conf, text).unwrap();
        let mut nginx = Command::new(self.dir.path().join(NAMES[number % NAMES.len()]));
        nginx.arg("-p").arg(home).arg("-c").arg(conf).args(["-g", "daemon off;"]);
        nginx
    }

    /// Starts of which no record tells as what they are.
    fn missing(&self, records: &[Value]) -> Vec<&Start> {
        let found = |start: &&Start| {
            records.iter().any(|r| {
                r["type"] == "detection"
                    && r["server"]["name"] == start.server
                    && args_of(r).contains(&start.mark.as_str())
            })
        };
        self.starts.iter().filter(|start| !found(start)).collect()
    }

    /// Every start was found; or coverage says exactly that so many were lost, and when.
    pub(super) fn check(&self, records: &[Value]) -> usize {
        let missing = self.missing(records);
        let losses: Vec<&Value> = records.iter().filter(|r| is_loss(r)).collect();
        let mut explained = 0;
        for start in &missing {
            let (before, after) = start.between;
            let window = losses.iter().find(|r| {
                let at = |end: &str| time(&r["window"][end]);
                at("from") <= after && at("to") >= before
            });
            assert!(
                window.is_some(),
                "{} ({}) is missing, and nothing is said to be lost then: {losses:#?}",
                start.server,
                start.mark
            );
            explained += 1;
        }
        let lost: u64 = losses.iter().map(|r| sum(&r["lost"])).sum();
        assert!(lost >= explained, "{explained} are missing, {lost} said to be lost");
        missing.len()
    }

    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        use rustix::process::{Pid, Signal, kill_process_group};
        for start in &mut self.starts {
            if let Some(group) = Pid::from_raw(i32::try_from(start.child.id()).unwrap_or(0)) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = start.child.wait();
        }
    }
}

/// A coverage record that tells of losses.
fn is_loss(record: &Value) -> bool {
    record["type"] == "coverage" && record["state"] != "full" && sum(&record["lost"]) > 0
}

/// All that was lost, wherever.
pub(super) fn sum(lost: &Value) -> u64 {
    lost.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum()
}

/// A time of day in nanoseconds.
fn time(value: &Value) -> i64 {
    serde_json::from_value::<Stamp>(value.clone()).unwrap().unix_nanos()
}
