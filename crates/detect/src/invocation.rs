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
    /// Options still count behind words that are none (GNU getopt, Python's argparse).
    #[serde(default)]
    pub mixed: bool,
    /// Options that take the next argument as their value: `-c`, `--config`.
    #[serde(default)]
    pub values: Vec<String>,
}

/// A command line, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arguments {
    options: Vec<Given>,
    words: Vec<Word>,
    /// Whether an option came that the style does not list, which may take the next argument.
    unlisted: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Given {
    name: String,
    value: Option<String>,
    /// How many words stand before it.
    behind: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    /// No option before it could have taken it for its value.
    sure: bool,
}

impl Arguments {
    fn option(&mut self, name: &str, value: Option<String>) {
        let behind = self.words.len();
        self.options.push(Given { name: name.to_owned(), value, behind });
    }

    fn word(&mut self, text: &str) {
        let sure = !self.unlisted;
        self.words.push(Word { text: text.to_owned(), sure });
    }
}

impl ArgumentStyle {
    /// Takes arguments (without the program's own name) apart.
    pub fn split(&self, args: &[String]) -> Arguments {
        let mut out = Arguments::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if arg == "--" {
                for word in args.by_ref() {
                    out.word(word);
                }
            } else if arg == "-" || !arg.starts_with('-') {
                out.word(arg);
            } else if self.words || arg.starts_with("--") {
                let (name, value) = match arg.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None if self.takes_value(arg) => (arg.as_str(), args.next().cloned()),
                    None => {
                        out.unlisted = true;
                        (arg.as_str(), None)
                    }
                };
                out.option(name, value);
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
            out.option(arg, rest.next().cloned());
            return;
        }
        // The argument as a whole, for patterns such as `-vv` or `-version`.
        if arg.chars().count() > 2 {
            out.option(arg, None);
        }
        for (at, letter) in arg.char_indices().skip(1) {
            let option = format!("-{letter}");
            if self.takes_value(&option) {
                let attached = &arg[at + letter.len_utf8()..];
                let value = match attached.strip_prefix('=').unwrap_or(attached) {
                    "" => rest.next().cloned(),
                    attached => Some(attached.to_owned()),
                };
                out.option(&option, value);
                return;
            }
            out.option(&option, None);
        }
        out.unlisted = true;
    }

    fn takes_value(&self, option: &str) -> bool {
        // GNU getopt takes `--conf` for `--config`.
        let abbreviates = |value: &str| {
            !self.words && option.len() > 3 && option.starts_with("--") && value.starts_with(option)
        };
        self.values.iter().any(|value| self.same_option(value, option) || abbreviates(value))
    }

    fn same_option(&self, a: &str, b: &str) -> bool {
        a == b || (self.words && a.trim_start_matches('-') == b.trim_start_matches('-'))
    }
}

/// A description of command lines, for example `-t`, `-s=reload|stop`, `file-server`,
/// `s_server -WWW`, `-v !-b`, or the empty text for "no arguments at all".
///
/// Terms are parted by spaces and must all hold. A term that starts with `-` is an option;
/// with `=` its value must match one of the globs parted by `|`. With `!` before it, the option
/// must be absent. Any other term is a word that is no option and no option's value, in this
/// order from the first one on; `$` at the end says that no further word follows.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String")]
pub struct Invocation {
    text: String,
    options: Vec<Term>,
    absent: Vec<Term>,
    words: Vec<Vec<String>>,
    no_more_words: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    name: String,
    values: Vec<String>,
}

/// How sure an invocation must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rigour {
    /// For what makes a server: any reading that fits.
    Loose,
    /// For what clears one: no reading may speak against it. An option counts only where the
    /// program must take it for one, and every time that it is given.
    Strict {
        /// How many words the program's own sub-command has: options behind these are still its.
        behind: usize,
    },
}

impl TryFrom<String> for Invocation {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut new = Self {
            text,
            options: Vec::new(),
            absent: Vec::new(),
            words: Vec::new(),
            no_more_words: false,
        };
        for term in new.text.split_whitespace() {
            if term == "$" {
                new.no_more_words = true;
                continue;
            }
            let (absent, option) = match term.strip_prefix('!') {
                Some(option) => (true, option),
                None => (false, term),
            };
            if !option.starts_with('-') || option == "-" {
                if absent {
                    return Err(format!("invocation {:?}: `!` is for options", new.text));
                }
                new.words.push(alternatives(term));
                continue;
            }
            let (name, values) = option.split_once('=').unwrap_or((option, ""));
            if name.contains('|') {
                return Err(format!(
                    "invocation {:?}: alternatives are for values and words; \
                     write one invocation for each option",
                    new.text
                ));
            }
            let values = if option.contains('=') { alternatives(values) } else { Vec::new() };
            let term = Term { name: name.to_owned(), values };
            if absent { new.absent.push(term) } else { new.options.push(term) }
        }
        Ok(new)
    }
}

