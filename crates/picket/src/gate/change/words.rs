//! The words of commands in a text: of scripts, recipes of make, steps of workflows, and in the
//! strings of all of them.
//!
//! This is no parser of any of their languages. It need not be: what is looked for is known word by
//! word, since it was executed.

/// Strings in strings are looked into as deep as this.
const DEEPEST: usize = 3;
/// A string that goes on for longer is taken for an apostrophe.
const LONGEST_STRING: usize = 8192;
/// So is the name of a variable.
const LONGEST_NAME: usize = 100;

/// A word, and where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) line: u32,
    /// In characters, from 1.
    pub(super) column: u32,
}

impl Word {
    /// Without what make takes off a command before it runs it.
    pub(super) fn bare(&self) -> &str {
        self.text.trim_start_matches(['@', '-', '+'])
    }

    /// What it stands for is known only when it runs.
    pub(super) fn is_open(&self) -> bool {
        self.text.contains(['$', '*', '`']) || self.text.contains("{{")
    }
}

/// The commands of a text, each as its words.
pub(super) fn commands(text: &str) -> Vec<Vec<Word>> {
    let mut all = Vec::new();
    scan(text, (1, 1), 0, &mut all);
    all
}

struct Scan {
    commands: Vec<Vec<Word>>,
    words: Vec<Word>,
    word: Option<Word>,
}

impl Scan {
    fn push(&mut self, c: char, at: (u32, u32)) {
        let (line, column) = at;
        self.word.get_or_insert_with(|| Word { text: String::new(), line, column }).text.push(c);
    }

    fn end_word(&mut self) {
        if let Some(word) = self.word.take() {
            self.words.push(word);
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        if !self.words.is_empty() {
            self.commands.push(std::mem::take(&mut self.words));
        }
    }
}

fn scan(text: &str, start: (u32, u32), depth: usize, all: &mut Vec<Vec<Word>>) {
    let chars: Vec<char> = text.chars().collect();
    let mut scan = Scan { commands: Vec::new(), words: Vec::new(), word: None };
    let mut strings = Vec::new();
    let mut at = 0;
    let (mut line, mut column) = start;
    // Where each character is.
    let places: Vec<(u32, u32)> = chars
        .iter()
        .map(|c| {
            let place = (line, column);
            (line, column) = if *c == '\n' { (line + 1, 1) } else { (line, column + 1) };
            place
        })
        .collect();
    while let Some(&c) = chars.get(at) {
        let next = chars.get(at + 1).copied();
        match c {
            '\\' if next == Some('\n') => {
                scan.end_word();
                at += 1;
            }
            '\\' if next.is_some_and(|n| "\"'\\ $`".contains(n)) => {
                scan.push(chars[at + 1], places[at]);
                at += 1;
            }
            '"' | '\'' => match close(&chars, at) {
                Some(end) => {
                    let inner: String = unescaped(&chars[at + 1..end], c);
                    let place = places.get(at + 1).copied().unwrap_or(places[at]);
                    if inner.contains(char::is_whitespace) && depth < DEEPEST {
                        strings.push((inner.clone(), place));
                    }
                    inner.chars().for_each(|c| scan.push(c, place));
                    at = end;
                }
                None => scan.end_word(),
            },
            '#' if scan.word.is_none() => {
                while chars.get(at + 1).is_some_and(|c| *c != '\n') {
                    at += 1;
                }
            }
            '\n' | ';' | '|' | '&' => {
                // `2>&1` is no end.
                let redirected = scan.word.as_ref().is_some_and(|w| w.text.ends_with('>'));
                match c == '&' && (redirected || next == Some('>')) {
                    true => scan.push(c, places[at]),
                    false => scan.end_command(),
                }
            }
            '$' if next == Some('(') => match variable(&chars, at + 2) {
                // Of make; or what a command prints, which is a command itself.
                Some(end) => {
                    chars[at..=end].iter().for_each(|c| scan.push(*c, places[at]));
                    at = end;
                }
                None => {
                    scan.push(c, places[at]);
                    scan.end_command();
                    at += 1;
                }
            },
            // `${{ … }}` of workflows is one word, whatever is in it.
            '$' if next == Some('{') => {
                let end = chars[at..].iter().take(LONGEST_NAME).position(|c| *c == '}');
                let mut end = at + end.unwrap_or(1);
                while chars.get(end + 1) == Some(&'}') {
                    end += 1;
                }
                chars[at..=end.min(chars.len() - 1)].iter().for_each(|c| scan.push(*c, places[at]));
                at = end;
            }
            '(' | ')' | '`' => scan.end_command(),
            // Of lists in JSON and YAML.
            '[' | ']' | ',' | '{' | '}' => scan.end_word(),
            c if c.is_whitespace() => scan.end_word(),
            c => scan.push(c, places[at]),
        }
        at += 1;
    }
    scan.end_command();
    all.append(&mut scan.commands);
    for (inner, place) in strings {
        self::scan(&inner, place, depth + 1, all);
    }
}

/// The end of the string that begins there.
fn close(chars: &[char], at: usize) -> Option<usize> {
    let quote = chars[at];
    let mut end = at + 1;
    while let Some(&c) = chars.get(end) {
        match c {
            '\\' if quote == '"' => end += 1,
            c if c == quote => return Some(end),
            _ => {}
        }
        if end - at > LONGEST_STRING {
            return None;
        }
        end += 1;
    }
    None
}

fn unescaped(inner: &[char], quote: char) -> String {
    let mut out = String::new();
    let mut rest = inner.iter().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('\\', Some('"' | '\\' | '$' | '`')) if quote == '"' => out.extend(rest.next()),
            ('\\', Some('\n')) if quote == '"' => {
                rest.next();
                out.push(' ');
            }
            _ => out.push(*c),
        }
    }
    out
}

