//! `picket record`: write raw events.

use std::fs::File;
use std::process::ExitCode;

use anyhow::{Context, Result};
use event::Severity;

use crate::cli::{Common, Format, RecordArgs};
use crate::config::Config;
use crate::pipeline::{self, Plan};
use crate::sink::Style;

pub(crate) fn run(common: &Common, args: &RecordArgs) -> Result<ExitCode> {
    let config = Config::load(common)?;
    let plan = Plan {
        everything: args.events,
        events: true,
        detections: false,
        to_stdout: args.output.is_none(),
        style: Style {
            format: common.format.unwrap_or(Format::Json),
            severity: Severity::Info,
            seeded: true,
        },
        beside: None,
    };
    let engine = super::engine(&config)?;
    match &args.output {
        None => pipeline::run(&config, engine, plan, std::io::stdout())?,
        Some(path) => {
            let file = File::create(path)
                .with_context(|| format!("cannot write the recording {}", path.display()))?;
            pipeline::run(&config, engine, plan, file)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
