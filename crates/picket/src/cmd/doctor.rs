//! `picket doctor`: can picket work here, and if not, why?

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use probe::{Check, Probe, Reader, Seen};

use crate::canary::{Canary, Outcome, Proof};
use crate::cli::{Common, Format};
use crate::config::{self, Config};
use crate::privilege;
use crate::sink;

pub(crate) fn run(common: &Common) -> Result<ExitCode> {
    let config = Config::load(common)?;
    let mut checks = probe::checks();
    let rules = crate::rules::Files::configured(&config)?.parse();
    checks.push(Check {
        name: "rules",
        ok: Some(rules.errors.is_empty()),
        found: format!(
            "{} recipes, {} servers",
            rules.recipes.len(),
            rules.catalogue.servers.len()
        ),
        fix: rules.errors.first().map(|e| format!("{e} (`picket recipe check` lists all)")),
    });
    checks.extend(probe::programs());
    let mut plan = rules.catalogue.plan();
    plan.add(&rules.recipes, &rules.catalogue);
    checks.extend(live(&config, &plan));
    let format = config::format(common);
    for check in &checks {
        match format {
            Format::Json => sink::print(&json(check)?)?,
            Format::Text => sink::print(&text(check))?,
        }
    }
    let broken = checks.iter().filter(|check| check.ok == Some(false)).count();
    if broken > 0 {
        anyhow::bail!("{broken} of {} checks failed: see how to fix each above", checks.len());
    }
    Ok(ExitCode::SUCCESS)
}

/// Loads, attaches, and flies the canary.
fn live(config: &Config, plan: &detect::plan::Plan) -> Vec<Check> {
    let options = probe::Options {
        everything: false,
        ring_bytes: config.ring_bytes,
        processes: config.processes,
        files: config.files,
        trees: 0,
    };
    let begun = Instant::now();
    let failed = |name, error: &dyn std::fmt::Display| Check {
        name,
        ok: Some(false),
        found: error.to_string(),
        fix: None,
    };
    let mut probe = match Probe::load(&options, plan) {
        Ok(probe) => probe,
        Err(error) => return vec![failed("hooks", &error)],
    };
    let known = match probe.attach() {
        Ok(known) => known,
        Err(error) => return vec![failed("hooks", &error)],
    };
    let hooks = Check {
        name: "hooks",
        ok: Some(true),
        found: format!(
            "{} attached in {} ms, {known} running processes known",
            probe.hooks().join(", "),
            begun.elapsed().as_millis()
        ),
        fix: None,
    };
    let mut canary = match Canary::new(0) {
        Ok(canary) => canary,
        Err(error) => return vec![hooks, failed("canary", &format!("{error:#}"))],
    };
    let mut reader = match probe.reader() {
        Ok(reader) => reader,
        Err(error) => return vec![hooks, failed("canary", &error)],
    };
    // As `run` does it: what follows, the canary for one, must work without privileges, too.
    let blind = privilege::blind(&probe);
    let sandbox = match privilege::give_up(config, canary.program()) {
        Ok(confined) => Check {
            name: "sandbox",
            ok: confined.missing.is_empty().then_some(true),
            found: confined.words,
            fix: match confined.missing.as_slice() {
                [] => confined.advice,
                missing => Some(missing.join("; ")),
            },
        },
        Err(error) => failed("sandbox", &format!("{error:#}")),
    };
    let mut checks = vec![hooks, sandbox];
    checks.extend(fly(&probe, &mut canary, &mut reader));
    checks.extend(blind.into_iter().map(|why| Check {
        name: "coverage",
        ok: None,
        found: "degraded".to_owned(),
        fix: Some(why),
    }));
    checks
}

/// One check for the canary, and one for each hook that it is to prove.
fn fly(probe: &Probe, canary: &mut Canary, reader: &mut Reader<'_>) -> Vec<Check> {
    let outcome = match prove(probe, canary, reader) {
        Ok(outcome) => outcome,
        Err(error) => {
            let found = format!("{error:#}");
            return vec![Check { name: "canary", ok: Some(false), found, fix: None }];
        }
    };
    let fix = "another sensor or a hardened kernel may keep it from working".to_owned();
    let reasons = outcome.reasons();
    let whole = Check {
        name: "canary",
        ok: Some(reasons.is_empty()),
        found: match reasons.is_empty() {
            true => "executed and seen".to_owned(),
            false => reasons.join("; "),
        },
        fix: (!reasons.is_empty()).then(|| fix.clone()),
    };
    let names = ["exec hook", "fork hook", "listen hook", "exit hook"];
    let hooks = names.into_iter().zip(outcome.proofs).map(|(name, proof)| {
        let (ok, found, fix) = match proof {
            Proof::Seen => (true, "proved by the canary".to_owned(), None),
            Proof::Missing(why) => (false, why, Some(fix.clone())),
        };
        Check { name, ok: Some(ok), found, fix }
    });
    std::iter::once(whole).chain(hooks).collect()
}

fn prove(probe: &Probe, canary: &mut Canary, reader: &mut Reader<'_>) -> Result<Outcome> {
    canary.want();
    loop {
        reader.drain(|one| match one {
            Seen::Exec { exec, .. } => _ = canary.is_own_exec(&exec, probe),
            Seen::Listen(listen) => _ = canary.is_own_listener(&listen),
            Seen::Answer(_) | Seen::Connect(_) => {}
        })?;
        let lost = probe.counts()?.lost();
        if let Some(outcome) = canary.look(reader.caught_up(), lost, probe) {
            return Ok(outcome);
        }
        reader.wait(Duration::from_millis(5))?;
    }
}

fn word(check: &Check) -> &'static str {
    match check.ok {
        Some(true) => "ok",
        Some(false) => "FAIL",
        None => "-",
    }
}

fn text(check: &Check) -> String {
    let mut line =
        format!("{:<5}{:<26}{}", word(check), check.name, crate::escape::terminal(&check.found));
    if let Some(fix) = &check.fix {
        line.push_str(&format!("\n     {:<26}fix: {}", "", crate::escape::terminal(fix)));
    }
    line
}

fn json(check: &Check) -> Result<String> {
    Ok(serde_json::to_string(&serde_json::json!({
        "type": "check",
        "name": check.name,
        "ok": check.ok,
        "found": check.found,
        "fix": check.fix,
    }))?)
}
