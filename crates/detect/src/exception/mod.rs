//! Exceptions: detections that somebody wants quiet, for a reason, for a while.
//!
//! An exception must hang on something that an attacker cannot type; [`lint`] refuses those that do
//! not. What it covers is still told, with severity `info` and the exception's reason.

mod lint;
#[cfg(test)]
mod tests;

use event::{Detection, Environment, LauncherKind, Stamp};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::baseline::{is_native, is_of_the_machine, package};
use crate::day::Day;
use crate::parse::{self, ParseError};
use crate::words::{base_name, glob};
use crate::workload;

/// How far ahead an exception may end.
pub const LONGEST_DAYS: i64 = 180;
/// More are not exceptions any more.
const MOST: usize = 1000;

/// A file of exceptions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExceptionsFile {
    /// The exceptions.
    #[schemars(with = "Vec<ExceptionFile>")]
    exceptions: Vec<Spanned<ExceptionFile>>,
}

/// An exception, as its file says it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ExceptionFile {
    /// Name, unique: lower-case letters, digits and `_`.
    #[schemars(with = "String")]
    name: Spanned<String>,
    /// The recipes that it is for, `*` allowed.
    recipe: String,
    /// Why.
    #[schemars(with = "String")]
    reason: Spanned<String>,
    /// Who is answerable for it.
    #[schemars(with = "String")]
    by: Spanned<String>,
    /// Its last day, at most 180 days ahead.
    #[schemars(with = "String")]
    until: Spanned<String>,
    /// What must be so: all of the keys, and of each at least one of its values.
    r#where: Where,
}

/// A list of values, each with its place in the file.
type Values = Vec<Spanned<String>>;

/// What must be so for an exception. The first ones carry it, alone or together; the others can only
/// narrow it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Where {
    /// Carries. SHA-256 of the file that runs.
    #[schemars(with = "Vec<String>")]
    sha256: Values,
    /// Carries. SHA-256 of the script, archive or program that it was given to run.
    #[schemars(with = "Vec<String>")]
    script_sha256: Values,
    /// Carries. The package that brought the file, unchanged, onto this machine.
    #[schemars(with = "Vec<String>")]
    package: Values,
    /// Carries, where nobody but root can write. Path of the file that runs; globs.
    #[schemars(with = "Vec<String>")]
    path: Values,
    /// Carries. The system's service that it belongs to.
    #[schemars(with = "Vec<String>")]
    unit: Values,
    /// Carries. The image of its container; globs.
    #[schemars(with = "Vec<String>")]
    image: Values,
    /// Carries, other than root. The user that it runs as, by name.
    #[schemars(with = "Vec<String>")]
    user: Values,
    /// Carries, other than 0. The user that it runs as, by number.
    #[schemars(with = "Vec<u32>")]
    uid: Vec<Spanned<u32>>,
    /// Narrows. The kind of launcher.
    #[schemars(with = "Vec<LauncherKind>")]
    launcher: Vec<Spanned<LauncherKind>>,
    /// Narrows. The catalogue's name of the server; globs.
    #[schemars(with = "Vec<String>")]
    server: Values,
    /// Narrows. GNU build id.
    #[schemars(with = "Vec<String>")]
    build_id: Values,
    /// Narrows. The namespace of its pod; globs.
    #[schemars(with = "Vec<String>")]
    pod_namespace: Values,
    /// Narrows. The pipeline's repository; globs.
    #[schemars(with = "Vec<String>")]
    repository: Values,
    /// Narrows. The pipeline's job; globs.
    #[schemars(with = "Vec<String>")]
    job: Values,
    /// Narrows. The machine; globs.
    #[schemars(with = "Vec<String>")]
    host: Values,
    /// Narrows. `ci`, `staging`, `production`.
    #[schemars(with = "Vec<Environment>")]
    environment: Vec<Spanned<Environment>>,
    /// Narrows. Name of the file that runs; globs.
    #[schemars(with = "Vec<String>")]
    name: Values,
    /// Narrows. One of its arguments; globs.
    #[schemars(with = "Vec<String>")]
    arguments: Values,
    /// Narrows. All its arguments, joined by one space; globs.
    #[schemars(with = "Vec<String>")]
    command_line: Values,
    /// Narrows. The kernel's short name for it; globs.
    #[schemars(with = "Vec<String>")]
    comm: Values,
    /// Narrows. The path that was asked for; globs.
    #[schemars(with = "Vec<String>")]
    invoked_as: Values,
    /// Narrows. Its working directory; globs.
    #[schemars(with = "Vec<String>")]
    cwd: Values,
}

/// An exception, checked.
#[derive(Debug, Clone)]
pub struct Exception {
    /// Name.
    pub name: String,
    /// The recipes that it is for.
    pub recipe: String,
    /// Why.
    pub reason: String,
    /// Who is answerable for it.
    pub by: String,
    /// Its last day.
    pub until: Day,
    /// What it hangs on: the keys that carry it.
    pub anchors: Vec<&'static str>,
    conditions: Where,
}

