//! What the sensor tells, counted: what descends from the command, and what else was started.

use event::{Coverage, Detection, Record, State};
use probe::home;

use super::verdict::Rules;

/// So many detections are kept; the others are counted.
const MOST: usize = 500;

/// What was told so far.
pub(crate) struct Tally {
    rules: Rules,
    /// Detections of what descends from the command.
    pub(crate) found: Vec<Detection>,
    /// All of them, and those that fail the run.
    pub(crate) count: u64,
    pub(crate) failing: u64,
    /// Detections of what others started meanwhile.
    pub(crate) elsewhere: u64,
    /// The last that was said of coverage.
    pub(crate) coverage: Option<Coverage>,
    /// The last record was one of coverage, as it is when the sensor ends in order.
    pub(crate) complete: bool,
    /// There was a time when nothing was seen.
    pub(crate) blind: bool,
    /// A record that could not be read.
    pub(crate) garbled: Option<String>,
    /// Why the records could not be written.
    pub(crate) records_failed: Option<String>,
}

impl Tally {
    /// Nothing was told yet.
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            rules,
            found: Vec::new(),
            count: 0,
            failing: 0,
            elsewhere: 0,
            coverage: None,
            complete: false,
            blind: false,
            garbled: None,
            records_failed: None,
        }
    }

    /// Takes a record.
    pub(crate) fn take(&mut self, record: Record) {
        self.complete = false;
        match record {
            Record::Detection(detection) => self.detection(*detection),
            Record::Update(update) if update.incident.is_none() => {
                if let Some(detection) = self.found.iter_mut().find(|d| d.id == update.id) {
                    detection.listen = update.listen;
                    detection.server = update.server.or(detection.server.take());
                }
            }
            Record::Coverage(coverage) => {
                self.complete = true;
                self.blind |= coverage.state == State::None;
                self.coverage = Some(*coverage);
            }
            // The detections of an incident are told of one by one.
            Record::Update(_) | Record::Response(_) | Record::Event(_) => {}
        }
    }

    /// Takes note of a record that cannot be read.
    pub(crate) fn garbled(&mut self, why: &str) {
        self.garbled.get_or_insert_with(|| why.to_owned());
    }

    fn detection(&mut self, detection: Detection) {
        if detection.seeded || detection.severity < self.rules.shown() {
            return;
        }
        if !is_below(&detection) {
            self.elsewhere += 1;
            return;
        }
        self.count += 1;
        self.failing += u64::from(detection.severity >= self.rules.fail_on);
        if self.found.len() < MOST {
            self.found.push(detection);
        } else if let Some(least) = self.found.iter_mut().min_by_key(|d| d.severity)
            && least.severity < detection.severity
        {
            *least = detection;
        }
    }
}

/// Whether a detection is of what this process started. The sensor itself executes nothing that is
/// told of, so that this is the command.
///
/// A chain that does not reach so far up is taken for the command's if all of it is younger than this
/// process: who hides behind many parents does not come free.
fn is_below(detection: &Detection) -> bool {
    let ancestry = &detection.ancestry;
    if ancestry.iter().any(|a| home::is_self(a.pid, a.start_boot_ns, &a.comm)) {
        return true;
    }
    let farthest = ancestry.last().map_or(detection.process.start_boot_ns, |a| a.start_boot_ns);
    detection.ancestry_truncated && home::is_younger(farthest)
}
