//! A cgroup with too little memory for picket.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::left::Attached;
use super::{Place, RUN, children, run};
use crate::harness::{PATIENCE, Sensor};

/// A cgroup of its own, of whichever version has the memory controller here.
struct Cgroup {
    path: PathBuf,
    limit: &'static str,
    usage: &'static str,
    /// Where the kernel counts how often the limit was hit: the file, and the word before.
    hits: (&'static str, &'static str),
}

impl Cgroup {
    fn new() -> Self {
        let name = format!("picket-test-{}", std::process::id());
        let old = Path::new("/sys/fs/cgroup/memory");
        let cgroup = if old.join("memory.limit_in_bytes").exists() {
            Self {
                path: old.join(name),
                limit: "memory.limit_in_bytes",
                usage: "memory.usage_in_bytes",
                hits: ("memory.failcnt", ""),
            }
        } else {
            let new = Path::new("/sys/fs/cgroup");
            // Turned on for children, where it is not yet.
            let _ = fs::write(new.join("cgroup.subtree_control"), "+memory");
            Self {
                path: new.join(name),
                limit: "memory.max",
                usage: "memory.current",
                hits: ("memory.events", "max "),
            }
        };
        fs::create_dir(&cgroup.path).unwrap();
        assert!(
            cgroup.path.join(cgroup.limit).exists(),
            "no memory controller of cgroups is to be had here"
        );
        cgroup
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path.join(name)).unwrap()
    }

    fn hits(&self) -> u64 {
        let (file, word) = self.hits;
        let text = self.read(file);
        let number = text.lines().find_map(|line| line.strip_prefix(word)).unwrap();
        number.trim().parse().unwrap()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Its processes may take a moment to be gone.
        let deadline = Instant::now() + Duration::from_secs(10);
        while fs::remove_dir(&self.path).is_err() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Either it goes on with what it has, or the kernel kills it and nothing is left behind.
pub(super) fn out_of_memory() {
    let cgroup = Cgroup::new();
    let place = Place::new();
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(cgroup.path.join("cgroup.procs"));
    command.arg(env!("CARGO_BIN_EXE_picket")).args(RUN).arg("--events");
    let (sensor, line) = Sensor::start_command(command);
    assert_eq!(line, "picket: watching, coverage full");
    let pid = sensor.pid();
    let attached = Attached::of(pid);
    let usage: u64 = cgroup.read(cgroup.usage).trim().parse().unwrap();
    assert!(usage > 1 << 20, "picket is not in the cgroup: {usage} bytes");
    fs::write(cgroup.path.join(cgroup.limit), (usage + (64 << 10)).to_string()).unwrap();
    // New files, all to be read, until the limit is felt.
    let before = cgroup.hits();
    let deadline = Instant::now() + PATIENCE;
    let alive = || {
        Path::new(&format!("/proc/{pid}/exe")).exists()
            && !fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default().contains(") Z ")
    };
    let mut made = 0;
    while alive() && (cgroup.hits() < before + 50 || made < 10) {
        run(&place.renamed(&format!("kworkerd{made}")));
        made += 1;
        assert!(Instant::now() < deadline, "the limit is never felt: {} hits", cgroup.hits());
    }
    assert!(cgroup.hits() > before);
    if alive() {
        assert_eq!(children(pid), [0_u32; 0]);
        sensor.barrier();
        fs::write(cgroup.path.join(cgroup.limit), (1_u64 << 40).to_string()).unwrap();
        let (code, ..) = sensor.stop();
        assert_eq!(code, Some(0));
    } else {
        let (code, _, log) = sensor.wait();
        assert_eq!(code, None, "it did not end by a signal: {log}");
    }
    attached.is_gone();
}
