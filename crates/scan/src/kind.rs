//! Which files are read, and as what: their names say it, or their first lines.

use serde::Serialize;

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A workflow of GitHub Actions.
    GithubWorkflow,
    /// An action of GitHub Actions.
    GithubAction,
    /// A pipeline of GitLab CI.
    Gitlab,
    /// A Jenkinsfile.
    Jenkins,
    /// CircleCI.
    Circleci,
    /// Azure Pipelines.
    Azure,
    /// Buildkite.
    Buildkite,
    /// Bitbucket Pipelines.
    Bitbucket,
    /// Drone.
    Drone,
    /// Woodpecker.
    Woodpecker,
    /// Travis CI.
    Travis,
    /// Tekton.
    Tekton,
    /// A manifest of Kubernetes.
    Kubernetes,
    /// A compose file.
    Compose,
    /// A Dockerfile.
    Dockerfile,
    /// A unit of systemd.
    Systemd,
    /// A Procfile.
    Procfile,
    /// A configuration of supervisord.
    Supervisor,
    /// A package.json.
    Npm,
    /// A composer.json.
    Composer,
    /// A makefile.
    Makefile,
    /// A shell script.
    Shell,
}

impl Kind {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::GithubWorkflow,
        Self::GithubAction,
        Self::Gitlab,
        Self::Jenkins,
        Self::Circleci,
        Self::Azure,
        Self::Buildkite,
        Self::Bitbucket,
        Self::Drone,
        Self::Woodpecker,
        Self::Travis,
        Self::Tekton,
        Self::Kubernetes,
        Self::Compose,
        Self::Dockerfile,
        Self::Systemd,
        Self::Procfile,
        Self::Supervisor,
        Self::Npm,
        Self::Composer,
        Self::Makefile,
        Self::Shell,
    ];

    /// The kind of a file, by its path below the repository's root (parted by `/`) and its beginning;
    /// `None` if it is not read.
    pub fn of(path: &str, head: &str) -> Option<Self> {
        Self::by_name(path).or_else(|| Self::by_content(path, head))
    }

    /// Whether the beginning of a file of this name must be seen to tell.
    pub fn may_be(path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap_or(path);
        let extension = extension(name);
        Self::by_name(path).is_some()
            || is_yaml(extension)
            || matches!(
                extension,
                "" | "conf" | "ini" | "cfg" | "bashrc" | "in" | "tpl" | "cgi" | "postinst" | "init"
            )
    }

    fn by_name(path: &str) -> Option<Self> {
        let path = format!("/{path}");
        let name = path.rsplit('/').next().unwrap_or_default();
        let lower = name.to_ascii_lowercase();
        let extension = extension(&lower);
        let below = |dir: &str| path.contains(&format!("/{dir}/"));
        let starts = |prefix: &str| lower.starts_with(prefix);
        Some(match lower.as_str() {
            "action.yml" | "action.yaml" => Self::GithubAction,
            ".gitlab-ci.yml" | ".gitlab-ci.yaml" => Self::Gitlab,
            "bitbucket-pipelines.yml" | "bitbucket-pipelines.yaml" => Self::Bitbucket,
            ".drone.yml" | ".drone.yaml" => Self::Drone,
            ".woodpecker.yml" | ".woodpecker.yaml" => Self::Woodpecker,
            ".travis.yml" | ".travis.yaml" => Self::Travis,
            "package.json" => Self::Npm,
            "composer.json" => Self::Composer,
            "makefile" | "gnumakefile" | "bsdmakefile" => Self::Makefile,
            _ if is_yaml(extension) && below(".github/workflows") => Self::GithubWorkflow,
            _ if is_yaml(extension) && (below(".gitlab/ci") || lower.contains(".gitlab-ci.")) => {
                Self::Gitlab
            }
            _ if is_yaml(extension) && below(".circleci") => Self::Circleci,
            _ if is_yaml(extension) && below(".woodpecker") => Self::Woodpecker,
            _ if is_yaml(extension) && below(".buildkite") => Self::Buildkite,
            _ if is_yaml(extension)
                && (starts("azure-pipeline")
                    || starts(".azure-pipeline")
                    || below(".azure-pipelines")
                    || below("azure-pipelines")
                    || below(".vsts-ci")
                    || starts(".vsts-ci")) =>
            {
                Self::Azure
            }
            _ if is_yaml(extension)
                && (starts("docker-compose")
                    || starts("compose.")
                    || starts("compose-")
                    || lower.contains(".compose.")
                    || starts("docker-stack")) =>
            {
                Self::Compose
            }
            _ if extension == "jenkinsfile" || starts("jenkinsfile") => Self::Jenkins,
            _ if matches!(extension, "dockerfile" | "containerfile")
                || ["dockerfile", "containerfile"].iter().any(|n| is_or_dotted(&lower, n)) =>
            {
                Self::Dockerfile
            }
            _ if is_or_dotted(&lower, "procfile") => Self::Procfile,
            _ if is_or_dotted(&lower, "makefile") || matches!(extension, "mk" | "mak") => {
                Self::Makefile
            }
            _ if extension == "service"
                || lower.ends_with(".service.in")
                || extension == "container" =>
            {
                Self::Systemd
            }
            _ if matches!(extension, "sh" | "bash" | "zsh" | "ksh" | "bats")
                || lower.ends_with(".sh.in") =>
            {
                Self::Shell
            }
            _ => return None,
        })
    }

    fn by_content(path: &str, head: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        if let Some(line) = head.strip_prefix("#!") {
            let line = line.lines().next().unwrap_or_default();
            let shell = |word: &str| {
                let name = word.rsplit('/').next().unwrap_or(word);
                matches!(name, "sh" | "bash" | "dash" | "ash" | "ksh" | "zsh" | "mksh" | "bats")
            };
            let words = line.split_ascii_whitespace().take(3);
            if words.into_iter().any(shell) {
                return Some(Self::Shell);
            }
            return line.contains("make -f").then_some(Self::Makefile);
        }
        let has = |key: &str| head.lines().any(|line| line.starts_with(key));
        if is_yaml(extension(name)) {
            return if !has("kind:") || !has("apiVersion:") {
                None
            } else if head
                .lines()
                .any(|l| l.starts_with("apiVersion:") && l.contains("tekton.dev/"))
            {
                Some(Self::Tekton)
            } else {
                Some(Self::Kubernetes)
            };
        }
        let ini = matches!(extension(name), "conf" | "ini" | "cfg" | "in" | "tpl" | "");
        (ini && head.lines().any(|line| line.starts_with("[program:"))).then_some(Self::Supervisor)
    }
}

/// `Dockerfile`, `Dockerfile.web`.
fn is_or_dotted(name: &str, of: &str) -> bool {
    let rest = name.strip_prefix(of);
    rest.is_some_and(|rest| {
        rest.is_empty() || rest.starts_with(['.', '-', '_']) && !is_document(extension(name))
    })
}

fn is_document(extension: &str) -> bool {
    matches!(
        extension,
        "md" | "rst"
            | "txt"
            | "adoc"
            | "html"
            | "yml"
            | "yaml"
            | "json"
            | "py"
            | "go"
            | "rb"
            | "js"
            | "sh"
    )
}

fn is_yaml(extension: &str) -> bool {
    matches!(extension, "yml" | "yaml")
}

/// What stands behind the last dot of a name, but for a dot at its beginning.
fn extension(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((before, after)) if !before.is_empty() => after,
        _ => "",
    }
}
