//! The integration tests: the real binary, real kernel events, real web servers.
//!
//! One binary; a test is a function or, for the servers, a row of `servers.yaml`. Names with
//! `root::` need root. Run some by a part of their name: `cargo test -p picket --test it nginx`.
#![expect(clippy::unwrap_used, reason = "tests")]

mod architecture;
mod baseline;
mod behaviour;
mod canary;
mod ci;
mod content;
mod docs;
mod evasion;
mod flood;
mod hang;
mod harness;
mod hostile;
mod import;
mod incidents;
mod input;
mod integrations;
mod lifecycle;
mod privilege;
mod recipes;
mod scan;
mod seeded;
mod servers;
mod silence;
mod trees;
mod workload;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    if let Some(storm) = std::env::var_os(flood::STORM) {
        return flood::storm(&storm);
    }
    let mut args = Arguments::from_args();
    let mut trials: Vec<Trial> = Vec::new();
    trials.extend(servers::trials());
    trials.extend(content::trials());
    trials.extend(behaviour::trials());
    trials.extend(evasion::trials());
    trials.extend(silence::trials());
    trials.extend(lifecycle::trials());
    trials.extend(privilege::trials());
    trials.extend(recipes::trials());
    trials.extend(hostile::trials());
    trials.extend(seeded::trials());
    trials.extend(trees::trials());
    trials.extend(workload::trials());
    trials.extend(baseline::trials());
    trials.extend(incidents::trials());
    trials.extend(input::trials());
    trials.extend(import::trials());
    trials.extend(integrations::trials());
    trials.extend(scan::trials());
    trials.extend(docs::trials());
    trials.extend(architecture::trials());
    let conclusion = libtest_mimic::run(&args, trials);
    harness::stop_shared();
    if !evasion::finish() {
        return ExitCode::FAILURE;
    }
    // These have a picket each that they break, and then wait for what it says.
    args.test_threads = Some(4);
    let broken = libtest_mimic::run(&args, canary::trials());
    // These count everything, take the whole machine or fail when anything is lost: one after the
    // other, and after all others.
    args.test_threads = Some(1);
    let alone =
        [lifecycle::alone(), ci::trials(), integrations::alone(), hang::trials(), flood::trials()];
    let alone = libtest_mimic::run(&args, alone.into_iter().flatten().collect());
    match [conclusion, broken, alone].into_iter().find(libtest_mimic::Conclusion::has_failed) {
        Some(failed) => failed.exit_code(),
        None => ExitCode::SUCCESS,
    }
}
