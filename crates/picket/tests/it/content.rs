//! What a file contains decides, whatever it is called, and however it changed.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::Trial;
use serde_json::Value;

use crate::harness::{Sensor, picket, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("root::content::a_name_hides_nothing", a_name_hides_nothing),
        trial("root::content::a_name_proves_little", a_name_proves_little),
        trial("root::content::a_changed_file_is_looked_at_again", changes_on_disk),
        trial("root::content::a_file_copied_up_is_looked_at_again", copies_up),
        trial("root::content::what_nobody_could_read_is_counted", unread),
        trial("root::content::a_changed_packaged_program_is_told", changed_package),
        trial("content::hostile_files_are_named", hostile_files),
        trial("content::trees_and_processes", trees_and_processes),
        trial("content::picket_is_no_server", picket_is_none),
        trial("content::programs_of_this_machine_are_what_they_are_called", this_machine),
    ]
}

/// A catalogue with a server that nobody else has.
const CATALOGUE: &str = r#"
family: test
about: For the tests only.
servers:
  - name: quirky
    title: Quirky
    role: web
    names: [quirkyd]
    content:
      literals: ["quirky: cannot bind to %s", "Server: Quirky/%d.%d", "quirky ready to serve"]
      version: ["quirky-version "]
    samples: [{run: [quirkyd], expect: serve}]
"#;

/// Longer than a file must be still before a verdict on it is kept.
pub(crate) const SETTLED: Duration = Duration::from_millis(2300);

pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
    config: PathBuf,
    pub(crate) benign: Vec<u8>,
    pub(crate) server: Vec<u8>,
}

impl Place {
    /// On a disk: what lies on a tmpfs is looked at every time. And not where anyone may write,
    /// which would be a reason of its own.
    pub(crate) fn new() -> Self {
        // (Wherever this repository lies.)
        let dir = tempfile::Builder::new().prefix("content").tempdir_in("/var/lib").unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("test.yaml"), CATALOGUE).unwrap();
        let config = at("config.yaml");
        fs::write(&config, format!("catalogue: [{}]\n", at("test.yaml").display())).unwrap();
        // The same size, whichever texts are in it.
        let compile = |name: &str, texts: [&str; 4]| {
            let text = |i: usize| format!("{:<30}", texts[i]);
            let source = format!(
                "#include <unistd.h>\nconst char *volatile t[] = {{{:?}, {:?}, {:?}, {:?}}};\n\
                 int main(int n, char **a) {{ if (n > 1) sleep(60); return t[0][0] == 0; }}\n",
                text(0),
                text(1),
                text(2),
                text(3)
            );
            fs::write(at("x.c"), source).unwrap();
            let done = Command::new("gcc")
                .args(["-O1", "-s", "-static", "-o"])
                .args([at(name), at("x.c")])
                .status()
                .unwrap();
            assert!(done.success());
            fs::read(at(name)).unwrap()
        };
        let server = compile(
            "server",
            [
                "quirky: cannot bind to %s",
                "Server: Quirky/%d.%d",
                "quirky-version 4.2.1",
                "nothing more",
            ],
        );
        let benign = compile("benign", ["one text", "another one", "a third", "and a fourth"]);
        assert_eq!(server.len(), benign.len());
        Self { config, benign, server, dir }
    }

    pub(crate) fn sensor(&self) -> Sensor {
        let config = self.config.to_str().unwrap();
        Sensor::start(&[
            "run",
            "--format",
            "json",
            "--environment",
            "production",
            "--config",
            config,
        ])
    }

    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        executable(&path, bytes);
        path
    }
}

