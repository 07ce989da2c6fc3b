//! What crosses from the kernel: the first byte says which kind of record the rest is.

use std::sync::LazyLock;

use event::{Event, Record, Tree};
use probe::{Clock, fuzz};

static CLOCK: LazyLock<Clock> = LazyLock::new(Clock::now);

pub(super) fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    match kind % 4 {
        0 => {
            let Some(mut exec) = fuzz::exec(bytes, &CLOCK) else { return };
            let p = &exec.process;
            let text: usize = p.args.iter().map(String::len).sum::<usize>()
                + p.exe.path.len()
                + p.invoked_as.len()
                + p.cwd.as_ref().map_or(0, String::len);
            // A byte that is no text becomes four; an empty component is still a slash.
            assert!(text <= 8 * bytes.len(), "{text} bytes of text from {}", bytes.len());
            // These live in one process only.
            exec.file = None;
            exec.tree = Tree::default();
            comes_back(Event::Exec { host: "h".to_owned(), exec: Box::new(exec) });
        }
        1 => {
            let Some(mut listen) = fuzz::listen(bytes, &CLOCK) else { return };
            listen.tree = Tree::default();
            comes_back(Event::Listen { host: "h".to_owned(), listen });
        }
        3 => {
            let Some(mut connect) = fuzz::connect(bytes, &CLOCK) else { return };
            connect.tree = Tree::default();
            comes_back(Event::Connect { host: "h".to_owned(), connect: Box::new(connect) });
        }
        _ => {
            fuzz::image(bytes);
            assert!(fuzz::piece(bytes).is_none_or(|piece| piece.len() <= bytes.len()));
        }
    }
}

/// What is recorded can be replayed.
fn comes_back(event: Event) {
    let record = Record::Event(Box::new(event));
    let line = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), record, "{line}");
}
