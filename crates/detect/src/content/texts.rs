//! Many texts looked for at once, at the speed of memory.
//!
//! Every text is [`SHORTEST`] bytes or longer, so that of its bytes some group of [`GRAM`] begins at
//! a multiple of [`STRIDE`], wherever the text lies: one look for every `STRIDE` bytes is enough. A
//! look asks two sieves whether the eight bytes there belong to any text, and nearly always they say
//! no. Else a table says to which, and where in it, and the text is compared. (An Aho-Corasick
//! automaton takes a step for every byte, and was ten times slower.)

/// A text must have as many bytes.
pub(super) const SHORTEST: usize = 12;
/// Bytes that one look compares.
const GRAM: usize = 8;
/// Bytes from one look to the next.
const STRIDE: usize = SHORTEST - GRAM + 1;
/// A sieve has a bit for each hash, and stays in the nearest caches.
const BITS: u32 = 18;
/// What the hashes of the two sieves multiply by: odd numbers without a pattern.
const FACTORS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f];

/// The texts, ready to be looked for.
#[derive(Debug, Clone)]
pub(crate) struct Texts {
    texts: Vec<Vec<u8>>,
    sieves: [Vec<u64>; 2],
    /// In order of the gram.
    grams: Vec<Gram>,
    longest: usize,
}

/// Eight bytes of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Gram {
    bytes: u64,
    text: usize,
    /// Where in the text they are.
    offset: usize,
}

impl Texts {
    /// Prepares the texts, each of [`SHORTEST`] bytes or more. They are known by their place.
    pub(crate) fn new(texts: &[Vec<u8>]) -> Self {
        let mut grams: Vec<Gram> = Vec::new();
        for (number, text) in texts.iter().enumerate() {
            let core = core(text);
            let here = (core..core + STRIDE).filter_map(|offset| {
                Some(Gram { bytes: gram(text.get(offset..)?)?, text: number, offset })
            });
            grams.extend(here);
        }
        grams.sort_unstable();
        let sieve = |factor| {
            let mut sieve = vec![0; 1 << (BITS - 6)];
            for gram in &grams {
                let (word, bit) = place(gram.bytes, factor);
                sieve[word] |= bit;
            }
            sieve
        };
        let sieves = FACTORS.map(sieve);
        let longest = texts.iter().map(Vec::len).max().unwrap_or(0);
        Self { texts: texts.to_vec(), sieves, grams, longest }
    }

    /// Bytes that two pieces of a file must share, so that no text is cut in two.
    pub(crate) fn overlap(&self) -> usize {
        self.longest
    }

    /// Calls `on` with each text in `bytes` and where it ends. A text may be told twice.
    pub(crate) fn find(&self, bytes: &[u8], mut on: impl FnMut(usize, usize)) {
        let mut at = 0;
        while let Some(seen) = bytes.get(at..).and_then(gram) {
            let passes = |i: usize| {
                let (word, bit) = place(seen, FACTORS[i]);
                self.sieves[i][word] & bit != 0
            };
            if passes(0) && passes(1) {
                let first = self.grams.partition_point(|gram| gram.bytes < seen);
                for gram in self.grams[first..].iter().take_while(|gram| gram.bytes == seen) {
                    let text = &self.texts[gram.text];
                    let begin = at.checked_sub(gram.offset);
                    if begin.is_some_and(|begin| bytes[begin..].starts_with(text)) {
                        on(gram.text, at - gram.offset + text.len());
                    }
                }
            }
            at += STRIDE;
        }
    }
}

fn gram(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(..GRAM)?.try_into().ok()?))
}

fn place(gram: u64, factor: u64) -> (usize, u64) {
    let hash = gram.wrapping_mul(factor) >> (64 - BITS);
    ((hash >> 6) as usize, 1 << (hash & 63))
}

/// Where the part of a text begins that is looked for: the one with the most different bytes, since
/// blanks and dashes in a row are everywhere.
fn core(text: &[u8]) -> usize {
    let variety = |part: &[u8]| {
        let mut seen = [false; 256];
        part.iter().filter(|b| !std::mem::replace(&mut seen[usize::from(**b)], true)).count()
    };
    let parts = text.windows(SHORTEST).enumerate();
    parts.max_by_key(|(_, part)| variety(part)).map_or(0, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(texts: &[&str], bytes: &[u8]) -> Vec<(usize, usize)> {
        let texts: Vec<Vec<u8>> = texts.iter().map(|t| t.as_bytes().to_vec()).collect();
        let mut all = Vec::new();
        Texts::new(&texts).find(bytes, |which, end| all.push((which, end)));
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
        Texts::new(&owned).find(&text, |which, end| ours.push((which, end)));
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
