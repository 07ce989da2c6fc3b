//! A plain execution: every fact of it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use probe::Clock;

use crate::cgroup::Cgroup;
use crate::facts::{self, assert_paths, assert_process, string};
use crate::kid::{self, Call, Kid, c, must};
use crate::place::Place;
use crate::program;
use crate::watch::{Watch, everything};

#[test]
fn every_fact_agrees_with_proc() {
    let place = Place::new();
    let path = place.file("plainly", &program::stays());
    let cwd = place.dir("work");
    let cgroup = Cgroup::new();
    let probe = everything();
    let mut watch = Watch::new(&probe);

    let args = ["another name", "one", "", "two words", "é", "-x=y\n"];
    let call = Call::new(&path, &args);
    let (procs, dir) = (c(&cgroup.procs()), c(&cwd));
    let (boot_before, before) = (Clock::boot_ns(), facts::now());
    let kid = Kid::fork(|| {
        // SAFETY: ended strings; plain system calls.
        unsafe {
            must(libc::chdir(dir.as_ptr()));
            must(libc::setsid());
            let file = must(libc::open(procs.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC));
            must(libc::write(file, c"0".as_ptr().cast(), 1) as i32);
        }
        call.exec();
    });
    let exec = watch.exec(kid.pid());
    let (boot_after, after) = (Clock::boot_ns(), facts::now());

    assert_process(&exec);
    assert_paths(&exec);
    let p = &exec.process;
    assert_eq!(p.pid, kid.pid());
    assert_eq!(p.ppid, std::process::id());
    assert_eq!(p.session, kid.pid());
    assert!(!p.tty);
    assert_eq!(p.comm, "plainly");
    assert_eq!(p.args, args);
    assert_eq!(p.cwd, Some(string(&cwd)));
    assert_eq!(p.invoked_as, string(&path));
    assert_eq!(p.interpreter, None);
    assert_eq!(p.exe.path, string(&path));
    assert!(!p.exe.deleted && !p.exe.memfd && !p.exe.path_truncated);
    assert_ne!(p.cgroup, fs::metadata(facts::cgroup2()).map(|m| ino(&m)).unwrap());

    assert!((boot_before..=boot_after).contains(&exec.boot_ns));
    assert!((boot_before..=exec.boot_ns).contains(&p.start_boot_ns));
    // The two clocks are read one after the other.
    let slack = 50_000_000;
    for stamp in [exec.time, p.start] {
        let time = stamp.unix_nanos();
        assert!((before - slack..=after + slack).contains(&time), "{stamp} is not when it was");
    }
}

fn ino(file: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(file)
}

#[test]
fn generation_is_the_file_systems() {
    let place = Place::new();
    let path = place.file("generation", &program::exits());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let exec = watch.exec(kid::run(&path));

    let file = fs::File::open(&path).unwrap();
    let mut generation: libc::c_long = 0;
    // SAFETY: the kernel writes an int or a long.
    let known = unsafe {
        libc::ioctl(
            std::os::fd::AsRawFd::as_raw_fd(&file),
            libc::FS_IOC_GETVERSION,
            &raw mut generation,
        )
    };
    // Where the file system does not tell, there is nothing to compare it with.
    if known == 0 {
        assert_eq!(i64::from(exec.process.exe.generation), generation & 0xffff_ffff);
    } else {
        let error = std::io::Error::last_os_error().raw_os_error();
        assert_eq!(error, Some(libc::ENOTTY));
    }
    assert_eq!(exec.file.unwrap().generation, exec.process.exe.generation);
}

#[test]
fn the_identity_of_the_file_is_that_of_the_event() {
    let place = Place::new();
    let path = place.file("identity", &program::exits());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let pid = kid::run(&path);
    let exec = watch.exec(pid);
    let (id, exe) = (exec.file.unwrap(), &exec.process.exe);
    assert_eq!(id.inode, exe.inode);
    assert_eq!(id.size, exe.size);
    assert_eq!(id.changed_ns, exe.changed.unix_nanos());
    facts::assert_file(exe, &fs::metadata(&path).unwrap());
}

