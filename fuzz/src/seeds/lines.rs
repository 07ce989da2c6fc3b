//! Seeds that are text: command lines, YAML, JSON. Mostly the project's own, a few of each.

use detect::catalogue::Server;
use event::{
    Behaviour, Connect, Content, Endpoint, Event, Exec, Executable, Mapped, Process, Record, Sign,
    SignKind, Stamp,
};

use super::Seeds;
use crate::place;
use crate::rules::CATALOGUE;

/// Sample command lines from all over the catalogue.
fn samples(every: usize) -> impl Iterator<Item = (usize, &'static Server, &'static [String])> {
    let samples = CATALOGUE.servers.iter().enumerate().flat_map(|(number, server)| {
        server.samples.iter().map(move |sample| (number, server, sample.run.as_slice()))
    });
    samples.step_by(every)
}

fn joined<'t>(parts: impl IntoIterator<Item = &'t str>) -> Vec<u8> {
    parts.into_iter().collect::<Vec<_>>().join("\0").into_bytes()
}

/// A short word, repeated to `len` bytes.
fn many(word: &str, len: usize) -> String {
    word.repeat(len / word.len())
}

pub(super) fn arguments() -> Seeds {
    let mut seeds = Seeds::default();
    for (number, server, run) in samples(160) {
        let values = server.arguments.values.join(",");
        let letters = if server.arguments.words { "w" } else { "m" };
        let style = format!("{number}{letters},{values}");
        let pattern = server.manages.first().or(server.serves.first());
        let pattern = pattern.map_or("-t".to_owned(), ToString::to_string);
        let args = run.iter().skip(1).map(String::as_str);
        seeds.take(server.name(), joined([style.as_str(), &pattern].into_iter().chain(args)));
    }
    for (name, parts) in [
        ("no-arguments", &["m", ""][..]),
        ("nothing", &[""]),
        ("value-missing", &[",-c", "-c=x", "-c"]),
        ("cluster", &[",-c", "-t", "-qtcx", "--", "-t"]),
        ("cluster-of-letters", &[",-é", "-é=ü|*", "-äöéü", "-é", "ü"]),
        ("abbreviated", &[",--config", "--test", "--con", "--test", "--co=x"]),
        ("absent", &["w", "-a !-b x|y $", "-a", "x", "--b"]),
        ("stars", &["", "-D*=*a*b*|** x**", "-Dxaxb=aab", "xyz"]),
        ("bad-absent", &["", "! !x", "x"]),
        ("bad-alternative", &["", "-a|-b", "-a"]),
        ("dashes", &["m,-,--,---", "- -- --- -", "-", "---", "----=--", "--"]),
    ] {
        seeds.add(name, joined(parts.iter().copied()));
    }
    seeds.add("long-cluster", joined(["", "-z", &format!("-{}", many("abc", 4000))]));
    seeds.add("many-stars", joined(["", &many("*a", 100), &many("a", 4000)]));
    seeds.add("many-deep-stars", joined(["", &many("**/a", 100), &many("a/", 4000)]));
    seeds
}

