//! Baseline files, and what a picket remembers: the input is a file and, after a NUL, lines of memory.

use detect::baseline::{Accepted, Memory, diff};

pub(super) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (file, memory) = text.split_once('\0').unwrap_or((&text, ""));
    match Accepted::parse("b.yaml", file) {
        Err(errors) => {
            for error in &errors {
                assert!(error.line > 0 && error.column > 0 && !error.message.is_empty(), "{error}");
            }
        }
        Ok(accepted) => {
            let written = accepted.to_yaml();
            let read = Accepted::parse("b.yaml", &written);
            assert_eq!(read.as_ref(), Ok(&accepted), "{written}");
            if accepted.entries().len() < 100 {
                let none = Accepted::default();
                assert!(diff(&accepted, &accepted).is_empty());
                assert_eq!(diff(&none, &accepted).len(), accepted.entries().len());
                assert_eq!(diff(&accepted, &none).len(), accepted.entries().len());
            }
            for entry in accepted.entries() {
                assert!(!entry.key.id().is_empty() && !entry.key.to_string().is_empty());
            }
        }
    }
    let (memory, _) = Memory::read(memory);
    let written = memory.to_lines();
    assert_eq!(Memory::read(&written), (memory, 0), "{written}");
}
