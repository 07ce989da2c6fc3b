//! Medians, quantiles, and how far a median can be trusted.

use std::time::Duration;

/// Measured values, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    /// Puts values in order.
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// Times, in milliseconds.
    pub(crate) fn millis(times: &[Duration]) -> Self {
        Self::new(times.iter().map(|time| time.as_secs_f64() * 1e3).collect())
    }

    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value that a part of the sample does not exceed (nearest rank). NaN if it is empty.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank between 0 and the length"
        )]
        let rank = (part * self.len() as f64).ceil().max(1.0) as usize;
        self.0.get(rank - 1).copied().unwrap_or(f64::NAN)
    }

    /// The median.
    pub(crate) fn median(&self) -> f64 {
        let (low, high) = (self.0.get((self.len().max(1) - 1) / 2), self.0.get(self.len() / 2));
        match (low, high) {
            (Some(low), Some(high)) => f64::midpoint(*low, *high),
            _ => f64::NAN,
        }
    }

    /// The largest value.
    pub(crate) fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// Where the true median lies with 95 % confidence, from the ranks alone, so that no shape
    /// of the distribution is assumed. Fewer than six values tell nothing with that confidence.
    pub(crate) fn median_interval(&self) -> (f64, f64) {
        if self.len() < 6 {
            return (f64::NEG_INFINITY, f64::INFINITY);
        }
        #[expect(clippy::cast_precision_loss, reason = "a few hundred values")]
        let n = self.len() as f64;
        let half = 0.98 / n.sqrt();
        (self.quantile((0.5 - half).max(0.0)), self.quantile((0.5 + half + 1.0 / n).min(1.0)))
    }
}

/// An interval for people.
pub(crate) fn interval((low, high): (f64, f64)) -> String {
    if low.is_finite() && high.is_finite() {
        format!("{low:.3} to {high:.3}")
    } else {
        "too few rounds to tell".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn up_to(n: u32) -> Sample {
        Sample::new((1..=n).rev().map(f64::from).collect())
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let sample = up_to(100);
        assert_eq!(sample.median(), 50.5);
        assert_eq!(sample.quantile(0.99), 99.0);
        assert_eq!(sample.quantile(0.0), 1.0);
        assert_eq!(sample.max(), 100.0);
        assert_eq!(up_to(3).median(), 2.0);
    }

    #[test]
    fn the_interval_holds_the_median() {
        for n in [2, 3, 10, 61] {
            let (low, high) = up_to(n).median_interval();
            assert!(low <= up_to(n).median() && up_to(n).median() <= high, "{n}: {low} {high}");
        }
        assert_eq!(up_to(100).median_interval(), (41.0, 61.0));
        assert_eq!(up_to(6).median_interval(), (1.0, 6.0));
        assert_eq!(up_to(5).median_interval(), (f64::NEG_INFINITY, f64::INFINITY));
    }

    #[test]
    fn nothing_measured_is_not_a_number() {
        assert!(Sample::default().median().is_nan());
        assert!(Sample::default().max().is_nan());
    }
}
