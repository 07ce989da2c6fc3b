//! `picket ci start`: open the gate of a job whose steps are not one command.

use std::process::ExitCode;

use anyhow::{Result, bail};
use event::State;

use crate::ci;
use crate::cli::{Common, StartArgs, WithoutEvidence};
use crate::config::Config;
use crate::expected;
use crate::gate::background::{self, Started};
use crate::gate::baseline::Expected;
use crate::gate::change::Change;
use crate::gate::command::{self, Signals};
use crate::gate::launch::Launch;
use crate::gate::scope::Watches;
use crate::gate::state::{self, Directory, Gate};
use crate::gate::verdict::NO_EVIDENCE;
use crate::sink;

pub(super) fn run(common: &Common, args: &StartArgs) -> Result<ExitCode> {
    let config = Config::load(common)?;
    let expected = Expected::find(&config, &args.expected)?;
    let path = args.state.state.clone().unwrap_or_else(state::default_path);
    let directory = Directory::make(&path)?;
    clear(&directory, args.replace)?;
    let change = Change::look(&[]);
    let mut signals = Signals::catch()?;
    let launch = Launch {
        common,
        config: &config,
        baseline: expected.file.as_deref(),
        watches: Watches::Since,
    };
    let mut sensor = Started::start(&launch, &directory)?;
    let mut asked = None;
    let began = sensor.wait_until_ready(|| {
        asked = signals.asked_to_end();
        asked.is_some()
    });
    if let Some(signal) = asked {
        sensor.end();
        directory.remove();
        return Ok(ExitCode::from(command::code_of_signal(signal)));
    }
    let (began, mut log) = (began?, sensor.log()?);
    let sees = began.is_some_and(|state| state != State::None);
    if !sees {
        log.pass_on();
        if args.without_evidence == WithoutEvidence::Fail {
            sensor.end();
            directory.remove();
            sink::log(
                "ci: picket cannot watch: that nothing will be found means nothing (`picket doctor` \
                 says why, `--without-evidence pass` goes on all the same)",
            );
            return Ok(ExitCode::from(NO_EVIDENCE));
        }
        sink::log("ci: picket cannot watch; the job goes on, by --without-evidence pass");
    }
    let job = ci::own();
    let gate = Gate {
        boot: state::boot(),
        sensor: sensor.process(),
        opened: expected::now(),
        job: job.map(|ci| words(&[ci.repository, ci.job, ci.run_id])),
        above: log.above.clone(),
        expected,
        change: change.keep(),
    };
    directory.note(&gate)?;
    if let Some(state) = began.filter(|_| sees) {
        sink::log(&format!("ci: watching, coverage {state}; `picket ci stop` reports"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes room for a gate.
fn clear(directory: &Directory, replace: bool) -> Result<()> {
    let before = match directory.gate() {
        Ok(before) => before,
        Err(error) if replace => {
            sink::log(&format!("ci: {error:#}; it is passed over"));
            None
        }
        Err(error) => return Err(error.context("`--replace` passes over it")),
    };
    if let Some(before) = before {
        let of = before.job.as_ref().map_or_else(String::new, |job| format!(" for {job}"));
        let what = format!("a gate was opened here{of} at {}", before.opened);
        if !background::is_open(&before) {
            sink::log(&format!(
                "ci: {what} and never closed; its sensor is gone, this is a new one"
            ));
        } else if replace {
            background::abandon(&before);
            sink::log(&format!("ci: {what} and never closed; it is ended, this is a new one"));
        } else {
            bail!(
                "{what} and is still open, in {}: close it with `picket ci stop`, give this one \
                 another directory with --state, or end that one with --replace",
                directory.path().display()
            );
        }
    }
    directory.clear();
    Ok(())
}

fn words(parts: &[Option<String>]) -> String {
    parts.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
}
