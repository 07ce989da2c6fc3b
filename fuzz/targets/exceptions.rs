//! Files of exceptions, and what they make of a detection.

use std::sync::{Arc, LazyLock};

use detect::baseline::{Accepted, Expectations};
use detect::engine::{Engine, Settings};
use detect::exception;
use event::{Environment, Event, Exec, Executable, Namespaces, Process, Stamp};

use crate::rules::{CATALOGUE, RECIPES};

static NGINX: LazyLock<Event> = LazyLock::new(|| {
    let path = "/usr/sbin/nginx".to_owned();
    let exe = Executable {
        path: path.clone(),
        sha256: Some("a".repeat(64)),
        package: Some("nginx-core 1.22.1-9".to_owned()),
        intact: Some(true),
        ..Executable::default()
    };
    let process = Process {
        args: vec!["nginx".to_owned(), "-g".to_owned(), "daemon on;".to_owned()],
        cgroup_path: Some("/system.slice/nginx.service".to_owned()),
        namespaces: Namespaces { user: 4_026_531_837, ..Namespaces::default() },
        comm: "nginx".to_owned(),
        invoked_as: path,
        exe,
        ..Process::default()
    };
    let exec = Box::new(Exec { process, ..Exec::default() });
    Event::Exec { host: "h".to_owned(), exec }
});

pub(super) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let now = Stamp::from_unix_nanos(1_795_000_000_000_000_000);
    let (exceptions, errors) = exception::parse_all([("e.yaml", &*text)], now);
    for error in &errors {
        assert!(error.line > 0 && error.column > 0 && !error.message.is_empty(), "{error}");
    }
    assert!(exceptions.iter().all(|exception| !exception.anchors.is_empty()));
    let settings = Settings {
        environment: Environment::Production,
        ci: None,
        seeded_severity: event::Severity::Info,
    };
    let mut engine = Engine::new(Arc::clone(&CATALOGUE), RECIPES.clone(), settings);
    *engine.expectations() = Expectations::new(Accepted::default(), exceptions);
    assert!(!engine.on(&NGINX).is_empty());
}
