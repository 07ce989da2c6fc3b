//! Every shape, with whom it is from.

use super::*;

const A: &str = "3726184226f5d3147c25fdeab5b60097e378e8a720503a5e19ecfb8a1d2c3f40";
const B: &str = "9ec39b91f3d70e1beff50a308f77067065ea6be0d91a3378375056cd4422cf3d";
const POD: &str = "ac04f3f2-1f2c-11e8-b1e5-000af7a5d6c9";

fn filled(path: &str) -> String {
    path.replace("{A}", A)
        .replace("{B}", B)
        .replace("{POD_}", &POD.replace('-', "_"))
        .replace("{POD}", POD)
}

fn container(path: &str) -> Option<Container> {
    parse(&filled(path)).container
}

#[track_caller]
fn is(path: &str, runtime: &str, id: &str) -> Container {
    let found = container(path).unwrap_or_else(|| panic!("no container in {path}"));
    assert_eq!((&*found.runtime, &*found.id), (runtime, &*filled(id)), "{path}");
    found
}

#[track_caller]
fn is_none(path: &str) {
    assert_eq!(container(path), None, "{path}");
}

#[test]
fn docker() {
    // dockerd with the driver cgroupfs, and with systemd.
    for path in ["/docker/{A}", "/system.slice/docker-{A}.scope"] {
        let found = is(path, "docker", "{A}");
        assert_eq!((found.pod_uid, found.claimed_below, found.outer), (None, None, vec![]));
    }
    // A parent of its own in daemon.json; Docker CE on some systems; an old one in no parent at all.
    is("/docker-ce/docker/{A}", "docker", "{A}");
    is("/limits.slice/docker-{A}.scope", "docker", "{A}");
    is("/machines/{A}", "unknown", "{A}");
    is("/{A}", "unknown", "{A}");
    // An init system in the container makes cgroups below it.
    is("/docker/{A}/init.scope", "docker", "{A}");
    is("/docker/{A}/system.slice/nginx.service", "docker", "{A}");
}

#[test]
fn docker_in_docker() {
    let found = is("/docker/{A}/docker/{B}", "docker", "{B}");
    assert_eq!(found.outer, [format!("docker {A}")]);
    assert_eq!(found.claimed_below, Some(format!("docker {A}")));
    // kind: a node of Kubernetes is a container.
    let kind = "/docker/{A}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/\
                kubelet-kubepods-besteffort-pod{POD_}.slice/cri-containerd-{B}.scope";
    let found = is(kind, "containerd", "{B}");
    assert_eq!(found.pod_uid.as_deref(), Some(POD));
    assert_eq!(found.outer, [format!("docker {A}")]);
    // A container of no engine that is known, where the container's root can make any name.
    is("/docker/{A}/{B}", "docker", "{A}");
}

#[test]
fn containerd_and_kubernetes() {
    // kubelet with the driver cgroupfs, for the three classes of service.
    for path in [
        "/kubepods/burstable/pod{POD}/{A}",
        "/kubepods/besteffort/pod{POD}/{A}",
        "/kubepods/pod{POD}/{A}",
    ] {
        assert_eq!(is(path, "containerd", "{A}").pod_uid.as_deref(), Some(POD), "{path}");
    }
    // With systemd.
    for path in [
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD_}.slice/\
         cri-containerd-{A}.scope",
        "/kubepods.slice/kubepods-pod{POD_}.slice/cri-containerd-{A}.scope",
        // kubelet says systemd, containerd does not: the name of a scope becomes a directory's.
        "/kubepods.slice/kubepods-burstable-pod{POD_}.slice:cri-containerd:{A}",
        "/system.slice/containerd.service/kubepods-burstable-pod{POD_}.slice:cri-containerd:{A}",
    ] {
        let found = is(path, "containerd", "{A}");
        assert_eq!(found.pod_uid.as_deref(), Some(POD), "{path}");
        assert_eq!(found.claimed_below, None, "{path}");
    }
    // dockershim and cri-dockerd.
    let docker = "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{POD_}.slice/\
                  docker-{A}.scope";
    assert_eq!(is(docker, "docker", "{A}").pod_uid.as_deref(), Some(POD));
    // A pod that the node has from a file: a hash instead of a uid.
    let hash = "3c5e1f7d9b2a4c6e8f0a1b2c3d4e5f60";
    let mirror = format!("/kubepods/burstable/pod{hash}/{A}");
    assert_eq!(is(&mirror, "containerd", "{A}").pod_uid.as_deref(), Some(hash));
    // nerdctl and ctr.
    is("/default/{A}", "containerd", "{A}");
    is("/system.slice/nerdctl-{A}.scope", "containerd", "{A}");
    // The pod alone is no container.
    is_none("/kubepods/burstable/pod{POD}");
    is_none("/kubepods.slice/kubepods-pod{POD_}.slice");
}

