//! What is expected here: real servers that are new, accepted, expected, changed and upgraded.

mod cli;
mod state;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::Trial;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Group, Sensor, copy_program, free_port, picket, trial};

pub(crate) fn trials() -> Vec<Trial> {
    let own = vec![
        trial("root::baseline::new_then_accepted_then_expected_then_changed", accepted),
        trial("root::baseline::an_interpreter_is_what_it_runs", interpreter),
        trial("root::baseline::an_upgrade_of_a_package_is_expected", upgrade),
        trial("root::baseline::learning_tells_everything", learning),
        trial("root::baseline::an_exception_is_told_quietly_and_counted", exception),
    ];
    [own, cli::trials(), state::trials()].into_iter().flatten().collect()
}

/// A place that not anyone may write to, with a configuration that keeps all there.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(more: &str) -> Self {
        let place = Self {
            dir: tempfile::Builder::new().prefix("baseline").tempdir_in("/var/lib").unwrap(),
        };
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(place.dir.path(), open).unwrap();
        let config = format!(
            "baseline: {}\nstate: {}\n{more}",
            place.path("baseline.yaml").display(),
            place.path("state").display()
        );
        fs::write(place.path("config.yaml"), config).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes an nginx of this place's own: other tests start theirs meanwhile.
    fn nginx(&self) {
        let nginx = self.path("nginx");
        copy_program("/usr/sbin/nginx", &nginx, "755");
        let mut append = Command::new("sh");
        append.args(["-c", "printf %s \"$0\" >> \"$0\""]).arg(&nginx);
        assert!(append.status().unwrap().success());
        let conf = configuration(self.dir.path(), free_port());
        fs::write(self.path("nginx.conf"), conf).unwrap();
    }

    fn sensor(&self) -> Sensor {
        let config = self.path("config.yaml");
        let config = config.to_str().unwrap();
        let args = ["run", "--format", "json", "--severity", "info", "--environment", "production"];
        let (sensor, line) = Sensor::start_anyhow(&[&args[..], &["--config", config]].concat());
        assert_eq!(line, "picket: watching, coverage full", "{}", sensor.log());
        sensor
    }

    /// Runs `picket baseline` with these arguments; it must succeed.
    fn baseline(&self, args: &[&str]) -> String {
        let (code, out, err) = self.try_baseline(args);
        assert_eq!(code, Some(0), "{args:?}: {err}");
        out
    }

    fn try_baseline(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command = picket();
        command.arg("baseline").args(args).arg("--config").arg(self.path("config.yaml"));
        let out = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (out.status.code(), text(out.stdout), text(out.stderr))
    }

    /// Somebody accepts a detection out of the records, and the running picket reads that.
    fn accept(&self, sensor: &Sensor, detection: &Value) {
        let records: String = sensor.records().iter().map(|r| format!("{r}\n")).collect();
        let from = self.path("records.jsonl");
        fs::write(&from, records).unwrap();
        let id = detection["id"].as_str().unwrap();
        let from = from.to_str().unwrap();
        self.baseline(&["accept", id, "--by", "x", "--why", "y", "--from", from]);
        sensor.signal(Signal::HUP);
        sensor.barrier();
    }

    /// Starts this place's nginx, waits for its detection, and ends it.
    fn start(&self, sensor: &Sensor) -> Value {
        let mut command = Command::new(self.path("nginx"));
        command.arg("-p").arg(self.dir.path()).arg("-c").arg(self.path("nginx.conf"));
        start(sensor, command.stderr(Stdio::null()))
    }
}

/// A configuration with which nginx stays in the foreground and writes below its directory only.
fn configuration(dir: &Path, port: u16) -> String {
    format!(
        "daemon off;\nmaster_process off;\nerror_log stderr;\npid {0}/pid;\nevents {{}}\n\
         http {{ access_log off; client_body_temp_path {0}/b; proxy_temp_path {0}/p;\n\
         fastcgi_temp_path {0}/f; uwsgi_temp_path {0}/u; scgi_temp_path {0}/s;\n\
         server {{ listen 127.0.0.1:{port}; }} }}\n",
        dir.display()
    )
}

