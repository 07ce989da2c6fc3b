//! Each work load, made ready: the storm, the flood, a compile job, a configure script.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::count;
use crate::scratch::Scratch;
use crate::storm;
use crate::work::{self, Prepare, Work};

/// One thread that executes, on one processor.
pub(crate) const STORM: &str = "storm";
/// The same on every processor at once: as fast as this machine can execute.
pub(crate) const FLOOD: &str = "flood";
/// A parallel compile job.
pub(crate) const COMPILE: &str = "compile job";
/// A configure script.
pub(crate) const CONFIGURE: &str = "configure script";

/// What the configure script is told: build the library alone, once, without assembler.
const OPTIONS: [&str; 6] = [
    "--disable-assembler",
    "--disable-shared",
    "--disable-public-key",
    "--disable-documentation",
    "--disable-dependency-tracking",
    "CFLAGS=-O2",
];
/// A configure script alone is over too soon: it runs twice in new directories.
const TWICE: &str = r#"
    for dir in one two; do
        rm -rf "$dir" && mkdir "$dir" && (cd "$dir" && "$@") || exit 1
    done
"#;
const ONCE: &str = r#"rm -rf one && mkdir one && cd one && "$@""#;
/// Makes one file of the library, and so executes all that makes the others.
const ONE_OBJECT: &str = "md5.o";
/// What is made: the library.
const ALL: [&str; 1] = ["libnettle.a"];
/// A little of it.
const SOME: [&str; 4] = ["md4.o", "sha1.o", "sha256.o", "base64-encode.o"];

/// How long the storms are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    /// Executions before it is measured, to fill a tool's tables as hours of use would. Every
    /// tool gets them, and no tool, too: the kernel has work left over from them.
    pub(crate) warm_up: u32,
    /// Executions that are measured, of each processor.
    pub(crate) execs: u32,
}

/// The storm on one processor.
pub(crate) fn storm(scratch: &Scratch, length: Length) -> Result<Work> {
    storms(scratch, length, STORM, false)
}

/// The storm on all of them.
pub(crate) fn flood(scratch: &Scratch, length: Length) -> Result<Work> {
    storms(scratch, length, FLOOD, true)
}

fn storms(scratch: &Scratch, length: Length, name: &'static str, everywhere: bool) -> Result<Work> {
    let each = if everywhere { storm::processors()?.len() as u64 } else { 1 };
    let warm_up = if length.warm_up == 0 {
        Vec::new()
    } else {
        storm::command(&scratch.benign, length.warm_up, everywhere)?
    };
    Ok(Work {
        name,
        prepare: Prepare::Nothing,
        warm_up,
        command: storm::command(&scratch.benign, length.execs, everywhere)?,
        dir: scratch.path(""),
        execs: each * u64::from(length.execs),
        program: Some(scratch.benign.clone()),
        before: each * u64::from(length.warm_up),
        errors: scratch.path("storm.err"),
    })
}

/// Sources that can be configured and compiled, and what they are.
pub(crate) struct Sources {
    dir: PathBuf,
    pub(crate) version: String,
}

impl Sources {
    /// Finds those that bench/setup.sh fetched.
    pub(crate) fn find() -> Result<Self> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench/nettle");
        let how = "no sources to compile: bench/setup.sh fetches them";
        let dir = dir.canonicalize().context(how)?;
        let version = fs::read_to_string(dir.join("picket-bench.version")).context(how)?;
        Ok(Self { dir, version: version.trim().to_owned() })
    }

    fn configure(&self) -> Vec<OsString> {
        let mut words = vec![self.dir.join("configure").into_os_string()];
        words.extend(OPTIONS.map(Into::into));
        words.push(format!("--srcdir={}", self.dir.display()).into());
        words
    }

    /// The configure script, in new directories; only once if in haste.
    pub(crate) fn script(&self, scratch: &Scratch, haste: bool) -> Result<Work> {
        let dir = scratch.path("configure");
        fs::create_dir(&dir).context("cannot make a directory")?;
        let shell = |script: &str| {
            let mut words: Vec<OsString> = ["sh", "-c", script, "sh"].map(Into::into).into();
            words.extend(self.configure());
            words
        };
        let mut work = Work {
            name: CONFIGURE,
            prepare: Prepare::Nothing,
            warm_up: if haste { Vec::new() } else { shell(ONCE) },
            command: shell(if haste { ONCE } else { TWICE }),
            errors: scratch.path("configure.err"),
            dir,
            execs: 0,
            program: None,
            before: 0,
        };
        if !haste {
            work.before = count::executions(&work.warm_up, &work.dir)?;
        }
        work.execs = count::executions(&work.command, &work.dir)?;
        Ok(work)
    }

    /// The compile job, a part of it if in haste, with as many compilers at once as there are processors.
    pub(crate) fn compile(&self, scratch: &Scratch, haste: bool) -> Result<Work> {
        let dir = scratch.path("compile");
        fs::create_dir(&dir).context("cannot make a directory")?;
        let errors = scratch.path("compile.err");
        let words = self.configure();
        let status = Command::new(&words[0])
            .args(&words[1..])
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&errors)?)
            .status()
            .context("cannot start a configure script")?;
        ensure!(status.success(), "configure: {status}: {}", work::last_line(&errors));
        let targets: &[&str] = if haste { &SOME } else { &ALL };
        let jobs = format!("-j{}", storm::processors()?.len());
        let mut work = Work {
            name: COMPILE,
            prepare: Prepare::Clean,
            warm_up: ["make", ONE_OBJECT].map(Into::into).into(),
            command: ["make", &jobs].iter().chain(targets).map(Into::into).collect(),
            errors,
            dir,
            execs: 0,
            program: None,
            before: 0,
        };
        work.prepare()?;
        work.before = count::executions(&work.warm_up, &work.dir)?;
        work.execs = count::executions(&work.command, &work.dir)?;
        Ok(work)
    }
}
