//! Real containers, by every engine of Debian's that runs here, and the names that they tell later.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{
    Session, Tree, detection, hierarchy, place, run, start_in, string, wait_until, watched,
};
use crate::harness::{Sensor, free_port, shared};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        watched("root::workload::runc_as_kubernetes_calls_it", runc),
        watched("root::workload::docker_with_its_names", docker),
        watched("root::workload::podman_with_its_names", podman),
        watched("root::workload::podman_with_names_from_its_socket", podman_socket),
        watched("root::workload::lxc", lxc),
        watched("root::workload::systemd_nspawn", nspawn),
        watched("root::workload::names_can_be_turned_off", no_names),
        watched("root::workload::an_engine_that_hangs_or_floods_holds_nothing_up", hostile_engines),
    ]
}

/// The root of a container: busybox and nothing else. busybox has a web server.
fn rootfs(dir: &Path) -> String {
    let root = dir.join("rootfs");
    for name in ["bin", "dev", "etc", "proc", "run", "sys", "tmp", "usr", "var"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
    for name in ["sh", "httpd"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    fs::write(root.join("etc/os-release"), "ID=picket-test\n").unwrap();
    string(&root)
}

/// Its web server.
fn httpd(port: u16) -> [String; 4] {
    ["/bin/httpd".into(), "-f".into(), "-p".into(), format!("127.0.0.1:{port}")]
}

fn name(kind: &str) -> String {
    format!("picket-test-{kind}-{}", std::process::id())
}

#[track_caller]
fn is_in(found: &Value, runtime: &str, id: &str) {
    assert_eq!(found["server"]["name"], "busybox-httpd");
    let container = &found["container"];
    assert_eq!((&container["runtime"], &container["id"]), (&json!(runtime), &json!(id)));
    assert_eq!(container["claimed_below"], Value::Null);
    let launcher = &found["launcher"];
    assert_eq!(launcher["kind"], "container", "{found:#}");
    let short = if id.len() == 64 { &id[..12] } else { id };
    let detail = launcher["detail"].as_str().unwrap();
    assert!(detail.starts_with(&format!("{runtime} container {short}")), "{detail}");
}

/// A sensor that asks these places for names, and no others.
fn asking(dir: &Path, sockets: &[&str], directories: &[&str]) -> Sensor {
    let config = dir.join(format!("config-{}.yaml", sockets.len()));
    let text = json!({"runtime_sockets": sockets, "runtime_directories": directories});
    fs::write(&config, text.to_string()).unwrap();
    // picket's own user may ask, as it could by a group.
    for socket in sockets {
        fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).unwrap();
    }
    Sensor::start(&["run", "--format", "json", "--config", config.to_str().unwrap()])
}

/// The update that tells how a container is called.
fn names(sensor: &Sensor, detection: &Value) -> Value {
    sensor.wait_for("the names of a container", |r| {
        r["type"] == "update"
            && r["id"] == detection["id"]
            && !(r["container"]["image"].is_null() && r["container"]["name"].is_null())
    })
}

/// Undoes what an engine keeps, whatever happens.
struct Undo(Vec<String>);

impl Undo {
    fn new(words: &[&str]) -> Self {
        Self(words.iter().map(|word| (*word).to_owned()).collect())
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        let mut command = Command::new("timeout");
        let _ = command.args(["-k", "5", "60"]).args(&self.0).output();
    }
}

fn runc() {
    let dir = place();
    rootfs(dir.path());
    let port = free_port();
    let bundle = string(dir.path());
    run(&["runc", "spec", "--bundle", &bundle]);
    let file = dir.path().join("config.json");
    let mut spec: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let id = format!("{:016x}{}", std::process::id(), "ab".repeat(24));
    let pod = "ac04f3f2-1f2c-11e8-b1e5-000af7a5d6c9";
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(httpd(port));
    spec["process"]["rlimits"] = json!([]);
    spec["linux"]["cgroupsPath"] = json!(format!("/kubepods/burstable/pod{pod}/{id}"));
    let spaces = spec["linux"]["namespaces"].as_array_mut().unwrap();
    spaces.retain(|space| space["type"] != "network");
    fs::write(&file, spec.to_string()).unwrap();
    let _trees = Tree::of_engine("kubepods");
    let (state, name) = (string(&dir.path().join("state")), name("runc"));
    let _runc = Session::start(&["runc", "--root", &state, "run", "--bundle", &bundle, &name]);
    let _undo = Undo::new(&["runc", "--root", &state, "delete", "--force", &name]);
    let found = detection(&shared(), port);
    is_in(&found, "containerd", &id);
    assert_eq!(found["container"]["pod_uid"], pod);
}

fn docker() {
    let dir = place();
    let root = rootfs(dir.path());
    let at = |name: &str| string(&dir.path().join(name));
    let socket = at("docker.sock");
    let _trees = Tree::of_engine("docker");
    let _daemon = Session::start_with(
        Command::new("setsid")
            // What it mounts goes when it does.
            .args(["unshare", "--mount", "dockerd"])
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
            .args(["--storage-driver=vfs", "--exec-opt=native.cgroupdriver=cgroupfs"])
            .args(["--data-root", &at("data"), "--exec-root", &at("exec")])
            .args(["--pidfile", &at("pid"), "--host", &format!("unix://{socket}")])
            .stderr(fs::File::create(dir.path().join("log")).unwrap()),
    );
    let host = format!("--host=unix://{socket}");
    let docker = |words: &[&str]| run(&[&["/usr/bin/docker", &host], words].concat());
    wait_until("dockerd", || {
        let mut version = Command::new("/usr/bin/docker");
        version.args([&host, "version"]).output().is_ok_and(|out| out.status.success())
    });
    let archive = at("rootfs.tar");
    run(&["tar", "-C", &root, "-cf", &archive, "."]);
    docker(&["import", &archive, "picket-test:7"]);
    let sensor = asking(dir.path(), &[&socket], &[]);
    let (port, name) = (free_port(), name("docker"));
    let _undo = Undo::new(&["/usr/bin/docker", &host, "rm", "--force", &name]);
    let run = ["run", "--detach", "--network=host", "--name", &name, "picket-test:7"];
    let command = httpd(port);
    let id = docker(&[&run[..], &command.each_ref().map(String::as_str)].concat());
    let found = detection(&sensor, port);
    is_in(&found, "docker", &id);
    assert_eq!(found["container"]["image"], Value::Null, "the detection waits for no engine");
    let update = names(&sensor, &found);
    assert_eq!(update["container"]["image"], "picket-test:7");
    assert_eq!(update["container"]["name"], *name);
    assert_eq!(update["container"]["id"], *id);
    let reason = update["reasons"][0].as_str().unwrap();
    assert!(reason.ends_with(&format!("image picket-test:7, named {name}")), "{reason}");

    // Somebody starts one more in it: an interactive shell would be told as such, this is none.
    let port = free_port();
    let command = httpd(port);
    docker(&[&["exec", "--detach", &name], &command.each_ref().map(String::as_str)[..]].concat());
    let found = detection(&sensor, port);
    is_in(&found, "docker", &id);
    assert_eq!(names(&sensor, &found)["container"]["name"], *name);
}

/// What podman is told each time, to keep to a place of its own.
fn podman_at(dir: &Path) -> Vec<String> {
    let at = |name: &str| string(&dir.join(name));
    // crun says here: "cgroups in hybrid mode not supported".
    ["podman", "--runtime", "/usr/sbin/runc", "--storage-driver=vfs", "--cgroup-manager=cgroupfs"]
        .map(str::to_owned)
        .into_iter()
        .chain(["--root".into(), at("root"), "--runroot".into(), at("runroot")])
        .chain(["--tmpdir".into(), at("tmp")])
        .collect()
}

struct Podman {
    words: Vec<String>,
}

impl Podman {
    fn new(dir: &Path) -> Self {
        let podman = Self { words: podman_at(dir) };
        let archive = string(&dir.join("rootfs.tar"));
        run(&["tar", "-C", &rootfs(dir), "-cf", &archive, "."]);
        podman.run(&["import", &archive, "picket-test:7"]);
        podman
    }

    fn all<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        self.words.iter().map(String::as_str).chain(words.iter().copied()).collect()
    }

    fn run(&self, words: &[&str]) -> String {
        run(&self.all(words))
    }

    fn undo(&self, words: &[&str]) -> Undo {
        Undo::new(&self.all(words))
    }

    /// Starts a web server in a container; returns its id.
    fn serve(&self, more: &[&str], port: u16) -> String {
        let command = httpd(port);
        // Limits that need no privilege of raising them.
        let limits = ["run", "--detach", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
        let image = ["--pull=never", "picket-test:7"];
        let command = command.each_ref().map(String::as_str);
        self.run(&[&limits[..], more, &image, &command].concat())
    }
}

fn podman() {
    let dir = place();
    let podman = Podman::new(dir.path());
    let _trees = Tree::of_engine("libpod_parent");
    let root = string(&dir.path().join("root"));
    let sensor = asking(dir.path(), &[], &[&root]);
    let (port, name) = (free_port(), name("podman"));
    let _undo = podman.undo(&["rm", "--force", "--time=0", &name]);
    let id = podman.serve(&["--network=host", "--name", &name], port);
    let found = detection(&sensor, port);
    is_in(&found, "podman", &id);
    let update = names(&sensor, &found);
    assert_eq!(update["container"]["image"], "localhost/picket-test:7");
    assert_eq!(update["container"]["name"], *name);
}

fn podman_socket() {
    let dir = place();
    let podman = Podman::new(dir.path());
    let _trees = Tree::of_engine("libpod_parent");
    let socket = string(&dir.path().join("podman.sock"));
    let address = format!("unix://{socket}");
    let service = podman.all(&["system", "service", "--time=0", &address]);
    let _service = Session::start(&service);
    wait_until("podman's service", || Path::new(&socket).exists());
    let sensor = asking(dir.path(), &[&socket], &[]);
    let (port, name) = (free_port(), name("socket"));
    let _undo = podman.undo(&["rm", "--force", "--time=0", &name]);
    let id = podman.serve(&["--network=host", "--name", &name], port);
    let found = detection(&sensor, port);
    is_in(&found, "podman", &id);
    let update = names(&sensor, &found);
    assert_eq!(update["container"]["image"], "localhost/picket-test:7");
    assert_eq!(update["container"]["name"], *name);
}

fn lxc() {
    let dir = place();
    let root = rootfs(dir.path());
    let (port, name) = (free_port(), name("lxc"));
    let own = dir.path().join(&name);
    fs::create_dir(&own).unwrap();
    let config = format!(
        "lxc.uts.name = web\nlxc.rootfs.path = dir:{root}\nlxc.net.0.type = none\n\
         lxc.apparmor.profile = unconfined\nlxc.init.cmd = {}\n",
        httpd(port).join(" ")
    );
    fs::write(own.join("config"), config).unwrap();
    let path = string(dir.path());
    let _trees = [format!("lxc.payload.{name}"), format!("lxc.monitor.{name}"), "lxc.pivot".into()]
        .map(|path| Tree::of_engine(&path));
    let _lxc = Session::start(&["lxc-start", "-F", "-P", &path, "-n", &name]);
    let _undo = Undo::new(&["lxc-stop", "--kill", "-P", &path, "-n", &name]);
    let found = detection(&shared(), port);
    is_in(&found, "lxc", &name);
}

/// Without systemd nobody gives it a unit: it is started in the cgroup of one.
fn nspawn() {
    let dir = place();
    let root = rootfs(dir.path());
    let (port, name) = (free_port(), name("nspawn"));
    let unit = format!("machine.slice/systemd-nspawn@{}.service", name.replace('-', "\\x2d"));
    // It makes the same in systemd's hierarchy, where there is one.
    let _trees = Tree::of_engine(&unit);
    let tree = Tree::new(&hierarchy(None).unwrap(), &unit);
    let command = httpd(port);
    let nspawn = ["systemd-nspawn", "--register=no", "--keep-unit", "-q", "--as-pid2", "-D"];
    let words = [&nspawn[..], &[&root, "-M", &name], &command.each_ref().map(String::as_str)];
    let _nspawn = start_in(&[&tree], &words.concat());
    let found = detection(&shared(), port);
    is_in(&found, "systemd-nspawn", &name);
    assert_eq!(found["process"]["cgroup_path"], format!("/{unit}/payload"));
}

/// Files that would tell, and nobody looks at.
fn no_names() {
    let dir = place();
    let id = format!("{:016x}{}", std::process::id(), "cd".repeat(24));
    let bundle = dir.path().join("tasks/default").join(&id);
    fs::create_dir_all(&bundle).unwrap();
    fs::write(bundle.join("config.json"), r#"{"annotations": {"nerdctl/name": "web"}}"#).unwrap();
    let tasks = string(&dir.path().join("tasks"));
    let with = asking(dir.path(), &[], &[&tasks]);
    let config = dir.path().join("off.yaml");
    let text = json!({"runtime_names": false, "runtime_directories": [tasks]});
    fs::write(&config, text.to_string()).unwrap();
    let without = Sensor::start(&["run", "--format", "json", "--config", config.to_str().unwrap()]);
    let tree = Tree::new(&hierarchy(None).unwrap(), &format!("default/{id}"));
    let port = free_port();
    let port_text = port.to_string();
    let python = ["python3", "-m", "http.server", "--bind", "127.0.0.1", &port_text];
    let _server = start_in(&[&tree], &python);
    let found = detection(&with, port);
    assert_eq!(names(&with, &found)["container"]["name"], "web");
    let found = detection(&without, port);
    assert_eq!(found["container"]["id"], *id);
    without.barrier();
    let named = |r: &Value| r["type"] == "update" && !r["container"]["name"].is_null();
    assert!(!without.records().iter().any(named));
}

/// One engine takes the question and says nothing, the next never stops talking.
fn hostile_engines() {
    let dir = place();
    let silent = dir.path().join("silent.sock");
    let _silent = UnixListener::bind(&silent).unwrap();
    let endless = dir.path().join("endless.sock");
    let listener = UnixListener::bind(&endless).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n{\"Id\": \"");
            while stream.write_all(&[b'a'; 65536]).is_ok() {}
        }
    });
    let sensor = asking(dir.path(), &[&string(&silent), &string(&endless)], &[]);
    let id = format!("{:016x}{}", std::process::id(), "ef".repeat(24));
    let tree = Tree::new(&hierarchy(None).unwrap(), &format!("docker/{id}"));
    let port = free_port();
    let port_text = port.to_string();
    let python = ["python3", "-m", "http.server", "--bind", "127.0.0.1", &port_text];
    let _server = start_in(&[&tree], &python);
    let found = detection(&sensor, port);
    assert_eq!(found["container"]["id"], *id);
    // Whatever happens next is still seen, and the end does not wait for any engine.
    sensor.barrier();
    let memory = fs::read_to_string(format!("/proc/{}/status", sensor.pid())).unwrap();
    let peak = memory.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 400_000, "{peak} kB of memory");
    let (code, records, _) = sensor.stop();
    assert_eq!(code, Some(0));
    let named = |r: &Value| r["type"] == "update" && !r["container"]["name"].is_null();
    assert!(!records.iter().any(named));
}
