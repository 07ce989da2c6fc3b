//! What is to be said of coverage: why it is not full, what was lost and when, and whether that is
//! over.
//!
//! Each reason has an owner, who takes it back: reasons do not pile up. What was lost degrades
//! coverage until nothing more was lost for a while and a canary that flew since has proved that all
//! is well.

use std::collections::BTreeMap;

use event::{Coverage, Lost, Stamp, State, Window};
use probe::Clock;

use crate::canary::Outcome;
use crate::tally::join;

/// So long nothing may be lost before a canary is sent to prove that it is over, in nanoseconds.
const QUIET: u64 = 2_000_000_000;

/// Who has a reason why coverage is not full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    /// What cannot be seen here at all.
    Place,
    /// Recipes and catalogue files that are not in force.
    Rules,
    /// What the canary could not prove.
    Canary,
    /// Something was lost not long ago.
    Loss,
}

/// What was counted from the start up to a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measure {
    /// The moment, in boot time.
    pub(crate) at: u64,
    pub(crate) lost: Lost,
    /// Losses of which it is not known when they happened, among the others.
    pub(crate) undated: u64,
    /// The times of the others, from the first to the last since the measure before.
    pub(crate) span: Option<(u64, u64)>,
    pub(crate) thinned: u64,
    pub(crate) seen: u64,
    pub(crate) crossed: u64,
}

/// What was last said of coverage, and what is not said yet.
pub(crate) struct Watch {
    reasons: BTreeMap<Owner, Vec<String>>,
    /// Nothing is seen at all.
    blind: bool,
    started: u64,
    said: Option<(State, Vec<String>)>,
    /// What the last record counted, and when it was made.
    told: Measure,
    now: Measure,
    /// The times of losses that are not told yet.
    span: Option<(u64, u64)>,
    /// When losses were last looked for.
    looked: u64,
    /// When a loss was last noticed, until a canary has flown since.
    last_loss: Option<u64>,
    sent: bool,
    /// When the last canary that told something has flown.
    proved: Option<u64>,
}

impl Watch {
    /// Nothing is lost yet. `blind` says what cannot be seen here at all.
    pub(crate) fn new(started: u64, blind: Vec<String>) -> Self {
        let mut watch = Self {
            reasons: BTreeMap::new(),
            blind: false,
            started,
            said: None,
            told: Measure { at: started, ..Measure::default() },
            now: Measure { at: started, ..Measure::default() },
            span: None,
            looked: started,
            last_loss: None,
            sent: false,
            proved: None,
        };
        watch.set(Owner::Place, blind);
        watch
    }

    /// Puts these reasons in the place of the owner's former ones; none if all is well.
    pub(crate) fn set(&mut self, owner: Owner, reasons: Vec<String>) {
        if reasons.is_empty() {
            self.reasons.remove(&owner);
        } else {
            self.reasons.insert(owner, reasons);
        }
    }

    /// Takes note of what a canary proved.
    pub(crate) fn judge(&mut self, outcome: &Outcome) {
        self.blind = outcome.blind;
        self.proved = Some(outcome.flown);
        let reasons = outcome.reasons();
        // What is not told yet is not over.
        let over = self.last_loss.is_none_or(|last| outcome.flown > last) && !self.has_losses();
        if reasons.is_empty() && over {
            self.last_loss = None;
            self.set(Owner::Loss, Vec::new());
        }
        if !over {
            self.sent = false;
        }
        self.set(Owner::Canary, reasons);
    }

    /// Takes note of what was counted while the first canary flew. What was lost in the first
    /// moments, before anybody was told that picket watches, is told a moment later.
    pub(crate) fn begin(&mut self, measure: Measure) {
        self.span = join(self.span, measure.span);
        self.now = Measure { lost: Lost::default(), undated: 0, thinned: 0, ..measure };
    }

    /// Takes note of what was counted.
    pub(crate) fn measure(&mut self, measure: Measure) {
        let before = std::mem::replace(&mut self.now, measure);
        if measure.lost == before.lost {
            self.looked = measure.at;
            return;
        }
        // What has no time happened since the last look.
        let undated = measure.undated > before.undated || measure.span.is_none();
        let look = undated.then_some((self.looked, measure.at));
        self.looked = measure.at;
        self.span = join(self.span, join(measure.span, look));
        self.last_loss = Some(measure.at);
        self.sent = false;
        let what = words(&measure.lost.since(&self.told.lost));
        self.set(Owner::Loss, vec![format!("lost {what}")]);
    }

