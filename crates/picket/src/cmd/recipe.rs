//! `picket recipe`: list, explain, check and test.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use detect::catalogue::Catalogue;
use detect::engine::{Engine, Settings};
use detect::parse::ParseError;
use detect::plan::Plan;
use detect::recipe::{EventKind, Recipe};
use event::{Environment, Event, Record};

use crate::cli::{Common, Format, RecipeArgs, RecipeCommand};
use crate::config::{self, Config};
use crate::rules::Files;
use crate::sink::{self, print};

pub(crate) fn run(common: &Common, args: &RecipeArgs) -> Result<ExitCode> {
    let config = Config::load(common)?;
    match &args.command {
        RecipeCommand::List => list(&config, config::format(common)),
        RecipeCommand::Show { name } => show(&config, name),
        RecipeCommand::Fields => fields(config::format(common)),
        RecipeCommand::Check { path } => check(&files(&config, path)?),
        RecipeCommand::Test { path } => test(&config, path),
        RecipeCommand::Import(args) => super::import::import(args),
        RecipeCommand::Export(args) => super::import::export(&config, args),
    }
}

/// The files named, else all that `run` would use.
fn files(config: &Config, paths: &[PathBuf]) -> Result<Files> {
    if paths.is_empty() {
        return Files::configured(config);
    }
    let mut files = Files::default();
    for path in paths {
        files.read(path)?;
    }
    // A catalogue file is understood only with the runtimes that its servers name.
    let unwrap = detect::catalogue::UNWRAP_FILE;
    if !files.catalogue.iter().any(|(path, _)| path.ends_with(unwrap)) {
        let own =
            Files::embedded().catalogue.into_iter().filter(|(path, _)| path.ends_with(unwrap));
        files.catalogue.extend(own);
    }
    Ok(files)
}

fn list(config: &Config, format: Format) -> Result<ExitCode> {
    let rules = Files::configured(config)?.parse();
    for recipe in &rules.recipes {
        let f = &recipe.file;
        if format == Format::Json {
            print(&serde_json::to_string(&serde_json::json!({
                "type": "recipe", "name": recipe.name(), "version": f.version,
                "description": f.description, "category": f.category, "method": f.method,
                "importance": f.importance, "attack": recipe.attack, "file": recipe.path,
            }))?)?;
        } else {
            print_text(&format!(
                "{:<24} {:<9} {} ({})",
                recipe.name(),
                f.importance.to_string(),
                f.description,
                f.category
            ))?;
        }
    }
    complain(&rules.errors)
}

