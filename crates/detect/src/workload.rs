//! What a process belongs to, by the path of its cgroup: a container, a systemd unit, a login
//! session.
//!
//! Whoever owns a part of the tree gives names there as they like: a user below `user@UID.service`,
//! a container below itself. So an id counts only in the exact form that its engine gives it, and
//! where others than the system's engines could have made it up, `claimed_below` says so.

use event::{Container, Process};

/// What a process belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workload {
    /// The innermost container.
    pub container: Option<Container>,
    /// The innermost systemd unit that is no container's own.
    pub unit: Option<Unit>,
    /// The login session.
    pub session: Option<Session>,
}

/// A systemd unit: a service or a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name, as `systemctl` takes it.
    pub name: String,
    /// The user whose service manager it belongs to; `None` for the system's.
    pub user: Option<u32>,
    /// Whether it is a unit inside the container, of a systemd that runs there.
    pub inside: bool,
}

impl Unit {
    /// Whether systemd starts its processes; those of a scope are started by others.
    pub fn is_service(&self) -> bool {
        self.name.ends_with(".service")
    }
}

/// A login session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its number, as `loginctl` takes it.
    pub id: String,
    /// Whose it is.
    pub uid: Option<u32>,
}

/// How engines call the cgroups of their containers: what stands before an id of 64 hexadecimal
/// digits.
const PREFIXES: &[(&str, &str)] = &[
    ("docker-", "docker"),
    ("cri-containerd-", "containerd"),
    ("nerdctl-", "containerd"),
    ("crio-", "cri-o"),
    ("libpod-payload-", "podman"),
    ("libpod-", "podman"),
];
/// And what they call the cgroup that a bare id is in.
const PARENTS: &[(&str, &str)] = &[
    ("docker", "docker"),
    // What the machines that GitHub lends tell their docker.
    ("actions_job", "docker"),
    // The container of a builder, not of a build.
    ("buildx", "docker"),
    ("default", "containerd"),
    ("k8s.io", "containerd"),
    ("moby", "containerd"),
];
/// What watches a container from outside, and is none.
const MONITORS: &[&str] = &["crio-conmon-", "libpod-conmon-", "lxc.monitor."];
/// Services that make cgroups for containers.
const ENGINES: &[&str] = &[
    "buildkit.service",
    "containerd.service",
    "crio.service",
    "docker.service",
    "ecs.service",
    "garden.service",
    "k3s-agent.service",
    "k3s.service",
    "kubelet.service",
    "snap.docker.dockerd.service",
    "snap.microk8s.daemon-containerd.service",
];

/// What a process belongs to.
pub fn of(process: &Process) -> Workload {
    let parse = |path: &Option<String>| path.as_deref().map(parse);
    let mut found = parse(&process.cgroup_path).unwrap_or_default();
    // Old engines on machines with both versions know only the first.
    if found.container.is_none() {
        let v1 = parse(&process.cgroup_v1_path).unwrap_or_default();
        found.container = v1.container;
        found.unit = found.unit.filter(|unit| found.container.is_none() || !is_engine(&unit.name));
    }
    found
}

/// What the path of a cgroup says.
pub fn parse(path: &str) -> Workload {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let mut claims: Vec<(usize, Container)> = Vec::new();
    let mut monitor = false;
    for at in 0..names.len() {
        let inside = claims.last().map_or(0, |(at, _)| at + 1);
        let above = &names[inside..at];
        match name(above, names[at]) {
            // Only where the system's root alone can have made it.
            Some(Name::Id(_, UNKNOWN)) if below(&names[..at], &claims).is_some() => {}
            Some(Name::Id(id, runtime)) => {
                let container = Container {
                    id,
                    runtime: runtime.to_owned(),
                    pod_uid: pod_of(names[at], above),
                    outer: claims.iter().map(|(_, c)| said(c)).collect(),
                    claimed_below: below(&names[..at], &claims),
                    ..Container::default()
                };
                claims.push((at, container));
            }
            Some(Name::Monitor) => monitor = true,
            None => {}
        }
        // systemd-nspawn itself is beside what it contains.
        let nspawn = claims.last().is_some_and(|(i, c)| i + 1 == at && c.runtime == NSPAWN);
        if nspawn && names[at] == "supervisor" {
            claims.pop();
        }
    }
    let claim = claims.last().map(|(at, _)| *at);
    let unit = names.iter().enumerate().rev().find_map(|(at, name)| {
        let whole = name.ends_with(".service") || name.ends_with(".scope");
        let inside = claim.is_some_and(|claim| at > claim);
        let other = claim == Some(at) || (claim.is_some() && !inside && is_engine(name));
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b));
        let unit = whole && plain && !other && session_of(name).is_none();
        unit.then(|| Unit { name: (*name).to_owned(), user: user_of(&names[..at]), inside })
    });
    let session = names.iter().find_map(|name| {
        let id = session_of(name)?.to_owned();
        let uid = names.iter().find_map(|n| n.strip_prefix("user-")?.strip_suffix(".slice"));
        Some(Session { id, uid: uid.and_then(|uid| uid.parse().ok()) })
    });
    let unit = if monitor { None } else { unit };
    Workload { container: claims.pop().map(|(_, container)| container), unit, session }
}