    /// Whether a canary is to prove that losses are over; says so once.
    pub(crate) fn wants_proof(&mut self) -> bool {
        let quiet = self.last_loss.is_some_and(|last| self.now.at >= last + QUIET);
        quiet && !self.has_losses() && !std::mem::replace(&mut self.sent, true)
    }

    /// Whether no canary has told anything yet.
    pub(crate) fn is_unproved(&self) -> bool {
        self.proved.is_none()
    }

    /// Whether a canary has told something that flew after this moment, in boot time.
    pub(crate) fn is_proved_since(&self, moment: u64) -> bool {
        self.proved.is_some_and(|flown| flown > moment)
    }

    /// What the last canary could not prove.
    pub(crate) fn unproved(&self) -> Vec<String> {
        self.reasons.get(&Owner::Canary).cloned().unwrap_or_default()
    }

    /// Events that the kernel is known to have lost.
    pub(crate) fn lost_in_kernel(&self) -> u64 {
        self.now.lost.kernel
    }

    /// How much is seen now.
    pub(crate) fn state(&self) -> State {
        if self.blind {
            State::None
        } else if self.reasons.is_empty() {
            State::Full
        } else {
            State::Degraded
        }
    }

    /// Why it is not full.
    pub(crate) fn reasons(&self) -> Vec<String> {
        self.reasons.values().flatten().cloned().collect()
    }

    /// Whether something is to be said that was not said yet.
    pub(crate) fn has_news(&self) -> bool {
        self.has_changed() || self.has_losses() || self.now.thinned != self.told.thinned
    }

    /// Whether losses are among what was not said yet.
    pub(crate) fn has_losses(&self) -> bool {
        self.now.lost != self.told.lost
    }

    /// Whether the state or the reasons are not those that were last said.
    pub(crate) fn has_changed(&self) -> bool {
        let said = self.said.as_ref();
        said.is_none_or(|(state, reasons)| *state != self.state() || *reasons != self.reasons())
    }

    /// The record of what is new.
    pub(crate) fn news(&self, host: &str, clock: &Clock) -> Coverage {
        let lost = self.now.lost.since(&self.told.lost);
        let (from, to) = match self.span {
            Some(span) if !lost.is_zero() => span,
            _ => (self.told.at, self.now.at),
        };
        let thinned = self.now.thinned.saturating_sub(self.told.thinned);
        self.record(host, clock, (from, to), lost, thinned)
    }

    /// The news are told. What could not be handed over stays news.
    pub(crate) fn told(&mut self) {
        self.said = Some((self.state(), self.reasons()));
        self.told = self.now;
        self.span = None;
    }

    /// The last record: the whole time, and all that was lost in it.
    pub(crate) fn summary(&mut self, host: &str, clock: &Clock) -> Coverage {
        let lost = self.now.lost;
        let what = if lost.is_zero() { Vec::new() } else { vec![format!("lost {}", words(&lost))] };
        self.set(Owner::Loss, what);
        self.record(host, clock, (self.started, self.now.at), lost, self.now.thinned)
    }

    fn record(
        &self,
        host: &str,
        clock: &Clock,
        (from, to): (u64, u64),
        lost: Lost,
        thinned: u64,
    ) -> Coverage {
        let time: Stamp = clock.stamp(self.now.at);
        Coverage {
            time,
            host: host.to_owned(),
            state: self.state(),
            reasons: self.reasons(),
            window: Window { from: clock.stamp(from), to: clock.stamp(to) },
            lost,
            seen: self.now.seen,
            crossed: self.now.crossed,
            thinned,
        }
    }
}

