//! Scripts: what runs is the interpreter.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;

use crate::facts::{assert_paths, assert_process, string};
use crate::kid::{Call, Kid, must};
use crate::place::Place;
use crate::program;
use crate::watch::{Watch, everything};

#[test]
fn a_script_names_its_interpreter() {
    let place = Place::new();
    let interpreter = place.file("speaker", &program::stays());
    let script = place.file("play", format!("#!{} two words\n", interpreter.display()).as_bytes());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let kid = Kid::run(&script, &["ignored", "one", ""]);
    let exec = watch.exec(kid.pid());
    assert_process(&exec);
    assert_paths(&exec);
    let p = &exec.process;
    let (interpreter, script) = (string(&interpreter), string(&script));
    assert_eq!(p.interpreter.as_ref(), Some(&interpreter));
    assert_eq!(p.exe.path, interpreter);
    assert_eq!(p.invoked_as, script);
    assert_eq!(p.comm, "play");
    assert_eq!(p.args, [&interpreter, "two words", &script, "one", ""]);
}

#[test]
fn a_script_for_a_script_names_the_last_interpreter() {
    let place = Place::new();
    let last = place.file("last", &program::stays());
    let middle = place.file("middle", format!("#!{} -m\n", last.display()).as_bytes());
    let first = place.file("first", format!("#! {} -f\n", middle.display()).as_bytes());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let kid = Kid::run(&first, &["first", "word"]);
    let exec = watch.exec(kid.pid());
    assert_process(&exec);
    assert_paths(&exec);
    let p = &exec.process;
    let (last, middle, first) = (string(&last), string(&middle), string(&first));
    assert_eq!(p.interpreter.as_ref(), Some(&last));
    assert_eq!(p.exe.path, last);
    assert_eq!(p.invoked_as, first);
    assert_eq!(p.args, [&last, "-m", &middle, "-f", &first, "word"]);
}

#[test]
fn an_interpreter_behind_a_link_is_named_as_it_was_asked_for() {
    let place = Place::new();
    let real = place.file("speaker-1.2", &program::stays());
    let link = place.path().join("speaker");
    symlink(&real, &link).unwrap();
    let script = place.file("linked", format!("#!{}\n", link.display()).as_bytes());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let kid = Kid::run(&script, &["linked"]);
    let exec = watch.exec(kid.pid());
    assert_process(&exec);
    assert_paths(&exec);
    let p = &exec.process;
    assert_eq!(p.interpreter, Some(string(&link)));
    assert_eq!(p.exe.path, string(&real));
    assert_eq!(p.args, [string(&link), string(&script)]);
}

#[test]
fn a_script_through_a_descriptor() {
    let place = Place::new();
    let interpreter = place.file("speaker", &program::stays());
    let script = place.file("held", format!("#!{}\n", interpreter.display()).as_bytes());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let file = fs::File::open(&script).unwrap();
    let call = Call::new(std::path::Path::new(""), &["held", "one"]);
    let held = file.as_raw_fd();
    let kid = Kid::fork(|| {
        // SAFETY: plain system call; the copy stays open over the execution.
        let fd = must(unsafe { libc::dup2(held, 100) });
        call.exec_at(fd, libc::AT_EMPTY_PATH);
    });
    let exec = watch.exec(kid.pid());
    assert_process(&exec);
    assert_paths(&exec);
    let p = &exec.process;
    assert_eq!(p.interpreter, Some(string(&interpreter)));
    assert_eq!(p.exe.path, string(&interpreter));
    assert_eq!(p.invoked_as, "/dev/fd/100");
    assert_eq!(p.args, [&string(&interpreter), "/dev/fd/100", "one"]);
}
