//! The canary: a tiny program, executed to prove that executions are seen.
//!
//! It is made here, byte by byte, lives in memory only, and does nothing but end.

use anyhow::{Context, Result};
use detect::plan::CANARY;
use event::Exec;
use probe::pinned::Program;

/// The program, ready to be executed.
#[derive(Clone, Copy)]
pub(crate) struct Canary {
    program: &'static Program,
}

impl Canary {
    /// Makes it. The sandbox lets nothing else be executed, so it must be there before.
    pub(crate) fn make() -> Result<Self> {
        let program = Program::pin(CANARY, &program())
            .context("cannot make the canary in memory (vm.memfd_noexec may forbid it)")?;
        Ok(Self { program })
    }

    /// What the sandbox must let through.
    pub(crate) fn program(&self) -> &'static Program {
        self.program
    }

    /// Executes it and waits for its end. Returns its pid.
    pub(crate) fn fly(&self) -> Result<u32> {
        let (pid, _) =
            self.program.run(&[c"picket-canary"]).context("cannot execute the canary")?;
        Ok(pid)
    }

    /// Whether an execution is a canary of this very picket: no other file has its inode.
    pub(crate) fn is_own(&self, exec: &Exec) -> bool {
        let exe = &exec.process.exe;
        exe.memfd && exe.path == format!("memfd:{CANARY}") && exe.inode == self.program.inode()
    }
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
