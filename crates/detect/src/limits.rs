//! Limits: how many detections of a recipe are told, so that one busy parent does not drown the
//! rest. What is not told is counted, and the next that is told says how many that were.

use std::collections::{HashMap, VecDeque};

use crate::recipe::{Per, Recipe};
use crate::subject::Subject;

/// Keys that are remembered; the oldest go first, and what they counted is forgotten with them.
const MOST: usize = 4096;

#[derive(PartialEq, Eq, Hash, Clone)]
enum Key {
    File(String, u64, u64),
    Process(u32, u64),
    Session(u32),
    Recipe,
}

struct Count {
    /// Nanoseconds since 1970.
    since: i64,
    told: u32,
    kept_back: u64,
}

/// What was told lately, by recipe, limit and key.
#[derive(Default)]
pub(crate) struct Limits {
    counts: HashMap<(String, usize, Key), Count>,
    order: VecDeque<(String, usize, Key)>,
}

/// What a detection has to say of limits, if it may be told.
pub(crate) enum Verdict {
    Told(Vec<String>),
    KeptBack,
}

impl Limits {
    /// Counts a detection.
    pub(crate) fn count(&mut self, recipe: &Recipe, subject: &Subject<'_>) -> Verdict {
        let now = subject.exec.time.unix_nanos();
        let (mut reasons, mut kept_back) = (Vec::new(), false);
        for (number, limit) in recipe.file.limits.iter().enumerate() {
            let key = (recipe.name().to_owned(), number, key(limit.per, subject));
            let fresh = || Count { since: now, told: 0, kept_back: 0 };
            if !self.counts.contains_key(&key) {
                self.order.push_back(key.clone());
                if self.order.len() > MOST
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.counts.remove(&oldest);
                }
            }
            let count = self.counts.entry(key).or_insert_with(fresh);
            let over = now - count.since >= i64::from(limit.within.0) * 1_000_000_000;
            if over {
                if count.kept_back > 0 {
                    reasons.push(format!(
                        "{} more like it were not told before: {}",
                        count.kept_back,
                        words(limit.per)
                    ));
                }
                *count = fresh();
            }
            if count.told >= limit.most {
                count.kept_back += 1;
                kept_back = true;
                continue;
            }
            count.told += 1;
            if count.told == limit.most {
                reasons.push(format!(
                    "the last of {} in {} s that are told {}; further ones are counted",
                    limit.most,
                    limit.within.0,
                    words(limit.per)
                ));
            }
        }
        if kept_back { Verdict::KeptBack } else { Verdict::Told(reasons) }
    }
}

fn words(per: Per) -> &'static str {
    match per {
        Per::Executable => "for one file",
        Per::Parent => "for one parent",
        Per::Lineage => "for one web server or session",
        Per::Recipe => "for one recipe",
    }
}

fn key(per: Per, subject: &Subject<'_>) -> Key {
    let process = subject.process();
    match per {
        Per::Executable => {
            let exe = &process.exe;
            Key::File(exe.device.clone(), exe.inode, u64::from(exe.generation))
        }
        Per::Parent => {
            let start = subject.parent().map_or(0, |parent| parent.start_boot_ns);
            Key::Process(process.ppid, start)
        }
        Per::Lineage => match subject.above {
            Some(above) => Key::Process(above.key.pid, above.key.start_boot_ns),
            None => Key::Session(process.session),
        },
        Per::Recipe => Key::Recipe,
    }
}
