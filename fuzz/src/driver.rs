//! The bounded run: every kept input, then a fixed number of changes to them, the same every time.
//!
//! An input fails when its target panics, when it takes more than a second of processor time, or when
//! it makes a parser hold more memory than [`MEMORY`].

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::mutate::{Chance, mutate};
use crate::targets::Target;
use crate::{dictionary, memory, place};

/// An input may hold as much memory: no input is larger than a few kilobytes.
pub const MEMORY: usize = 32 << 20;
/// An input may take as much of a processor's time.
pub const TIME: Duration = Duration::from_secs(1);
/// An input that takes this long by the clock on the wall hangs.
const HANGS: Duration = Duration::from_secs(60);

/// What a run did.
#[derive(Debug)]
pub struct Done {
    /// Inputs that were kept.
    pub kept: usize,
    /// Inputs that were tried, with those.
    pub tried: usize,
    /// How long it took.
    pub took: Duration,
    /// The longest that one input took.
    pub slowest: Duration,
    /// The most memory that one input held.
    pub largest: usize,
}

/// Runs a target: what is kept for it, then `mutations` changes. `dir` takes the input that fails.
pub fn run(target: &Target, mutations: usize, dir: PathBuf) -> Done {
    let corpus = place::corpus(target.name);
    let words = dictionary::words(target.name);
    assert!(!corpus.is_empty(), "fuzz/corpus/{} is empty: `picket-fuzz seeds`", target.name);
    let mut judge = Judge::new(target, dir);
    judge.warm();
    let begun = Instant::now();
    for (name, input) in &corpus {
        judge.judge(input, &format!("fuzz/corpus/{}/{name}", target.name));
    }
    let mut chance = Chance::new(target.name);
    let mut input = Vec::new();
    for number in 0..mutations {
        // The change goes on from where it was, now and then.
        if number == 0 || chance.below(4) > 0 {
            input.clone_from(&corpus[chance.below(corpus.len())].1);
        }
        mutate(&mut input, &corpus, &words, target.longest, &mut chance);
        judge.judge(&input, &format!("change {number}"));
    }
    judge.finish();
    Done {
        kept: corpus.len(),
        tried: corpus.len() + mutations,
        took: begun.elapsed(),
        slowest: judge.slowest,
        largest: judge.largest,
    }
}

struct Judge<'t> {
    target: &'t Target,
    last: PathBuf,
    file: File,
    /// When the input that runs now began.
    since: Arc<Mutex<Option<Instant>>>,
    slowest: Duration,
    largest: usize,
}

impl<'t> Judge<'t> {
    fn new(target: &'t Target, dir: PathBuf) -> Self {
        fs::create_dir_all(&dir).unwrap();
        let last = dir.join(target.name);
        let file = File::create(&last).unwrap();
        let since = Arc::new(Mutex::new(None));
        watch(Arc::downgrade(&since), last.display().to_string());
        Self { target, last, file, since, slowest: Duration::ZERO, largest: 0 }
    }

    /// What is made once is not the first input's doing.
    fn warm(&self) {
        (self.target.run)(b"");
    }

    fn judge(&mut self, input: &[u8], what: &str) {
        // A stack that overflows takes the whole process: the input must lie there before.
        self.file.write_all_at(input, 0).unwrap();
        self.file.set_len(input.len() as u64).unwrap();
        *self.since.lock().unwrap() = Some(Instant::now());
        let begun = processor_time();
        let mut outcome = Ok(());
        let held = memory::peak(|| {
            outcome = catch_unwind(AssertUnwindSafe(|| (self.target.run)(input)));
        });
        let took = processor_time() - begun;
        *self.since.lock().unwrap() = None;
        self.slowest = self.slowest.max(took);
        self.largest = self.largest.max(held);
        let (name, last) = (self.target.name, self.last.display());
        let keep =
            format!("{what}: the input is {last}; once fixed, keep it in fuzz/corpus/{name}");
        assert!(outcome.is_ok(), "{name} panics on {keep}");
        assert!(took <= TIME, "{name} takes {took:?} on {keep}");
        assert!(held <= MEMORY, "{name} holds {held} bytes on {keep}");
    }

    fn finish(&self) {
        fs::remove_file(&self.last).unwrap();
    }
}

/// Ends the process when an input hangs: nothing else can.
#[expect(clippy::print_stderr, reason = "the process ends here")]
fn watch(since: std::sync::Weak<Mutex<Option<Instant>>>, last: String) {
    std::thread::spawn(move || {
        while let Some(since) = since.upgrade() {
            let begun = *since.lock().unwrap();
            if begun.is_some_and(|begun| begun.elapsed() > HANGS) {
                eprintln!("fuzz: an input hangs: {last}");
                std::process::abort();
            }
            drop(since);
            std::thread::sleep(Duration::from_secs(1));
        }
    });
}

/// How long this thread has kept a processor busy: what else the machine does is not in it.
pub fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap(), u32::try_from(now.tv_nsec).unwrap())
}
