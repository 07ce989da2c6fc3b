//! One file for each command.

pub(crate) mod baseline;
pub(crate) mod ci;
pub(crate) mod config;
pub(crate) mod docs;
pub(crate) mod doctor;
pub(crate) mod identify;
mod import;
pub(crate) mod recipe;
pub(crate) mod record;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod scan;

use std::sync::Arc;

use anyhow::Result;
use detect::engine::Engine;
use detect::recipe::Recipe;

use crate::config::Config;
use crate::environment;
use crate::rules::{Files, Rules};
use crate::sink;

/// The recipes that the configuration describes now, all or none. The catalogue is read at the
/// start only: verdicts on files rest on it.
pub(crate) fn recipes_again(config: &Config) -> Result<Vec<Recipe>> {
    Files::are_ours(config)?;
    let Rules { recipes, errors, .. } = Files::configured(config)?.parse();
    match errors.as_slice() {
        [] => Ok(recipes),
        [one] => anyhow::bail!("{one}"),
        [first, more @ ..] => anyhow::bail!("{first} (and {} more)", more.len()),
    }
}

/// The engine that the configuration describes. What is wrong with a rule is said, and disables
/// that rule alone.
///
/// The second half of the answer is what coverage must say of it.
fn engine(config: &Config) -> Result<(Engine, Vec<String>)> {
    let Rules { catalogue, recipes, errors } = Files::configured(config)?.parse();
    for error in &errors {
        sink::log(&format!("disabled: {error}"));
    }
    anyhow::ensure!(!recipes.is_empty(), "no recipe is left to run: see the errors above");
    let disabled = match errors.as_slice() {
        [] => Vec::new(),
        [first, ..] => vec![format!("{} rules are disabled, the first: {first}", errors.len())],
    };
    Ok((Engine::new(Arc::new(catalogue), recipes, environment::settings(config)), disabled))
}
