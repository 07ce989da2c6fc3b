//! The reports that are written into files, each in a format of its own.

use std::ffi::OsString;

use anyhow::Result;
use detect::recipe::Recipe;
use event::Stamp;

use super::attest::Attestation;
use super::context::Context;
use super::files::Target;
use super::gitlab::{quality, sast};
use super::report::Report;
use super::{junit, sarif};
use crate::cli::{Common, ReportArgs};
use crate::config::{self, Config};
use crate::rules::Files;

/// Those that were asked for.
pub(crate) struct Reports {
    wanted: Vec<(Format, Target)>,
    context: Context,
    rules: Vec<Recipe>,
    attestation: Option<Attestation>,
}

/// What a report is written in.
#[derive(Debug, Clone, Copy)]
enum Format {
    Sarif,
    JUnit,
    CodeQuality,
    Sast,
    Attestation,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Sarif => "SARIF report",
            Self::JUnit => "JUnit report",
            Self::CodeQuality => "code quality report",
            Self::Sast => "SAST report",
            Self::Attestation => "attestation",
        }
    }
}

impl Reports {
    /// Prepares them. What cannot be written is said here, before anything runs.
    pub(crate) fn open(
        args: &ReportArgs,
        common: &Common,
        config: &Config,
        command: &[OsString],
    ) -> Result<Self> {
        let mut wanted = Vec::new();
        for (format, path) in [
            (Format::Sarif, &args.sarif),
            (Format::JUnit, &args.junit),
            (Format::CodeQuality, &args.gitlab_codequality),
            (Format::Sast, &args.gitlab_sast),
            (Format::Attestation, &args.attest),
        ] {
            if let Some(path) = path {
                wanted.push((format, Target::open(path, format.name())?));
            }
        }
        let context = Context::look();
        let attestation = match &args.attest_key {
            Some(key) => {
                let file = config::file(common);
                Some(Attestation::open(args, key, file, command, &context)?)
            }
            None => None,
        };
        // What is wrong with a rule, the sensor says.
        let rules = match args.sarif.is_some() || attestation.is_some() {
            true => Files::configured(config)?.recipes(),
            false => Vec::new(),
        };
        Ok(Self { wanted, context, rules, attestation })
    }

    /// What is told of began then.
    pub(crate) fn began(&mut self, when: Stamp) {
        self.context.began = when;
    }

    /// Writes them; the answer is what went wrong.
    pub(crate) fn write(&self, report: &Report) -> Vec<anyhow::Error> {
        let written =
            self.wanted.iter().map(|(format, target)| target.write(&self.render(*format, report)?));
        written.filter_map(Result::err).collect()
    }

    fn render(&self, format: Format, report: &Report) -> Result<Vec<u8>> {
        let context = &self.context;
        Ok(match format {
            Format::Sarif => sarif::render(report, context, &self.rules),
            Format::JUnit => junit::render(report, context),
            Format::CodeQuality => quality::render(report, context),
            Format::Sast => sast::render(report, context),
            Format::Attestation => match &self.attestation {
                Some(attestation) => attestation.render(report, context, &self.rules)?,
                None => anyhow::bail!("there is no key to sign the attestation with"),
            },
        })
    }
}
