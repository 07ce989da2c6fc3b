//! Makefiles: the lines of a target, and of what it depends on.

use std::collections::VecDeque;

use super::find::Lines;

/// Targets that are followed.
const MOST: usize = 200;

struct Rule {
    targets: Vec<String>,
    needs: Vec<String>,
    lines: Lines,
}

/// The lines of these targets, or of the first one, and of all that they depend on.
pub(super) fn lines(text: &str, targets: &[String]) -> Vec<Lines> {
    let rules = rules(text);
    let goal = rules.iter().find(|rule| rule.targets.iter().any(|t| t == ".DEFAULT_GOAL"));
    let first = rules.iter().flat_map(|rule| &rule.targets).find(|target| !target.starts_with('.'));
    let first =
        goal.map(|rule| rule.needs.clone()).or_else(|| first.map(|first| vec![first.clone()]));
    let mut wanted: VecDeque<String> = match targets {
        [] => first.unwrap_or_default().into(),
        targets => targets.to_vec().into(),
    };
    let mut seen: Vec<String> = Vec::new();
    let mut found = Vec::new();
    while let Some(target) = wanted.pop_front() {
        if seen.contains(&target) || seen.len() >= MOST {
            continue;
        }
        for rule in rules.iter().filter(|rule| rule.targets.iter().any(|t| matches(t, &target))) {
            found.push(rule.lines.clone());
            let room = MOST.saturating_sub(wanted.len());
            wanted.extend(rule.needs.iter().take(room).cloned());
        }
        seen.push(target);
    }
    found
}

/// `%.o` stands for any.
fn matches(pattern: &str, target: &str) -> bool {
    match pattern.split_once('%') {
        None => pattern == target,
        Some((before, after)) => {
            target.len() >= before.len() + after.len()
                && target.starts_with(before)
                && target.ends_with(after)
        }
    }
}

fn rules(text: &str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    let mut continued = false;
    for (line, number) in text.lines().zip(1_u32..) {
        let more = line.ends_with('\\');
        let recipe = line.starts_with('\t') || line.trim().is_empty() || line.starts_with('#');
        if recipe || continued {
            if let Some(rule) = rules.last_mut() {
                rule.lines = *rule.lines.start()..=number;
                if !recipe {
                    rule.needs.extend(words(line));
                }
            }
        } else if let Some(goal) = line.strip_prefix(".DEFAULT_GOAL") {
            let needs = words(goal.trim_start_matches([':', '=', ' ']));
            rules.push(Rule { targets: words(".DEFAULT_GOAL"), needs, lines: number..=number });
        } else if let Some((targets, needs)) =
            line.split_once(':').filter(|(_, needs)| !needs.starts_with('='))
        {
            // `a: b ; recipe` has it on the same line.
            let needs = needs.trim_start_matches(':').split(';').next().unwrap_or_default();
            rules.push(Rule {
                targets: words(targets),
                needs: words(needs),
                lines: number..=number,
            });
        } else {
            // An assignment or a directive ends a recipe.
            rules.push(Rule { targets: Vec::new(), needs: Vec::new(), lines: number..=number });
        }
        continued = more;
    }
    rules
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().filter(|word| !matches!(*word, "\\" | "|")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "PORT := 8000\n\n.PHONY: all serve\n\nall: build\n\techo all\n\n\
                        build: a.o \\\n  b.o\n\tcc\n\nserve: PORT = 1\nserve: build\n\tpython3 -m x\n\
                        %.o: %.c\n\tcc -c\n";

    #[test]
    fn targets_have_lines_and_needs() {
        let of = |targets: &[&str]| {
            let targets: Vec<String> = targets.iter().map(|t| (*t).to_owned()).collect();
            lines(TEXT, &targets)
        };
        assert_eq!(of(&["serve"]), [12..=12, 13..=14, 8..=11, 15..=16, 15..=16]);
        assert_eq!(of(&[])[0], 5..=7);
        assert_eq!(of(&["none"]), Vec::<Lines>::new());
        let goal = lines(".DEFAULT_GOAL := b\na:\n\tx\nb:\n\ty\n", &[]);
        assert_eq!(goal, [4..=5]);
    }
}
