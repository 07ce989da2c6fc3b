//! What picket looks for. Events in, detections out.
//!
//! Pure: no I/O, no clock, no threads. Time arrives in the event, so `run`, `replay` and
//! `recipe test` are one engine, and the same events give the same detections.

pub mod attack;
pub mod catalogue;
pub mod content;
pub mod engine;
pub mod guidance;
pub mod identify;
pub mod invocation;
mod launcher;
pub mod mask;
pub mod parse;
pub mod plan;
pub mod recipe;
pub mod samples;
pub mod unwrap;
mod words;
pub mod workload;