/// Starts a server, waits for its detection, and ends it. On a machine that is so busy that its file
/// is not read in time nothing but its name is known; then it is started again.
fn start(sensor: &Sensor, command: &mut Command) -> Value {
    for _ in 0..5 {
        let group = Group::start(command);
        let pid = group.child.id();
        let found = sensor.wait_for("the server", |r| {
            r["type"] == "detection" && r["process"]["pid"] == pid && r["recipe"]["name"] == EXEC
        });
        if !found["process"]["exe"]["sha256"].is_null() {
            return found;
        }
    }
    panic!("its file is never read: {}", sensor.log());
}

const EXEC: &str = "webserver_exec";

fn status(record: &Value) -> &str {
    record["baseline"]["status"].as_str().unwrap_or_else(|| panic!("no baseline: {record:#}"))
}

fn reasons(record: &Value) -> String {
    record["reasons"].to_string()
}

#[track_caller]
fn is(record: &Value, expected: &str, words: &str) {
    assert_eq!(status(record), expected, "{}", record["reasons"]);
    assert!(reasons(record).contains(words), "expected {words:?} in {}", record["reasons"]);
}

/// Makes a file another one.
fn change(path: &Path) {
    // What still runs cannot be written to; a copy takes its place.
    let copy = path.with_extension("copy");
    copy_program(path, &copy, "755");
    let mut append = Command::new("sh");
    append.args(["-c", "echo >> \"$0\" && mv \"$0\" \"$1\""]).arg(&copy).arg(path);
    assert!(append.status().unwrap().success());
}

fn accepted() {
    let place = Place::new("");
    place.nginx();
    let sensor = place.sensor();
    let first = place.start(&sensor);
    is(&first, "new", "new here: never run before");
    assert_eq!(first["baseline"]["seen"], 0);
    let severity = first["severity"].clone();
    let second = place.start(&sensor);
    is(&second, "new", "accepted by nobody, and seen 1 times before");
    assert_eq!(second["baseline"]["seen"], 1);
    let (code, _, log) = sensor.stop();
    assert_eq!(code, Some(0), "{log}");

    // What was seen outlives picket.
    let key = first["baseline"]["key"].as_str().unwrap();
    let shown = place.baseline(&["show", "--format", "text"]);
    assert!(shown.contains(key) && shown.contains("seen 2 times"), "{shown}");
    let by = ["--by", "Jane Doe", "--why", "a test: \"it\" is\nours \u{202e}"];
    place.baseline(&[&["accept", key][..], &by].concat());
    let text = fs::read_to_string(place.path("baseline.yaml")).unwrap();
    assert!(text.contains("by: \"Jane Doe\"") && !text.contains('\u{202e}'), "{text}");
    let shown = place.baseline(&["show", "--format", "json"]);
    let entry: Value = serde_json::from_str(shown.lines().next().unwrap()).unwrap();
    assert_eq!(entry["type"], "baseline-entry");
    assert_eq!(entry["seen"], 2);
    let again = place.baseline(&[&["accept", key][..], &by].concat());
    assert!(again.starts_with("renewed ") && again.ends_with(": 1 entries\n"), "{again}");

    let sensor = place.sensor();
    let third = place.start(&sensor);
    is(&third, "expected", "expected here: accepted by Jane Doe on ");
    assert_eq!(third["severity"], "info");
    assert_eq!(third["baseline"]["seen"], 2);
    change(&place.path("nginx"));
    let changed = place.start(&sensor);
    is(&changed, "new", "the file is not the one that was accepted");
    assert_eq!(changed["severity"], severity);
    // Somebody accepts what the running picket wrote, and picket reads that.
    place.accept(&sensor, &changed);
    is(&place.start(&sensor), "expected", "accepted by x on ");
    // A file that is broken changes nothing.
    fs::write(place.path("baseline.yaml"), "accepted: 7\n").unwrap();
    sensor.signal(Signal::HUP);
    sensor.barrier();
    is(&place.start(&sensor), "expected", "accepted by x on ");
    let log = sensor.log();
    assert!(log.contains("baseline.yaml:1:") && log.contains("stays as it was"), "{log}");
}

