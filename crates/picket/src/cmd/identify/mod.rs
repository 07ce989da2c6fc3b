//! `picket identify`: which web server is this, and on what evidence?

mod print;
mod subject;
mod tree;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use detect::catalogue::Catalogue;
use detect::content::Scanner;
use detect::identify::Identity;
use event::{Content, Evidence, EvidenceKind, FileKind, Process};
use serde::Serialize;

use crate::cli::{Common, IdentifyArgs};
use crate::config::{self, Config};
use crate::examine::Reader;
use crate::rules::Files;
use crate::sink;

/// What one subject was taken for.
#[derive(Serialize)]
struct Answer {
    r#type: &'static str,
    subject: String,
    /// What was taken off to get at the program: loaders, interpreters, wrappers.
    layers: Vec<String>,
    server: Option<Found>,
    /// Every rung of the ladder, and what it says.
    ladder: Vec<Rung>,
    /// What the file contains, or the script or archive that it is given to run.
    content: Option<Content>,
    sha256: Option<String>,
    build_id: Option<String>,
    package: Option<String>,
}

#[derive(Serialize)]
struct Found {
    name: String,
    title: String,
    version: Option<String>,
    purpose: event::Purpose,
    confidence: event::Confidence,
    masquerade: bool,
    /// Only a name speaks for it, and the file was read and says something else.
    disputed: bool,
    evidence: Vec<Evidence>,
}

/// One way to tell what something is.
#[derive(Serialize)]
struct Rung {
    rung: EvidenceKind,
    says: Says,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Says {
    Agrees,
    Disagrees,
    Silent,
}

/// The ladder, from the easiest to forge to the hardest.
const LADDER: [EvidenceKind; 7] = [
    EvidenceKind::Name,
    EvidenceKind::Path,
    EvidenceKind::Package,
    EvidenceKind::Argv,
    EvidenceKind::Content,
    EvidenceKind::BuildId,
    EvidenceKind::Behaviour,
];

pub(crate) fn run(common: &Common, args: &IdentifyArgs) -> Result<ExitCode> {
    let config = Config::load(common)?;
    let rules = Files::configured(&config)?.parse();
    for error in &rules.errors {
        sink::log(&format!("disabled: {error}"));
    }
    let catalogue = Arc::new(rules.catalogue);
    let scanner = Scanner::new(&catalogue);
    let reader = Reader::new(Arc::clone(&catalogue), scanner);
    let mut subjects = subject::Subjects::new(&catalogue, &reader);
    let format = config::format(common);
    let mut failed = false;
    let mut show = |answer: Result<Answer>| -> Result<()> {
        match answer {
            Ok(answer) => print::answer(&answer, format),
            Err(error) => {
                failed = true;
                sink::log(&format!("{error:#}"));
                Ok(())
            }
        }
    };
    for path in &args.path {
        subjects.thorough = !path.is_dir();
        if path.is_dir() {
            tree::identify(&subjects, path, args.all, &mut show)?;
        } else {
            show(subjects.file(path))?;
        }
    }
    if let Some(pid) = args.pid {
        show(subjects.process(pid))?;
    }
    if !args.command.is_empty() {
        show(Ok(subjects.command(&args.command)))?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn answer(catalogue: &Catalogue, subject: String, process: &Process) -> Answer {
    let exe = &process.exe;
    let library = |content: &Content| content.kind == FileKind::Library;
    let server = match &exe.content {
        // Whatever is in it: it is not executed by itself.
        Some(content) if library(content) && process.pid == 0 => None,
        _ => catalogue.identify(process).map(found),
    };
    Answer {
        r#type: "identity",
        subject,
        layers: catalogue.in_process(process).layers,
        ladder: ladder(server.as_ref(), process),
        server,
        content: process
            .target
            .as_ref()
            .map(|target| &target.content)
            .or(exe.content.as_ref())
            .cloned(),
        sha256: exe.sha256.clone(),
        build_id: exe.build_id.clone(),
        package: exe.package.clone(),
    }
}

fn found(identity: Identity<'_>) -> Found {
    let mask = |e: Evidence| Evidence { detail: detect::mask::text(&e.detail), ..e };
    Found {
        name: identity.server.name().to_owned(),
        title: identity.server.title.clone(),
        version: identity.version,
        purpose: identity.purpose,
        confidence: identity.confidence,
        masquerade: identity.masquerade,
        disputed: identity.disputed,
        evidence: identity.evidence.into_iter().map(mask).collect(),
    }
}

fn ladder(server: Option<&Found>, process: &Process) -> Vec<Rung> {
    let evidence = server.map_or(&[][..], |server| &server.evidence);
    let mut rungs = Vec::new();
    for rung in LADDER {
        let here = evidence.iter().filter(|e| e.kind == rung);
        let before = rungs.len();
        rungs.extend(here.map(|e| Rung {
            rung,
            says: if e.agrees { Says::Agrees } else { Says::Disagrees },
            detail: e.detail.clone(),
        }));
        if rungs.len() == before {
            let detail = silence(rung, server.is_some(), process);
            rungs.push(Rung { rung, says: Says::Silent, detail });
        }
    }
    rungs
}

/// Why a rung says nothing.
fn silence(rung: EvidenceKind, known: bool, process: &Process) -> String {
    let read = process.target.as_ref().map(|t| &t.content).or(process.exe.content.as_ref());
    match rung {
        EvidenceKind::Content => match read {
            None => "the file was not read".to_owned(),
            Some(content) => match (&content.problem, &content.packed, &content.go) {
                (Some(problem), ..) => format!("cannot be read: {problem}"),
                (_, Some(whom), _) => format!("packed by {whom}: what is in it does not show"),
                (.., Some(go)) => {
                    format!("a Go program, {}, that the catalogue does not know", go.path)
                }
                _ => match content.signs.first() {
                    Some(sign) if content.kind == FileKind::Library => {
                        format!("a library that holds {}, and is not executed by itself", sign.name)
                    }
                    _ => "no server of the catalogue is in it".to_owned(),
                },
            },
        },
        EvidenceKind::Name | EvidenceKind::Path if known => "says nothing".to_owned(),
        EvidenceKind::Name => "no server of the catalogue is called so".to_owned(),
        EvidenceKind::Path => "no server of the catalogue is installed there".to_owned(),
        EvidenceKind::Package => match &process.exe.package {
            Some(package) => format!("of package {package}"),
            None => "no package is known to own it".to_owned(),
        },
        EvidenceKind::Argv => "no arguments that would tell".to_owned(),
        EvidenceKind::BuildId => process
            .exe
            .build_id
            .as_ref()
            .map_or_else(|| "has none".to_owned(), |id| format!("{id}, not a build that is known")),
        EvidenceKind::Behaviour => "only `picket run` sees what it does".to_owned(),
    }
}