pub(super) fn unwrap() -> Seeds {
    let mut seeds = Seeds::default();
    for (_, server, run) in samples(120) {
        let head = [run[0].as_str(), run[0].as_str(), "", ""];
        let args = run.iter().map(String::as_str);
        seeds.take(server.name(), joined(head.into_iter().chain(args)));
    }
    for (name, parts) in [
        ("content", &["/tmp/x", "./x", "ce", "fuzz-texts", "x"][..]),
        ("content-runtime", &["/tmp/x", "./x", "cer", "python", "x", "-m", "http.server"]),
        ("content-multicall", &["/tmp/x", "httpd", "cem", "busybox", "httpd", "-f"]),
        (
            "content-loader",
            &["/tmp/ld", "/tmp/ld", "cel", "ld.so", "ld", "--argv0", "a", "./nginx"],
        ),
        ("package", &["/usr/sbin/nginx", "nginx", "cepo", "nginx", "nginx: master process"]),
        ("changed", &["/usr/sbin/nginx", "nginx", "p", "", "nginx"]),
        ("packed", &["/usr/sbin/nginx", "/proc/self/fd/3", "ceub", "", "-nginx"]),
        ("script", &["/usr/bin/perl", "./x", "i", "", "/usr/bin/perl", "./x", "--", "y"]),
        ("shell", &["", "", "", "", "sh", "-c", "a=b exec nohup 'nginx' \"-g\" \\x; echo $@"]),
        ("shell-rest", &["", "", "", "", "sh", "-c", "exec \"$@\"", "sh", "nginx"]),
        ("shell-open", &["", "", "", "", "bash", "-c", "'a \"b \\"]),
        ("env", &["", "", "", "", "env", "-i", "A=b", "-u", "x", "timeout", "5", "nginx"]),
        ("java", &["/usr/bin/java", "java", "", "", "java", "@x", "-cp", "a", "-jar", "a.jar"]),
        ("inside", &["python3", "python3", "", "", "python3", "-mcProfile", "-m", "http.server"]),
        ("erlang", &["erl", "erl", "", "", "beam.smp", "--", "-s", "x", "--", "-eval", "y"]),
        ("perl-cluster", &["perl", "perl", "", "", "perl", "-lane", "print", "-MX", "-eé"]),
    ] {
        seeds.add(name, joined(parts.iter().copied()));
    }
    let layers = |word: &str| joined(["", "", "", ""].into_iter().chain([word; 40]));
    for word in ["busybox", "nohup", "ld-linux.so.2", "python3", "env", "-m", "runpy"] {
        seeds.add(&format!("again-{word}"), layers(word));
    }
    let empty = ["/bin/busybox", "x", "", "", "busybox"].into_iter().chain([""; 3000]);
    seeds.add("busybox-empty", joined(empty));
    seeds
}

pub(super) fn mask() -> Seeds {
    let mut seeds = Seeds::default();
    for (number, line) in [
        "x\0--password=abc",
        "x\0--token\0abc\0--other",
        "mysql\0-pabc\0-p\0abc",
        "curl\0-u\0me:abc\0https://me:abc@h/?token=x&a=b#sig=c",
        "curl -H 'Authorization: Bearer abc' -u me:abc x; nginx",
        "Authorization: Basic abc",
        "env\0DB_PASSWORD=abc\0a=b=password=c",
        "{\"password\": \"abc\", \"a\":\"b\",\"token\":\"",
        "ghp_0123456789abcdefghij0123\0AKIA0123456789ABCDEF",
        "-----BEGIN RSA PRIVATE KEY-----",
        "sh\0-c\0export TOKEN='a b'; exec \"x\" --secret \"c d\" | y",
        "postgres://u:p%40@db/x?password=y;z",
        "user:abc@tcp(h)/db",
        "cookie: a=b; c=d\n next",
        "é=password=ü\0--pässword\0ß",
        "' \" ; ; ' \0\t\n \0:::@@@///",
        "a://b://c:d@e://f@g",
        "-u\0-u\0a:b\0--user=a:b\0--proxy-user",
    ]
    .into_iter()
    .enumerate()
    {
        seeds.add(&format!("{number:02}"), line.as_bytes());
    }
    for (name, word) in [
        ("equals", "a="),
        ("colons", "a:"),
        ("ats", "a:b@"),
        ("schemes", "a://"),
        ("json", "\"token\":\""),
        ("queries", "token=a&"),
        ("tokens", "ghp_0123456789abcdefghij0123 "),
        ("headers", "cookie: "),
        ("quotes", "' \" "),
        ("options", "--token "),
    ] {
        seeds.add(&format!("many-{name}"), many(word, 1500));
    }
    seeds
}

