//! Roots that somebody furnished to lead astray, to hold up, or to break.

use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::package::header;
use crate::package::sqlite::{Database, Value, values};

const SERVER: &str = "/usr/sbin/server";

/// A root with one package and the databases of dpkg and apk.
fn furnished() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, SERVER, PROGRAM);
    write(root, "var/lib/dpkg/info/server.list", format!("/.\n/usr\n/usr/sbin\n{SERVER}\n"));
    let sum = run(Command::new("md5sum").arg(root.join(&SERVER[1..])));
    write(root, "var/lib/dpkg/info/server.md5sums", format!("{}  usr/sbin/server\n", &sum[..32]));
    let status = "Package: server\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n";
    write(root, "var/lib/dpkg/status", status);
    assert_eq!(answer(root, SERVER).as_deref(), Some("server 1 dpkg intact"));
    dir
}

/// The processor time that work takes.
fn spent_on<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let spent = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
    };
    let before = spent();
    let done = work();
    (done, spent() - before)
}

/// It must take little work, however busy the machine is.
fn quickly<T>(work: impl FnOnce() -> T) -> T {
    let (done, took) = spent_on(work);
    assert!(took < Duration::from_secs(5), "{took:?}");
    done
}

fn fifo(path: &Path) {
    fs::remove_file(path).ok();
    run(Command::new("mkfifo").arg(path));
}

#[test]
fn a_link_does_not_lead_out_of_the_root() {
    let outside = furnished();
    let root = tempfile::tempdir().unwrap();
    write(root.path(), SERVER, PROGRAM);
    fs::create_dir_all(root.path().join("var/lib")).unwrap();
    let dpkg = outside.path().join("var/lib/dpkg");
    let up = format!("../../../../../../../../..{}", dpkg.display());
    for target in [dpkg.clone(), PathBuf::from(up), PathBuf::from("/proc/self/root").join(&dpkg)] {
        let link = root.path().join("var/lib/dpkg");
        symlink(&target, &link).unwrap();
        assert!(link.join("status").exists(), "the link is not what it is to be");
        assert_eq!(answer(root.path(), SERVER), None, "{}", target.display());
        fs::remove_file(link).unwrap();
    }
    // One file only.
    fs::create_dir_all(root.path().join("var/lib/dpkg/info")).unwrap();
    let list = root.path().join("var/lib/dpkg/info/server.list");
    symlink(dpkg.join("info/server.list"), list).unwrap();
    let said = problem(root.path(), SERVER);
    assert!(said.contains("server.list: Symlink, expected a regular file"), "{said}");
}

#[test]
fn links_in_a_circle_are_said() {
    let root = furnished();
    let dpkg = root.path().join("var/lib/dpkg");
    fs::remove_dir_all(&dpkg).unwrap();
    symlink("dpkg", &dpkg).unwrap();
    let said = problem(root.path(), SERVER);
    assert!(said.contains("var/lib/dpkg/info") && said.contains("symbolic link"), "{said}");
}

#[test]
fn what_is_no_regular_file_is_not_opened() {
    for path in ["info/server.list", "info/server.md5sums", "status", "diversions"] {
        let root = furnished();
        let path = root.path().join("var/lib/dpkg").join(path);
        fifo(&path);
        let said = quickly(|| problem(root.path(), SERVER));
        assert!(said.contains("Fifo, expected a regular file"), "{said}");
        fs::remove_file(&path).unwrap();
        // /dev/zero, which never ends.
        run(Command::new("mknod").arg(&path).args(["c", "1", "5"]));
        let said = quickly(|| problem(root.path(), SERVER));
        assert!(said.contains("CharacterDevice, expected a regular file"), "{said}");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let said = quickly(|| problem(root.path(), SERVER));
        assert!(said.contains("Directory, expected a regular file"), "{said}");
    }
    for path in ["var/lib/rpm/rpmdb.sqlite", "lib/apk/db/installed", "var/lib/rpm/Packages"] {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), SERVER, PROGRAM);
        write(root.path(), path, "");
        fifo(&root.path().join(path));
        let said = quickly(|| problem(root.path(), SERVER));
        assert!(said.contains(path) && said.contains("Fifo"), "{said}");
    }
}

