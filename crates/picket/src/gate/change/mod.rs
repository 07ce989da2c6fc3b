//! The code change behind a detection: the lines of the repository that led to it, who wrote them,
//! and whether they belong to the change that this pipeline is about.
//!
//! Everything that is read here may have been written by whom picket is to find: files are looked
//! into but never run, and git is run where the repository's configuration does not reach.

mod before;
mod definitions;
mod files;
mod find;
mod git;
mod history;
mod makefile;
mod package;
mod range;
mod repository;
mod starters;
#[cfg(test)]
mod tests;
mod trace;
mod words;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use event::Detection;
use serde::{Deserialize, Serialize};

use crate::ci::{self, Names, Variables};
pub(crate) use before::before;
use files::Files;
use git::{Git, LATE};
pub(crate) use history::Origin;
use range::Candidate;
pub(crate) use range::Range;
use repository::{Id, Repository};
use trace::{Ground, Trace};

/// How long it may take altogether: nobody waits longer for a verdict.
const PATIENCE: Duration = Duration::from_millis(800);
/// Detections whose lines are looked for, the most serious ones.
const MOST: usize = 20;
/// Files of a change that are looked into.
const MOST_CHANGED: usize = 300;
/// Which workflow runs, as a path.
const WORKFLOW: &str = "GITHUB_WORKFLOW_REF";

/// A line of the repository that led to a detection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Below the repository's directory.
    pub(crate) file: String,
    /// From 1; without one, the file as a whole.
    pub(crate) line: Option<u32>,
    /// In characters, from 1.
    pub(crate) column: Option<u32>,
    /// What happens there, in words.
    pub(crate) why: String,
    /// Words of the command stand there, and nobody says that it was run from there.
    pub(crate) hint: bool,
    /// Where it comes from.
    pub(crate) origin: Origin,
}

impl Line {
    /// `file:line:column`.
    pub(crate) fn place(&self) -> String {
        let numbers = [self.line, self.column].into_iter().flatten();
        numbers.fold(self.file.clone(), |place, number| format!("{place}:{number}"))
    }

    /// What happens there and where it comes from, in words.
    pub(crate) fn rest(&self) -> String {
        let origin = self.origin.words();
        let origin = if origin.is_empty() { origin } else { format!(" ({origin})") };
        format!("{}{origin}", self.why)
    }

    /// All of it, in words.
    pub(crate) fn words(&self) -> String {
        format!("{}: {}", self.place(), self.rest())
    }
}

/// What there was before the command ran, which could change all of it.
pub(crate) struct Change {
    dir: PathBuf,
    /// What picket was given to run, in words.
    given: String,
    variables: Variables,
    repository: Option<Repository>,
    head: Option<Id>,
    /// What it may be compared with.
    candidates: Vec<Candidate>,
}

/// The same, kept for another process that tells of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    dir: PathBuf,
    head: Option<Id>,
    candidates: Vec<Candidate>,
}

/// What is known in the end.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) range: Option<Range>,
    /// Why there is none.
    pub(crate) missing: Option<String>,
    /// The lines of each detection, of the first ones.
    pub(crate) lines: Vec<Vec<Line>>,
    /// Detections whose lines were not looked for, since that would have taken too long.
    pub(crate) untraced: usize,
}

impl Change {
    /// Looks at what is checked out here; `given` is the command that picket was given to run.
    pub(crate) fn look(given: &[OsString]) -> Self {
        let given: Vec<_> = given.iter().map(|word| word.to_string_lossy()).collect();
        let variables = ci::surroundings(&names());
        Self::of(std::env::current_dir().unwrap_or_default(), given.join(" "), variables)
    }

    /// What another process has to know.
    pub(crate) fn keep(&self) -> Kept {
        let (dir, head, candidates) = (&self.dir, &self.head, &self.candidates);
        Kept { dir: dir.clone(), head: head.clone(), candidates: candidates.clone() }
    }

    /// As it was when it was kept.
    pub(crate) fn again(kept: Kept) -> Self {
        let Kept { dir, head, candidates } = kept;
        let repository = Repository::of(&dir);
        let variables = ci::surroundings(&names());
        Self { dir, given: String::new(), variables, repository, head, candidates }
    }

    fn of(dir: PathBuf, given: String, variables: Variables) -> Self {
        let repository = Repository::of(&dir);
        let head = repository.as_ref().and_then(Repository::head);
        let candidates = repository.as_ref().map(|r| range::candidates(r, &variables));
        let candidates = candidates.unwrap_or_default();
        Self { dir, given, variables, repository, head, candidates }
    }

