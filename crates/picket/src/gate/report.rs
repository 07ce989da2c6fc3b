//! What is told of a run, whatever the medium, and the text of it on stderr.

use std::io::{self, Write};

use detect::baseline::Observed;
use event::{Ancestor, Coverage, Detection, Peer, Purpose, Record};
use probe::home;

use super::baseline::{Alteration, Expected};
use super::change::{Change, Line, Told};
use super::scope::Scope;
use super::sensor::Watched;
use super::verdict::{self, Rules, Verdict};
use crate::escape;
use crate::sarif::Place;
use crate::sink::text::{Text, called};

/// So many detections are written out on stderr.
const MOST: usize = 10;
/// So many names are listed.
const MOST_NAMES: usize = 5;
/// So many commits of the change are named.
const MOST_COMMITS: usize = 5;

/// What is told.
pub(crate) struct Report {
    pub(crate) rules: Rules,
    pub(crate) verdict: Verdict,
    /// Detections, the most serious first, as far as they were kept.
    pub(crate) found: Vec<Found>,
    /// All of them, and those that fail the run.
    pub(crate) count: u64,
    pub(crate) failing: u64,
    /// Why there is no evidence.
    pub(crate) gaps: Vec<String>,
    watched: Watched,
    expected: Expected,
    /// What the base branch knows nothing of: what fails the run, and how much of what is accepted.
    new: Vec<String>,
    newly_accepted: usize,
    /// The change that this run is about; nothing where nothing was found.
    change: Option<Told>,
}

/// A detection, and whether its process runs on.
pub(crate) struct Found {
    pub(crate) detection: Detection,
    /// `None` where that cannot be known.
    pub(crate) runs: Option<bool>,
    /// How many of its parents are of the job.
    own: usize,
    /// The lines of the repository that led to it, the nearest first.
    pub(crate) lines: Vec<Line>,
    /// The same as places, for reports in files.
    pub(crate) sources: Vec<Place>,
}

impl Found {
    fn new(detection: Detection, scope: &Scope) -> Self {
        let own = scope.own(&detection.ancestry);
        let process = &detection.process;
        let runs = home::runs(process.pid, process.start_boot_ns);
        Self { detection, runs, own, lines: Vec::new(), sources: Vec::new() }
    }

    /// What it is called, without what changes from version to version.
    pub(crate) fn program(&self) -> String {
        let d = &self.detection;
        match (&d.server, &d.below) {
            (Some(server), None) => server.name.clone(),
            _ => d.process.exe.path.rsplit('/').next().unwrap_or_default().to_owned(),
        }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> String {
        let d = &self.detection;
        match (&d.server, &d.below) {
            (Some(server), None) => called(server),
            _ => d.process.exe.path.rsplit('/').next().unwrap_or_default().to_owned(),
        }
    }

    /// Where it is: the lines that led to it, else the script or the program that runs.
    pub(crate) fn places(&self) -> Vec<Place> {
        if !self.sources.is_empty() {
            return self.sources.clone();
        }
        let process = &self.detection.process;
        let script = process.target.as_ref().map(|target| target.path.clone());
        let program = process.exe.path.clone();
        let paths = script.into_iter().chain([program]).filter(|path| path.starts_with('/'));
        paths.map(|path| Place { path, ..Place::default() }).collect()
    }

    /// The processes that led to it, nearest first, from the command on: what runs the pipeline is the
    /// same for all, and nobody else's business.
    pub(crate) fn chain(&self) -> &[Ancestor] {
        self.detection.ancestry.get(..self.own).unwrap_or_default()
    }

    fn is_left_over(&self) -> bool {
        let server = self.detection.server.as_ref();
        self.runs == Some(true) && server.is_some_and(|s| s.purpose != Purpose::Manage)
    }
}

impl Report {
    /// Draws the conclusions; `code` is the command's.
    pub(crate) fn new(rules: Rules, code: u8, mut watched: Watched, expected: Expected) -> Self {
        let gaps = verdict::gaps(&watched);
        let (count, failing) = (watched.tally.count, watched.tally.failing);
        let scope = watched.tally.scope.clone();
        let found = std::mem::take(&mut watched.tally.found).into_iter();
        let mut found: Vec<Found> = found.map(|one| Found::new(one, &scope)).collect();
        found.sort_by_key(|found| std::cmp::Reverse(found.detection.severity));
        let verdict = Verdict::decide(rules, code, failing, &gaps);
        let fails = |found: &&Found| found.detection.severity >= rules.fail_on;
        let mut new: Vec<String> = Vec::new();
        let ids = expected.new_to_base(found.iter().filter(fails).map(|found| &found.detection));
        let ids: Vec<&str> = ids.iter().map(|detection| detection.id.as_str()).collect();
        for found in found.iter().filter(|found| ids.contains(&found.detection.id.as_str())) {
            let name = found.name();
            if !new.contains(&name) {
                new.push(name);
            }
        }
        let newly_accepted = expected.new_to_base(watched.tally.accepted.iter()).len();
        Self {
            rules,
            verdict,
            found,
            count,
            failing,
            gaps,
            watched,
            expected,
            new,
            newly_accepted,
            change: None,
        }
    }