#[test]
fn cri_o() {
    let pod = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{POD_}.slice";
    let found = is(&format!("{pod}/crio-{{A}}.scope"), "cri-o", "{A}");
    assert_eq!(found.pod_uid.as_deref(), Some(POD));
    // What watches it is beside it.
    is_none(&format!("{pod}/crio-conmon-{{A}}.scope"));
    is("/kubepods/burstable/pod{POD}/crio-{A}", "cri-o", "{A}");
    // crun makes a cgroup below it.
    is(&format!("{pod}/crio-{{A}}.scope/container"), "cri-o", "{A}");
}

#[test]
fn podman() {
    // Root's, with systemd and with cgroupfs, in a pod and alone.
    for path in [
        "/machine.slice/libpod-{A}.scope",
        "/machine.slice/libpod-{A}.scope/container",
        "/machine.slice/machine-libpod_pod_{B}.slice/libpod-{A}.scope",
        "/libpod_parent/libpod-{A}",
        "/libpod_parent/{B}/libpod-{A}",
    ] {
        assert_eq!(is(path, "podman", "{A}").claimed_below, None, "{path}");
    }
    is_none("/machine.slice/libpod-conmon-{A}.scope");
    is_none("/libpod_parent/libpod-conmon-{A}");
    is_none("/libpod_parent/{B}");
    // A user's: the id is as good as that user's word.
    let own = "/user.slice/user-1000.slice/user@1000.service";
    for path in ["user.slice/libpod-{A}.scope/container", "libpod_parent/libpod-{A}"] {
        let found = is(&format!("{own}/{path}"), "podman", "{A}");
        assert_eq!(found.claimed_below.as_deref(), Some("user@1000.service"));
    }
    // Quadlet: the container is inside the unit that runs it.
    let quadlet = parse(&filled("/system.slice/web.service/libpod-payload-{A}"));
    assert_eq!(quadlet.container.unwrap().claimed_below.as_deref(), Some("web.service"));
    let unit = quadlet.unit.unwrap();
    assert_eq!((&*unit.name, unit.inside), ("web.service", false));
}

#[test]
fn lxc() {
    // LXC 1 to 3 and Proxmox, LXC 4, LXC 5 (also of LXD and Incus).
    is("/lxc/web-1", "lxc", "web-1");
    is("/lxc/101/ns/system.slice/nginx.service", "lxc", "101");
    is("/lxc.payload/web", "lxc", "web");
    is("/lxc.payload.web_1.a", "lxc", "web_1.a");
    is_none("/lxc.monitor.web");
    is_none("/lxc.monitor/web");
    // Docker in LXC.
    let found = is("/lxc.payload.web/docker/{A}", "docker", "{A}");
    assert_eq!(found.outer, ["lxc web"]);
    // libvirt, which numbers them.
    is("/machine.slice/machine-lxc\\x2d1234\\x2dweb.scope", "lxc", "web");
}

