//! Files from everywhere: memory, descriptors, links, mounts, other roots.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::facts::{assert_file, assert_paths, assert_process, link, status, string};
use crate::kid::{Call, Kid, Slate, c, must, pause, quit};
use crate::mounts;
use crate::place::{Place, executable};
use crate::program;
use crate::watch::{Watch, everything};

/// A file in memory with this content.
pub(crate) fn memfd(name: &std::ffi::CStr, content: &[u8]) -> File {
    // SAFETY: an ended string; the descriptor is new and nobody else's.
    let mut file = unsafe {
        let fd = libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC);
        assert!(fd >= 0, "memfd_create: {}", std::io::Error::last_os_error());
        File::from(OwnedFd::from_raw_fd(fd))
    };
    file.write_all(content).unwrap();
    file
}

/// Executes an open file.
pub(crate) fn run_open(file: &impl AsRawFd, args: &[&str]) -> Kid {
    let call = Call::new(Path::new(""), args);
    let fd = file.as_raw_fd();
    Kid::fork(|| call.exec_at(fd, libc::AT_EMPTY_PATH))
}

#[test]
fn a_file_in_memory() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    for (name, path) in [(c"picket-memory", "memfd:picket-memory"), (c"a/../b", "memfd:a/../b")] {
        let file = memfd(name, &program::stays());
        let kid = run_open(&file, &["in", "memory"]);
        let exec = watch.exec(kid.pid());
        assert_process(&exec);
        let p = &exec.process;
        assert!(p.exe.memfd);
        assert!(!p.exe.deleted && !p.exe.path_truncated);
        assert_eq!(p.exe.path, path);
        assert_eq!(p.invoked_as, format!("/dev/fd/{}", file.as_raw_fd()));
        assert_file(&p.exe, &file.metadata().unwrap());
        assert_eq!(p.exe.links, 0);
    }
}

