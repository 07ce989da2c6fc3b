//! `picket ci`: run a command of a pipeline, or a whole job, under watch, report, and decide.

mod outputs;
mod start;
mod stop;

use std::process::ExitCode;

use anyhow::Result;

use crate::cli::{CiArgs, CiStep, Common, VerdictArgs, WithoutEvidence};
use crate::config::Config;
use crate::gate::baseline::Expected;
use crate::gate::change::Change;
use crate::gate::command::{self, Signals};
use crate::gate::launch::Launch;
use crate::gate::report::Report;
use crate::gate::scope::Watches;
use crate::gate::sensor::Sensor;
use crate::gate::verdict::Rules;
use crate::sink;
use outputs::Outputs;

pub(crate) fn run(common: &Common, args: &CiArgs) -> Result<ExitCode> {
    match &args.step {
        Some(CiStep::Start(args)) => start::run(common, args),
        Some(CiStep::Stop(args)) => stop::run(common, args),
        None => run_command(common, args),
    }
}

fn run_command(common: &Common, args: &CiArgs) -> Result<ExitCode> {
    let config = Config::load(common)?;
    let mut outputs = Outputs::open(&args.verdict, common, &config, &args.command)?;
    let expected = Expected::find(&config, &args.expected)?;
    let rules = rules(&config, &args.verdict);
    let change = Change::look(&args.command);
    let mut signals = Signals::catch()?;
    let launch = Launch {
        common,
        config: &config,
        baseline: expected.file.as_deref(),
        watches: Watches::Below,
    };
    let sensor = Sensor::start(&launch, rules, outputs.records.take())?;
    let mut asked = None;
    let began = sensor.wait_until_ready(|| {
        asked = signals.asked_to_end();
        asked.is_some()
    });
    if let Some(signal) = asked {
        return Ok(ExitCode::from(command::code_of_signal(signal)));
    }
    match began {
        Some(state) => sink::log(&format!("ci: watching, coverage {state}")),
        None => sink::log("ci: picket cannot watch; the command runs all the same"),
    }
    sensor.pass_log_on();
    let ended = command::run(&args.command, &mut signals);
    let watched = sensor.stop()?;
    let mut report = Report::new(rules, ended.code, watched, expected);
    report.trace(&change);
    Ok(outputs.tell(report))
}

fn rules(config: &Config, args: &VerdictArgs) -> Rules {
    Rules {
        fail_on: args.fail_on.into(),
        show: config.severity,
        without_evidence_fails: args.without_evidence == WithoutEvidence::Fail,
    }
}
