//! Who wrote a line, when, and whether in this change.

use event::Stamp;

use super::git::{Git, LATE};
use super::range::Range;
use super::repository::Id;

/// Longer names and subjects are cut.
const LONGEST: usize = 160;

/// A commit, as its author describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) id: Id,
    pub(crate) author: String,
    /// `2026-11-24`, in UTC.
    pub(crate) date: String,
    pub(crate) subject: String,
}

/// What is known of where a line comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) commit: Option<Commit>,
    /// Whether that commit is part of this change; `None` where history does not reach so far.
    pub(crate) in_change: Option<bool>,
    /// Why less is known.
    pub(crate) missing: Option<String>,
}

impl Origin {
    pub(super) fn unknown(why: impl Into<String>) -> Self {
        Self { missing: Some(why.into()), ..Self::default() }
    }

    /// In words.
    pub(crate) fn words(&self) -> String {
        let mut parts = Vec::new();
        if let Some(c) = &self.commit {
            parts.push(format!("{} by {}, {}, \"{}\"", c.id.short(), c.author, c.date, c.subject));
        }
        match self.in_change {
            Some(true) => parts.push("in this change".to_owned()),
            Some(false) => parts.push("not in this change".to_owned()),
            None => {}
        }
        parts.extend(self.missing.clone());
        parts.join("; ")
    }
}

/// A text of a commit, in one line and not too long. It is escaped where it is shown.
fn bounded(text: &str) -> String {
    let mut out: String = text.chars().take(LONGEST).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

pub(super) fn date(seconds: &str) -> String {
    let nanos = seconds.trim().parse::<i64>().ok().and_then(|s| s.checked_mul(1_000_000_000));
    let text = nanos.map(|nanos| Stamp::from_unix_nanos(nanos).to_string());
    text.and_then(|text| text.get(..10).map(str::to_owned)).unwrap_or_default()
}

/// Commits in the format of [`FORMAT`].
pub(super) fn commits(bytes: &[u8]) -> Vec<Commit> {
    let text = String::from_utf8_lossy(bytes);
    let fields: Vec<&str> = text.split('\0').collect();
    let commit = |fields: &[&str]| match fields {
        [id, author, time, subject] => Some(Commit {
            id: Id::parse(id)?,
            author: bounded(author),
            date: date(time),
            subject: bounded(subject),
        }),
        _ => None,
    };
    fields.chunks(4).filter_map(commit).collect()
}

/// For `git log -z`.
pub(super) const FORMAT: &str = "--format=%H%x00%an%x00%at%x00%s";

/// Where a line of a file, as it is in the commit that was checked out, comes from.
pub(super) fn of_line(git: &Git, range: &Range, file: &str, line: u32) -> Origin {
    let lines = format!("{line},{line}");
    let except = range.base.as_ref().map(|base| format!("^{}", base.as_str()));
    let mut ask = vec!["blame", "--porcelain", "--root", "-L", &lines];
    ask.extend(except.as_deref());
    ask.extend([range.head.as_str(), "--", file]);
    let answer = match git.ask(&ask) {
        Ok(answer) => answer,
        Err(why) => return Origin::unknown(missing(&why)),
    };
    let Some((commit, older)) = blamed(&answer) else {
        return Origin::unknown("git tells nothing of this line");
    };
    if older {
        let ask = ["blame", "--porcelain", "--root", "-L", &lines, range.head.as_str(), "--", file];
        // It is known by now that it is older; by whom, only if history reaches that far in time.
        let commit =
            git.ask(&ask).ok().and_then(|answer| blamed(&answer)).map(|(commit, _)| commit);
        let missing = commit.as_ref().and_then(|commit| range.cut_at(&commit.id));
        let commit = commit.filter(|_| missing.is_none());
        return Origin { commit, in_change: Some(false), missing };
    }
    placed(range, commit)
}

/// The last commit that changed a file.
pub(super) fn of_file(git: &Git, range: &Range, file: &str) -> Origin {
    let since = range.base.as_ref().map(|base| format!("^{}", base.as_str()));
    let ask = |since: Option<&str>| {
        let mut ask = vec!["log", "-z", "-1", FORMAT];
        ask.extend(since);
        ask.extend([range.head.as_str(), "--", file]);
        git.ask(&ask).map(|answer| commits(&answer).into_iter().next())
    };
    match ask(since.as_deref()) {
        Ok(Some(commit)) => placed(range, commit),
        Ok(None) if since.is_some() => match ask(None) {
            Ok(Some(commit)) => {
                Origin { commit: Some(commit), in_change: Some(false), missing: None }
            }
            Ok(None) => Origin::unknown(NOT_COMMITTED),
            Err(why) => Origin { in_change: Some(false), ..Origin::unknown(missing(&why)) },
        },
        Ok(None) => Origin::unknown(NOT_COMMITTED),
        Err(why) => Origin::unknown(missing(&why)),
    }
}

pub(super) const NOT_COMMITTED: &str = "it is in no commit";

/// A commit that is not older than the base.
fn placed(range: &Range, commit: Commit) -> Origin {
    // Without a base, a commit whose parents were not fetched stands for all of them.
    let missing = range.cut_at(&commit.id).filter(|_| range.base.is_none());
    let in_change = match missing {
        Some(_) => None,
        None => Some(range.base.is_some() || commit.id == range.head),
    };
    let commit = Some(commit).filter(|_| missing.is_none());
    Origin { commit, in_change, missing }
}

fn missing(why: &str) -> String {
    if why == LATE { why.to_owned() } else { format!("history is missing: {why}") }
}

/// The commit of a line, and whether it is one that was left out.
fn blamed(porcelain: &[u8]) -> Option<(Commit, bool)> {
    let text = String::from_utf8_lossy(porcelain);
    let mut lines = text.lines();
    let id = Id::parse(lines.next()?.split(' ').next()?)?;
    let headers: Vec<&str> = lines.take_while(|line| !line.starts_with('\t')).collect();
    let header = |name: &str| {
        headers
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .unwrap_or_default()
    };
    let commit = Commit {
        id,
        author: bounded(header("author")),
        date: date(header("author-time")),
        subject: bounded(header("summary")),
    };
    Some((commit, headers.contains(&"boundary")))
}