pub(super) fn when() -> Seeds {
    let mut seeds = Seeds::default();
    for (name, source) in [
        ("all", "process.args.all(a, a.size() > 1) && !has(process.cwd)"),
        ("exists", "ancestors.exists(a, a.name == \"sshd\" || \"x\" in a.args)"),
        ("if", "(process.uid == 0 ? \"root\" : process.user) != 'a'"),
        ("in", "process.name in [\"sh\", \"bash\"] || process.uid in [0, -1]"),
        ("listen", "listen.exists(l, l.public && l.port >= 1024)"),
        ("lower", "process.command_line.lowerAscii().contains(\"http\")"),
        ("matches", "process.exe.path.matches(\"^/(tmp|dev/shm)/.*[0-9]{2,}$\")"),
        ("nested", "ancestors.exists(a, a.args.exists(b, b.startsWith(process.name)))"),
        ("escapes", "\"\\u00e4\\n\\\"\" == r\"\\d\" && b'x' == b'x'"),
        ("parentheses", "((((((((((((((((true))))))))))))))))"),
        ("open", "process.args.exists(a, a =="),
        ("macros", "[1].map(x, x) == [1].filter(x, true) || [1].exists_one(x, x > 0)"),
    ] {
        seeds.add(name, source);
    }
    seeds
}

pub(super) fn recipe() -> Seeds {
    let mut seeds = Seeds::default();
    let recipes = place::texts("recipes", ".yaml");
    for (number, (_, text)) in recipes.iter().enumerate() {
        seeds.take(&number.to_string(), text.as_bytes());
    }
    let small = "name: x\nversion: '1'\ndescription: d\ncategory: c\nmethod: m\nimportance: high\n\
        attack: [T1104]\nevent: exec\nmatch: {server: ['*'], purpose: [serve]}\nguidance:\n  \
        ci: &g {implication: '{title}[ on {ports}].', actions: ['a {args}', 'b']}\n  \
        staging: *g\n  production: *g\n";
    seeds.add("small", small);
    for (name, from, to) in [
        ("fact", "{title}", "{nope}"),
        ("open", "{title}", "{title"),
        ("bracket", "[ on", "[ [on"),
        ("attack", "T1104", "T1562.001, T9"),
        ("name", "name: x", "name: X y"),
        ("event", "event: exec", "evnt: exec"),
        ("twice", "name: x", "name: x\nname: y"),
        ("number", "importance: high", "importance: 7"),
        ("stars", "'*'", "'**/**/*a*'"),
        ("tag", "name: x", "name: !!binary aGVsbG8="),
        ("merge", "name: x", "<<: {name: x}"),
        ("block", "description: d", "description: |+\n  d\n\n"),
        ("two-documents", "name: x", "---\nname: x\n---\na: b"),
    ] {
        assert!(small.contains(from), "{from}");
        seeds.add(name, small.replace(from, to));
    }
    yaml(&mut seeds);
    seeds
}

/// YAML that is hard on any parser.
pub(super) fn yaml(seeds: &mut Seeds) {
    for (name, open) in [("lists", "["), ("maps", "{a: "), ("dashes", "- "), ("questions", "? ")] {
        seeds.add(&format!("deep-{name}"), many(open, 8000));
    }
    let mut laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (one, two) in "abcdefgh".chars().zip("bcdefghi".chars()) {
        laughs +=
            &format!("{two}: &{two} [*{one}, *{one}, *{one}, *{one}, *{one}, *{one}, *{one}]\n");
    }
    seeds.add("laughs", format!("{laughs}name: *i\n"));
    seeds.add("alias-to-itself", "&a [*a, *a]\n");
    seeds.add("long-key", format!("{}: x\n", many("k", 8000)));
    seeds.add("many-keys", (0..800).map(|i| format!("k{i}: {i}\n")).collect::<String>());
    seeds.add("many-spaces", many("  \n", 8000));
    seeds.add("many-quotes", many("'' ", 8000));
    seeds.add("byte-order-mark", "\u{feff}name: x\n");
    seeds.add("directive", "%YAML 9.9\n%TAG ! x\n--- !x\nname: x\n...\n");
    seeds.add("tabs", "name:\tx\n\tversion: 1\n");
    seeds.add("escape", "name: \"\\x41\\u00e9\\UFFFFFFFF\\\n\"\n");
    seeds.add("empty", "");
}

