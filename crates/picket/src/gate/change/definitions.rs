//! The files of a repository that say what pipelines, images and sets of services run.

use std::fs;
use std::path::{Path, PathBuf};

/// Files of one directory that are looked at.
const MOST: usize = 200;

/// Directories, and how the names of such files begin and end in them.
const PLACES: &[(&str, &str, &[&str])] = &[
    (".github/workflows", "", &[".yml", ".yaml"]),
    ("", ".gitlab-ci", &[".yml", ".yaml"]),
    (".gitlab", "", &[".yml", ".yaml"]),
    (".gitlab/ci", "", &[".yml", ".yaml"]),
    (".circleci", "config", &[".yml", ".yaml"]),
    ("", "azure-pipelines", &[".yml", ".yaml"]),
    (".azure-pipelines", "", &[".yml", ".yaml"]),
    (".buildkite", "", &[".yml", ".yaml"]),
    ("", "bitbucket-pipelines", &[".yml", ".yaml"]),
    ("", ".drone", &[".yml", ".yaml"]),
    ("", ".woodpecker", &[".yml", ".yaml"]),
    (".woodpecker", "", &[".yml", ".yaml"]),
    (".tekton", "", &[".yml", ".yaml"]),
    ("", "Jenkinsfile", &[""]),
    ("", "action", &[".yml", ".yaml"]),
    ("", "Dockerfile", &[""]),
    ("", "Containerfile", &[""]),
    ("docker", "Dockerfile", &[""]),
    ("", "docker-compose", &[".yml", ".yaml"]),
    ("", "compose", &[".yml", ".yaml"]),
    ("", "Procfile", &[""]),
    ("", "Justfile", &[""]),
    ("", "justfile", &[""]),
    ("", "Taskfile", &[".yml", ".yaml"]),
    ("", "tox", &[".ini"]),
    ("", "noxfile", &[".py"]),
];

/// Those of a repository; first the one that the runner says it is running, if it does.
/// (`o/r/.github/workflows/x.yml@refs/heads/main`)
pub(super) fn of(root: &Path, workflow: Option<&str>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (dir, start, ends) in PLACES {
        let Ok(entries) = fs::read_dir(root.join(dir)) else { continue };
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| name.starts_with(start) && ends.iter().any(|end| name.ends_with(end)));
        names.sort();
        found.extend(names.iter().take(MOST).map(|name| root.join(dir).join(name)));
    }
    let running = workflow.and_then(|text| text.split('@').next()?.split_once("/.github/"));
    if let Some((_, rest)) = running {
        let path = root.join(".github").join(rest);
        if let Some(at) = found.iter().position(|other| *other == path) {
            found[..=at].rotate_right(1);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workflow_that_runs_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        let workflows = dir.path().join(".github/workflows");
        fs::create_dir_all(&workflows).unwrap();
        for name in ["a.yml", "b.yaml", "c.txt"] {
            fs::write(workflows.join(name), "").unwrap();
        }
        fs::write(dir.path().join("Dockerfile.dev"), "").unwrap();
        let names = |workflow: Option<&str>| -> Vec<String> {
            let name = |p: &PathBuf| p.file_name().unwrap().to_string_lossy().into_owned();
            of(dir.path(), workflow).iter().map(name).collect()
        };
        assert_eq!(names(None), ["a.yml", "b.yaml", "Dockerfile.dev"]);
        let running = Some("o/r/.github/workflows/b.yaml@refs/heads/main");
        assert_eq!(names(running), ["b.yaml", "a.yml", "Dockerfile.dev"]);
        assert_eq!(names(Some("../../etc/passwd")), ["a.yml", "b.yaml", "Dockerfile.dev"]);
    }
}
