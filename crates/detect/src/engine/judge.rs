//! How serious a detection is, and why: it starts at the recipe's importance and moves with the
//! context.

use event::{Detection, Purpose, Severity};

use crate::subject::{ANYONES, Subject};

/// Moves the severity with the context, and says why.
///
/// What the file contains is looked at here as well: a packed or changed program is worse.
pub(super) fn judge(detection: &mut Detection, subject: &Subject<'_>) {
    let mut reasons = Vec::new();
    let importance = detection.recipe.importance;
    let exe = &detection.process.exe;
    let purpose = subject.identity.map(|identity| identity.purpose);
    let mut severity = importance;
    if purpose == Some(Purpose::Manage) {
        severity = Severity::Info;
        reasons.push("the arguments do not ask it to serve".to_owned());
    } else {
        reasons.push(format!("{} is of {importance} importance", detection.recipe.name));
        if let Some(above) = subject.above.filter(|_| subject.identity.is_none()) {
            let pid = above.ancestor.pid;
            reasons.push(format!("it runs below the web server {} ({pid})", above.name));
        }
        let mut worst = |reason: String| {
            severity = severity.max(Severity::Critical);
            reasons.push(reason);
        };
        let program = subject.identity.map_or("", |identity| identity.path.as_str());
        if exe.memfd {
            worst("the program exists in memory only".to_owned());
        } else if exe.deleted {
            worst("the program's file was already deleted when it was executed".to_owned());
        } else if let Some(path) = [exe.path.as_str(), program]
            .into_iter()
            .find(|p| ANYONES.iter().any(|d| p.starts_with(d)))
        {
            worst(format!("the program lies where anyone may write: {path}"));
        }
        if subject.identity.is_some_and(|identity| identity.masquerade) {
            worst("its name says something else than what it is".to_owned());
        }
        if exe.intact == Some(false) {
            worst("its file is not as its package brought it".to_owned());
        }
        let packed = subject.process().exe.content.as_ref().and_then(|c| c.packed.as_ref());
        if let Some(whom) = packed {
            worst(format!("its file is packed by {whom}, so that its content does not show"));
        }
        if subject.identity.is_some_and(|identity| identity.disputed) && severity == importance {
            severity = severity.min(Severity::Low);
            reasons.push("only its name says so: the file's content does not".to_owned());
        }
    }
    if purpose == Some(Purpose::Unknown) {
        severity = if severity == importance { severity.min(Severity::Medium) } else { severity };
        reasons.push("whether it is to serve, its arguments do not tell".to_owned());
    }
    if detection.seeded {
        severity = subject.settings.seeded_severity;
        reasons.push("it ran before picket did".to_owned());
    }
    reasons.extend(subject.attribution().contradiction.clone());
    detection.severity = severity;
    detection.reasons = reasons;
}