fn executable(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

pub(crate) fn run(path: &Path) -> u32 {
    let spawn = || Command::new(path).stdin(Stdio::null()).spawn();
    let mut child = loop {
        match spawn() {
            // Another thread's child still has it open for writing, for a moment.
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
            spawned => break spawned.unwrap(),
        }
    };
    assert!(child.wait().unwrap().success());
    child.id()
}

pub(crate) fn detection(sensor: &Sensor, pid: u32) -> Value {
    sensor.wait_for("a detection", |r| r["type"] == "detection" && r["process"]["pid"] == pid)
}

fn says(server: &Value, kind: &str, agrees: bool) -> bool {
    let evidence = server["evidence"].as_array().unwrap();
    evidence.iter().any(|e| e["kind"] == kind && e["agrees"] == agrees)
}

fn a_name_hides_nothing() {
    let place = Place::new();
    let sensor = place.sensor();
    let path = place.file("kworkerd", &place.server);
    let found = detection(&sensor, run(&path));
    let server = &found["server"];
    assert_eq!(server["name"], "quirky");
    assert_eq!(server["confidence"], "strong");
    assert_eq!(server["masquerade"], true);
    assert_eq!(server["version"], "4.2.1");
    assert!(says(server, "content", true) && says(server, "name", false), "{server}");
    let exe = &found["process"]["exe"];
    let sum = Command::new("sha256sum").arg(&path).output().unwrap().stdout;
    assert!(String::from_utf8(sum).unwrap().starts_with(exe["sha256"].as_str().unwrap()));
    // Under its own name it is no masquerade.
    let found = detection(&sensor, run(&place.file("quirkyd", &place.server)));
    assert_eq!(found["server"]["masquerade"], false);
    assert_eq!(found["severity"], "high");
}

fn a_name_proves_little() {
    let place = Place::new();
    let sensor = place.sensor();
    let found = detection(&sensor, run(&place.file("quirkyd", &place.benign)));
    assert_eq!(found["server"]["confidence"], "weak");
    assert_eq!(found["severity"], "low");
    assert!(says(&found["server"], "content", false), "{}", found["server"]);
}

fn changes_on_disk() {
    let place = Place::new();
    let sensor = place.sensor();
    type Change = fn(&Path, &[u8]);
    let in_place: Change = |path, bytes| {
        fs::File::options().write(true).open(path).unwrap().write_all_at(bytes, 0).unwrap();
    };
    let replaced: Change = |path, bytes| {
        let new = path.with_extension("new");
        executable(&new, bytes);
        fs::rename(&new, path).unwrap();
    };
    let both = [("rewritten", in_place), ("replaced", replaced)];
    let settled: Vec<PathBuf> =
        both.iter().map(|(name, _)| place.file(name, &place.benign)).collect();
    std::thread::sleep(SETTLED);
    for (path, (how, change)) in settled.iter().zip(both) {
        for _ in 0..3 {
            run(path);
        }
        sensor.barrier();
        assert!(
            !sensor.records().iter().any(|r| r["process"]["exe"]["path"] == path.to_str().unwrap())
        );
        change(path, &place.server);
        let found = detection(&sensor, run(path));
        assert_eq!(found["server"]["name"], "quirky", "{how}");
        change(path, &place.benign);
        let pid = run(path);
        sensor.barrier();
        let again = |r: &Value| r["type"] == "detection" && r["process"]["pid"] == pid;
        assert!(!sensor.records().iter().any(again), "{how}, and benign again");
    }
    // So fast that the change time may be the same: nothing was kept of what it was.
    for round in 0..20 {
        let path = place.file(&format!("hasty{round}"), &place.benign);
        run(&path);
        in_place(&path, &place.server);
        let found = detection(&sensor, run(&path));
        assert_eq!(found["server"]["name"], "quirky", "round {round}");
    }
}

fn copies_up() {
    let place = Place::new();
    let sensor = place.sensor();
    for dir in ["lower", "upper", "work", "merged"] {
        fs::create_dir(place.dir.path().join(dir)).unwrap();
    }
    place.file("lower/program", &place.benign);
    std::thread::sleep(SETTLED);
    let dir = place.dir.path().display();
    // In a mount namespace of its own, which ends with it. The sensor sees none of these mounts.
    let script = format!(
        "set -e; mount -t overlay overlay -o lowerdir={dir}/lower,upperdir={dir}/upper,\
         workdir={dir}/work {dir}/merged; cd {dir}; for i in 1 2 3; do merged/program; done; \
         cat server > merged/program; merged/program; exec merged/program stay"
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]);
    let mut child = command.process_group(0).stdin(Stdio::null()).spawn().unwrap();
    let merged = format!("{dir}/merged/program");
    let here = |r: &&Value| {
        r["recipe"]["name"] == "webserver_exec" && r["process"]["exe"]["path"] == *merged
    };
    let stays = |r: &Value| here(&r) && r["process"]["args"][1] == "stay";
    sensor.wait_for("the last one", stays);
    let found = sensor.records().iter().filter(here).count();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(found, 2, "the two after the change, and none before");
}

