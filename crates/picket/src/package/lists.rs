//! Which of dpkg's file lists name a file, remembered for the machine's own packages.
//!
//! A thousand packages have megabytes of lists, and the first detection of a file must not wait for
//! a disk to read them all. So they are read once, when picket starts, and a hash of each base name
//! is kept: eight bytes for each. What it points to is then read as it is now: a stale or ambiguous
//! hash costs another look, never a wrong answer.

use std::ffi::CString;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::Problem;
use super::root::{Changed, Directory, split};

/// A directory that changed less than this ago may change again without another time.
const SETTLED: Duration = Duration::from_secs(2);
/// Far more than any machine has; beyond that nothing is remembered.
const MOST: usize = 4 << 20;

/// The lists, once they were read.
#[derive(Debug, Default)]
pub(crate) struct Lists(Mutex<Option<Index>>);

#[derive(Debug)]
struct Index {
    /// dpkg replaces lists by renaming: every change shows in their directory.
    changed: Changed,
    lists: Vec<CString>,
    /// Hash of a base name and number of a list, in order.
    entries: Vec<(u32, u32)>,
}

impl Lists {
    /// The names of the lists that may name a file of this base name, in order.
    pub(super) fn naming(&self, dir: &Directory<'_>, base: &[u8]) -> Result<Vec<CString>, Problem> {
        let mut index = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = dir.changed()?;
        if index.as_ref().is_none_or(|index| index.changed != changed) {
            let fresh = Index::read(dir, changed)?;
            if fresh.entries.len() > MOST {
                return Ok(fresh.lists);
            }
            *index = Some(fresh);
        }
        let Some(known) = &*index else { return Ok(Vec::new()) };
        let lists = known.naming(base);
        let settled = SystemTime::now().duration_since(changed.time()).unwrap_or_default();
        if settled < SETTLED {
            *index = None;
        }
        Ok(lists)
    }
}

impl Index {
    fn read(dir: &Directory<'_>, changed: Changed) -> Result<Self, Problem> {
        let mut lists = dir.names()?;
        lists.retain(|name| name.to_bytes().ends_with(b".list"));
        let mut entries = Vec::new();
        let mut text = Vec::new();
        for (list, number) in lists.iter().zip(0..) {
            // One that cannot be read is asked for every file, and says then what is wrong.
            match dir.read(list, &mut text) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(_) => {
                    entries.push((ANY, number));
                    continue;
                }
            }
            let begin = entries.len();
            let lines = text.split(|byte| *byte == b'\n');
            entries.extend(lines.map(|line| (hash(split(line).1), number)));
            entries[begin..].sort_unstable();
            let mut last = None;
            let mut kept = begin;
            for at in begin..entries.len() {
                if last.replace(entries[at]) != Some(entries[at]) {
                    entries[kept] = entries[at];
                    kept += 1;
                }
            }
            entries.truncate(kept);
            if entries.len() > MOST {
                break;
            }
        }
        entries.sort_unstable();
        entries.shrink_to_fit();
        Ok(Self { changed, lists, entries })
    }

    fn naming(&self, base: &[u8]) -> Vec<CString> {
        let of = |wanted: u32| {
            let from = self.entries.partition_point(|(hash, _)| *hash < wanted);
            self.entries[from..].iter().take_while(move |(hash, _)| *hash == wanted)
        };
        let mut numbers: Vec<u32> = of(hash(base)).chain(of(ANY)).map(|(_, list)| *list).collect();
        numbers.sort_unstable();
        numbers.iter().filter_map(|list| self.lists.get(*list as usize).cloned()).collect()
    }
}

/// Stands for every name.
const ANY: u32 = u32::MAX;

/// FNV-1a. Who makes names collide makes picket read a list in vain, as it would without them.
fn hash(name: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    name.iter().fold(0x811c_9dc5, step).min(ANY - 1)
}
