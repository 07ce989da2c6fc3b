//! `picket identify`: which web server is this, and on what evidence?

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use detect::catalogue::Catalogue;
use detect::identify::Identity;
use event::{Evidence, Executable, Process};
use serde::Serialize;

use crate::cli::{Common, Format, IdentifyArgs};
use crate::config::{self, Config};
use crate::escape::terminal as safe;
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
}

#[derive(Serialize)]
struct Found {
    name: String,
    title: String,
    purpose: event::Purpose,
    confidence: event::Confidence,
    masquerade: bool,
    evidence: Vec<Evidence>,
}

pub(crate) fn run(common: &Common, args: &IdentifyArgs) -> Result<ExitCode> {
    let config = Config::load(common)?;
    let rules = Files::configured(&config)?.parse();
    for error in &rules.errors {
        sink::log(&format!("disabled: {error}"));
    }
    let catalogue = rules.catalogue;
    let format = config::format(common);
    let mut failed = false;
    let mut show = |answer: Result<Answer>| -> Result<()> {
        match answer {
            Ok(answer) => print(&answer, format),
            Err(error) => {
                failed = true;
                sink::log(&format!("{error:#}"));
                Ok(())
            }
        }
    };
    for path in &args.path {
        show(file(&catalogue, path))?;
    }
    if let Some(pid) = args.pid {
        show(process(&catalogue, pid))?;
    }
    if !args.command.is_empty() {
        show(Ok(command(&catalogue, &args.command)))?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn file(catalogue: &Catalogue, path: &Path) -> Result<Answer> {
    let what = || format!("cannot look at {}", path.display());
    let real = fs::canonicalize(path).with_context(what)?;
    let meta = fs::metadata(&real).with_context(what)?;
    anyhow::ensure!(meta.is_file(), "{}: expected a file", what());
    let asked = path.to_string_lossy().into_owned();
    let real = real.to_string_lossy().into_owned();
    // A script is what its interpreter is asked to run.
    let shebang = shebang(Path::new(&real)).with_context(what)?;
    let mut args = shebang.clone().unwrap_or_default();
    args.push(asked.clone());
    let mut process = Process {
        invoked_as: asked.clone(),
        args,
        exe: Executable {
            path: real,
            size: meta.size(),
            inode: meta.ino(),
            ..Executable::default()
        },
        ..Process::default()
    };
    if let Some(line) = shebang {
        process.exe.path.clone_from(&line[0]);
        process.interpreter = Some(line[0].clone());
    }
    Ok(answer(catalogue, asked, &process))
}

/// The words of a script's first line, if the file is a script.
fn shebang(path: &Path) -> Result<Option<Vec<String>>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(256).read_to_end(&mut bytes)?;
    let Some(line) = bytes.strip_prefix(b"#!") else {
        return Ok(None);
    };
    let line = String::from_utf8_lossy(line.split(|b| *b == b'\n').next().unwrap_or_default());
    // The kernel takes one interpreter and at most one argument.
    let line = line.trim();
    let (interpreter, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let mut words = vec![interpreter.to_owned()];
    if !argument.trim().is_empty() {
        words.push(argument.trim().to_owned());
    }
    if interpreter.ends_with("/env") && words.len() > 1 {
        words.remove(0);
    }
    Ok((!interpreter.is_empty()).then_some(words))
}

fn process(catalogue: &Catalogue, pid: u32) -> Result<Answer> {
    let what = || format!("cannot look at process {pid}");
    let dir = format!("/proc/{pid}");
    anyhow::ensure!(Path::new(&dir).exists(), "{}: there is none of that id", what());
    let exe = fs::read_link(format!("{dir}/exe")).with_context(|| {
        format!(
            "{}: its file is not to be seen (another user's process, or the kernel's own)",
            what()
        )
    })?;
    let exe = exe.to_string_lossy().into_owned();
    let deleted = exe.ends_with(" (deleted)");
    let path = exe.trim_end_matches(" (deleted)").to_owned();
    let args = fs::read(format!("{dir}/cmdline")).with_context(what)?;
    let args: Vec<String> = args
        .strip_suffix(&[0])
        .unwrap_or(&args)
        .split(|b| *b == 0)
        .map(|arg| String::from_utf8_lossy(arg).into_owned())
        .collect();
    let comm = fs::read(format!("{dir}/comm")).with_context(what)?;
    let cwd = fs::read_link(format!("{dir}/cwd")).ok();
    let process = Process {
        pid,
        comm: String::from_utf8_lossy(comm.trim_ascii_end()).into_owned(),
        cwd: cwd.map(|cwd| String::from_utf8_lossy(cwd.as_os_str().as_bytes()).into_owned()),
        invoked_as: path.clone(),
        args,
        exe: Executable {
            memfd: path.starts_with("/memfd:"),
            path,
            deleted,
            ..Executable::default()
        },
        ..Process::default()
    };
    Ok(answer(catalogue, format!("pid {pid}"), &process))
}

fn command(catalogue: &Catalogue, words: &[String]) -> Answer {
    let program = catalogue.command_line(words);
    let identity = catalogue.identify_program(&program);
    Answer {
        r#type: "identity",
        subject: detect::mask::arguments(words).join(" "),
        layers: program.layers.clone(),
        server: identity.map(found),
    }
}

fn answer(catalogue: &Catalogue, subject: String, process: &Process) -> Answer {
    Answer {
        r#type: "identity",
        subject,
        layers: catalogue.in_process(process).layers,
        server: catalogue.identify(process).map(found),
    }
}

fn found(identity: Identity<'_>) -> Found {
    let mask = |e: Evidence| Evidence { detail: detect::mask::text(&e.detail), ..e };
    Found {
        name: identity.server.name().to_owned(),
        title: identity.server.title.clone(),
        purpose: identity.purpose,
        confidence: identity.confidence,
        masquerade: identity.masquerade,
        evidence: identity.evidence.into_iter().map(mask).collect(),
    }
}

fn print(answer: &Answer, format: Format) -> Result<()> {
    if format == Format::Json {
        return sink::print(&serde_json::to_string(answer)?);
    }
    let subject = safe(&answer.subject);
    let Some(server) = &answer.server else {
        return sink::print(&format!("{subject}: no web server that the catalogue knows by name"));
    };
    let purpose = match server.purpose {
        event::Purpose::Serve => "to serve",
        event::Purpose::Manage => "not to serve",
        event::Purpose::Unknown => "for a purpose that the arguments do not tell",
    };
    sink::print(&format!(
        "{subject}: {} ({}), {purpose}, {}",
        server.name, server.title, server.confidence
    ))?;
    for evidence in &server.evidence {
        let sign = if evidence.agrees { "+" } else { "-" };
        sink::print(&format!(
            "  {sign} {:<9} {}",
            evidence.kind.to_string(),
            safe(&evidence.detail)
        ))?;
    }
    if !answer.layers.is_empty() {
        sink::print(&format!("  through   {}", answer.layers.join(" → ")))?;
    }
    Ok(())
}
