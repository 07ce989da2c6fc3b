//! `picket baseline`: show, accept, compare and check what is expected here.

mod accept;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use detect::baseline::{Accepted, Change, Entry, diff};
use detect::exception;
use serde_json::{Value, json};

use crate::cli::{BaselineArgs, BaselineCommand, Common, Format};
use crate::config::{self, Config};
use crate::escape::{Json, terminal};
use crate::expected;
use crate::sink::{self, print};

pub(crate) fn run(common: &Common, args: &BaselineArgs) -> Result<ExitCode> {
    let config = Config::load(common)?;
    let format = config::format(common);
    match &args.command {
        BaselineCommand::Show { file } => show::run(&config, file.as_deref(), format),
        BaselineCommand::Accept(args) => accept::run(&config, args),
        BaselineCommand::Diff { old, new, exit_code } => compare(old, new, *exit_code, format),
        BaselineCommand::Check { path } => check(&config, path),
    }
}

/// A baseline file, whole or not at all.
fn read(path: &Path) -> Result<Accepted> {
    let text = expected::read(path)?;
    Accepted::parse(&path.display().to_string(), &text).map_err(|errors| {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(lines.join("\npicket: "))
    })
}

fn compare(old: &Path, new: &Path, exit_code: bool, format: Format) -> Result<ExitCode> {
    let (old, new) = (read(old)?, read(new)?);
    let changes = diff(&old, &new);
    for change in &changes {
        let (what, entry, before) = match change {
            Change::Added(entry) => ("added", entry, None),
            Change::Removed(entry) => ("removed", entry, None),
            Change::Upgraded(old, entry) => ("upgraded", entry, Some(old)),
            Change::Replaced(old, entry) => ("replaced", entry, Some(old)),
            Change::Renewed(old, entry) => ("renewed", entry, Some(old)),
        };
        if format == Format::Json {
            let before = before.map(|before| told(before));
            print_json(&json!({
                "type": "baseline-change", "change": what, "entry": told(entry), "before": before,
            }))?;
            continue;
        }
        print(&terminal(&format!("{what:<9}{}", entry.key)))?;
        if let Some(before) = before {
            print(&terminal(&format!("{:9}before: {}", "", before.key)))?;
            print(&terminal(&format!("{:9}before: {}", "", acceptance(before))))?;
        }
        print(&terminal(&format!("{:9}{}", "", acceptance(entry))))?;
    }
    if changes.is_empty() && format == Format::Text {
        print(&format!("no difference: {} entries in both", new.entries().len()))?;
    }
    let differs = exit_code && !changes.is_empty();
    if differs {
        sink::log(&format!("the baselines differ in {} entries", changes.len()));
    }
    Ok(if differs { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Who accepted an entry and why, in words.
fn acceptance(entry: &Entry) -> String {
    let until = entry.until.as_ref().map_or_else(String::new, |until| format!(", until {until}"));
    format!("up to {}, accepted by {} on {}{until}: {}", entry.up_to, entry.by, entry.on, entry.why)
}

/// An entry as JSON.
fn told(entry: &Entry) -> Value {
    json!({
        "key": entry.key.id(), "is": entry.key, "up_to": entry.up_to, "by": entry.by,
        "on": entry.on.to_string(), "why": entry.why,
        "until": entry.until.as_ref().map(ToString::to_string),
    })
}

/// Prints one line of JSON.
fn print_json(value: &Value) -> Result<()> {
    let mut line = Vec::new();
    let mut json = serde_json::Serializer::with_formatter(&mut line, Json);
    serde::Serialize::serialize(value, &mut json)?;
    print(&String::from_utf8_lossy(&line))
}

fn check(config: &Config, paths: &[PathBuf]) -> Result<ExitCode> {
    let files = if paths.is_empty() { expected::files(config) } else { of_paths(paths)? };
    for error in &files.errors {
        sink::log(error);
    }
    if !files.errors.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    print(&format!(
        "{} accepted entries and {} exceptions are in order",
        files.accepted.entries().len(),
        files.exceptions.len()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Files that are named: what one is, its first key says.
fn of_paths(paths: &[PathBuf]) -> Result<expected::Files> {
    let mut files = expected::Files::default();
    let mut exceptions = Vec::new();
    for path in paths {
        let text = expected::read(path)?;
        let name = path.display().to_string();
        if text.lines().any(|line| line.starts_with("exceptions:")) {
            exceptions.push((name, text));
            continue;
        }
        match Accepted::parse(&name, &text) {
            Ok(accepted) => {
                for entry in accepted.entries() {
                    files.accepted.add(entry.clone());
                }
            }
            Err(errors) => files.errors.extend(errors.iter().map(ToString::to_string)),
        }
    }
    let texts = exceptions.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let (exceptions, errors) = exception::parse_all(texts, expected::now());
    files.exceptions = exceptions;
    files.errors.extend(errors.iter().map(ToString::to_string));
    Ok(files)
}

/// What picket remembers, of the configuration's directory.
fn memory(config: &Config) -> Result<Option<detect::baseline::Memory>> {
    let Some(dir) = expected::state_directory(config) else { return Ok(None) };
    let text = crate::state::read(&dir)
        .with_context(|| format!("cannot tell what was seen, from {}", dir.display()))?;
    let Some(text) = text else { return Ok(None) };
    let (memory, bad) = detect::baseline::Memory::read(&text);
    if bad > 0 {
        sink::log(&format!("{}: {bad} bad lines are passed over", dir.display()));
    }
    Ok(Some(memory))
}
