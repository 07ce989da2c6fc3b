//! Least privilege: once everything that takes privileges is open, they are given up.
//!
//! Loading, attaching and seeding come first. Then, before any thread starts, so that all of them
//! inherit it: another user, few capabilities, `no_new_privs`, Landlock or what stands for it, and a
//! filter of system calls.

mod assemble;
mod calls;
pub(crate) mod capabilities;
pub(crate) mod user;

use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use probe::{Probe, confine, pinned};
use rustix::process::{DumpableBehavior, Gid, Uid};
use rustix::thread::CapabilitySet;

use crate::config::Config;
use crate::home;
use crate::sink;
use user::User;

/// What became of the privileges.
pub(crate) struct Confined {
    /// In words, for `picket doctor`.
    pub(crate) words: String,
    /// What could not be had.
    pub(crate) missing: Vec<String>,
    /// What would be better, and how to have it.
    pub(crate) advice: Option<String>,
}

/// Gives up what is not needed any more. `canary` is the program that may still be executed.
///
/// An error means that privileges were left which should not be: then nothing may go on.
pub(crate) fn give_up(config: &Config, canary: Option<&pinned::Program>) -> Result<Confined> {
    if !config.sandbox {
        return Ok(Confined {
            words: "off".to_owned(),
            missing: vec!["the configuration says `sandbox: false`".to_owned()],
            advice: None,
        });
    }
    let mut words = Vec::new();
    let mut missing = Vec::new();
    let mut advice = None;
    let held = capabilities::held();
    let keep = capabilities::to_keep(config, probe::kernel_version());
    if held.contains(CapabilitySet::SETPCAP) {
        capabilities::bound(keep)?;
    }
    match become_user(config, held)? {
        Ok(user) => {
            if user.is_shared() {
                advice = Some(format!(
                    "other programs of the user {} could end picket: useradd --system picket",
                    user.name
                ));
            }
            words.push(format!("user {}", user.name));
        }
        Err(why) => missing.extend(why),
    }
    capabilities::reduce(keep)?;
    words.push(format!("capabilities: {}", names(keep)));
    rustix::thread::set_no_new_privs(true).context("cannot set no_new_privs")?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context("cannot close this process to others")?;
    // Landlock closes /proc/PID/exe, root and mem of all other processes. Where they are open, the
    // filter alone must keep picket from writing, and it does, on every path.
    if !keep.contains(CapabilitySet::SYS_PTRACE) {
        match landlock() {
            Ok(()) => words.push("Landlock".to_owned()),
            Err(why) => missing.push(format!("without Landlock: {why}")),
        }
    }
    let descriptor = |canary: &pinned::Program| u32::try_from(canary.fd().as_raw_fd());
    let canary = canary.map(descriptor).transpose().context("the canary is not open")?;
    let rules = calls::rules(std::process::id(), canary);
    match confine::filter(&assemble::program(&rules, calls::EPERM)) {
        Ok(()) => words.push("seccomp".to_owned()),
        Err(why) => missing.push(format!("without a filter of system calls: {why}")),
    }
    Ok(Confined { words: words.join(", "), missing, advice })
}

/// Gives up, and says in the log what could not be had.
pub(crate) fn give_up_loudly(config: &Config, canary: Option<&pinned::Program>) -> Result<()> {
    let confined = give_up(config, canary)
        .context("cannot give up privileges (`sandbox: false` does without)")?;
    for missing in &confined.missing {
        sink::log(&format!("sandbox: {missing}"));
    }
    Ok(())
}

/// Why coverage cannot be full with these privileges, in words. Asked while all are held.
pub(crate) fn blind(probe: &Probe) -> Vec<String> {
    let held = capabilities::held();
    let mut reasons: Vec<String> = capabilities::NEEDS
        .iter()
        .filter(|need| !held.contains(need.capability))
        .filter_map(|need| Some(format!("without {}, {}", need.name, need.blind?)))
        .collect();
    let deaf = |why| format!("servers that nobody knows are not found by their answers: {why}");
    reasons.extend(probe.deaf().map(deaf));
    reasons.extend(home::blind());
    reasons
}

/// Becomes another user, if this is root. The inner error says why it stays who it is.
fn become_user(config: &Config, held: CapabilitySet) -> Result<Result<User, Option<String>>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Err(None));
    }
    if !held.contains(CapabilitySet::SETUID | CapabilitySet::SETGID) {
        let why = "stays root: without CAP_SETUID and CAP_SETGID it cannot become another user";
        return Ok(Err(Some(why.to_owned())));
    }
    let user = User::choose(config.user.as_deref())?;
    let what = || format!("cannot become user {}", user.name);
    rustix::thread::set_keep_capabilities(true).with_context(what)?;
    rustix::thread::set_thread_groups(&[]).with_context(what)?;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid).with_context(what)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).with_context(what)?;
    rustix::thread::set_keep_capabilities(false).with_context(what)?;
    Ok(Ok(user))
}

/// Nothing may be written, made, removed or executed, except what is in memory.
fn landlock() -> Result<(), String> {
    const EXECUTE: u64 = 1;
    const WRITE: u64 = 1 << 1;
    // Removing and making files of every kind.
    const CHANGE: u64 = 0x1ff0;
    const REFER: u64 = 1 << 13;
    const TRUNCATE: u64 = 1 << 14;
    let version = confine::landlock_version();
    let mut accesses = EXECUTE | WRITE | CHANGE;
    if version >= 2 {
        accesses |= REFER;
    }
    if version >= 3 {
        accesses |= TRUNCATE;
    }
    match version {
        0 => Err("this kernel has none, or it is not turned on (lsm=landlock,…)".to_owned()),
        _ => confine::landlock(accesses).map_err(|error| error.to_string()),
    }
}

/// Names of capabilities.
pub(crate) fn names(set: CapabilitySet) -> String {
    let names: Vec<String> = set.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}
