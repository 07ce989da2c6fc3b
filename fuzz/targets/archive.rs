//! The directory of a zip archive: the first byte says how many zeros lie between the archive's
//! first mark and the rest of the input.

use detect::content::Source;

use super::Counted;
use crate::rules::SCANNER;

pub(super) fn run(data: &[u8]) {
    let (kind, rest) = data.split_first().unwrap_or((&0, &[]));
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.resize(4 + (usize::from(*kind) << 10), 0);
    bytes.extend(rest);
    let mut source = Counted::new(&bytes);
    let scan = SCANNER.scan(&mut source);
    assert!(scan.bytes <= source.len(), "more was looked at than there is");
    let given = source.given;
    assert!(given <= 4 * source.len() + 4096, "{given} bytes were read of {}", source.len());
    // The input as it is: it may begin with another mark.
    SCANNER.scan(&mut &*rest);
}
