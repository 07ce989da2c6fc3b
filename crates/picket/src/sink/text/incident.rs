//! An incident for a person at three in the morning: what is new, all that happened in order, whom
//! it talked to, and what to do.

use detect::engine::socket;
use detect::incident::amount;
use event::{Incident, Peer, Update};

use super::{Text, called};
use crate::escape::terminal as safe;

impl Text {
    pub(super) fn incident(&self, u: &Update, incident: &Incident) -> String {
        let time = u.time.to_string();
        let (day, clock) =
            (time.get(..10).unwrap_or_default(), time.get(11..19).unwrap_or_default());
        let around =
            u.server.as_ref().map_or_else(String::new, |s| format!(" around {}", called(s)));
        let news = incident.stages.last().map_or_else(String::new, |s| safe(&s.detail));
        let headline = format!("INCIDENT{around} on {}: {news}", safe(&u.host));
        let level = self.level(u.severity, &u.severity.to_string().to_uppercase());
        let mut out = format!("{clock} {level} {}\n", self.bold(&headline));
        for (i, stage) in incident.stages.iter().enumerate() {
            let time = stage.time.to_string();
            let (date, clock) =
                (time.get(..10).unwrap_or_default(), time.get(11..19).unwrap_or_default());
            let date = if date == day { String::new() } else { format!("{date} ") };
            let label = if i == 0 { "so far" } else { "" };
            let line = format!("{date}{clock} {} (pid {})", safe(&stage.detail), stage.pid);
            self.field(&mut out, label, &line);
        }
        for (i, peer) in incident.peers.iter().enumerate() {
            self.field(&mut out, if i == 0 { "peers" } else { "" }, &sums(peer));
        }
        self.field(&mut out, "where", &format!("{}, {}", safe(&u.host), safe(&incident.workload)));
        // The story is what the lines above tell.
        for reason in u.reasons.iter().skip(1) {
            self.field(&mut out, "severity", &safe(reason));
        }
        for (i, action) in incident.actions.iter().enumerate() {
            let label = if i == 0 { "do" } else { "" };
            self.field(&mut out, label, &format!("{}. {}", i + 1, safe(action)));
        }
        if let Some(former) = &incident.former {
            self.field(&mut out, "before", &format!("incident or detections {}", safe(former)));
        }
        self.field(&mut out, "id", &format!("{} {time}", safe(&u.id)));
        out.push('\n');
        out
    }
}

/// Whom it talked to, and how much.
fn sums(peer: &Peer) -> String {
    let connections = match peer.connections {
        1 => "1 connection".to_owned(),
        n => format!("{n} connections"),
    };
    let at = socket(&safe(&peer.address), peer.port);
    let sent = peer.bytes_sent.map(|n| format!(", {} sent", amount(n))).unwrap_or_default();
    let received = peer.bytes_received.map(|n| format!(", {} received", amount(n)));
    format!("{at} ({}): {connections}{sent}{}", safe(&peer.protocol), received.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use event::{Severity, Stage, StageKind, Stamp};

    use super::*;

    fn update() -> Update {
        let time = Stamp::from_unix_nanos(1_700_000_000_000_000_000);
        let stage = |kind, seconds: i64, detail: &str| Stage {
            kind,
            time: Stamp::from_unix_nanos(time.unix_nanos() - seconds * 1_000_000_000),
            pid: 812,
            detail: detail.to_owned(),
            detection: None,
        };
        let incident = Incident {
            id: "0190-id".to_owned(),
            former: Some("0190-former".to_owned()),
            opened: time,
            severity: Severity::Critical,
            workload: "unit nginx.service".to_owned(),
            stages: vec![
                stage(StageKind::ServerStarted, 86_400, "nginx started"),
                stage(StageKind::Child, 1, "nginx spawned dash (sh -c \x1b]0;owned\x07)"),
                stage(
                    StageKind::Outbound,
                    0,
                    "dash connected to 203.0.113.9:443\n12:00:00 INFO fine",
                ),
            ],
            peers: vec![Peer {
                address: "203.0.113.9\x1b[2J".to_owned(),
                port: 443,
                protocol: "tcp".to_owned(),
                connections: 2,
                bytes_sent: Some(12_345),
                bytes_received: None,
            }],
            actions: vec!["Cut it off\r".to_owned(), "Find out\u{202e}".to_owned()],
        };
        Update {
            id: incident.id.clone(),
            time,
            host: "web\x07-1".to_owned(),
            severity: Severity::Critical,
            reasons: vec!["the story".to_owned(), "critical: both".to_owned()],
            server: None,
            listen: Vec::new(),
            seeded: false,
            container: None,
            baseline: None,
            incident: Some(Box::new(incident)),
        }
    }

    #[test]
    fn an_incident_reads_well_and_nothing_in_it_is_acted_upon() {
        let update = update();
        let text = Text { colour: false, width: 100 };
        let out = text.incident(&update, update.incident.as_ref().unwrap());
        let expected = r"22:13:20 CRITICAL INCIDENT on web\x07-1: dash connected to 203.0.113.9:443\n12:00:00 INFO fine
  so far   2023-11-13 22:13:20 nginx started (pid 812)
           22:13:19 nginx spawned dash (sh -c \x1b]0;owned\x07) (pid 812)
           22:13:20 dash connected to 203.0.113.9:443\n12:00:00 INFO fine (pid 812)
  peers    203.0.113.9\x1b[2J:443 (tcp): 2 connections, 12 kB sent
  where    web\x07-1, unit nginx.service
  severity critical: both
  do       1. Cut it off\r
           2. Find out\u{202e}
  before   incident or detections 0190-former
  id       0190-id 2023-11-14T22:13:20.000000000Z

";
        assert_eq!(out, expected);
    }
}
