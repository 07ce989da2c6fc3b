//! How the sensor is started: a `picket run`, of the same program.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::scope::Watches;
use crate::cli::Common;
use crate::config::{Config, EnvironmentSetting};

/// What it is started with.
pub(crate) struct Launch<'a> {
    pub(crate) common: &'a Common,
    pub(crate) config: &'a Config,
    /// What is expected, if that is not as the configuration says.
    pub(crate) baseline: Option<&'a Path>,
    pub(crate) watches: Watches,
}

impl Launch<'_> {
    /// The command, without its input and output.
    pub(crate) fn command(&self) -> Result<Command> {
        let program = std::env::current_exe().context("cannot start the sensor")?;
        let mut command = Command::new(program);
        command.args(["run", "--format", "json", "--severity", "info", "--beside"]);
        command.arg(match self.watches {
            Watches::Below => "below",
            Watches::Since => "since",
        });
        if let Some(config) = &self.common.config {
            command.arg("--config").arg(config);
        }
        if let Some(baseline) = self.baseline {
            command.arg("--baseline").arg(baseline);
        }
        let told = self
            .common
            .environment
            .and_then(|choice| choice.to_possible_value().map(|value| value.get_name().to_owned()));
        let own = (self.config.environment == EnvironmentSetting::Auto).then(|| "ci".to_owned());
        if let Some(environment) = told.or(own) {
            command.args(["--environment", &environment]);
        }
        // A service manager waits for picket, not for its sensor.
        command.env_remove("NOTIFY_SOCKET");
        Ok(command)
    }
}
