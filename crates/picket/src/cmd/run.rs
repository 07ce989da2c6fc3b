//! `picket run`: watch this machine.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::cli::{Common, RunArgs};
use crate::config::{self, Config};
use crate::gate::scope::Watches;
use crate::pipeline::{self, Plan};
use crate::rules::Files;
use crate::sink::Style;

pub(crate) fn run(common: &Common, args: &RunArgs) -> Result<ExitCode> {
    let mut config = Config::load(common)?;
    if args.beside == Some(Watches::Since) {
        // Whoever opened the gate goes away, and his terminal with him.
        rustix::process::setsid().context("cannot begin a session")?;
    }
    if let Some(baseline) = &args.baseline {
        config.baseline = Some(baseline.clone());
    }
    Files::are_ours(&config)?;
    let severity = args.severity.map_or(config.severity, Into::into);
    let plan = Plan {
        everything: args.events,
        events: args.events,
        detections: true,
        to_stdout: true,
        style: Style { format: config::format(common), severity, seeded: args.severity.is_none() },
        beside: args.beside,
    };
    pipeline::run(&config, super::engine(&config)?, plan, std::io::stdout())?;
    Ok(ExitCode::SUCCESS)
}
