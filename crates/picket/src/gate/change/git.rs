//! The `git` program, asked about a repository whose every file may be hostile.
//!
//! It is not run in the repository but in a directory made for it, with a configuration of picket's
//! own; of the repository it sees the objects, and no more. So there is nothing that could name a
//! pager, a hook, a filter, an alias or a remote side. Where picket is root it runs as the
//! repository's owner, who could have run it as well.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, geteuid, prlimit};

use super::repository::{Id, Repository};

/// What one question may be answered with.
const LONGEST_ANSWER: u64 = 4 << 20;
const LONGEST_ERROR: u64 = 4096;
/// How much of memory may be mapped: packs are, as a whole.
const MEMORY: u64 = 4 << 30;
/// How often it is looked whether it has ended.
const STEP: Duration = Duration::from_millis(1);

/// Directories where it is looked for. What else the search path names, the run may have chosen.
const PLACES: [&str; 4] = ["/usr/bin", "/usr/local/bin", "/bin", "/opt/homebrew/bin"];

/// What is answered when the deadline has passed.
pub(super) const LATE: &str = "there was no time left to ask git";

/// Git, ready to be asked.
pub(super) struct Git {
    program: PathBuf,
    dir: PathBuf,
    objects: PathBuf,
    owner: Option<(u32, u32)>,
    deadline: Instant,
}

impl Git {
    /// Prepares a directory for it. After the deadline, no question is answered.
    pub(super) fn prepare(
        repository: &Repository,
        head: &Id,
        deadline: Instant,
    ) -> Result<Self, String> {
        let program = PLACES.iter().map(|dir| Path::new(dir).join("git")).find(|p| p.is_file());
        let program = program.ok_or("there is no git on this machine")?;
        let owner = match geteuid().is_root() {
            true => Some(repository.owner().ok_or("the repository's owner is not known")?),
            false => None,
        };
        let objects = repository.objects();
        let dir = own_dir().map_err(|error| {
            format!("cannot make a directory in {}: {error}", std::env::temp_dir().display())
        })?;
        let git = Self { program, dir, objects, owner, deadline };
        git.fill(repository, head).map_err(|error| {
            format!("cannot prepare a directory for git, {}: {error}", git.dir.display())
        })?;
        Ok(git)
    }

    fn fill(&self, repository: &Repository, head: &Id) -> io::Result<()> {
        open_to_all(&self.dir, 0o755)?;
        fs::create_dir(self.dir.join("refs"))?;
        open_to_all(&self.dir.join("refs"), 0o755)?;
        let format = match head.is_sha256() {
            true => "1\n[extensions]\nobjectFormat = sha256\n",
            false => "0\n",
        };
        let config = format!("[core]\nbare = true\nrepositoryFormatVersion = {format}");
        let shallow = repository.shallow();
        let shallow: String = shallow.iter().map(|id| format!("{}\n", id.as_str())).collect();
        let mut files = vec![("HEAD", "ref: refs/heads/none\n"), ("config", &config)];
        if !shallow.is_empty() {
            files.push(("shallow", &shallow));
        }
        for (name, text) in files {
            let path = self.dir.join(name);
            fs::write(&path, text)?;
            open_to_all(&path, 0o644)?;
        }
        Ok(())
    }

    /// Asks. An error is what git said of it.
    pub(super) fn ask(&self, arguments: &[&str]) -> Result<Vec<u8>, String> {
        if Instant::now() >= self.deadline {
            return Err(LATE.to_owned());
        }
        let mut child =
            self.command(arguments).spawn().map_err(|e| format!("cannot run git: {e}"))?;
        bound(&child);
        let out = child.stdout.take().map(|out| drain(out, LONGEST_ANSWER));
        let err = child.stderr.take().map(|err| drain(err, LONGEST_ERROR));
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break Ok(status),
                Ok(None) if Instant::now() < self.deadline => std::thread::sleep(STEP),
                Ok(None) => break Err(LATE.to_owned()),
                Err(error) => break Err(format!("cannot wait for git: {error}")),
            }
        };
        if status.is_err() {
            // What is killed need not be there any more.
            let _ = child.kill();
            let _ = child.wait();
        }
        let taken = |thread: Option<JoinHandle<Vec<u8>>>| {
            thread.and_then(|t| t.join().ok()).unwrap_or_default()
        };
        let (out, err) = (taken(out), taken(err));
        match status? {
            status if status.success() => Ok(out),
            status => {
                let said = String::from_utf8_lossy(&err);
                let said = said.lines().last().unwrap_or_default();
                let said = said.strip_prefix("fatal: ").unwrap_or(said);
                Err(if said.is_empty() { format!("git failed: {status}") } else { said.to_owned() })
            }
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--no-pager", "--no-replace-objects", "--literal-pathspecs"]);
        for setting in [
            "core.fsmonitor=false",
            "core.hooksPath=/dev/null",
            "core.attributesFile=/dev/null",
            // The run may have written one that lies about parents.
            "core.commitGraph=false",
            "log.showSignature=false",
        ] {
            command.args(["-c", setting]);
        }
        command.args(arguments).env_clear().current_dir(&self.dir);
        command.env("GIT_DIR", &self.dir).env("GIT_OBJECT_DIRECTORY", &self.objects);
        command.envs([
            ("PATH", "/usr/bin:/bin"),
            ("HOME", "/nonexistent"),
            ("LC_ALL", "C"),
            ("TZ", "UTC"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_TERMINAL_PROMPT", "0"),
            // What is not there is not fetched.
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_ALLOW_PROTOCOL", "none"),
        ]);
        if let Some((uid, gid)) = self.owner {
            // Other groups are given up with it.
            command.gid(gid).uid(uid);
        }
        command.process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Drop for Git {
    fn drop(&mut self) {
        // It is picket's own, and of no use to anybody.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A directory that nobody else can have made.
fn own_dir() -> io::Result<PathBuf> {
    let base = std::env::temp_dir();
    for count in 0..100 {
        let dir = base.join(format!("picket-git-{}-{count}", std::process::id()));
        match fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Whoever git runs as reads it; there is nothing secret in it.
fn open_to_all(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Keeps it from filling memory, and from writing any file.
fn bound(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    for (resource, most) in [(Resource::As, MEMORY), (Resource::Fsize, 0), (Resource::Core, 0)] {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        // It may have ended already.
        let _ = pid.map(|pid| prlimit(Some(pid), resource, limit));
    }
}

fn drain(from: impl Read + Send + 'static, most: u64) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // Whatever came before an error is taken.
        let _ = from.take(most).read_to_end(&mut bytes);
        bytes
    })
}