/// Reads files of exceptions, given as path and text. One with an error is left out, by name.
/// `now` is what 180 days are counted from.
pub fn parse_all<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
    now: Stamp,
) -> (Vec<Exception>, Vec<ParseError>) {
    let mut exceptions: Vec<Exception> = Vec::new();
    let mut errors = Vec::new();
    for (path, text) in files {
        let file: ExceptionsFile = match parse::yaml(path, text) {
            Ok(file) => file,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        if exceptions.len() + file.exceptions.len() > MOST {
            errors.push(ParseError::line(path, 1, format!("expected at most {MOST} exceptions")));
            continue;
        }
        for spanned in file.exceptions {
            let name = spanned.value.name.clone();
            match lint::check(path, &spanned, now) {
                Ok(exception) if exceptions.iter().any(|e| e.name == exception.name) => {
                    let message = format!("exception {:?} is already defined", exception.name);
                    errors.push(ParseError::at(path, &name.referenced, message));
                }
                Ok(exception) => exceptions.push(exception),
                Err(more) => errors.extend(more),
            }
        }
    }
    (exceptions, errors)
}

impl Exception {
    /// Whether it covers a detection, whatever the day. The error says why it does not count though
    /// all of it holds.
    pub(crate) fn covers(&self, detection: &Detection) -> Result<bool, String> {
        if !glob(&self.recipe, &detection.recipe.name) || !self.conditions.hold(detection) {
            return Ok(false);
        }
        // Of an interpreter, the file says little.
        let file_only = self.anchors.iter().all(|a| matches!(*a, "sha256" | "package" | "path"));
        if file_only && !is_native(&detection.process) {
            return Err(format!(
                "{} may run whatever its arguments say; `script_sha256`, `unit`, `image` or `user` \
                 would carry it",
                base_name(&detection.process.exe.path)
            ));
        }
        Ok(true)
    }
}

impl Where {
    fn hold(&self, detection: &Detection) -> bool {
        let d = detection;
        let p = &d.process;
        let container = d.container.as_ref();
        let ci = d.ci.as_ref().filter(|ci| !ci.claimed);
        let unit = workload::of(p).unit.filter(|unit| unit.user.is_none() && !unit.inside);
        let unit = unit.filter(|_| container.is_none());
        let own = is_of_the_machine(p);
        let path = Some(p.exe.path.as_str()).filter(|_| own && !p.exe.deleted && !p.exe.memfd);
        let line = (!self.command_line.is_empty()).then(|| p.args.join(" "));
        let server = d.server.as_ref().map(|server| server.name.as_str());
        exact(&self.sha256, p.exe.sha256.as_deref())
            && exact(&self.script_sha256, p.target.as_ref().and_then(|t| t.sha256.as_deref()))
            && exact(&self.package, package(p).map(|(name, _)| name))
            && globs(&self.path, path)
            && exact(&self.unit, unit.as_ref().map(|unit| unit.name.as_str()))
            && globs(&self.image, container.and_then(|c| c.image.as_deref()))
            && exact(&self.user, p.user.as_deref())
            && any(&self.uid, |uid| *uid == p.uid)
            && any(&self.launcher, |kind| *kind == d.launcher.kind)
            && globs(&self.server, server)
            && exact(&self.build_id, p.exe.build_id.as_deref())
            && globs(&self.pod_namespace, container.and_then(|c| c.pod_namespace.as_deref()))
            && globs(&self.repository, ci.and_then(|ci| ci.repository.as_deref()))
            && globs(&self.job, ci.and_then(|ci| ci.job.as_deref()))
            && globs(&self.host, Some(&d.host))
            && any(&self.environment, |environment| *environment == d.environment)
            && globs(&self.name, Some(base_name(&p.exe.path)))
            && any(&self.arguments, |pattern| p.args.iter().any(|arg| glob(pattern, arg)))
            && globs(&self.command_line, line.as_deref())
            && globs(&self.comm, Some(&p.comm))
            && globs(&self.invoked_as, Some(&p.invoked_as))
            && globs(&self.cwd, p.cwd.as_deref())
    }
}

/// Whether one of the values holds, or none was given.
fn any<T>(values: &[Spanned<T>], holds: impl Fn(&T) -> bool) -> bool {
    values.is_empty() || values.iter().any(|value| holds(&value.value))
}

fn exact(values: &Values, fact: Option<&str>) -> bool {
    any(values, |value| fact == Some(value.as_str()))
}

fn globs(values: &Values, fact: Option<&str>) -> bool {
    any(values, |pattern| fact.is_some_and(|fact| glob(pattern, fact)))
}