pub(super) fn catalogue() -> Seeds {
    let mut seeds = Seeds::default();
    let small = "family: f\nabout: a\nservers:\n  - name: s\n    title: S\n    role: web\n    \
        names: [s]\n    paths: ['/opt/**/s']\n    ports: [80]\n    arguments: {words: true, values: [-c]}\n    \
        serves: ['-a=b|c']\n    manages: [-t]\n    samples:\n      - {run: [s], expect: serve}\n";
    seeds.add("small", small);
    let content = "samples:\n      - {run: [s, -t], exe: /opt/s, expect: manage}\n    content:\n      \
        literals: [a text of the file]\n      least: 1\n      go: [a.b/c]\n      crates: [c]\n      version: [s/]\n";
    let whole = format!("{}    {content}", small.split("    samples").next().unwrap());
    seeds.add("content-right", whole.clone());
    seeds.add("content-of", whole.replace("least: 1", "least: 0\n      of: s"));
    let unwrap = "loaders: [{name: l, names: ['ld*'], stops: [--x], content: {literals: [\"\"]}}]\n\
        multicall: [{name: busybox, names: [busybox]}]\n\
        runtimes:\n  - {name: py, names: [python], code: [-c], module: [-m], \
        inside: [{name: i, names: [x], module: [-m]}]}\n\
        wrappers: [{name: sh, names: [sh], command: [-c]}, {name: t, names: [t], skip: 1}]\n";
    seeds.add("unwrap", format!("{whole}\0{unwrap}"));
    let runtime = whole.replace(
        "names: [s]",
        "names: [s]\n    runtime: py\n    code: [[a, b]]\n    \
        modules: [x]\n    options: [-S]",
    );
    seeds.add("runtime", format!("{runtime}\0{unwrap}"));
    seeds
        .add("no-names", format!("{small}\0{}", unwrap.replace("names: [busybox]", "names: ['']")));
    seeds.add("huge-skip", format!("{small}\0{}", unwrap.replace("skip: 1", "skip: 99999999999")));
    for (name, from, to) in [
        ("no-sign", "names: [s]", "names: []"),
        ("no-samples", "[s], expect", "[], expect"),
        ("port", "[80]", "[80000]"),
        ("stars", "/opt/**/s", "**/**/**/**/*/*/s"),
        ("invocation", "-a=b|c", "! -a|-b $"),
        ("name", "name: s", "name: \u{e9}"),
        ("twice", "    title: S", "    title: S\n    title: T"),
    ] {
        assert!(small.contains(from), "{from}");
        seeds.add(name, small.replace(from, to));
    }
    for (number, (path, text)) in place::texts("catalogue", ".yaml").iter().enumerate() {
        if !path.ends_with("unwrap.yaml") && text.len() < 2500 {
            seeds.take(&number.to_string(), text.as_bytes());
        }
    }
    yaml(&mut seeds);
    seeds
}

