//! What is expected, new, learned or changed; and what a hostile file or memory can do.

use event::{
    Ancestor, Attack, Ci, Confidence, Container, Content, Detection, Environment, Guidance,
    Launcher, LauncherKind, Namespaces, Process, Purpose, RecipeInfo, ServerInfo, Severity, Sign,
    SignKind, Stamp, Target,
};

use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

pub(crate) fn time(text: &str) -> Stamp {
    text.parse().unwrap()
}

/// nginx, as its package brought it, started by its unit on a machine of its own.
pub(crate) fn nginx() -> Detection {
    let sign =
        Sign { kind: SignKind::Server, name: "nginx".to_owned(), found: Vec::new(), version: None };
    let mut process = Process {
        pid: 100,
        args: vec!["nginx".to_owned(), "-g".to_owned(), "daemon on;".to_owned()],
        cgroup_path: Some("/system.slice/nginx.service".to_owned()),
        comm: "nginx".to_owned(),
        namespaces: Namespaces { user: 4_026_531_837, ..Namespaces::default() },
        ..Process::default()
    };
    process.exe.path = "/usr/sbin/nginx".to_owned();
    process.exe.sha256 = Some(A.to_owned());
    process.exe.package = Some("nginx-core 1.22.1-9".to_owned());
    process.exe.intact = Some(true);
    process.exe.content = Some(Content { signs: vec![sign], ..Content::default() });
    Detection {
        id: "019a0000-0000-7000-8000-000000000001".to_owned(),
        time: time("2026-11-24T12:00:00Z"),
        host: "web-1".to_owned(),
        latency_us: None,
        recipe: RecipeInfo {
            name: "webserver_exec".to_owned(),
            version: "1.0".to_owned(),
            description: String::new(),
            category: String::new(),
            method: String::new(),
            importance: Severity::High,
        },
        severity: Severity::High,
        reasons: vec!["webserver_exec is of high importance".to_owned()],
        attack: Attack::default(),
        environment: Environment::Production,
        server: Some(ServerInfo {
            name: "nginx".to_owned(),
            version: None,
            purpose: Purpose::Serve,
            confidence: Confidence::Strong,
            masquerade: false,
            evidence: Vec::new(),
        }),
        below: None,
        process,
        ancestry: vec![Ancestor {
            pid: 1,
            comm: "systemd".to_owned(),
            exe: Some("/usr/lib/systemd/systemd".to_owned()),
            ..Ancestor::default()
        }],
        ancestry_truncated: false,
        launcher: Launcher {
            kind: LauncherKind::Systemd,
            detail: "systemd unit nginx.service".to_owned(),
            unit: Some("nginx.service".to_owned()),
            tty: None,
            script: None,
        },
        container: None,
        ci: None,
        listen: Vec::new(),
        baseline: None,
        response: None,
        guidance: Guidance { implication: String::new(), actions: Vec::new() },
        seeded: false,
        incident: None,
    }
}

/// The same in a container of docker.
fn contained() -> Detection {
    let mut d = nginx();
    let id = "c".repeat(64);
    d.process.cgroup_path = Some(format!("/system.slice/docker-{id}.scope"));
    d.container = Some(Container { id, runtime: "docker".to_owned(), ..Container::default() });
    d.launcher.kind = LauncherKind::Container;
    d.launcher.unit = None;
    d
}

fn python(args: &[&str]) -> Detection {
    let mut d = nginx();
    d.server.as_mut().unwrap().name = "python-http-server".to_owned();
    d.process.exe.path = "/usr/bin/python3.11".to_owned();
    d.process.exe.package = Some("python3.11-minimal 3.11.2-6".to_owned());
    d.process.exe.content.as_mut().unwrap().signs[0].kind = SignKind::Runtime;
    d.process.args = args.iter().map(|arg| (*arg).to_owned()).collect();
    d
}

fn entry(detection: &Detection) -> Entry {
    Entry {
        key: Key::of(detection).unwrap(),
        up_to: detection.severity,
        by: "Jane Doe".to_owned(),
        on: Day::parse("2026-11-20").unwrap(),
        why: "the shop's front door".to_owned(),
        until: None,
    }
}

