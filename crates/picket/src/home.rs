//! Who picket is to the kernel. In a pid namespace of its own it has another pid there than it
//! knows of itself, and learns it from the first record of its canary.

use event::Exec;
use probe::home;

/// Who picket is.
pub(crate) struct Home {
    pid: Option<u32>,
}

impl Home {
    pub(crate) fn find() -> Self {
        Self { pid: home::is_initial().then(std::process::id) }
    }

    /// picket's own pid in the kernel's records, as soon as it is known.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Learns from the execution of a child of picket's.
    pub(crate) fn learn(&mut self, child: &Exec) {
        self.pid.get_or_insert(child.process.ppid);
    }

    /// Whether a child of picket's, by its number here, may be the process of a record. (In a
    /// namespace of its own it cannot be told from the number.)
    pub(crate) fn may_be(child: u32, record: &Exec) -> bool {
        record.process.pid == child || !home::is_initial()
    }

    /// Why coverage cannot be full here, in words.
    pub(crate) fn blind() -> Option<String> {
        (!home::is_proc_whole()).then(|| {
            "picket runs in a pid namespace of its own and sees no other's /proc: programs are read \
             by their paths alone, the memory of listeners is not looked into, and what ran before \
             has no names (run it with the machine's pid namespace and /proc)"
                .to_owned()
        })
    }
}
