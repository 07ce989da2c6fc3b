//! What git knows of a repository that others fill: asked without letting it run anything for them.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longer answers are none.
const LONGEST: u64 = 16 << 20;

/// A repository's working tree.
pub(crate) struct Repository {
    root: PathBuf,
}

impl Repository {
    /// The one that a directory is in.
    pub(crate) fn around(dir: &Path) -> Option<Self> {
        let root = dir.ancestors().find(|dir| dir.join(".git").exists())?;
        Some(Self { root: root.to_owned() })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The commit that a name stands for.
    pub(crate) fn commit(&self, name: &str) -> Result<String> {
        let name = format!("{name}^{{commit}}");
        let arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", &name];
        self.line(&arguments).with_context(|| format!("git knows no {name}"))
    }

    /// The last commit that both have.
    pub(crate) fn merge_base(&self, one: &str, other: &str) -> Result<String> {
        self.line(&["merge-base", "--end-of-options", one, other])
    }

    /// Whether older commits were left out when it was fetched.
    pub(crate) fn is_shallow(&self) -> bool {
        self.line(&["rev-parse", "--is-shallow-repository"]).is_ok_and(|answer| answer == "true")
    }

    /// A file as it was in a commit, if it was there.
    pub(crate) fn file(&self, commit: &str, path: &str) -> Result<Option<String>> {
        let listed = self.ask(&["ls-tree", "-z", "--end-of-options", commit, "--", path])?;
        if listed.is_empty() {
            return Ok(None);
        }
        let text = self.ask(&["cat-file", "blob", &format!("{commit}:{path}")])?;
        String::from_utf8(text).map(Some).context("it is not UTF-8")
    }

    fn line(&self, arguments: &[&str]) -> Result<String> {
        let answer = String::from_utf8(self.ask(arguments)?).context("git's answer is no text")?;
        Ok(answer.trim_end().to_owned())
    }

    /// Runs git, as the owner of the repository: what its configuration could make git run, he
    /// could run himself. Only commands are used that read objects.
    fn ask(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let owner = std::fs::metadata(&self.root).context("cannot look at the repository")?;
        let mut command = Command::new("git");
        for setting in ["safe.directory=*", "core.fsmonitor=false", "core.hooksPath=/dev/null"] {
            command.arg("-c").arg(setting);
        }
        command.arg("-C").arg(&self.root).arg("--no-pager").args(arguments);
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        command.env_clear().env("PATH", path).env("LC_ALL", "C");
        command.envs([
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
        ]);
        if rustix::process::geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("cannot run git: is it installed?")?;
        let (sender, answer) = channel();
        let out = child.stdout.take();
        // It ends with git.
        std::thread::Builder::new().name("git".to_owned()).spawn(move || {
            let mut text = Vec::new();
            let read = out.map(|out| out.take(LONGEST).read_to_end(&mut text));
            let _ = sender.send(matches!(read, Some(Ok(_))).then_some(text));
        })?;
        let answer = answer.recv_timeout(PATIENCE);
        let Ok(Some(text)) = answer else {
            let _ = child.kill();
            let _ = child.wait();
            bail!("git {} does not answer", arguments.first().unwrap_or(&""));
        };
        let status = child.wait().context("git is gone")?;
        if !status.success() {
            bail!("git {}: {status}", arguments.join(" "));
        }
        Ok(text)
    }
}
