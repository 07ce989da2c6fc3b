//! What the pipeline says of coverage: it measures, and passes on what is new.

use anyhow::Result;
use event::{Lost, Record, State};
use probe::Clock;

use super::Pipeline;
use crate::coverage::Measure;
use crate::sink::{self, Item, Room};
use crate::tally;

impl Pipeline<'_> {
    /// Says so when something was lost since the last look, when coverage changed otherwise, and
    /// when all is well again.
    pub(super) fn check_coverage(&mut self) -> Result<()> {
        let measure = self.measure()?;
        self.coverage.measure(measure);
        if self.coverage.wants_proof() {
            self.canary.want();
        }
        self.say_coverage()
    }

    /// What was counted so far.
    pub(super) fn measure(&mut self) -> Result<Measure> {
        let (counts, kernel) = self.probe.losses()?;
        let gaps = self.reader.gaps();
        // A gap in the numbers is the same loss, seen from this side; whichever knows more.
        let pairs = [
            (counts.lost_execs, gaps.execs),
            (counts.lost_listens, gaps.listens),
            (counts.lost_answers, gaps.answers),
            (counts.lost_connects, gaps.connects),
        ];
        let unknown: u64 = pairs.iter().map(|(counted, gap)| gap.saturating_sub(*counted)).sum();
        let unknown = unknown + counts.skipped + self.reader.malformed();
        let queue = self.queue.losses();
        let sink = self.sink.losses();
        let lost = Lost {
            kernel: pairs.iter().map(|(counted, _)| counted).sum::<u64>() + unknown,
            queue: queue.overflow.count,
            sink: sink.count,
            unread: queue.unread.count,
            lineage: counts.lost_lineage,
        };
        let spans = [queue.overflow, queue.unread, sink].map(|mut tally| tally.take_span());
        Ok(Measure {
            at: Clock::boot_ns(),
            lost,
            undated: unknown + counts.lost_lineage,
            span: spans.into_iter().fold(kernel, tally::join),
            thinned: counts.thinned,
            seen: counts.execs,
            crossed: counts.crossed,
        })
    }

    /// Says what is new of coverage, if anything is.
    pub(super) fn say_coverage(&mut self) -> Result<()> {
        if !self.coverage.has_news() {
            return Ok(());
        }
        if self.coverage.has_changed() && self.ready {
            let reasons = self.coverage.reasons().join("; ");
            match self.coverage.state() {
                State::Full => sink::log("coverage full again"),
                state => sink::log(&format!("coverage {state}: {reasons}")),
            }
        }
        let record = self.coverage.news(&self.host, self.probe.clock());
        if self.write_coverage(record) == Room::Taken {
            self.coverage.told();
        }
        Ok(())
    }

    fn write_coverage(&self, record: event::Coverage) -> Room {
        // Text is for people: they hear of coverage when it changes, on stderr.
        if self.plan.style.format != crate::cli::Format::Json {
            return Room::Taken;
        }
        let record = Record::Coverage(Box::new(record));
        self.sink.offer(Item { record, boot_ns: None })
    }

    /// The last record: the whole time, and all that was lost in it.
    pub(super) fn say_goodbye(&mut self) -> Result<()> {
        let measure = self.measure()?;
        self.coverage.measure(measure);
        // What was lost last has a window of its own, too.
        if self.coverage.has_losses() {
            self.say_coverage()?;
        }
        let record = self.coverage.summary(&self.host, self.probe.clock());
        if !record.lost.is_zero() {
            sink::log(&format!("since the start: {}", record.reasons.join("; ")));
        }
        self.write_coverage(record);
        Ok(())
    }
}
