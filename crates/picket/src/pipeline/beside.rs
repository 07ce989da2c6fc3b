//! What a sensor does beside a gate: it says whom it descends from, and it ends with a proof.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use event::ProcessKey;
use probe::Clock;

use super::Pipeline;
use crate::gate::note::{End, Note};
use crate::gate::scope::{Since, Watches};

/// What was started last may not run yet when the end is asked for.
const SETTLE: Duration = Duration::from_millis(250);
/// So long at most is waited for what descends from the command and still lives.
const LONGEST_SETTLE: Duration = Duration::from_millis(1200);
/// How often it is looked who lives.
const STEP: Duration = Duration::from_millis(25);
/// The main loop comes round this often while the last canary is aloft.
const ROUND: Duration = Duration::from_millis(10);
/// How long the last canary is waited for. It takes as long only if something holds it up.
const LAST_FLIGHT: Duration = Duration::from_secs(6);

impl Pipeline<'_> {
    /// Those that this sensor descends from, nearest first. None where no canary was seen.
    fn above(&self) -> Vec<ProcessKey> {
        self.canary.itself().map(|itself| self.probe.parents(itself)).unwrap_or_default()
    }

    /// Tells the gate who is above it, and keeps what the first canary could not prove.
    pub(super) fn introduce(&mut self) -> Result<()> {
        if self.plan.beside.is_some() {
            self.unproved = self.coverage.unproved();
            Note::Above(self.above()).tell().context("cannot tell the gate anything")?;
        }
        Ok(())
    }

    /// Watches on for a moment, proves that the hooks still work, and tells the gate how it was.
    pub(super) fn see_out(&mut self) -> Result<()> {
        let Some(watches) = self.plan.beside.filter(|_| self.ending) else { return Ok(()) };
        // What is told now is still worth waiting for.
        self.ending = false;
        let begun = Instant::now();
        let mut left = self.living(watches)?;
        while begun.elapsed() < SETTLE
            || (watches == Watches::Below && !left.is_empty() && begun.elapsed() < LONGEST_SETTLE)
        {
            self.go_round(STEP)?;
            left = self.living(watches)?;
        }
        let moment = Clock::boot_ns();
        let deadline = Instant::now() + LAST_FLIGHT;
        self.canary.want();
        while !self.coverage.is_proved_since(moment) && Instant::now() < deadline {
            self.go_round(ROUND)?;
        }
        let mut unproved = self.coverage.unproved();
        unproved.retain(|reason| !self.unproved.contains(reason));
        if !self.coverage.is_proved_since(moment) {
            unproved.push("the last canary has told nothing".to_owned());
        }
        self.ending = true;
        Note::End(End::new(left, unproved)).tell().context("cannot tell the gate anything")
    }

    fn go_round(&mut self, timeout: Duration) -> Result<()> {
        self.wait(timeout)?;
        self.drain()?;
        Ok(())
    }

    /// What lives of the job.
    fn living(&self, watches: Watches) -> Result<Vec<(ProcessKey, String)>> {
        let (Some(itself), above) = (self.canary.itself(), self.above()) else {
            return Ok(Vec::new());
        };
        let Some(gate) = above.first() else { return Ok(Vec::new()) };
        let since = Since::new(&above);
        let living = self.probe.living(|chain| {
            let own =
                chain.contains(&itself) || chain.first().is_some_and(|one| above.contains(one));
            !own && match watches {
                Watches::Below => chain.contains(gate),
                Watches::Since => since.counts(chain.iter().copied()),
            }
        });
        living.context("cannot see who lives")
    }
}
