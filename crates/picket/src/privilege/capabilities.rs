//! Which capabilities are needed, what for, and how the others are given up.

use anyhow::{Context, Result};
use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::config::Config;

/// A capability that is kept, and what would be missing without it.
pub(crate) struct Need {
    pub(crate) name: &'static str,
    pub(crate) capability: CapabilitySet,
    /// What coverage says without it; nothing where it only costs detail.
    pub(crate) blind: Option<&'static str>,
}

/// What picket goes on needing while it watches, in every configuration.
pub(crate) const NEEDS: [Need; 4] = [
    Need {
        name: "CAP_SYS_PTRACE",
        capability: CapabilitySet::SYS_PTRACE,
        blind: Some(
            "programs of other users that were deleted, live in memory or in containers are known by \
             name only, and the memory of listeners is not looked into",
        ),
    },
    Need {
        name: "CAP_DAC_READ_SEARCH",
        capability: CapabilitySet::DAC_READ_SEARCH,
        blind: Some("programs that only their owners may read are known by name only"),
    },
    // What coverage says without it depends on more than the capability: see `probe::Probe::deaf`.
    Need { name: "CAP_NET_ADMIN", capability: CapabilitySet::NET_ADMIN, blind: None },
    // Libraries that were deleted are reached through /proc/PID/map_files.
    Need {
        name: "CAP_CHECKPOINT_RESTORE",
        capability: CapabilitySet::CHECKPOINT_RESTORE,
        blind: None,
    },
];

/// The capabilities that are in effect now.
pub(crate) fn held() -> CapabilitySet {
    rustix::thread::capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective)
}

/// What is kept of those that are held, under this configuration.
///
/// The programs are loaded and attached by now. Maps that are open can be used without CAP_BPF
/// since Linux 5.19; before that, `kernel.unprivileged_bpf_disabled` forbids it.
pub(crate) fn to_keep(_config: &Config, kernel: (u32, u32)) -> CapabilitySet {
    let mut keep = NEEDS.iter().fold(CapabilitySet::empty(), |all, need| all | need.capability);
    if kernel < (5, 19) {
        keep |= CapabilitySet::BPF;
    }
    keep & held()
}

/// Takes capabilities out of the bounding set, so that no program can bring them back.
pub(crate) fn bound(keep: CapabilitySet) -> Result<()> {
    for bit in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        if keep.contains(one) {
            continue;
        }
        match rustix::thread::capability_is_in_bounding_set(one) {
            Ok(true) => rustix::thread::remove_capability_from_bounding_set(one)
                .context("cannot give up capabilities for good")?,
            Ok(false) => {}
            // The kernel knows no more.
            Err(_) => break,
        }
    }
    Ok(())
}

/// Gives up all but these, in every set.
pub(crate) fn reduce(keep: CapabilitySet) -> Result<()> {
    let what = "cannot give up capabilities";
    // Kernels before 4.3 have no such set; nothing older than 5.11 runs this.
    rustix::thread::clear_ambient_capability_set().context(what)?;
    let sets =
        CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    rustix::thread::set_capabilities(None, sets).context(what)
}
