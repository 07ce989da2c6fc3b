//! Real package managers fill real roots; the module is asked about them.

mod dpkg;
mod hostile;
mod rpm;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::*;

/// What the packages that are built here bring.
const PROGRAM: &str = "#!/bin/sh\nexit 0\n";

/// Asks about a file that is there.
fn ask(root: &Path, path: &str) -> Result<Option<Owner>, Problem> {
    let file = File::open(root.join(&path[1..])).unwrap();
    Packages::below(root).owner(path, &file)
}

/// The answer in short: `name version manager intact`.
fn answer(root: &Path, path: &str) -> Option<String> {
    let answer = ask(root, path).unwrap();
    // Whoever remembers the lists says the same, the first time and the next.
    let lists = Lists::default();
    let file = File::open(root.join(&path[1..])).unwrap();
    for _ in 0..2 {
        let packages = Packages::below(root).remembering(&lists);
        assert_eq!(packages.owner(path, &file).unwrap(), answer, "{path}");
    }
    answer.map(|owner| short(&owner))
}

fn short(owner: &Owner) -> String {
    let intact = owner.intact.map_or("unrecorded", |i| if i { "intact" } else { "changed" });
    format!("{owner} {} {intact}", owner.manager)
}

fn problem(root: &Path, path: &str) -> String {
    ask(root, path).unwrap_err().to_string()
}

/// Writes a file and the directories that it needs.
fn write(root: &Path, path: &str, text: impl AsRef<[u8]>) {
    let path = root.join(path.trim_start_matches('/'));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A directory is a link into `/usr`, as nearly everywhere.
fn merge_usr(root: &Path) {
    for dir in ["bin", "sbin", "lib"] {
        fs::create_dir_all(root.join("usr").join(dir)).unwrap();
        std::os::unix::fs::symlink(format!("usr/{dir}"), root.join(dir)).unwrap();
    }
}

fn run(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; scripts/setup.sh test installs what the tests need")
    });
    let out = String::from_utf8_lossy(&done.stdout).into_owned();
    let err = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {out}{err}");
    out
}

/// Random enough, and the same every time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    /// Changes, cuts or repeats something.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(8) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            match self.below(12) {
                0 => bytes.truncate(at),
                1 => bytes[at] = 0,
                2 => bytes[at] = 0xff,
                3 => bytes[at] = b'\n',
                4 => {
                    let to = (at + self.below(64)).min(bytes.len());
                    bytes.drain(at..to);
                }
                5 => {
                    let to = (at + self.below(64)).min(bytes.len());
                    let again = bytes[at..to].to_vec();
                    bytes.splice(at..at, again);
                }
                _ => bytes[at] = u8::try_from(self.below(256)).unwrap(),
            }
        }
    }
}