/// The end of `$(NAME)`, if it is one.
fn variable(chars: &[char], from: usize) -> Option<usize> {
    let end = from + chars.get(from..)?.iter().take(64).position(|c| *c == ')')?;
    let name = |c: &char| c.is_ascii_alphanumeric() || "_-.@<^".contains(*c);
    (end > from && chars[from..end].iter().all(name)).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        let join =
            |words: &Vec<Word>| words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join("·");
        commands(text).iter().map(join).collect()
    }

    #[test]
    fn commands_are_split_as_a_shell_would() {
        assert_eq!(words("a b; c && d | e & f"), ["a·b", "c", "d", "e", "f"]);
        assert_eq!(words("a \\\n  b\nc"), ["a·b", "c"]);
        assert_eq!(words("a 2>&1 >/dev/null # b c\nd"), ["a·2>&1·>/dev/null", "d"]);
        assert_eq!(words("a 'x y' \"z\""), ["a·x y·z", "x·y"]);
        assert_eq!(words("x=$(date +%s) a"), ["x=$", "date·+%s", "a"]);
        assert_eq!(words("\t$(PY) -m x $(PORT)"), ["$(PY)·-m·x·$(PORT)"]);
        assert_eq!(words("run: a ${{ x.y }} b"), ["run:·a·${{ x.y }}·b"]);
        assert_eq!(words("CMD [\"a\", \"-m\", \"b\"]"), ["CMD·a·-m·b"]);
        assert_eq!(words("\"s\": \"a \\\"b c\\\" d\""), ["s:·a \"b c\" d", "a·b c·d", "b·c"]);
        assert_eq!(words("don't stop"), ["don·t·stop"]);
        assert_eq!(words(""), Vec::<String>::new());
        for odd in ["$", "${", "$(", "\"", "\\", "'", "${{", "$()"] {
            commands(odd);
        }
    }

    #[test]
    fn words_know_where_they_are() {
        let text = "#!/bin/sh\n# nothing\nif true; then\n  exec a b\nfi\nsh -c \"x; y z\"\n";
        let all = commands(text);
        let place = |first: &str| {
            let mut words = all.iter().flatten();
            words.find(|word| word.text == first).map(|word| (word.line, word.column))
        };
        assert_eq!(place("a"), Some((4, 8)));
        assert_eq!(place("y"), Some((6, 11)));
    }
}
