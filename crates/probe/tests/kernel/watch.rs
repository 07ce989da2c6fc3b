//! A probe, and what it saw.

use std::path::Path;
use std::time::{Duration, Instant};

use detect::plan::{Plan, Verdict};
use event::{Answer, Connect, Exec, FileId, Listen};
use probe::{Options, Probe, Reader, Seen};

use crate::kid;

/// No event takes this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// The name that [`Watch::crossed`] has at hand in every plan.
pub(crate) const FENCE: &str = "picket-fence";

/// A probe that lets everything cross.
pub(crate) fn everything() -> Probe {
    attached(&Options { everything: true, ..Options::default() }, &[])
}

/// A probe that filters, with these names in its plan.
pub(crate) fn filtered(names: &[&str]) -> Probe {
    attached(&Options::default(), names)
}

pub(crate) fn attached(options: &Options, names: &[&str]) -> Probe {
    let names = names.iter().chain(&[FENCE]).map(|n| (*n).to_owned()).collect();
    let mut probe = Probe::load(options, &Plan { names, ..Plan::default() }).unwrap();
    assert!(probe.attach().unwrap() > 0, "no process was running before");
    assert_eq!(probe.hooks(), ["exec", "fork", "exit", "listen"]);
    probe
}

/// An execution, and the file that the kernel wants a verdict on.
#[derive(Debug, Clone)]
pub(crate) struct Crossed {
    pub(crate) exec: Exec,
    pub(crate) ask: Option<FileId>,
}

/// Everything that came out, in its order.
pub(crate) struct Watch<'p> {
    pub(crate) reader: Reader<'p>,
    pub(crate) seen: Vec<Seen>,
}

impl<'p> Watch<'p> {
    pub(crate) fn new(probe: &'p Probe) -> Self {
        Self { reader: probe.reader().unwrap(), seen: Vec::new() }
    }

    /// Takes what there is now.
    pub(crate) fn drain(&mut self) {
        while self.reader.drain(|seen| self.seen.push(seen)).unwrap() > 0 {}
        assert_eq!(self.reader.malformed(), 0);
    }

    /// Waits for what is wanted; where it stands in `seen`.
    #[track_caller]
    fn wait(&mut self, what: &str, wanted: impl Fn(&Seen) -> bool) -> usize {
        let begin = Instant::now();
        let mut from = 0;
        loop {
            if let Some(place) = self.seen[from..].iter().position(&wanted) {
                return from + place;
            }
            from = self.seen.len();
            let seen = self.seen.len();
            assert!(begin.elapsed() < PATIENCE, "{what}: not among {seen} events in 10 s");
            self.reader.wait(Duration::from_millis(100)).unwrap();
            self.drain();
        }
    }

    /// The first execution that is wanted, within 10 s.
    #[track_caller]
    pub(crate) fn crossing(&mut self, what: &str, wanted: impl Fn(&Exec) -> bool) -> Crossed {
        let place = self.wait(what, |s| matches!(s, Seen::Exec { exec, .. } if wanted(exec)));
        match &self.seen[place] {
            Seen::Exec { exec, ask } => Crossed { exec: (**exec).clone(), ask: *ask },
            _ => unreachable!(),
        }
    }

    /// The first execution of a process.
    #[track_caller]
    pub(crate) fn exec(&mut self, pid: u32) -> Exec {
        self.crossing(&format!("execution by {pid}"), |e| e.process.pid == pid).exec
    }

    /// The first execution of a process under a kernel's short name.
    #[track_caller]
    pub(crate) fn exec_as(&mut self, pid: u32, comm: &str) -> Exec {
        let what = format!("execution by {pid} as {comm}");
        self.crossing(&what, |e| e.process.pid == pid && e.process.comm == comm).exec
    }

    /// The first listener of a process.
    #[track_caller]
    pub(crate) fn listen(&mut self, pid: u32) -> Listen {
        let place = self.place_of_listener(pid);
        match &self.seen[place] {
            Seen::Listen(listen) => (**listen).clone(),
            _ => unreachable!(),
        }
    }