const UNKNOWN: &str = "unknown";
const NSPAWN: &str = "systemd-nspawn";

/// What a name in the tree is.
enum Name {
    /// A container: its id and its engine.
    Id(String, &'static str),
    /// Something beside a container.
    Monitor,
}

fn name(above: &[&str], name: &str) -> Option<Name> {
    let parent = above.last().copied().unwrap_or_default();
    if parent == "lxc.monitor" || MONITORS.iter().any(|m| name.starts_with(m)) {
        return Some(Name::Monitor);
    }
    let id = |id: &str, runtime| Some(Name::Id(id.to_owned(), runtime));
    let bare = name.strip_suffix(".scope").unwrap_or(name);
    for (prefix, runtime) in PREFIXES {
        if let Some(rest) = bare.strip_prefix(prefix)
            && is_id(rest)
        {
            return id(rest, runtime);
        }
    }
    // An engine that expects systemd to make it a scope, on a machine where nobody does.
    if let Some((rest, last)) = name.rsplit_once(':')
        && let Some((_, engine)) = rest.rsplit_once(':')
    {
        let known = PREFIXES.iter().find(|(prefix, _)| prefix.strip_suffix('-') == Some(engine));
        return match known {
            Some((_, runtime)) if is_id(last) => id(last, runtime),
            Some((_, "docker")) if is_build(last) => id(last, "buildkit"),
            _ => None,
        };
    }
    if is_id(name) {
        let known = PARENTS.iter().find(|(known, _)| *known == parent).map(|(_, runtime)| *runtime);
        return match known {
            Some(runtime) => id(name, runtime),
            None if pod_uid(parent).is_some() => id(name, "containerd"),
            None if above.contains(&"ecs") => id(name, "docker"),
            // The pod, which holds containers.
            None if parent == "libpod_parent" => None,
            None => id(name, UNKNOWN),
        };
    }
    if parent == "buildkit" && is_build(name) {
        return id(name, "buildkit");
    }
    if above.contains(&"ecs") && is_fargate(parent, name) {
        return id(name, "containerd");
    }
    if parent == "garden" && is_handle(name) {
        return id(name, "garden");
    }
    let lxc = name.strip_prefix("lxc.payload.");
    if let Some(machine) = lxc.or(matches!(parent, "lxc" | "lxc.payload").then_some(name)) {
        return if is_machine(machine) { id(machine, "lxc") } else { None };
    }
    if parent == "machine.slice" {
        return machine(name);
    }
    None
}

/// What stands in systemd's slice for machines.
fn machine(name: &str) -> Option<Name> {
    let of = |name: &str, runtime| is_machine(name).then(|| Name::Id(name.to_owned(), runtime));
    if let Some(name) = name.strip_prefix("systemd-nspawn@") {
        return of(&unescaped(name.strip_suffix(".service")?)?, NSPAWN);
    }
    let name = unescaped(name.strip_prefix("machine-")?.strip_suffix(".scope")?)?;
    if name.starts_with("qemu-") {
        return None; // a virtual machine: what runs in it is not seen here
    }
    // libvirt numbers them.
    let numbered = name.strip_prefix("lxc-").and_then(|rest| rest.split_once('-'));
    match numbered {
        Some((number, name)) if number.bytes().all(|b| b.is_ascii_digit()) => of(name, "lxc"),
        _ => of(&name, NSPAWN),
    }
}

/// Who has a say in this part of the tree, besides the system's root and its engines.
fn below(names: &[&str], claims: &[(usize, Container)]) -> Option<String> {
    let outer = claims.last().map(|(at, container)| (*at, said(container)));
    let user = names.iter().enumerate().rev().find_map(|(at, name)| {
        let uid = user_of(std::slice::from_ref(name))?;
        // Of root there is nothing that root could not do anyway.
        (uid != 0).then(|| (at, (*name).to_owned()))
    });
    let owner = outer.into_iter().chain(user).max();
    if let Some((_, owner)) = owner {
        return Some(owner);
    }
    let service = |name: &&&str| name.ends_with(".service") && !is_engine(name);
    let root = |name: &&&str| user_of(std::slice::from_ref(*name)).is_none();
    names.iter().rev().filter(root).find(service).map(|name| (*name).to_owned())
}

/// A container as people say it: long ids are cut.
pub(crate) fn called(container: &Container) -> String {
    let id = if is_id(&container.id) { &container.id[..12] } else { &container.id };
    match &*container.runtime {
        UNKNOWN => format!("container {id}"),
        runtime => format!("{runtime} container {id}"),
    }
}

/// A container with its whole id.
fn said(container: &Container) -> String {
    format!("{} {}", container.runtime, container.id)
}

fn is_engine(unit: &str) -> bool {
    ENGINES.contains(&unit)
}

/// The user whose service manager the last of these belongs to.
fn user_of(names: &[&str]) -> Option<u32> {
    names
        .iter()
        .rev()
        .find_map(|name| name.strip_prefix("user@")?.strip_suffix(".service")?.parse().ok())
}

fn session_of(name: &str) -> Option<&str> {
    let id = name.strip_prefix("session-")?.strip_suffix(".scope")?;
    let number = id.strip_prefix('c').unwrap_or(id);
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(id)
}

/// The pod of a container, from its name (`SLICE:ENGINE:ID` names both) or from those above it.
fn pod_of(name: &str, above: &[&str]) -> Option<String> {
    let own = name.split(':').next().and_then(pod_uid);
    own.or_else(|| above.iter().rev().find_map(|name| pod_uid(name)))
}

/// A pod's uid, from the name of its cgroup: a UUID, or, of a pod that the node has from a file,
/// 32 hexadecimal digits.
fn pod_uid(name: &str) -> Option<String> {
    let bare = name.strip_suffix(".slice").unwrap_or(name);
    let uid = match bare.strip_prefix("pod") {
        Some(uid) => uid,
        None => bare.rsplit_once("-pod").filter(|(front, _)| front.contains("kubepods"))?.1,
    };
    let uid = uid.replace('_', "-");
    let whole = is_uuid(&uid) || (uid.len() == 32 && is_hex(&uid));
    whole.then_some(uid)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && is_hex(text)
}

/// Groups of 8, 4, 4, 4 and 12.
fn is_uuid(text: &str) -> bool {
    text.split('-').all(is_hex) && text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

/// A build step: 25 letters and digits.
fn is_build(text: &str) -> bool {
    text.len() == 25 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z'))
}

/// A container of a task that Amazon's Fargate runs: the task, then a number.
fn is_fargate(task: &str, name: &str) -> bool {
    let number = name.strip_prefix(task).and_then(|rest| rest.strip_prefix('-'));
    task.len() == 32
        && is_hex(task)
        && number
            .is_some_and(|n| (1..=12).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Groups of hexadecimal digits, the first ones those of a UUID.
fn is_handle(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    let first = groups.iter().map(|group| group.len()).zip([8, 4, 4, 4]).all(|(a, b)| a == b);
    (5..=8).contains(&groups.len())
        && first
        && groups.iter().all(|g| (4..=12).contains(&g.len()) && is_hex(g))
}

/// A name that a machine may have.
fn is_machine(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=64).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
}

/// Undoes the escapes of a unit's name: `\x2d` is `-`.
fn unescaped(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\\x") {
        out.push_str(before);
        let byte = u8::from_str_radix(after.get(..2)?, 16).ok()?;
        out.push(char::from(byte));
        rest = &after[2..];
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
#[path = "workload/tests.rs"]
mod tests;
