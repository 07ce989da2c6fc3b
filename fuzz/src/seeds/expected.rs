//! Seeds of what is expected: baseline files with the memory beside them, and exceptions.

use super::{Seeds, lines};

const BASELINE: &str = "accepted:\n  - server: \"nginx\"\n    recipe: \"webserver_exec\"\n    \
    workload: {unit: \"nginx.service\"}\n    launcher: {kind: systemd, uid: 0}\n    \
    file: {package: \"nginx-core\", path: \"/usr/sbin/nginx\", sha256: \"SHA\", version: \"1.2\"}\n    \
    up_to: high\n    by: \"Jane\"\n    on: \"2026-11-20\"\n    why: \"front door\"\n    \
    until: \"2027-01-31\"\n";

const SEEN: &str = r#"{"seen":{"key":{"workload":{"host":true},"recipe":"r","launcher":{"kind":"shell","uid":0},"file":{"path":"/x","sha256":"SHA"},"command":["a","b"]},"severity":"high","first":"2026-11-24T08:00:00Z","last":"2026-11-24T08:00:00Z","count":3,"learned":"low","detection":"d"}}"#;

const EXCEPTIONS: &str = "exceptions:\n  - name: probe\n    recipe: webserver_*\n    \
    reason: health check\n    by: Jane\n    until: 2026-12-31\n    \
    where: {unit: [nginx.service], arguments: ['daemon*']}\n";

fn sound(text: &str) -> String {
    text.replace("SHA", &"a".repeat(64))
}

pub(super) fn baseline() -> Seeds {
    let mut seeds = Seeds::default();
    let file = sound(BASELINE);
    let memory = format!(
        "{{\"began\":\"2026-11-24T08:00:00Z\"}}\n{}\n{}\n",
        r#"{"used":{"exception":"e","count":2,"last":"2026-11-24T08:00:00Z"}}"#,
        sound(SEEN)
    );
    seeds.add("small", file.as_str());
    seeds.add("with-memory", format!("{file}\0{memory}"));
    for (name, from, to) in [
        ("container", "{unit: \"nginx.service\"}", "{engine: docker, image: \"i:1\"}"),
        ("pipeline", "{unit: \"nginx.service\"}", "{pipeline: github, job: \"b\"}"),
        ("host", "{unit: \"nginx.service\"}", "{host: true}"),
        ("two-places", "{unit: \"nginx.service\"}", "{host: true, unit: x}"),
        ("script", "    up_to", "    script: {path: /a, sha256: \"SHA\"}\n    up_to"),
        ("command", "    up_to", "    command: [\"\\u202e\", \"a\\nb: c\"]\n    up_to"),
        ("day", "2026-11-20", "2026-02-30"),
        ("number", "uid: 0", "uid: -1"),
        ("unknown-key", "why", "wy"),
        ("no-reason", "\"front door\"", "\"\""),
    ] {
        assert!(file.contains(from), "{from}");
        seeds.add(name, sound(&file.replacen(from, to, 1)));
    }
    for (name, from, to) in [
        ("memory-cut", "\"learned\"", "\"lear"),
        ("memory-count", "\"count\":3", "\"count\":18446744073709551615"),
        ("memory-severity", "\"high\"", "\"huge\""),
        ("memory-nested", "\"b\"]", "[[[[[[[[\"b\"]]]]]]]]]"),
    ] {
        assert!(memory.contains(from), "{from}");
        seeds.add(name, format!("{file}\0{}", memory.replacen(from, to, 1)));
    }
    lines::yaml(&mut seeds);
    seeds
}

pub(super) fn exceptions() -> Seeds {
    let mut seeds = Seeds::default();
    seeds.add("small", EXCEPTIONS);
    let conditions = "{unit: [nginx.service], arguments: ['daemon*']}";
    for (name, to) in [
        ("typed", "{arguments: ['*x*'], comm: [x], cwd: [/], name: ['*'], invoked_as: [x]}"),
        ("file", "{sha256: [SHA], script_sha256: [SHA], build_id: [ab]}"),
        ("package", "{package: [nginx-core], path: ['/usr/sbin/*']}"),
        ("user", "{user: [root, www-data], uid: [0, 33]}"),
        ("place", "{image: ['*'], pod_namespace: [x], repository: [a/b], job: [c]}"),
        ("launcher", "{launcher: [cron, web-server], environment: [ci], host: [h], server: ['*']}"),
        ("stars", "{unit: [x.service], command_line: ['**/**/*a*b**']}"),
        ("nothing", "{}"),
        ("scope", "{unit: [session-1.scope]}"),
    ] {
        assert!(EXCEPTIONS.contains(conditions));
        seeds.add(name, sound(&EXCEPTIONS.replace(conditions, to)));
    }
    for (name, from, to) in [
        ("too-far", "2026-12-31", "2099-12-31"),
        ("no-day", "2026-12-31", "1"),
        ("upper-case", "name: probe", "name: Probe"),
        ("twice", "exceptions:\n", "exceptions:\n  - &e {name: x}\n  - *e\n"),
    ] {
        assert!(EXCEPTIONS.contains(from), "{from}");
        seeds.add(name, EXCEPTIONS.replace(from, to));
    }
    lines::yaml(&mut seeds);
    seeds
}
