//! A baseline of what a run started, for the runs of other branches to be compared with.

use std::path::Path;

use anyhow::{Context, Result};
use detect::baseline::{Accepted, Entry, MOST_ENTRIES, Observed};
use detect::day::Day;

use crate::expected;
use crate::sink;

/// Writes it, at once and as a whole. `why` says which run it was.
pub(crate) fn write(path: &Path, started: Observed, why: &str) -> Result<()> {
    let (sightings, refused) = started.done();
    for (id, why) in refused {
        sink::log(&format!("detection {id} is not in {}: {why}", path.display()));
    }
    let mut accepted = Accepted::default();
    for sighting in sightings.into_iter().take(MOST_ENTRIES) {
        accepted.add(Entry {
            key: sighting.key,
            up_to: sighting.severity,
            by: "picket ci".to_owned(),
            on: Day::of(expected::now()),
            why: why.to_owned(),
            until: None,
        });
    }
    let what = || format!("cannot write the baseline {}", path.display());
    let mut name = path.file_name().with_context(what)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let written = std::fs::write(&new, accepted.to_yaml());
    let written = written.and_then(|()| std::fs::rename(&new, path)).with_context(what);
    if written.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    written
}
