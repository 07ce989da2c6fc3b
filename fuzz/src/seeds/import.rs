//! Seeds that are rules of other formats.

use super::Seeds;

const SIGMA: &str = "\
title: A shell
id: 1
tags: [attack.execution, attack.t1059.004]
logsource: {product: linux, category: process_creation}
detection:
  s:
    Image|endswith: [/sh, /bash]
    CommandLine|contains|all: [' -c', a*b]
  t: {User: root}
  condition: s and not t
falsepositives: [Unknown]
level: high
";

const JIBRIL: &str = "\
- kind: a
  name: a_tool
  version: 1.0
  description: A tool
  breed: file_access
  mechanism: execution
  tactic: command_and_control
  technique: application_layer_protocol
  subtechnique: web_protocols
  importance: high
  file_actions: [execve]
  bases: [{base: nc}, {dir: /opt, base: x}]
  arbitrary:
    - {how: OR, which: irrelevant, items: [{what: args, which: pertinent, pattern: '[0-9]+'}]}
  times: [{kind: times_per_exe, max: 4}]
";

const FALCO: &str = "\
- list: shells
  items: [sh, bash]
- macro: spawned_process
  condition: (evt.type in (execve, execveat) and evt.dir=<)
- rule: A shell
  desc: d
  condition: spawned_process and proc.name in (shells) and not proc.cmdline contains \"a b\"
  output: o
  priority: WARNING
  tags: [T1059]
";

pub(super) fn seeds() -> Seeds {
    let mut seeds = Seeds::default();
    for (name, text) in [("sigma", SIGMA), ("jibril", JIBRIL), ("falco", FALCO)] {
        seeds.add(name, text);
    }
    for (name, text, from, to) in [
        ("sigma-of", SIGMA, "s and not t", "1 of s* or not (all of them)"),
        ("sigma-expression", SIGMA, "User: root", "CommandLine|re|i: 'a$|[[b]{2}'"),
        ("sigma-null", SIGMA, "User: root", "User: null"),
        ("sigma-numbers", SIGMA, "User: root", "LogonId|gte: [0, 33]"),
        ("sigma-offsets", SIGMA, "User: root", "CommandLine|base64offset|contains: /bin/sh"),
        ("sigma-dash", SIGMA, "User: root", "CommandLine|windash|contains: ' -a/b'"),
        ("sigma-field", SIGMA, "User: root", "Image|fieldref: ParentImage"),
        ("sigma-exists", SIGMA, "User: root", "ParentImage|exists: false"),
        ("sigma-words", SIGMA, "t: {User: root}", "t: [root]"),
        ("sigma-twice", SIGMA, "level: high\n", "level: high\n---\ntitle: B\n"),
        ("sigma-deep", SIGMA, "s and not t", "((((((((not not not s))))))))"),
        ("jibril-regex", JIBRIL, "base: nc", "regex: '^/.*/\\..*'"),
        (
            "jibril-number",
            JIBRIL,
            "args, which: pertinent, pattern: '[0-9]+'",
            "uid, which: pertinent, number: 0",
        ),
        ("jibril-ancient", JIBRIL, "what: args", "what: ancient_exe"),
        (
            "falco-append",
            FALCO,
            "- macro",
            "- list: shells\n  items: [zsh]\n  append: true\n- macro",
        ),
        ("falco-loop", FALCO, "items: [sh, bash]", "items: [shells]"),
        ("falco-macro-loop", FALCO, "and evt.dir=<", "and spawned_process"),
        ("falco-ancestor", FALCO, "proc.name in", "proc.aname in"),
        ("falco-glob", FALCO, "contains \"a b\"", "exists and proc.exepath glob \"/a?*\""),
    ] {
        assert!(text.contains(from), "{from}");
        seeds.add(name, text.replace(from, to));
    }
    seeds
}
