//! Seeds that are files of repositories: one of each kind, and what is hard to read.

use scan::Kind;

use super::Seeds;
use crate::place;

/// Longer files try nothing that shorter ones do not.
const LONGEST: usize = 3 << 10;

fn of_kind(kind: Kind, text: &str) -> Vec<u8> {
    let at = Kind::ALL.iter().position(|other| *other == kind).unwrap_or_default();
    let letter = u8::try_from(at).unwrap();
    std::iter::once(letter).chain(text.bytes()).collect()
}

pub(super) fn seeds() -> Seeds {
    let mut seeds = Seeds::default();
    let root = place::root("crates/scan/tests/repository");
    let mut seen = Vec::new();
    for (path, text) in place::texts("crates/scan/tests/repository", "") {
        let name = path.strip_prefix(&format!("{}/", root.display())).unwrap_or(&path);
        let Some(kind) = Kind::of(name, &text) else { continue };
        if !seen.contains(&kind) && text.len() <= LONGEST {
            seen.push(kind);
            let name = name.replace(['/', '.'], "-").trim_matches('-').to_owned();
            seeds.add(&name.to_lowercase(), of_kind(kind, &text));
        }
    }
    for (name, kind, text) in hard() {
        seeds.add(name, of_kind(kind, &text));
    }
    seeds
}

/// What makes parsers nest, repeat or look back.
pub fn hard() -> Vec<(&'static str, Kind, String)> {
    let many = |text: &str| text.repeat(256);
    vec![
        ("hard-parentheses", Kind::Shell, many("(")),
        ("hard-substitutions", Kind::Shell, many("$(")),
        ("hard-strings", Kind::Shell, many("\"$(")),
        ("hard-expansions", Kind::Shell, many("${a:-")),
        ("hard-here-documents", Kind::Shell, many("cat <<A\n")),
        ("hard-functions", Kind::Shell, many("a() {")),
        ("hard-ifs", Kind::Shell, many("if ")),
        ("hard-cases", Kind::Shell, many("case a in b) ")),
        ("hard-quotes", Kind::Shell, many("'\"`")),
        ("hard-assignments", Kind::Shell, many("a=$a$a\n")),
        ("hard-texts", Kind::Shell, many("sh -c \"eval sh -c '")),
        ("hard-words", Kind::Shell, many("a`b`")),
        ("hard-loops", Kind::Shell, many("for a in b; do ")),
        ("hard-arithmetic", Kind::Shell, many("$((1+")),
        ("hard-flow", Kind::GithubWorkflow, many("{a: [")),
        ("hard-lists", Kind::Gitlab, many("- ")),
        ("hard-aliases", Kind::Compose, format!("a: &a {{b: c}}\n{}", many("<<: *a\n"))),
        ("hard-anchors", Kind::Compose, "a: &a {<<: *a, b: *a}\nservices: *a\n".to_owned()),
        ("hard-json", Kind::Npm, format!("{{\"scripts\": {}", many("{\"a\": ["))),
        ("hard-make", Kind::Makefile, format!("A = $(A)$(A)\na:\n\t{}", many("$(A)${(}"))),
        ("hard-make-lines", Kind::Makefile, format!("a:\n{}", many("\t$(\\\n"))),
        ("hard-dockerfile", Kind::Dockerfile, format!("FROM a\n{}", many("RUN <<A <<B \\\n#\n"))),
        ("hard-stages", Kind::Dockerfile, many("FROM a AS a\nENV A=$A$A\n")),
        ("hard-groovy", Kind::Jenkins, many("sh(\"${'''")),
        ("hard-units", Kind::Systemd, format!("[Service]\nExecStart={}", many("@\"\\ ; \\\n"))),
        ("hard-templates", Kind::Kubernetes, format!("kind: a\n{}", many("{{ {{- }}\n"))),
    ]
}
