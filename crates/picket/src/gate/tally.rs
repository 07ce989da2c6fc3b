//! What the sensor tells, counted: what descends from the command, and what else was started.

use std::collections::BTreeMap;

use detect::baseline::Observed;
use event::{Coverage, Detection, Peer, Record, State, Update};

use super::scope::Scope;
use super::verdict::Rules;

/// So many detections are kept; the others are counted.
const MOST: usize = 500;
/// So many are looked at for a list of what was started.
const MOST_STARTED: u64 = 100_000;

/// What was told so far.
pub(crate) struct Tally {
    rules: Rules,
    pub(crate) scope: Scope,
    /// Detections of what descends from the command.
    pub(crate) found: Vec<Detection>,
    /// Whom they connected to, and what they executed did, by incident.
    pub(crate) peers: BTreeMap<String, Vec<Peer>>,
    /// All of them, and those that fail the run.
    pub(crate) count: u64,
    pub(crate) failing: u64,
    /// Those that were expected.
    pub(crate) accepted: Vec<Detection>,
    /// All of them.
    pub(crate) accepted_count: u64,
    /// What was started, expected or not.
    pub(crate) started: Observed,
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
    pub(crate) fn new(rules: Rules, scope: Scope) -> Self {
        Self {
            rules,
            scope,
            found: Vec::new(),
            peers: BTreeMap::new(),
            count: 0,
            failing: 0,
            accepted: Vec::new(),
            accepted_count: 0,
            started: Observed::default(),
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
        } else {
            self.more(update);
        }
    }

    /// Takes note of a record that cannot be read.
    pub(crate) fn garbled(&mut self, why: &str) {
        self.garbled.get_or_insert_with(|| why.to_owned());
    }

    fn detection(&mut self, detection: Detection) {
        let expected = is_expected(&detection);
        if detection.seeded || (detection.severity < self.rules.shown() && !expected) {
            return;
        }
        if !self.scope.counts(&detection) {
            self.elsewhere += 1;
            return;
        }
        if self.count + self.accepted_count < MOST_STARTED {
            self.started.on(Record::Detection(Box::new(detection.clone())));
        }
        if expected { self.accept(detection) } else { self.find(detection) }
    }

    fn find(&mut self, detection: Detection) {
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

    fn accept(&mut self, detection: Detection) {
        self.accepted_count += 1;
        if self.accepted.len() < MOST {
            self.accepted.push(detection);
        }
    }

    /// More is known of a detection, and maybe it is no longer, or only now, expected.
    fn more(&mut self, update: Update) {
        self.started.on(Record::Update(Box::new(update.clone())));
        let is = |d: &Detection| d.id == update.id;
        if let Some(baseline) = &update.baseline {
            let found = self.found.iter().position(is).map(|at| self.found.remove(at));
            if let Some(before) = &found {
                self.count -= 1;
                self.failing -= u64::from(before.severity >= self.rules.fail_on);
            }
            let accepted = self.accepted.iter().position(is).map(|at| self.accepted.remove(at));
            self.accepted_count -= u64::from(accepted.is_some());
            let Some(mut known) = found.or(accepted) else { return };
            known.baseline = Some(baseline.clone());
            known.severity = update.severity;
            known.reasons.clone_from(&update.reasons);
            if is_expected(&known) { self.accept(known) } else { self.find(known) }
        }
        let is = |d: &&mut Detection| d.id == update.id;
        if let Some(detection) = self.found.iter_mut().chain(&mut self.accepted).find(is) {
            detection.listen = update.listen;
            detection.server = update.server.or(detection.server.take());
            detection.container = update.container.or(detection.container.take());
        }
    }
}

fn is_expected(detection: &Detection) -> bool {
    detection.baseline.as_ref().is_some_and(|baseline| baseline.status == "expected")
}

#[cfg(test)]
mod tests {
    use event::{Baseline, Process, Severity, Stamp};
    use serde_json::json;

    use super::*;

    const RULES: Rules =
        Rules { fail_on: Severity::High, show: Severity::Low, without_evidence_fails: true };

    fn baseline(status: &str) -> Baseline {
        Baseline { status: status.to_owned(), seen: 0, key: String::new() }
    }

    fn detection(id: &str, status: &str, severity: Severity) -> Record {
        let baseline = baseline(status);
        let recipe = json!({
            "name": "r", "version": "1", "description": "", "category": "", "method": "",
            "importance": "high",
        });
        let value = json!({
            "id": id, "time": Stamp::default(), "host": "", "latency_us": null, "recipe": recipe,
            "severity": severity, "reasons": [], "attack": {"version": "", "techniques": []},
            "environment": "ci", "server": null, "process": Process::default(), "ancestry": [],
            "launcher": {"kind": "other", "detail": ""}, "container": null, "ci": null, "listen": [],
            "baseline": baseline, "response": null, "guidance": {"implication": "", "actions": []},
            "seeded": false,
        });
        Record::Detection(Box::new(serde_json::from_value(value).unwrap()))
    }

    fn update(id: &str, status: &str, severity: Severity) -> Record {
        Record::Update(Box::new(Update {
            id: id.to_owned(),
            time: Stamp::default(),
            host: String::new(),
            severity,
            reasons: vec!["its image is another".to_owned()],
            server: None,
            listen: Vec::new(),
            seeded: false,
            container: None,
            baseline: Some(baseline(status)),
            incident: None,
        }))
    }

    /// Everything counts.
    fn tally() -> Tally {
        Tally::new(RULES, Scope::Since(super::super::scope::Since::default()))
    }

    fn counts(tally: &Tally) -> (u64, u64, u64) {
        assert_eq!(tally.count, tally.found.len() as u64);
        assert_eq!(tally.accepted_count, tally.accepted.len() as u64);
        (tally.count, tally.failing, tally.accepted_count)
    }

    #[test]
    fn what_is_expected_passes_until_its_image_says_otherwise() {
        let mut tally = tally();
        tally.take(detection("a", "expected", Severity::Info));
        tally.take(detection("b", "new", Severity::Low));
        tally.take(detection("c", "new", Severity::Info));
        assert_eq!(counts(&tally), (1, 0, 1));
        tally.take(update("a", "new", Severity::High));
        assert_eq!(counts(&tally), (2, 1, 0));
        assert_eq!(tally.found[1].reasons, ["its image is another"]);
        tally.take(update("a", "expected", Severity::Info));
        assert_eq!(counts(&tally), (1, 0, 1));
        tally.take(update("unknown", "new", Severity::High));
        assert_eq!(counts(&tally), (1, 0, 1));
    }

    #[test]
    fn peers_are_those_of_what_was_found() {
        let mut tally = tally();
        tally.found = vec![Detection {
            incident: Some("ours".to_owned()),
            ..super::super::tests::detection("x")
        }];
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
