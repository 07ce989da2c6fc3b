//! Every kept input and a fixed number of changes to it: no panic, no hang, no memory without end.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::path::Path;

use detect::baseline::{Accepted, Memory};
use detect::catalogue::Catalogue;
use detect::exception::parse_all;
use detect::recipe::Recipe;
use event::Record;
use fuzz::rules::SCANNER;
use fuzz::{driver, place, seeds, targets};
use probe::Clock;

fn bounded(name: &str) {
    let target = targets::find(name).unwrap();
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
    // FUZZ_MUTATIONS=1000000 for a longer look without libFuzzer.
    let more = std::env::var("FUZZ_MUTATIONS").ok().map(|n| n.parse().unwrap());
    let done = driver::run(target, more.unwrap_or(target.mutations), dir);
    let rate = done.tried as f64 / done.took.as_secs_f64();
    println!("{name}: {done:?}, {rate:.0} a second");
}

macro_rules! bounded {
    ($($name:ident)*) => {
        $(#[test] fn $name() { bounded(stringify!($name)); })*

        #[test]
        fn every_target_is_run() {
            let here = [$(stringify!($name)),*];
            let all: Vec<&str> = targets::ALL.iter().map(|target| target.name).collect();
            assert_eq!(here.as_slice(), all);
        }
    };
}

bounded!(
    archive arguments baseline catalogue elf exceptions go import mask recipe recording scan unwrap when wire
);

#[test]
fn seeds_are_as_they_are_made() {
    for target in targets::ALL {
        let made = |mut seeds: Vec<(String, Vec<u8>)>| {
            seeds.retain(|(name, _)| name.starts_with(seeds::MADE));
            seeds
        };
        let same = made(place::corpus(target.name)) == made(seeds::of(target.name));
        assert!(same, "{}: run `make fuzz-seeds`", target.name);
    }
}

/// Seeds that are refused at once would try nothing.
#[test]
fn sound_seeds_are_accepted() {
    let seed = |target: &str, name: &str| -> Vec<u8> {
        let names = [seeds::MADE, seeds::TAKEN].map(|begin| format!("{begin}{name}"));
        seeds::of(target).into_iter().find(|(n, _)| names.contains(n)).unwrap().1
    };
    let text = |target, name| String::from_utf8(seed(target, name)).unwrap();
    for name in ["small", "content-right", "unwrap", "runtime"] {
        let text = text("catalogue", name);
        let (family, unwrap) = text.split_once('\0').unwrap_or((&text, ""));
        let unwrap = if unwrap.is_empty() { "loaders: []" } else { unwrap };
        // A loader with a text that is too short is complained about, and stays.
        let (catalogue, _) = Catalogue::parse([("f.yaml", family), ("unwrap.yaml", unwrap)]);
        assert_eq!(catalogue.servers.len(), 1, "{name}");
        assert_eq!(catalogue.unwrap.runtimes.len(), usize::from(text.contains('\0')), "{name}");
    }
    for name in ["small", "0"] {
        let recipe = Recipe::parse("r.yaml", &text("recipe", name));
        assert!(recipe.is_ok(), "{name}: {:?}", recipe.err());
    }
    for name in ["small", "container", "pipeline", "host", "script", "command"] {
        let accepted = Accepted::parse("b.yaml", &text("baseline", name));
        assert!(accepted.is_ok(), "{name}: {:?}", accepted.err());
    }
    let memory = text("baseline", "with-memory");
    let (memory, bad) = Memory::read(memory.split_once('\0').unwrap().1);
    assert_eq!((memory.all().len(), bad), (1, 0));
    for name in ["small", "file", "package", "stars"] {
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        let (_, errors) = parse_all([("e.yaml", &*text("exceptions", name))], now);
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
    for name in ["exec-and-listen", "match-00", "behaviour", "args-equals", "time-before-1970"] {
        let text = text("recording", name);
        let line = text.lines().next().unwrap();
        let record = serde_json::from_str::<Record>(line);
        assert!(matches!(record, Ok(Record::Event(_))), "{name}: {record:?}");
    }
    let clock = Clock::now();
    assert!(probe::fuzz::exec(&seed("wire", "exec")[1..], &clock).is_some());
    assert!(probe::fuzz::listen(&seed("wire", "listen")[1..], &clock).is_some());
    assert!(probe::fuzz::connect(&seed("wire", "connect-3")[1..], &clock).is_some());
    assert!(probe::fuzz::image(&seed("wire", "image")[1..]).unwrap().0.is_some());
    for name in ["64-little", "64-big", "32-little", "32-big"] {
        let scan = SCANNER.scan(&mut seed("elf", name).as_slice());
        assert!(scan.build_id.is_some() && scan.content.problem.is_none(), "{name}: {scan:?}");
        let names: Vec<&str> = scan.content.signs.iter().map(|s| s.name.as_str()).collect();
        assert_eq!(names, ["fuzz-texts", "fuzz-fork", "fuzz-rust"], "{name}");
    }
    let packed = SCANNER.scan(&mut seed("elf", "packed").as_slice()).content.packed;
    assert!(packed.is_some_and(|whom| whom.contains("UPX")));
    for name in ["inline", "inline-local", "pointed-0", "pointed-3", "pointed-7"] {
        let file = targets::go::file(&seed("go", name));
        let scan = SCANNER.scan(&mut file.as_slice());
        assert!(scan.content.signs.iter().any(|s| s.name == "fuzz-go"), "{name}: {scan:?}");
    }
    for name in ["plain", "front-255", "comment"] {
        let bytes = [b"PK\x03\x04".as_slice(), &seed("archive", name)].concat();
        let scan = SCANNER.scan(&mut bytes.as_slice());
        assert!(scan.content.signs.iter().any(|s| s.name == "fuzz-archive"), "{name}: {scan:?}");
    }
}