#[test]
fn a_huge_list_is_not_read_and_does_not_hide_the_others() {
    let root = furnished();
    let huge = root.path().join("var/lib/dpkg/info/aaa.list");
    File::create(&huge).unwrap().set_len(1 << 30).unwrap();
    let found = quickly(|| answer(root.path(), SERVER));
    assert_eq!(found.as_deref(), Some("server 1 dpkg intact"));
    fs::remove_file(root.path().join("var/lib/dpkg/info/server.list")).unwrap();
    let said = quickly(|| problem(root.path(), SERVER));
    assert!(said.contains("aaa.list: 1073741824 bytes"), "{said}");
}

#[test]
fn many_large_lists_end_somewhere() {
    let root = furnished();
    let large = |number: u32| {
        let path = root.path().join(format!("var/lib/dpkg/info/a{number}.list"));
        File::create(path).unwrap().set_len(60 << 20).unwrap();
    };
    large(0);
    let (_, one) = spent_on(|| answer(root.path(), SERVER));
    (1..100).for_each(large);
    // What is left is enough for the small one.
    let (found, all) = spent_on(|| answer(root.path(), SERVER));
    assert_eq!(found.as_deref(), Some("server 1 dpkg intact"));
    fs::remove_file(root.path().join("var/lib/dpkg/info/server.list")).unwrap();
    let (said, again) = spent_on(|| problem(root.path(), SERVER));
    assert!(said.contains("that are still read"), "{said}");
    // 512 MiB are read of a root: as much as eight and a half of them, and twice that is too much.
    for took in [all, again] {
        assert!(took < one * 17, "{took:?}, and one of them {one:?}");
    }
}

#[test]
fn zero_bytes_and_long_lines_are_skipped() {
    let root = furnished();
    let long = "/x".repeat(100_000);
    let list = format!("\0\n/usr\0/sbin/server\n{long}{SERVER}\n/\0{SERVER}\nserver\n{SERVER}");
    write(root.path(), "var/lib/dpkg/info/server.list", list);
    assert_eq!(answer(root.path(), SERVER).as_deref(), Some("server 1 dpkg intact"));
    write(
        root.path(),
        "var/lib/dpkg/info/server.list",
        format!("/usr\0/sbin/server\n{long}{SERVER}\n"),
    );
    assert_eq!(answer(root.path(), SERVER), None);
    write(root.path(), "var/lib/dpkg/info/server.list", format!("{SERVER}\n"));
    let version = "1".repeat(100_000);
    let status = format!("Package: server\nStatus: install ok installed\nVersion: {version}\n");
    write(root.path(), "var/lib/dpkg/status", status);
    assert_eq!(answer(root.path(), SERVER), None);
}

#[test]
fn endless_claims_are_answered_in_time() {
    let root = furnished();
    let mut list = String::new();
    for number in 0..300_000 {
        list += &format!("/{number}/server\n");
    }
    write(root.path(), "var/lib/dpkg/info/a.list", &list);
    let found = quickly(|| answer(root.path(), SERVER));
    assert_eq!(found.as_deref(), Some("server 1 dpkg intact"));
    fs::remove_dir_all(root.path().join("var/lib/dpkg")).unwrap();
    let files = "R:server\nZ:Q1uohe/3WOAvwKRHyb3hAlaxgvcMg=\n".repeat(300_000);
    let database = format!("P:server\nV:1\nF:usr/sbin\n{files}");
    write(root.path(), "lib/apk/db/installed", database);
    let found = quickly(|| answer(root.path(), SERVER));
    assert_eq!(found.as_deref(), Some("server 1 apk changed"));
}

