//! Names and arguments made to confuse.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::facts::{assert_paths, assert_process, link, string};
use crate::kid::{self, Call, Kid, c, must, until_runs};
use crate::place::{Place, executable};
use crate::program;
use crate::watch::{Watch, everything};

/// How much of the arguments is kept, as `wire.h` promises.
const ARGS_LEN: usize = 8192;
/// … and with the pieces that follow it.
const MOST_ARGS: usize = 128 << 10;

#[test]
fn names_with_any_bytes() {
    let place = Place::new();
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let names: [(&[u8], &str); 6] = [
        (b"new\nline", "new\nline"),
        (b"\x1b[2J\x1b]0;x\x07", "\x1b[2J\x1b]0;x\x07"),
        (b"bad\xff\xfe\xc3", "bad\\xff\\xfe\\xc3"),
        (b" ", " "),
        (b"(deleted)", "(deleted)"),
        ("\u{202e}\u{e9}".as_bytes(), "\u{202e}\u{e9}"),
    ];
    for (bytes, shown) in names {
        let dir = place.dir(OsStr::from_bytes(&[b"in ", bytes].concat()));
        let path = dir.join(OsStr::from_bytes(bytes));
        executable(&path, &program::stays());
        let (call, cwd) = (Call::new(&path, &["x"]), c(&dir));
        let kid = Kid::fork(|| {
            // SAFETY: an ended string.
            unsafe { must(libc::chdir(cwd.as_ptr())) };
            call.exec();
        });
        let exec = watch.exec(kid.pid());
        let p = &exec.process;
        let expected = format!("{}/in {shown}/{shown}", place.path().display());
        assert_eq!(p.exe.path, expected);
        assert_eq!(p.invoked_as, expected);
        assert_eq!(p.cwd, Some(format!("{}/in {shown}", place.path().display())));
        assert!(!p.exe.deleted && !p.exe.path_truncated);
    }
}

