//! Signals, as something that can be waited for.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// SIGINT and SIGTERM ask to end; a second one ends at once. SIGHUP asks for the recipes to be
/// read again and for a proof of coverage.
pub(crate) struct Signals {
    stream: UnixStream,
    asked: Arc<AtomicBool>,
    hung_up: Arc<AtomicBool>,
}

impl Signals {
    /// From here on the signals no longer end the process by themselves.
    pub(crate) fn catch() -> Result<Self> {
        let what = "cannot catch signals";
        let (stream, theirs) = UnixStream::pair().context(what)?;
        stream.set_nonblocking(true).context(what)?;
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down, the second one finds it up.
            signal_hook::flag::register_conditional_shutdown(
                signal,
                128 + signal,
                Arc::clone(&asked),
            )
            .context(what)?;
            signal_hook::flag::register(signal, Arc::clone(&asked)).context(what)?;
            let theirs = theirs.try_clone().context(what)?;
            signal_hook::low_level::pipe::register(signal, theirs).context(what)?;
        }
        let hung_up = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGHUP, Arc::clone(&hung_up)).context(what)?;
        signal_hook::low_level::pipe::register(SIGHUP, theirs).context(what)?;
        Ok(Self { stream, asked, hung_up })
    }

    /// Whether the end was asked for.
    pub(crate) fn came(&mut self) -> bool {
        let mut bytes = [0; 16];
        // What is left of it wakes the caller again.
        let _ = self.stream.read(&mut bytes);
        self.asked.load(Ordering::SeqCst)
    }

    /// Whether SIGHUP came since the last time.
    pub(crate) fn hung_up(&self) -> bool {
        self.hung_up.swap(false, Ordering::SeqCst)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
