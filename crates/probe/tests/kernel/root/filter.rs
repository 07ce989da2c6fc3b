//! What the filter lets through: names of the plan, files without a verdict, files to watch.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::thread::sleep;
use std::time::Duration;

use detect::plan::Verdict;

use super::origin::{memfd, run_open};
use crate::facts;
use crate::kid;
use crate::place::Place;
use crate::program;
use crate::watch::{Crossed, FENCE, Watch, everything, filtered};

/// Long enough for a verdict to be kept.
pub(crate) const SETTLED: Duration = Duration::from_millis(2100);

#[test]
fn an_unknown_file_crosses_once_and_a_watched_one_always() {
    let place = Place::new();
    let fence = place.file(FENCE, &program::exits());
    let path = place.file("unknown", &program::exits());
    let probe = filtered(&[]);
    let mut watch = Watch::new(&probe);

    // Younger than two seconds: no verdict is kept, and it crosses again. Where two seconds are
    // not enough for that, the file is made young anew.
    let young = (0..20).any(|_| {
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        (0..2).all(|_| {
            let crossed = watch.crossed(kid::run(&path), &fence).expect("unknown, so it crosses");
            let file = crossed.ask.expect("a verdict is wanted");
            assert_eq!(Some(file), crossed.exec.file);
            let kept = watch.reader.remember(&file, Verdict::Benign).unwrap();
            let young = facts::now() - file.changed_ns < 2_000_000_000;
            assert!(!(kept && young));
            young
        })
    });
    assert!(young, "never was it looked at twice in two seconds");
    sleep(SETTLED);
    let crossed = watch.crossed(kid::run(&path), &fence).expect("still unknown");
    let file = crossed.ask.expect("a verdict is wanted");
    watch.remember(&file, Verdict::Benign);
    let before = probe.counts().unwrap();
    for _ in 0..3 {
        assert!(watch.crossed(kid::run(&path), &fence).is_none(), "benign");
    }
    let after = probe.counts().unwrap();
    assert!(after.execs >= before.execs + 6, "what does not cross is counted");
    watch.remember(&file, Verdict::Watch);
    for _ in 0..3 {
        let crossed = watch.crossed(kid::run(&path), &fence).expect("watched");
        assert_eq!(crossed.ask, None, "and known");
    }
    watch.remember(&file, Verdict::Benign);
    assert!(watch.crossed(kid::run(&path), &fence).is_none(), "benign again");
}

/// Which names a plan lets through. `kernel_name` and `known_name` are one rule: both cut to 15
/// bytes, then leave out digits, dots, dashes and underscores at the end, and neither tells capital
/// letters from small ones.
#[test]
fn names_of_the_plan_cross_with_any_version() {
    let plan = [
        "nginx",
        "python",
        "php-fpm8.2",
        "transmission-daemon",
        "waitress-serve-3.11",
        "h2o",
        "7zip",
        "x",
        "exactly-fifteen",
        "na\u{ef}ve",
        "a@b[c",
    ];
    let through: &[&[u8]] = &[
        b"nginx",
        b"Nginx",
        b"NGINX-1.25",
        b"PyThOn3",
        b"TRANSMISSION-DAEMON",
        b"A@B[C",
        b"nginx1.25.3",
        b"nginx-1.25",
        b"nginx_2",
        b"nginx-",
        b"nginx.",
        b"nginx-1.25.3-4_5.6",
        b"python",
        b"python3",
        b"python3.11",
        b"python-2.7",
        b"php-fpm",
        b"php-fpm7.4",
        b"transmission-daemon",
        b"transmission-da",
        b"transmission-dance",
        b"waitress-serve",
        b"waitress-serve-2",
        b"waitress-serve-3.12",
        b"h2o",
        b"h2o2",
        b"7zip",
        b"7zip16",
        b"x",
        b"x8664",
        b"x86_64",
        b"exactly-fifteen",
        b"exactly-fifteen-and-more",
        b"exactly-fifteen1",
        b"na\xc3\xafve",
        b"na\xc3\xafve2",
    ];
    let left: &[&[u8]] = &[
        b"ngin",
        b"nginxx",
        b"a`b{c",
        b"xnginx",
        b"nginx-debug",
        b"nginx.conf",
        b"nginx ",
        b"nginx\n",
        b"1nginx",
        b"nginx1a",
        b"pythonw",
        b"python3.11d",
        b"php-fp",
        b"php-fpm8.2x",
        b"transmission",
        b"transmission-d",
        b"transmission-cli",
        b"waitress-serv",
        b"waitress-server",
        b"h",
        b"h2",
        b"zip",
        b"7",
        b"7.0",
        b"-",
        b"_1",
        b"1234567890123456",
        b"exactly-fiftee",
        b"exactly-fourtee",
        b"na\xc3\xafv",
        b"naive",
        b"na\xefve",
        b"na\xc3\xafve\xff",
        b"\xff",
        b"y86_64",
    ];
    let place = Place::new();
    let fence = place.file(FENCE, &program::exits());
    let make = |name: &&[u8]| place.file(OsStr::from_bytes(name), &program::exits());
    let through: Vec<_> = through.iter().map(make).collect();
    let left: Vec<_> = left.iter().map(make).collect();
    let probe = filtered(&plan);
    let mut watch = Watch::new(&probe);
    sleep(SETTLED);

    // First all are unknown: what crosses by its name is not asked about.
    for (paths, by_name) in [(&through, true), (&left, false)] {
        for path in paths {
            let crossed = watch.crossed(kid::run(path), &fence).expect("unknown or named");
            assert_eq!(crossed.ask.is_none(), by_name, "{path:?}");
            watch.remember(&crossed.exec.file.unwrap(), Verdict::Benign);
        }
    }
    // Then all are benign: a name of the plan crosses all the same.
    for (paths, by_name) in [(&through, true), (&left, false)] {
        for path in paths {
            let crossed = watch.crossed(kid::run(path), &fence);
            assert_eq!(crossed.is_some(), by_name, "{path:?}");
        }
    }
}

