//! The facts of processes whose execution did not cross.

use std::fs;
use std::thread::sleep;

use detect::plan::Verdict;
use event::{Exec, ProcessKey};

use super::filter::SETTLED;
use super::listen::{bound, serve};
use crate::facts::{self, assert_file, assert_paths, string};
use crate::kid::{Call, Kid, c, must};
use crate::place::Place;
use crate::program;
use crate::server::{OK, Server};
use crate::watch::{FENCE, Watch, everything, filtered};

/// Compares what was recovered with what crossed: they must agree in all that both can know.
#[track_caller]
fn assert_same(found: &Exec, crossed: &Exec) {
    assert_eq!(found.boot_ns, crossed.process.start_boot_ns);
    assert_eq!(found.time, crossed.process.start);
    assert_eq!((found.seq, found.seeded), (0, false));
    assert_eq!(found.process, crossed.process);
    assert_eq!(found.file, crossed.file);
    assert_eq!(found.ancestry, crossed.ancestry);
}

fn key(pid: u32, watch: &mut Watch<'_>) -> ProcessKey {
    watch.exec(pid).process.key()
}

#[test]
fn everything_is_as_if_it_had_crossed() {
    let place = Place::new();
    let path = place.file("recovered", &program::stays());
    let cwd = place.dir("work");
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let call = Call::new(&path, &["another name", "one", "", "two words", "\u{e9}"]);
    let dir = c(&cwd);
    let kid = Kid::fork(|| {
        // SAFETY: an ended string; plain system calls.
        unsafe {
            must(libc::chdir(dir.as_ptr()));
            must(libc::setsid());
        }
        call.exec();
    });
    let crossed = watch.exec(kid.pid());
    let found = watch.reader.recover(kid.pid(), crossed.process.start_boot_ns).unwrap();
    assert_paths(&found);
    assert_same(&found, &crossed);
    assert_file(&found.process.exe, &fs::metadata(&path).unwrap());
}

#[test]
fn a_script_a_link_and_a_removed_file() {
    let place = Place::new();
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let interpreter = place.file("speaker", &program::stays());
    let script = place.file("play", format!("#!{} -x\n", interpreter.display()).as_bytes());
    let link = place.path().join("linked");
    std::os::unix::fs::symlink(&interpreter, &link).unwrap();
    let name = format!("named-with-more-letters-than-lineage-keeps-{}", "x".repeat(20));
    let long = place.file(name, &program::stays());
    for (path, interpreted) in [(&script, true), (&link, false), (&long, false)] {
        let kid = Kid::run(path, &["a", "b"]);
        let crossed = watch.exec(kid.pid());
        let found = watch.reader.recover(kid.pid(), crossed.process.start_boot_ns).unwrap();
        assert_eq!(found.process.interpreter.is_some(), interpreted);
        assert_same(&found, &crossed);
    }
    let removed = place.file("removed", &program::stays());
    let kid = Kid::run(&removed, &["gone"]);
    let key = key(kid.pid(), &mut watch);
    fs::remove_file(&removed).unwrap();
    let found = watch.reader.recover(key.pid, key.start_boot_ns).unwrap();
    assert!(found.process.exe.deleted);
    assert_eq!(found.process.exe.path, string(&removed));
    assert_eq!(found.process.exe.links, 0);
}

/// What this is for: a file of a benign verdict, that then listens.
#[test]
fn an_execution_that_was_filtered_out() {
    let place = Place::new();
    let fence = place.file(FENCE, &program::exits());
    let path = place.file("benign", &program::listens());
    let call = Call::new(&path, &["benign", "and", "filtered"]);
    let probe = filtered(&[]);
    let mut watch = Watch::new(&probe);
    sleep(SETTLED);
    let first = serve(&call, &bound(false).0);
    watch.listen(first.pid());
    let crossed = watch.crossed(first.pid(), &fence).expect("unknown, so it crosses");
    watch.remember(&crossed.ask.unwrap(), Verdict::Benign);

    let second = serve(&call, &bound(false).0);
    let listen = watch.listen(second.pid());
    assert!(watch.crossed(second.pid(), &fence).is_none(), "benign");
    let found = watch.reader.recover(listen.pid, listen.start_boot_ns).unwrap();
    let expected = event::Process {
        pid: listen.pid,
        start: found.process.start,
        start_boot_ns: listen.start_boot_ns,
        ..crossed.exec.process.clone()
    };
    assert_eq!(found.process, expected);
    assert_eq!(found.file, crossed.exec.file);
    assert_eq!(found.ancestry, crossed.exec.ancestry);

    drop(second);
    let left = watch.reader.recover(listen.pid, listen.start_boot_ns).unwrap();
    assert_eq!(left.file, None);
    assert_eq!(left.process.exe.path, string(&path));
    assert_eq!(left.process.args, found.process.args);
    assert_eq!(left.ancestry, found.ancestry);
}

/// Of the dead there is what lineage keeps of those who listened.
#[test]
fn of_a_dead_process_lineage_is_left() {
    let place = Place::new();
    let path = place.file("mortal", &program::stays());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let kid = Kid::run(&path, &["mortal", "one"]);
    let pid = kid.pid();
    let crossed = watch.exec(pid);
    drop(kid);
    let start = crossed.process.start_boot_ns;
    let found = watch.reader.recover(pid, start).unwrap();
    let p = &found.process;
    assert_eq!(p.key(), crossed.process.key());
    assert_eq!(p.exe.path, string(&path));
    assert_eq!((&p.comm, &p.args), (&crossed.process.comm, &crossed.process.args));
    assert_eq!(p.ppid, std::process::id());
    assert_eq!(found.file, None);
    assert_eq!(found.ancestry.len(), crossed.ancestry.len());
    // Another of the same pid is not taken for it.
    assert_eq!(watch.reader.recover(pid, start + 1_000_000_000), None);
    assert_eq!(watch.reader.recover(std::process::id(), start), None);
}

#[test]
fn of_what_ran_before_it_is_said_so() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    // This process ran before; that it listens tells its start.
    let server = Server::new(OK);
    let listen = server.listen(&mut watch);
    let found = watch.reader.recover(listen.pid, listen.start_boot_ns).unwrap();
    assert!(found.seeded);
    assert_eq!(found.process.key(), listen.key());
    assert_eq!(found.process.exe.path, string(&std::env::current_exe().unwrap()));
    assert_eq!(found.process.args, std::env::args().collect::<Vec<_>>());
    facts_agree(&found);
}

#[track_caller]
fn facts_agree(found: &Exec) {
    let p = &found.process;
    assert_eq!(u64::from(p.ppid), facts::stat(p.pid, facts::PPID));
    assert_eq!(u64::from(p.session), facts::stat(p.pid, facts::SESSION));
    assert_eq!(p.tty, facts::stat(p.pid, facts::TTY) != 0);
    assert_eq!(p.uid, facts::status(p.pid, "Uid")[0]);
    facts::assert_place(found, &facts::text(p.pid, "cgroup"));
}
