//! What an exception may hang on, what it covers, and when it ends.

use event::Severity;

use super::*;
use crate::baseline::tests::{nginx, time};
use crate::baseline::{Accepted, Expectations, Memory};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn now() -> Stamp {
    time("2026-11-24T12:00:00Z")
}

fn file(conditions: &str) -> String {
    format!(
        "exceptions:\n  - name: probe\n    recipe: webserver_*\n    reason: health check\n    by: Jane\n    \
         until: 2027-01-31\n    where: {conditions}\n"
    )
}

fn parse(text: &str) -> Result<Vec<Exception>, String> {
    let (exceptions, errors) = parse_all([("e.yaml", text)], now());
    match errors.as_slice() {
        [] => Ok(exceptions),
        errors => Err(errors.iter().map(|e| format!("{e}\n")).collect()),
    }
}

#[track_caller]
fn refused(conditions: &str, words: &[&str]) {
    let error = parse(&file(conditions)).expect_err(conditions);
    assert!(error.starts_with("e.yaml:7:"), "{error}");
    for word in words {
        assert!(error.contains(word), "expected {word:?} in {error}");
    }
}

#[test]
fn what_an_attacker_types_carries_nothing() {
    let typed = "whoever starts a program types its";
    refused("{arguments: [\"*--selftest*\"]}", &[typed, "`/tmp/backdoor --selftest` would pass"]);
    refused("{command_line: [\"sh -c /usr/bin*\"]}", &[typed, "`/tmp/backdoor sh -c /usr/bin`"]);
    refused("{comm: [nginx]}", &["prctl(PR_SET_NAME, \"nginx\") would pass"]);
    refused("{invoked_as: [/usr/sbin/nginx]}", &["`ln -s /tmp/backdoor /usr/sbin/nginx`"]);
    refused("{cwd: [/srv/app]}", &["`cd /srv/app && /tmp/backdoor` would pass"]);
    refused("{name: [nginx]}", &["`cp backdoor /tmp/nginx` would pass"]);
    refused("{build_id: [abcd]}", &["`ld --build-id=0xabcd` would pass"]);
    refused("{launcher: [cron]}", &["told by names of processes", "kind cron"]);
    refused("{server: [nginx]}", &["an attacker's own copy of nginx would pass"]);
    refused("{pod_namespace: [shop]}", &["any pod of the namespace shop"]);
    refused("{repository: [o/r], job: [build]}", &["a pull request", "names its jobs"]);
    refused("{host: [web-1], environment: [ci]}", &["executed on web-1", "on a ci system"]);
    // All of them together are still typed.
    refused("{comm: [x], cwd: [/x], arguments: [x], name: [x]}", &["PR_SET_NAME", "cp backdoor"]);
    for anywhere in
        ["/opt/*", "/tmp/nginx", "*", "/usr/local/bin/x", "/usr/bin/../../tmp/x", "/usr/*"]
    {
        let words = &["others than root may write there", "expected at least one of `sha256`"];
        refused(&format!("{{path: [\"{anywhere}\"]}}"), words);
    }
    // One value that leads anywhere spoils the key.
    refused("{path: [/usr/sbin/nginx, /tmp/nginx]}", &["cp backdoor /tmp/nginx"]);
    refused("{user: [root]}", &["far enough is root"]);
    refused("{uid: [0, 33]}", &["far enough is root"]);
    refused("{image: [\"*\"]}", &["covers nearly every container"]);
    let everything = parse(&file("{}")).expect_err("an exception without conditions");
    assert!(everything.contains("covers everything"), "{everything}");
}

#[test]
fn what_cannot_be_typed_carries_it() {
    for (conditions, anchors) in [
        (format!("{{sha256: [{A}]}}"), vec!["sha256"]),
        (format!("{{script_sha256: [{A}], arguments: [x]}}"), vec!["script_sha256"]),
        ("{package: [nginx-core], path: [\"/opt/*\"]}".to_owned(), vec!["package"]),
        ("{path: [\"/usr/sbin/*\"], comm: [nginx]}".to_owned(), vec!["path"]),
        ("{unit: [nginx.service], cwd: [/]}".to_owned(), vec!["unit"]),
        ("{image: [\"registry/shop:*\"]}".to_owned(), vec!["image"]),
        ("{user: [www-data], uid: [33]}".to_owned(), vec!["user", "uid"]),
        ("{launcher: [systemd], environment: [ci], uid: [33]}".to_owned(), vec!["uid"]),
    ] {
        let exceptions = parse(&file(&conditions)).unwrap();
        assert_eq!(exceptions[0].anchors, anchors, "{conditions}");
    }
}

