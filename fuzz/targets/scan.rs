//! Files of a repository: a letter that says of which kind, then the text.

use scan::Kind;

use crate::rules::CATALOGUE;

pub(super) fn run(data: &[u8]) {
    let Some((letter, text)) = data.split_first() else { return };
    let kind = Kind::ALL[usize::from(*letter) % Kind::ALL.len()];
    let text = String::from_utf8_lossy(text);
    let found = scan::scan(&CATALOGUE, kind, &text);
    let lines = text.split('\n').count();
    for start in &found.starts {
        assert!((1..=lines).contains(&start.position.line), "{:?} of {lines}", start.position);
        assert!(start.position.column > 0 && !start.command.is_empty());
    }
    if let Some((at, why)) = &found.unread {
        assert!((1..=lines).contains(&at.line) && at.column > 0 && !why.is_empty(), "{at:?} {why}");
    }
    Kind::of(&text, &text);
    Kind::may_be(&text);
}
