//! Where records go: a thread of its own writes them, so that a slow reader of stdout never
//! makes the sensor wait.

mod text;

use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use event::{Record, Severity};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::cli::Format;

/// Records that may wait to be written. Beyond it they are dropped, and counted.
const QUEUE: usize = 1024;

/// What is said when nobody reads stdout any more.
pub(crate) const READER_GONE: &str = "the reader of stdout has gone away";

/// Writes a line of picket's own log to stderr.
pub(crate) fn log(line: &str) {
    // Nowhere is left to say that stderr cannot be written to.
    let _ = writeln!(io::stderr(), "picket: {line}");
}

/// Writes a line of a command's result to stdout.
pub(crate) fn print(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(explain)
}

/// What a failed write means, and how to fix it.
fn explain(error: io::Error) -> anyhow::Error {
    let how = match error.kind() {
        // The same words wherever it is noticed first.
        io::ErrorKind::BrokenPipe => return anyhow::anyhow!(READER_GONE),
        io::ErrorKind::StorageFull => "the disk is full: make room, or write elsewhere",
        _ => "stdout cannot be written to",
    };
    anyhow::Error::new(error).context(how)
}

/// A record on its way out.
pub(crate) struct Item {
    pub(crate) record: Record,
    /// Boot time of the event behind it, to tell how long it took.
    pub(crate) boot_ns: Option<u64>,
}

/// How records are written, and which.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    pub(crate) format: Format,
    pub(crate) severity: Severity,
}

/// The sending end.
pub(crate) struct Sink {
    sender: Option<SyncSender<Item>>,
    thread: Option<JoinHandle<Result<()>>>,
    dropped: AtomicU64,
    failed: Arc<OwnedFd>,
}

impl Sink {
    /// Starts writing to `out`.
    pub(crate) fn start(out: impl Write + Send + 'static, style: Style) -> Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE);
        let what = "cannot start writing records";
        let failed =
            Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).context(what)?);
        let signal = Arc::clone(&failed);
        let thread = std::thread::Builder::new()
            .name("picket-sink".to_owned())
            .spawn(move || {
                let done = write_all(out, &receiver, style);
                if done.is_err() {
                    // Wakes the thread that reads events, which may be waiting.
                    let _ = rustix::io::write(&*signal, &1_u64.to_ne_bytes());
                }
                done
            })
            .context(what)?;
        Ok(Self { sender: Some(sender), thread: Some(thread), dropped: AtomicU64::new(0), failed })
    }

    /// Hands a record over. If the queue is full it is dropped, and counted.
    pub(crate) fn send(&self, item: Item) {
        let Some(sender) = &self.sender else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = sender.try_send(item) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Hands a record over, waiting for room. For recordings, where the kernel's ring is the
    /// better place to wait.
    pub(crate) fn send_waiting(&self, item: Item) {
        if let Some(sender) = &self.sender
            && sender.send(item).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Records that were dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Becomes readable when writing has failed.
    pub(crate) fn failed(&self) -> BorrowedFd<'_> {
        self.failed.as_fd()
    }

    /// Writes what is left and ends. The error is what stopped it.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.sender = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(done)) => done,
            Some(Err(_)) => anyhow::bail!("the thread that writes records has panicked"),
            None => Ok(()),
        }
    }
}

fn write_all(out: impl Write, receiver: &Receiver<Item>, style: Style) -> Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, out);
    let text = text::Text::new();
    loop {
        // Flushed whenever nothing waits, so that a record is never late.
        let item = match receiver.try_recv() {
            Ok(item) => item,
            Err(_) => {
                out.flush().map_err(explain)?;
                match receiver.recv_timeout(Duration::from_secs(3600)) {
                    Ok(item) => item,
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => return out.flush().map_err(explain),
                }
            }
        };
        write_one(&mut out, item, style, &text).map_err(explain)?;
    }
}

fn write_one(
    out: &mut impl Write,
    mut item: Item,
    style: Style,
    text: &text::Text,
) -> io::Result<()> {
    if let Record::Detection(detection) = &mut item.record {
        if detection.severity < style.severity {
            return Ok(());
        }
        if let Some(boot_ns) = item.boot_ns {
            let now = probe::Clock::boot_ns();
            detection.latency_us = Some(now.saturating_sub(boot_ns) / 1000);
        }
    }
    match style.format {
        Format::Json => {
            serde_json::to_writer(&mut *out, &item.record)?;
            out.write_all(b"\n")
        }
        Format::Text => out.write_all(text.record(&item.record).as_bytes()),
    }
}
