//! The seeds: inputs that are made, not found. `picket-fuzz seeds` writes them to `corpus/`.

mod binary;
pub mod elf;
mod expected;
mod import;
mod lines;
pub mod scan;

/// What the names of seeds begin with; what was found has other names.
pub const MADE: &str = "seed-";
/// Those that were taken from the catalogue and the recipes of that day.
pub const TAKEN: &str = "real-";

/// Inputs by name.
#[derive(Debug, Default)]
pub struct Seeds(Vec<(String, Vec<u8>)>);

impl Seeds {
    fn add(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.0.push((format!("{MADE}{name}"), bytes.into()));
    }

    fn take(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.0.push((format!("{TAKEN}{name}"), bytes.into()));
    }
}

/// The seeds of a target, by name.
pub fn of(target: &str) -> Vec<(String, Vec<u8>)> {
    let seeds = match target {
        "archive" => binary::archive(),
        "arguments" => lines::arguments(),
        "baseline" => expected::baseline(),
        "catalogue" => lines::catalogue(),
        "elf" => elf::seeds(),
        "exceptions" => expected::exceptions(),
        "go" => binary::go(),
        "import" => import::seeds(),
        "mask" => lines::mask(),
        "recipe" => lines::recipe(),
        "recording" => lines::recording(),
        "scan" => scan::seeds(),
        "unwrap" => lines::unwrap(),
        "when" => lines::when(),
        "wire" => binary::wire(),
        other => panic!("no seeds for {other}"),
    };
    let mut seeds = seeds.0;
    seeds.sort();
    seeds
}