fn show(config: &Config, name: &str) -> Result<ExitCode> {
    let rules = Files::configured(config)?.parse();
    let recipe = rules.recipes.iter().find(|recipe| recipe.name() == name).with_context(|| {
        format!("no recipe is called {name:?}: `picket recipe list` names them")
    })?;
    let f = &recipe.file;
    print_text(&format!("{} {}: {}", recipe.name(), f.version, f.description))?;
    print_text(&format!("  {} / {}, importance {}", f.category, f.method, f.importance))?;
    for technique in &recipe.attack.techniques {
        print_text(&format!(
            "  ATT&CK {} {} ({})",
            technique.id,
            technique.name,
            technique.tactics.join(", ")
        ))?;
    }
    for line in looks_for(recipe, &rules.catalogue) {
        print_text(&format!("  {line}"))?;
    }
    print_text(&format!("  from {}", recipe.path))?;
    let g = &f.guidance;
    for (environment, text) in
        [("ci", &g.ci), ("staging", &g.staging), ("production", &g.production)]
    {
        print("")?;
        print_text(&format!("  {environment}: {}", text.implication.value.trim()))?;
        for action in &text.actions {
            print_text(&format!("    - {}", action.value.trim()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a recipe matches, and where that is decided.
fn looks_for(recipe: &Recipe, catalogue: &Catalogue) -> Vec<String> {
    let m = &recipe.file.r#match;
    let mut lines = Vec::new();
    let known = |globs: &[serde_saphyr::Spanned<String>]| {
        let names = catalogue.servers.iter().map(|server| server.name());
        names
            .filter(|name| globs.iter().any(|glob| detect::recipe::covers(&glob.value, name)))
            .count()
    };
    let event = match recipe.file.event {
        EventKind::Exec => "executions",
        EventKind::Listen => "listeners",
    };
    lines.push(format!("looks at {event}"));
    if !m.server.is_empty() {
        lines.push(format!("of {} web servers of the catalogue", known(&m.server)));
    }
    if !m.below.is_empty() {
        lines.push(format!("below {} web servers of the catalogue", known(&m.below)));
    }
    let words = |of: &[String]| of.join(", ");
    let shown = |of: Vec<String>| of.join(", ");
    for (what, of) in [
        ("purpose", shown(m.purpose.iter().map(ToString::to_string).collect())),
        ("program", words(&m.program)),
        ("path", words(&m.path)),
        ("started by", shown(m.launcher.iter().map(ToString::to_string).collect())),
        ("in", shown(m.environment.iter().map(ToString::to_string).collect())),
    ] {
        if !of.is_empty() {
            lines.push(format!("{what}: {of}"));
        }
    }
    if let Some(when) = &recipe.when {
        lines.push(format!("when {}", when.source().trim()));
    }
    for limit in &recipe.file.limits {
        lines.push(format!(
            "at most {} in {} s for each {}",
            limit.most,
            limit.within.0,
            format!("{:?}", limit.per).to_lowercase()
        ));
    }
    lines.push(decided(recipe));
    lines
}

/// What the kernel decides of a recipe, and what is left to user space.
fn decided(recipe: &Recipe) -> String {
    let mut plan = Plan::default();
    plan.add(std::slice::from_ref(recipe), &Catalogue::default());
    let m = &recipe.file.r#match;
    if !plan.everything.is_empty() {
        return "the kernel cannot decide anything: every execution crosses to user space; a \
                program's exact name in `match` would change that"
            .to_owned();
    }
    if plan.names.is_empty() {
        let what = if m.server.is_empty() {
            "what descends from web servers"
        } else {
            "what could be a web server, by name and by file"
        };
        return format!("the kernel lets {what} cross; user space decides the rest");
    }
    let names: Vec<&str> = plan.names.iter().map(String::as_str).collect();
    format!(
        "the kernel lets programs called {} cross; user space decides the rest",
        names.join(", ")
    )
}

fn fields(format: Format) -> Result<ExitCode> {
    for field in detect::fields::all() {
        let name = match field.part {
            None => field.name.to_owned(),
            Some(part) => format!("  .{part}"),
        };
        if format == Format::Json {
            print(&serde_json::to_string(&serde_json::json!({
                "type": "field", "name": field.name, "part": field.part, "kind": field.kind,
                "help": field.help,
            }))?)?;
        } else {
            print_text(&format!("{name:<27} {:<14} {}", field.kind, field.help))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints text that somebody else's file may have written.
fn print_text(text: &str) -> Result<()> {
    print(&crate::escape::terminal(text))
}

fn check(files: &Files) -> Result<ExitCode> {
    let rules = files.parse();
    for recipe in &rules.recipes {
        print_text(&format!("{}: {}", recipe.name(), decided(recipe)))?;
    }
    if rules.errors.is_empty() {
        print(&format!(
            "{} recipes and {} servers are in order",
            rules.recipes.len(),
            rules.catalogue.servers.len()
        ))?;
    }
    complain(&rules.errors)
}

fn complain(errors: &[ParseError]) -> Result<ExitCode> {
    for error in errors {
        sink::log(&error.to_string());
    }
    Ok(if errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn test(config: &Config, paths: &[PathBuf]) -> Result<ExitCode> {
    let named = files(config, paths)?;
    let rules = named.parse();
    let mut failures = rules.errors.clone();
    let (mut count, more) = rules.catalogue.test_samples();
    failures.extend(more);
    // Recipes are tested against every server that is known, not only those named.
    let all = Files::configured(config)?.parse().catalogue;
    for recipe in &rules.recipes {
        let stem = recipe.path.trim_end_matches(".yaml").trim_end_matches(".yml");
        for (kind, must) in [("match", true), ("no-match", false)] {
            let path = format!("{stem}.{kind}.jsonl");
            let samples =
                named.samples.iter().find(|(p, _)| *p == path).map(|(_, text)| text.clone());
            let samples =
                samples.or_else(|| std::fs::read_to_string(&path).ok()).unwrap_or_default();
            let lines: Vec<(u64, &str)> =
                (1..).zip(samples.lines()).filter(|(_, line)| !line.trim().is_empty()).collect();
            if lines.is_empty() {
                failures.push(ParseError::line(
                    &recipe.path,
                    1,
                    format!("recipe {:?} is untested: expected samples in {path}", recipe.name()),
                ));
            }
            for (number, line) in lines {
                count += 1;
                if let Err(why) = sample(&all, recipe, line, must) {
                    failures.push(ParseError::line(&path, number, why));
                }
            }
        }
    }
    if failures.is_empty() {
        print(&format!(
            "{count} samples of {} recipes and {} servers are as expected",
            rules.recipes.len(),
            rules.catalogue.servers.len()
        ))?;
    }
    complain(&failures)
}

/// Runs one recorded event through one recipe.
fn sample(catalogue: &Catalogue, recipe: &Recipe, line: &str, must: bool) -> Result<(), String> {
    let value: serde_json::Value =
        serde_json::from_str(line).map_err(|e| format!("not JSON: {e}"))?;
    let expect = value.get("expect").and_then(|e| e.as_str()).map(str::to_owned);
    let before = value.get("before").cloned().unwrap_or(serde_json::Value::Array(Vec::new()));
    let before: Vec<Record> =
        serde_json::from_value(before).map_err(|e| format!("before: not records: {e}"))?;
    let record: Record = serde_json::from_value(value).map_err(|e| format!("not a record: {e}"))?;
    let Record::Event(event) = record else {
        return Err("expected an event, as `picket record` writes them".to_owned());
    };
    // A recipe for one environment is tested in it.
    let environment = recipe.file.r#match.environment.first().copied();
    let settings = Settings {
        environment: environment.unwrap_or(Environment::Production),
        ci: None,
        seeded_severity: event::Severity::Info,
    };
    let mut engine = Engine::new(Arc::new(catalogue.clone()), vec![recipe.clone()], settings);
    for record in before {
        let Record::Event(event) = record else {
            return Err("before: expected events, as `picket record` writes them".to_owned());
        };
        engine.on(&event);
    }
    let found = engine.on(&event).into_iter().find_map(|record| match record {
        Record::Detection(detection) => Some(detection),
        _ => None,
    });
    let what = match &*event {
        Event::Exec { exec, .. } => exec.process.args.join(" "),
        Event::Listen { .. } => "a listener".to_owned(),
        Event::Behaviour { behaviour, .. } => behaviour.exec.process.args.join(" "),
        Event::Connect { .. } => "a connection".to_owned(),
    };
    match (found, must) {
        (None, true) => Err(format!("{what:?} must match and does not")),
        (Some(d), false) => {
            let name = d.server.map_or_else(|| "one".to_owned(), |server| server.name);
            Err(format!("{what:?} must not match, and is taken for {name}"))
        }
        (Some(d), true) => {
            let got = d.server.map(|s| format!("{} {}", s.name, s.purpose)).unwrap_or_default();
            match expect {
                Some(expect) if expect != got => {
                    Err(format!("{what:?}: expected {expect}, got {got}"))
                }
                _ => Ok(()),
            }
        }
        (None, false) => Ok(()),
    }
}
