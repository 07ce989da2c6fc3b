//! Recognising a pipeline by the variables that its runner sets.

use event::Ci;

/// The variables of one provider: the one that gives it away, then what each fact is called.
struct Provider {
    name: &'static str,
    sign: &'static str,
    repository: &'static str,
    workflow: &'static str,
    job: &'static str,
    step: &'static str,
    run_id: &'static str,
    sha: &'static str,
    r#ref: &'static str,
    actor: &'static str,
}

const PROVIDERS: &[Provider] = &[
    Provider {
        name: "github",
        sign: "GITHUB_ACTIONS",
        repository: "GITHUB_REPOSITORY",
        workflow: "GITHUB_WORKFLOW",
        job: "GITHUB_JOB",
        step: "GITHUB_ACTION",
        run_id: "GITHUB_RUN_ID",
        sha: "GITHUB_SHA",
        r#ref: "GITHUB_REF",
        actor: "GITHUB_ACTOR",
    },
    Provider {
        name: "gitlab",
        sign: "GITLAB_CI",
        repository: "CI_PROJECT_PATH",
        workflow: "CI_PIPELINE_NAME",
        job: "CI_JOB_NAME",
        step: "",
        run_id: "CI_PIPELINE_ID",
        sha: "CI_COMMIT_SHA",
        r#ref: "CI_COMMIT_REF_NAME",
        actor: "GITLAB_USER_LOGIN",
    },
    Provider {
        name: "jenkins",
        sign: "JENKINS_URL",
        repository: "GIT_URL",
        workflow: "JOB_NAME",
        job: "JOB_BASE_NAME",
        step: "STAGE_NAME",
        run_id: "BUILD_ID",
        sha: "GIT_COMMIT",
        r#ref: "GIT_BRANCH",
        actor: "",
    },
    Provider {
        name: "circleci",
        sign: "CIRCLECI",
        repository: "CIRCLE_PROJECT_REPONAME",
        workflow: "CIRCLE_WORKFLOW_ID",
        job: "CIRCLE_JOB",
        step: "",
        run_id: "CIRCLE_BUILD_NUM",
        sha: "CIRCLE_SHA1",
        r#ref: "CIRCLE_BRANCH",
        actor: "CIRCLE_USERNAME",
    },
    Provider {
        name: "azure-pipelines",
        sign: "TF_BUILD",
        repository: "BUILD_REPOSITORY_NAME",
        workflow: "BUILD_DEFINITIONNAME",
        job: "SYSTEM_JOBDISPLAYNAME",
        step: "SYSTEM_TASKDISPLAYNAME",
        run_id: "BUILD_BUILDID",
        sha: "BUILD_SOURCEVERSION",
        r#ref: "BUILD_SOURCEBRANCH",
        actor: "BUILD_REQUESTEDFOR",
    },
    Provider {
        name: "buildkite",
        sign: "BUILDKITE",
        repository: "BUILDKITE_REPO",
        workflow: "BUILDKITE_PIPELINE_SLUG",
        job: "BUILDKITE_LABEL",
        step: "BUILDKITE_STEP_KEY",
        run_id: "BUILDKITE_BUILD_ID",
        sha: "BUILDKITE_COMMIT",
        r#ref: "BUILDKITE_BRANCH",
        actor: "BUILDKITE_BUILD_CREATOR",
    },
    // Any other: most set at least this one.
    Provider {
        name: "unknown",
        sign: "CI",
        repository: "",
        workflow: "",
        job: "",
        step: "",
        run_id: "",
        sha: "",
        r#ref: "",
        actor: "",
    },
];

/// The pipeline that some variables speak of.
pub(crate) fn recognise(variable: impl Fn(&str) -> Option<String>) -> Option<Ci> {
    let set = |name: &str| {
        let value = variable(name).filter(|_| !name.is_empty())?;
        (!value.is_empty()).then(|| detect::mask::text(&value))
    };
    let on = |value: String| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0" | "no");
    let provider = PROVIDERS.iter().find(|p| set(p.sign).is_some_and(on))?;
    Some(Ci {
        provider: provider.name.to_owned(),
        repository: set(provider.repository),
        workflow: set(provider.workflow),
        job: set(provider.job),
        step: set(provider.step),
        run_id: set(provider.run_id),
        sha: set(provider.sha),
        r#ref: set(provider.r#ref),
        actor: set(provider.actor),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Option<Ci> {
        recognise(|name| {
            variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn pipelines_are_recognised() {
        let ci =
            with(&[("CI", "true"), ("GITHUB_ACTIONS", "true"), ("GITHUB_SHA", "abc")]).unwrap();
        assert_eq!((ci.provider.as_str(), ci.sha.as_deref()), ("github", Some("abc")));
        assert_eq!(ci.job, None);
        assert_eq!(with(&[("CI", "1")]).unwrap().provider, "unknown");
        assert_eq!(with(&[("CI", "false")]), None);
        assert_eq!(with(&[]), None);
        let url = with(&[("JENKINS_URL", "x"), ("GIT_URL", "https://u:p@h/r")]).unwrap();
        assert_eq!(url.repository.as_deref(), Some("https://u:***@h/r"));
    }
}