/// Expectations by these entries, which went through a file.
fn expecting(entries: impl IntoIterator<Item = Entry>) -> Expectations {
    let mut accepted = Accepted::default();
    entries.into_iter().for_each(|entry| {
        accepted.add(entry);
    });
    let text = accepted.to_yaml();
    let read = Accepted::parse("baseline.yaml", &text).unwrap();
    assert_eq!(read, accepted, "{text}");
    Expectations::new(read, Vec::new())
}

/// The status of a detection, and its reasons but for the first.
fn judged(expectations: &mut Expectations, detection: &Detection) -> (String, Detection) {
    let mut detection = detection.clone();
    expectations.judge(&mut detection);
    let status = detection.baseline.as_ref().unwrap().status.clone();
    (status, detection)
}

#[track_caller]
fn is(expectations: &mut Expectations, detection: &Detection, status: &str, words: &str) {
    let (got, judged) = judged(expectations, detection);
    assert_eq!(got, status, "{:?}", judged.reasons);
    let found = judged.reasons.iter().any(|reason| reason.contains(words));
    assert!(found, "expected {words:?} in {:?}", judged.reasons);
    let severity = if status == "expected" { Severity::Info } else { detection.severity };
    assert_eq!(judged.severity, severity, "{:?}", judged.reasons);
}

#[test]
fn without_anything_configured_nothing_is_said() {
    let mut expectations = Expectations::default();
    let mut d = nginx();
    expectations.judge(&mut d);
    assert_eq!(d, nginx());
    assert_eq!(expectations.take_memory(), None);
}

#[test]
fn new_then_accepted_then_expected_and_counted() {
    let mut expectations = expecting([]);
    is(&mut expectations, &nginx(), "new", "new here: never run before");
    is(&mut expectations, &nginx(), "new", "accepted by nobody, and seen 1 times before");
    let mut expectations = expecting([entry(&nginx())]);
    let words = "expected here: accepted by Jane Doe on 2026-11-20: the shop's front door";
    for seen in 0..3 {
        is(&mut expectations, &nginx(), "expected", words);
        let memory = Memory::read(&expectations.take_memory().unwrap()).0;
        assert_eq!(memory.all()[0].count, seen + 1);
    }
    let (_, d) = judged(&mut expectations, &nginx());
    let key = Key::of(&nginx()).unwrap().id();
    let baseline = Baseline { status: "expected".to_owned(), seen: 3, key };
    assert_eq!(d.baseline, Some(baseline));
}

#[test]
fn what_is_not_the_same_is_new() {
    let changed = |change: &dyn Fn(&mut Detection)| {
        let mut d = nginx();
        change(&mut d);
        d
    };
    let cases: Vec<(Detection, &str)> = vec![
        (changed(&|d| d.launcher.kind = LauncherKind::Cron), "never run by this launcher before"),
        (changed(&|d| d.process.uid = 33), "never run by this launcher before"),
        (
            changed(&|d| {
                d.ancestry[0].exe = Some("/usr/sbin/nginx".to_owned());
            }),
            "never run by this launcher before",
        ),
        (
            changed(&|d| d.process.cgroup_path = Some("/system.slice/cron.service".to_owned())),
            "never run in this workload before",
        ),
        (
            // A user's own unit of that name.
            changed(&|d| {
                let path = "/user.slice/user-7.slice/user@7.service/app.slice/nginx.service";
                d.process.cgroup_path = Some(path.to_owned());
            }),
            "never run in this workload before",
        ),
        (changed(&|d| d.recipe.name = "webserver_masquerade".to_owned()), "never run in this way"),
        (
            changed(&|d| {
                d.process.exe.sha256 = Some(B.to_owned());
                d.process.exe.intact = Some(false);
            }),
            "the file is not the one that was accepted: /usr/sbin/nginx is SHA-256 bbbbbbbbbbbb…",
        ),
        (
            changed(&|d| d.process.exe.sha256 = Some(B.to_owned())),
            "the file is not the one that was accepted",
        ),
        (changed(&|d| d.severity = Severity::Critical), "graver than what was accepted"),
        (
            changed(&|d| {
                d.process.exe.sha256 = None;
                d.process.exe.package = None;
            }),
            "only its name is known, and a name is no identity",
        ),
    ];
    for (detection, words) in cases {
        is(&mut expecting([entry(&nginx())]), &detection, "new", words);
    }
    // A copy under another name is the same file, and runs elsewhere only by its path.
    let copied = changed(&|d| {
        d.process.exe.path = "/opt/x".to_owned();
        d.process.exe.package = None;
        d.process.comm = "x".to_owned();
    });
    is(&mut expecting([entry(&nginx())]), &copied, "expected", "accepted by Jane Doe");
}

