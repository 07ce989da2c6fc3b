//! Recipe files, and the guidance that a recipe gives when it matches.

use std::sync::{Arc, LazyLock};

use detect::engine::{Engine, Settings};
use detect::recipe;
use event::{Environment, Event, Exec, Executable, Process};

use crate::rules::CATALOGUE;

static NGINX: LazyLock<Event> = LazyLock::new(|| {
    let path = "/usr/sbin/nginx".to_owned();
    let process = Process {
        args: vec!["nginx".to_owned()],
        invoked_as: path.clone(),
        exe: Executable { path, ..Executable::default() },
        ..Process::default()
    };
    let exec = Box::new(Exec { process, ..Exec::default() });
    Event::Exec { host: "h".to_owned(), exec }
});

pub(super) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (recipes, errors) = recipe::parse_all([("a.yaml", &*text), ("b.yaml", &*text)]);
    for error in &errors {
        assert!(error.line > 0 && error.column > 0 && !error.message.is_empty(), "{error}");
    }
    assert!(recipes.len() < 2, "two recipes of one name");
    for recipe in &recipes {
        recipe.unknown_servers(&CATALOGUE);
    }
    for environment in [Environment::Ci, Environment::Staging, Environment::Production] {
        let settings = Settings { environment, ci: None, seeded_severity: event::Severity::Info };
        let mut engine = Engine::new(Arc::clone(&CATALOGUE), recipes.clone(), settings);
        engine.on(&NGINX);
    }
}
