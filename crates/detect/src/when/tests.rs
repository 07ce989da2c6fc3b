//! Expressions: what is refused and where, what holds, and that the language's own interpreter
//! agrees.

use event::{Ancestor, Environment, Exec, Executable, Listener, Process, Severity};

use super::When;
use crate::catalogue::Catalogue;
use crate::engine::Settings;
use crate::engine::servers::Servers;
use crate::subject::Subject;

fn settings() -> Settings {
    Settings { environment: Environment::Staging, ci: None, seeded_severity: Severity::Info }
}

fn exec() -> Exec {
    let ancestor = |pid, exe: &str, args: &[&str]| Ancestor {
        pid,
        comm: exe.rsplit('/').next().unwrap().to_owned(),
        exe: Some(exe.to_owned()),
        args: args.iter().map(|a| (*a).to_owned()).collect(),
        alive: true,
        ..Ancestor::default()
    };
    Exec {
        process: Process {
            pid: 4711,
            uid: 33,
            user: Some("www-data".to_owned()),
            comm: "Busy".to_owned(),
            args: ["sh", "-c", "id; Echo ümlaut"].map(str::to_owned).to_vec(),
            invoked_as: "/bin/sh".to_owned(),
            exe: Executable {
                path: "/tmp/.x/dash".to_owned(),
                memfd: true,
                size: 1000,
                ..Executable::default()
            },
            ..Process::default()
        },
        ancestry: vec![
            ancestor(20, "/usr/sbin/php-fpm8.2", &["php-fpm: pool www"]),
            ancestor(1, "/sbin/init", &["/sbin/init", "splash"]),
        ],
        listen: vec![
            Listener { address: "127.0.0.1".to_owned(), port: 80, protocol: "tcp".to_owned() },
            Listener { address: "::".to_owned(), port: 8080, protocol: "tcp".to_owned() },
        ],
        ..Exec::default()
    }
}

fn holds(source: &str) -> bool {
    let when = When::parse(source).unwrap_or_else(|(at, why)| panic!("{source}: {at}: {why}"));
    let (exec, settings, catalogue, servers) =
        (exec(), settings(), Catalogue::default(), Servers::default());
    let subject = Subject::new(("web1", &exec), &settings, &catalogue, &servers, None);
    when.holds(&subject).unwrap()
}

/// Expressions that need no fact which is absent: the language's own interpreter knows no defaults.
const TRUE: &[&str] = &[
    "true",
    "!false",
    "process.pid == 4711",
    "process.pid != 4712 && process.uid < 34 && 33 <= process.uid",
    "process.uid > -1",
    "process.uid >= 33 || 1 == 2",
    "process.user == \"www-data\"",
    "process.user in [\"root\", \"www-data\"]",
    "process.uid in [0, 33]",
    "!(process.user in [\"root\"])",
    "\"-c\" in process.args",
    "process.exe.path.startsWith(\"/tmp/\")",
    "process.exe.path.endsWith('/dash')",
    "process.command_line.contains(\"-c id;\")",
    "process.command_line.matches(\"i[cd];\")",
    "process.command_line.matches(\"(?i)echo\")",
    "!process.command_line.contains(\"echo\")",
    "process.command_line.lowerAscii().contains(\"echo\")",
    "process.exe.memfd",
    "process.exe.memfd == true && process.exe.deleted == false",
    "process.exe.deleted != true",
    "process.args.exists(a, a == \"-c\")",
    "process.args.exists(a, a.startsWith(\"id\") && a.endsWith(\"t\"))",
    "!process.args.all(a, a.size() > 3)",
    "process.args.all(a, size(a) > 1)",
    "size(process.args) == 3",
    "process.args.size() >= 3",
    "size(\"ümlaut\") == 6",
    "ancestors.exists(a, a.name == \"init\" && a.pid == 1)",
    "ancestors.exists(a, a.args.exists(b, b == \"splash\"))",
    "ancestors.all(a, a.alive)",
    "ancestors.exists(a, \"splash\" in a.args)",
    "!ancestors.exists(a, a.name == process.name)",
    "listen.exists(l, l.public && l.port > 1024)",
    "!listen.all(l, l.public)",
    "parent.exe.startsWith(\"/usr/sbin/php-fpm\")",
    "parent.command_line == \"php-fpm: pool www\"",
    "[\"a\", \"www-data\"].exists(u, u == process.user)",
    "process.exe.memfd ? process.uid == 33 : false",
    "(process.uid == 0 ? \"root\" : process.user) == \"www-data\"",
    "environment == \"staging\" && host == \"web1\" && event == \"exec\"",
];

#[test]
fn expressions_hold() {
    for source in TRUE {
        assert!(holds(source), "{source}");
        assert!(!holds(&format!("!({source})")), "!({source})");
    }
}