#[test]
fn an_upgrade_is_recognised_where_the_package_can_be_believed() {
    let mut upgraded = nginx();
    upgraded.process.exe.sha256 = Some(B.to_owned());
    upgraded.process.exe.package = Some("nginx-core 1.24.0-1".to_owned());
    let words = "upgrade of nginx-core from 1.22.1-9 to 1.24.0-1";
    is(&mut expecting([entry(&nginx())]), &upgraded, "expected", words);
    // The package's name alone.
    let lies: Vec<&dyn Fn(&mut Detection)> = vec![
        &|d| d.process.exe.intact = Some(false),
        &|d| d.process.exe.intact = None,
        // Root of a user namespace brings a package database of its own.
        &|d| d.process.namespaces.user = 4_026_532_000,
        &|d| d.process.namespaces.user = 0,
        &|d| d.process.exe.path = "/usr/lib/nginx".to_owned(),
        &|d| d.process.exe.package = Some("nginx-light 1.24.0-1".to_owned()),
        &|d| d.process.uid = 33,
    ];
    for lie in lies {
        let mut lying = upgraded.clone();
        lie(&mut lying);
        let (status, d) = judged(&mut expecting([entry(&nginx())]), &lying);
        assert_eq!(status, "new", "{:?}", d.reasons);
    }
    // In a container the database is the container's own word.
    let mut inside = contained();
    inside.process.exe.sha256 = Some(B.to_owned());
    inside.process.exe.package = Some("nginx-core 1.24.0-1".to_owned());
    let words = "the file is not the one that was accepted";
    is(&mut expecting([entry(&contained())]), &inside, "new", words);
}

#[test]
fn of_an_interpreter_what_it_runs_counts() {
    let one = python(&["python3", "-m", "http.server", "8000"]);
    let other = python(&["python3", "-c", "import http.server; evil()"]);
    is(&mut expecting([entry(&one)]), &one, "expected", "accepted by Jane Doe");
    is(&mut expecting([entry(&one)]), &other, "new", "its arguments, which are what it runs");
    let mut cut = one.clone();
    cut.process.args_truncated = true;
    is(&mut expecting([entry(&one)]), &cut, "new", "not all of them are known");
    // With a script, the script is what it runs, whatever its arguments are.
    let script = |sha256: Option<&str>, port: &str| {
        let mut d = python(&["python3", "/srv/app.py", port]);
        let target = Target { path: "/srv/app.py".to_owned(), ..Target::default() };
        d.process.target = Some(Target { sha256: sha256.map(str::to_owned), ..target });
        d
    };
    let app = script(Some(A), "8000");
    is(&mut expecting([entry(&app)]), &script(Some(A), "9"), "expected", "accepted by Jane Doe");
    is(&mut expecting([entry(&app)]), &script(Some(B), "8000"), "new", "is not what was accepted");
    is(&mut expecting([entry(&app)]), &script(None, "8000"), "new", "was not read");
    // Long arguments are kept as their digest.
    let long = python(&["python3", "-c", &"x".repeat(5000)]);
    let key = Key::of(&long).unwrap();
    assert!(key.command.is_none() && key.command_sha256.is_some());
    is(&mut expecting([entry(&long)]), &long, "expected", "accepted by Jane Doe");
    let longer = python(&["python3", "-c", &"x".repeat(5001)]);
    is(&mut expecting([entry(&long)]), &longer, "new", "its arguments, which are what it runs");
}

