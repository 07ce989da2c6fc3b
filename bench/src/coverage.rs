//! The records that picket writes, as far as the bench reads them.

use std::time::Instant;

use serde_json::Value;

/// A line of picket's output, and when it arrived here.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) at: Instant,
    pub(crate) text: String,
}

/// What the last coverage record says of the whole run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    pub(crate) state: String,
    /// Executions seen.
    pub(crate) seen: u64,
    /// Executions that user space had to look at.
    pub(crate) crossed: u64,
    /// Events lost, wherever.
    pub(crate) lost: u64,
}

/// Finds the last coverage record.
pub(crate) fn last(lines: &[Line]) -> Option<Coverage> {
    lines.iter().rev().find_map(|line| coverage(&line.text))
}

fn coverage(text: &str) -> Option<Coverage> {
    let record: Value = serde_json::from_str(text).ok()?;
    if record["type"] != "coverage" {
        return None;
    }
    let lost = record["lost"].as_object()?;
    Some(Coverage {
        state: record["state"].as_str()?.to_owned(),
        seen: record["seen"].as_u64()?,
        crossed: record["crossed"].as_u64()?,
        lost: lost.values().map(Value::as_u64).sum::<Option<u64>>()?,
    })
}

/// The latency in microseconds that a detection of this file says of itself.
pub(crate) fn latency_of(text: &str, exe: &str) -> Option<f64> {
    let record: Value = serde_json::from_str(text).ok()?;
    let matches = record["type"] == "detection" && record["process"]["exe"]["path"] == exe;
    matches.then(|| record["latency_us"].as_f64()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_coverage_record_counts() {
        let line = |text: &str| Line { at: Instant::now(), text: text.to_owned() };
        let record = |seen| {
            format!(
                r#"{{"type":"coverage","state":"full","lost":{{"kernel":1,"queue":2}},"seen":{seen},"crossed":1}}"#
            )
        };
        let lines = [line(&record(1)), line(&record(7)), line(r#"{"type":"detection"}"#)];
        let expected = Coverage { state: "full".to_owned(), seen: 7, crossed: 1, lost: 3 };
        assert_eq!(last(&lines), Some(expected));
        assert_eq!(last(&lines[2..]), None);
    }

    #[test]
    fn latency_is_taken_from_detections_of_the_file_only() {
        let text = r#"{"type":"detection","latency_us":412,"process":{"exe":{"path":"/a"}}}"#;
        assert_eq!(latency_of(text, "/a"), Some(412.0));
        assert_eq!(latency_of(text, "/b"), None);
    }
}
