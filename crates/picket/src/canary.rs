//! The canary: a tiny program, executed to prove that executions are seen.
//!
//! It is made here, byte by byte, lives in memory only, and does nothing but end.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use detect::plan::CANARY;
use event::Exec;
use rustix::fs::{MemfdFlags, memfd_create};

/// Executes it and waits for its end. Returns its pid.
pub(crate) fn fly() -> Result<u32> {
    let file = File::from(memory_file()?);
    (&file).write_all(&program()).context("cannot write the canary")?;
    let mut child = Command::new(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot execute the canary")?;
    let pid = child.id();
    child.wait().context("cannot wait for the canary")?;
    Ok(pid)
}

/// Whether an execution is a canary of this very picket.
pub(crate) fn is_own(exec: &Exec) -> bool {
    let p = &exec.process;
    p.exe.memfd && p.exe.path == format!("memfd:{CANARY}") && p.ppid == std::process::id()
}

fn memory_file() -> Result<rustix::fd::OwnedFd> {
    // Kernels since 6.3 want to be told that it will be executed; older ones refuse to be told.
    const EXEC: MemfdFlags = MemfdFlags::from_bits_retain(0x10);
    memfd_create(CANARY, MemfdFlags::CLOEXEC | EXEC)
        .or_else(|_| memfd_create(CANARY, MemfdFlags::CLOEXEC))
        .context("cannot make a memory file for the canary (vm.memfd_noexec may forbid it)")
}

/// A static ELF file whose only act is exit(0).
fn program() -> Vec<u8> {
    #[cfg(target_arch = "x86_64")]
    const MACHINE: (u16, &[u8]) = (62, &[0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05]);
    #[cfg(target_arch = "aarch64")]
    const MACHINE: (u16, &[u8]) =
        (183, &[0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0, 0, 0xd4]);
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let (machine, code) = MACHINE;
    let mut elf = Vec::new();
    elf.extend(*b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    elf.extend(2_u16.to_le_bytes()); // an executable
    elf.extend(machine.to_le_bytes());
    elf.extend(1_u32.to_le_bytes());
    elf.extend((BASE + HEADERS).to_le_bytes()); // where it begins
    elf.extend(64_u64.to_le_bytes()); // where the program header is
    elf.extend(0_u64.to_le_bytes());
    elf.extend(0_u32.to_le_bytes());
    for half in [64_u16, 56, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    let size = HEADERS + code.len() as u64;
    elf.extend(1_u32.to_le_bytes()); // to be loaded
    elf.extend(5_u32.to_le_bytes()); // readable, executable
    for word in [0, BASE, BASE, size, size, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}
