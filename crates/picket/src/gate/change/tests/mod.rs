//! Tests of the whole.

mod hostile;
mod range;
mod trace;
