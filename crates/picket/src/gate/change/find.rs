//! The line in which a command stands that was executed.

use std::ops::RangeInclusive;

use super::words::Word;

/// Words of one command that are looked at.
const MOST_WORDS: usize = 300;

/// Where something stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// What was executed: its words, as far as they are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Executed {
    pub(super) args: Vec<String>,
    /// There may have been more, and the last one may have been longer.
    pub(super) cut: bool,
}

/// Lines of a text, from 1.
pub(super) type Lines = RangeInclusive<u32>;

/// Where a command stands, as near to word by word as can be; among these lines, or anywhere.
pub(super) fn command(
    commands: &[Vec<Word>],
    executed: &Executed,
    among: &[Lines],
) -> Option<Spot> {
    let mut best: Option<(usize, Spot)> = None;
    for words in commands {
        for (start, word) in words.iter().enumerate().take(MOST_WORDS) {
            if !among.is_empty() && !among.iter().any(|lines| lines.contains(&word.line)) {
                continue;
            }
            let Some(score) = score(&words[start..], executed) else { continue };
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, Spot { line: word.line, column: word.column }));
            }
        }
    }
    best.map(|(_, spot)| spot)
}

/// How many words of a command agree with what was executed; `None` if one does not.
fn score(words: &[Word], executed: &Executed) -> Option<usize> {
    let (first, rest) = words.split_first()?;
    let (program, given) = executed.args.split_first()?;
    let mut score = match first.is_open() {
        true => 0,
        false if base(first.bare()) == base(program) => 2,
        false => return None,
    };
    let mut open = first.is_open();
    let mut given = given.iter();
    let mut rest = rest.iter().take(MOST_WORDS);
    while let Some(word) = rest.next() {
        if let Some(to) = redirection(&word.text) {
            if to.is_empty() {
                rest.next();
            }
            continue;
        }
        if word.is_open() {
            open = true;
            continue;
        }
        match given.by_ref().find(|arg| is(arg, &word.text)) {
            Some(_) => score += 1,
            None if executed.cut => break,
            None => return None,
        }
    }
    // More was executed than stands there: only a variable can have brought it.
    let whole = given.next().is_none() || open || executed.cut;
    // Variables alone say nothing.
    (whole && score >= 2).then_some(score * 2 + usize::from(!open))
}

/// Whether a word was executed as it stands there. Secrets were masked in what was executed.
fn is(arg: &str, word: &str) -> bool {
    arg == word
        || arg.split_once(detect::mask::MASK).is_some_and(|(start, _)| word.starts_with(start))
}

/// Where a redirection leads to; nothing, if that is the next word.
fn redirection(word: &str) -> Option<&str> {
    let bare = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
    bare.starts_with(['>', '<']).then(|| bare.trim_start_matches(['>', '<']))
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Where a text names most of what was executed: in the code of another language, as
/// `["python3", "-m", "http.server"]`.
pub(super) fn mention(text: &str, args: &[String]) -> Option<Spot> {
    let telling: Vec<&str> = telling(args).collect();
    let mut best: Option<(usize, Spot)> = None;
    for (line, number) in text.lines().zip(1_u32..) {
        if line.trim_start().starts_with(['#', '*']) || line.trim_start().starts_with("//") {
            continue;
        }
        let Some(at) = telling.iter().find_map(|word| whole(line, word)) else { continue };
        let score = args.iter().filter(|arg| whole(line, base(arg)).is_some()).count();
        let column =
            u32::try_from(line[..at].chars().count()).unwrap_or(u32::MAX).saturating_add(1);
        if best.is_none_or(|(most, _)| score > most) {
            best = Some((score, Spot { line: number, column }));
        }
    }
    best.map(|(_, spot)| spot)
}

/// Words that few other lines have, the longest first.
fn telling(args: &[String]) -> impl Iterator<Item = &str> {
    /// Programs that run anything.
    const COMMON: [&str; 14] = [
        "python", "python3", "node", "ruby", "perl", "php", "java", "bash", "busybox", "npx",
        "exec", "true", "serve", "start",
    ];
    let mut words: Vec<&str> = args.iter().map(|arg| base(arg)).collect();
    words.retain(|word| {
        let letters = word.chars().filter(|c| c.is_alphabetic()).count();
        letters >= 4 && !word.starts_with('-') && !COMMON.contains(word)
    });
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.truncate(4);
    words.into_iter()
}

/// Where a word stands by itself.
fn whole(line: &str, word: &str) -> Option<usize> {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let mut from = 0;
    while let Some(at) = line.get(from..)?.find(word).map(|at| at + from) {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        if !word.is_empty() && !part(before.chars().next_back()) && !part(after.chars().next()) {
            return Some(at);
        }
        from = at + word.chars().next().map_or(1, char::len_utf8);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::words::commands;
    use super::*;

    fn args(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    fn executed(text: &str) -> Executed {
        Executed { args: args(text), cut: false }
    }

    fn at(text: &str, line: &str) -> Option<(u32, u32)> {
        command(&commands(text), &executed(line), &[]).map(|spot| (spot.line, spot.column))
    }

    #[test]
    fn a_command_is_found_word_by_word() {
        let script = "#!/bin/sh\n# python3 -m http.server 8000\necho python3\n\
                      PORT=8000 nohup python3 -m http.server \"$PORT\" >/dev/null 2>&1 &\n\
                      python3 -m http.server 9000\n./nginx -c x\n";
        assert_eq!(at(script, "python3 -m http.server 8000"), Some((4, 17)));
        assert_eq!(at(script, "/usr/bin/python3 -m http.server 9000"), Some((5, 1)));
        assert_eq!(at(script, "/opt/nginx -c x"), Some((6, 1)));
        assert_eq!(at(script, "python3 -m other"), None);
        assert_eq!(at(script, "nginx -c x -g more"), None);
        assert_eq!(at("\"$PY\" -m http.server $PORT", "python3 -m http.server 1"), Some((1, 2)));
        assert_eq!(at("a b > /dev/null 2> x c", "a b c"), Some((1, 1)));
        let cut = Executed { args: args("a b"), cut: true };
        assert!(command(&commands("a b c d"), &cut, &[]).is_some());
        assert_eq!(at("a --token=s3cret b", "a --token=*** b"), Some((1, 1)));
        assert_eq!(at("a --other=s3cret b", "a --token=*** b"), None);
        assert_eq!(at("\t-@a b", "a b"), Some((1, 2)));
        assert_eq!(at("exec \"$@\"", "nginx -c x"), None);
        assert_eq!(at("  run: make serve\n", "make serve"), Some((1, 8)));
        let lines =
            command(&commands("a b\na b\na b\n"), &executed("a b"), &[2..=2]).map(|spot| spot.line);
        assert_eq!(lines, Some(2));
    }

    #[test]
    fn a_mention_is_a_word_of_its_own() {
        let code = "# http.server\nimport xhttp.server\np = Popen([sys.executable, '-m', 'http.server', str(p)])\n";
        let spot = mention(code, &args("python3 -m http.server 8000"));
        assert_eq!(spot, Some(Spot { line: 3, column: 35 }));
        assert_eq!(mention("nothing\n", &args("python3 -m http.server")), None);
        assert_eq!(mention("é nginx", &args("/tmp/nginx")).unwrap().column, 3);
    }
}