    /// Finds the lines that led to detections.
    pub(crate) fn trace<'d>(
        &self,
        detections: impl ExactSizeIterator<Item = &'d Detection>,
    ) -> Told {
        self.trace_until(Instant::now() + PATIENCE, detections)
    }

    fn trace_until<'d>(
        &self,
        deadline: Instant,
        detections: impl ExactSizeIterator<Item = &'d Detection>,
    ) -> Told {
        let count = detections.len();
        let Some(repository) = &self.repository else {
            let missing = format!("not known: {} is in no git repository", self.dir.display());
            return Told { missing: Some(missing), ..Told::default() };
        };
        let asked = match &self.head {
            Some(head) => Git::prepare(repository, head, deadline).map(|git| {
                let range = Range::find(&git, repository, &self.candidates, head.clone());
                (git, range)
            }),
            None => Err("which commit is checked out cannot be read".to_owned()),
        };
        let changed = asked.as_ref().map(|(git, range)| changed(git, range, &repository.root));
        let changed = changed.unwrap_or_default();
        let mut files = Files::new(repository, deadline);
        let mut lines = Vec::new();
        for detection in detections.take(MOST) {
            if Instant::now() >= deadline {
                break;
            }
            let mut ground = Ground {
                files: &mut files,
                dir: &self.dir,
                given: &self.given,
                root: &repository.root,
                workflow: self.variables.get(WORKFLOW),
                changed: &changed,
            };
            let traces = trace::trace(&detection.process, &detection.ancestry, &mut ground);
            let line = |trace| line(repository, &asked, &mut files, trace);
            lines.push(traces.into_iter().filter_map(line).collect());
        }
        let untraced = count - lines.len();
        match asked {
            Ok((_, range)) => Told { range: Some(range), missing: None, lines, untraced },
            Err(why) => {
                Told { range: None, missing: Some(format!("not known: {why}")), lines, untraced }
            }
        }
    }
}

/// The variables that are asked for.
fn names() -> Names {
    Names::of_pipelines().and(range::variables()).and([WORKFLOW])
}

/// The files that a change touches, as far as they are still there.
fn changed(git: &Git, range: &Range, root: &Path) -> Vec<PathBuf> {
    let Some(base) = &range.base else { return Vec::new() };
    let ask = [
        "diff-tree",
        "-r",
        "-z",
        "--name-only",
        "--no-renames",
        base.as_str(),
        range.head.as_str(),
    ];
    let answer = git.ask(&ask).unwrap_or_default();
    let names = answer.split(|byte| *byte == 0).filter_map(|name| str::from_utf8(name).ok());
    names.filter(|name| !name.is_empty()).take(MOST_CHANGED).map(|name| root.join(name)).collect()
}

fn line(
    repository: &Repository,
    asked: &Result<(Git, Range), String>,
    files: &mut Files<'_>,
    trace: Trace,
) -> Option<Line> {
    let file = repository.relative(&trace.path)?;
    let origin = match asked {
        Ok((git, range)) => origin(git, range, files, &trace, &file),
        Err(why) => Origin::unknown(why.clone()),
    };
    let line = trace.spot.map(|spot| spot.line);
    let column = trace.spot.map(|spot| spot.column);
    Some(Line { file, line, column, why: trace.why, hint: trace.hint, origin })
}

/// Where a place comes from. What was checked out may have been changed since: then the same line is
/// looked for in what was committed.
fn origin(git: &Git, range: &Range, files: &mut Files<'_>, trace: &Trace, file: &str) -> Origin {
    let Some(spot) = trace.spot else { return history::of_file(git, range, file) };
    let object = format!("{}:{file}", range.head.as_str());
    let committed = match git.ask(&["cat-file", "blob", &object]) {
        Ok(committed) => committed,
        Err(why) if why == LATE => return Origin::unknown(why),
        Err(_) => return Origin::unknown(history::NOT_COMMITTED),
    };
    let committed = String::from_utf8_lossy(&committed);
    let Some(here) = files.text(&trace.path) else { return Origin::unknown(LATE) };
    if *here == *committed {
        return history::of_line(git, range, file, spot.line);
    }
    let at = usize::try_from(spot.line).unwrap_or(usize::MAX).saturating_sub(1);
    let text = here.lines().nth(at).unwrap_or_default();
    let same = committed.lines().zip(1_u32..).find(|(line, _)| *line == text);
    match same {
        Some((_, number)) => history::of_line(git, range, file, number),
        None => {
            Origin::unknown("this line is in no commit: the file was changed after the checkout")
        }
    }
}
