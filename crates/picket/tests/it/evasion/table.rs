//! What is expected of every cell, and the table for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use super::tricks::TRICKS;
use crate::harness;

/// What became of one cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Found, and told as what it is.
    Found,
    /// Found, but not told that a name lies, or told so where none does.
    Mask,
    /// Found, but under another name.
    Name,
    /// Not found.
    Missed,
    /// The trick cannot be played with this server.
    Absent,
}

impl State {
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Found, "ok", "✓"),
        (Self::Mask, "mask", "mask?"),
        (Self::Name, "name", "name?"),
        (Self::Missed, "MISS", "✗"),
        (Self::Absent, "-", "–"),
    ];

    pub(super) fn word(&self) -> &'static str {
        Self::ALL.iter().find(|(state, ..)| state == self).unwrap().1
    }

    fn sign(&self) -> &'static str {
        Self::ALL.iter().find(|(state, ..)| state == self).unwrap().2
    }

    fn of(word: &str) -> Self {
        let known = Self::ALL.iter().find(|(_, known, _)| *known == word);
        known.unwrap_or_else(|| panic!("evasion.expect: what is `{word}`?")).0.clone()
    }
}

/// A state, and the reason for it where it is not simply found.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) state: State,
    pub(super) why: String,
}

/// Column, then row.
pub(super) type Columns = BTreeMap<String, BTreeMap<String, Outcome>>;

fn path() -> PathBuf {
    harness::root().join("crates/picket/tests/it/evasion.expect")
}

/// The states that `evasion.expect` holds: column, then row. Where a race decides, several are fine.
pub(super) fn expected() -> BTreeMap<String, BTreeMap<String, Vec<State>>> {
    let text = fs::read_to_string(path()).unwrap_or_default();
    let mut lines = text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty());
    let columns: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().skip(1).collect();
    let mut table: BTreeMap<String, BTreeMap<String, Vec<State>>> = BTreeMap::new();
    for line in lines {
        let mut words = line.split_whitespace();
        let row = words.next().unwrap_or_default();
        for (column, word) in columns.iter().zip(words) {
            if word != "." {
                let states = word.split('|').map(State::of).collect();
                table.entry((*column).to_owned()).or_default().insert(row.to_owned(), states);
            }
        }
    }
    table
}

/// Writes the columns that were run into `evasion.expect`, and leaves the others as they are.
pub(super) fn update(rows: &[String], run: &Columns) {
    let mut table = expected();
    for (column, cells) in run {
        let column = table.entry(column.clone()).or_default();
        column.retain(|row, _| cells.contains_key(row));
        for (row, outcome) in cells {
            let states = column.entry(row.clone()).or_default();
            if !states.contains(&outcome.state) {
                *states = vec![outcome.state.clone()];
            }
        }
    }
    let mut text = String::from(
        "# What every cell of the evasion matrix must come to: servers × tricks (evasion/tricks.rs).\n\
         # ok: found; mask: found, but the lying name is not told; name: found as something else;\n\
         # MISS: not found; -: the trick cannot be played with this server; a|b: a race decides.\n\
         # Written by: PICKET_UPDATE=1 cargo test -p picket --test it evasion::\n\n",
    );
    let width = rows.iter().map(String::len).max().unwrap_or_default();
    let _ = write!(text, "{:<width$}", "server");
    for (column, _) in TRICKS {
        let _ = write!(text, " {column}");
    }
    text.push('\n');
    for row in rows {
        let _ = write!(text, "{row:<width$}");
        for (column, _) in TRICKS {
            let state = table.get(*column).and_then(|cells| cells.get(row));
            let words: Vec<&str> = state.into_iter().flatten().map(State::word).collect();
            let word = if words.is_empty() { ".".to_owned() } else { words.join("|") };
            let _ = write!(text, " {word:<w$}", w = column.len());
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    fs::write(path(), text).unwrap();
}

/// Writes the table between the markers of docs/figures.md.
pub(super) fn publish(rows: &[String], run: &Columns) -> Result<(), String> {
    let missing: Vec<&str> =
        TRICKS.iter().map(|(name, _)| *name).filter(|name| !run.contains_key(*name)).collect();
    if !missing.is_empty() {
        return Err(format!("the table needs all tricks, but these were not run: {missing:?}"));
    }
    let path = harness::root().join("docs/figures.md");
    let text = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- evasion:begin -->", "<!-- evasion:end -->");
    let (Some(from), Some(to)) = (text.find(begin), text.find(end)) else {
        return Err(format!("{} has no {begin} and {end}", path.display()));
    };
    let table = markdown(rows, run);
    let text = format!("{}\n\n{table}\n{}", &text[..from + begin.len()], &text[to..]);
    fs::write(path, text).unwrap();
    Ok(())
}

fn markdown(rows: &[String], run: &Columns) -> String {
    let mut text = format!("{}\n\n", totals(run));
    let mut line = String::from("| server |");
    let mut rule = String::from("|---|");
    for (column, _) in TRICKS {
        let _ = write!(line, " {column} |");
        rule.push_str("---|");
    }
    let _ = writeln!(text, "{line}\n{rule}");
    for row in rows {
        let _ = write!(text, "| {row} |");
        for (column, _) in TRICKS {
            let _ = write!(text, " {} |", run[*column][row].state.sign());
        }
        text.push('\n');
    }
    text.push_str("\nThe tricks:\n\n");
    for (column, what) in TRICKS {
        let _ = writeln!(text, "- **{column}**: {what}.");
    }
    text.push_str("\nWhy there is no such cell (–):\n\n");
    let mut reasons: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for (column, _) in TRICKS {
        for row in rows {
            let outcome = &run[*column][row];
            if outcome.state == State::Absent {
                reasons.entry((column, &outcome.why)).or_default().push(row);
            }
        }
    }
    for ((column, why), rows) in reasons {
        let whom = if rows.len() > 8 { format!("{} servers", rows.len()) } else { rows.join(", ") };
        let _ = writeln!(text, "- {column}: {why} ({whom})");
    }
    let faults = faults(rows, run);
    if !faults.is_empty() {
        let _ = write!(text, "\nWhat is wrong:\n\n{faults}");
    }
    text
}

/// What is wrong, one line a cell.
pub(super) fn faults(rows: &[String], run: &Columns) -> String {
    let wrong = [State::Mask, State::Name, State::Missed];
    let mut text = String::new();
    for (column, _) in TRICKS {
        for row in rows {
            let outcome = run.get(*column).and_then(|cells| cells.get(row));
            let Some(outcome) = outcome.filter(|o| wrong.contains(&o.state)) else { continue };
            let _ = writeln!(text, "- {row}, {column}: {} {}", outcome.state.sign(), outcome.why);
        }
    }
    text
}

/// How many cells came to what.
pub(super) fn totals(run: &Columns) -> String {
    let count = |state: &State| {
        run.values().flat_map(BTreeMap::values).filter(|o| o.state == *state).count()
    };
    let played: usize =
        State::ALL.iter().map(|(s, ..)| count(s)).sum::<usize>() - count(&State::Absent);
    format!(
        "{} of {played} disguised executions found and told as what they are (✓); found, but the lying \
         name not told (mask?): {}; found as something else (name?): {}; not found (✗): {}; not to be \
         played (–): {}.",
        count(&State::Found),
        count(&State::Mask),
        count(&State::Name),
        count(&State::Missed),
        count(&State::Absent)
    )
}
