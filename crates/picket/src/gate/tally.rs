//! What the sensor tells, counted: what descends from the command, and what else was started.

use std::collections::BTreeMap;

use event::{Coverage, Detection, Peer, Record, State, Update};
use probe::home;

use super::verdict::Rules;

/// So many detections are kept; the others are counted.
const MOST: usize = 500;

/// What was told so far.
pub(crate) struct Tally {
    rules: Rules,
    /// Detections of what descends from the command.
    pub(crate) found: Vec<Detection>,
    /// Whom they connected to, and what they executed did, by incident.
    pub(crate) peers: BTreeMap<String, Vec<Peer>>,
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
            peers: BTreeMap::new(),
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
            Record::Update(update) => self.update(*update),
            Record::Coverage(coverage) => {
                self.complete = true;
                self.blind |= coverage.state == State::None;
                self.coverage = Some(*coverage);
            }
            Record::Response(_) | Record::Event(_) => {}
        }
    }

    fn update(&mut self, update: Update) {
        // The detections of an incident are told of one by one.
        if let Some(incident) = update.incident {
            let ours = |d: &Detection| d.incident.as_ref() == Some(&incident.id);
            if self.found.iter().any(ours) {
                self.peers.insert(incident.id, incident.peers);
            }
        } else if let Some(detection) = self.found.iter_mut().find(|d| d.id == update.id) {
            detection.listen = update.listen;
            detection.server = update.server.or(detection.server.take());
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

#[cfg(test)]
mod tests {
    use event::{Severity, Stamp};
    use serde_json::json;

    use super::super::tests::detection;
    use super::*;

    #[test]
    fn peers_are_those_of_what_was_found() {
        let rules =
            Rules { fail_on: Severity::High, show: Severity::Low, without_evidence_fails: true };
        let mut tally = Tally::new(rules);
        tally.found = vec![Detection { incident: Some("ours".to_owned()), ..detection("x") }];
        let told = |incident: &str, connections: u64| -> Record {
            let peer = json!({"address": "192.0.2.1", "port": 443, "protocol": "tcp",
                              "connections": connections, "bytes_sent": null, "bytes_received": 7});
            let now = Stamp::default();
            let incident = json!({"id": incident, "former": null, "opened": now,
                                  "severity": "high", "workload": "x", "stages": [],
                                  "peers": [peer], "actions": []});
            serde_json::from_value(json!({
                "type": "update", "id": incident["id"], "time": now, "host": "x",
                "severity": "high", "reasons": [], "server": null, "listen": [],
                "incident": incident
            }))
            .unwrap()
        };
        for (incident, connections) in [("ours", 1), ("another", 1), ("ours", 2)] {
            tally.take(told(incident, connections));
        }
        let peers: Vec<u64> = tally.peers.values().flatten().map(|peer| peer.connections).collect();
        assert_eq!(peers, [2]);
    }
}
