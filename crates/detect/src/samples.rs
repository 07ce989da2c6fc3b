//! The catalogue's own samples: command lines and what each must be taken for.

use event::{Executable, Process, Purpose};

use crate::catalogue::{Catalogue, Expect, Sample};
use crate::parse::ParseError;

impl Catalogue {
    /// Runs every sample of every server; what comes back are the failures.
    pub fn test_samples(&self) -> (usize, Vec<ParseError>) {
        let mut failures = Vec::new();
        let mut count = 0;
        for server in &self.servers {
            for sample in &server.samples {
                count += 1;
                let name = server.name();
                let found = self.identify(&process(sample));
                let got = match &found {
                    None => "no web server".to_owned(),
                    Some(i) => format!("{} ({})", i.server.name(), i.purpose),
                };
                let right = match (&found, sample.expect) {
                    (None, Expect::Other) => true,
                    (Some(i), Expect::Other) => i.server.name() != name,
                    (Some(i), expect) => i.server.name() == name && i.purpose == purpose(expect),
                    (None, _) => false,
                };
                if !right {
                    let file = self.origin(name).unwrap_or("catalogue");
                    failures.push(ParseError::at(
                        file,
                        &server.name.referenced,
                        format!(
                            "sample {:?} of {name:?}: expected {:?}, got {got}",
                            sample.run.join(" "),
                            sample.expect
                        ),
                    ));
                }
            }
        }
        (count, failures)
    }
}

fn purpose(expect: Expect) -> Purpose {
    match expect {
        Expect::Manage => Purpose::Manage,
        Expect::Unknown => Purpose::Unknown,
        Expect::Serve | Expect::Other => Purpose::Serve,
    }
}

fn process(sample: &Sample) -> Process {
    let first = sample.run.first().cloned().unwrap_or_default();
    let path = sample.exe.clone().unwrap_or_else(|| first.clone());
    Process {
        // What was asked for is the file, unless the sample says more.
        invoked_as: path.clone(),
        args: sample.run.clone(),
        exe: Executable { path, ..Executable::default() },
        ..Process::default()
    }
}
