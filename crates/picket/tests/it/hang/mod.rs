//! A file that cannot be read to its end holds up nothing but itself.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use libtest_mimic::Trial;

use crate::content::{Place, SETTLED, detection, run};
use crate::harness::{Sensor, root, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("root::hang::a_file_that_hangs_holds_up_nothing_else", hangs)]
}

/// Makes what one process reads of a file wait.
struct Hold {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Hold {
    fn new(program: &Path, pid: u32, file: &Path) -> Self {
        let mut child = Command::new(program)
            .arg(pid.to_string())
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut hold = Self { child, said };
        hold.expect("ready");
        hold
    }

    /// What it says next; it ends with the test, so this does not wait for ever.
    fn expect(&mut self, word: &str) {
        assert_eq!(self.said.next().unwrap().unwrap(), word);
    }

    fn release(mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        self.expect("released");
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // Its descriptors go with it, and everybody who waited goes on.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn unread(sensor: &Sensor) -> u64 {
    let records = sensor.records();
    let coverage = records.iter().filter(|r| r["type"] == "coverage");
    coverage.map(|r| r["lost"]["unread"].as_u64().unwrap()).sum()
}

fn hangs() {
    let place = Place::new();
    let program: PathBuf = place.dir.path().join("hold");
    let source = root().join("crates/picket/tests/it/hang/hold.c");
    let done = Command::new("gcc").args(["-O1", "-Wall", "-o"]).arg(&program).arg(source).status();
    assert!(done.unwrap().success());
    let sensor = place.sensor();
    let file = |round: u64| {
        let silent = place.file(&format!("silent{round}"), &place.benign);
        (round, silent, place.file(&format!("kworker{round}"), &place.server))
    };
    let files: Vec<_> = (1..=10).map(file).collect();
    let silent = place.file("silent", &place.benign);
    std::thread::sleep(SETTLED);
    // More often than threads may hang at once: one that goes on makes room for the next.
    for (round, silent, server) in files {
        let mut hold = Hold::new(&program, sensor.pid(), &silent);
        run(&silent);
        hold.expect("held");
        // It waits behind the other, and is found nevertheless.
        let found = detection(&sensor, run(&server));
        assert_eq!(found["server"]["name"], "quirky");
        let before = round - 1;
        let what = "the program that nobody could read";
        sensor.wait_for(what, |_| unread(&sensor) > before);
        assert_eq!(unread(&sensor), round, "{}", sensor.log());
        hold.release();
    }
    assert!(sensor.log().contains("reading it does not go on"), "{}", sensor.log());
    // What nobody could read is read at the next execution.
    let mut hold = Hold::new(&program, sensor.pid(), &silent);
    run(&silent);
    hold.expect("held");
    sensor.wait_for("the program that nobody could read", |_| unread(&sensor) > 10);
    hold.release();
    run(&silent);
    sensor.barrier();
    assert_eq!(unread(&sensor), 11);
}
