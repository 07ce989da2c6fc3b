//! What is lost is counted, and what is counted was lost.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use probe::{Clock, Options};

use super::plain::{allowed_cpus, run_on};
use crate::kid;
use crate::place::Place;
use crate::program;
use crate::server::{OK, Server};
use crate::watch::{Watch, attached, everything};

const MANY: u64 = 200;

#[test]
fn a_full_ring_loses_and_says_so() {
    let place = Place::new();
    let path = place.file("flood", &program::exits());
    let probe =
        attached(&Options { everything: true, ring_bytes: 4096, ..Options::default() }, &[]);
    let mut watch = Watch::new(&probe);
    let before = Clock::boot_ns();
    for _ in 0..MANY {
        kid::run(&path);
    }
    let after = Clock::boot_ns();
    let counts = probe.counts().unwrap();
    assert!(counts.execs >= MANY, "{counts:?}");
    assert!(counts.lost_execs > MANY / 2, "4 KiB hold few: {counts:?}");
    assert!(counts.crossed > 0);
    // The rest of the machine goes on while the CPUs are added up.
    let off = (counts.crossed + counts.lost_execs).abs_diff(counts.execs);
    assert!(off <= allowed_cpus().len() as u64, "{counts:?}");
    assert_eq!(counts.lost(), counts.lost_execs + counts.skipped);
    let (first, last) = counts.lost_window.unwrap();
    // Others may have executed between the attaching and the beginning.
    assert!(first < last && last > before && last <= Clock::boot_ns(), "{first}..{last}");
    assert!(first < after);

    watch.drain();
    let read = watch.seen.len() as u64;
    assert!(read >= counts.crossed, "{read} read of {counts:?}");
    // The next record of each CPU shows what is missing before it.
    let begin = Instant::now();
    loop {
        let lost = probe.counts().unwrap().lost_execs;
        for cpu in allowed_cpus() {
            let mut kid = run_on(cpu, &path);
            kid.wait();
            watch.drain();
        }
        let all_of_ours = watch.reader.gaps().execs;
        if lost == probe.counts().unwrap().lost_execs && all_of_ours == lost {
            break;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "{all_of_ours} missing by number, {lost} counted as lost"
        );
    }
    let again = probe.counts().unwrap();
    assert_eq!(again.lost_window.unwrap().0, first, "the first loss stays the first");
}

#[test]
fn an_ordinary_ring_loses_nothing() {
    let place = Place::new();
    let path = place.file("flood", &program::exits());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let pids: Vec<u32> = (0..MANY).map(|_| kid::run(&path)).collect();
    for pid in pids {
        watch.exec(pid);
    }
    let counts = probe.counts().unwrap();
    assert!(counts.execs >= MANY);
    assert_eq!((counts.lost(), counts.lost_lineage, counts.lost_window), (0, 0, None));
    assert_eq!(watch.reader.gaps().sum(), 0);
}

/// An answer that found no room is counted, and the next connection answers again.
#[test]
fn a_lost_answer_is_counted_and_comes_again() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let server = Server::new(OK);
    let listen = server.listen(&mut watch);
    // One that closes its socket often: each time takes room in the same ring.
    let noisy = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = noisy.local_addr().unwrap();
    let closes = watch.listen_on(std::process::id(), "127.0.0.1", address.port());
    for listen in [&listen, &closes] {
        watch.reader.suspect(listen).unwrap();
    }
    drop(noisy);
    let begin = Instant::now();
    while probe.counts().unwrap().lost_answers == 0 {
        // Children of other tests may hold a copy for a moment: then it is not free.
        drop(TcpListener::bind(address));
        assert!(begin.elapsed() < Duration::from_secs(30), "the ring is larger than that");
    }
    let before = probe.counts().unwrap();
    server.ask();
    let counts = probe.counts().unwrap();
    assert_eq!(counts.lost_answers, before.lost_answers + 1);
    assert!(counts.lost() >= counts.lost_answers);
    assert!(counts.lost_window.is_some());
    assert!(watch.answers().is_empty(), "it was lost");
    server.ask();
    watch.answer(&listen);
    watch.until("both are decided", |reader| reader.suspects().listeners == 0);
}