fn unread() {
    let place = Place::new();
    let sensor = place.sensor();
    // Gone before anybody can look, most of the time: a tiny program in memory only.
    let program = "import os,sys\n\
        b=bytes.fromhex(sys.argv[1])\n\
        for i in range(300):\n \
          f=os.memfd_create('x')\n \
          os.write(f,b)\n \
          p=os.fork()\n \
          if p==0:\n  \
            os.execve(f,['x'],{})\n \
          os.waitpid(p,0)\n \
          os.close(f)\n";
    let tiny: String = tiny_program().iter().map(|b| format!("{b:02x}")).collect();
    let done = Command::new("python3").args(["-c", program, &tiny]).status().unwrap();
    assert!(done.success());
    let record = sensor.wait_for("a coverage record", |r| {
        r["type"] == "coverage" && r["lost"]["unread"].as_u64().is_some_and(|n| n > 0)
    });
    assert_eq!(record["state"], "degraded");
    sensor.wait_for("full coverage again", |r| {
        r["type"] == "coverage"
            && r["state"] == "full"
            && r["time"].as_str() > record["time"].as_str()
    });
}

/// An ELF file whose only act is `exit(0)`.
fn tiny_program() -> Vec<u8> {
    let code: &[u8] = &[0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];
    let mut elf = vec![0; 120];
    elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    let mut put = |at: usize, value: u64, size: usize| {
        elf[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
    };
    let size = 120 + code.len() as u64;
    for (at, value, bytes) in [
        (16, 2, 2),
        (18, 62, 2),
        (20, 1, 4),
        (24, 0x40_0078, 8),
        (32, 64, 8),
        (52, 64, 2),
        (54, 56, 2),
        (56, 1, 2),
        (64, 1, 4),
        (68, 5, 4),
        (80, 0x40_0000, 8),
        (88, 0x40_0000, 8),
        (96, size, 8),
        (104, size, 8),
        (112, 0x1000, 8),
    ] {
        put(at, value, bytes);
    }
    elf.extend(code);
    elf
}

/// A root of its own with a package database, where a packaged program was changed.
fn changed_package() {
    // The package's own program under its own name, then with a byte changed at its end.
    let place = Place::new();
    let root = place.dir.path().join("root");
    for dir in ["usr/sbin", "var/lib/dpkg/info"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    let path = root.join("usr/sbin/quirkyd");
    executable(&path, &place.server);
    let sum = Command::new("md5sum").arg(&path).output().unwrap().stdout;
    let sum = String::from_utf8(sum).unwrap();
    let sum = sum.split(' ').next().unwrap();
    let info = |name: &str, text: String| {
        fs::write(root.join("var/lib/dpkg").join(name), text).unwrap();
    };
    info("info/quirky.list", "/.\n/usr\n/usr/sbin\n/usr/sbin/quirkyd\n".to_owned());
    info("info/quirky.md5sums", format!("{sum}  usr/sbin/quirkyd\n"));
    info(
        "status",
        "Package: quirky\nStatus: install ok installed\nArchitecture: amd64\nVersion: 9.9-1\n\n"
            .to_owned(),
    );
    let sensor = place.sensor();
    let run = || {
        let mut child =
            Command::new("chroot").arg(&root).args(["/usr/sbin/quirkyd", "stay"]).spawn().unwrap();
        let found = detection(&sensor, child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        found
    };
    let found = run();
    assert_eq!(found["process"]["exe"]["package"], "quirky 9.9-1");
    assert_eq!(found["process"]["exe"]["intact"], true);
    assert!(says(&found["server"], "package", true));
    let sensor = place.sensor();
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"!").unwrap();
    let mut child =
        Command::new("chroot").arg(&root).args(["/usr/sbin/quirkyd", "stay"]).spawn().unwrap();
    let found = detection(&sensor, child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(found["process"]["exe"]["intact"], false);
    assert!(says(&found["server"], "package", false));
    assert_eq!(found["severity"], "critical");
}

fn identify(place: &Place, paths: &[&Path]) -> (Vec<Value>, String) {
    let out = picket()
        .args(["identify", "--format", "json", "--config", place.config.to_str().unwrap()])
        .args(paths)
        .output()
        .unwrap();
    let lines = String::from_utf8(out.stdout).unwrap();
    let err = String::from_utf8(out.stderr).unwrap();
    (lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), err)
}

fn hostile_files() {
    let place = Place::new();
    let ls = fs::read("/bin/ls").unwrap();
    let patched = |at: usize, bytes: &[u8]| {
        let mut elf = ls.clone();
        elf[at..at + bytes.len()].copy_from_slice(bytes);
        elf
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", Vec::new(), ""),
        ("magic", b"\x7fELF".to_vec(), "neither 32 nor 64 bits"),
        ("cut", ls[..100].to_vec(), "program headers at 64"),
        ("half", ls[..ls.len() / 2].to_vec(), "it is cut off"),
        ("absurd", patched(32, &u64::MAX.to_le_bytes()), "program headers at 18446744073709551615"),
        ("many", patched(56, &[0xff, 0xff]), "65535 program headers"),
        ("none", patched(56, &[0, 0]), "no program headers"),
        ("odd", patched(54, &[7, 0]), "program headers of 7 bytes"),
    ];
    for (name, bytes, why) in cases {
        let path = place.file(name, &bytes);
        let (answers, err) = identify(&place, &[&path]);
        assert!(!err.contains("panicked"), "{name}: {err}");
        let problem = answers[0]["content"]["problem"].as_str().unwrap_or_default();
        assert!(problem.contains(why), "{name}: {problem:?}");
        assert!(answers[0]["server"].is_null(), "{name}");
    }
    // 4 GiB of nothing, all of it to be loaded.
    let mut sparse = ls.clone();
    let headers = u64::from_le_bytes(sparse[32..40].try_into().unwrap()) as usize;
    for header in 0..usize::from(sparse[56]) {
        let at = headers + header * 56;
        if sparse[at] == 1 {
            sparse[at + 32..at + 40].copy_from_slice(&(4_u64 << 30).to_le_bytes());
        }
    }
    let path = place.file("sparse", &sparse);
    fs::File::options().write(true).open(&path).unwrap().set_len(4 << 30).unwrap();
    let (answers, _) = identify(&place, &[&path]);
    let problem = answers[0]["content"]["problem"].as_str().unwrap();
    assert!(problem.contains("only the first 1024 MiB"), "{problem}");
}

fn trees_and_processes() {
    let place = Place::new();
    let tree = place.dir.path().join("tree/deep");
    fs::create_dir_all(&tree).unwrap();
    executable(&tree.join("innocent"), &place.server);
    executable(&tree.join("other"), &place.benign);
    fs::write(tree.join("text"), "quirky: cannot bind to %s").unwrap();
    std::os::unix::fs::symlink("innocent", tree.join("link")).unwrap();
    let (answers, err) = identify(&place, &[&place.dir.path().join("tree")]);
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers[0]["server"]["name"], "quirky");
    let rung = |name: &str| {
        let ladder = answers[0]["ladder"].as_array().unwrap();
        ladder.iter().find(|rung| rung["rung"] == name).unwrap()["says"].clone()
    };
    assert_eq!(rung("content"), "agrees");
    assert_eq!(rung("name"), "disagrees");
    assert_eq!(rung("behaviour"), "silent");
    assert!(err.contains("3 files, of them 2 programs"), "{err}");

    let path = tree.join("innocent");
    let mut child = Command::new(&path).arg("stay").stdin(Stdio::null()).spawn().unwrap();
    // Until it has become the program.
    let link = format!("/proc/{}/exe", child.id());
    while fs::read_link(&link).ok().as_deref() != Some(&*path) {
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::remove_file(&path).unwrap();
    let out = picket()
        .args(["identify", "--format", "json", "--config", place.config.to_str().unwrap()])
        .args(["--pid", &child.id().to_string()])
        .output()
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(answer["server"]["name"], "quirky", "its file is gone, its content is not");
}

/// Nothing that a package brought is a disguised server. `make corpus` asks 46,000 files more.
fn this_machine() {
    let out = picket()
        .args(["identify", "--format", "json", "/usr/bin", "/usr/sbin", "/usr/lib"])
        .output()
        .unwrap();
    let answers = String::from_utf8(out.stdout).unwrap();
    let answers: Vec<Value> =
        answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(!answers.is_empty(), "the servers of the tests are installed, and none was found");
    // What only its content calls a server is one under another name, or none.
    let by_content_only = |a: &&Value| {
        says(&a["server"], "content", true)
            && !says(&a["server"], "name", true)
            && !says(&a["server"], "path", true)
    };
    let found: Vec<String> = answers
        .iter()
        // A script with the code of a server is one.
        .filter(|a| !a["server"].is_null() && a["content"]["kind"] == "elf")
        // Debian calls php-cgi so, beside the command line php8.2 of /usr/bin.
        .filter(|a| !a["subject"].as_str().unwrap().starts_with("/usr/lib/cgi-bin/php"))
        .filter(by_content_only)
        .map(|a| format!("{} is called {}", a["subject"], a["server"]["name"]))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// It knows the texts of all servers, and must not be taken for one of them.
fn picket_is_none() {
    let out = picket()
        .args(["identify", "--format", "json", env!("CARGO_BIN_EXE_picket")])
        .output()
        .unwrap();
    let answer: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(answer["content"]["signs"], serde_json::json!([]));
    assert!(answer["server"].is_null());
}