pub(super) fn recording() -> Seeds {
    let mut seeds = Seeds::default();
    // Those of one recipe are of every kind of program.
    let samples = place::texts("recipes", ".jsonl").into_iter();
    for (path, text) in samples.filter(|(path, _)| path.contains("webserver_exec")) {
        let which = if path.contains("no-match") { "no-match" } else { "match" };
        for (number, line) in text.lines().enumerate().step_by(9) {
            seeds.take(&format!("{which}-{number:02}"), line.as_bytes());
        }
    }
    let nginx = nginx_line();
    let listen = "{\"type\":\"event\",\"kind\":\"listen\",\"host\":\"h\",\
        \"time\":\"2026-11-24T08:02:21Z\",\"seq\":1,\"cpu\":0,\"pid\":77,\"start_boot_ns\":5,\
        \"comm\":\"x\",\"parents\":[{\"pid\":1,\"start_boot_ns\":0}],\"netns\":1,\
        \"listener\":{\"address\":\"::\",\"port\":80,\"protocol\":\"tcp\"}}";
    seeds.add("listen", listen);
    seeds.add("exec-and-listen", format!("{nginx}\n{listen}\n{listen}\n"));
    let connect = Connect {
        pid: 77,
        peer: Endpoint { address: "::1".to_owned(), port: 443, protocol: "tcp".to_owned() },
        bytes_sent: Some(u64::MAX),
        ..Connect::default()
    };
    let event = Event::Connect { host: "h".to_owned(), connect: Box::new(connect) };
    seeds.add("connect", serde_json::to_string(&Record::Event(Box::new(event))).unwrap());
    let behaviour = behaviour_line();
    seeds.add("behaviour", format!("{behaviour}\n{listen}\n{behaviour}"));
    seeds.add("behaviour-unknown", behaviour.replace("fuzz-texts", "nobody"));
    seeds.add("behaviour-silent", behaviour.replace("\"HTTP/1.1\"", "null"));
    for (name, from, to) in [
        ("time-before-1970", "2026-11-24T08:02:20Z", "0001-01-01T00:00:00Z"),
        ("time-long-ago", "2026-11-24T08:02:20Z", "-009999-01-02T01:59:59Z"),
        ("time-far-off", "2026-11-24T08:02:20Z", "9999-12-30T22:00:00.999999999Z"),
        ("time-zone", "2026-11-24T08:02:20Z", "2026-11-24T08:02:60+23:59"),
        ("number-negative", "\"pid\":77", "\"pid\":-1"),
        ("number-huge", "\"seq\":1", "\"seq\":18446744073709551616"),
        ("number-real", "\"seq\":1", "\"seq\":1e400"),
        ("surrogate", "\"comm\":\"nginx\"", "\"comm\":\"\\ud800\""),
        ("twice", "\"pid\":77", "\"pid\":77,\"pid\":78"),
        ("unknown", "\"pid\":77", "\"pid\":77,\"nope\":{\"a\":[[[]]]}"),
    ] {
        assert!(nginx.contains(from), "{from}");
        seeds.add(name, nginx.replace(from, to));
    }
    for cut in [1, 20, 300] {
        seeds.add(&format!("cut-{cut}"), nginx[..cut].to_owned());
    }
    let args = |args: &[&str]| {
        let args = serde_json::to_string(args).unwrap();
        nginx.replace("\"args\":[\"nginx\"]", &format!("\"args\":{args}"))
    };
    seeds.add("args-equals", args(&["nginx", &many("a=", 8000)]));
    seeds.add("args-empty", args(&[&[""; 2000][..]].concat()));
    seeds.add("args-long", args(&["nginx", &many("é", 9000)]));
    seeds.add("deep-lists", many("[", 8000));
    seeds.add("deep-maps", format!("{{\"type\":\"event\",\"x\":{}", many("{\"a\":", 8000)));
    seeds
}

/// A process that listens, with a server in its memory.
fn behaviour_line() -> String {
    let found = vec!["X-Fuzz-Header: %s".to_owned()];
    let kind = SignKind::Server;
    let sign = Sign { kind, name: "fuzz-texts".to_owned(), found, version: None };
    let content = Content { signs: vec![sign], ..Content::default() };
    let exe = Executable { path: "/tmp/x".to_owned(), ..Executable::default() };
    let process = Process { pid: 77, start_boot_ns: 5, exe, ..Process::default() };
    let behaviour = Box::new(Behaviour {
        exec: Box::new(Exec { process, ..Exec::default() }),
        answered: Some("HTTP/1.1".to_owned()),
        mapped: vec![Mapped { path: "[memory]".to_owned(), content }],
        ..Behaviour::default()
    });
    let event = Event::Behaviour { host: "h".to_owned(), behaviour };
    serde_json::to_string(&Record::Event(Box::new(event))).unwrap()
}

/// An execution of nginx, with little else in it.
fn nginx_line() -> String {
    let time: Stamp = "2026-11-24T08:02:20Z".parse().unwrap();
    let path = "/usr/sbin/nginx".to_owned();
    let process = Process {
        pid: 77,
        start_boot_ns: 5,
        comm: "nginx".to_owned(),
        args: vec!["nginx".to_owned()],
        invoked_as: path.clone(),
        exe: Executable { path, ..Executable::default() },
        ..Process::default()
    };
    let exec = Box::new(Exec { time, seq: 1, process, ..Exec::default() });
    let event = Event::Exec { host: "h".to_owned(), exec };
    let line = serde_json::to_string(&Record::Event(Box::new(event))).unwrap();
    line.replace("2026-11-24T08:02:20.000000000Z", "2026-11-24T08:02:20Z")
}
