//! A stage of an incident, with what joins it to the others; and how serious stages are together.

use std::collections::BTreeMap;

use event::{Process, ProcessKey, Severity, Stage, StageKind, Stamp};

use crate::words::base_name;

/// Characters of a command line that a stage quotes.
const QUOTED: usize = 100;

/// A stage, before it is told.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) kind: StageKind,
    pub(super) time: Stamp,
    /// What makes two of a kind the same, so that it is told once.
    pub(super) key: String,
    /// What it counts towards the severity, see [`grave`].
    pub(super) points: u8,
    /// Who did it: the process, and what it is called.
    pub(super) by: (ProcessKey, String),
    /// What it did, in words that follow its name.
    pub(super) act: String,
    /// The process that came of it.
    pub(super) made: Option<ProcessKey>,
    /// The detection that told of it, and how severe that was.
    pub(super) detection: Option<(String, Severity)>,
}

impl Entry {
    /// As it is told.
    pub(super) fn stage(&self) -> Stage {
        Stage {
            kind: self.kind,
            time: self.time,
            pid: self.made.unwrap_or(self.by.0).pid,
            detail: format!("{} {}", self.by.1, self.act),
            detection: self.detection.as_ref().map(|(id, _)| id.clone()),
        }
    }

    /// Whether it is a reason to look at what else happened: what no server does by itself.
    pub(super) fn is_strong(&self) -> bool {
        self.points >= 2 && !matches!(self.kind, StageKind::Outbound | StageKind::Transferred)
    }
}

/// All that happened, in one sentence.
pub(super) fn story(entries: &[Entry]) -> String {
    let mut out = String::new();
    let (mut last, mut made) = (None, None);
    for entry in entries {
        let (by, name) = &entry.by;
        if !out.is_empty() {
            out.push_str(", ");
        }
        if made == Some(*by) {
            out.push_str("which ");
        } else if last != Some(*by) {
            out.push_str(name);
            out.push(' ');
        }
        out.push_str(&entry.act);
        (last, made) = (Some(*by), entry.made);
    }
    out
}

/// How serious stages are together, and why; `None` if they are no incident yet.
///
/// Each kind of stage counts once, by the most serious of its stages: two points for what a server
/// has no reason to do, one for what may be usual, none for what every server does.
pub(super) fn grave(entries: &[Entry]) -> Option<(Severity, String)> {
    let mut kinds: BTreeMap<StageKind, u8> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.points > 0) {
        let most = kinds.entry(entry.kind).or_default();
        *most = entry.points.max(*most);
    }
    let points: u8 = kinds.values().sum();
    if points < 3 || !entries.iter().any(Entry::is_strong) {
        return None;
    }
    let together = match points {
        3 => Severity::Medium,
        4..=5 => Severity::High,
        _ => Severity::Critical,
    };
    let kinds: Vec<&str> = kinds.keys().map(|kind| said(*kind)).collect();
    let (last, first) = kinds.split_last()?;
    let kinds = format!("{} and {last}", first.join(", "));
    let detected = entries.iter().filter_map(|e| e.detection.as_ref()).map(|(_, s)| *s).max();
    Some(match detected.filter(|severity| *severity > together) {
        Some(severity) => (severity, format!("{severity}, as one of its detections is: {kinds}")),
        None => (together, format!("{together}: {kinds} together")),
    })
}

fn said(kind: StageKind) -> &'static str {
    match kind {
        StageKind::ServerStarted => "a server",
        StageKind::Listens => "a listener",
        StageKind::Child => "an unexpected child",
        StageKind::WrittenFile => "a file written after the server started",
        StageKind::ChildListens => "a child that listens",
        StageKind::Outbound => "a connection to a new peer",
        StageKind::Transferred => "a transfer",
        StageKind::SecondServer => "a second server",
    }
}

/// What a process is called: the name of the file that it runs.
pub(super) fn program(process: &Process) -> &str {
    match base_name(&process.exe.path) {
        "" => &process.comm,
        name => name,
    }
}

/// A program with its command line, cut. The arguments must have been masked.
pub(super) fn command(process: &Process, args: &[String]) -> String {
    let name = program(process);
    let line = args.join(" ");
    let line = line.trim_end();
    if line.is_empty() || line == name {
        return name.to_owned();
    }
    match line.char_indices().nth(QUOTED) {
        None => format!("{name} ({line})"),
        Some((end, _)) => format!("{name} ({}…)", &line[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grave_of(stages: &[(StageKind, u8, Option<Severity>)]) -> Option<(Severity, String)> {
        let by = (ProcessKey { pid: 1, start_boot_ns: 1 }, "nginx".to_owned());
        let entries: Vec<Entry> = stages
            .iter()
            .map(|(kind, points, severity)| Entry {
                kind: *kind,
                time: Stamp::default(),
                key: String::new(),
                points: *points,
                by: by.clone(),
                act: String::new(),
                made: None,
                detection: severity.map(|severity| (String::new(), severity)),
            })
            .collect();
        grave(&entries)
    }

    #[test]
    fn kinds_of_stages_add_up() {
        use Severity::{Critical, High, Low, Medium};
        use StageKind::{Child, Outbound, SecondServer, ServerStarted, WrittenFile};
        let start = (ServerStarted, 0, Some(Low));
        for (stages, expected) in [
            (vec![], None),
            (vec![start], None),
            (vec![start, (Child, 2, None)], None),
            (vec![start, (Child, 2, None), (Child, 2, None)], None),
            (vec![start, (Outbound, 2, None), (SecondServer, 1, None)], None),
            (vec![start, (Outbound, 1, None), (Child, 2, None)], Some(Medium)),
            (vec![start, (Outbound, 2, None), (Child, 2, None)], Some(High)),
            (
                vec![start, (SecondServer, 2, None), (Outbound, 1, None), (Child, 2, None)],
                Some(High),
            ),
            (
                vec![start, (Outbound, 2, None), (Child, 2, None), (WrittenFile, 2, None)],
                Some(Critical),
            ),
            (vec![start, (Outbound, 1, None), (Child, 2, Some(Critical))], Some(Critical)),
        ] {
            let found = grave_of(&stages).map(|(severity, _)| severity);
            assert_eq!(found, expected, "{stages:?}");
        }
        let (_, why) = grave_of(&[(Child, 2, Some(Low)), (Outbound, 2, None)]).unwrap();
        assert_eq!(why, "high: an unexpected child and a connection to a new peer together");
    }
}
