//! Catalogue files: a family, and behind a NUL an `unwrap.yaml`.

use detect::catalogue::Catalogue;
use detect::content::Scanner;

use super::parts;

pub(super) fn run(data: &[u8]) {
    let parts = parts(data);
    let mut files = vec![("family.yaml", parts[0].as_str())];
    files.extend(parts.get(1).map(|text| ("unwrap.yaml", text.as_str())));
    let (catalogue, errors) = Catalogue::parse(files.iter().copied());
    for error in &errors {
        assert!(error.line > 0 && error.column > 0 && !error.message.is_empty(), "{error}");
    }
    catalogue.plan();
    catalogue.test_samples();
    for name in ["busybox", "python3", "sh"] {
        let words = [name, "-c", "exec nginx", "-m", "x"].map(str::to_owned);
        catalogue.identify_program(&catalogue.command_line(&words));
    }
    let scanner = Scanner::new(&catalogue);
    for (_, text) in files {
        scanner.scan(&mut text.as_bytes());
    }
    scanner.scan(&mut [b"\x7fELF".as_slice(), data].concat().as_slice());
}
