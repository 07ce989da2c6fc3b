//! What holds for every sequence of events.

use std::collections::HashMap;

use event::{Connect, Record, Stage};

use super::world::{World, told};

/// The same numbers every time (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        let at = self.below(of.len() as u64);
        of[usize::try_from(at).unwrap()]
    }

    fn pid(&mut self) -> u32 {
        10 + u32::try_from(self.below(40)).unwrap()
    }
}

const PROGRAMS: &[&str] = &[
    "/usr/sbin/nginx",
    "/usr/sbin/nginx -t",
    "/usr/sbin/php-fpm8.2",
    "/usr/bin/python3.11 -m http.server",
    "/usr/bin/dash -c id",
    "/usr/bin/curl http://x/",
    "/usr/bin/true",
];
const PEERS: &[&str] = &["127.0.0.1", "10.0.0.7", "203.0.113.9", "2001:db8::1", "nonsense"];

/// Whatever happens to happen.
fn run(seed: u64) -> Vec<Record> {
    let mut numbers = Numbers(seed);
    let mut world = World::new();
    for pid in 10..50 {
        world.fork(if pid < 20 { 0 } else { pid - 10 }, pid);
    }
    for _ in 0..200 {
        let after = numbers.one(&[0, 0, 0, 1, 59, 61, 900, 3601, -1]);
        let pid = numbers.pid();
        world.after(after);
        match numbers.below(8) {
            0 => drop(world.fork(numbers.pid(), pid)),
            1..=3 => {
                let contained = numbers.below(3) == 0;
                let changed = numbers.below(4) == 0;
                world.exec_as(pid, numbers.one(PROGRAMS), |exec| {
                    if contained {
                        exec.process.cgroup_path =
                            Some(format!("/docker/{}", "0123456789abcdef".repeat(4)));
                    }
                    if changed {
                        exec.process.exe.changed = exec.time;
                    }
                });
            }
            4 => {
                let port = u16::try_from(numbers.below(3)).unwrap();
                world.listen(pid, "0.0.0.0", port);
            }
            5 | 6 => {
                let port = u16::try_from(numbers.below(9)).unwrap();
                world.connect(pid, numbers.one(PEERS), port);
            }
            _ => {
                let port = u16::try_from(numbers.below(9)).unwrap();
                let connect = world.connection(pid, numbers.one(PEERS), port);
                let bytes_sent = numbers.one(&[None, Some(0), Some(u64::MAX)]);
                let (repeats, ended) = (u64::MAX, true);
                world.tell(Connect { repeats, ended, bytes_sent, ..connect });
            }
        }
    }
    world.records
}

#[test]
fn each_stage_is_told_once_and_nothing_is_taken_back() {
    let mut incidents = 0;
    for seed in 1..=400 {
        let records = run(seed);
        assert_eq!(records, run(seed), "seed {seed}: the same events, other records");
        let mut before: HashMap<&str, (Vec<Stage>, event::Severity)> = HashMap::new();
        for update in told(&records) {
            let incident = update.incident.as_ref().unwrap();
            assert_eq!(update.id, incident.id);
            assert!(incident.stages.is_sorted_by_key(|stage| stage.time), "seed {seed}");
            let known = before.get(&*update.id);
            let old = known.map_or(&[][..], |(stages, _)| stages);
            assert!(incident.stages.len() > old.len(), "seed {seed}: no news");
            let gone: Vec<_> = old.iter().filter(|s| !incident.stages.contains(s)).collect();
            assert!(gone.is_empty(), "seed {seed}: {gone:#?} of {incident:#?}");
            for (i, stage) in incident.stages.iter().enumerate() {
                assert!(!incident.stages[..i].contains(stage), "seed {seed}: twice: {stage:?}");
            }
            assert!(known.is_none_or(|(_, severity)| *severity <= update.severity), "seed {seed}");
            before.insert(&update.id, (incident.stages.clone(), update.severity));
        }
        incidents += before.len();
    }
    assert!(incidents > 400, "{incidents} incidents only");
}
