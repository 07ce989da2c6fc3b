//! Recipe files: mistakes are named with their place, and limits and needs are read from them.

use super::{Recipe, parse_all};

const HEAD: &str = "name: one\nversion: \"1\"\ndescription: d\ncategory: c\nmethod: m\n\
                    importance: high\nattack: [T1104]\n";
const TAIL: &str = "guidance:\n  ci: {implication: i, actions: [a]}\n  \
                    staging: {implication: i, actions: [a]}\n  \
                    production: {implication: i, actions: [a]}\n";

fn recipe(middle: &str) -> Result<Recipe, String> {
    let text = format!("{HEAD}{middle}{TAIL}");
    Recipe::parse("r.yaml", &text)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

#[test]
fn mistakes_have_a_place() {
    for (middle, expected) in [
        ("event: exec\nmatch: {}\n", "r.yaml:1:7: recipe \"one\": it would match everything"),
        ("event: listen\nmatch: {program: [x]}\n", "only what is recognised as a web server"),
        ("event: open\nmatch: {server: [x]}\n", "r.yaml:8:8: "),
        ("event: exec\nmatch: {serve: [x]}\n", "r.yaml:9:9: "),
        ("event: exec\nwhen: process.pid == 1 && foo\n", "r.yaml:9:27: when: unknown fact foo"),
        (
            "event: exec\nwhen: |\n  process.pid == 1 &&\n  foo\n",
            "r.yaml:11:3: when: unknown fact foo",
        ),
        (
            "event: exec\nwhen: >-\n  process.pid == 1 &&\n    foo || true\n",
            "r.yaml:11:5: when: unknown fact foo",
        ),
        ("event: exec\nwhen: \"process.pid == 1 && foo\"\n", "r.yaml:9:28: when: unknown fact foo"),
        (
            "event: exec\nmatch: {server: [x]}\nlimits: [{per: parent, most: 1, within: 5x}]\n",
            "\"5x\" is no time",
        ),
        (
            "event: exec\nmatch: {server: [x]}\nlimits: [{per: planet, most: 1, within: 5m}]\n",
            "r.yaml:10:16: ",
        ),
    ] {
        let message = recipe(middle).expect_err(middle);
        assert!(message.contains(expected), "{middle}: {message}");
    }
}

#[test]
fn names_for_the_kernel_are_exact_or_none() {
    let names = |middle: &str| recipe(middle).unwrap().names();
    let some = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect());
    assert_eq!(names("event: exec\nmatch: {program: [Sh, bash]}\n"), some(&["bash", "sh"]));
    assert_eq!(names("event: exec\nmatch: {program: [\"py*\"]}\n"), None);
    assert_eq!(names("event: exec\nmatch: {path: [/usr/bin/curl]}\n"), some(&["curl"]));
    assert_eq!(names("event: exec\nmatch: {path: [\"/tmp/**\"]}\n"), None);
    assert_eq!(names("event: exec\nwhen: process.uid == 0\n"), None);
}

#[test]
fn a_bomb_is_refused() {
    let mut text = String::from("a: &a [x,x,x,x,x,x,x,x,x]\n");
    for (one, next) in ["b", "c", "d", "e", "f", "g", "h", "i"]
        .iter()
        .zip(["a", "b", "c", "d", "e", "f", "g", "h"])
    {
        text.push_str(&format!("{one}: &{one} [*{next},*{next},*{next},*{next},*{next},*{next},*{next},*{next},*{next}]\n"));
    }
    let (recipes, errors) = parse_all([("bomb.yaml", text.as_str())]);
    assert!(recipes.is_empty());
    assert_eq!(errors.len(), 1, "{errors:?}");
    let deep = format!("{HEAD}match: {}{}\n", "[".repeat(100_000), "]".repeat(100_000));
    let (recipes, errors) = parse_all([("deep.yaml", deep.as_str())]);
    assert!(recipes.is_empty());
    assert_eq!(errors.len(), 1, "{errors:?}");
}
