//! Changes to an input: what a hostile hand would do, and what chance would.

/// Numbers that follow from a seed, the same ones every time.
pub struct Chance(u64);

impl Chance {
    /// Chance for a target: each has its own.
    pub fn new(name: &str) -> Self {
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(hash | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 16).unwrap() % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[7]
    }

    /// A place in these bytes, or right behind them.
    fn place(&mut self, bytes: &[u8]) -> usize {
        self.below(bytes.len() + 1)
    }

    /// A part of these bytes, mostly a short one.
    fn part(&mut self, bytes: &[u8]) -> (usize, usize) {
        let from = self.place(bytes);
        let most = if self.below(4) == 0 { bytes.len() } else { 16 };
        let len = self.below((bytes.len() - from).min(most) + 1);
        (from, from + len)
    }
}

/// Numbers at which arithmetic goes wrong.
const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    7,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_fff0,
    0xffff_ffff_ffff_ffff,
];

/// Changes `bytes` at a few places. `others` are other inputs, `words` what the parser looks for;
/// the result is at most `longest` bytes long.
pub fn mutate(
    bytes: &mut Vec<u8>,
    others: &[(String, Vec<u8>)],
    words: &[Vec<u8>],
    longest: usize,
    chance: &mut Chance,
) {
    for _ in 0..=chance.below(4) {
        once(bytes, others, words, longest, chance);
        bytes.truncate(longest);
    }
}

fn once(
    bytes: &mut Vec<u8>,
    others: &[(String, Vec<u8>)],
    words: &[Vec<u8>],
    longest: usize,
    chance: &mut Chance,
) {
    let (from, to) = chance.part(bytes);
    match chance.below(12) {
        // Bits and bytes.
        0 => {
            if let Some(byte) = bytes.get_mut(from) {
                *byte ^= 1 << chance.below(8);
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(from) {
                *byte = chance.byte();
            }
        }
        // A number, either way round.
        2 | 3 => {
            let near = chance.below(5) as u64;
            let number = NUMBERS[chance.below(NUMBERS.len())].wrapping_add(near).wrapping_sub(2);
            let number = if chance.below(4) == 0 { bytes.len() as u64 } else { number };
            let width = 1 << chance.below(4);
            let mut raw = number.to_le_bytes()[..width].to_vec();
            if chance.below(2) == 0 {
                raw.reverse();
            }
            overwrite(bytes, from, &raw);
        }
        // A word that the parser looks for.
        4 if !words.is_empty() => {
            let word = &words[chance.below(words.len())];
            bytes.splice(from..from, word.iter().copied());
        }
        5 if !words.is_empty() => overwrite(bytes, from, &words[chance.below(words.len())]),
        // Less.
        6 => drop(bytes.drain(from..to)),
        7 => bytes.truncate(from),
        // More of the same, up to very much more of it.
        8 | 9 => {
            let part: Vec<u8> =
                if from == to { vec![chance.byte()] } else { bytes[from..to].into() };
            let most = if chance.below(16) == 0 { longest / part.len() } else { 8 };
            let more = part.repeat(1 + chance.below(most));
            bytes.splice(to..to, more);
        }
        // A part of another input, or of this one.
        10 if !others.is_empty() => {
            let other = &others[chance.below(others.len())].1;
            let (begin, end) = chance.part(other);
            bytes.splice(from..to, other[begin..end].iter().copied());
        }
        _ => {
            let part: Vec<u8> = bytes[from..to].into();
            let place = chance.place(bytes);
            overwrite(bytes, place, &part);
        }
    }
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (byte, new) in bytes.iter_mut().skip(at).zip(with) {
        *byte = *new;
    }
}
