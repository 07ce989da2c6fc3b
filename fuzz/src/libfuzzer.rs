//! The targets as libFuzzer wants them: one program, the target's name in `PICKET_FUZZ`.
#![no_main]
#![allow(
    unsafe_code,
    clippy::expect_used,
    reason = "called from C++; what cannot go on is to stop"
)]

use std::sync::LazyLock;

use fuzz::targets::{self, Target};

static TARGET: LazyLock<&'static Target> = LazyLock::new(|| {
    let name = std::env::var("PICKET_FUZZ").expect("PICKET_FUZZ names the target");
    targets::find(&name).expect("PICKET_FUZZ names a target that exists")
});

/// # Safety
/// libFuzzer gives as many bytes as it says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> i32 {
    // SAFETY: as libFuzzer promises; without bytes there may be no pointer either.
    let input = if size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, size) } };
    (TARGET.run)(input);
    0
}