#[test]
fn systemd_nspawn() {
    is("/machine.slice/systemd-nspawn@web.service/payload", "systemd-nspawn", "web");
    is("/machine.slice/systemd-nspawn@my\\x2dweb.service", "systemd-nspawn", "my-web");
    is("/machine.slice/machine-my\\x2dweb.scope/payload", "systemd-nspawn", "my-web");
    is_none("/machine.slice/systemd-nspawn@web.service/supervisor");
    // A virtual machine is none.
    is_none("/machine.slice/machine-qemu\\x2d1\\x2dweb.scope/libvirt/emulator");
    is_none("/machine.slice/machine-\\x.scope");
    is_none("/machine.slice/machine-\\x2f\\x2e\\x2e.scope");
}

#[test]
fn builders_and_clouds() {
    let build = "osh60k53lspy0g0cjo94ur00h";
    is(&format!("/docker/buildkit/{build}"), "buildkit", build);
    is(&format!("/buildkit/{build}"), "buildkit", build);
    is(&format!("/system.slice/system.slice:docker:{build}"), "buildkit", build);
    // The builder itself is a container of docker's.
    is("/docker/buildx/{A}", "docker", "{A}");
    // Amazon ECS: on machines of one's own, with the cluster's name, on Fargate.
    is("/ecs/55091c13-b8cf-4801-b527-f4601742204d/{A}", "docker", "{A}");
    is("/ecs/prod/55091c13b8cf4801b527f4601742204d/{A}", "docker", "{A}");
    is(
        "/ecstasks.slice/ecstasks-55091c13b8cf4801b527f4601742204d.slice/docker-{A}.scope",
        "docker",
        "{A}",
    );
    let task = "34dc0b5e626f2c5c4c5170e34b10e765";
    let fargate = format!("{task}-1234567890");
    is(&format!("/ecs/{task}/{fargate}"), "containerd", &fargate);
    // Cloud Foundry and Concourse.
    is(
        "/system.slice/garden.service/garden/6f265890-5165-7fab-6b52-18d1",
        "garden",
        "6f265890-5165-7fab-6b52-18d1",
    );
    // The machines that GitHub lends; GitLab's docker executor is plain docker.
    is("/actions_job/{A}", "docker", "{A}");
}

#[test]
fn what_only_looks_like_one() {
    for path in [
        "/",
        "",
        "/docker",
        "/docker/",
        "/system.slice/docker.service",
        "/system.slice/containerd.service",
        // Ids have one form only.
        "/docker/3726184226f5d3147c25fdeab5b60097e378e8a720503a5e19ecfb8a1d2c3f4",
        "/docker/3726184226F5D3147C25FDEAB5B60097E378E8A720503A5E19ECFB8A1D2C3F40",
        "/docker/{A}0",
        "/system.slice/docker-{A}x.scope",
        "/system.slice/xdocker-{A}.scope",
        "/a/docker-../../{A}.scope/x",
        "/lxc/..",
        "/lxc/a b",
        "/lxc/\u{1b}[31m",
        "/system.slice/x:docker:y",
        "/garden/web",
        "/kubepods/burstable/podx/y",
        "/jobs/a48469a8f409b9b72d3a5c37d15b9f39",
        "/user.slice/user-1000.slice/session-3.scope",
    ] {
        is_none(path);
    }
}

#[test]
fn a_user_can_claim_but_not_hide_it() {
    let own = "/user.slice/user-1000.slice/user@1000.service/app.slice";
    let found = is(&format!("{own}/docker/{{A}}"), "docker", "{A}");
    assert_eq!(found.claimed_below.as_deref(), Some("user@1000.service"));
    let found = is(&format!("{own}/kubepods/pod{{POD}}/{{A}}"), "containerd", "{A}");
    assert_eq!(found.claimed_below.as_deref(), Some("user@1000.service"));
    // Of an engine that nobody knows, a user's word is not enough.
    is_none(&format!("{own}/machines/{{A}}"));
    // A service that was given a part of the tree.
    let found = is("/system.slice/app.service/docker/{A}", "docker", "{A}");
    assert_eq!(found.claimed_below.as_deref(), Some("app.service"));
    // Root's own service manager is root.
    let root = "/user.slice/user-0.slice/user@0.service/user.slice/libpod-{A}.scope";
    assert_eq!(is(root, "podman", "{A}").claimed_below, None);
    // A user inside a container.
    let inner = is(
        "/docker/{A}/user.slice/user-1000.slice/user@1000.service/libpod-{B}.scope",
        "podman",
        "{B}",
    );
    assert_eq!(inner.claimed_below.as_deref(), Some("user@1000.service"));
    assert_eq!(inner.outer, [format!("docker {A}")]);
}

