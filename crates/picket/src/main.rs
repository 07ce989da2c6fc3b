//! picket: knows, the moment it happens, that a web server was executed.
//!
//! A table of contents: parse, dispatch, exit code.

mod canary;
mod ci;
mod cli;
mod cmd;
mod config;
mod coverage;
mod environment;
mod escape;
mod examine;
mod expected;
mod gate;
mod home;
mod host;
mod names;
mod package;
mod pipeline;
mod privilege;
mod ready;
mod rules;
mod sarif;
mod seeded;
mod signals;
mod sink;
mod state;
mod tally;
mod trees;
mod users;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Run(args) => cmd::run::run(&cli.common, args),
        Command::Ci(args) => cmd::ci::run(&cli.common, args),
        Command::Record(args) => cmd::record::run(&cli.common, args),
        Command::Replay(args) => cmd::replay::run(&cli.common, args),
        Command::Identify(args) => cmd::identify::run(&cli.common, args),
        Command::Scan(args) => cmd::scan::run(&cli.common, args),
        Command::Recipe(args) => cmd::recipe::run(&cli.common, args),
        Command::Baseline(args) => cmd::baseline::run(&cli.common, args),
        Command::Config => cmd::config::run(&cli.common),
        Command::Doctor => cmd::doctor::run(&cli.common),
        Command::Schema { what } => cmd::docs::schema(*what),
        Command::Man { dir } => cmd::docs::man(dir),
        Command::Completions { shell } => cmd::docs::completions(*shell),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            sink::log(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}
