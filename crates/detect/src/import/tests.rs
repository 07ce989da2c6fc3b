//! Tests of importing: what rules become, and what is refused.

use super::*;

fn made(text: &str) -> String {
    let imported = import(&[("rules.yml", text)], None);
    assert_eq!(imported.errors, []);
    imported.recipes.into_iter().next().unwrap().yaml
}

/// The `when` of the recipe that is made, on one line.
fn when(text: &str) -> String {
    let yaml = made(text);
    let after = yaml.split("when: >-\n").nth(1).unwrap_or_default();
    let lines = after.lines().take_while(|line| line.starts_with("  ") && !line.contains("- {per"));
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

fn refused(text: &str, place: &str, word: &str) {
    let imported = import(&[("rules.yml", text)], None);
    let errors: Vec<String> = imported.errors.iter().map(ToString::to_string).collect();
    let place = format!("rules.yml:{place}");
    let is = |error: &String| error.starts_with(&place) && error.contains(word);
    assert!(errors.iter().any(is), "expected {place} {word:?} in {errors:#?}");
    assert_eq!(imported.recipes, [], "{text}");
}

fn sigma(searches: &str, condition: &str) -> String {
    format!(
        "title: A rule\nlogsource: {{product: linux, category: process_creation}}\ndetection:\n\
         {searches}\n  condition: {condition}\nlevel: low\n"
    )
}

#[test]
fn a_sigma_rule_becomes_a_recipe() {
    let rule = "\
title: 'Shell {of} a [Server]: ''now'''
id: 7ab7cb4c-2d9e-4b5e-9f0d-b9e1f3a4b8a1
status: test
description: |
  Finds a shell
  below a server.
author: Somebody Else
references: [https://example.org/a]
date: 2024-01-02
modified: 2025-03-04
tags: [attack.persistence, attack.t1505.003, attack.t1562.001, attack.t9999, cve.2024-1]
logsource: {product: linux, category: process_creation}
detection:
  parent: {ParentImage|endswith: [/nginx, /Apache2]}
  child: {Image: [/bin/sh, /bin/bash], LogonId: 33}
  condition: all of them
falsepositives: ['Plugins that call [tools]', Unknown]
level: critical
";
    let yaml = made(rule);
    for line in [
        "name: shell_of_a_server_now",
        "version: \"2025-03-04\"",
        "description: \"Shell {of} a [Server]: 'now'\"",
        "category: Persistence",
        "method: Web Shell",
        "importance: critical",
        "attack: [T1505.003, T1685]",
        "# author: Somebody Else",
        "# references: https://example.org/a",
        "# ATT&CK T1562.001 is T1685 now.",
        "# ATT&CK T9999 is not in version 19, and left out.",
        "  (parent.exe.lowerAscii().endsWith(\"/nginx\")",
        "   || parent.exe.lowerAscii().endsWith(\"/apache2\"))",
        "  && process.exe.path.lowerAscii() in [\"/bin/sh\", \"/bin/bash\"]",
        "  && process.uid == 33",
    ] {
        assert!(yaml.lines().any(|l| l == line), "expected {line:?} in\n{yaml}");
    }
    assert!(yaml.contains("Shell (of) a (Server):"), "{yaml}");
    assert!(yaml.contains("harmless causes: Plugins that call (tools)"), "{yaml}");
}

#[test]
fn searches_of_sigma() {
    for (searches, condition, expected) in [
        (
            "  s: {Image: '*'}\n  t: {User: root}",
            "s and t",
            r#"process.user.lowerAscii() == "root""#,
        ),
        ("  s: {User: null}", "s", "!has(process.user)"),
        ("  s: {User: '*'}", "s", "has(process.user)"),
        ("  s: {User|re: 'x*'}", "s", r#"has(process.user) && process.user.matches("x*")"#),
        ("  s: {LogonId|gte: 1000}", "s", "process.uid >= 1000"),
        ("  s: {LogonId: [0, '33']}", "s", "process.uid in [0, 33]"),
        (
            "  s: {CommandLine|contains|all: [' -a', b]}",
            "not s",
            "!(process.command_line.lowerAscii().contains(\" -a\") && \
             process.command_line.lowerAscii().contains(\"b\"))",
        ),
        (
            "  s: {CommandLine|windash|contains: ' -a'}",
            "s",
            "process.command_line.lowerAscii().matches(\"(?s) [-/–—―]a\")",
        ),
        (
            "  s: {CommandLine|base64offset|contains|cased: foobar}",
            "s",
            "process.command_line.contains(\"Zm9vYmFy\") || \
             process.command_line.contains(\"Zvb2Jhc\") || \
             process.command_line.contains(\"mb29iYX\")",
        ),
    ] {
        assert_eq!(when(&sigma(searches, condition)), expected, "{searches}");
    }
}

#[test]
fn what_sigma_says_and_picket_cannot_is_refused() {
    for (searches, condition, place, word) in [
        ("  s: {Foo: x}", "s", "4:7", "\"Foo\""),
        ("  s: {Image|cidr: 10.0.0.0/8}", "s", "4:7", "cidr"),
        ("  s: {Image|expand: '%x%'}", "s", "4:7", "expand"),
        ("  s: {Image|wide|base64offset|contains: x}", "s", "4:7", "zero bytes"),
        ("  s: {Image|hour: 3}", "s", "4:7", "\"hour\""),
        ("  s: {Image|re|contains: x}", "s", "4:7", "together"),
        ("  s: {Image|i: x}", "s", "4:7", "\"re\""),
        ("  s: {Image|re: '(?=x)'}", "s", "4:17", "look"),
        ("  s: {Image|gt: 3}", "s", "4:17", "no order"),
        ("  s: {Image: 1.5}", "s", "4:14", "quotes"),
        ("  s: {LogonId|contains: 3}", "s", "4:25", "number"),
        ("  s: {CommandLine|base64: 'a*'}", "s", "4:27", "wildcards"),
        ("  s: {CommandLine|base64offset|contains: a}", "s", "4:", "short"),
        ("  s: [mimikatz]", "s", "4:6", "field"),
        ("  s: {'|all': [a, b]}", "s", "4:7", "field"),
        ("  s: {}", "s", "4:6", "empty"),
        ("  s: {Image: x}\n  timeframe: 5m", "s", "5:3", "timeframe"),
        ("  s: {Image: x}", "s and t", "5:14", "\"t\""),
        ("  s: {Image: x}", "1 of t*", "5:14", "t*"),
        ("  s: {Image: x}", "s | count() > 5", "5:14", "limits"),
        ("  s: {Image: '*'}", "s", "1:1", "every execution"),
        ("  s: {Image: null}", "s", "1:1", "no execution"),
    ] {
        refused(&sigma(searches, condition), place, word);
    }
    let good = sigma("  s: {Image: x}", "s");
    for (from, to, place, word) in [
        ("product: linux", "product: macos", "2:22", "macos"),
        (", category: process_creation", "", "2:12", "category"),
        ("level: low", "level: huge", "6:8", "critical"),
        ("title: A rule", "title: '?'", "1:1", "name"),
        ("level: low", "correlation: {type: event_count}", "6:1", "correlations"),
        ("level: low", "newkey: x", "6:1", "newkey"),
    ] {
        assert!(good.contains(from));
        refused(&good.replace(from, to), place, word);
    }
    let many = format!("  s: {{Image: x}}\n  t: {{Image: [{}]}}", "abcdefgh, ".repeat(9000));
    refused(&sigma(&many, "s and t"), "4:3", "bytes");
}

const ALCHEMY: &str = "\
- kind: net_tool
  name: net_tool_exec
  enabled: false
  version: 1.0
  description: A network tool was executed
  breed: file_access
  mechanism: execution
  tactic: command_and_control
  technique: application_layer_protocol
  subtechnique: web_protocols
  importance: high
  file_actions: execve
  file_actions_how: any
  bases:
    - base: nc
    - base: ncat
  arbitrary: []
  times:
    - {kind: times_per_parent_proc, max: 2}
    - {kind: times_per_parent_exe, max: 4}
    - {kind: times_per_exe, max: 3}
";

fn alchemy(from: &str, to: &str) -> String {
    assert!(ALCHEMY.contains(from), "{from}");
    ALCHEMY.replace(from, to)
}

#[test]
fn an_alchemy_becomes_a_recipe() {
    let yaml = made(ALCHEMY);
    for line in [
        "name: net_tool_exec",
        "version: \"1.0\"",
        "description: A network tool was executed",
        "category: Command and Control",
        "method: Web Protocols",
        "importance: high",
        "attack: [T1071.001]",
        "  program: [nc, ncat]",
        "  - {per: parent, most: 2, within: 1d}",
        "  - {per: executable, most: 3, within: 1d}",
        "# In its file it is not enabled.",
    ] {
        assert!(yaml.lines().any(|l| l == line), "expected {line:?} in\n{yaml}");
    }
    assert!(yaml.contains("times_per_parent_exe cannot be counted here"), "{yaml}");
    assert!(!yaml.contains("when:"), "{yaml}");
}

#[test]
fn files_and_conditions_of_alchemies() {
    let yaml = made(&alchemy("- base: nc\n", "- {dir: /opt/x/}\n    - {dir: /srv, base: y}\n"));
    assert!(yaml.contains("  path: [\"/opt/x/*\", /srv/y, \"**/ncat\"]\n"), "{yaml}");
    let of_regex = when(&alchemy("- base: nc\n", "- regex: '^/.*/\\..*'\n"));
    assert_eq!(
        of_regex,
        "process.exe.path.matches(r\"^/.*/\\..*\") || process.target.matches(r\"^/.*/\\..*\") || \
         process.exe.path.matches(\"/ncat$\") || process.target.matches(\"/ncat$\")"
    );
    for (group, expected) in [
        (
            "{how: OR, which: irrelevant, items: [{what: args, which: pertinent, pattern: a}, \
             {what: ancient_exe, which: pertinent, pattern: b}]}",
            "process.command_line.matches(\"a\") || ancestors.exists(a, a.exe.matches(\"b\"))",
        ),
        (
            "{how: AND, which: pertinent, items: [{what: parent_exe, which: irrelevant, pattern: a}, \
             {what: uid, which: irrelevant, number: 0}]}",
            "!parent.exe.matches(\"a\") && !(process.uid == 0)",
        ),
        (
            "{how: AND, which: irrelevant, items: [{what: cmd, which: pertinent, pattern: a}, \
             {what: uid, which: pertinent, numbers: [1, 2], when: bigger}]}",
            "process.name.matches(\"a\") && (process.uid > 1 || process.uid > 2)",
        ),
    ] {
        assert_eq!(when(&alchemy("arbitrary: []", &format!("arbitrary: [{group}]"))), expected);
    }
}

#[test]
fn what_alchemies_say_and_picket_cannot_is_refused() {
    let item = |item: &str| {
        let group = format!("arbitrary: [{{how: OR, which: irrelevant, items: [{item}]}}]");
        alchemy("arbitrary: []", &group)
    };
    for (text, place, word) in [
        (alchemy("breed: file_access", "breed: remote_domains"), "6:10", "remote_domains"),
        (alchemy("mechanism: execution", "mechanism: network_flows"), "7:14", "network_flows"),
        (alchemy("file_actions: execve", "file_actions: [execve, mmap]"), "12:17", "execve"),
        (alchemy("  file_actions: execve\n", ""), "1:3", "execve"),
        (alchemy("web_protocols", "telepathy"), "10:17", "telepathy"),
        (alchemy("application_layer_protocol", "impair_defenses"), "9:14", "impair_defenses"),
        (alchemy("importance: high", "importance: huge"), "11:15", "critical"),
        (alchemy("kind: net_tool", "remote_port: 80"), "1:3", "remote_port"),
        (alchemy("arbitrary: []", "reactions: [{format: js, code: x}]"), "17:14", "reactions"),
        (alchemy("base: nc\n", "{base: nc, regex: x}\n"), "15:", "regex"),
        (alchemy("base: nc\n", "regex: '(?=x)'\n"), "15:14", "look"),
        (alchemy("base: nc\n", "port: x\n"), "15:7", "expected base"),
        (alchemy("times_per_exe", "times_per_moon"), "21:7", "times_per_moon"),
        (alchemy("max: 3", "max: x"), "21:7", "number"),
        (item("{what: envs, which: pertinent, pattern: x}"), "17:", "envs"),
        (item("{what: args, which: pertinent, pattern: ^x}"), "17:", "`^`"),
        (item("{what: args, which: irrelevant, pattern: x}"), "17:", "not documented"),
        (item("{what: args, which: pertinent, cidr: x}"), "17:", "cidr"),
        (item("{what: uid, which: pertinent, number: x}"), "17:", "number"),
        (alchemy("  bases:\n    - base: nc\n    - base: ncat\n", ""), "1:3", "every execution"),
    ] {
        refused(&text, place, word);
    }
}

const FALCO: &str = "\
- required_engine_version: 0.50.0
- list: shells
  items: [sh, bash, '\"(x y)\"']
- macro: spawned_process
  condition: (evt.type in (execve, execveat) and evt.dir=<)
- macro: container
  condition: (container.id != host)
- rule: Shell in a container
  desc: A shell ran
  condition: spawned_process and container and CHECK
  output: A shell (user=%user.name)
  priority: WARNING
  tags: [container, mitre_execution, T1059.004]
";

fn falco(check: &str) -> String {
    FALCO.replace("CHECK", check)
}

#[test]
fn a_falco_rule_becomes_a_recipe() {
    let yaml = made(&falco("proc.name in (shells, zsh)"));
    for line in [
        "name: shell_in_a_container",
        "description: Shell in a container",
        "category: Execution",
        "method: Unix Shell",
        "importance: medium",
        "attack: [T1059.004]",
        "  has(container.id) && process.comm in [\"sh\", \"bash\", \"(x y)\", \"zsh\"]",
    ] {
        assert!(yaml.lines().any(|l| l == line), "expected {line:?} in\n{yaml}");
    }
}

#[test]
fn checks_of_falco() {
    for (check, expected) in [
        ("proc.pname = sh", r#"parent.comm == "sh""#),
        ("proc.pname != sh", r#"has(parent.pid) && !(parent.comm == "sh")"#),
        ("not proc.pname = sh", r#"!(parent.comm == "sh")"#),
        ("proc.pname exists", "has(parent.pid)"),
        ("proc.aname = sh", r#"ancestors.exists(a, a.comm == "sh")"#),
        ("proc.aname[1] in (a, b)", r#"parent.comm in ["a", "b"]"#),
        ("proc.tty != 0", "process.tty"),
        ("proc.tty = 0", "!process.tty"),
        ("user.uid >= 1000", "process.uid >= 1000"),
        ("user.uid in (0, 33)", "process.uid in [0, 33]"),
        ("user.name = root", r#"process.user == "root""#),
        ("proc.exepath startswith /tmp", r#"process.exe.path.startsWith("/tmp")"#),
        ("proc.exepath icontains NGINX", r#"process.exe.path.lowerAscii().contains("nginx")"#),
        (
            "proc.exepath pmatch (/tmp)",
            r#"process.exe.path == "/tmp" || process.exe.path.startsWith("/tmp/")"#,
        ),
        ("proc.exepath glob '/t?p/*.x'", r#"process.exe.path.matches(r"(?s)^/t.p/.*\.x$")"#),
        ("proc.exepath regex '/a.*'", r#"process.exe.path.matches("^(?:/a.*)$")"#),
        ("proc.args endswith x", r#"process.parameters.endsWith("x")"#),
        (
            "proc.cmdline contains x",
            r#"process.comm.contains("x") || process.parameters.contains("x")"#,
        ),
        (
            "proc.cmdline startswith 'nc -l '",
            "process.comm.startsWith(\"nc -l \") || \
             (process.comm == \"nc\" && process.parameters.startsWith(\"-l \")) || \
             (process.comm == \"nc -l\" && size(process.args) > 1)",
        ),
        (
            "proc.cmdline = 'nc -l'",
            "(!(size(process.args) > 1) && process.comm == \"nc -l\") || \
             (process.comm == \"nc\" && process.parameters == \"-l\")",
        ),
        (
            "proc.cmdline endswith 'a b'",
            "process.parameters.endsWith(\"a b\") || \
             (!(size(process.args) > 1) && process.comm.endsWith(\"a b\")) || \
             (process.comm.endsWith(\"a\") && process.parameters == \"b\")",
        ),
        ("(never_true or proc.name = a)", r#"process.comm == "a""#),
    ] {
        let never = "- {macro: never_true, condition: (evt.num=0)}\n";
        let text = never.to_owned() + &falco(check);
        let text = text.replace(" and container and", " and");
        assert_eq!(when(&text), expected, "{check}");
    }
}

#[test]
fn later_definitions_of_falco() {
    let later = "- list: shells\n  items: [fish]\n  append: true\n\
                 - rule: Shell in a container\n  condition: and user.uid = 0\n  \
                 override: {condition: append}\n";
    let text = falco("proc.name in (shells)") + later;
    let expected = "has(container.id) && process.comm in [\"sh\", \"bash\", \"(x y)\", \"fish\"] \
                    && process.uid == 0";
    assert_eq!(when(&text), expected);
    // Across files, too.
    let rule = falco("proc.name in (shells)");
    let imported = import(&[("a.yml", &rule), ("b.yml", later)], None);
    assert_eq!(imported.errors, []);
    assert!(imported.recipes[0].yaml.contains("fish"));
}

#[test]
fn what_falco_says_and_picket_cannot_is_refused() {
    for (check, word) in [
        ("fd.name = /etc/passwd", "fd.name"),
        ("proc.aname[2] = sh", "proc.aname[2]"),
        ("proc.cmdline glob 'a*'", "proc.args"),
        ("proc.exepath glob '[ab]'", "classes"),
        ("proc.exepath pmatch ('/t*')", "wildcards"),
        ("proc.exepath bcontains 00", "bcontains"),
        ("proc.tty = 34816", "proc.tty"),
        ("container.id = 0123456789ab", "container.id"),
        ("evt.dir = >", "evt.dir"),
        ("evt.type = execveat", "evt.type"),
        ("user.uid = root", "number"),
        ("nothing_known", "nothing_known"),
        ("tolower(proc.name) = a", "transformers"),
        ("evt.type = open", "no execution"),
        ("always", "itself"),
        ("proc.name in (loop)", "itself"),
    ] {
        let more = "- {macro: always, condition: always}\n- {list: loop, items: [loop]}\n";
        refused(&(falco(check) + more), "10:", word);
    }
    let good = falco("proc.name = sh");
    for (from, to, place, word) in [
        ("spawned_process and", "proc.pname = x and", "10:", "spawned_process"),
        (
            "spawned_process and",
            "(spawned_process or evt.type = open) and",
            "10:",
            "no execution: expected",
        ),
        ("priority: WARNING", "priority: HUGE", "12:13", "NOTICE"),
        ("priority: WARNING", "priority: WARNING\n  source: k8s_audit", "13:11", "syscall"),
        (
            "priority: WARNING",
            "priority: WARNING\n  exceptions: [{name: a, values: [[b]]}]",
            "13:3",
            "exceptions",
        ),
        ("priority: WARNING", "priority: WARNING\n  newkey: x", "13:3", "newkey"),
    ] {
        assert!(good.contains(from));
        refused(&good.replace(from, to), place, word);
    }
}

#[test]
fn hostile_files_are_refused_and_bounded() {
    let bomb = format!("a: &a [{}]\nb: [{}]\n", "x,".repeat(100), "*a,".repeat(100_000));
    refused(&bomb, "", "");
    refused("\tname: x\n: : [", "", "");
    refused("- - - - a", "1:", "expected Jibril's");
    refused("", "1:1", "no rule");
    refused("- {list: a, items: [b]}\n", "1:1", "no rule");
    let deep = "[".repeat(5000);
    refused(&deep, "", "");
    // Macros that double each time.
    let mut text = "- {macro: m0, condition: proc.name = a}\n".to_owned();
    for n in 1..30 {
        text.push_str(&format!("- {{macro: m{n}, condition: m{0} or m{0}}}\n", n - 1));
    }
    text.push_str("- {rule: r, condition: m29, priority: INFO}\n");
    refused(&text, "31:", "parts");
    // Two of one name, and comments that try to leave their lines.
    let rule = sigma("  s: {Image: x}", "s") + "author: \"a\\nname: evil\\e[31m\"\n";
    let imported = import(&[("a.yml", &rule), ("b.yml", &rule)], None);
    assert_eq!(imported.recipes.len(), 1);
    assert!(imported.recipes[0].yaml.contains("# author: a name: evil[31m\n"));
    assert!(imported.errors[0].message.contains("a.yml:1"), "{:?}", imported.errors);
}