#[test]
fn absent_facts_are_empty() {
    for source in [
        "process.cwd == \"\"",
        "!has(process.cwd)",
        "has(process.user)",
        "!has(process.exe.intact) && !process.exe.intact",
        "!has(server.name) && server.name == \"\" && !server.masquerade",
        "!has(above.name) && above.age == 0",
        "ancestors.size() == 2 && listen.size() == 2 && size(process.names) > 0",
        "process.tty_name.size() == 0",
    ] {
        assert!(holds(source), "{source}");
    }
}

/// The interpreter of the parser's own library gives the same answers.
#[test]
fn the_languages_own_interpreter_agrees() {
    use serde_json::json;
    let mut context = cel::Context::default();
    let exec = exec();
    let ancestors: Vec<_> = exec
        .ancestry
        .iter()
        .map(|a| json!({"pid": a.pid, "name": a.comm, "args": a.args, "alive": a.alive}))
        .collect();
    fn add(context: &mut cel::Context<'_, '_>, name: &str, value: serde_json::Value) {
        let value = cel::to_value(value).unwrap();
        context.add_variable_from_value(name.to_owned(), value);
    }
    add(&mut context, "event", json!("exec"));
    add(&mut context, "environment", json!("staging"));
    add(&mut context, "host", json!("web1"));
    add(
        &mut context,
        "process",
        json!({
            "pid": 4711, "uid": 33, "user": "www-data", "name": "dash",
            "args": exec.process.args, "command_line": exec.process.args.join(" "),
            "exe": {"path": "/tmp/.x/dash", "memfd": true, "deleted": false},
        }),
    );
    add(
        &mut context,
        "parent",
        json!({"exe": "/usr/sbin/php-fpm8.2", "command_line": "php-fpm: pool www"}),
    );
    add(&mut context, "ancestors", json!(ancestors));
    add(
        &mut context,
        "listen",
        json!([{"port": 80, "public": false}, {"port": 8080, "public": true}]),
    );
    let mut compared = 0;
    for source in TRUE {
        // Functions that the library has in features which only its interpreter needs.
        if source.contains("lowerAscii") || source.contains("matches") {
            continue;
        }
        let program = cel::Program::compile(source).unwrap();
        let value = program.execute(&context);
        assert!(matches!(value, Ok(cel::Value::Bool(true))), "{source}: {value:?}");
        compared += 1;
    }
    assert!(compared > 35);
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (source, at, words) in [
        ("process.exe.paht == \"\"", 0, &["unknown fact process.exe.paht", "fields"][..]),
        ("true && proces.pid == 1", 8, &["unknown fact proces.pid"]),
        ("process.pid == \"1\"", 0, &["cannot compare a number with a text"]),
        ("process.pid", 0, &["expected yes or no, found a number"]),
        ("process.args[1] == \"x\"", 0, &["indices"]),
        ("process.pid + 1 == 2", 0, &["arithmetic"]),
        ("process.args.map(a, a) == []", 0, &["exists(x, …)"]),
        ("process.args.filter(a, true).size() == 1", 0, &["exists(x, …)"]),
        ("process.cwd.matches(process.user)", 20, &["regular expression"]),
        ("process.cwd.matches(\"(\")", 20, &["regular expression", "unclosed"]),
        ("process.cwd.foo()", 0, &["unknown function foo"]),
        ("1.5 == 1.5", 0, &["whole number"]),
        ("process.cwd == null", 15, &["has("]),
        ("process.args.exists(a, a.pid == 1)", 23, &["unknown fact a.pid"]),
        ("process.cwd in process.user", 15, &["list of texts"]),
        ("process.cwd == \"a", 15, &[]),
        ("", 0, &[]),
    ] {
        let (place, message) = When::parse(source).expect_err(source);
        assert!(words.iter().all(|word| message.contains(word)), "{source}: {message}");
        assert!(place <= source.len(), "{source}: {place}");
        assert_eq!(place, at, "{source}: {message}");
        assert!(!message.is_empty());
    }
}

