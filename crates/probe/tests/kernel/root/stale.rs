//! A verdict is on a file's content: whatever changes it, ends it.

use std::fs::{self, File, Permissions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;

use detect::plan::Verdict;

use super::filter::SETTLED;
use super::origin::{memfd, run_open};
use crate::kid::{self, one_at_a_time};
use crate::mounts;
use crate::place::{Place, executable};
use crate::program;
use crate::watch::{FENCE, Watch, filtered};

/// A program with room at its end that nothing reads.
fn roomy() -> Vec<u8> {
    [program::exits(), vec![b'.'; 64]].concat()
}

/// Other content of the same size.
fn other() -> Vec<u8> {
    [program::exits(), vec![b'!'; 64]].concat()
}

/// Changes a file through a shared mapping; looks before it writes, if wanted.
fn change_mapped(file: &File, look: bool) {
    let size = roomy().len();
    // SAFETY: a mapping of the whole file, used within its size, and gone at the end.
    unsafe {
        let map = libc::mmap(
            std::ptr::null_mut(),
            size,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED,
            file.as_raw_fd(),
            0,
        );
        assert_ne!(map, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        let last = map.cast::<u8>().add(size - 1);
        if look {
            assert_eq!(last.read_volatile(), b'.');
        }
        last.write_volatile(b'!');
        assert_eq!(libc::munmap(map, size), 0);
    }
}

fn open_to_write(path: &Path) -> File {
    File::options().read(true).write(true).open(path).unwrap()
}

/// A way to change a file.
type Change = (&'static str, fn(&Path));

const CHANGES: &[Change] = &[
    ("rewritten in place", |path| fs::write(path, other()).unwrap()),
    ("replaced by rename", |path| {
        let new = path.with_extension("new");
        fs::write(&new, other()).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o755)).unwrap();
        fs::rename(&new, path).unwrap();
    }),
    ("rewritten with its old times", |path| {
        let modified = fs::metadata(path).unwrap().modified().unwrap();
        let times = fs::FileTimes::new().set_modified(modified).set_accessed(modified);
        fs::write(path, other()).unwrap();
        open_to_write(path).set_times(times).unwrap();
        assert_eq!(fs::metadata(path).unwrap().modified().unwrap(), modified);
    }),
    ("removed and made again", |path| {
        fs::remove_file(path).unwrap();
        fs::write(path, other()).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }),
    ("given another mode", |path| {
        fs::set_permissions(path, Permissions::from_mode(0o711)).unwrap();
    }),
    ("changed through a mapping", |path| change_mapped(&open_to_write(path), false)),
    ("changed through a mapping after a look", |path| change_mapped(&open_to_write(path), true)),
];

/// Gives each file the verdict "benign", changes it, and expects it to cross again. All that do
/// not are told of at once.
fn assert_changes_end_verdicts(place: &Place, files: &[(PathBuf, Change)]) {
    let fence = place.file(FENCE, &program::exits());
    let probe = filtered(&[]);
    let mut watch = Watch::new(&probe);
    sleep(SETTLED);
    for (path, _) in files {
        let crossed = watch.crossed(kid::run(path), &fence).expect("unknown");
        watch.remember(&crossed.ask.unwrap(), Verdict::Benign);
        assert!(watch.crossed(kid::run(path), &fence).is_none(), "{path:?} is benign");
    }
    let mut hidden = Vec::new();
    for (path, (how, change)) in files {
        let mode = fs::metadata(path).unwrap().permissions();
        let alone = one_at_a_time();
        change(path);
        drop(alone);
        match watch.crossed(kid::run(path), &fence) {
            Some(crossed) => assert!(crossed.ask.is_some(), "{how}: a new verdict is wanted"),
            None => hidden.push(*how),
        }
        // Looked at last: looking could make a file system notice what it had not.
        let now = fs::metadata(path).unwrap().permissions();
        assert!(mode != now || fs::read(path).unwrap() != roomy(), "{how}: it changed");
    }
    assert!(hidden.is_empty(), "still benign although {hidden:?}");
}

fn in_dir(dir: &Path) -> Vec<(PathBuf, Change)> {
    let file = |(number, change): (usize, &Change)| {
        let path = dir.join(format!("changes{number}x"));
        executable(&path, &roomy());
        (path, *change)
    };
    CHANGES.iter().enumerate().map(file).collect()
}

#[test]
fn a_change_on_disk_ends_a_verdict() {
    let place = Place::new();
    assert_changes_end_verdicts(&place, &in_dir(&place.dir("disk")));
}

/// On a tmpfs a file changes through a shared mapping without a new change time: it is never
/// called benign, and crosses each time. That it may be worth watching can be kept.
#[test]
fn a_file_in_a_tmpfs_is_never_benign() {
    let place = Place::new();
    mounts::privately(|| {
        let dir = place.dir("tmpfs");
        mounts::tmpfs(&dir);
        let fence = place.file(FENCE, &program::exits());
        let (path, _) = in_dir(&dir).remove(0);
        let probe = filtered(&[]);
        let mut watch = Watch::new(&probe);
        sleep(SETTLED);
        for _ in 0..2 {
            let crossed = watch.crossed(kid::run(&path), &fence).expect("it crosses each time");
            let kept = watch.reader.remember(&crossed.ask.unwrap(), Verdict::Benign);
            assert!(!kept.unwrap(), "called benign");
        }
    });
}

/// An overlay promises no more than the file system that it writes to.
#[test]
fn a_file_in_an_overlay_above_a_tmpfs_is_never_benign() {
    let place = Place::new();
    mounts::privately(|| {
        let dir = place.dir("tmpfs");
        mounts::tmpfs(&dir);
        mounts::overlay(&dir);
        let fence = place.file(FENCE, &program::exits());
        let (path, _) = in_dir(&dir.join("merged")).remove(0);
        let probe = filtered(&[]);
        let mut watch = Watch::new(&probe);
        sleep(SETTLED);
        let crossed = watch.crossed(kid::run(&path), &fence).expect("unknown");
        let kept = watch.reader.remember(&crossed.ask.unwrap(), Verdict::Benign);
        assert!(!kept.unwrap(), "called benign");
    });
}

#[test]
fn a_change_in_an_overlay_ends_a_verdict() {
    let place = Place::new();
    mounts::privately(|| {
        mounts::overlay(&place.path());
        assert_changes_end_verdicts(&place, &in_dir(&place.path().join("merged")));
    });
}

#[test]
fn a_change_below_an_overlay_ends_a_verdict() {
    let place = Place::new();
    let lower = place.dir("lower");
    // The change copies the file up: what ran before and what runs now are two files.
    let files = in_dir(&lower);
    mounts::privately(|| {
        mounts::overlay(&place.path());
        let merged = place.path().join("merged");
        let files: Vec<_> = files
            .iter()
            .map(|(path, change)| (merged.join(path.file_name().unwrap()), *change))
            .collect();
        assert_changes_end_verdicts(&place, &files);
    });
}

#[test]
fn a_change_in_a_memory_file_ends_a_verdict() {
    let place = Place::new();
    let fence = place.file(FENCE, &program::exits());
    let probe = filtered(&[]);
    let mut watch = Watch::new(&probe);
    type Change = (&'static str, fn(&File));
    let changes: [Change; 3] = [
        ("written", |file| {
            std::os::unix::fs::FileExt::write_all_at(file, &other(), 0).unwrap();
        }),
        ("mapped", |file| change_mapped(file, false)),
        ("mapped after a look", |file| change_mapped(file, true)),
    ];
    let files = changes.map(|(how, change)| (how, change, memfd(c"changing", &roomy())));
    let run = |watch: &mut Watch<'_>, file: &File| {
        let mut kid = run_open(file, &["x"]);
        assert_eq!(kid.wait(), 0);
        watch.crossed(kid.pid(), &fence)
    };
    sleep(SETTLED);
    let mut hidden = Vec::new();
    for (how, change, file) in &files {
        let crossed = run(&mut watch, file).expect("unknown");
        // No verdict need be kept; one that is kept must not outlive the content.
        watch.reader.remember(&crossed.ask.unwrap(), Verdict::Benign).unwrap();
        change(file);
        if run(&mut watch, file).is_none() {
            hidden.push(*how);
        }
    }
    assert!(hidden.is_empty(), "still benign although {hidden:?}");
}
