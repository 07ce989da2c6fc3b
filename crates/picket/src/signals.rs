//! Signals, as something that can be waited for.

use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};

/// SIGINT and SIGTERM ask to end; a second one ends at once.
pub(crate) struct Signals {
    stream: UnixStream,
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
        Ok(Self { stream })
    }

    /// Whether a signal came since the last time.
    pub(crate) fn came(&mut self) -> bool {
        let mut bytes = [0; 16];
        matches!(self.stream.read(&mut bytes), Ok(n) if n > 0)
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
