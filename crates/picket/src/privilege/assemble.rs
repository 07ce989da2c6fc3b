//! Makes a seccomp filter: rules in, instructions out.

use probe::confine::Instruction;

// Places in the kernel's `struct seccomp_data`, and the few instructions that are needed.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const POINTER_LOW: u32 = 8;
const ARGUMENTS: u32 = 16;
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const EQUAL: u16 = 0x15;
const ABOVE: u16 = 0x25;
const AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;

const ALLOW: u32 = 0x7fff_0000;
const FAIL: u32 = 0x0005_0000;
const KILL: u32 = 0x8000_0000;

#[cfg(target_arch = "x86_64")]
const OURS: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const OURS: u32 = 0xc000_00b7;

/// What must hold of a call. Arguments are numbered from 0.
#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    /// The low half of an argument is this.
    Is(u32, u32),
    /// The low half of an argument is anything else.
    IsNot(u32, u32),
    /// None of these bits is set in the low half.
    Without(u32, u32),
    /// The whole of an argument is this.
    Exactly(u32, u64),
    /// The whole of an argument is greater; the limit has 32 bits.
    Above(u32, u32),
    /// The call comes from an instruction between these addresses, the second excluded.
    From(u32, u32),
}

/// A system call that is allowed, and when: if all tests of one of the lists hold. No list at all:
/// always.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) call: i64,
    pub(super) when: Vec<Vec<Test>>,
    /// The error otherwise.
    pub(super) error: u32,
}

/// A filter that allows what the rules say; everything else is answered with an error.
pub(super) fn program(rules: &[Rule], error: u32) -> Vec<Instruction> {
    let mut out = vec![
        load(MACHINE),
        jump(EQUAL, OURS, 1, 0),
        give(KILL),
        load(NUMBER),
        // Calls of the x32 kind have numbers from here on; nobody uses them.
        jump(AT_LEAST, 0x4000_0000, 0, 1),
        give(FAIL | error),
    ];
    for rule in rules {
        let body = body(rule);
        let number = u32::try_from(rule.call).unwrap_or(u32::MAX);
        out.push(jump(EQUAL, number, 0, small(body.len())));
        out.extend(body);
    }
    out.push(give(FAIL | error));
    out
}

fn body(rule: &Rule) -> Vec<Instruction> {
    if rule.when.is_empty() {
        return vec![give(ALLOW)];
    }
    let mut out = Vec::new();
    for tests in &rule.when {
        let lengths: Vec<usize> = tests.iter().map(|test| code(*test, 0).len()).collect();
        let mut left: usize = lengths.iter().sum::<usize>() + 1;
        for (test, length) in tests.iter().zip(lengths) {
            left -= length;
            out.extend(code(*test, small(left)));
        }
        out.push(give(ALLOW));
    }
    out.push(give(FAIL | rule.error));
    out
}

/// The instructions of a test; if it fails, `far` of those that follow them are skipped.
fn code(test: Test, far: u8) -> Vec<Instruction> {
    let low = |argument: u32| load(ARGUMENTS + 8 * argument);
    let high = |argument: u32| load(ARGUMENTS + 8 * argument + 4);
    match test {
        Test::Is(argument, value) => vec![low(argument), jump(EQUAL, value, 0, far)],
        Test::IsNot(argument, value) => vec![low(argument), jump(EQUAL, value, far, 0)],
        Test::Without(argument, mask) => {
            let and = Instruction { code: AND, jt: 0, jf: 0, k: mask };
            vec![low(argument), and, jump(EQUAL, 0, 0, far)]
        }
        Test::Exactly(argument, value) => vec![
            high(argument),
            jump(EQUAL, half(value >> 32), 0, far + 2),
            low(argument),
            jump(EQUAL, half(value), 0, far),
        ],
        Test::Above(argument, limit) => {
            vec![high(argument), jump(ABOVE, 0, 2, 0), low(argument), jump(ABOVE, limit, 0, far)]
        }
        Test::From(begin, end) => vec![
            load(POINTER_LOW + 4),
            jump(EQUAL, 0, 0, far + 3),
            load(POINTER_LOW),
            jump(AT_LEAST, begin, 0, far + 1),
            jump(AT_LEAST, end, far, 0),
        ],
    }
}