#[test]
fn the_rest_of_the_file_is_checked() {
    let good = file("{unit: [nginx.service]}");
    let case = |from: &str, to: &str, place: &str, words: &str| {
        assert!(good.contains(from), "{from}");
        let error = parse(&good.replace(from, to)).expect_err(to);
        assert!(error.contains(&format!("e.yaml:{place}")), "{place}: {error}");
        assert!(error.contains(words), "expected {words:?} in {error}");
    };
    case("2027-01-31", "2027-05-24", "6:12", "more than 180 days ahead: expected 2027-05-23");
    case("2027-01-31", "9000-12-31", "6:12", "more than 180 days ahead");
    case("2027-01-31", "soon", "6:12", "is no day");
    case("name: probe", "name: My Probe", "2:11", "expected lower-case");
    case("by: Jane", "by: ''", "5:9", "by: expected some text");
    case("reason: health check", "reason: ' '", "4:13", "reason: expected some text");
    case("reason:", "reasn:", "4:", "reasn");
    case("nginx.service", "run-u1.scope", "7:", "expected a service");
    case("nginx.service", "'*.service'", "7:", "without `*`");
    case("unit: [nginx.service]", "sha256: [xyz]", "7:", "expected 64 digits");
    case("unit: [nginx.service]", "environ: [x]", "7:", "environ");
    let twice = format!("{good}{}", good.replace("exceptions:\n", ""));
    assert!(parse(&twice).expect_err("twice").contains("already defined"));
    let bomb = format!("a: &a [{}]\nb: [{}]\n", "x,".repeat(100), "*a,".repeat(100_000));
    for broken in ["", "x", "exceptions: {", "exceptions: 7", &bomb] {
        assert!(parse(broken).is_err(), "{broken:.40}");
    }
    // One that is wrong does not take the others with it.
    let two = format!("{good}{}", file("{cwd: [/]}").replace("exceptions:\n", ""));
    let (exceptions, errors) = parse_all([("e.yaml", two.as_str())], now());
    assert_eq!((exceptions.len(), errors.len()), (1, 1));
}

fn judged(conditions: &str, detection: &Detection) -> (Severity, Vec<String>, u64) {
    let exceptions = parse(&file(conditions)).unwrap();
    let mut expectations = Expectations::new(Accepted::default(), exceptions);
    let mut detection = detection.clone();
    expectations.judge(&mut detection);
    let memory = Memory::read(&expectations.take_memory().unwrap_or_default()).0;
    let used = memory.used("probe").map_or(0, |used| used.count);
    (detection.severity, detection.reasons, used)
}

#[test]
fn what_is_covered_is_told_quietly_and_counted() {
    for holds in [
        &format!("{{sha256: [{A}]}}"),
        "{package: [x, nginx-core], arguments: [\"daemon*\"]}",
        "{path: [\"/usr/sbin/*\"], comm: [nginx], host: [web-*], environment: [production]}",
        "{unit: [nginx.service], launcher: [cron, systemd], server: [nginx]}",
    ] {
        let (severity, reasons, used) = judged(holds, &nginx());
        assert_eq!((severity, used), (Severity::Info, 1), "{holds}: {reasons:?}");
        let words = "exception probe of Jane, until 2027-01-31: health check";
        assert!(reasons.iter().any(|reason| reason == words), "{reasons:?}");
    }
    for fails in [
        "{package: [nginx-light]}",
        "{unit: [cron.service]}",
        "{unit: [nginx.service], arguments: [x]}",
        "{unit: [nginx.service], launcher: [cron]}",
        "{uid: [33]}",
        "{image: [shop]}",
    ] {
        let (severity, reasons, used) = judged(fails, &nginx());
        assert_eq!((severity, used), (Severity::High, 0), "{fails}: {reasons:?}");
    }
}

#[test]
fn what_others_furnished_is_not_believed() {
    // A user namespace: its root has a /usr/sbin and a package database of its own.
    let mut unshared = nginx();
    unshared.process.namespaces.user = 4_026_532_000;
    let mut changed = nginx();
    changed.process.exe.intact = Some(false);
    let mut users = nginx();
    users.process.cgroup_path =
        Some("/user.slice/user-7.slice/user@7.service/nginx.service".to_owned());
    for (conditions, detection) in [
        ("{package: [nginx-core]}", &unshared),
        ("{path: [/usr/sbin/nginx]}", &unshared),
        ("{package: [nginx-core]}", &changed),
        ("{unit: [nginx.service]}", &users),
    ] {
        assert_eq!(judged(conditions, detection).0, Severity::High, "{conditions}");
    }
    let mut memfd = nginx();
    memfd.process.exe.memfd = true;
    assert_eq!(judged("{path: [/usr/sbin/nginx]}", &memfd).0, Severity::High);
}

#[test]
fn the_file_of_an_interpreter_is_not_enough() {
    let mut python = nginx();
    python.process.exe.content = None;
    let (severity, reasons, used) = judged("{package: [nginx-core]}", &python);
    assert_eq!((severity, used), (Severity::High, 0));
    let words = "exception probe does not count: nginx may run whatever its arguments say";
    assert!(reasons.iter().any(|reason| reason.starts_with(words)), "{reasons:?}");
    let (severity, ..) = judged("{package: [nginx-core], unit: [nginx.service]}", &python);
    assert_eq!(severity, Severity::Info);
}

#[test]
fn it_ends_and_says_so() {
    let exceptions = parse(&file("{unit: [nginx.service]}")).unwrap();
    let mut expectations = Expectations::new(Accepted::default(), exceptions);
    let mut last = nginx();
    last.time = time("2027-01-31T23:59:59Z");
    expectations.judge(&mut last);
    assert_eq!(last.severity, Severity::Info);
    assert_eq!(expectations.take_news(), Vec::<String>::new());
    for _ in 0..2 {
        let mut after = nginx();
        after.time = time("2027-02-01T00:00:00Z");
        expectations.judge(&mut after);
        assert_eq!(after.severity, Severity::High);
        let words = "exception probe would cover this and ended on 2027-01-31";
        assert!(after.reasons.iter().any(|reason| reason == words), "{:?}", after.reasons);
    }
    let said = ["exception probe has ended: renew it, or remove it"];
    assert_eq!(expectations.take_news(), said, "said once");
}
