//! What can go wrong with the kernel side, in words for the person who must fix it.

use std::sync::Mutex;

/// Why the kernel side does not work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The privileges do not suffice.
    #[error(
        "not allowed to use eBPF: missing {missing}; run as root, or give the program the \
         capabilities CAP_BPF and CAP_PERFMON"
    )]
    Privileges {
        /// What is missing.
        missing: String,
    },
    /// The kernel lacks something.
    #[error("this kernel cannot run picket: {what}; {fix}")]
    Kernel {
        /// What it lacks.
        what: String,
        /// How to fix it.
        fix: String,
    },
    /// libbpf or the kernel refused.
    #[error("cannot {what} the eBPF programs: {why}; `picket doctor` says more")]
    Load {
        /// What was tried.
        what: String,
        /// The refusal.
        why: String,
        /// Whether it may well work the next time.
        again: bool,
    },
    /// Whether a server answers HTTP cannot be heard.
    #[error("cannot hear whether {whom} answers HTTP: {why}")]
    Deaf {
        /// Which server.
        whom: String,
        /// Why not.
        why: String,
    },
    /// A map or a ring could not be used.
    #[error("cannot {what}: {why}")]
    Map {
        /// What was tried.
        what: String,
        /// The refusal.
        why: String,
    },
}

impl Error {
    pub(crate) fn load(what: &str, error: &libbpf_rs::Error) -> Self {
        let words = take_libbpf_words();
        let why = if words.is_empty() { error.to_string() } else { format!("{error} ({words})") };
        let again = error.kind() == libbpf_rs::ErrorKind::WouldBlock;
        Self::Load { what: what.to_owned(), why, again }
    }

    pub(crate) fn map(what: &str, error: &libbpf_rs::Error) -> Self {
        Self::Map { what: what.to_owned(), why: error.to_string() }
    }
}

/// What libbpf said, kept for the error that follows. libbpf has one printer for the whole
/// process, so there is one place for its words.
static WORDS: Mutex<String> = Mutex::new(String::new());

pub(crate) fn keep_libbpf_words() {
    libbpf_rs::set_print(Some((libbpf_rs::PrintLevel::Warn, |_, text| {
        if let Ok(mut words) = WORDS.lock()
            && words.len() < 4096
        {
            words.push_str(text.trim_start_matches("libbpf: "));
        }
    })));
}

fn take_libbpf_words() -> String {
    let words = WORDS.lock().map(|mut words| std::mem::take(&mut *words)).unwrap_or_default();
    // The last lines tell; a verifier's log before them can be very long.
    let lines: Vec<&str> = words.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}
