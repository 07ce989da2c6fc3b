//! Which job was watched, in the URIs that a `runtime-trace` wants.

use super::super::context::Context;
use super::MONITOR;
use crate::escape::uri;

/// The job.
pub(super) struct Job {
    /// Where it ran: the provider, or this machine.
    pub(super) host: String,
    /// What kind of thing it is.
    pub(super) kind: String,
    /// Which one.
    pub(super) event: String,
}

impl Job {
    pub(super) fn of(
        context: &Context,
        command: &[String],
        variable: impl Fn(&str) -> Option<String>,
    ) -> Self {
        // Values of a pipeline may hold names and passwords of a server.
        let set = |name: &str| {
            variable(name).filter(|v| !v.is_empty()).map(|value| detect::mask::text(&value))
        };
        let known = context.ci.as_ref().and_then(|ci| match ci.provider.as_str() {
            "github" => github(&set),
            "gitlab" => Some((set("CI_SERVER_URL")?, set("CI_JOB_URL")?)),
            "jenkins" => Some((set("JENKINS_URL")?, set("BUILD_URL")?)),
            "circleci" => Some(("https://circleci.com".to_owned(), set("CIRCLE_BUILD_URL")?)),
            "azure-pipelines" => azure(&set),
            "buildkite" => {
                let job = set("BUILDKITE_JOB_ID").map_or_else(String::new, |id| format!("#{id}"));
                let build = set("BUILDKITE_BUILD_URL")?;
                Some(("https://buildkite.com".to_owned(), format!("{build}{job}")))
            }
            _ => None,
        });
        let kind = match &context.ci {
            Some(ci) if ci.provider == "github" => {
                "https://actions.github.io/buildtypes/workflow/v1".to_owned()
            }
            Some(ci) => format!("{MONITOR}#job-of-{}", uri(&ci.provider)),
            None => format!("{MONITOR}#command"),
        };
        let (host, event) = known.unwrap_or_else(|| {
            let host = format!("dns:{}", uri(&context.host));
            (host, format!("{} at {}", command.join(" "), context.began))
        });
        Self { host, kind, event }
    }
}

fn github(set: &impl Fn(&str) -> Option<String>) -> Option<(String, String)> {
    let server = set("GITHUB_SERVER_URL").unwrap_or_else(|| "https://github.com".to_owned());
    let (repository, run) = (set("GITHUB_REPOSITORY")?, set("GITHUB_RUN_ID")?);
    let attempt = set("GITHUB_RUN_ATTEMPT").unwrap_or_else(|| "1".to_owned());
    let event = format!("{server}/{repository}/actions/runs/{run}/attempts/{attempt}");
    Some((server, event))
}

fn azure(set: &impl Fn(&str) -> Option<String>) -> Option<(String, String)> {
    let (server, project) = (set("SYSTEM_COLLECTIONURI")?, set("SYSTEM_TEAMPROJECT")?);
    let build = set("BUILD_BUILDID")?;
    let event = format!("{server}{}/_build/results?buildId={build}", uri(&project));
    Some((server, event))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use event::{Ci, Stamp};

    use super::*;

    fn job(provider: Option<&str>, variables: &[(&str, &str)]) -> Job {
        let ci = provider.map(|name| Ci { provider: name.to_owned(), ..Ci::default() });
        let context = Context {
            root: PathBuf::from("/repo"),
            ci,
            host: "web 1".to_owned(),
            began: Stamp::default(),
        };
        Job::of(&context, &["make".to_owned()], |name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_job_is_named_by_its_provider_or_else_by_the_machine() {
        let github = job(Some("github"), &[("GITHUB_REPOSITORY", "a/b"), ("GITHUB_RUN_ID", "7")]);
        assert_eq!(github.host, "https://github.com");
        assert_eq!(github.event, "https://github.com/a/b/actions/runs/7/attempts/1");
        assert_eq!(github.kind, "https://actions.github.io/buildtypes/workflow/v1");
        let url = "https://u:secret@jenkins.example/";
        let jenkins = job(Some("jenkins"), &[("JENKINS_URL", url), ("BUILD_URL", url)]);
        assert_eq!(jenkins.host, "https://u:***@jenkins.example/");
        // One that does not say enough, and none.
        for provider in [Some("gitlab"), None] {
            let other = job(provider, &[]);
            assert_eq!(other.host, "dns:web%201");
            assert_eq!(other.event, "make at 1970-01-01T00:00:00.000000000Z");
        }
    }
}