fn half(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or_default()
}

/// A distance. No rule is as long as that: a test builds the whole filter.
fn small(distance: usize) -> u8 {
    debug_assert!(distance < 200, "a rule is too long");
    u8::try_from(distance).unwrap_or(u8::MAX)
}

fn load(place: u32) -> Instruction {
    Instruction { code: LOAD, jt: 0, jf: 0, k: place }
}

fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

fn give(what: u32) -> Instruction {
    Instruction { code: RETURN, jt: 0, jf: 0, k: what }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a filter, as the kernel would.
    fn run(filter: &[Instruction], number: u32, from: u64, arguments: &[u64]) -> u32 {
        let mut data = [0_u8; 64];
        data[..4].copy_from_slice(&number.to_le_bytes());
        data[4..8].copy_from_slice(&OURS.to_le_bytes());
        data[8..16].copy_from_slice(&from.to_le_bytes());
        for (at, argument) in arguments.iter().enumerate() {
            data[16 + 8 * at..24 + 8 * at].copy_from_slice(&argument.to_le_bytes());
        }
        let (mut at, mut a) = (0, 0_u32);
        loop {
            let i = filter[at];
            let truth = match i.code {
                RETURN => return i.k,
                LOAD => {
                    let place = i.k as usize;
                    a = u32::from_le_bytes(data[place..place + 4].try_into().unwrap());
                    false
                }
                AND => {
                    a &= i.k;
                    false
                }
                EQUAL => a == i.k,
                ABOVE => a > i.k,
                AT_LEAST => a >= i.k,
                other => panic!("unknown instruction {other}"),
            };
            at += 1 + usize::from(if truth { i.jt } else { i.jf });
        }
    }

    #[test]
    fn tests_hold_where_they_should() {
        const BIG: u64 = 1 << 32;
        let allowed = |test: Test, from: u64, arguments: &[u64]| {
            // Two lists, of which the first never holds, and a rule behind it.
            let when = vec![vec![Test::Is(5, 9), test], vec![Test::Is(5, 0), test]];
            let rule = Rule { call: 7, when, error: 3 };
            let other = Rule { call: 8, when: Vec::new(), error: 1 };
            let filter = program(&[rule, other], 1);
            assert_eq!(run(&filter, 8, from, arguments), ALLOW);
            assert_eq!(run(&filter, 9, from, arguments), FAIL | 1);
            assert_eq!(run(&filter, 0x4000_0008, from, arguments), FAIL | 1);
            match run(&filter, 7, from, arguments) {
                ALLOW => true,
                refused => {
                    assert_eq!(refused, FAIL | 3);
                    false
                }
            }
        };
        for (test, yes, no) in [
            (Test::Is(1, 5), [0, 5 | BIG], vec![[5, 4]]),
            (Test::IsNot(0, 5), [4, 0], vec![[5, 0], [5 | BIG, 0]]),
            (Test::Without(0, 3), [12, 0], vec![[1, 0], [2, 0], [7, 0]]),
            (Test::Exactly(0, 5), [5, 0], vec![[5 | BIG, 0], [4, 0]]),
            (Test::Exactly(0, 5 | BIG), [5 | BIG, 0], vec![[5, 0], [4 | BIG, 0]]),
            (Test::Above(0, 5), [6, 0], vec![[5, 0], [0, 0]]),
            (Test::Above(0, 5), [BIG, 0], vec![]),
        ] {
            assert!(allowed(test, 0, &yes), "{test:?} {yes:?}");
            for no in no {
                assert!(!allowed(test, 0, &no), "{test:?} {no:?}");
            }
        }
        for (from, holds) in
            [(99, false), (100, true), (199, true), (200, false), (BIG + 150, false)]
        {
            assert_eq!(allowed(Test::From(100, 200), from, &[]), holds, "{from}");
        }
    }
}
