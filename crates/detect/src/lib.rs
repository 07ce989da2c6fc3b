//! What picket looks for. Events in, detections out.
//!
//! Pure: no I/O, no clock, no threads. Time arrives in the event, so `run`, `replay` and
//! `recipe test` are one engine, and the same events give the same detections.

pub mod attack;
mod attribution;
pub mod baseline;
pub mod catalogue;
pub mod content;
pub mod day;
pub mod engine;
pub mod exception;
pub mod export;
pub mod fields;
pub mod guidance;
pub mod identify;
pub mod import;
pub mod incident;
mod index;
pub mod invocation;
mod launcher;
mod limits;
pub mod mask;
pub mod parse;
pub mod plan;
pub mod recipe;
pub mod samples;
mod subject;
pub mod unwrap;
mod when;
mod words;
pub mod workload;
