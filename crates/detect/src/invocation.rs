//! Invocations: what a command line asks a program to do.
//!
//! Arguments are taken apart as the program itself takes them apart, option by option,
//! never searched as one line of text: in `nginx -c '/x -t'` nothing is a `-t`.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::words::glob;

/// How a program's command line is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArgumentStyle {
    /// `-name` is one option, not a cluster of letters, and equals `--name` (Go, Java, openssl).
    #[serde(default)]
    pub words: bool,
    /// Options that take the next argument as their value: `-c`, `--config`.
    #[serde(default)]
    pub values: Vec<String>,
}

/// A command line, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    /// Options with their values, in order.
    pub options: Vec<(String, Option<String>)>,
    /// What is no option and no option's value, in order.
    pub words: Vec<String>,
}

impl ArgumentStyle {
    /// Takes arguments (without the program's own name) apart.
    pub fn split(&self, args: &[String]) -> Arguments {
        let mut out = Arguments::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if arg == "--" {
                out.words.extend(args.by_ref().cloned());
            } else if arg == "-" || !arg.starts_with('-') {
                out.words.push(arg.clone());
            } else if self.words || arg.starts_with("--") {
                let (name, value) = match arg.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (arg.as_str(), None),
                };
                let value = match value {
                    None if self.takes_value(name) => args.next().cloned(),
                    value => value,
                };
                out.options.push((name.to_owned(), value));
            } else {
                self.split_cluster(arg, &mut args, &mut out);
            }
        }
        out
    }

    /// `-tq` is `-t -q`; a letter that takes a value takes the rest, else the next argument.
    fn split_cluster<'a>(
        &self,
        arg: &str,
        rest: &mut impl Iterator<Item = &'a String>,
        out: &mut Arguments,
    ) {
        // Some programs have long options with one dash beside their letters.
        if self.values.iter().any(|v| v == arg) && arg.len() > 2 {
            out.options.push((arg.to_owned(), rest.next().cloned()));
            return;
        }
        // The argument as a whole, for patterns such as `-vv` or `-version`.
        if arg.chars().count() > 2 {
            out.options.push((arg.to_owned(), None));
        }
        for (at, letter) in arg.char_indices().skip(1) {
            let option = format!("-{letter}");
            if self.takes_value(&option) {
                let attached = &arg[at + letter.len_utf8()..];
                let value = match attached.strip_prefix('=').unwrap_or(attached) {
                    "" => rest.next().cloned(),
                    attached => Some(attached.to_owned()),
                };
                out.options.push((option, value));
                return;
            }
            out.options.push((option, None));
        }
    }

    fn takes_value(&self, option: &str) -> bool {
        self.values.iter().any(|value| self.same_option(value, option))
    }

    fn same_option(&self, a: &str, b: &str) -> bool {
        a == b || (self.words && a.trim_start_matches('-') == b.trim_start_matches('-'))
    }
}

/// A description of command lines, for example `-t`, `-s=reload|stop`, `file-server`,
/// `s_server -WWW`, or the empty text for "no arguments at all".
///
/// Terms are parted by spaces and must all hold. A term that starts with `-` is an option;
/// with `=` its value must match one of the globs parted by `|`. Any other term is a word
/// that is no option and no option's value, in this order from the first one on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Invocation {
    text: String,
    options: Vec<(String, Vec<String>)>,
    words: Vec<Vec<String>>,
}

impl TryFrom<String> for Invocation {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut options = Vec::new();
        let mut words = Vec::new();
        let alternatives =
            |text: &str| -> Vec<String> { text.split('|').map(str::to_owned).collect() };
        for term in text.split_whitespace() {
            if !term.starts_with('-') || term == "-" {
                words.push(alternatives(term));
            } else if let Some((name, values)) = term.split_once('=') {
                if name.contains('|') {
                    return Err(format!(
                        "invocation {text:?}: alternatives are for values and words; \
                         write one invocation for each option"
                    ));
                }
                options.push((name.to_owned(), alternatives(values)));
            } else {
                options.push((term.to_owned(), Vec::new()));
            }
        }
        Ok(Self { text, options, words })
    }
}

impl std::fmt::Display for Invocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.text.is_empty() { f.write_str("(no arguments)") } else { f.write_str(&self.text) }
    }
}

impl Invocation {
    /// Whether arguments are of this kind.
    pub fn holds(&self, arguments: &Arguments, style: &ArgumentStyle) -> bool {
        if self.options.is_empty() && self.words.is_empty() {
            return arguments.options.is_empty() && arguments.words.is_empty();
        }
        let matches = |alternatives: &[String], text: &str| {
            alternatives.iter().any(|alternative| glob(alternative, text))
        };
        let option = |(name, values): &(String, Vec<String>)| {
            arguments.options.iter().any(|(given, value)| {
                (style.same_option(name, given) || (name.contains('*') && glob(name, given)))
                    && (values.is_empty() || value.as_deref().is_some_and(|v| matches(values, v)))
            })
        };
        self.options.iter().all(option)
            && self.words.len() <= arguments.words.len()
            && self.words.iter().zip(&arguments.words).all(|(term, word)| matches(term, word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(pattern: &str, values: &[&str], words: bool, line: &[&str]) -> bool {
        let style =
            ArgumentStyle { words, values: values.iter().map(|v| (*v).to_owned()).collect() };
        let args: Vec<String> = line.iter().map(|a| (*a).to_owned()).collect();
        let pattern = Invocation::try_from(pattern.to_owned()).unwrap();
        pattern.holds(&style.split(&args), &style)
    }

    #[test]
    fn options_are_read_as_the_program_reads_them() {
        let nginx = &["-c", "-p", "-g", "-e", "-s"];
        assert!(holds("-t", nginx, false, &["-t"]));
        assert!(holds("-t", nginx, false, &["-qt"]));
        assert!(holds("-s=reload|stop", nginx, false, &["-s", "reload"]));
        assert!(holds("-s=reload|stop", nginx, false, &["-sstop"]));
        assert!(!holds("-t", nginx, false, &["-c", "-t"]), "a value is no option");
        assert!(!holds("-t", nginx, false, &["-c", "/x -t"]), "nor is a part of one");
        assert!(!holds("-t", nginx, false, &["-g", "daemon off; -t"]));
        assert!(!holds("-t", nginx, false, &["--", "-t"]));
    }

    #[test]
    fn words_and_long_options() {
        assert!(holds("s_server -WWW", &["-port"], true, &["s_server", "-port", "80", "-WWW"]));
        assert!(!holds("s_server -WWW", &["-port"], true, &["s_server", "-port", "-WWW"]));
        assert!(holds("-version", &[], true, &["--version"]));
        assert!(holds("serve http|webdav", &[], false, &["--vfs", "serve", "webdav"]));
        assert!(!holds("serve http|webdav", &[], false, &["copy", "webdav"]));
        assert!(holds("", &[], false, &[]));
        assert!(!holds("", &[], false, &["x"]));
        assert!(holds("--mode=validate", &["--mode"], false, &["--mode", "validate"]));
        assert!(holds("-D=DUMP_*", &["-D"], false, &["-DDUMP_VHOSTS"]));
        assert!(holds("-vv", &[], false, &["-vv"]));
    }
}