#[test]
fn an_image_that_is_known_later_decides() {
    let mut known = contained();
    known.container.as_mut().unwrap().image = Some("shop:1".to_owned());
    let container =
        |image: &str| Container { image: Some(image.to_owned()), ..contained().container.unwrap() };
    let mut expectations = expecting([entry(&known)]);
    let words = "if its container's image is shop:1, which is not known yet";
    is(&mut expectations, &contained(), "expected", words);
    let id = contained().id;
    assert_eq!(expectations.named("another", &container("shop:1")), None);
    assert_eq!(expectations.named(&id, &container("shop:1")), None, "nothing changes");
    assert_eq!(expectations.named(&id, &container("evil:1")), None, "asked once");
    // What was counted for a container without a name is counted for its image now.
    let memory = Memory::read(&expectations.take_memory().unwrap()).0;
    assert_eq!(memory.all().len(), 1);
    assert_eq!(memory.all()[0].key, Key::of(&known).unwrap());
    let mut expectations = expecting([entry(&known)]);
    is(&mut expectations, &contained(), "expected", words);
    let verdict = expectations.named(&id, &container("evil:1")).unwrap();
    assert_eq!(verdict.severity, Severity::High);
    assert_eq!(verdict.baseline.status, "new");
    assert!(verdict.reasons[0].contains("never run in this workload before"), "{verdict:?}");
    // An entry of an engine alone covers its images.
    let any = entry(&contained());
    is(&mut expecting([any]), &known, "expected", "accepted by Jane Doe");
}

#[test]
fn pipelines_are_known_by_repository_and_job() {
    let ci = |repository: &str, job: &str| {
        let mut d = nginx();
        d.ci = Some(Ci {
            provider: "github".to_owned(),
            repository: Some(repository.to_owned()),
            job: Some(job.to_owned()),
            run_id: Some("7".to_owned()),
            ..Ci::default()
        });
        d.launcher.kind = LauncherKind::CiStep;
        d.launcher.script = Some("0f8a2f6c-9b6e-4f0e-8d6a-1b2c3d4e5f60.sh".to_owned());
        d
    };
    let mut again = ci("o/r", "build");
    again.ci.as_mut().unwrap().run_id = Some("8".to_owned());
    again.launcher.script = Some("ffffffff-9b6e-4f0e-8d6a-1b2c3d4e5f60.sh".to_owned());
    is(&mut expecting([entry(&ci("o/r", "build"))]), &again, "expected", "accepted by Jane Doe");
    let words = "never run in this workload before";
    for other in [ci("o/r", "test"), ci("o/fork", "build")] {
        is(&mut expecting([entry(&ci("o/r", "build"))]), &other, "new", words);
    }
}

#[test]
fn what_was_accepted_for_a_while_ends() {
    let ends = Entry { until: Some(Day::parse("2026-11-24").unwrap()), ..entry(&nginx()) };
    is(&mut expecting([ends.clone()]), &nginx(), "expected", "accepted by Jane Doe");
    let mut later = nginx();
    later.time = time("2026-11-25T00:00:00Z");
    is(&mut expecting([ends]), &later, "new", "what was accepted ended on 2026-11-24");
}

#[test]
fn what_ran_before_is_accepted_as_what_will_start_again() {
    let mut seeded = nginx();
    seeded.seeded = true;
    seeded.severity = Severity::Info;
    let mut observed = Observed::default();
    observed.on(event::Record::Detection(Box::new(seeded)));
    let (sightings, _) = observed.done();
    assert_eq!(sightings[0].severity, Severity::High);
}

fn learning(expect: bool) -> Option<Learning> {
    Some(Learning { seconds: 3600, expect })
}