#[test]
fn what_is_too_expensive_or_too_deep_is_refused() {
    let nested = "process.args.exists(a, process.args.exists(b, a == b))";
    let (_, message) = When::parse(nested).unwrap_err();
    assert!(message.contains("too expensive"), "{message}");
    let deep = "ancestors.exists(a, ancestors.exists(b, ancestors.exists(c, ancestors.exists(d, \
                d.pid == a.pid))))";
    assert!(When::parse(deep).unwrap_err().1.contains("deep"));
    let many = format!("process.args.exists(a, {})", vec!["a.contains(\"xyz\")"; 40].join(" || "));
    assert!(When::parse(&many).is_err());
    // What would overflow the stack of a parser that calls itself.
    for (open, inner, close) in [
        ("(", "true", ")"),
        ("!", "true", ""),
        ("-", "1", " == 1"),
        ("[", "1", "]"),
        ("true ? ", "true", " : false"),
        ("size(", "process.cwd", ")"),
    ] {
        let source = format!("{}{inner}{}", open.repeat(1500), close.repeat(1500));
        assert!(When::parse(&source).is_err(), "{open}");
    }
    for chain in [".a", " == 1", " + 1", "[1]", ".size()"] {
        assert!(When::parse(&format!("process{}", chain.repeat(1500))).is_err(), "{chain}");
    }
    let terms = vec!["process.uid == 1"; 800].join(" || ");
    assert!(When::parse(&terms).is_ok());
    let terms = vec!["process.uid == 1"; 800].join(" && ");
    assert!(When::parse(&terms).is_ok());
    let quoted = format!("process.cwd == \"{}\"", "(.".repeat(1000));
    assert!(When::parse(&quoted).is_ok());
    let long = format!("true{}", " || true".repeat(4000));
    assert!(When::parse(&long).unwrap_err().1.contains("bytes"));
    let regex = "process.cwd.matches(\"(a{1000}){1000}\")";
    assert!(When::parse(regex).unwrap_err().1.contains("size"));
}

/// What was estimated is never exceeded: the worst events, with as many steps as were foreseen.
#[test]
fn nothing_costs_more_than_was_foreseen() {
    let (settings, catalogue, servers) = (settings(), Catalogue::default(), Servers::default());
    let mut many = exec();
    many.process.args = vec!["a".to_owned(); 65536];
    let mut long = exec();
    long.process.args = vec!["ab ".repeat(43690)];
    for source in TRUE.iter().chain(&[
        "process.args.exists(a, a == \"x\" || a.contains(\"y\") || a.endsWith(\"z\"))",
        "process.command_line.matches(\"^(a|b|ab)*c$\")",
        "ancestors.exists(a, a.command_line.matches(\"x\") || process.command_line.contains(a.name))",
    ]) {
        let when = When::parse(source).unwrap();
        for exec in [&many, &long] {
            let subject = Subject::new(("h", exec), &settings, &catalogue, &servers, None);
            assert!(when.holds(&subject).is_ok(), "{source}");
        }
    }
    let starved = When::parse("process.pid == 1 || process.uid == 1").unwrap().starved();
    let subject = Subject::new(("h", &many), &settings, &catalogue, &servers, None);
    assert!(starved.holds(&subject).is_err());
}

#[test]
fn needs_are_found() {
    let need = |source: &str| {
        let need = When::parse(source).unwrap().need();
        need.map(|need| need.into_iter().collect::<Vec<_>>().join("|"))
    };
    for (source, expected) in [
        ("process.name == \"Nginx\"", Some("nginx")),
        ("process.exe.memfd && process.command_line.contains(\"--http\")", Some("--http")),
        ("process.name == \"abc\" || process.cwd.startsWith(\"/srv\")", Some("/srv|abc")),
        ("process.name == \"abc\" || process.exe.memfd", None),
        ("process.user == \"root\"", None),
        ("!(process.name == \"abc\")", None),
        ("process.args.exists(a, a.startsWith(\"--port\"))", Some("--port")),
        ("ancestors.exists(a, a.name == \"sshd\")", None),
        ("[\"abc\"].exists(x, x == \"abc\")", None),
        ("process.name.lowerAscii() in [\"curl\", \"wget\"]", Some("curl|wget")),
        ("process.name in [\"curl\", \"w\"]", None),
        ("process.command_line.contains(\"ab\") && parent.name == \"perl\"", Some("perl")),
        ("\"-rAndom\" in process.args", Some("-random")),
        ("process.exe.memfd ? process.name == \"abc\" : process.name == \"xyz\"", Some("abc|xyz")),
    ] {
        assert_eq!(need(source).as_deref(), expected, "{source}");
    }
    let names = |source: &str| {
        let names = When::parse(source).unwrap().names();
        names.map(|names| names.into_iter().collect::<Vec<_>>().join("|"))
    };
    for (source, expected) in [
        ("process.name == \"Nginx\"", Some("nginx")),
        ("process.exe.path in [\"/bin/a\", \"/bin/b\"]", Some("a|b")),
        ("process.exe.path.lowerAscii().endsWith(\"/curl\")", Some("curl")),
        ("process.exe.path.endsWith(\"curl\")", None),
        ("process.exe.path.endsWith(\"/curl\") || process.uid == 0", None),
        ("process.command_line.contains(\"x\") && process.name == \"y\"", Some("y")),
    ] {
        assert_eq!(names(source).as_deref(), expected, "{source}");
    }
}
