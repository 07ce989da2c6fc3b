//! Cgroups of every shape, as engines make them, in both versions.

use std::io::Write;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use super::{Tree, detection, hierarchy, start_in, watched};
use crate::harness::{free_port, shared};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        watched("root::workload::shapes_in_version_2", version_2),
        watched("root::workload::shapes_in_version_1", version_1),
        watched("root::workload::a_container_told_by_version_1_only", both),
        watched("root::workload::a_cgroup_that_is_too_deep_keeps_its_container", deep),
        watched("root::workload::a_cgroup_namespace_changes_nothing", namespace),
        watched("root::workload::a_unit_started_it", unit),
    ]
}

/// An id that no container has: tests at once have different ones.
fn id(number: usize) -> String {
    format!("{:08x}{:056x}", std::process::id(), number)
}

const POD: &str = "ac04f3f2-1f2c-11e8-b1e5-000af7a5d6c9";

struct Shape {
    path: String,
    runtime: &'static str,
    id: String,
    pod: Value,
    below: Value,
}

fn shapes(first: usize) -> Vec<Shape> {
    let own = format!("picket-test-{}-{first}", std::process::id());
    let pod_ = POD.replace('-', "_");
    let slice =
        format!("kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{pod_}.slice");
    let user = "user.slice/user-1000.slice/user@1000.service";
    let none = Value::Null;
    let pod = json!(POD);
    let templates: Vec<(String, &'static str, &Value, Value)> = vec![
        ("docker/ID".into(), "docker", &none, none.clone()),
        ("system.slice/docker-ID.scope".into(), "docker", &none, none.clone()),
        (format!("kubepods/burstable/pod{POD}/ID"), "containerd", &pod, none.clone()),
        (format!("{slice}/cri-containerd-ID.scope"), "containerd", &pod, none.clone()),
        (format!("kubepods-pod{pod_}.slice:cri-containerd:ID"), "containerd", &pod, none.clone()),
        (format!("{slice}/crio-ID.scope"), "cri-o", &pod, none.clone()),
        ("machine.slice/libpod-ID.scope/container".into(), "podman", &none, none.clone()),
        ("libpod_parent/libpod-ID".into(), "podman", &none, none.clone()),
        (format!("{user}/user.slice/libpod-ID.scope"), "podman", &none, json!("user@1000.service")),
        ("actions_job/ID".into(), "docker", &none, none.clone()),
        ("ecs/55091c13b8cf4801b527f4601742204d/ID".into(), "docker", &none, none.clone()),
    ];
    let mut shapes: Vec<Shape> = templates
        .into_iter()
        .zip(first..)
        .map(|((path, runtime, pod, below), number)| {
            let id = id(number);
            let path = path.replace("ID", &id);
            Shape { path, runtime, id, pod: pod.clone(), below }
        })
        .collect();
    let mut named = |path: &str, runtime: &'static str, id: &str| {
        let path = path.replace("NAME", &own).replace("ESCAPED", &own.replace('-', "\\x2d"));
        let (pod, below) = (Value::Null, Value::Null);
        shapes.push(Shape { path, runtime, id: id.to_owned(), pod, below });
    };
    named("lxc/NAME", "lxc", &own);
    named("lxc.payload.NAME", "lxc", &own);
    named("machine.slice/systemd-nspawn@ESCAPED.service/payload", "systemd-nspawn", &own);
    named("machine.slice/machine-ESCAPED.scope", "systemd-nspawn", &own);
    let build = format!("{:025}", std::process::id() as usize * 1000 + first);
    named(&format!("docker/buildkit/{build}"), "buildkit", &build);
    let (outer, inner) = (id(first + 900), id(first + 901));
    let below = json!(format!("docker {outer}"));
    let path = format!("docker/{outer}/docker/{inner}");
    shapes.push(Shape { path, runtime: "docker", id: inner, pod: none, below });
    shapes
}

/// A server in each: its detection says which container it is in.
fn all_shapes(mount: &std::path::Path, first: usize) {
    let sensor = shared();
    for shape in shapes(first) {
        let tree = Tree::new(mount, &shape.path);
        let port = free_port();
        let python = ["python3", "-m", "http.server", "--bind", "127.0.0.1", &port.to_string()];
        let server = start_in(&[&tree], &python);
        let found = detection(&sensor, port);
        assert_eq!(found["process"]["pid"], server.pid());
        assert_eq!(found["process"]["cgroup_path"], format!("/{}", shape.path));
        assert_eq!(found["process"]["cgroup_path_truncated"], false);
        let container = &found["container"];
        assert_eq!(container["id"], shape.id, "{}", shape.path);
        assert_eq!(container["runtime"], shape.runtime, "{}", shape.path);
        assert_eq!(container["pod_uid"], shape.pod, "{}", shape.path);
        assert_eq!(container["claimed_below"], shape.below, "{}", shape.path);
        // No engine is among its ancestors: the cgroup alone tells.
        let detail = found["launcher"]["detail"].as_str().unwrap();
        assert_eq!(found["launcher"]["kind"], "container", "{}: {detail}", shape.path);
        let short = shape.id.get(..12).filter(|_| shape.id.len() == 64).unwrap_or(&shape.id);
        assert!(detail.contains(&format!("{} container {short}", shape.runtime)), "{detail}");
    }
}