    /// Why the records could not be written.
    pub(crate) fn records_failed(&self) -> Option<&str> {
        self.watched.tally.records_failed.as_deref()
    }

    /// What was started, expected or not.
    pub(crate) fn take_started(&mut self) -> Observed {
        std::mem::take(&mut self.watched.tally.started)
    }

    /// Finds the lines of the repository that led to what was found.
    pub(crate) fn trace(&mut self, change: &Change) {
        if self.found.is_empty() {
            return;
        }
        let mut told = change.trace(self.found.iter().map(|found| &found.detection));
        for (found, lines) in self.found.iter_mut().zip(std::mem::take(&mut told.lines)) {
            let place = |line: &Line| Place {
                path: line.file.clone(),
                line: line.line,
                column: line.column,
                text: Some(line.rest()),
            };
            found.sources = lines.iter().map(place).collect();
            found.lines = lines;
        }
        self.change = Some(told);
    }

    /// What was said of coverage last.
    pub(crate) fn coverage(&self) -> Option<&Coverage> {
        self.watched.tally.coverage.as_ref()
    }

    /// Whom the servers that were found connected to, and what these executed.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.watched.tally.peers.values().flatten()
    }

    /// The verdict in a line. Names in it are chosen by whom picket is to find.
    pub(crate) fn headline(&self) -> String {
        let verdict = self.verdict_in_words();
        let accepted = self.watched.tally.accepted_count;
        let file = self.expected.file.as_deref().map(|file| file.display().to_string());
        let file = file.unwrap_or_default();
        match &self.expected.alteration {
            Alteration::Some(how) if self.newly_accepted > 0 => format!(
                "{verdict}; this change alters the baseline {file} ({how}), which accepts {}, {} of \
                 them not accepted by the base branch",
                detections(accepted),
                self.newly_accepted
            ),
            Alteration::Some(how) => {
                format!("{verdict}; this change alters the baseline {file} ({how})")
            }
            Alteration::Unknown(_) if accepted > 0 => format!(
                "{verdict}; {file} accepts {}, and whether this change altered it is not known",
                detections(accepted)
            ),
            Alteration::None | Alteration::Unknown(_) => verdict,
        }
    }

    fn verdict_in_words(&self) -> String {
        let level = self.rules.fail_on;
        let what = match (self.count, self.failing) {
            (0, _) => "no web server was started".to_owned(),
            (count, 0) => format!("{}, none of severity {level} or more", detections(count)),
            (count, failing) => {
                format!("{}, {failing} of severity {level} or more", detections(count))
            }
        };
        match self.verdict {
            Verdict::CommandFailed(code) => format!("the command failed with {code}; {what}"),
            Verdict::NoEvidence if self.count == 0 => {
                "no evidence: that nothing was found means nothing".to_owned()
            }
            Verdict::NoEvidence => format!("no evidence, there may be more: {what}"),
            Verdict::Found => match (self.expected.base_does(), self.new.as_slice()) {
                (None, _) => format!("failed: {what}"),
                (Some(_), []) => format!("failed: {what}; the base branch has them as well"),
                (Some(does), new) => {
                    let names = some(new, MOST_NAMES);
                    let does = if does == "do" { "" } else { " accept" };
                    format!(
                        "failed: this change starts what the base branch does not{does}: {names}; {what}"
                    )
                }
            },
            Verdict::Passed => format!("passed: {what}"),
        }
    }