/// Written to the format: Debian has no apk.
#[test]
fn apk_is_asked_too() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    merge_usr(root);
    write(root, SERVER, "");
    for path in ["usr/lib/apk/db/installed", "lib/apk/db/installed"] {
        let database =
            "P:server\nV:1.2-r3\nF:sbin\nR:server\na:0:0:755\nZ:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=\n\n";
        write(root, path, database);
        assert_eq!(answer(root, SERVER).as_deref(), Some("server 1.2-r3 apk intact"));
    }
    write(root, SERVER, "x");
    assert_eq!(answer(root, SERVER).as_deref(), Some("server 1.2-r3 apk changed"));
}

#[test]
fn a_package_whose_checksum_holds_is_the_owner() {
    let root = furnished();
    let apk = "P:false\nV:9\nF:usr/sbin\nR:server\nZ:Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=\n\n";
    write(root.path(), "lib/apk/db/installed", apk);
    assert_eq!(answer(root.path(), SERVER).as_deref(), Some("server 1 dpkg intact"));
    write(root.path(), SERVER, "");
    assert_eq!(answer(root.path(), SERVER).as_deref(), Some("false 9 apk intact"));
    write(root.path(), SERVER, "x");
    assert_eq!(answer(root.path(), SERVER).as_deref(), Some("server 1 dpkg changed"));
}

#[test]
fn a_root_that_is_gone_is_said() {
    let file = tempfile::tempfile().unwrap();
    let packages = Packages::below(Path::new("/proc/4294967295/root"));
    let said = packages.owner(SERVER, &file).unwrap_err().to_string();
    assert!(said.contains("/proc/4294967295/root: No such file"), "{said}");
}

#[test]
fn a_damaged_text_never_panics() {
    let root = furnished();
    let mut dice = Dice(1);
    let diversions = format!("/a\n/b\n:\n{SERVER}\n{SERVER}.real\nother\n");
    write(root.path(), "var/lib/dpkg/diversions", diversions);
    write(root.path(), "lib/apk/db/installed", "P:s\nV:1\nF:usr/sbin\nR:server\nZ:Q12jmj7l5rSw=\n");
    let files = ["var/lib/dpkg/info/server.list", "var/lib/dpkg/info/server.md5sums"];
    let more = ["var/lib/dpkg/status", "var/lib/dpkg/diversions", "lib/apk/db/installed"];
    for path in files.iter().chain(&more) {
        let sound = fs::read(root.path().join(path)).unwrap();
        for _ in 0..200 {
            let mut bytes = sound.clone();
            dice.damage(&mut bytes);
            fs::write(root.path().join(path), bytes).unwrap();
            ask(root.path(), SERVER).ok();
        }
        fs::write(root.path().join(path), sound).unwrap();
    }
}

#[test]
fn a_damaged_header_never_panics() {
    let installed = rpm::Installed::new();
    let database = Database::open(File::open(installed.database()).unwrap(), None).unwrap();
    let packages = database.root_of("table", "Packages").unwrap().unwrap();
    let row = database.row(packages, 1).unwrap().unwrap();
    let values = values(&row).unwrap();
    let Value::Blob(blob) = values[1] else {
        panic!("{values:?}");
    };
    assert!(header::tests::ask_everything(blob) > 10);
    for size in 0..blob.len() {
        assert_eq!(header::tests::ask_everything(&blob[..size]), 0, "{size}");
    }
    let mut dice = Dice(2);
    let mut parsed = 0;
    for _ in 0..20_000 {
        let mut bytes = blob.to_vec();
        dice.damage(&mut bytes);
        parsed += usize::from(header::tests::ask_everything(&bytes) > 0);
    }
    assert!(parsed > 5_000, "only {parsed} were worth asking");
}

