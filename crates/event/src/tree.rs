//! What the kernel's filter calls a tree: processes that are watched because of a server above.

/// The tree that a process belongs to; lives in this process only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tree {
    /// Its number; 0 for none, or for one that is known to have no server.
    pub id: u64,
    /// That of the tree which the process belonged to before: the same, unless a new one began
    /// with what is told.
    pub outer: u64,
}

impl Tree {
    /// Whether there may be a server above.
    pub fn is_below(self) -> bool {
        self.outer != 0
    }

    /// Whether that is the only reason why it is told: what runs is known to be no server.
    pub fn is_only_below(self) -> bool {
        self.is_below() && self.id == self.outer
    }
}