fn version_2() {
    all_shapes(&hierarchy(None).unwrap(), 0);
}

fn version_1() {
    match hierarchy(Some("pids")) {
        Some(mount) => all_shapes(&mount, 2000),
        None => not_tested("cgroups of version 1: there is no such hierarchy for pids"),
    }
}

/// A machine may lack what a test needs; that must not go unsaid.
fn not_tested(what: &str) {
    let _ = writeln!(std::io::stderr(), "NOT TESTED on this machine: {what}");
}

/// An engine of old, on a machine with both: version 2 knows the engine's service only.
fn both() {
    let Some(v1) = hierarchy(Some("pids")) else {
        return not_tested("machines with both versions of cgroups: this is none");
    };
    let v2 = Tree::new(&hierarchy(None).unwrap(), "system.slice/containerd.service");
    let path = format!("docker/{}", id(4000));
    let v1 = Tree::new(&v1, &path);
    let port = free_port();
    let port_text = port.to_string();
    let python = ["python3", "-m", "http.server", "--bind", "127.0.0.1", &port_text];
    let _server = start_in(&[&v2, &v1], &python);
    let found = detection(&shared(), port);
    assert_eq!(found["process"]["cgroup_path"], "/system.slice/containerd.service");
    assert_eq!(found["process"]["cgroup_v1_path"], format!("/{path}"));
    assert_eq!(found["container"]["id"], id(4000));
    assert_eq!(found["launcher"]["unit"], Value::Null);
}

/// Whoever is in a container can make cgroups below it: those at the root are kept.
fn deep() {
    let mount = hierarchy(None).unwrap();
    let path = format!("docker/{}", id(5000));
    let _top = Tree::new(&mount, &path);
    let deep = Tree::new(&mount, &format!("{path}{}", "/deep".repeat(60)));
    let port = free_port();
    let port_text = port.to_string();
    let python = ["python3", "-m", "http.server", "--bind", "127.0.0.1", &port_text];
    let _server = start_in(&[&deep], &python);
    let found = detection(&shared(), port);
    assert_eq!(found["process"]["cgroup_path"], format!("/{path}{}", "/deep".repeat(18)));
    assert_eq!(found["process"]["cgroup_path_truncated"], true);
    assert_eq!(found["container"]["id"], id(5000));
    assert_eq!(found["container"]["claimed_below"], Value::Null);
}

fn namespace() {
    let path = format!("docker/{}", id(6000));
    let tree = Tree::new(&hierarchy(None).unwrap(), &path);
    let port = free_port();
    let port_text = port.to_string();
    let python = ["python3", "-m", "http.server", "--bind", "127.0.0.1", &port_text];
    let server = start_in(&[&tree], &[&["unshare", "--cgroup"], &python[..]].concat());
    let found = detection(&shared(), port);
    let pid = server.pid();
    let own = std::fs::read_link(format!("/proc/{pid}/ns/cgroup")).unwrap();
    assert_ne!(own, std::fs::read_link("/proc/self/ns/cgroup").unwrap(), "no namespace of its own");
    assert_eq!(found["process"]["cgroup_path"], format!("/{path}"));
    assert_eq!(found["container"]["id"], id(6000));
}

/// No systemd runs here: a shell is called so. Its cgroup is a service's, and systemd starts those.
fn unit() {
    let dir = super::place();
    let systemd = dir.path().join("systemd");
    std::os::unix::fs::symlink("/bin/sh", &systemd).unwrap();
    let service = format!("picket-test-{}.service", std::process::id());
    let tree = Tree::new(&hierarchy(None).unwrap(), &format!("system.slice/{service}"));
    let start = |command: &str, port: u16| {
        let command = command.replace("PYTHON", "python3 -m http.server --bind 127.0.0.1");
        let command = command.replace("PORT", &port.to_string());
        start_in(&[&tree], &[systemd.to_str().unwrap(), "-c", &command])
    };
    // The service's program itself; a script of it; a program that it started in between.
    for (command, through) in [
        ("PYTHON PORT; exit $?", ""),
        ("sh -c 'PYTHON PORT; exit $?'; exit $?", "via sh ("),
        ("timeout --foreground 600 PYTHON PORT; exit $?", "through timeout ("),
    ] {
        let port = free_port();
        let _manager = start(command, port);
        let found = detection(&shared(), port);
        assert_eq!(found["launcher"]["kind"], "systemd", "{found:#}");
        assert_eq!(found["launcher"]["unit"], *service);
        let detail = found["launcher"]["detail"].as_str().unwrap();
        assert!(detail.starts_with(&format!("systemd unit {service}")), "{detail}");
        assert!(detail.contains(through), "{detail}");
        assert_eq!(found["container"], Value::Null);
    }
}
