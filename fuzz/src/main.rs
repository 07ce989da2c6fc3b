//! `picket-fuzz list`, `seeds`, `run TARGET FILE…`: what there is, writing the seeds, trying inputs.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool of developers"
)]

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use fuzz::{memory, place, seeds, targets};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["list"] => {
            for target in targets::ALL {
                println!("{} {}", target.name, target.longest);
            }
        }
        ["seeds"] => write_seeds(),
        ["run", name, files @ ..] => {
            let Some(target) = targets::find(name) else {
                eprintln!("no target {name:?}: see `picket-fuzz list`");
                return ExitCode::from(2);
            };
            (target.run)(b"");
            for file in files {
                let input = fs::read(file).unwrap();
                let begun = Instant::now();
                let held = memory::peak(|| (target.run)(&input));
                println!("{file}: {:?}, {held} bytes held", begun.elapsed());
            }
        }
        _ => {
            eprintln!("usage: picket-fuzz list | seeds | run TARGET FILE…");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Writes the seeds anew. What was found stays.
fn write_seeds() {
    for target in targets::ALL {
        let dir = place::root("fuzz/corpus").join(target.name);
        fs::create_dir_all(&dir).unwrap();
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if [seeds::MADE, seeds::TAKEN].iter().any(|begin| name.starts_with(begin)) {
                fs::remove_file(path).unwrap();
            }
        }
        for (name, bytes) in seeds::of(target.name) {
            fs::write(dir.join(name), bytes).unwrap();
        }
    }
}
