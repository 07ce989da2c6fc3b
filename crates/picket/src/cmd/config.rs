//! `picket config`: the effective configuration.

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{Common, Format};
use crate::config::Config;
use crate::sink;

pub(crate) fn run(common: &Common) -> Result<ExitCode> {
    let config = Config::load(common)?;
    match common.format {
        Some(Format::Json) => sink::print(&serde_json::to_string(&config)?)?,
        _ => sink::print(config.to_yaml()?.trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}
