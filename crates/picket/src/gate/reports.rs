//! The reports that are written into files, each in a format of its own.

use anyhow::Result;
use detect::recipe::Recipe;

use super::context::Context;
use super::files::Target;
use super::report::Report;
use super::sarif;
use crate::cli::ReportArgs;
use crate::config::Config;
use crate::rules::Files;

/// Those that were asked for.
pub(crate) struct Reports {
    wanted: Vec<(Format, Target)>,
    context: Context,
    rules: Vec<Recipe>,
}

/// What a report is written in.
#[derive(Debug, Clone, Copy)]
enum Format {
    Sarif,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Sarif => "SARIF report",
        }
    }
}

impl Reports {
    /// Prepares them. What cannot be written is said here, before anything runs.
    pub(crate) fn open(args: &ReportArgs, config: &Config) -> Result<Self> {
        let mut wanted = Vec::new();
        for (format, path) in [(Format::Sarif, &args.sarif)] {
            if let Some(path) = path {
                wanted.push((format, Target::open(path, format.name())?));
            }
        }
        // What is wrong with a rule, the sensor says.
        let rules = match args.sarif {
            Some(_) => Files::configured(config)?.parse().recipes,
            None => Vec::new(),
        };
        Ok(Self { wanted, context: Context::look(), rules })
    }

    /// Writes them; the answer is what went wrong.
    pub(crate) fn write(&self, report: &Report) -> Vec<anyhow::Error> {
        let written = self.wanted.iter().map(|(format, target)| {
            let text = match format {
                Format::Sarif => sarif::render(report, &self.context, &self.rules),
            };
            target.write(&text)
        });
        written.filter_map(Result::err).collect()
    }
}