#[test]
fn units_and_sessions() {
    let unit = |path: &str| parse(&filled(path)).unit.map(|u| (u.name, u.user, u.inside));
    let some = |name: &str, user, inside| Some((name.to_owned(), user, inside));
    assert_eq!(unit("/system.slice/nginx.service"), some("nginx.service", None, false));
    assert_eq!(
        unit("/system.slice/system-getty.slice/getty@tty1.service"),
        some("getty@tty1.service", None, false)
    );
    let own = "/user.slice/user-1000.slice/user@1000.service";
    assert_eq!(
        unit(&format!("{own}/app.slice/web.service")),
        some("web.service", Some(1000), false)
    );
    assert_eq!(
        unit(&format!("{own}/app.slice/vte-spawn-1.scope")),
        some("vte-spawn-1.scope", Some(1000), false)
    );
    assert_eq!(unit("/init.scope"), some("init.scope", None, false));
    // Below a unit, a service may divide itself.
    assert_eq!(unit("/system.slice/web.service/workers"), some("web.service", None, false));
    assert_eq!(
        unit("/lxc.payload.c1/system.slice/nginx.service"),
        some("nginx.service", None, true)
    );
    // A container's own scope is no unit, nor is the engine's service.
    assert_eq!(unit("/system.slice/docker-{A}.scope"), None);
    assert_eq!(unit("/system.slice/containerd.service/x.slice:cri-containerd:{A}"), None);
    assert_eq!(unit("/system.slice/docker.service"), some("docker.service", None, false));
    assert_eq!(unit("/machine.slice/libpod-conmon-{A}.scope"), None);
    assert_eq!(unit("/a/\u{1b}[2J.service"), None);

    let session = parse("/user.slice/user-1000.slice/session-c3.scope");
    assert_eq!(session.session, Some(Session { id: "c3".to_owned(), uid: Some(1000) }));
    assert_eq!(session.unit, None);
    assert_eq!(parse("/user.slice/user-0.slice/session-x.scope").session, None);
}

#[test]
fn old_engines_on_machines_with_both_versions() {
    let process = Process {
        cgroup_path: Some("/system.slice/containerd.service".to_owned()),
        cgroup_v1_path: Some(filled("/docker/{A}")),
        ..Process::default()
    };
    let found = of(&process);
    assert_eq!(found.container.unwrap().id, A);
    assert_eq!(found.unit, None);
    // Version 2 comes first.
    let both = Process {
        cgroup_path: Some(filled("/docker/{B}")),
        cgroup_v1_path: Some(filled("/docker/{A}")),
        ..Process::default()
    };
    assert_eq!(of(&both).container.unwrap().id, B);
    assert_eq!(of(&Process::default()), Workload::default());
}

#[test]
fn hostile_paths_are_quick() {
    let deep = "/docker".repeat(1000);
    assert_eq!(parse(&deep).container, None);
    let nested = format!("/docker/{A}").repeat(20);
    assert_eq!(parse(&nested).container.unwrap().outer.len(), 19);
    assert_eq!(parse(&"\\x".repeat(10_000)).container, None);
    assert_eq!(
        parse(&format!("/machine.slice/machine-{}.scope", "\\x2d".repeat(5000))).container,
        None
    );
    for odd in ["/machine.slice/machine-\\xé.scope", "/user@.service/docker", "/pod-pod", "/:::"] {
        assert_eq!(parse(odd).container, None);
    }
}