    /// The listener of a process on one address and port.
    #[track_caller]
    pub(crate) fn listen_on(&mut self, pid: u32, address: &str, port: u16) -> Listen {
        let what = format!("listener of {pid} on {address} port {port}");
        let place = self.wait(&what, |s| match s {
            Seen::Listen(l) => {
                l.pid == pid && l.listener.address == address && l.listener.port == port
            }
            _ => false,
        });
        match &self.seen[place] {
            Seen::Listen(listen) => (**listen).clone(),
            _ => unreachable!(),
        }
    }

    /// The answer of a listener.
    #[track_caller]
    pub(crate) fn answer(&mut self, listen: &Listen) -> Answer {
        let what = format!("answer of {:?}", listen.listener);
        let place = self.wait(&what, |s| matches!(s, Seen::Answer(a) if a.listen == *listen));
        match &self.seen[place] {
            Seen::Answer(answer) => (**answer).clone(),
            _ => unreachable!(),
        }
    }

    /// Reads until something is so, within 10 s.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, so: impl Fn(&Reader<'p>) -> bool) {
        let begin = Instant::now();
        while !so(&self.reader) {
            assert!(begin.elapsed() < PATIENCE, "{what}: not within 10 s");
            self.reader.wait(Duration::from_millis(100)).unwrap();
            self.drain();
        }
    }

    /// All answers so far.
    pub(crate) fn answers(&mut self) -> Vec<Answer> {
        self.drain();
        let answer = |seen: &Seen| match seen {
            Seen::Answer(answer) => Some((**answer).clone()),
            _ => None,
        };
        self.seen.iter().filter_map(answer).collect()
    }

    /// The connection of a process, as it was told when it began or when it ended.
    #[track_caller]
    pub(crate) fn connect(&mut self, pid: u32, ended: bool) -> Connect {
        let what = format!("connection of {pid}, ended: {ended}");
        let place =
            self.wait(&what, |s| matches!(s, Seen::Connect(c) if c.pid == pid && c.ended == ended));
        match &self.seen[place] {
            Seen::Connect(connect) => (**connect).clone(),
            _ => unreachable!(),
        }
    }

    /// All connections of a process so far.
    pub(crate) fn connects(&mut self, pid: u32) -> Vec<Connect> {
        self.drain();
        let connect = |seen: &Seen| match seen {
            Seen::Connect(connect) if connect.pid == pid => Some((**connect).clone()),
            _ => None,
        };
        self.seen.iter().filter_map(connect).collect()
    }

    #[track_caller]
    pub(crate) fn place_of_listener(&mut self, pid: u32) -> usize {
        let what = format!("listener of {pid}");
        self.wait(&what, |s| matches!(s, Seen::Listen(listen) if listen.pid == pid))
    }

    #[track_caller]
    pub(crate) fn place_of_exec(&mut self, pid: u32) -> usize {
        let what = format!("execution by {pid}");
        self.wait(&what, |s| matches!(s, Seen::Exec { exec, .. } if exec.process.pid == pid))
    }

    /// What came of an execution that is over: whether it crossed. `fence` is a program called
    /// [`FENCE`]; executions come out in their order, so what did not cross before it never will.
    #[track_caller]
    pub(crate) fn crossed(&mut self, pid: u32, fence: &Path) -> Option<Crossed> {
        assert_eq!(fence.file_name().unwrap(), FENCE);
        let fence = kid::run(fence);
        let end = self.place_of_exec(fence);
        self.seen[..end].iter().find_map(|seen| match seen {
            Seen::Exec { exec, ask } if exec.process.pid == pid => {
                Some(Crossed { exec: (**exec).clone(), ask: *ask })
            }
            _ => None,
        })
    }

    #[track_caller]
    pub(crate) fn remember(&self, file: &FileId, verdict: Verdict) {
        assert!(self.reader.remember(file, verdict).unwrap(), "no verdict kept of {file:?}");
    }
}
