//! Recordings: the input is lines of JSON, as `picket replay` reads them.

use std::sync::Arc;

use detect::engine::{Engine, Settings};
use event::{Environment, Event, Record};

use crate::rules::{CATALOGUE, RECIPES};

pub(super) fn run(data: &[u8]) {
    let environment = match data.len() % 3 {
        0 => Environment::Ci,
        1 => Environment::Staging,
        _ => Environment::Production,
    };
    let settings = Settings { environment, ci: None, seeded_severity: event::Severity::Info };
    let mut engine = Engine::new(Arc::clone(&CATALOGUE), RECIPES.clone(), settings);
    for line in data.split(|b| *b == b'\n') {
        let Ok(record) = serde_json::from_slice::<Record>(line) else { continue };
        comes_back(&record);
        let Record::Event(event) = record else { continue };
        if let Event::Exec { exec, .. } = &*event {
            CATALOGUE.verdict(exec);
        }
        for record in engine.on(&event) {
            comes_back(&record);
        }
    }
}

/// What is written can be read.
fn comes_back(record: &Record) {
    let line = serde_json::to_string(record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), *record, "{line}");
}