fn interpreter() {
    let place = Place::new("");
    let port = free_port();
    let sensor = place.sensor();
    let module = |port: u16| {
        let mut command = Command::new("python3");
        let args =
            ["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()].map(str::to_owned);
        command.args(args).current_dir(place.dir.path()).stderr(Stdio::null());
        command
    };
    let first = start(&sensor, &mut module(port));
    is(&first, "new", "new here");
    place.accept(&sensor, &first);
    is(&start(&sensor, &mut module(port)), "expected", "accepted by x on ");
    // python3 is the same file, and what it runs is not.
    let other = start(&sensor, &mut module(free_port()));
    is(&other, "new", "its arguments, which are what it runs, are not those that were accepted");
}

/// A root directory with an nginx that dpkg installed, in two versions.
struct Chroot<'p> {
    place: &'p Place,
    root: PathBuf,
}

impl<'p> Chroot<'p> {
    fn new(place: &'p Place) -> Self {
        let root = place.path("root");
        for dir in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "usr/sbin", "etc", "tmp", "dev"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        for (file, text) in [
            ("var/lib/dpkg/status", ""),
            ("var/lib/dpkg/available", ""),
            ("etc/passwd", "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"),
            ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
        ] {
            fs::write(root.join(file), text).unwrap();
        }
        // The libraries that it needs, where its loader looks for them.
        let ldd = Command::new("ldd").arg("/usr/sbin/nginx").output().unwrap();
        let text = String::from_utf8(ldd.stdout).unwrap();
        for word in text.split_whitespace().filter(|word| word.starts_with('/')) {
            let to = root.join(&word[1..]);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(word, to).unwrap();
        }
        let conf = configuration(Path::new("/tmp"), free_port());
        fs::write(root.join("nginx.conf"), conf).unwrap();
        Self { place, root }
    }

    /// Has dpkg install a version of the package, whose program is another file each time.
    fn install(&self, version: &str) {
        let tree = self.place.path(&format!("tree-{version}"));
        fs::create_dir_all(tree.join("usr/sbin")).unwrap();
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        let program = tree.join("usr/sbin/nginx");
        copy_program("/usr/sbin/nginx", &program, "755");
        OpenOptions::new()
            .append(true)
            .open(&program)
            .unwrap()
            .write_all(version.as_bytes())
            .unwrap();
        let control = format!(
            "Package: picket-nginx\nVersion: {version}\nArchitecture: all\nMaintainer: t <t@t>\n\
             Description: t\n"
        );
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        let sums =
            Command::new("md5sum").arg("usr/sbin/nginx").current_dir(&tree).output().unwrap();
        fs::write(tree.join("DEBIAN/md5sums"), sums.stdout).unwrap();
        let deb = self.place.path("picket-nginx.deb");
        let mut build = Command::new("dpkg-deb");
        build.arg("--root-owner-group").arg("--build").arg(&tree).arg(&deb);
        assert!(build.output().unwrap().status.success());
        let mut dpkg = Command::new("dpkg");
        dpkg.arg("--root").arg(&self.root).arg("--install").arg(&deb);
        let out = dpkg.output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }

    fn start(&self, sensor: &Sensor) -> Value {
        let mut command = Command::new("chroot");
        command.arg(&self.root).args(["/usr/sbin/nginx", "-c", "/nginx.conf"]);
        let found = start(sensor, command.stderr(Stdio::null()));
        assert_eq!(found["process"]["exe"]["path"], "/usr/sbin/nginx");
        found
    }
}

