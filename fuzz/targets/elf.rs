//! The ELF reader and the scan of a file's content: the input is the file.

use detect::content::Source;

use super::Counted;
use crate::rules::{CATALOGUE, SCANNER};

pub(super) fn run(data: &[u8]) {
    let mut source = Counted::new(data);
    let len = source.len();
    let scan = SCANNER.scan(&mut source);
    assert!(scan.bytes <= len, "{} bytes of {len} were looked at: some of them twice", scan.bytes);
    // The look, blocks of code that are measured, 64 places with Go's magic, notes; each program
    // that is found may have its version looked for.
    let given = source.given;
    let most = (64 + scan.content.signs.len() as u64) * len + (256 << 10);
    assert!(given <= most, "{given} bytes were read of {len}");
    let mut plain = data;
    assert_eq!(SCANNER.scan(&mut plain), scan, "a scan is the same every time");
    let half = len / 2;
    SCANNER.scan_memory(&mut source, &[half..len, 0..half, 0..len]);
    for runtime in &CATALOGUE.unwrap.runtimes {
        CATALOGUE.script_signs(&runtime.name, &mut plain);
    }
}
