//! Boot time, as the kernel stamps it, and time of day.

use std::sync::atomic::{AtomicI64, Ordering};

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
        let measured = measure();
        if (measured - self.offset.load(Ordering::Relaxed)).abs() > TOLERANCE_NS {
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
        u64::try_from(nanos(clock_gettime(ClockId::Boottime))).unwrap_or_default()
    }
}

fn measure() -> i64 {
    nanos(clock_gettime(ClockId::Realtime)) - nanos(clock_gettime(ClockId::Boottime))
}

fn nanos(time: Timespec) -> i64 {
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}
