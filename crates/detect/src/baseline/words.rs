//! What is new about a start, in words.

use super::entry::Accepted;
use super::key::{Covers, Key, Same};
use super::seen::Memory;

/// Why something is new here: what of it was never seen before.
pub(super) fn new_here(key: &Key, count: u64, accepted: &Accepted, memory: &Memory) -> String {
    if count > 0 {
        return format!("accepted by nobody, and seen {count} times before");
    }
    let known = accepted.entries().iter().map(|entry| &entry.key).chain(memory.keys());
    let same =
        |known: &&Key| known.server == key.server && known.file.compare(&key.file) != Same::No;
    let (mut any, mut place, mut launcher, mut both) = (false, false, false, false);
    for known in known.filter(same) {
        let here = known.workload.covers(&key.workload) != Covers::No;
        let by = known.launcher == key.launcher;
        any = true;
        place |= here;
        launcher |= by;
        both |= here && by;
    }
    let what = match (any, place, launcher, both) {
        (false, ..) => "never run before",
        (_, _, _, true) => "never run in this way before",
        (_, true, false, _) => "never run by this launcher before",
        (_, false, true, _) => "never run in this workload before",
        (_, true, true, _) => "never run in this workload by this launcher before",
        (_, false, false, _) => "never run in this workload, nor by this launcher, before",
    };
    format!("new here: {what}")
}

/// The first digits of a digest.
pub(super) fn short(sha256: Option<&str>) -> String {
    let digits = sha256.and_then(|sha256| sha256.get(..12));
    digits.map_or_else(|| "not known by its content".to_owned(), |d| format!("SHA-256 {d}…"))
}

impl std::fmt::Display for super::key::Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(unit) = &self.unit {
            write!(f, "unit {unit}")?;
            return self.user.map_or(Ok(()), |user| write!(f, " of user {user}"));
        }
        if let Some(engine) = &self.engine {
            match (&self.image, &self.name) {
                (Some(image), _) => write!(f, "{engine} container of image {image}")?,
                (None, Some(name)) => write!(f, "{engine} container {name}")?,
                (None, None) => write!(f, "{engine} containers")?,
            }
            return self.below.as_ref().map_or(Ok(()), |below| write!(f, " below {below}"));
        }
        if let Some(pipeline) = &self.pipeline {
            let job = self.job.as_deref().unwrap_or("any");
            let repository = self.repository.as_deref().unwrap_or("an unknown repository");
            return write!(f, "{pipeline} job {job} of {repository}");
        }
        f.write_str("the machine itself")
    }
}

impl std::fmt::Display for super::key::Starter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.kind)?;
        for part in [&self.unit, &self.name, &self.script].into_iter().flatten() {
            write!(f, " {part}")?;
        }
        write!(f, " as uid {}", self.uid)?;
        f.write_str(if self.below_itself { ", below itself" } else { "" })
    }
}

impl std::fmt::Display for super::key::File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path)?;
        if let (Some(package), Some(version)) = (&self.package, &self.version) {
            write!(f, ", {package} {version}")?;
        }
        self.sha256.as_ref().map_or(Ok(()), |sha256| write!(f, ", {}", short(Some(sha256))))
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let server = self.server.as_deref().unwrap_or("no server");
        write!(f, "{server} ({}) in {}", self.recipe, self.workload)?;
        write!(f, ", started by {}: {}", self.launcher, self.file)?;
        if let Some(script) = &self.script {
            write!(f, ", runs {}, {}", script.path, short(Some(&script.sha256)))?;
        }
        if let Some(command) = &self.command {
            write!(f, ", runs `{}`", command.join(" "))?;
        }
        let long = self.command_sha256.as_ref();
        long.map_or(Ok(()), |sha256| write!(f, ", runs arguments of {}", short(Some(sha256))))
    }
}
