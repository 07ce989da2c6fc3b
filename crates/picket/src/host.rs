//! The name of this machine.

/// What the kernel calls this machine.
pub(crate) fn name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
