//! Makes a running process do a system call, by ptrace: what it may and may not do is asked of the
//! process itself, of its kernel, with its credentials and its filter.
#![expect(unsafe_code, reason = "ptrace has no safe form")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::ptr::null_mut;

/// A stopped process.
pub(super) struct Stopped {
    pid: i32,
    memory: File,
    regs: libc::user_regs_struct,
    /// Where strings and structures are put: below its stack.
    free: u64,
}

fn ptrace(request: libc::c_uint, pid: i32, addr: u64, data: *mut libc::c_void) {
    // SAFETY: the requests below read or write at most the structure that `data` points to.
    let done = unsafe { libc::ptrace(request, pid, addr as *mut libc::c_void, data) };
    assert!(done >= 0, "ptrace request {request}: {}", std::io::Error::last_os_error());
}

impl Stopped {
    /// Stops a process while it waits in a system call.
    pub(super) fn stop(pid: u32) -> Self {
        let pid = i32::try_from(pid).unwrap();
        let memory =
            File::options().read(true).write(true).open(format!("/proc/{pid}/mem")).unwrap();
        ptrace(libc::PTRACE_SEIZE, pid, 0, null_mut());
        // SAFETY: a structure of numbers.
        let regs = unsafe { std::mem::zeroed() };
        let mut stopped = Self { pid, memory, regs, free: 0 };
        loop {
            ptrace(libc::PTRACE_INTERRUPT, pid, 0, null_mut());
            stopped.wait();
            stopped.regs = stopped.registers();
            let mut code = [0; 2];
            let before = stopped.regs.rip - 2;
            let read = stopped.memory.read_at(&mut code, before);
            if read.is_ok() && code == [0x0f, 0x05] {
                break;
            }
            // It was computing: let it go on until it waits.
            ptrace(libc::PTRACE_CONT, pid, 0, null_mut());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        stopped.free = (stopped.regs.rsp - 65536) & !0xfff;
        stopped
    }

    fn wait(&self) {
        let mut status = 0;
        // SAFETY: the status is written to a number of ours.
        let pid = unsafe { libc::waitpid(self.pid, &raw mut status, libc::__WALL) };
        assert_eq!(pid, self.pid);
        assert!(libc::WIFSTOPPED(status), "it ended: {status:x}");
    }

    fn registers(&self) -> libc::user_regs_struct {
        // SAFETY: a structure of numbers, which the kernel fills in.
        let mut regs: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        ptrace(libc::PTRACE_GETREGS, self.pid, 0, (&raw mut regs).cast());
        regs
    }

    /// Puts bytes into its memory; returns where.
    pub(super) fn put(&mut self, bytes: &[u8]) -> u64 {
        let at = self.free;
        self.memory.write_all_at(bytes, at).unwrap();
        self.free += (bytes.len() as u64 + 15) & !15;
        at
    }

    /// Puts a text there that ends with a zero.
    pub(super) fn text(&mut self, text: &str) -> u64 {
        self.put(format!("{text}\0").as_bytes())
    }

    /// Does a system call. Returns its result, or the negative number of the error.
    pub(super) fn call(&mut self, number: i64, args: &[u64]) -> i64 {
        let arg = |at: usize| args.get(at).copied().unwrap_or_default();
        let mut regs = self.regs;
        regs.rip -= 2;
        regs.rax = number.cast_unsigned();
        regs.orig_rax = u64::MAX;
        (regs.rdi, regs.rsi, regs.rdx) = (arg(0), arg(1), arg(2));
        (regs.r10, regs.r8, regs.r9) = (arg(3), arg(4), arg(5));
        ptrace(libc::PTRACE_SETREGS, self.pid, 0, (&raw mut regs).cast());
        ptrace(libc::PTRACE_SINGLESTEP, self.pid, 0, null_mut());
        self.wait();
        self.registers().rax.cast_signed()
    }
}

impl Drop for Stopped {
    /// Lets it go on where it was.
    fn drop(&mut self) {
        let mut regs = self.regs;
        // SAFETY: as above; it may have ended, and then there is nothing to do.
        unsafe {
            libc::ptrace(libc::PTRACE_SETREGS, self.pid, 0, &raw mut regs);
            libc::ptrace(libc::PTRACE_DETACH, self.pid, 0, 0);
        }
    }
}
