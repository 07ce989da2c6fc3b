//! What is expected here, as the configuration names it: the baseline, exceptions, and what was seen
//! before.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use detect::baseline::{Accepted, Expectations, Memory};
use detect::exception::{self, Exception};
use event::Stamp;

use crate::config::Config;
use crate::sink;
use crate::state::{self, Store};

/// The baseline that is read unless another is named.
const BASELINE: &str = "/etc/picket/baseline.yaml";
/// Where what was seen is kept unless the configuration says otherwise.
const STATE: &str = "/var/lib/picket";
/// Larger files are neither a baseline nor exceptions.
const LARGEST: u64 = 16 << 20;

/// What the files say, and what is wrong with them.
#[derive(Default)]
pub(crate) struct Files {
    pub(crate) accepted: Accepted,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) errors: Vec<String>,
    /// Whether there is any file at all.
    any: bool,
}

/// The baseline's file: the configuration's, else the usual one.
pub(crate) fn baseline_file(config: &Config) -> PathBuf {
    config.baseline.clone().unwrap_or_else(|| PathBuf::from(BASELINE))
}

/// Where what was seen is kept, if anywhere.
pub(crate) fn state_directory(config: &Config) -> Option<PathBuf> {
    config.state.clone().or_else(|| Some(PathBuf::from(STATE)).filter(|dir| state::exists(dir)))
}

/// The time of day.
pub(crate) fn now() -> Stamp {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    Stamp::from_unix_nanos(i64::try_from(nanos).unwrap_or_default())
}

/// Reads the files that the configuration names. An error disables what it is in, and nothing else.
pub(crate) fn files(config: &Config) -> Files {
    let mut files = Files::default();
    let baseline = baseline_file(config);
    // Before anything was accepted there is no file.
    if baseline.exists() {
        files.any = true;
        match read(&baseline).map(|text| Accepted::parse(&baseline.display().to_string(), &text)) {
            Ok(Ok(accepted)) => files.accepted = accepted,
            Ok(Err(errors)) => files.errors.extend(errors.iter().map(ToString::to_string)),
            Err(error) => files.errors.push(format!("{error:#}")),
        }
    }
    let mut texts = Vec::new();
    for path in &config.exceptions {
        files.any = true;
        match read(path) {
            Ok(text) => texts.push((path.display().to_string(), text)),
            Err(error) => files.errors.push(format!("{error:#}")),
        }
    }
    let texts = texts.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let (exceptions, errors) = exception::parse_all(texts, now());
    files.exceptions = exceptions;
    files.errors.extend(errors.iter().map(ToString::to_string));
    files
}

/// Reads a file that decides what is quiet: not one that anybody may write.
pub(crate) fn read(path: &Path) -> Result<String> {
    let what = || format!("cannot read {}", path.display());
    let mut options = File::options();
    // A pipe would wait for a writer.
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path).with_context(what)?;
    let meta = file.metadata().with_context(what)?;
    ensure!(meta.is_file(), "{}: it is not a regular file", what());
    ensure!(
        meta.mode() & 0o002 == 0,
        "{}: anybody may write it, and it says what is not told: chmod o-w {}",
        what(),
        path.display()
    );
    ensure!(meta.len() <= LARGEST, "{}: it is larger than {LARGEST} bytes", what());
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text).with_context(what)?;
    Ok(text)
}

/// What the files expect, for an engine that keeps no memory: a replay.
pub(crate) fn of_files(config: &Config) -> Expectations {
    let files = files(config);
    if let Some(path) = config.baseline.as_ref().filter(|path| !path.exists()) {
        sink::log(&format!("{} does not exist yet: nothing is expected", path.display()));
    }
    complain(&files.errors);
    match files.any {
        true => Expectations::new(files.accepted, files.exceptions),
        false => Expectations::default(),
    }
}

/// The same with what was seen before, and where that is kept. Everything is opened here, while
/// privileges are held.
pub(crate) fn with_memory(config: &Config) -> Result<(Expectations, Option<Store>)> {
    let mut expectations = of_files(config);
    let learning = config.learning()?;
    let Some(dir) = state_directory(config) else {
        ensure!(
            learning.is_none(),
            "baseline_learning is set, and when it began is kept nowhere: set `state: {STATE}`"
        );
        return Ok((expectations, None));
    };
    match Store::open(&dir) {
        Ok((store, body)) => {
            let (memory, bad) = Memory::read(&body);
            if bad > 0 {
                sink::log(&format!("{}: {bad} bad lines are passed over", dir.display()));
            }
            expectations.remember(memory, learning, now());
            Ok((expectations, Some(store)))
        }
        Err(error) => {
            let off = learning.map_or("", |_| ", and nothing is learned");
            sink::log(&format!("{error:#}; what is seen is counted until the end only{off}"));
            expectations.remember(Memory::default(), None, now());
            Ok((expectations, None))
        }
    }
}

/// Reads the files again, all or nothing.
pub(crate) fn reload(config: &Config, expectations: &mut Expectations) {
    let files = files(config);
    complain(&files.errors);
    match (files.errors.is_empty(), files.any) {
        (false, _) => sink::log("what is expected stays as it was: see the errors above"),
        (true, true) => expectations.replace(files.accepted, files.exceptions),
        (true, false) => {}
    }
}

fn complain(errors: &[String]) {
    for error in errors {
        sink::log(&format!("disabled: {error}"));
    }
}
