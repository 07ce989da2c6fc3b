//! What the kernel may leave out: the plan behind its filter.
//!
//! A filter changes cost, never results: it lets through everything that a recipe could
//! match, and more.

use std::collections::BTreeSet;

use event::Exec;

use crate::catalogue::Catalogue;
use crate::recipe::{Concern, Recipe};
use crate::words::base_name;

/// The name of picket's own test program, as a memory file.
pub const CANARY: &str = "picket-canary";

/// Where packages put programs, and nobody else does.
const PACKAGED: &[&str] = &["/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/libexec/"];

/// Which executions must cross into user space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Base names of files, asked for or real, that matter. Versions at their end do not, nor
    /// does their case.
    pub names: BTreeSet<String>,
    /// Recipes that may match whatever the program is called: for them every execution crosses.
    pub everything: Vec<String>,
}

impl Plan {
    /// What recipes need besides web servers and what runs below them.
    pub fn add(&mut self, recipes: &[Recipe], catalogue: &Catalogue) {
        for recipe in recipes {
            if !matches!(recipe.concerns(), Concern::Anything) {
                continue;
            }
            match recipe.names() {
                Some(names) => {
                    self.names.extend(names);
                    // A script's name may be in the arguments only.
                    let runtimes = catalogue.unwrap.runtimes.iter();
                    let names = runtimes.flat_map(|runtime| runtime.names.iter().cloned());
                    self.names.extend(names.filter(|name| !name.contains('*')));
                }
                None => self.everything.push(recipe.name().to_owned()),
            }
        }
    }
}

/// What user space found out about a file, for the kernel to remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Whatever its arguments, it is no server.
    Benign,
    /// It depends on the arguments, or it is a server.
    Watch,
}

impl Catalogue {
    /// The plan that finds every server of the catalogue.
    pub fn plan(&self) -> Plan {
        let mut names = BTreeSet::from([format!("memfd:{CANARY}"), CANARY.to_owned()]);
        for server in &self.servers {
            match &server.runtime {
                None => names.extend(server.program_names().into_iter().map(str::to_owned)),
                Some(runtime) => {
                    names.extend(server.launchers.iter().cloned());
                    let hosts = self.unwrap.runtimes.iter().filter(|r| r.name == *runtime);
                    names.extend(hosts.flat_map(|r| r.names.iter().cloned()));
                }
            }
        }
        let always = self.unwrap.loaders.iter().chain(&self.unwrap.multicall);
        names.extend(always.flat_map(|w| w.names.iter().cloned()));
        // A name with a wildcard is found by its file's verdict instead.
        names.retain(|name| !name.contains('*'));
        Plan { names, everything: Vec::new() }
    }

    /// What the kernel should remember of a file that it asked about; `None` while nobody could
    /// read it: the next execution asks again.
    pub fn verdict(&self, exec: &Exec) -> Option<Verdict> {
        let exe = &exec.process.exe;
        let name = base_name(&exe.path);
        let layers = self.unwrap.loaders.iter().chain(&self.unwrap.multicall);
        let hosts = self.runtime_of(name).is_some_and(|runtime| {
            self.servers.iter().any(|s| s.runtime.as_ref() == Some(&runtime.name))
        });
        let named = hosts
            || layers.into_iter().any(|w| w.is(name))
            || self.by_program(name).next().is_some();
        if named {
            return Some(Verdict::Watch);
        }
        let content = exe.content.as_ref()?;
        let telling =
            !content.signs.is_empty() || content.packed.is_some() || content.problem.is_some();
        Some(if telling { Verdict::Watch } else { Verdict::Benign })
    }

    /// Whether what listens and is not recognised may be a web server that will be known by its
    /// answers only. A daemon that a package brought may be one as well, and runs shells for half
    /// the machine: it is no such candidate.
    pub fn may_serve(&self, exec: &Exec) -> bool {
        let exe = &exec.process.exe;
        let hosts = self.runtime_of(base_name(&exe.path)).is_some();
        let brought = PACKAGED.iter().any(|place| exe.path.starts_with(place))
            && !exe.path.starts_with("/usr/local/");
        !exec.seeded && (hosts || !brought || exe.memfd || exe.deleted)
    }
}
