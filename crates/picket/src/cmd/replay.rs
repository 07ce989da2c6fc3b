//! `picket replay`: run the recipes over recorded events.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use event::{Event, Exec, Record};

use crate::cli::{Common, ReplayArgs};
use crate::config::{self, Config};
use crate::expected;
use crate::sink::{self, Item, Sink, Style};

/// A replay has nothing to lose by waiting for its reader.
const FOREVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// A longer line is no event: arguments are at most 8 KiB, paths 4 KiB.
const LONGEST_LINE: u64 = 4 << 20;

pub(crate) fn run(common: &Common, args: &ReplayArgs) -> Result<ExitCode> {
    let config = Config::load(common)?;
    let (mut engine, _) = super::engine(&config)?;
    *engine.expectations() = expected::of_files(&config);
    let severity = args.severity.map_or(config.severity, Into::into);
    let seeded = args.severity.is_none();
    let style = Style { format: config::format(common), severity, seeded };
    let mut input = open(&args.file)?;
    let sink = Sink::start(std::io::stdout(), style)?;
    let (mut bad, mut events) = (0_u64, 0_u64);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = input
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .with_context(|| format!("cannot read {}", args.file.display()))?;
        if read == 0 {
            break;
        }
        let complain = |why: &str| {
            sink::log(&format!("{}:{number}: {why}", args.file.display()));
        };
        let whole = line.ends_with(b"\n");
        if !whole && read as u64 == LONGEST_LINE {
            complain("line longer than 4 MiB: skipped");
            bad += 1;
            skip_line(&mut input)?;
            continue;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match record(&line) {
            Ok(Record::Event(event)) => {
                events += 1;
                for record in engine.on(&event) {
                    sink.send_event(Item { record, boot_ns: None }, FOREVER);
                }
            }
            // What the recording could not see, its replay cannot either.
            Ok(record @ Record::Coverage(_)) => {
                sink.send_event(Item { record, boot_ns: None }, FOREVER);
            }
            // The output of `run --events` holds other records beside the events.
            Ok(_) => {}
            Err(error) => {
                bad += 1;
                if whole {
                    complain(&format!("not a record: {error}"));
                } else {
                    complain(&format!("the recording is cut off here: {error}"));
                }
            }
        }
    }
    sink.finish()?;
    for news in engine.expectations().take_news() {
        sink::log(&news);
    }
    if events == 0 {
        sink::log(&format!(
            "{}: no events in it: record with --events or `picket record`",
            args.file.display()
        ));
    }
    if bad > 0 {
        sink::log(&format!("{bad} bad lines; all others were processed"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// A line as a record.
///
/// What tells one kind of record from another may stand anywhere in a line, so that serde takes
/// all of it into its own memory first. picket writes it at the beginning, and nearly all lines are
/// executions: those are read at once.
fn record(line: &[u8]) -> serde_json::Result<Record> {
    const BEGIN: &[u8] = br#"{"type":"event","kind":"exec","host":""#;
    let host = line.strip_prefix(BEGIN).and_then(|rest| {
        let end = rest.iter().position(|b| *b == b'"')?;
        let host = std::str::from_utf8(&rest[..end]).ok()?;
        (!host.contains('\\')).then_some(host)
    });
    if let Some(host) = host
        && let Ok(exec) = serde_json::from_slice::<Exec>(line)
    {
        let event = Event::Exec { host: host.to_owned(), exec: Box::new(exec) };
        return Ok(Record::Event(Box::new(event)));
    }
    serde_json::from_slice(line)
}

fn open(path: &Path) -> Result<BufReader<Box<dyn Read>>> {
    let input: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        let what = || format!("cannot read the recording {}", path.display());
        let file = File::open(path).with_context(what)?;
        anyhow::ensure!(
            !file.metadata().with_context(what)?.is_dir(),
            "{}: it is a directory",
            what()
        );
        Box::new(file)
    };
    Ok(BufReader::with_capacity(256 << 10, input))
}

fn skip_line(input: &mut impl BufRead) -> Result<()> {
    loop {
        let buffer = input.fill_buf().context("cannot read the recording")?;
        let Some(end) = buffer.iter().position(|b| *b == b'\n') else {
            let all = buffer.len();
            if all == 0 {
                return Ok(());
            }
            input.consume(all);
            continue;
        };
        input.consume(end + 1);
        return Ok(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_is_read_at_once_as_it_is_read_slowly() {
        let samples =
            include_str!("../../../../recipes/command-and-control/webserver_exec.no-match.jsonl");
        let mut compared = 0;
        for line in samples.lines().filter(|line| line.starts_with("{\"type\":\"event\"")) {
            let slow: Record = serde_json::from_str(line).unwrap();
            assert_eq!(record(line.as_bytes()).unwrap(), slow);
            // The same, in an order that the short way does not know.
            let turned = line.replacen(
                "\"type\":\"event\",\"kind\":\"exec\"",
                "\"kind\":\"exec\",\"type\":\"event\"",
                1,
            );
            assert_eq!(record(turned.as_bytes()).unwrap(), slow);
            compared += 1;
        }
        assert!(compared > 20);
        for bad in [
            "{\"type\":\"event\",\"kind\":\"exec\",\"host\":\"h\",\"time\":1}",
            "{\"type\":\"event\"",
        ] {
            assert!(record(bad.as_bytes()).is_err());
        }
    }
}
