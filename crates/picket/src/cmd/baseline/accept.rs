//! `picket baseline accept`: somebody says that what was seen is to be expected, and why.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use detect::baseline::{Accepted, Entry, MOST_ENTRIES, Observed, Sighting};
use detect::day::Day;
use event::Record;

use crate::cli::AcceptArgs;
use crate::config::Config;
use crate::escape::terminal;
use crate::expected;
use crate::sink::{self, print};

/// A longer line is no record.
const LONGEST_LINE: u64 = 4 << 20;

pub(super) fn run(config: &Config, args: &AcceptArgs) -> Result<ExitCode> {
    for (what, text) in [("--by", &args.by), ("--why", &args.why)] {
        ensure!(!text.trim().is_empty(), "{what} is empty: expected some text");
    }
    let today = Day::of(expected::now());
    let until = args.until.as_deref().map(Day::parse).transpose();
    let until = until.map_err(|why| anyhow::anyhow!("--until: {why}"))?;
    if let Some(until) = until.as_ref().filter(|until| **until < today) {
        bail!("--until: {until} is over");
    }
    let path = args.file.clone().unwrap_or_else(|| expected::baseline_file(config));
    let mut accepted = match path.exists() {
        true => super::read(&path)?,
        false => Accepted::default(),
    };
    let (sightings, refused) = seen(config, args.from.as_deref())?;
    let chosen = choose(args, &accepted, &sightings, &refused)?;
    ensure!(
        accepted.entries().len() + chosen.len() <= MOST_ENTRIES,
        "{}: that would be more than {MOST_ENTRIES} entries, which nobody reviews",
        path.display()
    );
    for sighting in &chosen {
        let known = accepted.add(Entry {
            key: sighting.key.clone(),
            up_to: sighting.severity,
            by: args.by.clone(),
            on: today.clone(),
            why: args.why.clone(),
            until: until.clone(),
        });
        let what = if known { "renewed" } else { "accepted" };
        print(&terminal(&format!("{what} {} {}", sighting.key.id(), sighting.key)))?;
    }
    if chosen.is_empty() {
        print("nothing is new")?;
        return Ok(ExitCode::SUCCESS);
    }
    write(&path, &accepted.to_yaml())?;
    print(&format!("{}: {} entries", path.display(), accepted.entries().len()))?;
    Ok(ExitCode::SUCCESS)
}

/// Detections that cannot be accepted, each with the reason.
type Refused = Vec<(String, &'static str)>;

/// What was seen: by the running picket, or by the one whose output is given.
fn seen(config: &Config, from: Option<&Path>) -> Result<(Vec<Sighting>, Refused)> {
    let observed = match from {
        Some(from) => records(from)?,
        None => {
            let memory = super::memory(config)?.with_context(|| {
                "nothing is known of what was seen: set `state` in the configuration, so that picket \
                 keeps it, or give its records with --from FILE"
            })?;
            Observed::of_memory(&memory)
        }
    };
    Ok(observed.done())
}

fn records(from: &Path) -> Result<Observed> {
    let what = || format!("cannot read the records {}", from.display());
    let input: Box<dyn Read> = match from == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => {
            let file = File::open(from).with_context(what)?;
            ensure!(!file.metadata().with_context(what)?.is_dir(), "{}: it is a directory", what());
            Box::new(file)
        }
    };
    let mut input = BufReader::new(input);
    let mut observed = Observed::default();
    let (mut bad, mut line) = (0_u64, Vec::new());
    for number in 1_u64.. {
        line.clear();
        let read = input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        if read.with_context(what)? == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match serde_json::from_slice::<Record>(&line) {
            Ok(record) => observed.on(record),
            Err(error) => {
                bad += 1;
                sink::log(&format!("{}:{number}: not a record: {error}", from.display()));
            }
        }
    }
    // What is accepted is what somebody believes to have seen whole.
    ensure!(bad == 0, "{}: {bad} bad lines: nothing is accepted", from.display());
    Ok(observed)
}

/// Those that were asked for.
fn choose<'s>(
    args: &AcceptArgs,
    accepted: &Accepted,
    sightings: &'s [Sighting],
    refused: &Refused,
) -> Result<Vec<&'s Sighting>> {
    if args.all_new {
        for (id, why) in refused {
            sink::log(&format!("detection {id} is not accepted: {why}"));
        }
        return Ok(sightings.iter().filter(|sighting| !accepted.expects(sighting)).collect());
    }
    let mut chosen = BTreeSet::new();
    for id in &args.id {
        let is = |sighting: &Sighting| {
            sighting.key.id() == *id || sighting.detections.iter().any(|detection| detection == id)
        };
        match sightings.iter().position(is) {
            Some(at) => {
                chosen.insert(at);
            }
            None => match refused.iter().find(|(detection, _)| detection == id) {
                Some((_, why)) => bail!("detection {id} cannot be accepted: {why}"),
                None => bail!(
                    "nothing that was seen is called {id:?}: expected the `key` of a detection's \
                     `baseline`, or its `id`; `picket baseline show` lists what was seen, and a running \
                     picket writes it down every ten seconds"
                ),
            },
        }
    }
    Ok(chosen.into_iter().map(|at| &sightings[at]).collect())
}

/// Puts the new file in the place of the old one, at once and as a whole.
fn write(path: &Path, text: &str) -> Result<()> {
    let what = || format!("cannot write the baseline {}", path.display());
    // Where a link leads, not in place of the link.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mode = fs::metadata(&path).map_or(0o644, |meta| meta.permissions().mode() & 0o775);
    let mut name = path.file_name().with_context(what)?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&new, &path)
    };
    let written = write().with_context(what);
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}
