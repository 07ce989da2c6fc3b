//! The engine on made-up events: what the recipes of tests make of them. (Real ones are the samples'.)

use std::sync::Arc;

use event::{
    Ancestor, Behaviour, Environment, Event, Exec, Executable, Listen, Process, ProcessKey, Record,
    Severity, Stamp,
};

use super::{Engine, Settings};
use crate::catalogue::Catalogue;
use crate::recipe::Recipe;

const CATALOGUE: &str = "family: f\nabout: d\nservers:\n  - {name: webby, title: Webby, role: \
                         web, names: [webby], samples: [{run: [webby], expect: serve}]}\n";

fn recipe(name: &str, middle: &str) -> Recipe {
    let text = format!(
        "name: {name}\nversion: \"1\"\ndescription: d\ncategory: c\nmethod: m\nimportance: high\n\
         attack: [T1104]\nevent: exec\n{middle}\nguidance:\n  \
         ci: {{implication: i, actions: [a]}}\n  staging: {{implication: i, actions: [a]}}\n  \
         production: {{implication: \"{{program}}[ below {{above}}]\", actions: [a]}}\n"
    );
    Recipe::parse(name, &text).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn engine(recipes: Vec<Recipe>) -> Engine {
    let (catalogue, errors) = Catalogue::parse([("f.yaml", CATALOGUE)]);
    assert!(errors.is_empty(), "{errors:?}");
    let settings = Settings {
        environment: Environment::Production,
        ci: None,
        seeded_severity: Severity::Info,
    };
    Engine::new(Arc::new(catalogue), recipes, settings)
}

fn at(seconds: i64) -> Stamp {
    Stamp::from_unix_nanos((1_700_000_000 + seconds) * 1_000_000_000)
}

/// Process `pid` executes a file at a time; its ancestors are these, nearest first, each started
/// that many seconds after the epoch as its pid says.
fn exec(seconds: i64, pid: u32, path: &str, ancestors: &[u32]) -> Event {
    let above = |pid: &u32| Ancestor {
        pid: *pid,
        start: at(i64::from(*pid)),
        start_boot_ns: u64::from(*pid),
        comm: format!("p{pid}"),
        ..Ancestor::default()
    };
    let process = Process {
        pid,
        ppid: ancestors.first().copied().unwrap_or(0),
        start: at(i64::from(pid)),
        start_boot_ns: u64::from(pid),
        invoked_as: path.to_owned(),
        args: vec![path.to_owned()],
        exe: Executable { path: path.to_owned(), inode: 7, ..Executable::default() },
        ..Process::default()
    };
    let exec = Exec {
        time: at(seconds),
        boot_ns: u64::try_from(seconds).unwrap(),
        process,
        ancestry: ancestors.iter().map(above).collect(),
        ..Exec::default()
    };
    Event::Exec { host: "h".to_owned(), exec: Box::new(exec) }
}

fn told(records: &[Record]) -> Vec<String> {
    let name = |record: &Record| match record {
        Record::Detection(d) => format!("{}: {}", d.recipe.name, d.guidance.implication),
        other => panic!("{other:?}"),
    };
    records.iter().map(name).collect()
}

#[test]
fn what_runs_below_a_server_is_told_with_the_server() {
    let mut engine = engine(vec![
        recipe("server", "match: {server: [\"*\"]}"),
        recipe("below", "match: {below: [webby], program: [sh]}"),
    ]);
    assert_eq!(told(&engine.on(&exec(50, 10, "/usr/bin/webby", &[1]))), ["server: webby"]);
    assert!(engine.on(&exec(60, 60, "/bin/sh", &[1])).is_empty());
    let deep: Vec<u32> = (11..40).rev().chain([10, 1]).collect();
    assert_eq!(told(&engine.on(&exec(61, 61, "/bin/sh", &deep))), ["below: sh below webby (10)"]);
    assert!(engine.on(&exec(62, 62, "/bin/ls", &deep)).is_empty());
    let records = engine.on(&exec(63, 63, "/bin/sh", &[10]));
    let Some(Record::Detection(detection)) = records.first() else { panic!("{records:?}") };
    assert_eq!(detection.server.as_ref().unwrap().name, "webby");
    assert_eq!(detection.below.as_ref().unwrap().pid, 10);
    assert!(detection.below.as_ref().unwrap().detection.is_some());
    assert!(detection.reasons.iter().any(|r| r.contains("below the web server webby (10)")));
}

/// A server that is known by its answers only, and what it started before the first one.
#[test]
fn what_came_before_a_server_was_known_is_judged_again() {
    let mut engine = engine(vec![
        recipe("server", "match: {server: [\"*\"]}"),
        recipe("below", "match: {below: [\"*\"], program: [sh]}"),
    ]);
    let listens = |pid: u32, may_serve: bool| Event::Listen {
        host: "h".to_owned(),
        listen: Listen { pid, start_boot_ns: u64::from(pid), may_serve, ..Listen::default() },
    };
    assert!(engine.on(&listens(10, true)).is_empty());
    assert!(engine.on(&listens(11, false)).is_empty());
    let seen = |engine: &Engine, pid: u32| {
        engine.may_serve(ProcessKey { pid, start_boot_ns: u64::from(pid) })
    };
    assert!(seen(&engine, 10) && !seen(&engine, 11));
    for (seconds, path, parent) in [(20, "/bin/sh", 10), (21, "/bin/ls", 10), (22, "/bin/sh", 11)] {
        assert!(engine.on(&exec(seconds, 60, path, &[parent, 1])).is_empty());
    }
    let answers = |pid: u32| {
        let Event::Exec { host, mut exec } = exec(i64::from(pid), pid, "/opt/app", &[1]) else {
            unreachable!()
        };
        exec.time = at(i64::from(pid));
        let answered = Some("HTTP/1.1".to_owned());
        let behaviour = Behaviour { time: at(30), exec, answered, ..Behaviour::default() };
        Event::Behaviour { host, behaviour: Box::new(behaviour) }
    };
    let records = engine.on(&answers(10));
    assert_eq!(told(&records), ["server: app", "below: sh below unknown (10)"]);
    let Some(Record::Detection(shell)) = records.last() else { panic!("{records:?}") };
    assert_eq!(shell.time, at(20));
    // Once is enough, and of the other nothing was kept.
    assert!(engine.on(&answers(10)).is_empty());
    assert_eq!(told(&engine.on(&answers(11))), ["server: app"]);
}

#[test]
fn a_program_without_any_server_has_none() {
    let mut engine = engine(vec![recipe("plain", "match: {program: [nc]}")]);
    let records = engine.on(&exec(1, 5, "/bin/nc", &[]));
    let Some(Record::Detection(detection)) = records.first() else { panic!("{records:?}") };
    assert!(detection.server.is_none() && detection.below.is_none());
    let json = serde_json::to_value(&records[0]).unwrap();
    assert!(json["server"].is_null());
}

#[test]
fn limits_hold_and_say_so() {
    let mut engine = engine(vec![recipe(
        "limited",
        "match: {program: [nc]}\nlimits: [{per: parent, most: 2, within: 10s}]",
    )]);
    let mut count = |seconds, parent| engine.on(&exec(seconds, 99, "/bin/nc", &[parent])).len();
    assert_eq!([count(0, 5), count(1, 5), count(2, 5), count(3, 5)], [1, 1, 0, 0]);
    assert_eq!(count(4, 6), 1, "another parent");
    assert_eq!(count(11, 5), 1, "another window");
    let records = engine.on(&exec(12, 99, "/bin/nc", &[5]));
    let Some(Record::Detection(detection)) = records.first() else { panic!("{records:?}") };
    assert!(detection.reasons.iter().any(|r| r.contains("the last of 2")), "{detection:?}");
    let mut again = |seconds| {
        let records = engine.on(&exec(seconds, 99, "/bin/nc", &[5]));
        records.into_iter().find_map(|record| match record {
            Record::Detection(d) => Some(d.reasons.join("; ")),
            _ => None,
        })
    };
    assert_eq!(again(13), None);
    assert!(again(40).unwrap().contains("1 more like it were not told"));
}

#[test]
fn a_recipe_that_fails_is_disabled_and_the_others_go_on() {
    let mut bad = recipe("bad", "when: process.uid == 0 || process.pid == 1");
    let when = crate::when::When::parse("process.pid == 1 || process.uid == 0").unwrap();
    bad.when = Some(Arc::new(when.starved()));
    let mut engine = engine(vec![bad, recipe("good", "match: {program: [nc]}")]);
    assert_eq!(told(&engine.on(&exec(1, 5, "/bin/nc", &[]))), ["good: nc"]);
    assert_eq!(engine.take_failed(), ["bad"]);
    assert_eq!(told(&engine.on(&exec(2, 5, "/bin/nc", &[]))), ["good: nc"]);
    assert!(engine.take_failed().is_empty());
}

/// The index leaves out only what could not match: all recipes on many events, with it and without.
#[test]
fn the_index_changes_cost_and_nothing_else() {
    let conditions = [
        "match: {program: [sh, \"py*\"]}",
        "match: {path: [\"/usr/**\"]}",
        "match: {server: [webby]}",
        "match: {below: [\"*\"]}",
        "match: {purpose: [serve]}",
        "when: process.exe.path.endsWith(\"/sh\") || parent.comm == \"p10\"",
        "when: process.command_line.lowerAscii().contains(\"webby\")",
        "when: process.args.exists(a, a.contains(\"bin\")) && process.ppid != 1",
        "when: ancestors.exists(a, a.comm == \"p10\")",
        "when: '!process.command_line.contains(\"sh\")'",
        "match: {program: [sh]}\nwhen: process.name.startsWith(\"s\")",
    ];
    let recipes = conditions.iter().enumerate().map(|(n, c)| recipe(&format!("r{n}"), c));
    let mut engine = engine(recipes.collect());
    let paths =
        ["/usr/bin/webby", "/bin/sh", "/usr/bin/python3", "/opt/x", "/tmp/SH", "/usr/bin/sh"];
    let chains: [&[u32]; 4] = [&[1], &[10, 1], &[12, 10, 1], &[]];
    let mut matched = 0;
    for step in 0..200_u32 {
        let (path, chain) = (paths[step as usize % 6], chains[step as usize / 6 % 4]);
        let event = exec(i64::from(100 + step), 10 + step % 7 * 10, path, chain);
        let Event::Exec { exec, .. } = &event else { unreachable!() };
        // Each recipe is asked, whatever the index says.
        let catalogue = Arc::clone(&engine.catalogue);
        let identity = catalogue.identify(&exec.process);
        let subject = crate::subject::Subject::new(
            ("h", exec),
            &engine.settings,
            &engine.catalogue,
            &engine.servers,
            identity.as_ref(),
        );
        let expected: Vec<&str> = engine
            .recipes
            .iter()
            .filter(|recipe| recipe.matches(&subject).unwrap())
            .map(Recipe::name)
            .collect();
        let expected = expected.join(" ");
        let found: Vec<String> = engine
            .on(&event)
            .into_iter()
            .map(|record| match record {
                Record::Detection(d) => d.recipe.name,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(found.join(" "), expected, "{event:?}");
        matched += found.len();
    }
    assert!(matched > 300, "{matched}");
}
