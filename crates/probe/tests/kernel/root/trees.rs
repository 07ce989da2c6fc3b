//! Trees: whatever a candidate and those below it execute is told, until their tree is cleared.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use detect::plan::Verdict;
use event::{Exec, Tree};
use probe::{Options, Probe, Seen};

use super::filter::SETTLED;
use super::listen::bound;
use super::plain::allowed_cpus;
use super::slots::stay_on;
use crate::facts::string;
use crate::kid::{self, Call, Kid, Slate, must, pause};
use crate::place::Place;
use crate::program;
use crate::watch::{FENCE, Watch, attached};

/// The name that may be a server's.
const CANDIDATE: &str = "webthing";

fn watching(trees: u32) -> Probe {
    attached(&Options { trees, ..Options::default() }, &[CANDIDATE])
}

/// The programs of a test.
struct Programs {
    place: Place,
    shell: PathBuf,
    /// One that nobody need be told of, and that is given a word.
    benign: PathBuf,
    fence: PathBuf,
}

impl Programs {
    fn new() -> Self {
        let place = Place::new();
        let shell = place.shell(CANDIDATE);
        let benign = place.file("benign", &program::exits());
        let fence = place.file(FENCE, &program::exits());
        sleep(SETTLED);
        Self { place, shell, benign, fence }
    }

    /// Makes the benign program known to be that.
    fn settle(&self, watch: &mut Watch<'_>) {
        for path in [&self.benign, &Path::new("/bin/sh").canonicalize().unwrap()] {
            let mut kid = Kid::run(path, &["x", "-c", ":"]);
            kid.wait();
            let exec = watch.exec(kid.pid());
            watch.remember(&exec.file.unwrap(), Verdict::Benign);
        }
    }

    /// Every execution that has crossed since this was last asked.
    fn crossed(&self, watch: &mut Watch<'_>) -> Vec<Exec> {
        let fence = kid::run(&self.fence);
        let end = watch.place_of_exec(fence);
        let seen = watch.seen.drain(..=end);
        let exec = |seen| match seen {
            Seen::Exec { exec, .. } => Some(*exec),
            _ => None,
        };
        seen.filter_map(exec).collect()
    }

    /// The words that the benign program was given in these.
    fn words(&self, execs: &[Exec]) -> Vec<String> {
        let benign = string(&self.benign);
        let ours = execs.iter().filter(|exec| exec.process.exe.path == benign);
        ours.filter_map(|exec| exec.process.args.get(1).cloned()).collect()
    }
}

