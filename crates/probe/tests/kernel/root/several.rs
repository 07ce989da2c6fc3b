//! More than one probe, more than one reader.

use crate::facts::{assert_paths, assert_process};
use crate::kid::{self, Kid};
use crate::place::Place;
use crate::program;
use crate::watch::{FENCE, Watch, everything, filtered};

#[test]
fn two_probes_see_the_same() {
    let place = Place::new();
    let path = place.file("shared", &program::stays());
    let (one, other) = (everything(), everything());
    let mut watches = [Watch::new(&one), Watch::new(&other)];
    let kid = Kid::run(&path, &["shared", "by", "two"]);
    let [first, second] = watches.each_mut().map(|watch| watch.exec(kid.pid()));
    for exec in [&first, &second] {
        assert_process(exec);
        assert_paths(exec);
    }
    assert_eq!(first.process.key(), second.process.key());
    assert_eq!(first.file, second.file);
    assert_eq!(first.process.args, second.process.args);
    assert_eq!(first.ancestry.len(), second.ancestry.len());
}

#[test]
fn filters_are_each_probes_own() {
    let place = Place::new();
    let fence = place.file(FENCE, &program::exits());
    let path = place.file("nginx", &program::exits());
    let (with, without) = (filtered(&["nginx"]), filtered(&["apache2"]));
    let mut watches = [Watch::new(&with), Watch::new(&without)];
    let pid = kid::run(&path);
    let [named, unnamed] = watches.each_mut().map(|watch| watch.crossed(pid, &fence).unwrap());
    assert_eq!(named.ask, None);
    assert!(unnamed.ask.is_some());
}

/// "One reader at a time": the second goes on where the first stopped, and nothing is missing.
#[test]
fn a_reader_after_another_misses_nothing() {
    let place = Place::new();
    let path = place.file("read", &program::exits());
    let probe = everything();
    let mut first = Watch::new(&probe);
    first.exec(kid::run(&path));
    drop(first);
    let mut second = Watch::new(&probe);
    for _ in 0..10 {
        second.exec(kid::run(&path));
    }
    assert_eq!(probe.counts().unwrap().lost(), 0);
    assert_eq!(second.reader.gaps().sum(), 0, "nothing was lost");
}
