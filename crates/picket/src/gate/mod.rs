//! The gate of a pipeline: a command under watch, what it started, and a verdict.
//!
//! picket itself stays as it was called, runs the command and waits for it. The sensor is a `picket
//! run` beside it, which gives up its privileges as always, and whose records come through a pipe.
//! Where the job is more than one command, the sensor goes on alone and writes into a directory.

pub(crate) mod annotations;
mod attest;
pub(crate) mod background;
pub(crate) mod baseline;
mod bounded;
pub(crate) mod change;
pub(crate) mod command;
mod context;
pub(crate) mod files;
mod gitlab;
mod identity;
mod junit;
pub(crate) mod launch;
pub(crate) mod note;
mod process;
pub(crate) mod report;
pub(crate) mod reports;
mod said;
mod sarif;
pub(crate) mod scope;
pub(crate) mod sensor;
pub(crate) mod started;
pub(crate) mod state;
pub(crate) mod summary;
mod tally;
#[cfg(test)]
mod tests;
pub(crate) mod verdict;