/// A shell that does as it is told, line by line; by its name, a candidate. Ends when dropped.
struct Shell {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Shell {
    fn start(path: &Path) -> Self {
        let mut command = Command::new(path);
        let mut child = kid::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    /// Has a line executed and waits until it is.
    fn run(&mut self, line: &str) {
        writeln!(self.input, "{line}; echo done").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n", "{line}");
    }

    /// The tree that it began.
    fn tree(&self, watch: &mut Watch<'_>) -> Tree {
        let tree = watch.exec(self.child.id()).tree;
        assert!(tree.id != 0 && tree.id != tree.outer, "{tree:?}");
        tree
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Candidates whose first act it is to have something executed, on all processors at once.
#[test]
fn nothing_is_missed_between_an_execution_and_its_judgement() {
    const STORMS: usize = 4;
    const EACH: usize = 250;
    let programs = Programs::new();
    let probe = watching(1024);
    let mut watch = Watch::new(&probe);
    programs.settle(&mut watch);
    programs.crossed(&mut watch);
    let script = format!(
        "i=0; while [ $i -lt {EACH} ]; do i=$((i+1)); '{}' -c \"'{}' $1-$i; :\"; done",
        programs.shell.display(),
        programs.benign.display()
    );
    let storms = (0..STORMS).map(|n| format!("s{n}"));
    let kids: Vec<Kid> = storms
        .map(|name| Kid::run(Path::new("/bin/sh"), &["sh", "-c", &script, "sh", &name]))
        .collect();
    let ended = std::thread::spawn(|| kids.into_iter().map(|mut kid| kid.wait()).sum::<i32>());
    while !ended.is_finished() {
        watch.reader.wait(Duration::from_millis(10)).unwrap();
        watch.drain();
    }
    assert_eq!(ended.join().unwrap(), 0);
    let execs = programs.crossed(&mut watch);
    let words = programs.words(&execs);
    let expected: BTreeSet<String> =
        (0..STORMS).flat_map(|n| (1..=EACH).map(move |i| format!("s{n}-{i}"))).collect();
    assert_eq!(words.iter().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(words.len(), expected.len(), "told twice");
    let counts = probe.counts().unwrap();
    assert!(counts.below >= (STORMS * EACH) as u64, "{counts:?}");
    assert_eq!((counts.lost(), counts.lost_lineage), (0, 0));
}

/// Whatever becomes of those in between.
#[test]
fn all_descendants_are_of_the_tree() {
    let programs = Programs::new();
    let probe = watching(1024);
    let mut watch = Watch::new(&probe);
    programs.settle(&mut watch);
    let benign = programs.benign.display();
    let go = programs.place.path().join("go");
    let script = format!(
        "'{benign}' child; ('{benign}' grandchild; :); \
         /bin/sh -c \"'{benign}' below-another; exec '{benign}' instead-of-another\"; \
         ( (until [ -e '{}' ]; do '{benign}' waiting; done; exec '{benign}' orphan) & ); \
         exec '{benign}' itself",
        go.display()
    );
    let mut kid = Kid::run(&programs.shell, &[CANDIDATE, "-c", &script]);
    let own = watch.exec_as(kid.pid(), CANDIDATE).tree;
    assert_eq!(kid.wait(), 0);
    // All that was above it is gone.
    std::fs::write(&go, "").unwrap();
    watch.crossing("the orphan", |exec| exec.process.args.get(1).is_some_and(|w| w == "orphan"));
    let execs = programs.crossed(&mut watch);
    let benign = string(&programs.benign);
    let ours: Vec<&Exec> = execs
        .iter()
        .filter(|e| e.process.exe.path == benign && e.process.args.len() == 2)
        .collect();
    for exec in &ours {
        assert_eq!(exec.tree, Tree { id: own.id, outer: own.id }, "{:?}", exec.process.args);
    }
    let words: BTreeSet<String> = programs.words(&execs).into_iter().collect();
    for word in ["child", "grandchild", "below-another", "instead-of-another", "orphan", "itself"] {
        assert!(words.contains(word), "{word} is not among {words:?}");
    }
}

#[test]
fn what_is_cleared_is_told_no_more_until_it_is_watched_again() {
    let programs = Programs::new();
    let probe = watching(1024);
    let mut watch = Watch::new(&probe);
    programs.settle(&mut watch);
    let (mut idle, mut busy) = (Shell::start(&programs.shell), Shell::start(&programs.shell));
    let trees = [idle.tree(&mut watch), busy.tree(&mut watch)];
    probe.clear(trees[0].id).unwrap();
    programs.crossed(&mut watch);
    let benign = programs.benign.display();
    let mut both = |word: &str, watch: &mut Watch<'_>| {
        idle.run(&format!("'{benign}' idle-{word}"));
        busy.run(&format!("'{benign}' busy-{word}"));
        let execs = programs.crossed(watch);
        programs.words(&execs)
    };
    for _ in 0..3 {
        assert_eq!(both("once", &mut watch), ["busy-once"]);
    }
    probe.watch(trees[0].id).unwrap();
    probe.clear(trees[1].id).unwrap();
    assert_eq!(both("again", &mut watch), ["idle-again"]);
    probe.clear(trees[0].id).unwrap();
    assert_eq!(both("last", &mut watch), Vec::<String>::new());
}

/// A tree within another one, and what is said of where it began.
#[test]
fn a_candidate_below_another_begins_a_tree_and_tells_of_the_outer_one() {
    let programs = Programs::new();
    let probe = watching(1024);
    let mut watch = Watch::new(&probe);
    programs.settle(&mut watch);
    let mut shell = Shell::start(&programs.shell);
    let outer = shell.tree(&mut watch);
    let inner = |shell: &mut Shell, watch: &mut Watch<'_>, word: &str| {
        let (path, benign) = (programs.shell.display(), programs.benign.display());
        shell.run(&format!("'{path}' -c \"'{benign}' {word}; :\" {word}"));
        let execs = programs.crossed(watch);
        let of = |exec: &&Exec| exec.process.args.iter().any(|arg| arg == word);
        let of: Vec<Exec> = execs.iter().filter(of).cloned().collect();
        let [began, below] = &of[..] else { panic!("{of:#?}") };
        assert_eq!(below.tree, Tree { id: began.tree.id, outer: began.tree.id });
        began.tree
    };
    let first = inner(&mut shell, &mut watch, "first");
    assert_eq!(first.outer, outer.id);
    assert_ne!(first.id, outer.id);
    probe.clear(outer.id).unwrap();
    // Its own is to be judged all the same.
    let second = inner(&mut shell, &mut watch, "second");
    assert_eq!(second.outer, 0);
    assert!(second.id != first.id && second.id != outer.id);
}

/// More trees are cleared than are remembered.
#[test]
fn what_was_cleared_and_forgotten_is_told_again() {
    let programs = Programs::new();
    let probe = watching(64);
    let mut watch = Watch::new(&probe);
    programs.settle(&mut watch);
    let mut shell = Shell::start(&programs.shell);
    let tree = shell.tree(&mut watch);
    let mut words = |word: &str, watch: &mut Watch<'_>| {
        shell.run(&format!("'{}' {word}", programs.benign.display()));
        let execs = programs.crossed(watch);
        programs.words(&execs)
    };
    // One that was asked for would be kept the longest.
    probe.clear(tree.id).unwrap();
    programs.crossed(&mut watch);
    // Each CPU makes room among what it has itself put there last.
    for cpu in allowed_cpus() {
        stay_on(cpu);
        for other in 1..10_000 {
            probe.clear(u64::MAX - other).unwrap();
        }
    }
    assert_eq!(words("forgotten", &mut watch), ["forgotten"]);
    probe.clear(tree.id).unwrap();
    assert_eq!(words("cleared-again", &mut watch), Vec::<String>::new());
}

#[test]
fn who_ran_before_has_a_tree_of_its_own() {
    let programs = Programs::new();
    let (mut one, mut other) = (Shell::start(&programs.shell), Shell::start(&programs.shell));
    one.run(":");
    other.run(":");
    let first = one.child.id();
    let probe = watching(4096);
    let mut watch = Watch::new(&probe);
    programs.settle(&mut watch);
    programs.crossed(&mut watch);
    let benign = programs.benign.display();
    let mut both = |word: &str, watch: &mut Watch<'_>| {
        one.run(&format!("('{benign}' one-{word}; :)"));
        other.run(&format!("'{benign}' other-{word}"));
        let execs = programs.crossed(watch);
        programs.words(&execs)
    };
    assert_eq!(both("once", &mut watch), ["one-once", "other-once"]);
    let members = probe.members().unwrap();
    let tree = |pid| {
        let member = members.iter().find(|member| member.process.pid == pid).unwrap();
        assert!(member.seeded, "{member:?}");
        member.tree
    };
    tree(1);
    probe.clear(tree(first)).unwrap();
    assert_eq!(both("more", &mut watch), ["other-more"]);
}

/// So that a server found by its behaviour is watched without all that its parents do.
#[test]
fn who_begins_to_listen_begins_a_tree() {
    let programs = Programs::new();
    let probe = watching(1024);
    let mut watch = Watch::new(&probe);
    programs.settle(&mut watch);
    let (socket, _) = bound(false);
    let (slate, fd) = (Slate::new(), socket.as_raw_fd());
    let [before, after] = ["before", "after"].map(|word| Call::new(&programs.benign, &["x", word]));
    let kid = Kid::fork(|| {
        // SAFETY: plain system calls; the children only execute something.
        unsafe {
            let run = |call: &Call| {
                let pid = must(libc::fork());
                if pid == 0 {
                    call.exec();
                }
                must(libc::waitpid(pid, std::ptr::null_mut(), 0));
            };
            while slate.get(0) == 0 {
                libc::usleep(1000);
            }
            run(&before);
            must(libc::listen(fd, 1));
            must(libc::listen(fd, 2));
            slate.put(1, 1);
            for turn in 2.. {
                while slate.get(0) < turn {
                    libc::usleep(1000);
                }
                run(&after);
                slate.put(1, turn);
            }
        }
        pause();
    });
    let tree = || {
        let members = probe.members().unwrap();
        let member = *members.iter().find(|member| member.process.pid == kid.pid()).unwrap();
        assert_eq!(probe.tree(member.process), Some(member.tree));
        assert_eq!(probe.parents(member.process)[0].pid, std::process::id());
        member.tree
    };
    let inherited = tree();
    probe.clear(inherited).unwrap();
    programs.crossed(&mut watch);
    slate.put(0, 1);
    kid::until("it listens", || slate.get(1) == 1);
    let listen = watch.listen(kid.pid());
    assert_eq!((listen.tree.outer, listen.tree.id), (0, tree()));
    assert_ne!(listen.tree.id, inherited);
    let turn = |number: u32, watch: &mut Watch<'_>| {
        slate.put(0, number);
        kid::until("it has run", || slate.get(1) == number);
        let execs = programs.crossed(watch);
        programs.words(&execs)
    };
    assert_eq!(turn(2, &mut watch), ["after"], "not yet judged, and what was before is not told");
    probe.clear(listen.tree.id).unwrap();
    assert_eq!(turn(3, &mut watch), Vec::<String>::new());
    probe.watch(listen.tree.id).unwrap();
    assert_eq!(turn(4, &mut watch), ["after"]);
}

/// Nobody judges: nothing is told that a filter would leave out.
#[test]
fn without_trees_only_candidates_are_told() {
    let programs = Programs::new();
    let probe = watching(0);
    let mut watch = Watch::new(&probe);
    programs.settle(&mut watch);
    programs.crossed(&mut watch);
    let mut shell = Shell::start(&programs.shell);
    shell.run(&format!("'{}' told", programs.benign.display()));
    let execs = programs.crossed(&mut watch);
    assert_eq!(programs.words(&execs), Vec::<String>::new());
    assert!(execs.iter().any(|exec| exec.process.pid == shell.child.id()));
    assert_eq!(probe.counts().unwrap().below, 0);
}
