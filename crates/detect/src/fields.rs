//! The facts that a recipe's `when` may name: a closed list, each with its kind and what it is.
//!
//! A fact that is absent reads as an empty text, 0, false or an empty list; `has()` tells.

use std::borrow::Cow;

use event::{Ancestor, Listener};

use crate::subject::{ANYONES, Subject, is_public, name_of};
use crate::words::base_name;

/// A text that may have to be made.
type Words<'s> = Option<Cow<'s, str>>;

/// How a fact of an event is had.
#[derive(Clone, Copy)]
pub(crate) enum Get {
    Text(for<'s> fn(&'s Subject<'s>) -> Words<'s>),
    Int(for<'s> fn(&'s Subject<'s>) -> Option<i64>),
    Flag(for<'s> fn(&'s Subject<'s>) -> Option<bool>),
    Texts(for<'s> fn(&'s Subject<'s>) -> &'s [String]),
    Ancestors,
    Listeners,
}

/// How a fact of an element of a list is had.
pub(crate) enum Part<T> {
    Text(for<'s> fn(&'s T) -> Words<'s>),
    Int(fn(&T) -> Option<i64>),
    Flag(fn(&T) -> Option<bool>),
    Texts(for<'s> fn(&'s T) -> &'s [String]),
}

/// A fact: its name in an expression, how it is had, and what it is.
pub(crate) type Field = (&'static str, Get, &'static str);
/// A fact of an element.
pub(crate) type PartField<T> = (&'static str, Part<T>, &'static str);

/// A fact as it is shown to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// What follows the name of the list that it belongs to, if it is one of an element.
    pub part: Option<&'static str>,
    /// Its kind.
    pub kind: &'static str,
    /// What it is.
    pub help: &'static str,
}

/// Every fact, in order, those of lists after the list.
pub fn all() -> Vec<Described> {
    let mut all = Vec::new();
    for &(name, get, help) in FIELDS {
        let kind = match get {
            Get::Text(_) => "text",
            Get::Int(_) => "number",
            Get::Flag(_) => "yes or no",
            Get::Texts(_) => "list of texts",
            Get::Ancestors | Get::Listeners => "list",
        };
        all.push(Described { name, part: None, kind, help });
        match get {
            Get::Ancestors => all.extend(parts(name, ANCESTOR)),
            Get::Listeners => all.extend(parts(name, LISTENER)),
            _ => {}
        }
    }
    all
}

fn parts<T>(list: &'static str, fields: &'static [PartField<T>]) -> Vec<Described> {
    let described = |(part, get, help): &PartField<T>| {
        let kind = match get {
            Part::Text(_) => "text",
            Part::Int(_) => "number",
            Part::Flag(_) => "yes or no",
            Part::Texts(_) => "list of texts",
        };
        Described { name: list, part: Some(*part), kind, help }
    };
    fields.iter().map(described).collect()
}

fn some(text: &str) -> Words<'_> {
    (!text.is_empty()).then_some(Cow::Borrowed(text))
}

fn maybe(text: Option<&String>) -> Words<'_> {
    text.map(|text| Cow::Borrowed(text.as_str()))
}

fn word(word: impl std::fmt::Display) -> Words<'static> {
    Some(Cow::Owned(word.to_string()))
}

fn number(number: u64) -> Option<i64> {
    i64::try_from(number).ok()
}

/// Whole seconds from one time to a later one.
fn seconds(from: event::Stamp, to: event::Stamp) -> i64 {
    (to.unix_nanos() - from.unix_nanos()).div_euclid(1_000_000_000)
}

/// Of arguments that are joined by blanks, what follows the first.
fn behind_the_first<'s>(line: &'s str, args: &[String]) -> &'s str {
    args.first().and_then(|first| line.get(first.len() + 1..)).unwrap_or_default()
}

