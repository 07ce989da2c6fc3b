//! A running picket whose output is read here.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::Signal;

use crate::coverage::{self, Coverage, Line};
use crate::tool::{self, Report, Running, Tool, Wanted};

/// How long it may take to get ready, and to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// The line that says it is ready.
const READY: &str = "picket: watching, ";

/// picket, as the bench starts it.
#[derive(Debug, Clone)]
pub(crate) struct Picket {
    binary: PathBuf,
    options: Vec<OsString>,
}

impl Picket {
    /// With a configuration of its own, so that nobody else's counts.
    pub(crate) fn new(binary: &Path, config: &Path, options: &[&str]) -> Self {
        let mut all: Vec<OsString> = vec!["run".into(), "--format".into(), "json".into()];
        all.extend(["--config".into(), config.into()]);
        all.extend(options.iter().map(Into::into));
        Self { binary: binary.to_owned(), options: all }
    }

    /// Starts it and waits until it is ready.
    pub(crate) fn launch(&self) -> Result<Sensor> {
        let begin = Instant::now();
        let mut child = Command::new(&self.binary)
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.binary.display()))?;
        let out = child.stdout.take().context("picket has no stdout")?;
        let err = child.stderr.take().context("picket has no stderr")?;
        // Both end with picket.
        let log = read_log(err);
        let lines = std::thread::spawn(move || read_lines(out));
        let mut sensor = Sensor { child, lines: Some(lines), ready: Duration::ZERO };
        sensor.ready = wait_until_ready(&log)?.saturating_duration_since(begin);
        Ok(sensor)
    }
}

impl Tool for Picket {
    fn name(&self) -> &'static str {
        "picket"
    }

    fn start(&self) -> Result<Box<dyn Running>> {
        Ok(Box::new(self.launch()?))
    }
}

/// It runs. Dropping it stops it.
pub(crate) struct Sensor {
    child: Child,
    lines: Option<JoinHandle<Vec<Line>>>,
    /// Time from starting it to its ready line.
    pub(crate) ready: Duration,
}

/// It has ended.
pub(crate) struct Ended {
    /// Everything it wrote to stdout.
    pub(crate) lines: Vec<Line>,
    /// Its last word on coverage.
    pub(crate) coverage: Coverage,
    /// Time from the signal to the exit.
    pub(crate) took: Duration,
}

impl Sensor {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        tool::signal(&self.child, signal)
    }

    /// Asks it to end and takes what it wrote.
    pub(crate) fn finish(mut self) -> Result<Ended> {
        let begin = Instant::now();
        self.signal(Signal::INT)?;
        let status = self.child.wait().context("cannot wait for picket")?;
        let took = begin.elapsed();
        ensure!(status.success(), "picket ended with {status}");
        let reader = self.lines.take().context("picket's output was taken already")?;
        let lines = reader.join().map_err(|_| anyhow!("the reader of picket's output panicked"))?;
        let coverage = coverage::last(&lines).context("picket's output has no coverage record")?;
        Ok(Ended { lines, coverage, took })
    }
}

impl Running for Sensor {
    fn pids(&self) -> Vec<u32> {
        vec![self.pid()]
    }

    /// It counts all executions of the machine, and records only servers.
    fn stop(self: Box<Self>, _: &Wanted) -> Result<Report> {
        let coverage = self.finish()?.coverage;
        let (recorded, lost) = (Some(coverage.seen), coverage.lost);
        Ok(Report { coverage: Some(coverage), recorded, lost })
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        // A stopped process hears no SIGINT. What goes wrong here went wrong before.
        let _ = self.signal(Signal::CONT);
        let _ = tool::end(&mut self.child, Signal::INT, PATIENCE);
    }
}

fn wait_until_ready(log: &Receiver<Line>) -> Result<Instant> {
    let deadline = Instant::now() + PATIENCE;
    let mut said = Vec::new();
    loop {
        match log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if line.text == format!("{READY}coverage full") => return Ok(line.at),
            Ok(line) if line.text.starts_with(READY) => bail!("{}", line.text),
            Ok(line) => said.push(line.text),
            Err(_) => bail!("picket did not get ready: {}", said.join("; ")),
        }
    }
}

/// Hands on the lines of stderr, and goes on reading when nobody wants them any more.
fn read_log(err: impl Read + Send + 'static) -> Receiver<Line> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for text in BufReader::new(err).lines().map_while(Result::ok) {
            let _ = sender.send(Line { at: Instant::now(), text });
        }
    });
    receiver
}

fn read_lines(out: impl Read) -> Vec<Line> {
    BufReader::new(out)
        .lines()
        .map_while(Result::ok)
        .map(|text| Line { at: Instant::now(), text })
        .collect()
}
