//! Boot time, as the kernel stamps it, and time of day.

use std::sync::atomic::{AtomicI64, Ordering};

use crate::home;
use event::Stamp;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// The distance between the two clocks. It is kept as it was unless the time of day was set,
/// so that the same instant always reads the same.
#[derive(Debug)]
pub struct Clock {
    offset: AtomicI64,
}

/// A smaller drift than this is the measurement's own.
const TOLERANCE_NS: i64 = 5_000_000;

impl Clock {
    /// Measures the distance now.
    pub fn now() -> Self {
        Self { offset: AtomicI64::new(measure()) }
    }

    /// Measures again; takes the new distance if the time of day was set.
    pub fn refresh(&self) {
        self.take(measure());
    }

    fn take(&self, measured: i64) {
        if measured.abs_diff(self.offset.load(Ordering::Relaxed)) > TOLERANCE_NS.unsigned_abs() {
            self.offset.store(measured, Ordering::Relaxed);
        }
    }

    /// The time of day at a boot time.
    pub fn stamp(&self, boot_ns: u64) -> Stamp {
        let boot = i64::try_from(boot_ns).unwrap_or(i64::MAX);
        Stamp::from_unix_nanos(boot.saturating_add(self.offset.load(Ordering::Relaxed)))
    }

    /// Boot time now, in nanoseconds.
    pub fn boot_ns() -> u64 {
        u64::try_from(boot()).unwrap_or_default()
    }
}

fn measure() -> i64 {
    nanos(clock_gettime(ClockId::Realtime)) - boot()
}

/// The kernel's own boot time: a time namespace shows another one, and stamps are not in it.
fn boot() -> i64 {
    nanos(clock_gettime(ClockId::Boottime)) - home::boot_offset_ns()
}

fn nanos(time: Timespec) -> i64 {
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_time_of_day_and_ignores_what_measuring_costs() {
        let clock = Clock::now();
        let boot = Clock::boot_ns();
        let at = |clock: &Clock| clock.stamp(boot);
        let before = at(&clock);
        clock.refresh();
        assert_eq!(at(&clock), before, "the same instant reads otherwise");
        const HOUR: i64 = 3_600_000_000_000;
        for jump in [HOUR, -HOUR, 365 * 24 * HOUR, -TOLERANCE_NS - 1, TOLERANCE_NS + 1] {
            let offset = clock.offset.load(Ordering::Relaxed);
            clock.take(offset + jump);
            assert_eq!(clock.offset.load(Ordering::Relaxed), offset + jump);
            clock.take(offset + jump + TOLERANCE_NS - 1);
            assert_eq!(clock.offset.load(Ordering::Relaxed), offset + jump, "it drifts");
        }
        // What the clocks say now is taken again.
        clock.refresh();
        let (now, before) = (at(&clock).unix_nanos(), before.unix_nanos());
        assert!(now.abs_diff(before) < TOLERANCE_NS.unsigned_abs(), "{now} {before}");
    }

    #[test]
    fn a_time_of_day_before_the_boot_is_no_accident() {
        let clock = Clock::now();
        clock.take(-1_000_000_000);
        assert_eq!(clock.stamp(0), Stamp::from_unix_nanos(-1_000_000_000));
        clock.take(i64::MAX);
        let _ = clock.stamp(u64::MAX);
    }
}