#[test]
fn a_file_on_disk_through_a_descriptor() {
    let place = Place::new();
    let path = place.file("held", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let file = File::open(&path).unwrap();
    let kid = run_open(&file, &["whatever"]);
    let exec = watch.exec(kid.pid());
    assert_process(&exec);
    assert_paths(&exec);
    let p = &exec.process;
    assert_eq!(p.exe.path, string(&path));
    assert_eq!(p.invoked_as, format!("/dev/fd/{}", file.as_raw_fd()));
    assert!(!p.exe.memfd && !p.exe.deleted);
}

#[test]
fn a_file_beside_an_open_directory() {
    let place = Place::new();
    let path = place.file("beside", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let dir = File::open(place.path()).unwrap();
    let call = Call::new(Path::new("beside"), &["beside"]);
    let fd = dir.as_raw_fd();
    let kid = Kid::fork(|| call.exec_at(fd, 0));
    let exec = watch.exec(kid.pid());
    assert_process(&exec);
    assert_paths(&exec);
    assert_eq!(exec.process.exe.path, string(&path));
    assert_eq!(exec.process.invoked_as, format!("/dev/fd/{fd}/beside"));
}

#[test]
fn a_file_whose_name_is_gone() {
    let place = Place::new();
    let removed = place.file("removed", &program::stays());
    let replaced = place.file("replaced", &program::stays());
    let linked = place.file("linked", &program::stays());
    fs::hard_link(&linked, place.path().join("its other name")).unwrap();
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let files = [&removed, &replaced, &linked].map(|path| File::open(path).unwrap());
    fs::remove_file(&removed).unwrap();
    let new = place.file("new", &program::exits());
    fs::rename(&new, &replaced).unwrap();
    fs::remove_file(&linked).unwrap();
    for (file, path, links) in
        [(&files[0], &removed, 0), (&files[1], &replaced, 0), (&files[2], &linked, 1)]
    {
        let through = format!("/proc/self/fd/{}", file.as_raw_fd());
        let kid = Kid::run(Path::new(&through), &["gone"]);
        let exec = watch.exec(kid.pid());
        assert_process(&exec);
        let p = &exec.process;
        assert!(p.exe.deleted, "{path:?}");
        assert!(!p.exe.memfd);
        assert_eq!(p.exe.path, string(path));
        assert_eq!(link(p.pid, "exe"), format!("{} (deleted)", path.display()));
        assert_eq!(p.exe.links, links);
        assert_eq!(p.invoked_as, through);
    }
}

#[test]
fn a_hard_link_is_the_name_that_was_used() {
    let place = Place::new();
    let one = place.file("one", &program::stays());
    let two = place.path().join("two");
    fs::hard_link(&one, &two).unwrap();
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let kids = [Kid::run(&one, &["x"]), Kid::run(&two, &["x"])];
    let [first, second] = kids.each_ref().map(|kid| watch.exec(kid.pid()));
    for exec in [&first, &second] {
        assert_process(exec);
        assert_paths(exec);
        assert_eq!(exec.process.exe.links, 2);
        assert!(!exec.process.exe.deleted);
    }
    assert_eq!(first.process.exe.path, string(&one));
    assert_eq!(second.process.exe.path, string(&two));
    assert_eq!(first.process.exe.inode, second.process.exe.inode);
    assert_eq!(first.file, second.file);
}

#[test]
fn a_symbolic_link_is_told_beside_its_target() {
    let place = Place::new();
    let target = place.file("target", &program::stays());
    let link = place.path().join("asked");
    symlink("target", &link).unwrap();
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let kid = Kid::run(&link, &["x"]);
    let exec = watch.exec(kid.pid());
    assert_process(&exec);
    assert_paths(&exec);
    let p = &exec.process;
    assert_eq!(p.invoked_as, string(&link));
    assert_eq!(p.exe.path, string(&target));
    assert_eq!(p.comm, "asked");
}

#[test]
fn a_relative_path_stays_as_it_was_asked_for() {
    let place = Place::new();
    let path = place.file("here", &program::stays());
    let inner = place.dir("inner");
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let (call, dir) = (Call::new(Path::new(".././here"), &["x"]), c(&inner));
    let kid = Kid::fork(|| {
        // SAFETY: an ended string.
        unsafe { must(libc::chdir(dir.as_ptr())) };
        call.exec();
    });
    let exec = watch.exec(kid.pid());
    assert_process(&exec);
    assert_paths(&exec);
    assert_eq!(exec.process.invoked_as, ".././here");
    assert_eq!(exec.process.exe.path, string(&path));
    assert_eq!(exec.process.cwd, Some(string(&inner)));
}

#[test]
fn a_bind_mount_gives_the_path_that_was_used() {
    let place = Place::new();
    let from = place.dir("from");
    let to = place.dir("to/here");
    executable(&from.join("bound"), &program::stays());
    mounts::privately(|| {
        mounts::bind(&from, &to);
        let probe = everything();
        let mut watch = Watch::new(&probe);
        let path = to.join("bound");
        let kid = Kid::run(&path, &["x"]);
        let exec = watch.exec(kid.pid());
        assert_process(&exec);
        assert_paths(&exec);
        assert_eq!(exec.process.exe.path, string(&path));
        assert_file(&exec.process.exe, &fs::metadata(from.join("bound")).unwrap());

        // A file as a mount, upon another.
        let cover = place.file("cover", b"");
        mounts::bind(&from.join("bound"), &cover);
        let kid = Kid::run(&cover, &["x"]);
        let exec = watch.exec(kid.pid());
        assert_process(&exec);
        assert_paths(&exec);
        assert_eq!(exec.process.exe.path, string(&cover));
    });
}

#[test]
fn a_mount_that_is_out_of_sight_gives_the_path_that_the_kernel_gives() {
    let place = Place::new();
    let from = place.dir("from");
    let to = place.dir("to");
    executable(&from.join("unseen"), &program::stays());
    mounts::privately(|| {
        mounts::bind(&from, &to);
        let probe = everything();
        let mut watch = Watch::new(&probe);
        let file = File::open(to.join("unseen")).unwrap();
        mounts::detach(&to);
        let kid = run_open(&file, &["x"]);
        let exec = watch.exec(kid.pid());
        assert_process(&exec);
        assert_eq!(exec.process.exe.path, link(kid.pid(), "exe"));
    });
}

#[test]
fn a_mount_of_ones_own_is_seen_from_within() {
    let place = Place::new();
    let own = place.dir("own");
    mounts::privately(|| {
        mounts::tmpfs(&own);
        let path = own.join("private");
        executable(&path, &program::stays());
        let probe = everything();
        let mut watch = Watch::new(&probe);
        let kid = Kid::run(&path, &["x"]);
        let exec = watch.exec(kid.pid());
        assert_process(&exec);
        assert_paths(&exec);
        assert_eq!(exec.process.exe.path, string(&path));
        assert!(!exec.process.exe.memfd, "a tmpfs that is mounted is no memfd");
        assert!(!exec.process.exe.deleted);
    });
}

#[test]
fn devtmpfs_is_no_memfd() {
    let dev = Place::new();
    mounts::privately(|| {
        let probe = everything();
        let mut watch = Watch::new(&probe);
        let mounted = dev.dir("dev");
        mounts::mount("devtmpfs", &mounted, "devtmpfs", 0, "");
        // The kernel has one devtmpfs: what is put here stands in /dev.
        let inside = tempfile::Builder::new().prefix(".picket-test-").tempdir_in(&mounted).unwrap();
        let path = inside.path().join("device");
        executable(&path, &program::stays());
        let kid = Kid::run(&path, &["x"]);
        let exec = watch.exec(kid.pid());
        assert_process(&exec);
        assert_eq!(exec.process.exe.path, string(&path));
        assert!(!exec.process.exe.memfd);
    });
}

#[test]
fn a_changed_root_is_where_paths_begin() {
    let place = Place::new();
    let root = place.dir("root/inner");
    executable(&root.join("jailed"), &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let (call, dir) =
        (Call::new(Path::new("/inner/jailed"), &["x"]), c(&place.path().join("root")));
    let kid = Kid::fork(|| {
        // SAFETY: ended strings.
        unsafe {
            must(libc::chroot(dir.as_ptr()));
            must(libc::chdir(c"/inner".as_ptr()));
        }
        call.exec();
    });
    let exec = watch.exec(kid.pid());
    assert_process(&exec);
    assert_eq!(exec.process.exe.path, "/inner/jailed");
    assert_eq!(exec.process.cwd.as_deref(), Some("/inner"));
    assert_eq!(exec.process.invoked_as, "/inner/jailed");
}

#[test]
fn a_root_as_working_directory() {
    let place = Place::new();
    let path = place.file("rooted", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let call = Call::new(&path, &["x"]);
    let kid = Kid::fork(|| {
        // SAFETY: an ended string.
        unsafe { must(libc::chdir(c"/".as_ptr())) };
        call.exec();
    });
    let exec = watch.exec(kid.pid());
    assert_paths(&exec);
    assert_eq!(exec.process.cwd.as_deref(), Some("/"));
}

#[test]
fn an_overlay_gives_the_merged_path_and_identity() {
    let place = Place::new();
    executable(&place.dir("lower").join("below"), &program::stays());
    mounts::privately(|| {
        mounts::overlay(&place.path());
        let merged = place.path().join("merged");
        executable(&merged.join("above"), &program::stays());
        let probe = everything();
        let mut watch = Watch::new(&probe);
        for name in ["below", "above"] {
            let path = merged.join(name);
            let kid = Kid::run(&path, &["x"]);
            let exec = watch.exec(kid.pid());
            assert_process(&exec);
            assert_paths(&exec);
            assert_eq!(exec.process.exe.path, string(&path));
            assert!(!exec.process.exe.deleted && !exec.process.exe.memfd);
        }
    });
}

#[test]
fn in_a_pid_namespace_the_pid_is_the_outer_one() {
    let place = Place::new();
    let path = place.file("inner-init", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let call = Call::new(&path, &["x"]);
    let slate = Slate::new();
    let outer = Kid::fork(|| {
        // SAFETY: plain system calls; the child only makes more of them.
        unsafe {
            must(libc::unshare(libc::CLONE_NEWPID));
            let pid = must(libc::fork());
            if pid == 0 {
                must(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL));
                call.exec();
                quit(127);
            }
            slate.put(0, pid.cast_unsigned());
        }
        pause();
    });
    // The one that forked is outside, and so is the number that it was given.
    let pid = slate.wait(0);
    let exec = watch.exec(pid);
    let p = &exec.process;
    assert_eq!(p.exe.path, string(&path));
    assert_eq!(status(pid, "NSpid"), [pid, 1]);
    assert_process(&exec);
    assert_eq!(p.ppid, outer.pid());
    assert_eq!(exec.ancestry[0].pid, outer.pid());
}