    /// What is to be known besides: a label and a sentence each.
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        let coverage = self.coverage();
        let mut seen = coverage.map_or_else(
            || "none".to_owned(),
            |c| format!("{}, {} executions seen", c.state, c.seen),
        );
        for reason in coverage.into_iter().flat_map(|c| &c.reasons) {
            seen.push_str(&format!("; {reason}"));
        }
        facts.push(("coverage", seen));
        if !self.gaps.is_empty() {
            let choice = match self.rules.without_evidence_fails {
                true => "",
                false => "; it does not fail for that, by --without-evidence pass",
            };
            facts.push(("evidence", format!("none: {}{choice}", self.gaps.join("; "))));
        }
        let left = self.found.iter().filter(|found| found.is_left_over());
        let left: Vec<String> = left
            .map(|found| format!("{} ({})", found.name(), found.detection.process.pid))
            .collect();
        if !left.is_empty() {
            facts.push(("runs on", left.join(", ")));
        }
        facts.extend(self.change.as_ref().into_iter().flat_map(change_facts));
        if let Some(end) = &self.watched.end {
            let servers: Vec<u32> = self.found.iter().map(|f| f.detection.process.pid).collect();
            let others = end.left.iter().filter(|left| !servers.contains(&left.pid));
            let others: Vec<String> =
                others.map(|left| format!("{} ({})", left.comm, left.pid)).collect();
            let count = others.len() + end.more;
            if count > 0 {
                let what = if count == 1 { "other process runs" } else { "other processes run" };
                facts.push(("others", format!("{count} {what} on: {}", some(&others, MOST_NAMES))));
            }
        }
        let accepted = self.watched.tally.accepted_count;
        if let Some(file) = &self.expected.file {
            let how = match &self.expected.alteration {
                Alteration::None if self.expected.base_does() == Some("accept") => {
                    ", as on the base branch".to_owned()
                }
                Alteration::None => String::new(),
                Alteration::Some(how) => format!("; this change alters it: {how}"),
                Alteration::Unknown(why) => {
                    format!("; whether this change altered it is not known: {why}")
                }
            };
            let what = format!("{} accepts {}{how}", file.display(), detections(accepted));
            facts.push(("baseline", what));
        } else if accepted > 0 {
            facts.push(("baseline", format!("{} accepted", detections(accepted))));
        }
        let unshown = self.count - self.found.len() as u64;
        if unshown > 0 {
            facts.push(("besides", format!("{} more that are not listed", detections(unshown))));
        }
        let elsewhere = self.watched.tally.elsewhere;
        if elsewhere > 0 {
            let what = "of what others started on this machine meanwhile, not counted";
            facts.push(("elsewhere", format!("{} {what}", detections(elsewhere))));
        }
        facts
    }

    /// Writes the text to stderr: the command's output goes on being its own.
    pub(crate) fn print(&self) {
        let text = Text::new(rustix::stdio::stderr());
        let mut lines = Vec::new();
        for found in self.found.iter().take(MOST) {
            let record = Record::Detection(Box::new(found.detection.clone()));
            let mut told = text.record(&record).trim_end().to_owned() + "\n";
            for line in &found.lines {
                text.field(&mut told, "source", &escape::terminal(&line.words()));
            }
            lines.extend(told.lines().map(str::to_owned));
            lines.push(String::new());
        }
        lines.push(format!("picket ci: {}", escape::terminal(&self.headline())));
        let facts = self.facts();
        lines.extend(
            facts.iter().map(|(label, fact)| format!("  {label:<10}{}", escape::terminal(fact))),
        );
        let code = self.verdict.code();
        lines.push(format!("  {:<10}{code}", "exit code"));
        let text: String = lines.iter().map(|line| escape::runner(line) + "\n").collect();
        // Nowhere is left to say that stderr cannot be written to.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// The first of some names, and how many more there are.
fn some(names: &[String], most: usize) -> String {
    let shown = names.get(..most).unwrap_or(names).join(", ");
    match names.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The change, and its latest commits.
fn change_facts(told: &Told) -> Vec<(&'static str, String)> {
    let untraced = match told.untraced {
        0 => None,
        count => Some((
            "source",
            format!("not looked for, of {} more: no time", detections(count as u64)),
        )),
    };
    let Some(range) = &told.range else {
        let missing = told.missing.iter().map(|why| ("change", why.clone()));
        return missing.chain(untraced).collect();
    };
    let commits = range.commits.iter().take(MOST_COMMITS).map(|c| {
        let commit = format!("{} by {}, {}, \"{}\"", c.id.short(), c.author, c.date, c.subject);
        ("commit", commit)
    });
    let mut facts: Vec<_> = std::iter::once(("change", range.words())).chain(commits).collect();
    let unsaid = range.count.saturating_sub(MOST_COMMITS.min(range.commits.len()));
    if unsaid > 0 {
        facts.push(("commit", format!("and {unsaid} more")));
    }
    facts.extend(untraced);
    facts
}

fn detections(count: u64) -> String {
    if count == 1 { "1 detection".to_owned() } else { format!("{count} detections") }
}
