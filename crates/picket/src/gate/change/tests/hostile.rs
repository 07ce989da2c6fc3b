//! Texts that are out for trouble: they end in time, and nothing panics.

use std::time::{Duration, Instant};

use super::super::find::{self, Executed};
use super::super::words::commands;
use super::super::{makefile, package, starters};

/// A quarter of what is read of a file.
const LONG: usize = 64 << 10;
/// What takes a fraction of this in a program that was made fast.
const PATIENCE: Duration = Duration::from_secs(10);

fn all(text: &str) {
    let executed = Executed { args: vec!["python3".to_owned(), "-m".to_owned()], cut: false };
    let words = commands(text);
    find::command(&words, &executed, &[]);
    find::mention(text, &executed.args);
    makefile::lines(text, &[]);
    makefile::lines(text, &["a".to_owned()]);
    package::scripts(text, &["a".to_owned()]);
    let args: Vec<String> = text.split(' ').take(100).map(str::to_owned).collect();
    starters::of(&args);
}

#[test]
fn long_texts_end_in_time() {
    for piece in [
        "\"",
        "'",
        "\"'",
        "\\\"",
        "${",
        "${{",
        "$(",
        "$x ",
        "`",
        "(",
        "((",
        "a ",
        "a\n",
        "\t",
        "\\\n",
        "#",
        "a:a ",
        "%: a b\n",
        "a: a\n",
        "{\"scripts\":",
        "\"a\":",
        "&",
        "2>",
        "é",
        "\u{0}",
        "python3 ",
        "-m",
    ] {
        let began = Instant::now();
        all(&piece.repeat(LONG / piece.len()));
        assert!(began.elapsed() < PATIENCE, "{piece:?} took {:?}", began.elapsed());
    }
}

/// Pieces in an order that is the same each time.
#[test]
fn any_mixture_is_survived() {
    const PIECES: [&str; 34] = [
        "\"", "'", "\\", "$", "{", "}", "{{", "}}", "(", ")", "`", "#", "\n", "\t", " ", ":", "=",
        "%", ",", "[", "]", ";", "&", "|", ">", "<", "a", "python3", "-m", "-c", "é", "\u{202e}",
        "scripts", "\\\n",
    ];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..20_000 {
        let length = next() % 24;
        let piece = |n: u64| PIECES[usize::try_from(n % PIECES.len() as u64).unwrap()];
        let text: String = (0..length).map(|_| piece(next())).collect();
        all(&text);
    }
}
