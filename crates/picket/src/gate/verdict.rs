//! The verdict, and what it rests on.

use event::Severity;

use super::sensor::Watched;

/// The exit code where picket could not see.
pub(crate) const NO_EVIDENCE: u8 = 81;

/// What the caller asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// Detections from this severity on fail the run.
    pub(crate) fail_on: Severity,
    /// Those from this severity on are shown.
    pub(crate) show: Severity,
    /// Whether a run that could not be seen in full fails.
    pub(crate) without_evidence_fails: bool,
}

impl Rules {
    /// What fails the run is shown in any case.
    pub(crate) fn shown(self) -> Severity {
        self.show.min(self.fail_on)
    }
}

/// The verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The command itself failed, with this code.
    CommandFailed(u8),
    /// picket could not see: that nothing was found would mean nothing.
    NoEvidence,
    /// Something was found.
    Found,
    /// Nothing stands against it.
    Passed,
}

impl Verdict {
    /// Decides; `code` is the command's, `gaps` say why there is no evidence.
    pub(crate) fn decide(rules: Rules, code: u8, failing: u64, gaps: &[String]) -> Self {
        if code != 0 {
            Self::CommandFailed(code)
        } else if !gaps.is_empty() && rules.without_evidence_fails {
            Self::NoEvidence
        } else if failing > 0 {
            Self::Found
        } else {
            Self::Passed
        }
    }

    /// picket's exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::CommandFailed(code) => code,
            Self::NoEvidence => NO_EVIDENCE,
            Self::Found => 80,
            Self::Passed => 0,
        }
    }
}

/// Why what was seen is no evidence; none if it is.
pub(crate) fn gaps(watched: &Watched) -> Vec<String> {
    let tally = &watched.tally;
    let mut gaps: Vec<String> = watched.broken.clone().into_iter().collect();
    let Some(coverage) = &tally.coverage else {
        if watched.began {
            gaps.push("the sensor never watched: `picket doctor` says why".to_owned());
        }
        return gaps;
    };
    if tally.blind {
        gaps.push("there was a time when nothing was seen".to_owned());
    }
    if let Some(why) = &tally.garbled {
        gaps.push(format!("a record of the sensor could not be read: {why}"));
    }
    match &watched.end {
        Some(end) if end.unproved.is_empty() => {}
        Some(end) => {
            gaps.push(format!("the last moment is not proved: {}", end.unproved.join("; ")))
        }
        None if gaps.is_empty() => gaps.push("the sensor did not prove the last moment".to_owned()),
        None => {}
    }
    if !tally.complete && gaps.is_empty() {
        gaps.push("the sensor did not say what it lost".to_owned());
    }
    let lost = &coverage.lost;
    // What could not be read in time was seen all the same.
    for (count, what) in [
        (lost.kernel, "events were lost in the kernel"),
        (lost.queue, "listeners were lost between the threads of picket"),
        (lost.sink, "records were lost"),
        (lost.lineage, "processes were lost whose parents could not be kept"),
    ] {
        if count > 0 {
            gaps.push(format!("{count} {what}"));
        }
    }
    gaps
}

#[cfg(test)]
mod tests {
    use event::{Coverage, Lost, Record, Stamp, State, Window};

    use super::super::note::End;
    use super::super::scope::Scope;
    use super::super::tally::Tally;
    use super::*;

    const RULES: Rules =
        Rules { fail_on: Severity::High, show: Severity::Low, without_evidence_fails: true };

    fn watched(state: State, lost: Lost) -> Watched {
        let mut tally = Tally::new(RULES, Scope::Below);
        tally.take(Record::Coverage(Box::new(Coverage {
            time: Stamp::default(),
            host: String::new(),
            state,
            reasons: Vec::new(),
            window: Window::default(),
            lost,
            seen: 0,
            crossed: 0,
            thinned: 0,
        })));
        Watched { tally, broken: None, end: Some(End::default()), began: true }
    }

    #[test]
    fn the_commands_own_code_comes_first_and_missing_evidence_second() {
        let gap = ["blind".to_owned()];
        let open = Rules { without_evidence_fails: false, ..RULES };
        assert_eq!(Verdict::decide(RULES, 3, 1, &gap).code(), 3);
        assert_eq!(Verdict::decide(RULES, 0, 1, &gap).code(), 81);
        assert_eq!(Verdict::decide(open, 0, 1, &gap).code(), 80);
        assert_eq!(Verdict::decide(open, 0, 0, &gap).code(), 0);
        assert_eq!(Verdict::decide(RULES, 0, 1, &[]).code(), 80);
        assert_eq!(Verdict::decide(RULES, 0, 0, &[]).code(), 0);
    }

    #[test]
    fn what_was_lost_or_never_seen_is_no_evidence() {
        assert_eq!(gaps(&watched(State::Full, Lost::default())), Vec::<String>::new());
        assert_eq!(gaps(&watched(State::Degraded, Lost::default())), Vec::<String>::new());
        let unread = Lost { unread: 3, ..Lost::default() };
        assert_eq!(gaps(&watched(State::Degraded, unread)), Vec::<String>::new());
        for lost in [
            Lost { kernel: 1, ..Lost::default() },
            Lost { queue: 1, ..Lost::default() },
            Lost { sink: 1, ..Lost::default() },
            Lost { lineage: 1, ..Lost::default() },
        ] {
            assert_eq!(gaps(&watched(State::Degraded, lost)).len(), 1, "{lost:?}");
        }
        assert_eq!(gaps(&watched(State::None, Lost::default())).len(), 1);
        let never = Watched {
            tally: Tally::new(RULES, Scope::Below),
            broken: None,
            end: None,
            began: true,
        };
        assert_eq!(gaps(&never).len(), 1);
        let mut unproved = watched(State::Full, Lost::default());
        unproved.end = None;
        assert_eq!(gaps(&unproved).len(), 1);
        unproved.end = Some(End { unproved: vec!["x".to_owned()], ..End::default() });
        assert_eq!(gaps(&unproved).len(), 1);
        let mut garbled = watched(State::Full, Lost::default());
        garbled.tally.garbled("x");
        assert_eq!(gaps(&garbled).len(), 1);
    }
}
