//! Points in time: RFC 3339, UTC, always nine digits of a second.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// A point in time with nanoseconds. Reads no clock: it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Stamp(Timestamp);

impl Stamp {
    /// The time this many nanoseconds after 1970 began; out of range becomes 1970.
    pub fn from_unix_nanos(nanos: i64) -> Self {
        Self(Timestamp::from_nanosecond(i128::from(nanos)).unwrap_or_default())
    }

    /// Nanoseconds since 1970 began.
    pub fn unix_nanos(self) -> i64 {
        i64::try_from(self.0.as_nanosecond()).unwrap_or_default()
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let printer = DateTimePrinter::new().precision(Some(9));
        f.write_str(&printer.timestamp_to_string(&self.0))
    }
}

impl std::str::FromStr for Stamp {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_nine_digits_and_reads_them_back() {
        let stamp = Stamp::from_unix_nanos(1_700_000_000_120_000_000);
        assert_eq!(stamp.to_string(), "2023-11-14T22:13:20.120000000Z");
        assert_eq!(stamp.to_string().parse::<Stamp>().unwrap(), stamp);
    }
}