/// The facts of an event.
#[rustfmt::skip]
pub(crate) const FIELDS: &[Field] = &[
    ("event", Get::Text(|s| some(s.event)), "what happened: exec, listen"),
    ("environment", Get::Text(|s| word(s.settings.environment)), "ci, staging or production"),
    ("host", Get::Text(|s| some(s.host)), "the machine"),
    ("seeded", Get::Flag(|s| Some(s.exec.seeded)), "it ran before picket did"),

    ("process.pid", Get::Int(|s| Some(s.process().pid.into())), "process id"),
    ("process.ppid", Get::Int(|s| Some(s.process().ppid.into())), "the parent's process id"),
    ("process.uid", Get::Int(|s| Some(s.process().uid.into())), "user id"),
    ("process.gid", Get::Int(|s| Some(s.process().gid.into())), "group id"),
    ("process.session", Get::Int(|s| Some(s.process().session.into())), "session id"),
    ("process.user", Get::Text(|s| maybe(s.process().user.as_ref())), "the user's name"),
    ("process.tty", Get::Flag(|s| Some(s.process().tty)), "it has a terminal"),
    ("process.tty_name", Get::Text(|s| maybe(s.process().tty_name.as_ref())), "the terminal's name, as `pts/3`"),
    ("process.comm", Get::Text(|s| some(&s.process().comm)), "what the kernel calls it; anyone can change it"),
    ("process.name", Get::Text(|s| some(base_name(&s.process().exe.path))), "base name of the file that runs"),
    ("process.names", Get::Texts(|s| s.names()), "every name it goes by: the file's, the one asked for, the script's or applet's"),
    ("process.args", Get::Texts(|s| &s.process().args), "arguments, the program's own name first"),
    ("process.args_truncated", Get::Flag(|s| Some(s.process().args_truncated)), "there were more arguments than were taken"),
    ("process.command_line", Get::Text(|s| some(s.command_line())), "the arguments, joined by blanks"),
    ("process.parameters", Get::Text(|s| some(behind_the_first(s.command_line(), &s.process().args))), "the arguments but the first, joined by blanks"),
    ("process.cwd", Get::Text(|s| maybe(s.process().cwd.as_ref())), "working directory"),
    ("process.invoked_as", Get::Text(|s| some(&s.process().invoked_as)), "the path that was asked for"),
    ("process.interpreter", Get::Text(|s| maybe(s.process().interpreter.as_ref())), "what the kernel runs a script with"),
    ("process.target", Get::Text(|s| s.target().map(Cow::Borrowed)), "the file that an interpreter or loader was given"),
    ("process.exe.path", Get::Text(|s| some(&s.process().exe.path)), "path of the file that runs"),
    ("process.exe.size", Get::Int(|s| number(s.process().exe.size)), "its bytes"),
    ("process.exe.sha256", Get::Text(|s| maybe(s.process().exe.sha256.as_ref())), "SHA-256 of its content, where it was read"),
    ("process.exe.build_id", Get::Text(|s| maybe(s.process().exe.build_id.as_ref())), "its GNU build id, where it was read"),
    ("process.exe.deleted", Get::Flag(|s| Some(s.process().exe.deleted)), "it had no name any more when it was executed"),
    ("process.exe.memfd", Get::Flag(|s| Some(s.process().exe.memfd)), "it exists in memory only"),
    ("process.exe.package", Get::Text(|s| maybe(s.process().exe.package.as_ref())), "the package that owns it, with its version"),
    ("process.exe.intact", Get::Flag(|s| s.process().exe.intact), "it is as its package brought it; absent where no package tells"),
    ("process.exe.packed", Get::Text(|s| maybe(s.process().exe.content.as_ref()?.packed.as_ref())), "who packed it, so that its content does not show"),
    ("process.exe.anyone_writes", Get::Flag(|s| Some(s.process().exe.mode & 0o002 != 0)), "everybody may change the file"),
    ("process.exe.anyones_place", Get::Flag(|s| Some(ANYONES.iter().any(|d| s.process().exe.path.starts_with(d) || s.target().is_some_and(|t| t.starts_with(d))))), "it, or what it runs, lies where everybody may write: /tmp, /dev/shm …"),
    ("process.exe.age", Get::Int(|s| (s.process().exe.changed.unix_nanos() > 0).then(|| seconds(s.process().exe.changed, s.exec.time))), "seconds since the file changed last"),
    ("process.exe.newer_than_above", Get::Flag(|s| Some(s.process().exe.changed > s.above?.start && s.process().exe.changed.unix_nanos() > 0)), "the file changed last after the web server above it started"),

    ("parent.pid", Get::Int(|s| Some(s.parent()?.pid.into())), "of the nearest ancestor: process id"),
    ("parent.name", Get::Text(|s| some(name_of(s.parent()?))), "base name of the file that it ran"),
    ("parent.comm", Get::Text(|s| some(&s.parent()?.comm)), "what the kernel called it"),
    ("parent.exe", Get::Text(|s| maybe(s.parent()?.exe.as_ref())), "path that it was asked to run"),
    ("parent.args", Get::Texts(|s| s.parent().map_or(&[], |p| p.args.as_slice())), "its first arguments (128 bytes)"),
    ("parent.command_line", Get::Text(|s| Some(Cow::Owned(s.parent()?.args.join(" ")))), "those, joined by blanks"),
    ("parent.parameters", Get::Text(|s| s.parent().map(|p| Cow::Owned(p.args.get(1..).unwrap_or_default().join(" ")))), "those but the first"),
    ("ancestors", Get::Ancestors, "all ancestors, nearest first"),

    ("server.name", Get::Text(|s| some(s.identity?.server.name())), "the web server that it is: its name in the catalogue"),
    ("server.title", Get::Text(|s| some(&s.identity?.server.title)), "as people write it"),
    ("server.version", Get::Text(|s| maybe(s.identity?.version.as_ref())), "its version, where the file tells"),
    ("server.purpose", Get::Text(|s| word(s.identity?.purpose)), "serve, manage or unknown"),
    ("server.confidence", Get::Text(|s| word(s.identity?.confidence)), "weak, strong or confirmed"),
    ("server.masquerade", Get::Flag(|s| Some(s.identity?.masquerade)), "its name says something else than what it is"),
    ("server.disputed", Get::Flag(|s| Some(s.identity?.disputed)), "its file was read and is not what it is called: only its name speaks for it"),

    ("above.name", Get::Text(|s| some(s.above?.name)), "the nearest web server among the ancestors: its name in the catalogue"),
    ("above.pid", Get::Int(|s| Some(s.above?.ancestor.pid.into())), "its process id"),
    ("above.exe", Get::Text(|s| maybe(s.above?.ancestor.exe.as_ref())), "path that it was asked to run"),
    ("above.age", Get::Int(|s| Some(seconds(s.above?.start, s.exec.time))), "seconds since its process started"),

    ("launcher.kind", Get::Text(|s| word(s.launcher().kind)), "what started it: systemd, container, package-manager, ci-step, shell, ssh, cron, web-server, other"),
    ("launcher.detail", Get::Text(|s| some(&s.launcher().detail)), "in words"),
    ("launcher.unit", Get::Text(|s| maybe(s.launcher().unit.as_ref())), "the systemd unit that it belongs to"),
    ("launcher.tty", Get::Text(|s| maybe(s.launcher().tty.as_ref())), "the terminal that it is on"),
    ("launcher.script", Get::Text(|s| maybe(s.launcher().script.as_ref())), "the script or job that was run"),

    ("container.id", Get::Text(|s| some(&s.workload().container.as_ref()?.id)), "the container that it runs in"),
    ("container.runtime", Get::Text(|s| some(&s.workload().container.as_ref()?.runtime)), "its engine"),
    ("container.pod_uid", Get::Text(|s| maybe(s.workload().container.as_ref()?.pod_uid.as_ref())), "its pod"),

    ("ci.provider", Get::Text(|s| some(&s.settings.ci.as_ref()?.provider)), "who runs the pipeline"),
    ("ci.repository", Get::Text(|s| maybe(s.settings.ci.as_ref()?.repository.as_ref())), "its repository"),
    ("ci.workflow", Get::Text(|s| maybe(s.settings.ci.as_ref()?.workflow.as_ref())), "its workflow"),
    ("ci.job", Get::Text(|s| maybe(s.settings.ci.as_ref()?.job.as_ref())), "its job"),
    ("ci.step", Get::Text(|s| maybe(s.settings.ci.as_ref()?.step.as_ref())), "its step"),
    ("ci.run_id", Get::Text(|s| maybe(s.settings.ci.as_ref()?.run_id.as_ref())), "its run"),
    ("ci.sha", Get::Text(|s| maybe(s.settings.ci.as_ref()?.sha.as_ref())), "its commit"),
    ("ci.ref", Get::Text(|s| maybe(s.settings.ci.as_ref()?.r#ref.as_ref())), "its branch or tag"),
    ("ci.actor", Get::Text(|s| maybe(s.settings.ci.as_ref()?.actor.as_ref())), "who caused it"),

    ("listen", Get::Listeners, "where it listens by now"),
];

/// The facts of an ancestor.
#[rustfmt::skip]
pub(crate) const ANCESTOR: &[PartField<Ancestor>] = &[
    ("pid", Part::Int(|a| Some(a.pid.into())), "process id"),
    ("name", Part::Text(|a| some(name_of(a))), "base name of the file that it ran"),
    ("comm", Part::Text(|a| some(&a.comm)), "what the kernel called it"),
    ("exe", Part::Text(|a| maybe(a.exe.as_ref())), "path that it was asked to run"),
    ("args", Part::Texts(|a| &a.args), "its first arguments (128 bytes)"),
    ("command_line", Part::Text(|a| Some(Cow::Owned(a.args.join(" ")))), "those, joined by blanks"),
    ("alive", Part::Flag(|a| Some(a.alive)), "it still lives"),
];

/// The facts of a listener.
#[rustfmt::skip]
pub(crate) const LISTENER: &[PartField<Listener>] = &[
    ("address", Part::Text(|l| some(&l.address)), "address"),
    ("port", Part::Int(|l| Some(l.port.into())), "port"),
    ("public", Part::Flag(|l| Some(is_public(l))), "other machines reach it: it is not on the loopback"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<String> = all()
            .iter()
            .map(|f| f.part.map_or_else(|| f.name.to_owned(), |p| format!("{}/{p}", f.name)))
            .collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
