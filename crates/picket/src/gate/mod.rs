//! The gate of a pipeline: a command under watch, what it started, and a verdict.
//!
//! picket itself stays as it was called, runs the command and waits for it. The sensor is a `picket
//! run` beside it, which gives up its privileges as always, and whose records come through a pipe.

pub(crate) mod annotations;
pub(crate) mod command;
mod context;
pub(crate) mod files;
mod identity;
pub(crate) mod report;
pub(crate) mod reports;
mod sarif;
pub(crate) mod sensor;
pub(crate) mod summary;
mod tally;
pub(crate) mod verdict;
