//! `picket schema`, `man` and `completions`: documents made from the code they describe.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::CommandFactory;
use schemars::schema_for;

use crate::cli::{Cli, SchemaKind};
use crate::sink;

pub(crate) fn schema(what: SchemaKind) -> Result<ExitCode> {
    let schema = match what {
        SchemaKind::Catalogue => schema_for!(detect::catalogue::Family),
        SchemaKind::Unwrap => schema_for!(detect::catalogue::Unwrap),
        SchemaKind::Recipe => schema_for!(detect::recipe::RecipeFile),
        SchemaKind::Baseline => schema_for!(detect::baseline::BaselineFile),
        SchemaKind::Exceptions => schema_for!(detect::exception::ExceptionsFile),
        SchemaKind::Config => schema_for!(crate::config::Config),
    };
    sink::print(&serde_json::to_string_pretty(&schema)?)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn man(dir: &Path) -> Result<ExitCode> {
    let what = || format!("cannot write manual pages into {}", dir.display());
    std::fs::create_dir_all(dir).with_context(what)?;
    clap_mangen::generate_to(Cli::command(), dir).with_context(what)?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn completions(shell: clap_complete::Shell) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "picket", &mut script);
    sink::print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(ExitCode::SUCCESS)
}