fn alternatives(text: &str) -> Vec<String> {
    text.split('|').map(str::to_owned).collect()
}

fn matches(alternatives: &[String], text: &str) -> bool {
    alternatives.iter().any(|alternative| glob(alternative, text))
}

impl std::fmt::Display for Invocation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.text.is_empty() { f.write_str("(no arguments)") } else { f.write_str(&self.text) }
    }
}

impl Invocation {
    /// How many words it names.
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// Whether arguments are of this kind.
    pub fn holds(&self, arguments: &Arguments, style: &ArgumentStyle, rigour: Rigour) -> bool {
        let strict = rigour != Rigour::Loose;
        if self.options.is_empty() && self.words.is_empty() {
            return arguments.options.is_empty()
                && arguments.words.is_empty()
                && self.absent.is_empty();
        }
        self.options.iter().all(|term| self.option_holds(term, arguments, style, rigour))
            && !self
                .absent
                .iter()
                .any(|term| self.option_holds(term, arguments, style, Rigour::Loose))
            && self.words.len() <= arguments.words.len()
            && (!self.no_more_words || self.words.len() == arguments.words.len())
            && self
                .words
                .iter()
                .zip(&arguments.words)
                .all(|(term, word)| matches(term, &word.text) && (word.sure || !strict))
    }

    fn option_holds(
        &self,
        term: &Term,
        arguments: &Arguments,
        style: &ArgumentStyle,
        rigour: Rigour,
    ) -> bool {
        let strict = rigour != Rigour::Loose;
        let is_it = |given: &&Given| {
            style.same_option(&term.name, &given.name)
                || (term.name.contains('*') && glob(&term.name, &given.name))
        };
        let fits = |given: &Given| match &given.value {
            // `--help=false` does not ask for help.
            Some(value) if term.values.is_empty() => {
                !strict || style.takes_value(&given.name) || value == "true"
            }
            Some(value) => matches(&term.values, value),
            None => term.values.is_empty(),
        };
        let mut given = arguments.options.iter().filter(is_it);
        let Rigour::Strict { behind } = rigour else { return given.any(fits) };
        // Behind a word that is not the program's own, an option may be another program's.
        let own = behind.max(self.words.len());
        let counts = |given: &Given| style.mixed || given.behind <= own;
        let mut given = given.peekable();
        given.peek().is_some_and(|first| counts(first)) && given.all(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(pattern: &str, values: &[&str], words: bool, line: &[&str]) -> bool {
        let style = ArgumentStyle {
            words,
            mixed: false,
            values: values.iter().map(|v| (*v).to_owned()).collect(),
        };
        let args: Vec<String> = line.iter().map(|a| (*a).to_owned()).collect();
        let pattern = Invocation::try_from(pattern.to_owned()).unwrap();
        pattern.holds(&style.split(&args), &style, Rigour::Strict { behind: 0 })
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
        assert!(!holds("serve http|webdav", &[], false, &["copy", "webdav"]));
        assert!(holds("", &[], false, &[]));
        assert!(!holds("", &[], false, &["x"]));
        assert!(holds("--mode=validate", &["--mode"], false, &["--mode", "validate"]));
        assert!(holds("-D=DUMP_*", &["-D"], false, &["-DDUMP_VHOSTS"]));
        assert!(holds("-vv", &[], false, &["-vv"]));
    }

    #[test]
    fn nothing_clears_a_server_that_could_be_read_otherwise() {
        let values = &["--config", "-m"];
        assert!(!holds("-version", &[], true, &["-hooks", "h", "x", "-version"]), "behind a word");
        assert!(!holds("--help", values, false, &["--help=false"]));
        assert!(holds("--help", values, false, &["--help=true"]));
        assert!(!holds("version", &[], true, &["--entrypoints.x.address", "version"]));
        assert!(holds("version", values, false, &["--config", "x", "version"]));
        assert!(!holds("--test", values, false, &["--conf", "--test"]), "an abbreviation");
        assert!(!holds("-m=test", values, false, &["-m", "test", "-m", "worker"]), "repeated");
        assert!(!holds("-t !-m", values, false, &["-t", "-m", "worker"]));
        assert!(holds("-t !-m", values, false, &["-t"]));
    }
}
