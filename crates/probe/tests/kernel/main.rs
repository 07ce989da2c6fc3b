//! The kernel side against real kernel events: trigger, then expect.
//!
//! What is expected comes from somewhere else each time: `stat(2)`, `/proc`, or what the test
//! itself asked the kernel for. Needs root, as every name here says.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod again;
mod cgroup;
mod facts;
mod kid;
mod mounts;
mod place;
mod program;
mod server;
mod watch;

mod root {
    mod answer;
    mod connect;
    mod family;
    mod filter;
    mod given_up;
    mod hostile;
    mod lineage;
    mod listen;
    mod listening;
    mod loss;
    mod origin;
    mod plain;
    mod pressure;
    mod recover;
    mod script;
    mod several;
    mod slots;
    mod stale;
    mod thin;
    mod trees;
    mod way;
}
