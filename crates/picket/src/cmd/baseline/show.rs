//! `picket baseline show`: what is expected, what was seen and nobody accepted, and the exceptions.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use detect::baseline::{Accepted, Memory, Observed};
use detect::day::Day;
use detect::exception::Exception;
use event::Stamp;
use serde_json::json;

use super::{acceptance, print_json, told};
use crate::cli::Format;
use crate::config::Config;
use crate::escape::terminal;
use crate::expected;
use crate::sink::{self, print};

pub(super) fn run(config: &Config, file: Option<&Path>, format: Format) -> Result<ExitCode> {
    let mut files = expected::files(config);
    if let Some(file) = file {
        // The configuration's own is not what was asked for.
        files.accepted = super::read(file)?;
        files.errors.clear();
    }
    let memory = super::memory(config)?;
    let now = expected::now();
    let name = file.map_or_else(|| expected::baseline_file(config), Path::to_owned);
    show_accepted(&name, &files.accepted, memory.as_ref(), now, format)?;
    if let Some(memory) = &memory {
        show_learning(config, memory, now, format)?;
        show_new(&files.accepted, memory, format)?;
    }
    show_exceptions(&files.exceptions, memory.as_ref(), now, format)?;
    for error in &files.errors {
        sink::log(&format!("disabled: {error}"));
    }
    Ok(if files.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints a line that a file or a process may have had a say in.
fn line(text: &str) -> Result<()> {
    print(&terminal(text))
}

fn show_accepted(
    name: &Path,
    accepted: &Accepted,
    memory: Option<&Memory>,
    now: Stamp,
    format: Format,
) -> Result<()> {
    let entries = accepted.entries();
    if format == Format::Text {
        line(&format!("{}: {} accepted", name.display(), entries.len()))?;
    }
    for entry in entries {
        let seen = memory.and_then(|memory| memory.get(&entry.key));
        if format == Format::Json {
            let mut entry = told(entry);
            entry["type"] = json!("baseline-entry");
            entry["seen"] = json!(seen.map(|seen| seen.count));
            entry["last"] = json!(seen.map(|seen| seen.last));
            print_json(&entry)?;
            continue;
        }
        line(&format!("  {} {}", entry.key.id(), entry.key))?;
        let ended = entry.until.as_ref().is_some_and(|until| *until < Day::of(now));
        let ended = if ended { "; it has ended" } else { "" };
        let seen = seen.map_or_else(String::new, |seen| {
            format!("; seen {} times, the last time {}", seen.count, seen.last)
        });
        line(&format!("               {}{ended}{seen}", acceptance(entry)))?;
    }
    Ok(())
}

fn show_learning(config: &Config, memory: &Memory, now: Stamp, format: Format) -> Result<()> {
    let (Some(learning), Some(began)) = (config.learning()?, memory.began) else { return Ok(()) };
    let until = learning.until(began);
    let over = now >= until;
    if format == Format::Json {
        return print_json(&json!({
            "type": "baseline-learning", "from": began, "until": until, "over": over,
            "learned": if learning.expect { "expect" } else { "ask" },
        }));
    }
    line(&match (over, learning.expect) {
        (false, _) => format!("learning since {began}, until {until}"),
        (true, true) => format!("learning ended on {until}; what was learned is expected"),
        (true, false) => {
            format!("learning ended on {until}; what was learned waits to be accepted")
        }
    })
}

fn show_new(accepted: &Accepted, memory: &Memory, format: Format) -> Result<()> {
    let (sightings, _) = Observed::of_memory(memory).done();
    let new: Vec<_> = sightings.iter().filter(|sighting| !accepted.expects(sighting)).collect();
    if format == Format::Text {
        line(&format!("seen and accepted by nobody: {}", new.len()))?;
    }
    for sighting in new {
        let key = &sighting.key;
        if format == Format::Json {
            print_json(&json!({
                "type": "baseline-seen", "key": key.id(), "is": key, "severity": sighting.severity,
                "seen": sighting.count, "last": sighting.last, "detections": sighting.detections,
            }))?;
            continue;
        }
        line(&format!("  {} {key}", key.id()))?;
        line(&format!(
            "               {}, seen {} times, the last time {}",
            sighting.severity, sighting.count, sighting.last
        ))?;
    }
    Ok(())
}

fn show_exceptions(
    exceptions: &[Exception],
    memory: Option<&Memory>,
    now: Stamp,
    format: Format,
) -> Result<()> {
    if format == Format::Text && !exceptions.is_empty() {
        line("exceptions")?;
    }
    for exception in exceptions {
        let used = memory.and_then(|memory| memory.used(&exception.name));
        let ended = exception.until < Day::of(now);
        if format == Format::Json {
            print_json(&json!({
                "type": "exception", "name": exception.name, "recipe": exception.recipe,
                "by": exception.by, "reason": exception.reason,
                "until": exception.until.to_string(), "ended": ended,
                "anchors": exception.anchors, "used": used.map_or(0, |used| used.count),
                "last": used.map(|used| used.last),
            }))?;
            continue;
        }
        let until = match ended {
            true => format!("ended on {}: renew it, or remove it", exception.until),
            false => format!("until {}", exception.until),
        };
        let used = match used {
            Some(used) => format!("used {} times, the last time {}", used.count, used.last),
            None => "never used".to_owned(),
        };
        line(&format!("  {} for {}, {until}, {used}", exception.name, exception.recipe))?;
        line(&format!(
            "    of {}, hangs on {}: {}",
            exception.by,
            exception.anchors.join(", "),
            exception.reason
        ))?;
    }
    Ok(())
}