#[test]
fn learning_tells_everything_and_ends() {
    for expect in [false, true] {
        let mut expectations = expecting([]);
        let begin = time("2026-11-24T11:30:00Z");
        expectations.remember(Memory::default(), learning(expect), begin);
        let news = expectations.take_news();
        assert!(news[0].starts_with("learning until 2026-11-24T12:30:00"), "{news:?}");
        is(&mut expectations, &nginx(), "learning", "learning until 2026-11-24T12:30:00");
        let mut after = nginx();
        after.time = time("2026-11-24T12:30:00Z");
        // It outlives picket, and does not begin again.
        let memory = Memory::read(&expectations.take_memory().unwrap()).0;
        let mut expectations = expecting([]);
        expectations.remember(memory, learning(expect), after.time);
        let news = expectations.take_news();
        assert!(news[0].starts_with("learning has ended, 1 kinds of starts"), "{news:?}");
        if expect {
            let words = "expected here: seen 1 times, learned and accepted by nobody";
            is(&mut expectations, &after, "expected", words);
        } else {
            is(&mut expectations, &after, "new", "accepted by nobody, and seen 1 times before");
        }
        assert_eq!(expectations.take_news(), Vec::<String>::new());
        // What was not there then was not learned.
        let mut cron = after.clone();
        cron.launcher.kind = LauncherKind::Cron;
        is(&mut expectations, &cron, "new", "never run by this launcher before");
        let mut graver = after.clone();
        graver.severity = Severity::Critical;
        let words = if expect { "graver than what was accepted" } else { "accepted by nobody" };
        is(&mut expectations, &graver, "new", words);
    }
}

#[test]
fn memory_is_bounded_and_what_was_not_seen_for_longest_goes() {
    let mut expectations = expecting([]);
    for n in 0..=MOST_SEEN {
        let mut d = nginx();
        d.process.uid = u32::try_from(n).unwrap();
        d.time = Stamp::from_unix_nanos(i64::try_from(n).unwrap());
        expectations.judge(&mut d);
    }
    let news = expectations.take_news();
    assert_eq!(news.len(), 1, "said once: {news:?}");
    let text = expectations.take_memory().unwrap();
    let (memory, bad) = Memory::read(&text);
    assert_eq!((memory.all().len(), bad), (MOST_SEEN, 0));
    assert!(memory.all().iter().all(|seen| seen.key.launcher.uid != 0), "the oldest has gone");
    assert_eq!(memory.to_lines(), text);
}

#[test]
fn long_texts_from_outside_are_bounded() {
    let mut d = nginx();
    d.process.exe.path = format!("/{}", "é".repeat(5000));
    d.launcher.script = Some("x ".repeat(100_000));
    let key = Key::of(&d).unwrap();
    assert!(serde_json::to_string(&key).unwrap().len() < 4000);
    let mut other = d.clone();
    other.launcher.script.as_mut().unwrap().push('y');
    assert_ne!(Key::of(&other).unwrap(), key, "what was cut off still counts");
}

#[test]
fn broken_memory_is_read_as_far_as_it_is_whole() {
    let mut expectations = expecting([]);
    expectations.judge(&mut nginx());
    let good = expectations.take_memory().unwrap();
    for bad in ["x", "{}", "{\"seen\":7}", "[[[[", "{\"began\":\"yesterday\"}", "\0"] {
        let (memory, count) = Memory::read(&format!("{bad}\n{good}{bad}"));
        assert_eq!((memory.all().len(), count), (1, 2), "{bad}");
    }
}

#[test]
fn files_are_the_same_whatever_the_order() {
    let entries = [entry(&nginx()), entry(&contained()), entry(&python(&["python3", "x"]))];
    let mut one = Accepted::default();
    let mut other = Accepted::default();
    entries.iter().for_each(|entry| {
        one.add(entry.clone());
    });
    entries.iter().rev().for_each(|entry| {
        other.add(entry.clone());
    });
    assert_eq!(one.to_yaml(), other.to_yaml());
    assert!(one.add(Entry { why: "\u{202e}\"\n- x: y".to_owned(), ..entry(&nginx()) }));
    assert_eq!(Accepted::parse("x", &one.to_yaml()).unwrap(), one);
    let empty = Accepted::default();
    assert_eq!(Accepted::parse("x", &empty.to_yaml()).unwrap(), empty);
}

