//! Taking layers off and identification: parts parted by NUL are the file, what was asked for,
//! letters that switch facts on, a sign of the file's content, then the arguments.

use event::{Content, Exec, Executable, FileKind, Process, Sign, SignKind, Target};

use super::parts;
use crate::rules::CATALOGUE;

pub(super) fn run(data: &[u8]) {
    let mut parts = parts(data).into_iter();
    let mut next = || parts.next().unwrap_or_default();
    let (path, invoked_as, letters, sign) = (next(), next(), next(), next());
    let args: Vec<String> = parts.collect();
    let len: usize = args.iter().map(String::len).sum();

    let program = CATALOGUE.command_line(&args);
    CATALOGUE.identify_program(&program);
    let left: usize = program.args.iter().map(String::len).sum();
    // A layer may ask for another command line, out of one of its own arguments.
    assert!(left <= 2 * len, "{left} bytes of arguments are left of {len}");

    let has = |letter| letters.contains(letter);
    let kind = match () {
        () if has('r') => SignKind::Runtime,
        () if has('m') => SignKind::Multicall,
        () if has('l') => SignKind::Loader,
        () => SignKind::Server,
    };
    let content = Content {
        kind: if has('e') { FileKind::Elf } else { FileKind::Script },
        problem: has('b').then(|| "broken".to_owned()),
        packed: has('u').then(|| "UPX".to_owned()),
        go: None,
        signs: vec![Sign { kind, name: sign, found: vec![path.clone()], version: None }],
    };
    let mut process = Process {
        args,
        invoked_as,
        interpreter: has('i').then(|| "/bin/sh".to_owned()),
        exe: Executable {
            path,
            content: has('c').then(|| content.clone()),
            package: has('p').then(|| "nginx 1:1.22.1-9".to_owned()),
            intact: has('p').then(|| has('o')),
            ..Executable::default()
        },
        ..Process::default()
    };
    CATALOGUE.identify(&process);
    if let Some(path) = CATALOGUE.target(&process) {
        process.target = Some(Target { path, content, sha256: None });
        CATALOGUE.identify(&process);
    }
    CATALOGUE.verdict(&Exec { process, ..Exec::default() });
}
