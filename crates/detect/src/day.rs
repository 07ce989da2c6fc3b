//! Days, as people write them in files: `2026-11-24`. In UTC, like every time of a record.

use event::Stamp;

/// Nanoseconds of a day.
const LENGTH: i64 = 86_400_000_000_000;

/// A day. Days compare in the order of time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(String);

impl Day {
    /// Reads a day; the error says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?} is no day: expected one like 2027-01-31");
        let digits = |b: &[u8]| b.iter().all(u8::is_ascii_digit);
        match text.as_bytes() {
            [y @ .., b'-', m1, m2, b'-', d1, d2]
                if y.len() == 4 && digits(y) && digits(&[*m1, *m2, *d1, *d2]) => {}
            _ => return Err(expected()),
        }
        let begin = format!("{text}T00:00:00Z").parse::<Stamp>();
        begin.map(|_| Self(text.to_owned())).map_err(|_| expected())
    }

    /// The day of a point in time.
    pub fn of(time: Stamp) -> Self {
        let text = time.to_string();
        Self(text.get(..10).unwrap_or(&text).to_owned())
    }

    /// The day so many days after a point in time.
    pub fn after(time: Stamp, days: i64) -> Self {
        Self::of(Stamp::from_unix_nanos(
            time.unix_nanos().saturating_add(days.saturating_mul(LENGTH)),
        ))
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_read_and_counted() {
        let now = "2026-11-24T23:59:59Z".parse::<Stamp>().unwrap_or_default();
        assert_eq!(Day::of(now).to_string(), "2026-11-24");
        assert_eq!(Day::after(now, 180).to_string(), "2027-05-23");
        assert!(Day::parse("2026-11-24").is_ok_and(|day| day < Day::after(now, 1)));
        for wrong in [
            "",
            "2026-13-01",
            "2026-02-30",
            "2026-1-1",
            "24.11.2026",
            "2026-11-24T00",
            "é026-11-24",
        ] {
            assert!(
                Day::parse(wrong).is_err_and(|why| why.contains("expected one like")),
                "{wrong}"
            );
        }
    }
}
