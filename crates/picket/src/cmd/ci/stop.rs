//! `picket ci stop`: close the gate of a job, report, and decide.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;

use super::outputs::Outputs;
use super::rules;
use crate::cli::{Common, StopArgs};
use crate::config::Config;
use crate::gate::background;
use crate::gate::change::Change;
use crate::gate::report::Report;
use crate::gate::sensor::Watched;
use crate::gate::state::{self, Directory, Gate};

pub(super) fn run(common: &Common, args: &StopArgs) -> Result<ExitCode> {
    let config = Config::load(common)?;
    let mut outputs = Outputs::open(&args.verdict, common, &config, &[])?;
    let rules = rules(&config, &args.verdict);
    let path = args.state.state.clone().unwrap_or_else(state::default_path);
    let (watched, gate) = match open(&path) {
        Ok(Some((directory, gate))) => {
            let watched = background::close(&directory, &gate, rules, outputs.records.take())?;
            (watched, Some((directory, gate)))
        }
        Ok(None) => {
            let why = "was it opened, and is it not closed yet?";
            let why = format!("there is no gate in {}: {why}", path.display());
            (Watched::nothing(rules, why), None)
        }
        Err(error) => (Watched::nothing(rules, format!("{error:#}")), None),
    };
    let (directory, gate) = gate.unzip();
    if let Some(gate) = &gate {
        outputs.began(gate.opened);
    }
    let (expected, change) = gate.map(|gate| (gate.expected, gate.change)).unzip();
    let mut report = Report::new(rules, 0, watched, expected.unwrap_or_default());
    if let Some(change) = change {
        report.trace(&Change::again(change));
    }
    let code = outputs.tell(report);
    if let Some(directory) = directory {
        directory.remove();
    }
    Ok(code)
}

fn open(path: &Path) -> Result<Option<(Directory, Gate)>> {
    let Some(directory) = Directory::open(path)? else { return Ok(None) };
    Ok(directory.gate()?.map(|gate| (directory, gate)))
}