#[test]
fn links_hide_no_name() {
    let place = Place::new();
    let fence = place.file(FENCE, &program::exits());
    let other = place.file("other", &program::exits());
    let named = place.file("nginx", &program::exits());
    let link_to_other = place.dir("a").join("nginx1.2");
    let link_to_named = place.dir("b").join("harmless");
    let harmless = place.path().join("harmless");
    symlink(&other, &link_to_other).unwrap();
    symlink(&named, &link_to_named).unwrap();
    symlink(&other, &harmless).unwrap();
    let probe = filtered(&["nginx"]);
    let mut watch = Watch::new(&probe);
    sleep(SETTLED);
    for path in [&other, &named] {
        let crossed = watch.crossed(kid::run(path), &fence).unwrap();
        watch.remember(&crossed.exec.file.unwrap(), Verdict::Benign);
    }
    for (path, crosses) in [
        (&other, false),
        (&harmless, false),
        (&named, true),
        (&link_to_other, true),
        (&link_to_named, true),
    ] {
        assert_eq!(watch.crossed(kid::run(path), &fence).is_some(), crosses, "{path:?}");
    }
}

#[test]
fn scripts_cross_by_their_name_and_by_their_interpreters() {
    let place = Place::new();
    let fence = place.file(FENCE, &program::exits());
    let plain = place.file("speaker", &program::exits());
    let named = place.file("python3.11", &program::exits());
    let script = |name: &str, interpreter: &std::path::Path| {
        place.file(name, format!("#!{}\n", interpreter.display()).as_bytes())
    };
    let by_interpreter = script("application", &named);
    let by_name = script("gunicorn", &plain);
    let neither = script("tool", &plain);
    let probe = filtered(&["python", "gunicorn"]);
    let mut watch = Watch::new(&probe);
    sleep(SETTLED);
    for path in [&plain, &named] {
        let crossed = watch.crossed(kid::run(path), &fence).unwrap();
        watch.remember(&crossed.exec.file.unwrap(), Verdict::Benign);
    }
    for (path, crosses) in [(&by_interpreter, true), (&by_name, true), (&neither, false)] {
        assert_eq!(watch.crossed(kid::run(path), &fence).is_some(), crosses, "{path:?}");
    }
}

#[test]
fn a_memory_file_crosses_by_the_name_it_was_given() {
    let place = Place::new();
    let fence = place.file(FENCE, &program::exits());
    let probe = filtered(&["memfd:picket-canary"]);
    let mut watch = Watch::new(&probe);
    for (name, by_name) in [(c"picket-canary", true), (c"picket-c", false)] {
        let mut kid = run_open(&memfd(name, &program::exits()), &["x"]);
        assert_eq!(kid.wait(), 0);
        let Crossed { exec, ask } = watch.crossed(kid.pid(), &fence).expect("unknown or named");
        assert!(exec.process.exe.memfd);
        assert_eq!(ask.is_none(), by_name, "{name:?}");
    }
}

#[test]
fn everything_crosses_benign_or_not() {
    let place = Place::new();
    let fence = place.file(FENCE, &program::exits());
    let path = place.file("anything", &program::exits());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    sleep(SETTLED);
    let crossed = watch.crossed(kid::run(&path), &fence).unwrap();
    watch.remember(&crossed.ask.unwrap(), Verdict::Benign);
    for _ in 0..2 {
        let crossed = watch.crossed(kid::run(&path), &fence).expect("everything");
        assert_eq!(crossed.ask, None);
    }
}
