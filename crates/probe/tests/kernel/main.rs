//! The kernel side against real kernel events: trigger, then expect.
//!
//! What is expected comes from somewhere else each time: `stat(2)`, `/proc`, or what the test
//! itself asked the kernel for. Needs root, as every name here says.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod facts;
mod kid;
mod mounts;
mod place;
mod program;
mod watch;

mod root {
    mod family;
    mod filter;
    mod hostile;
    mod listen;
    mod loss;
    mod origin;
    mod plain;
    mod script;
    mod several;
    mod stale;
    mod way;
}