#[test]
fn cpu_is_where_it_ran_and_numbers_go_up() {
    let place = Place::new();
    let path = place.file("pinned", &program::exits());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    for cpu in allowed_cpus() {
        let mut last = 0;
        for _ in 0..3 {
            let mut kid = run_on(cpu, &path);
            kid.wait();
            let exec = watch.exec(kid.pid());
            assert_eq!(exec.cpu as usize, cpu);
            assert!(exec.seq > last);
            last = exec.seq;
        }
    }
}

/// The CPUs that this process may use.
pub(crate) fn allowed_cpus() -> Vec<usize> {
    // SAFETY: plain memory, as large as is said.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let size = size_of_val(&set);
        assert_eq!(libc::sched_getaffinity(0, size, &raw mut set), 0);
        (0..libc::CPU_SETSIZE as usize).filter(|cpu| libc::CPU_ISSET(*cpu, &set)).collect()
    }
}

/// Executes on one CPU only.
pub(crate) fn run_on(cpu: usize, path: &std::path::Path) -> Kid {
    let call = Call::new(path, &[path]);
    Kid::fork(|| {
        // SAFETY: plain memory, as large as is said.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            libc::CPU_SET(cpu, &mut set);
            must(libc::sched_setaffinity(0, size_of_val(&set), &raw const set));
        }
        call.exec();
    })
}

#[test]
fn user_and_group_are_the_real_ones() {
    let place = Place::new();
    let plain = place.file("plain-user", &program::stays());
    let setuid = place.file("set-user", &program::stays());
    fs::set_permissions(&setuid, Permissions::from_mode(0o6755)).unwrap();
    let probe = everything();
    let mut watch = Watch::new(&probe);
    for path in [plain, setuid] {
        let kid = Kid::adopt(&kid::spawn(Command::new(&path).uid(65534).gid(65533)));
        let exec = watch.exec(kid.pid());
        assert_process(&exec);
        assert_eq!(exec.process.uid, 65534);
        assert_eq!(exec.process.gid, 65533);
    }
}

#[test]
fn namespaces_are_the_processes_own() {
    let place = Place::new();
    let path = place.file("spaces", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let call = Call::new(&path, &["spaces"]);
    let kid = Kid::fork(|| {
        // SAFETY: concerns the child only.
        unsafe {
            must(libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::CLONE_NEWNS));
        }
        call.exec();
    });
    let exec = watch.exec(kid.pid());
    // Nobody is mapped: inside it is the overflow user, for us it is who it was.
    assert_process(&exec);
    assert_eq!(exec.process.uid, 0);
    let spaces = exec.process.namespaces;
    let ours = |name| ino(&fs::metadata(format!("/proc/self/ns/{name}")).unwrap());
    assert_ne!(u64::from(spaces.user), ours("user"));
    assert_ne!(u64::from(spaces.net), ours("net"));
    assert_ne!(u64::from(spaces.mnt), ours("mnt"));
    assert_eq!(u64::from(spaces.pid), ours("pid"));
}

#[test]
fn a_controlling_terminal_is_told() {
    let place = Place::new();
    let path = place.file("terminal", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let mut name = [0; 64];
    // SAFETY: plain system calls; `name` is as long as is said.
    let master = unsafe {
        let master = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        assert!(master >= 0, "{}", std::io::Error::last_os_error());
        assert_eq!(libc::grantpt(master), 0);
        assert_eq!(libc::unlockpt(master), 0);
        assert_eq!(libc::ptsname_r(master, name.as_mut_ptr(), name.len()), 0);
        <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(master)
    };
    let call = Call::new(&path, &["terminal"]);
    let kid = Kid::fork(|| {
        // SAFETY: an ended string; plain system calls. The first terminal that a session's
        // leader opens becomes its own.
        unsafe {
            must(libc::setsid());
            must(libc::open(name.as_ptr(), libc::O_RDWR));
        }
        call.exec();
    });
    let exec = watch.exec(kid.pid());
    assert_process(&exec);
    assert!(exec.process.tty);
    drop(kid);
    drop(master);
}