#[test]
fn a_damaged_database_never_panics() {
    let installed = rpm::Installed::new();
    let root = installed.root();
    let path = installed.database();
    let program = "/usr/sbin/tiny-server";
    let sound = fs::read(&path).unwrap();
    let (mut dice, mut found, mut said) = (Dice(3), 0, 0);
    for round in 0..1000 {
        let mut bytes = sound.clone();
        // Half of the damage goes to where trees begin.
        if round % 2 == 0 {
            for _ in 0..4 {
                let page = dice.below(bytes.len() / 4096) * 4096;
                let at = page + dice.below(160);
                bytes[at] = u8::try_from(dice.below(256)).unwrap();
            }
        } else {
            dice.damage(&mut bytes);
        }
        fs::write(&path, bytes).unwrap();
        match quickly(|| ask(&root, program)) {
            Ok(owner) => found += usize::from(owner.is_some()),
            Err(problem) => {
                said += 1;
                let text = problem.to_string();
                assert!(text.contains("rpmdb.sqlite: "), "{text}");
            }
        }
    }
    assert!(found > 100 && said > 100, "{found} found, {said} said");
    for size in [0, 1, 99, 100, 511, 4096, sound.len() / 2, sound.len() - 1] {
        fs::write(&path, &sound[..size]).unwrap();
        ask(&root, program).ok();
    }
}

/// A tree whose pages point to themselves, and an index that is all one name.
#[test]
fn a_tree_in_a_circle_ends() {
    let installed = rpm::Installed::new();
    let path = installed.database();
    let sound = fs::read(&path).unwrap();
    let database = Database::open(File::open(&path).unwrap(), None).unwrap();
    for (kind, name) in
        [("table", "Packages"), ("table", "Basenames"), ("index", "Basenames_key_idx")]
    {
        let number = database.root_of(kind, name).unwrap().unwrap();
        let start = (usize::try_from(number).unwrap() - 1) * 4096;
        let mut bytes = sound.clone();
        let inner = if kind == "table" { 5 } else { 2 };
        let own = number.to_be_bytes();
        // Three hundred cells, all of them the same, all leading to this very page.
        let cell = if kind == "table" {
            [&own[..], &[1]].concat()
        } else {
            [&own[..], &[15, 3, 35, 1], b"tiny-server", &[1]].concat()
        };
        bytes[start..start + 12]
            .copy_from_slice(&[inner, 0, 0, 1, 44, 15, 0, 0, own[0], own[1], own[2], own[3]]);
        for at in 0..300 {
            let to = start + 12 + 2 * at;
            bytes[to..to + 2].copy_from_slice(&3840_u16.to_be_bytes());
        }
        bytes[start + 3840..start + 3840 + cell.len()].copy_from_slice(&cell);
        fs::write(&path, bytes).unwrap();
        let said = quickly(|| problem(&installed.root(), "/usr/sbin/tiny-server"));
        assert!(said.contains("a tree without end") || said.contains("too much"), "{said}");
    }
}

#[test]
fn a_damaged_log_never_panics() {
    let installed = rpm::Installed::new();
    let path = installed.root().join("var/lib/rpm/rpmdb.sqlite-wal");
    let mut dice = Dice(4);
    let make = "
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute('PRAGMA wal_autocheckpoint = 0')
for n in range(20):
    db.execute('INSERT INTO Basenames VALUES (?, 1, 99)', (f'file-{n}',))
    db.commit()
os._exit(0)
";
    run(Command::new("python3").args(["-c", make]).arg(installed.database()));
    let sound = fs::read(&path).unwrap();
    assert!(sound.len() > 4096, "{}", sound.len());
    for _ in 0..500 {
        let mut bytes = sound.clone();
        dice.damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        // A log that does not add up is none; the database itself is sound.
        let found = answer(&installed.root(), "/usr/sbin/tiny-server");
        assert_eq!(found.as_deref(), Some("tiny-server 1:2.0-3.el9 rpm intact"));
    }
}
