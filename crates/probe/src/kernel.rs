//! What this kernel and these privileges allow, and how to fix what is missing.

use std::fs;
use std::path::Path;

use crate::cgroup;
use crate::error::Error;

const CAP_DAC_READ_SEARCH: u32 = 2;
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;
const CAP_SYS_PTRACE: u32 = 19;
const CAP_CHECKPOINT_RESTORE: u32 = 40;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it is as it should be; `None` where it is good to have but not needed.
    pub ok: Option<bool>,
    /// What was found.
    pub found: String,
    /// How to fix it, where there is something to fix.
    pub fix: Option<String>,
}

/// Refuses early, with a reason, what cannot work.
pub(crate) fn ready() -> Result<(), Error> {
    let missing: Vec<&str> = [("CAP_BPF", CAP_BPF), ("CAP_PERFMON", CAP_PERFMON)]
        .into_iter()
        .filter(|(_, cap)| !has(*cap) && !has(CAP_SYS_ADMIN))
        .map(|(name, _)| name)
        .collect();
    if !missing.is_empty() {
        return Err(Error::Privileges { missing: missing.join(" and ") });
    }
    let lacks = |what: &str| {
        let what = format!("Linux {} has {what}", release());
        Err(Error::Kernel { what, fix: NEWER.to_owned() })
    };
    if !Path::new(BTF).exists() {
        return lacks(&format!("no type information ({BTF} is missing)"));
    }
    if version() < OLDEST {
        return lacks("not all that picket's eBPF programs use");
    }
    Ok(())
}

/// The oldest kernel that has all that is used; `docs/kernels.md` says where it was tried.
const OLDEST: (u32, u32) = (5, 12);
const NEWER: &str = "use Linux 5.12 or newer, built with CONFIG_DEBUG_INFO_BTF=y, as Debian's are \
                     since 12";

/// Why servers' answers cannot be heard here, where that is plain before anything is loaded.
pub(crate) fn deaf() -> Option<String> {
    if !has(CAP_NET_ADMIN) {
        return Some(format!("missing CAP_NET_ADMIN; {NET_ADMIN_FIX}"));
    }
    cgroup::mounts().is_empty().then(|| format!("{NO_CGROUP}; {CGROUP_FIX}"))
}

const PTRACE_FIX: &str = "without it programs and memory of other users' processes are not looked \
                          into, and what runs already stays unnamed";
const READ_FIX: &str = "without it programs that only their owners may read are known by name only";
const RESTORE_FIX: &str = "without it libraries that were deleted are not read";
const NET_ADMIN_FIX: &str = "without it only names and contents of files tell a web server, not \
                             what it answers";
const NO_CGROUP: &str = "no cgroup version 2 hierarchy is mounted";
const CGROUP_FIX: &str = "to hear what servers answer: mount -t cgroup2 none /sys/fs/cgroup";

const BTF: &str = "/sys/kernel/btf/vmlinux";

fn release() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.trim().to_owned()
}

/// The first two numbers of the kernel's version; zeros if it does not tell.
pub fn version() -> (u32, u32) {
    let release = release();
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    let mut number = || parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
    (number(), number())
}

/// Looks at the kernel and the privileges, without loading anything.
pub fn checks() -> Vec<Check> {
    let release = release();
    let version = version();
    let btf = Path::new(BTF).exists();
    let cap = |name: &'static str, cap, fix: &str| Check {
        name,
        ok: Some(has(cap) || has(CAP_SYS_ADMIN)),
        found: if has(cap) || has(CAP_SYS_ADMIN) { "held".into() } else { "not held".into() },
        fix: (!(has(cap) || has(CAP_SYS_ADMIN))).then(|| fix.to_owned()),
    };
    let more = |name: &'static str, cap, fix: &str| Check {
        name,
        ok: has(cap).then_some(true),
        found: if has(cap) { "held".into() } else { "not held".into() },
        fix: (!has(cap)).then(|| fix.to_owned()),
    };
    let mounts = cgroup::mounts();
    let mount = mounts.first();
    let caps_fix = "run as root, or: setcap cap_bpf,cap_perfmon+ep picket";
    vec![
        Check {
            name: "kernel",
            ok: Some(version >= OLDEST),
            found: release,
            fix: (version < OLDEST).then(|| NEWER.to_owned()),
        },
        Check {
            name: "type information (BTF)",
            ok: Some(btf),
            found: if btf { BTF.to_owned() } else { format!("{BTF} is missing") },
            fix: (!btf).then(|| NEWER.to_owned()),
        },
        cap("CAP_BPF", CAP_BPF, caps_fix),
        cap("CAP_PERFMON", CAP_PERFMON, caps_fix),
        more("CAP_SYS_PTRACE", CAP_SYS_PTRACE, PTRACE_FIX),
        more("CAP_DAC_READ_SEARCH", CAP_DAC_READ_SEARCH, READ_FIX),
        more("CAP_NET_ADMIN", CAP_NET_ADMIN, NET_ADMIN_FIX),
        more("CAP_CHECKPOINT_RESTORE", CAP_CHECKPOINT_RESTORE, RESTORE_FIX),
        Check {
            name: "cgroup version 2",
            ok: mount.is_some().then_some(true),
            found: mount.map_or_else(|| NO_CGROUP.to_owned(), |dir| dir.display().to_string()),
            fix: mount.is_none().then(|| CGROUP_FIX.to_owned()),
        },
    ]
}

/// Tries the kinds of programs and maps that picket uses, and those that would let it do more.
pub fn programs() -> Vec<Check> {
    use libbpf_rs::{MapType, ProgramType};
    let check = |name, supported: Result<bool, libbpf_rs::Error>, needed: bool, fix: &str| {
        let ok = matches!(supported, Ok(true));
        Check {
            name,
            ok: if ok { Some(true) } else { needed.then_some(false) },
            found: match supported {
                Ok(true) => "loads".to_owned(),
                Ok(false) => "does not load here".to_owned(),
                Err(error) => format!("cannot be tried: {error}"),
            },
            fix: (!ok).then(|| fix.to_owned()),
        }
    };
    let newer = "a newer kernel is needed, or privileges are missing (see above)";
    let later = "not needed to see; only blocking before the execution would use it";
    crate::error::keep_libbpf_words();
    vec![
        check("ring buffer map", MapType::RingBuf.is_supported(), true, newer),
        check("LRU hash map", MapType::LruHash.is_supported(), true, newer),
        check(
            "tracing programs",
            ProgramType::Tracing.is_supported(),
            false,
            "what counts is whether the hooks below attach",
        ),
        check(
            "cgroup programs",
            ProgramType::CgroupSkb.is_supported(),
            false,
            "without them it is not heard what servers answer",
        ),
        inert(check("LSM programs", ProgramType::Lsm.is_supported(), false, later)),
    ]
}

/// Programs of security hooks load and attach, and are never run, where the kernel was started
/// without them.
fn inert(mut check: Check) -> Check {
    const ACTIVE: &str = "/sys/kernel/security/lsm";
    let Ok(active) = fs::read_to_string(ACTIVE) else { return check };
    if check.ok == Some(true) && !active.trim().split(',').any(|name| name == "bpf") {
        check.ok = None;
        check.found = format!("loads, but never runs: no bpf in {ACTIVE}");
        check.fix = Some(format!("start the kernel with lsm={},bpf", active.trim()));
    }
    check
}

/// Whether this process has a capability in effect.
fn has(capability: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    effective >> capability & 1 == 1
}