#[test]
fn differences_are_told_apart() {
    let mut upgraded = nginx();
    upgraded.process.exe.sha256 = Some(B.to_owned());
    upgraded.process.exe.package = Some("nginx-core 1.24.0-1".to_owned());
    let mut replaced = nginx();
    replaced.process.exe.sha256 = Some(B.to_owned());
    replaced.process.exe.intact = None;
    let renewed = Entry { why: "still".to_owned(), ..entry(&nginx()) };
    let accepted = |entries: &[Entry]| {
        let mut accepted = Accepted::default();
        entries.iter().for_each(|entry| {
            accepted.add(entry.clone());
        });
        accepted
    };
    let old = accepted(&[entry(&nginx())]);
    let kind = |new: &Accepted| -> Vec<&'static str> {
        let changes = diff(&old, new);
        let kinds = changes.iter().map(|change| match change {
            Change::Added(_) => "added",
            Change::Removed(_) => "removed",
            Change::Upgraded(..) => "upgraded",
            Change::Replaced(..) => "replaced",
            Change::Renewed(..) => "renewed",
        });
        kinds.collect()
    };
    assert_eq!(kind(&old.clone()), Vec::<&str>::new());
    assert_eq!(kind(&accepted(&[entry(&upgraded)])), ["upgraded"]);
    assert_eq!(kind(&accepted(&[entry(&replaced)])), ["replaced"]);
    assert_eq!(kind(&accepted(&[renewed])), ["renewed"]);
    assert_eq!(kind(&accepted(&[entry(&contained())])), ["added", "removed"]);
    assert_eq!(kind(&accepted(&[])), ["removed"]);
    // Both versions are expected: nothing took anything's place.
    assert_eq!(kind(&accepted(&[entry(&nginx()), entry(&upgraded)])), ["added"]);
}

#[test]
fn broken_files_are_refused_with_their_place() {
    let good = {
        let mut accepted = Accepted::default();
        accepted.add(entry(&nginx()));
        accepted.to_yaml()
    };
    let refused = |text: &str, words: &str| {
        let errors = Accepted::parse("b.yaml", text).unwrap_err();
        let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert!(text[0].starts_with("b.yaml:"), "{text:?}");
        assert!(text.iter().any(|line| line.contains(words)), "expected {words:?} in {text:?}");
    };
    let case = |from: &str, to: &str, words: &str| {
        assert!(good.contains(from), "{from:?} is not in {good}");
        refused(&good.replacen(from, to, 1), words);
    };
    let version = "\"nginx-core\", path: \"/usr/sbin/nginx\", sha256: \"";
    assert!(good.contains(version), "{good}");
    case("up_to: high", "up_to: huge", "huge");
    case("    up_to: high\n", "", "up_to");
    case("why:", "wy:", "wy");
    case("why: \"the shop's front door\"", "why: \" \"", "why: expected some text");
    case("\"2026-11-20\"", "\"soon\"", "on: \"soon\" is no day");
    case("{unit: \"nginx.service\"}", "{}", "expected exactly one of");
    case("{unit: \"nginx.service\"}", "{host: true, unit: \"x\"}", "expected exactly one of");
    case("{unit: \"nginx.service\"}", "{host: true, image: \"x\"}", "says nothing without");
    case("sha256: \"aaaa", "sha256: \"AAAA", "expected 64 digits");
    case("package: \"nginx-core\", ", "", "expected `package` and `version`, or neither");
    let file = good.lines().find(|line| line.contains("file: ")).unwrap();
    refused(&good.replace(file, "    file: {path: \"/usr/sbin/nginx\"}"), "a path is a name");
    refused("", "");
    refused("accepted: 7", "");
    refused("accepted: [", "");
    let many = format!("accepted: [{}]", "{},".repeat(20_000));
    refused(&many, "");
    let bomb = format!("a: &a [{}]\nb: [{}]\n", "x,".repeat(100), "*a,".repeat(100_000));
    refused(&bomb, "");
}