#[test]
fn a_name_that_ends_as_the_kernel_marks_the_deleted() {
    let place = Place::new();
    let path = place.file("real (deleted)", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let kid = Kid::run(&path, &["x"]);
    let exec = watch.exec(kid.pid());
    assert_paths(&exec);
    assert!(!exec.process.exe.deleted);
    assert_eq!(exec.process.exe.path, string(&path));
}

#[test]
fn arguments_with_any_bytes_and_none() {
    let place = Place::new();
    let path = place.file("arguments", &program::exits());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let cases: [(&[&[u8]], &[&str]); 6] = [
        (&[b"a", b"\xff\xfe", b"\xc3", b"end"], &["a", "\\xff\\xfe", "\\xc3", "end"]),
        (&[b"", b"", b""], &["", "", ""]),
        (&[b"x", b"", b"y", b""], &["x", "", "y", ""]),
        (&[b""], &[""]),
        (&[b"\n", b"\x1b[31m", b"\\xff"], &["\n", "\x1b[31m", "\\xff"]),
        // The kernel puts an empty one where there is none.
        (&[], &[""]),
    ];
    for (given, expected) in cases {
        let given: Vec<&OsStr> = given.iter().map(|bytes| OsStr::from_bytes(bytes)).collect();
        let call = Call::new(&path, &given);
        let mut kid = Kid::fork(|| call.exec());
        assert_eq!(kid.wait(), 0);
        let exec = watch.exec(kid.pid());
        assert_eq!(exec.process.args, expected);
        assert!(!exec.process.args_truncated);
        assert_eq!(exec.process.comm, "arguments");
    }
}

#[test]
fn arguments_up_to_the_limit_are_whole() {
    let place = Place::new();
    let path = place.file("limit", &program::exits());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    // The kernel side alone must tell: the process is gone.
    for extra in [0, 1, 20_000, MOST_ARGS - ARGS_LEN - 1, MOST_ARGS - ARGS_LEN, MOST_ARGS] {
        let all = ARGS_LEN + extra;
        let mut args = vec!["first".to_owned()];
        let mut room = all - 6;
        while room > 0 {
            // With its NUL; Linux takes less than 128 KiB for one.
            let one = room.min(60_000);
            args.push("f".repeat(one - 1));
            room -= one;
        }
        let call = Call::new(&path, &args);
        let mut kid = Kid::fork(|| call.exec());
        assert_eq!(kid.wait(), 0);
        let exec = watch.exec(kid.pid());
        let p = &exec.process;
        assert_eq!(p.args_truncated, all > MOST_ARGS, "{all} bytes");
        let mut passed = args.join("\0");
        passed.truncate(MOST_ARGS);
        assert!(p.args.join("\0") == passed, "{all} bytes: other arguments than were passed");
    }
}

#[test]
fn two_megabytes_of_arguments() {
    let place = Place::new();
    let path = place.file("much", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    // Linux takes a quarter of the stack's limit of 8 MiB, a pointer for each argument
    // included, and 128 KiB for one.
    let many: Vec<String> = (0..120_000).map(|n| format!("{n:06}")).collect();
    let mut long = vec!["much".to_owned(), "-x".to_owned()];
    long.extend((b'a'..=b'o').map(|c| char::from(c).to_string().repeat(127 << 10)));
    for args in [many, long] {
        let call = Call::new(&path, &args);
        let kid = Kid::fork(|| call.exec());
        let exec = watch.exec(kid.pid());
        let p = &exec.process;
        assert!(p.args_truncated);
        assert_eq!(p.args[..2], args[..2]);
        let cmdline = fs::read(format!("/proc/{}/cmdline", kid.pid())).unwrap();
        assert!(cmdline.len() > 800_000, "{} bytes were passed", cmdline.len());
        // It lives, so that more than the kernel side sends can be read; not all of it.
        let kept = p.args.join("\0");
        assert_eq!(kept.len(), 128 << 10);
        assert!(kept.as_bytes() == &cmdline[..128 << 10], "other arguments than were passed");
        assert_eq!(p.exe.path, string(&path));
    }
}

#[test]
fn names_as_long_as_they_get() {
    let place = Place::new();
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let dir = place.dir("d".repeat(255));
    let path = dir.join("n".repeat(255));
    executable(&path, &program::stays());
    let kid = Kid::run(&path, &["x"]);
    let exec = watch.exec(kid.pid());
    assert_process(&exec);
    assert_paths(&exec);
    assert_eq!(exec.process.exe.path, string(&path));
    assert_eq!(exec.process.comm, "n".repeat(15));
}

/// A directory this many levels down, each with a name this long; the next level's number
/// stands in each name.
fn deep(place: &Place, levels: usize, name: usize) -> PathBuf {
    let mut path = place.path();
    for level in 0..levels {
        path.push(format!("{level:0name$}"));
    }
    fs::create_dir_all(&path).unwrap();
    path
}

fn components(path: &Path) -> usize {
    path.components().count() - 1
}

#[test]
fn a_path_nearly_as_long_as_the_kernel_takes() {
    let place = Place::new();
    let dir = deep(&place, 15, 250);
    let room = 4095 - dir.as_os_str().len() - 1;
    let dir = dir.join("r".repeat(room - 100));
    fs::create_dir(&dir).unwrap();
    let path = dir.join("x".repeat(99));
    assert_eq!(path.as_os_str().len(), 4095);
    executable(&path, &program::exits());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    // It ends at once: the kernel side alone must know it.
    let exec = watch.exec(kid::run(&path));
    assert!(!exec.process.exe.path_truncated);
    assert_eq!(exec.process.exe.path, string(&path));
    assert_eq!(exec.process.invoked_as, string(&path));
}

#[test]
fn more_components_than_are_followed_of_a_living_process() {
    let place = Place::new();
    let path = deep(&place, 90, 2).join("deep");
    executable(&path, &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let kid = Kid::run(&path, &["x"]);
    let exec = watch.exec(kid.pid());
    assert_process(&exec);
    assert_eq!(exec.process.exe.path, string(&path));
    assert!(!exec.process.exe.path_truncated);
}

#[test]
fn more_components_than_are_followed_of_a_dead_process() {
    let place = Place::new();
    let path = deep(&place, 90, 2).join("deep");
    executable(&path, &program::exits());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let exec = watch.exec(kid::run(&path));
    assert!(exec.process.exe.path_truncated);
    assert!(string(&path).ends_with(&exec.process.exe.path), "{}", exec.process.exe.path);
}

#[test]
fn every_number_of_components_up_to_the_limit_is_followed() {
    let place = Place::new();
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let base = components(&place.path());
    for wanted in [base + 2, 32, 62, 63] {
        let path = deep(&place, wanted - base - 1, 2).join(format!("of-{wanted}"));
        executable(&path, &program::exits());
        assert_eq!(components(&path), wanted);
        let exec = watch.exec(kid::run(&path));
        assert!(!exec.process.exe.path_truncated, "{wanted}");
        assert_eq!(exec.process.exe.path, string(&path));
    }
}

/// The process lives, but runs something else by the time its record is read.
#[test]
fn a_deep_path_is_not_that_of_the_next_program() {
    let place = Place::new();
    let path = deep(&place, 90, 2).join("before");
    fs::rename(place.shell("before"), &path).unwrap();
    let next = place.file("next", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let kid = Kid::run(&path, &["before", "-c", "exec \"$1\"", "x", next.to_str().unwrap()]);
    until_runs(kid.pid(), &next);
    let exec = watch.exec_as(kid.pid(), "before");
    assert_true_or_truncated(&exec, &path);
}

#[test]
fn a_deep_path_that_is_gone_has_no_mark_in_it() {
    let place = Place::new();
    let path = deep(&place, 90, 2).join("gone");
    executable(&path, &program::stays());
    let file = File::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let kid = super::origin::run_open(&file, &["x"]);
    let exec = watch.exec(kid.pid());
    assert!(exec.process.exe.deleted);
    assert_true_or_truncated(&exec, &path);
}

#[test]
fn a_deep_path_in_a_changed_root_begins_there() {
    let place = Place::new();
    let outer = deep(&place, 90, 2).join("jailed");
    executable(&outer, &program::stays());
    let inner = Path::new("/").join(outer.strip_prefix(place.path()).unwrap());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let (call, root) = (Call::new(&inner, &["x"]), c(&place.path()));
    let kid = Kid::fork(|| {
        // SAFETY: an ended string.
        unsafe { must(libc::chroot(root.as_ptr())) };
        call.exec();
    });
    let exec = watch.exec(kid.pid());
    assert_true_or_truncated(&exec, &inner);
}

#[track_caller]
fn assert_true_or_truncated(exec: &event::Exec, path: &Path) {
    let exe = &exec.process.exe;
    if exe.path_truncated {
        assert!(string(path).ends_with(&exe.path), "{} is no end of {path:?}", exe.path);
    } else {
        assert_eq!(exe.path, string(path));
    }
}

#[test]
fn a_deep_working_directory_is_true_or_none() {
    let place = Place::new();
    let dir = deep(&place, 90, 2);
    let path = place.file("wanderer", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let (call, cwd) = (Call::new(&path, &["x"]), c(&dir));
    let kid = Kid::fork(|| {
        // SAFETY: an ended string.
        unsafe { must(libc::chdir(cwd.as_ptr())) };
        call.exec();
    });
    let exec = watch.exec(kid.pid());
    assert!(exec.process.cwd.is_none_or(|cwd| cwd == link(kid.pid(), "cwd")));
    assert_eq!(exec.process.exe.path, string(&path));
}

/// Longer than any path that can be asked for: reached step by step.
#[test]
fn a_path_longer_than_any_is_truncated_and_said_to_be() {
    let place = Place::new();
    let mut dir = OwnedFd::from(File::open(place.path()).unwrap());
    let mut whole = string(&place.path());
    for level in 0..30 {
        let name = format!("{level:0200}");
        let text = c(Path::new(&name));
        // SAFETY: an ended string, an open directory; the new descriptor is nobody else's.
        dir = unsafe {
            assert_eq!(libc::mkdirat(dir.as_raw_fd(), text.as_ptr(), 0o755), 0);
            let flags = libc::O_DIRECTORY | libc::O_CLOEXEC;
            let fd = libc::openat(dir.as_raw_fd(), text.as_ptr(), flags);
            assert!(fd >= 0, "{}", std::io::Error::last_os_error());
            OwnedFd::from_raw_fd(fd)
        };
        whole = format!("{whole}/{name}");
    }
    executable(&PathBuf::from(format!("/proc/self/fd/{}/far", dir.as_raw_fd())), &program::stays());
    whole.push_str("/far");
    assert!(whole.len() > 6000);
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let (call, fd) = (Call::new(Path::new("./far"), &["x"]), dir.as_raw_fd());
    let kid = Kid::fork(|| {
        // SAFETY: an open directory.
        unsafe { must(libc::fchdir(fd)) };
        call.exec();
    });
    let exec = watch.exec(kid.pid());
    let p = &exec.process;
    assert!(p.exe.path_truncated);
    assert!(whole.ends_with(&p.exe.path));
    assert!(p.exe.path.len() > 3000, "{} bytes of it", p.exe.path.len());
    assert_eq!(p.cwd, None);
    assert_eq!(p.invoked_as, "./far");
    assert_eq!(p.args, ["x"]);
}
