//! `picket recipe import` and `export`: rules of other formats, and recipes in one of them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use detect::import::{self, Imported};
use detect::recipe::Recipe;

use crate::cli::{ExportArgs, ImportArgs};
use crate::config::Config;
use crate::rules::{self, Files};
use crate::sink::{self, print};

pub(crate) fn import(args: &ImportArgs) -> Result<ExitCode> {
    let mut files = Vec::new();
    for path in &args.file {
        collect(path, &mut files)?;
    }
    let borrowed: Vec<(&str, &str)> =
        files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let imported = import::import(&borrowed, args.from.format());
    for error in &imported.errors {
        sink::log(&format!("refused: {error}"));
    }
    let mut failed = imported.errors.len();
    match &args.to {
        None => show(imported.recipes.iter().map(|recipe| recipe.yaml.as_str()))?,
        Some(dir) => {
            let what = || format!("cannot write recipes into {}", dir.display());
            fs::create_dir_all(dir).with_context(what)?;
            for recipe in &imported.recipes {
                match write(dir, recipe, args.force) {
                    Ok(path) => print(&crate::escape::terminal(&path.display().to_string()))?,
                    Err(error) => {
                        failed += 1;
                        sink::log(&format!("{error:#}"));
                    }
                }
            }
        }
    }
    sink::log(&match (imported.recipes.len(), imported.errors.len()) {
        (made, 0) => format!("{made} recipes made"),
        (made, wrong) => format!(
            "{made} recipes made; {wrong} things that picket cannot say, each of which refuses \
             its rule"
        ),
    });
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads a file, or those of a directory that could be rules.
fn collect(path: &Path, into: &mut Vec<(String, String)>) -> Result<()> {
    if !path.is_dir() {
        into.push((path.display().to_string(), rules::read_text(path)?));
        return Ok(());
    }
    let what = || format!("cannot read {}", path.display());
    let entries = fs::read_dir(path).and_then(|dir| dir.map(|e| e.map(|e| e.path())).collect());
    let mut entries: Vec<PathBuf> = entries.with_context(what)?;
    entries.sort();
    for entry in entries {
        let yaml = entry.extension().is_some_and(|e| e == "yml" || e == "yaml");
        if yaml || entry.is_dir() {
            collect(&entry, into)?;
        }
    }
    Ok(())
}

/// Writes a recipe's file. One that is there stays as it is, unless it is to be replaced.
fn write(dir: &Path, recipe: &Imported, replace: bool) -> Result<PathBuf> {
    let path = dir.join(format!("{}.yaml", recipe.name));
    let mut options = OpenOptions::new();
    options.write(true);
    match replace {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let hint = match replace {
        false if path.exists() => ": it exists; --force replaces it",
        _ => "",
    };
    let what = || format!("cannot write {}{hint}", path.display());
    let mut file = options.open(&path).with_context(what)?;
    file.write_all(recipe.yaml.as_bytes()).with_context(what)?;
    Ok(path)
}

/// Prints documents, one after the other.
fn show<'t>(texts: impl Iterator<Item = &'t str>) -> Result<()> {
    for (number, text) in texts.enumerate() {
        if number > 0 {
            print("---")?;
        }
        print(text.trim_end())?;
    }
    Ok(())
}

pub(crate) fn export(config: &Config, args: &ExportArgs) -> Result<ExitCode> {
    let rules = Files::configured(config)?.parse();
    for error in &rules.errors {
        sink::log(&error.to_string());
    }
    let unknown = args.name.iter().find(|name| rules.recipes.iter().all(|r| r.name() != *name));
    if let Some(name) = unknown {
        anyhow::bail!("no recipe is called {name:?}: `picket recipe list` names them");
    }
    let wanted = |recipe: &&Recipe| {
        args.name.is_empty() || args.name.iter().any(|name| name == recipe.name())
    };
    let mut failed = rules.errors.len();
    let mut texts = Vec::new();
    for recipe in rules.recipes.iter().filter(wanted) {
        match detect::export::sigma(recipe) {
            Ok(text) => texts.push(text),
            Err(errors) => {
                failed += 1;
                for error in errors {
                    sink::log(&format!("refused: {}: {error}", recipe.name()));
                }
            }
        }
    }
    show(texts.iter().map(String::as_str))?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
