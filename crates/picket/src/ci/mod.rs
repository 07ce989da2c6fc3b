//! Recognising a pipeline by the variables that its runner sets: that of this process, and that of
//! any other.

mod providers;
mod variables;

use event::{Ancestor, Ci, CiOrigin, Exec};
use probe::home;
use providers::PROVIDERS;
pub(crate) use variables::{Names, Variables};

/// The provider of which nothing is known.
const UNKNOWN: &str = "unknown";
/// Parents that are asked where the environment of a process itself says nothing.
const MOST_PARENTS: usize = 16;

/// The pipeline that some variables speak of.
fn recognise(variables: &Variables) -> Option<Ci> {
    let off = |value: &str| matches!(value.to_ascii_lowercase().as_str(), "false" | "0" | "no");
    let provider = PROVIDERS.iter().find(|p| {
        let (name, wanted) = p.sign;
        let set = variables.get(name);
        set.is_some_and(|value| wanted.map_or(!off(value), |wanted| value == wanted))
    })?;
    Some(Ci {
        provider: provider.name.to_owned(),
        repository: variables.fact(provider.repository),
        workflow: variables.fact(provider.workflow),
        job: variables.fact(provider.job),
        step: variables.fact(provider.step),
        attempt: variables.fact(provider.attempt),
        run_id: variables.fact(provider.run_id),
        url: variables.fact(provider.url),
        sha: variables.fact(provider.sha),
        r#ref: variables.fact(provider.r#ref),
        actor: variables.fact(provider.actor),
        origin: CiOrigin::Picket,
        claimed: false,
    })
}

/// The pipeline that this process runs in.
pub(crate) fn own() -> Option<Ci> {
    recognise(&surroundings(&Names::of_pipelines()))
}

/// Variables of this process. `sudo` takes a pipeline's away: then they are those of whom it was
/// called by.
pub(crate) fn surroundings(names: &Names) -> Variables {
    let own = Variables::of_this_process(names);
    let sudo = ["SUDO_UID", "DOAS_USER"].iter().any(|name| std::env::var_os(name).is_some());
    if recognise(&own).is_some() || !sudo {
        return own;
    }
    let mut pid = "self".to_owned();
    for _ in 0..MOST_PARENTS {
        let Some(parent) = parent(&pid) else { break };
        let file = format!("/proc/{parent}/environ");
        if let Ok(variables) = Variables::of_file(&file, names)
            && recognise(&variables).is_some()
        {
            return variables;
        }
        pid = parent;
    }
    own
}

fn parent(pid: &str) -> Option<String> {
    let status = std::fs::read(format!("/proc/{pid}/status")).ok()?;
    let status = String::from_utf8_lossy(&status);
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim();
    (parent != "0").then(|| parent.to_owned())
}

/// Finds out which step a process belongs to, by its environment.
pub(crate) struct Attributor(Names);

impl Attributor {
    pub(crate) fn new() -> Self {
        Self(Names::of_pipelines())
    }

    /// What an execution's environment says of the pipeline it belongs to; where it says nothing,
    /// what that of the nearest parent says which does.
    pub(crate) fn claim(&self, exec: &Exec) -> Option<Box<Ci>> {
        let process = &exec.process;
        let own = self.of(process.pid, process.start_boot_ns, CiOrigin::Process);
        let parents = exec.ancestry.iter().filter(|a| a.alive).take(MOST_PARENTS);
        let of = |a: &Ancestor| self.of(a.pid, a.start_boot_ns, CiOrigin::Ancestor);
        own.or_else(|| parents.map(of).find_map(|ci| ci)).map(Box::new)
    }

    fn of(&self, pid: u32, start_boot_ns: u64, origin: CiOrigin) -> Option<Ci> {
        let variables = Variables::of_file(&home::proc(pid, "environ"), &self.0).ok()?;
        let ci = recognise(&variables).filter(|ci| ci.provider != UNKNOWN)?;
        // The number may be another process's by now.
        let same = home::runs(pid, start_boot_ns) == Some(true);
        same.then_some(Ci { origin, claimed: true, ..ci })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Option<Ci> {
        let entries = variables.iter().map(|(name, value)| format!("{name}={value}\0"));
        let environment = entries.collect::<String>();
        recognise(&Variables::of_bytes(environment.as_bytes(), &Names::of_pipelines()))
    }

    #[test]
    fn pipelines_are_recognised() {
        let ci =
            with(&[("CI", "true"), ("GITHUB_ACTIONS", "true"), ("GITHUB_SHA", "abc")]).unwrap();
        assert_eq!((ci.provider.as_str(), ci.sha.as_deref()), ("github", Some("abc")));
        assert_eq!((ci.job, ci.url), (None, None));
        assert_eq!(with(&[("CI", "1")]).unwrap().provider, "unknown");
        assert_eq!(with(&[("CI", "woodpecker")]).unwrap().provider, "woodpecker");
        assert_eq!(with(&[("CI", "false")]), None);
        assert_eq!(with(&[("GITHUB_ACTIONS", "false")]), None);
        assert_eq!(with(&[]), None);
        let url = with(&[("JENKINS_URL", "x"), ("GIT_URL", "https://u:p@h/r")]).unwrap();
        assert_eq!(url.repository.as_deref(), Some("https://u:***@h/r"));
    }

    #[test]
    fn a_run_has_an_address() {
        let ci = with(&[
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "o/r"),
            ("GITHUB_RUN_ID", "7"),
        ]);
        let url = ci.unwrap().url;
        assert_eq!(url.as_deref(), Some("https://github.com/o/r/actions/runs/7"));
    }
}
