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
    /// Of these, programs that were seen, and gone before they could be read.
    pub(crate) unread: u64,
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
        unread: lost.get("unread").and_then(Value::as_u64).unwrap_or(0),
    })
}

/// What is read of a detection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Detected {
    pub(crate) pid: u32,
    /// What picket says of itself.
    pub(crate) latency_us: f64,
}

/// Reads a detection of this file.
pub(crate) fn detected(text: &str, exe: &str) -> Option<Detected> {
    let record: Value = serde_json::from_str(text).ok()?;
    let process = &record["process"];
    if record["type"] != "detection" || process["exe"]["path"] != exe {
        return None;
    }
    let pid = process["pid"].as_u64()?.try_into().ok()?;
    Some(Detected { pid, latency_us: record["latency_us"].as_f64()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_coverage_record_counts() {
        let line = |text: &str| Line { at: Instant::now(), text: text.to_owned() };
        let record = |seen| {
            format!(
                r#"{{"type":"coverage","state":"full","lost":{{"kernel":1,"queue":2,"unread":4}},"seen":{seen},"crossed":1}}"#
            )
        };
        let lines = [line(&record(1)), line(&record(7)), line(r#"{"type":"detection"}"#)];
        let expected =
            Coverage { state: "full".to_owned(), seen: 7, crossed: 1, lost: 7, unread: 4 };
        assert_eq!(last(&lines), Some(expected));
        assert_eq!(last(&lines[2..]), None);
    }

    #[test]
    fn detections_of_the_file_count_only() {
        let text =
            r#"{"type":"detection","latency_us":412,"process":{"pid":7,"exe":{"path":"/a"}}}"#;
        assert_eq!(detected(text, "/a"), Some(Detected { pid: 7, latency_us: 412.0 }));
        assert_eq!(detected(text, "/b"), None);
    }
}
