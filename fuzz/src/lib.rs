//! Feeds hostile bytes to every parser of picket.
//!
//! A target ([`targets`]) turns any bytes into calls of one parser, and asserts what must hold
//! whatever they are. Two things drive the targets: `cargo test` replays what is kept in `corpus/`
//! and tries a fixed number of changes to it ([`driver`]), the same ones every time; `make fuzz` lets
//! LLVM's libFuzzer look for new ways through the code (`src/libfuzzer.rs`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a test: what fails is to panic"
)]

pub mod dictionary;
pub mod driver;
pub mod memory;
pub mod mutate;
pub mod place;
pub mod rules;
pub mod seeds;
#[path = "../targets/mod.rs"]
pub mod targets;

#[global_allocator]
static MEMORY: memory::Counting = memory::Counting;
