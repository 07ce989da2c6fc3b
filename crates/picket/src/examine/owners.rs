//! Who owns a file, asked as seldom as that can be.

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;

use super::file;
use crate::package::{Lists, Owner, Packages};
use crate::sink;

/// Where a file lies: the device and inode of the root directory, and the path below it.
pub(crate) type Place = (u64, u64, String);

/// How long it is believed that no package knows a path. A program that is built and run again and
/// again is another file each time, and its path is looked for in every list of every package.
const NOBODYS: Duration = Duration::from_secs(30);
/// Paths that are remembered.
const REMEMBERED: usize = 4096;

/// Asks the package databases.
#[derive(Default)]
pub(crate) struct Owners {
    nobodys: Mutex<HashMap<Place, Instant>>,
    /// Of this machine's own packages.
    lists: Lists,
}

impl Owners {
    /// Reads this machine's package lists, so that no detection has to wait for that.
    pub(crate) fn warm_up(&self) {
        if let Err(problem) = Packages::below(Path::new("/")).remembering(&self.lists).prepare() {
            sink::log(&problem.to_string());
        }
    }

    /// The package that brought a file, if the path leads to this very file below that root.
    pub(crate) fn of(&self, root: &OwnedFd, path: &str, file: &File) -> Option<Owner> {
        let place = place(root, path)?;
        let mut nobodys = self.nobodys.lock().unwrap_or_else(PoisonError::into_inner);
        if nobodys.get(&place).is_some_and(|since| since.elapsed() < NOBODYS) {
            return None;
        }
        if !file::leads_to(root, path, file) {
            return None;
        }
        let below = format!("/proc/self/fd/{}", root.as_raw_fd());
        let mut packages = Packages::below(Path::new(&below));
        if is_own(&place) {
            packages = packages.remembering(&self.lists);
        }
        match packages.owner(path, file) {
            Ok(Some(owner)) => return Some(owner),
            Ok(None) => {}
            Err(problem) => sink::log(&format!("{path}: {problem}")),
        }
        if nobodys.len() >= REMEMBERED {
            nobodys.clear();
        }
        nobodys.insert(place, Instant::now());
        None
    }
}

/// Where a file lies.
pub(crate) fn place(root: &OwnedFd, path: &str) -> Option<Place> {
    let stat = rustix::fs::fstat(root).ok()?;
    Some((stat.st_dev, stat.st_ino, path.to_owned()))
}

/// Whether it is below this machine's own root.
fn is_own((device, inode, _): &Place) -> bool {
    rustix::fs::stat("/").is_ok_and(|own| (own.st_dev, own.st_ino) == (*device, *inode))
}
