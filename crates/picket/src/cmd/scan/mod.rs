//! `picket scan`: where do the files of a repository start a web server, before anything runs?

mod finding;
mod print;
mod sarif;
mod walk;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use self::finding::Finding;
use crate::cli::{Common, Format, ScanArgs};
use crate::config::{self, Config};
use crate::gate::files::Target;
use crate::rules::{Files, Rules};
use crate::sink;

/// The exit code when something stands against the files: that of `picket ci`.
const FOUND: u8 = 80;

pub(crate) fn run(common: &Common, args: &ScanArgs) -> Result<ExitCode> {
    let config = Config::load(common)?;
    let rules = Files::configured(&config)?.parse();
    for error in &rules.errors {
        sink::log(&format!("disabled: {error}"));
    }
    // What cannot be written is said before the work.
    let target =
        args.sarif.as_deref().map(|path| Target::open(path, "SARIF report")).transpose()?;
    let seen = look(&args.dir, &args.skip, &rules, config::format(common))?;
    if let Some(target) = target {
        target.write(&sarif::render(&args.dir, &seen.findings, &seen.unread, &rules.recipes))?;
    }
    sink::log(&seen.summary(&args.dir));
    let worst = seen.findings.iter().map(|finding| finding.severity).max();
    let failed = args.fail_on.is_some_and(|least| worst >= Some(least.into()));
    Ok(if failed { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

/// What was seen.
#[derive(Default)]
struct Seen {
    files: u64,
    findings: Vec<Finding>,
    /// What could not be read, or not to its end.
    unread: Vec<String>,
    passed: walk::Passed,
}

fn look(dir: &Path, skip: &[String], rules: &Rules, format: Format) -> Result<Seen> {
    let mut seen = Seen::default();
    let passed = walk::walk(dir, skip, &mut |path, source| {
        seen.files += 1;
        let source = match source {
            Ok(source) => source,
            Err(error) => {
                complain(&mut seen.unread, format!("{path}:1:1: {error:#}"));
                return Ok(());
            }
        };
        let found = scan::scan(&rules.catalogue, source.kind, &source.text);
        if let Some((at, why)) = found.unread {
            complain(&mut seen.unread, format!("{path}:{}:{}: {why}", at.line, at.column));
        }
        for start in found.starts {
            let finding = Finding::of(&source.path, source.kind, start, &rules.recipes);
            if let Some(finding) = finding {
                print::finding(&finding, format)?;
                seen.findings.push(finding);
            }
        }
        Ok(())
    })?;
    seen.passed = passed;
    Ok(seen)
}

fn complain(unread: &mut Vec<String>, what: String) {
    sink::log(&what);
    unread.push(what);
}

impl Seen {
    fn summary(&self, dir: &Path) -> String {
        let Self { files, findings, unread, passed } = self;
        let mut text =
            format!("{}: {files} files, {} starts of web servers", dir.display(), findings.len());
        for (count, what) in [
            (unread.len() as u64, "could not be read to the end"),
            (passed.directories, "directories of others not entered"),
            (passed.links, "links not followed"),
        ] {
            if count > 0 {
                text.push_str(&format!("; {count} {what}"));
            }
        }
        text
    }
}
