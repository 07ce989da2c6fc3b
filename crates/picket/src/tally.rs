//! Losses on this side of the rings: how many, and when what was lost had happened.

/// A count, and the boot times that it spans.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Since the start.
    pub(crate) count: u64,
    span: Option<(u64, u64)>,
}

impl Tally {
    /// Counts one that happened then.
    pub(crate) fn note(&mut self, at: u64) {
        self.count += 1;
        self.span = join(self.span, Some((at, at)));
    }

    /// The times since this was last asked.
    pub(crate) fn take_span(&mut self) -> Option<(u64, u64)> {
        self.span.take()
    }
}

/// The span that holds two others.
pub(crate) fn join(one: Option<(u64, u64)>, other: Option<(u64, u64)>) -> Option<(u64, u64)> {
    match (one, other) {
        (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
        (one, other) => one.or(other),
    }
}
