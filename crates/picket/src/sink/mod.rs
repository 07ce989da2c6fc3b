//! Where records go: a thread of its own writes them, so that a slow reader of stdout never
//! makes the sensor wait.

mod queue;
pub(crate) mod text;

use std::cell::Cell;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use event::{Record, Severity};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use serde::Serialize;

use crate::cli::Format;
use crate::escape;
use crate::sink::queue::Queue;
pub(crate) use crate::sink::queue::Room;
use crate::tally::Tally;

/// What is said when nobody reads stdout any more.
pub(crate) const READER_GONE: &str = "the reader of stdout has gone away";

/// Writes a line of picket's own log to stderr. It may quote files that others wrote.
pub(crate) fn log(line: &str) {
    // Nowhere is left to say that stderr cannot be written to.
    let _ = writeln!(io::stderr(), "picket: {}", escape::terminal(line));
}

/// Shows how far a long command is, on a line that the next one takes the place of.
pub(crate) fn progress(line: &str) {
    let _ = write!(io::stderr(), "\r\x1b[Kpicket: {}\r", escape::terminal(line));
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
    /// Whether what ran before picket is shown, however little serious it is.
    pub(crate) seeded: bool,
}

impl Style {
    fn shows(self, severity: Severity, seeded: bool) -> bool {
        severity >= self.severity || seeded && self.seeded
    }
}

/// The sending end.
pub(crate) struct Sink {
    queue: Arc<Queue<Item>>,
    thread: JoinHandle<Result<()>>,
    dropped: Cell<Tally>,
    failed: Arc<OwnedFd>,
}

/// After the end was asked for, a reader of stdout that does not read gets this long.
const LAST_CHANCE: Duration = Duration::from_secs(1);

impl Sink {
    /// Starts writing to `out`.
    pub(crate) fn start(out: impl Write + Send + 'static, style: Style) -> Result<Self> {
        let queue = Arc::new(Queue::new());
        let what = "cannot start writing records";
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let failed = Arc::new(eventfd(0, flags).context(what)?);
        let (items, signal) = (Arc::clone(&queue), Arc::clone(&failed));
        let thread = std::thread::Builder::new()
            .name("picket-sink".to_owned())
            .spawn(move || {
                let done = write_all(out, &items, style);
                items.reader_gone();
                if done.is_err() {
                    // Wakes the thread that reads events, which may be waiting.
                    let _ = rustix::io::write(&*signal, &1_u64.to_ne_bytes());
                }
                done
            })
            .context(what)?;
        Ok(Self { queue, thread, dropped: Cell::default(), failed })
    }

    /// Hands over a detection, waiting a while for room, as long as the reader goes on reading.
    /// Without room it is dropped, and counted.
    pub(crate) fn send(&self, item: Item, patience: Duration) -> Room {
        let boot_ns = item.boot_ns;
        let room = self.queue.push_patiently(item, patience);
        if room == Room::Full {
            self.note_drop(boot_ns);
        }
        room
    }

    /// Hands over what can be said again later, should there be no room now.
    pub(crate) fn offer(&self, item: Item) -> Room {
        self.queue.push(item)
    }

    fn note_drop(&self, boot_ns: Option<u64>) {
        let mut dropped = self.dropped.get();
        dropped.note(boot_ns.unwrap_or_else(probe::Clock::boot_ns));
        self.dropped.set(dropped);
    }

    /// Hands over an event, waiting a while for room: the kernel's ring is the better place for
    /// those that follow. Without room it is dropped, and counted.
    pub(crate) fn send_event(&self, item: Item, patience: Duration) -> Room {
        let boot_ns = item.boot_ns;
        let room = self.queue.push_event(item, patience);
        if room == Room::Full {
            self.note_drop(boot_ns);
        }
        room
    }

    /// Records that were dropped, with the times since this was last asked.
    pub(crate) fn losses(&self) -> Tally {
        let mut dropped = self.dropped.get();
        let since = dropped;
        dropped.take_span();
        self.dropped.set(dropped);
        since
    }

    /// Becomes readable when writing has failed.
    pub(crate) fn failed(&self) -> BorrowedFd<'_> {
        self.failed.as_fd()
    }

    /// Writes what is left, however long it takes, and ends. The error is what stopped it.
    pub(crate) fn finish(self) -> Result<()> {
        self.queue.close();
        self.join()
    }

    /// Writes what is left and ends, but waits for a reader that does not read no longer than it
    /// deserves.
    pub(crate) fn finish_soon(self) -> Result<()> {
        self.queue.close();
        match self.queue.wait_for_reader(LAST_CHANCE) {
            Ok(_) => self.join(),
            Err(left) => anyhow::bail!(
                "stdout is not being read: {left} records, and what was being written, are lost"
            ),
        }
    }

    fn join(self) -> Result<()> {
        match self.thread.join() {
            Ok(done) => done,
            Err(_) => anyhow::bail!("the thread that writes records has panicked"),
        }
    }
}

fn write_all(out: impl Write, queue: &Queue<Item>, style: Style) -> Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, out);
    let text = text::Text::new(rustix::stdio::stdout());
    while let Some(item) = queue.pop() {
        write_one(&mut out, item, style, &text).map_err(explain)?;
        // Flushed whenever nothing waits, so that a record is never late.
        if queue.is_empty() {
            out.flush().map_err(explain)?;
        }
    }
    out.flush().map_err(explain)
}

fn write_one(
    out: &mut impl Write,
    mut item: Item,
    style: Style,
    text: &text::Text,
) -> io::Result<()> {
    if let Record::Detection(detection) = &mut item.record {
        if !style.shows(detection.severity, detection.seeded) {
            return Ok(());
        }
        if let Some(boot_ns) = item.boot_ns {
            let now = probe::Clock::boot_ns();
            detection.latency_us = Some(now.saturating_sub(boot_ns) / 1000);
        }
    }
    if let Record::Update(update) = &item.record
        && !style.shows(update.severity, update.seeded)
    {
        return Ok(());
    }
    match style.format {
        Format::Json => {
            let mut json = serde_json::Serializer::with_formatter(&mut *out, escape::Json);
            item.record.serialize(&mut json)?;
            out.write_all(b"\n")
        }
        Format::Text => out.write_all(text.record(&item.record).as_bytes()),
    }
}