/// Losses in words.
fn words(lost: &Lost) -> String {
    let places = [
        (lost.kernel, "events in the kernel"),
        (lost.queue, "listeners between the threads of picket"),
        (lost.sink, "records that were not read as fast as they came"),
        (lost.unread, "programs that could not be read in time or in full"),
        (lost.lineage, "processes whose parents could not be kept"),
    ];
    let places = places.iter().filter(|(count, _)| *count > 0);
    places.map(|(count, what)| format!("{count} {what}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::Proof;

    fn lost(kernel: u64) -> Lost {
        Lost { kernel, ..Lost::default() }
    }

    fn flight(flown: u64, why: &[&str]) -> Outcome {
        let mut proofs = std::array::from_fn(|_| Proof::Seen);
        for (place, why) in proofs.iter_mut().zip(why) {
            *place = Proof::Missing((*why).to_owned());
        }
        Outcome { flown, proofs, blind: false }
    }

    fn window(coverage: &Coverage) -> (i64, i64) {
        (coverage.window.from.unix_nanos(), coverage.window.to.unix_nanos())
    }

    /// A clock that reads boot time.
    fn at(clock: &Clock, boot: u64) -> i64 {
        clock.stamp(boot).unix_nanos()
    }

    #[test]
    fn a_loss_is_told_with_its_own_window_and_once() {
        let clock = Clock::now();
        let mut watch = Watch::new(100, Vec::new());
        watch.judge(&flight(150, &[]));
        watch.told();
        watch.measure(Measure {
            at: 1000,
            lost: lost(3),
            span: Some((400, 500)),
            ..Measure::default()
        });
        assert!(watch.has_news());
        let first = watch.news("h", &clock);
        assert_eq!((first.state, first.lost), (State::Degraded, lost(3)));
        assert_eq!(window(&first), (at(&clock, 400), at(&clock, 500)));
        // It could not be handed over: the next record tells of both.
        watch.measure(Measure {
            at: 2000,
            lost: lost(5),
            span: Some((1700, 1800)),
            ..Measure::default()
        });
        let both = watch.news("h", &clock);
        assert_eq!(both.lost, lost(5));
        assert_eq!(window(&both), (at(&clock, 400), at(&clock, 1800)));
        watch.told();
        assert!(!watch.has_news());
        let summary = watch.summary("h", &clock);
        assert_eq!((summary.state, summary.lost), (State::Degraded, lost(5)));
        assert_eq!(window(&summary), (at(&clock, 100), at(&clock, 2000)));
    }

    #[test]
    fn a_loss_without_a_time_was_since_the_last_look() {
        let clock = Clock::now();
        let mut watch = Watch::new(100, Vec::new());
        watch.measure(Measure { at: 1000, ..Measure::default() });
        watch.told();
        let measure = Measure {
            at: 2000,
            lost: lost(2),
            undated: 1,
            span: Some((1500, 1500)),
            ..Measure::default()
        };
        watch.measure(measure);
        assert_eq!(window(&watch.news("h", &clock)), (at(&clock, 1000), at(&clock, 2000)));
    }

    #[test]
    fn it_is_full_again_when_it_is_quiet_and_a_canary_has_flown_since() {
        let mut watch = Watch::new(0, Vec::new());
        watch.measure(Measure { at: QUIET, lost: lost(1), ..Measure::default() });
        assert!(!watch.wants_proof());
        // What nobody was told of is not over, whatever flies.
        watch.judge(&flight(QUIET + 1, &[]));
        assert_eq!(watch.state(), State::Degraded);
        watch.told();
        // One that flew before the loss proves nothing of the time after it.
        watch.judge(&flight(QUIET - 1, &[]));
        assert_eq!(watch.state(), State::Degraded);
        watch.measure(Measure { at: 2 * QUIET, lost: lost(1), ..Measure::default() });
        assert!(watch.wants_proof() && !watch.wants_proof(), "it is wanted once");
        watch.judge(&flight(2 * QUIET, &["nothing"]));
        assert_eq!(watch.reasons().len(), 2);
        assert_eq!(watch.state(), State::Degraded);
        watch.judge(&flight(2 * QUIET + 1, &[]));
        assert_eq!((watch.state(), watch.reasons()), (State::Full, Vec::new()));
    }

    #[test]
    fn reasons_have_owners_and_do_not_pile_up() {
        let mut watch = Watch::new(0, vec!["broken".to_owned()]);
        for flown in 0..10 {
            watch.judge(&flight(flown, &["a", "b", "b"]));
        }
        assert_eq!(watch.reasons(), ["broken", "a", "b"]);
        watch.judge(&Outcome { blind: true, ..flight(10, &["a"]) });
        assert_eq!(watch.state(), State::None);
        watch.judge(&flight(11, &[]));
        assert_eq!((watch.state(), watch.reasons()), (State::Degraded, vec!["broken".to_owned()]));
    }
}