fn upgrade() {
    let place = Place::new("");
    let chroot = Chroot::new(&place);
    chroot.install("1.0-1");
    let sensor = place.sensor();
    let first = chroot.start(&sensor);
    is(&first, "new", "new here");
    assert_eq!(first["process"]["exe"]["package"], "picket-nginx 1.0-1");
    assert_eq!(first["process"]["exe"]["intact"], true);
    place.accept(&sensor, &first);
    is(&chroot.start(&sensor), "expected", "expected here: accepted by x");
    chroot.install("2.0-1");
    let upgraded = chroot.start(&sensor);
    is(&upgraded, "expected", "upgrade of picket-nginx from 1.0-1 to 2.0-1");
    assert_eq!(upgraded["severity"], "info");
    // The same path, and the package does not know this file.
    change(&chroot.root.join("usr/sbin/nginx"));
    let changed = chroot.start(&sensor);
    is(&changed, "new", "the file is not the one that was accepted");
    assert_eq!(changed["process"]["exe"]["intact"], false);
}

fn learning() {
    let place = Place::new("baseline_learning: 1d\n");
    place.nginx();
    let sensor = place.sensor();
    let first = place.start(&sensor);
    is(&first, "learning", "learning until ");
    assert_ne!(first["severity"], "info");
    let (_, _, log) = sensor.stop();
    assert!(log.contains("learning until "), "{log}");
    let shown = place.baseline(&["show", "--format", "text"]);
    assert!(shown.contains("learning since "), "{shown}");
    // It goes on where it was, and does not begin again.
    let until = |log: &str| log.split("learning until ").nth(1).unwrap()[..30].to_owned();
    let sensor = place.sensor();
    place.start(&sensor);
    let (_, _, later) = sensor.stop();
    assert_eq!(until(&log), until(&later));
    // Once it has ended, what was only learned is not expected.
    let config = fs::read_to_string(place.path("config.yaml")).unwrap();
    fs::write(place.path("config.yaml"), config.replace("1d", "1s")).unwrap();
    let sensor = place.sensor();
    is(&place.start(&sensor), "new", "accepted by nobody, and seen 2 times before");
    let (_, _, log) = sensor.stop();
    assert!(log.contains("learning has ended, "), "{log}");
    // Unless that was asked for.
    let config = fs::read_to_string(place.path("config.yaml")).unwrap();
    fs::write(place.path("config.yaml"), format!("{config}baseline_learned: expect\n")).unwrap();
    let sensor = place.sensor();
    is(&place.start(&sensor), "expected", "learned and accepted by nobody");
}

fn exception() {
    let place = Place::new("");
    place.nginx();
    let sum = Command::new("sha256sum").arg(place.path("nginx")).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap()[..64].to_owned();
    let day = Command::new("date").args(["-u", "-d", "+30 days", "+%F"]).output().unwrap();
    let day = String::from_utf8(day.stdout).unwrap();
    let text = format!(
        "exceptions:\n  - name: ours\n    recipe: webserver_exec\n    reason: a test\n    by: Jane\n    \
         until: {}\n    where: {{sha256: [{sum}], arguments: [\"**/nginx.conf\"]}}\n",
        day.trim()
    );
    let path = place.path("exceptions.yaml");
    fs::write(&path, text).unwrap();
    let config = fs::read_to_string(place.path("config.yaml")).unwrap();
    let config = format!("{config}exceptions: [{}]\n", path.display());
    fs::write(place.path("config.yaml"), config).unwrap();
    assert_eq!(place.baseline(&["check"]), "0 accepted entries and 1 exceptions are in order\n");
    let sensor = place.sensor();
    for _ in 0..2 {
        let found = place.start(&sensor);
        is(&found, "new", "exception ours of Jane, until ");
        assert_eq!(found["severity"], "info");
    }
    change(&place.path("nginx"));
    let changed = place.start(&sensor);
    assert!(!reasons(&changed).contains("exception"), "{changed:#}");
    assert_ne!(changed["severity"], "info");
    sensor.stop();
    let shown = place.baseline(&["show", "--format", "text"]);
    assert!(shown.contains("ours for webserver_exec") && shown.contains("used 2 times"), "{shown}");
}
