//! The system calls that picket makes once it watches. Everything else fails with EPERM.
//!
//! Nothing can be opened for writing, by whatever path; nothing can be executed but the canary; no
//! memory becomes code; the only sockets are those of this machine's own services.

use libc::c_long;
use probe::pinned;

use super::assemble::{Rule, Test};

use Test::{Above, Exactly, From, Is, IsNot, Without};

/// Where the canary's code is loaded: its calls come from there. picket itself has nothing there,
/// and can bring no code there.
const CANARY: (u32, u32) = (0x40_0000, 0x41_0000);

/// Opening so that something can be written, made or cut.
const WRITING: i32 =
    libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY);
/// Threads are started, and the canary; neither with namespaces of its own.
const NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;
/// What is done with the kernel's maps, and to attach what is loaded already. Nothing is loaded.
const BPF: [u32; 12] = [
    1,  // look up
    2,  // update
    3,  // delete
    4,  // next key
    15, // information about what is open
    21, // look up and delete
    24, 25, 26, 27, // the same for many
    28, // attach to a cgroup
    34, // detach
];
/// What is asked of descriptors: whether it is a terminal, and how wide; a file's generation; that a
/// socket waits.
#[expect(clippy::cast_possible_truncation, reason = "the kernel takes the low half, too")]
const IOCTL: [u32; 4] = [
    libc::TCGETS as u32,
    libc::TIOCGWINSZ as u32,
    libc::FS_IOC_GETVERSION as u32,
    libc::FIONBIO as u32,
];

const ALWAYS: &[c_long] = &[
    // Reading, writing, and looking at files.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_fadvise64,
    libc::SYS_fcntl,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_getcwd,
    // Waiting.
    libc::SYS_ppoll,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_futex,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_sched_yield,
    libc::SYS_pipe2,
    libc::SYS_wait4,
    libc::SYS_waitid,
    // Memory and threads. (mmap and its like: see below.)
    libc::SYS_brk,
    libc::SYS_getrandom,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_sched_getaffinity,
    libc::SYS_sysinfo,
    libc::SYS_uname,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Who am I.
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_capget,
    // Sockets of this machine's services: the service manager, container runtimes.
    libc::SYS_connect,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
];

/// Calls that only this machine has.
#[cfg(target_arch = "x86_64")]
const OLD: &[c_long] =
    &[libc::SYS_stat, libc::SYS_lstat, libc::SYS_readlink, libc::SYS_poll, libc::SYS_epoll_wait];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[c_long] = &[];

/// All rules, for a picket of this pid whose canary, if it has one, is in this descriptor.
pub(super) fn rules(pid: u32, canary: Option<u32>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = ALWAYS
        .iter()
        .chain(OLD)
        .map(|call| Rule { call: *call, when: Vec::new(), error: EPERM })
        .collect();
    let mut add =
        |call: c_long, when: Vec<Vec<Test>>| rules.push(Rule { call, when, error: EPERM });
    let page = low(pinned::PAGE);
    let of_canary = From(CANARY.0, CANARY.1);
    let one_of = |argument: u32, values: &[u32]| -> Vec<Vec<Test>> {
        values.iter().map(|value| vec![Is(argument, *value)]).collect()
    };

    #[cfg(target_arch = "x86_64")]
    add(libc::SYS_open, vec![vec![Without(1, bits(WRITING))]]);
    add(libc::SYS_openat, vec![vec![Without(2, bits(WRITING))]]);
    add(libc::SYS_open_by_handle_at, vec![vec![Without(2, bits(WRITING))]]);
    let size = Exactly(3, pinned::HOW_SIZE);
    add(libc::SYS_openat2, pinned::ways().map(|way| vec![Exactly(2, way), size]).collect());

    // The canary is what its descriptor holds, so that must stay what it is. It may do again what
    // it does.
    if let Some(canary) = canary {
        add(libc::SYS_execve, vec![vec![Exactly(0, pinned::PAGE)], vec![of_canary]]);
        add(libc::SYS_close, vec![vec![IsNot(0, canary)]]);
    } else {
        add(libc::SYS_close, Vec::new());
    }
    add(libc::SYS_clone, vec![vec![Without(0, bits(NAMESPACES | libc::CLONE_PTRACE))]]);

    // No code is made, and the page that rules rest on stays as it is.
    let no_code = |argument| Without(argument, bits(libc::PROT_EXEC));
    add(libc::SYS_mmap, vec![vec![no_code(2), Without(3, bits(libc::MAP_FIXED))]]);
    add(libc::SYS_mprotect, vec![vec![no_code(2), Above(0, page)]]);
    add(libc::SYS_munmap, vec![vec![Above(0, page)]]);
    add(libc::SYS_madvise, vec![vec![Above(0, page)]]);
    add(
        libc::SYS_mremap,
        vec![vec![Above(0, page), Without(3, bits(libc::MREMAP_FIXED | libc::MREMAP_DONTUNMAP))]],
    );

    // What the canary does to be seen as a listener. For picket itself there is no network.
    let network = |family: i32| vec![of_canary, Is(0, bits(family))];
    add(
        libc::SYS_socket,
        vec![vec![Is(0, bits(libc::AF_UNIX))], network(libc::AF_INET), network(libc::AF_INET6)],
    );
    add(libc::SYS_bind, vec![vec![of_canary]]);
    add(libc::SYS_listen, vec![vec![of_canary]]);

    add(libc::SYS_bpf, one_of(0, &BPF));
    add(libc::SYS_ioctl, one_of(1, &IOCTL));
    add(libc::SYS_prctl, one_of(0, &[bits(libc::PR_SET_NAME), bits(libc::PR_SET_VMA)]));
    add(libc::SYS_prlimit64, vec![vec![Exactly(2, 0)]]);
    add(libc::SYS_tgkill, vec![vec![Is(0, pid)]]);
    // glibc then does without it, and what it asks for can be seen.
    rules.push(Rule { call: libc::SYS_clone3, when: vec![vec![NEVER]], error: ENOSYS });
    rules
}

pub(super) const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
/// No call has both: a test that never holds.
const NEVER: Test = From(1, 1);

#[expect(clippy::cast_sign_loss, reason = "flags are bits")]
const fn bits(flags: i32) -> u32 {
    flags as u32
}

fn low(address: u64) -> u32 {
    u32::try_from(address).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_call_has_one_rule_and_the_whole_fits() {
        let rules = rules(1, Some(3));
        let calls: HashSet<i64> = rules.iter().map(|rule| rule.call).collect();
        assert_eq!(calls.len(), rules.len());
        assert!(super::super::assemble::program(&rules, EPERM).len() < 4096);
    }
}
