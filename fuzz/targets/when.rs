//! Expressions of recipes: read, and evaluated on an event.

use std::sync::Arc;

use detect::engine::{Engine, Settings};
use detect::recipe::Recipe;
use event::{Ancestor, Environment, Event, Exec, Executable, Process, Severity};

use crate::rules::CATALOGUE;

pub(super) fn run(data: &[u8]) {
    let source = String::from_utf8_lossy(data);
    let quoted = serde_json::to_string(&source).unwrap();
    let text = format!(
        "name: fuzz\nversion: \"1\"\ndescription: d\ncategory: c\nmethod: m\nimportance: low\n\
         attack: []\nevent: exec\nwhen: {quoted}\nguidance: &g\n  ci: &t {{implication: i, \
         actions: []}}\n  staging: *t\n  production: *t\n"
    );
    let recipe = match Recipe::parse("when.yaml", &text) {
        Ok(recipe) => recipe,
        Err(errors) => {
            for error in &errors {
                assert!(error.line > 0 && error.column > 0 && !error.message.is_empty(), "{error}");
            }
            return;
        }
    };
    recipe.names();
    let settings =
        Settings { environment: Environment::Ci, ci: None, seeded_severity: Severity::Info };
    let mut engine = Engine::new(Arc::clone(&CATALOGUE), vec![recipe], settings);
    for args in [&["sh", "-c", "id"][..], &["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"; 200]] {
        let ancestor = Ancestor { pid: 1, args: vec!["a".to_owned()], ..Ancestor::default() };
        let process = Process {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            exe: Executable { path: "/bin/sh".to_owned(), ..Executable::default() },
            ..Process::default()
        };
        let exec = Exec { process, ancestry: vec![ancestor; 10], ..Exec::default() };
        engine.on(&Event::Exec { host: "h".to_owned(), exec: Box::new(exec) });
    }
    assert!(engine.take_failed().is_empty(), "more steps than were reckoned: {source}");
}
