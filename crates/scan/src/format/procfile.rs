//! Procfiles: a name, a colon, and a command for a shell in each line.

use crate::site::{Sites, inside};
use crate::text::Piece;

pub(super) fn file(text: &str, sites: &mut Sites) {
    for line in Piece::at(text, 0).lines() {
        let Some((name, _)) = line.as_str().split_once(':') else { continue };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !name.is_empty() && name.chars().all(plain) {
            let command = line.slice(name.len() + 1..line.as_str().len()).trim();
            sites.shell(&inside(&Vec::new(), "process", name), &command);
        }
    }
}
