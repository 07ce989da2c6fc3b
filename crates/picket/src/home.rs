//! Where picket lives: in a pid namespace of its own it sees less.

use probe::home;

/// Why coverage cannot be full here, in words.
pub(crate) fn blind() -> Option<String> {
    (!home::is_proc_whole()).then(|| {
        "picket runs in a pid namespace of its own and sees no other's /proc: programs are read \
         by their paths alone, the memory of listeners is not looked into, and what ran before \
         has no names (run it with the machine's pid namespace and /proc)"
            .to_owned()
    })
}
