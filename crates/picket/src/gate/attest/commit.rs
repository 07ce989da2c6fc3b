//! The commit that is checked out, read from the repository's files: nothing of the repository is
//! executed for it, no hook and no filter.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Larger files are not read.
const LARGEST: u64 = 16 << 20;

/// The commit that is checked out in a directory with a `.git`.
pub(super) fn head(root: &Path) -> Option<String> {
    let git = directory(root)?;
    // Of a further working tree, names of commits are kept where the first one is.
    let common = read(&git.join("commondir")).map(|path| git.join(path.trim_end()));
    let common = common.unwrap_or_else(|| git.clone());
    let head = read(&git.join("HEAD"))?;
    let head = head.trim_end();
    let Some(name) = head.strip_prefix("ref: ") else { return id(head) };
    let plain = !name.starts_with('/') && !name.split('/').any(|part| part == "..");
    let loose = [&git, &common].into_iter().filter(|_| plain).find_map(|dir| read(&dir.join(name)));
    if let Some(text) = loose {
        return id(text.trim_end());
    }
    let packed = read(&common.join("packed-refs"))?;
    let mut lines = packed.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(_, packed)| *packed == name).and_then(|(text, _)| id(text))
}

/// The repository's own directory: `.git`, or where a file of that name says.
fn directory(root: &Path) -> Option<PathBuf> {
    let git = root.join(".git");
    match git.is_dir() {
        true => Some(git),
        false => read(&git)?.trim_end().strip_prefix("gitdir: ").map(|path| root.join(path)),
    }
}

fn read(path: &Path) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    // Opening a pipe would wait.
    if !meta.is_file() || meta.len() > LARGEST {
        return None;
    }
    let mut text = String::new();
    File::open(path).ok()?.take(LARGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

fn id(text: &str) -> Option<String> {
    is_id(text).then(|| text.to_owned())
}

/// Whether a text is the whole id of a commit, by SHA-1 or SHA-256.
pub(super) fn is_id(text: &str) -> bool {
    let digits = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    [40, 64].contains(&text.len()) && text.chars().all(digits)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn git(dir: &Path, args: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=x", "-c", "user.email=x", "-C"]).arg(dir).args(args);
        let out = command.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    #[test]
    fn it_is_the_one_that_git_tells() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(head(root), None);
        git(root, &["init", "-q"]);
        assert_eq!(head(root), None);
        git(root, &["commit", "-q", "--allow-empty", "-m", "one"]);
        let first = git(root, &["rev-parse", "HEAD"]);
        assert_eq!(head(root).as_ref(), Some(&first));
        git(root, &["pack-refs", "--all"]);
        assert_eq!(head(root).as_ref(), Some(&first));
        git(root, &["worktree", "add", "-q", "-b", "other/branch", "tree"]);
        let tree = root.join("tree");
        git(&tree, &["commit", "-q", "--allow-empty", "-m", "two"]);
        let second = git(&tree, &["rev-parse", "HEAD"]);
        assert_ne!(first, second);
        assert_eq!(head(&tree).as_ref(), Some(&second));
        git(&tree, &["checkout", "-q", "--detach", &first]);
        assert_eq!(head(&tree).as_ref(), Some(&first));
        fs::write(root.join(".git/HEAD"), "ref: ../../../../etc/hostname\n").unwrap();
        assert_eq!(head(root), None);
        fs::write(root.join(".git/HEAD"), "no commit\n").unwrap();
        assert_eq!(head(root), None);
    }
}
