//! Many texts looked for at once, at the speed of memory.
//!
//! One Aho-Corasick automaton knows all texts. It takes a step for every byte, which is too slow
//! for a program of 100 MB; so a sieve goes first and shows it only the places that matter. Every
//! text is [`SHORTEST`] bytes or longer, so that of its bytes some group of [`GRAM`] begins at a
//! multiple of [`STRIDE`], wherever the text lies: one look for every `STRIDE` bytes is enough.

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

/// A text must have as many bytes.
pub(super) const SHORTEST: usize = 12;
/// Bytes that one look of the sieve compares.
const GRAM: usize = 8;
/// Bytes from one look to the next.
const STRIDE: usize = SHORTEST - GRAM + 1;
/// The first sieve: a bit for each hash, small enough to stay in the fastest cache.
const BITS: u32 = 18;

/// The texts, ready to be looked for.
#[derive(Debug, Clone)]
pub(crate) struct Texts {
    automaton: AhoCorasick,
    coarse: Vec<u64>,
    fine: Vec<u64>,
    longest: usize,
}

impl Texts {
    /// Prepares the texts, each of [`SHORTEST`] bytes or more. They are known by their place.
    pub(crate) fn new(texts: &[Vec<u8>]) -> Result<Self, String> {
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(texts)
            .map_err(|e| format!("cannot prepare {} texts: {e}", texts.len()))?;
        let mut grams: Vec<u64> = Vec::new();
        for text in texts {
            let core = core(text);
            grams.extend((0..STRIDE).filter_map(|i| gram(core.get(i..)?)));
        }
        grams.sort_unstable();
        grams.dedup();
        let mut coarse = vec![0; 1 << (BITS - 6)];
        for gram in &grams {
            let (word, bit) = place(*gram);
            coarse[word] |= bit;
        }
        let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
        Ok(Self { automaton, coarse, fine: grams, longest })
    }

    /// Bytes that two pieces of a file must share, so that no text is cut in two.
    pub(crate) fn overlap(&self) -> usize {
        self.longest
    }

    /// Calls `on` with each text in `bytes` and where it ends. A text may be told twice.
    pub(crate) fn find(&self, bytes: &[u8], mut on: impl FnMut(usize, usize)) {
        let mut window: Option<(usize, usize)> = None;
        let mut at = 0;
        while let Some(gram) = bytes.get(at..).and_then(gram) {
            let (word, bit) = place(gram);
            if self.coarse[word] & bit != 0 && self.fine.binary_search(&gram).is_ok() {
                let begin = at.saturating_sub(self.longest);
                let end = (at + self.longest).min(bytes.len());
                window = Some(match window {
                    Some((from, to)) if begin <= to => (from, end),
                    Some((from, to)) => {
                        self.verify(bytes, from, to, &mut on);
                        (begin, end)
                    }
                    None => (begin, end),
                });
            }
            at += STRIDE;
        }
        if let Some((from, to)) = window {
            self.verify(bytes, from, to, &mut on);
        }
    }

    fn verify(&self, bytes: &[u8], from: usize, to: usize, on: &mut impl FnMut(usize, usize)) {
        for found in self.automaton.find_overlapping_iter(&bytes[from..to]) {
            on(found.pattern().as_usize(), from + found.end());
        }
    }
}

fn gram(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(..GRAM)?.try_into().ok()?))
}

fn place(gram: u64) -> (usize, u64) {
    let hash = gram.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BITS);
    ((hash >> 6) as usize, 1 << (hash & 63))
}

/// The part of a text that the sieve knows: the one with the most different bytes, since blanks and
/// dashes in a row are everywhere.
fn core(text: &[u8]) -> &[u8] {
    let variety = |part: &&[u8]| {
        let mut seen = [false; 256];
        part.iter().filter(|b| !std::mem::replace(&mut seen[usize::from(**b)], true)).count()
    };
    text.windows(SHORTEST.min(text.len().max(1))).max_by_key(variety).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(texts: &[&str], bytes: &[u8]) -> Vec<(usize, usize)> {
        let texts: Vec<Vec<u8>> = texts.iter().map(|t| t.as_bytes().to_vec()).collect();
        let mut all = Vec::new();
        Texts::new(&texts).unwrap().find(bytes, |which, end| all.push((which, end)));
        all.sort_unstable();
        all.dedup();
        all
    }

    #[test]
    fn a_text_is_found_wherever_it_lies() {
        let texts = ["twelve bytes", "a much longer text that goes on for a while"];
        for before in 0..40 {
            for after in 0..20 {
                let mut bytes = vec![b'x'; before];
                bytes.extend(texts[0].as_bytes());
                bytes.extend(vec![b'y'; after]);
                assert_eq!(found(&texts, &bytes), [(0, before + 12)]);
                bytes.extend(texts[1].as_bytes());
                assert_eq!(found(&texts, &bytes), [(0, before + 12), (1, bytes.len())]);
            }
        }
    }

    #[test]
    fn overlapping_and_repeated_texts_are_found() {
        let texts = ["abcdefghijklmn", "cdefghijklmnop"];
        assert_eq!(found(&texts, b"..abcdefghijklmnop"), [(0, 16), (1, 18)]);
        assert_eq!(found(&["--------------"], &[b'-'; 16]), [(0, 14), (0, 15), (0, 16)]);
        assert_eq!(found(&texts, b"abcdefghijkl"), []);
        assert_eq!(found(&texts, b""), []);
        assert_eq!(found(&[], b"anything at all"), []);
    }

    #[test]
    fn it_finds_what_a_plain_search_finds() {
        // Few letters, so that everything nearly matches.
        let mut seed = 7_u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            b'a' + u8::try_from(seed >> 62).unwrap()
        };
        let text: Vec<u8> = (0..60_000).map(|_| next()).collect();
        let needles: Vec<&[u8]> = (0..200).map(|i| &text[i * 290..][..12 + i % 30]).collect();
        let owned: Vec<Vec<u8>> = needles.iter().map(|n| n.to_vec()).collect();
        let mut ours = Vec::new();
        Texts::new(&owned).unwrap().find(&text, |which, end| ours.push((which, end)));
        ours.sort_unstable();
        ours.dedup();
        let mut plain = Vec::new();
        for (which, needle) in needles.iter().enumerate() {
            for (at, window) in text.windows(needle.len()).enumerate() {
                if window == *needle {
                    plain.push((which, at + needle.len()));
                }
            }
        }
        plain.sort_unstable();
        assert_eq!(ours, plain);
    }
}
