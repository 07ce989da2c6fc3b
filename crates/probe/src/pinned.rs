//! One page of memory that nobody can change, at an address that is known beforehand.
//!
//! A seccomp filter sees the arguments of a system call, but not what a pointer points to. So what
//! must hold of that is put where it cannot be changed: the filter then compares addresses. The
//! page holds the path of the one program that may be executed, and the only ways in which
//! `openat2` may open. It is the lowest page of all, so that no range of memory that begins above
//! it can reach it.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, SealFlags, memfd_create};
use rustix::pipe::PipeFlags;

/// Where the page is.
pub const PAGE: u64 = 0x1_0000;
/// Where the ways to open begin in it.
const HOWS: u64 = 64;
/// Size of the kernel's `struct open_how`.
pub const HOW_SIZE: u64 = 24;

const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
const RESOLVE_IN_ROOT: u64 = 0x10;

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

#[expect(clippy::cast_sign_loss, reason = "flags are bits")]
const fn how(flags: i32, resolve: u64) -> OpenHow {
    OpenHow { flags: (flags | libc::O_CLOEXEC) as u64, mode: 0, resolve }
}

/// How something below a root directory is opened; never for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inside {
    /// A file, to be read.
    File,
    /// Whatever it is, not to be read but to be looked at.
    Anything,
    /// A directory, to be listed.
    Directory,
    /// A directory, to be looked at.
    Place,
}

const STRICT: u64 = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;

/// In the order of `Inside`.
static TABLE: [OpenHow; 4] = [
    how(libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY, RESOLVE_IN_ROOT),
    how(libc::O_PATH, STRICT),
    how(libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NONBLOCK, STRICT),
    how(libc::O_PATH | libc::O_DIRECTORY, STRICT),
];

/// The addresses of the ways to open, once the page is there.
pub fn ways() -> impl Iterator<Item = u64> {
    (0..TABLE.len() as u64).map(|at| PAGE + HOWS + at * HOW_SIZE)
}

/// The page can be made once, and never be unmade: so it belongs to the process.
static PINNED: OnceLock<Program> = OnceLock::new();
static MAPPED: OnceLock<()> = OnceLock::new();

/// A program in memory that this process may execute, whatever else is forbidden to it.
#[derive(Debug)]
pub struct Program {
    fd: OwnedFd,
    inode: u64,
    device: String,
}

/// Opens what a path below a root directory leads to, as if that directory were `/`.
pub fn open_inside(root: BorrowedFd<'_>, path: &CStr, inside: Inside) -> io::Result<OwnedFd> {
    let at = inside as usize;
    let how: *const OpenHow = if MAPPED.get().is_some() {
        std::ptr::with_exposed_provenance((PAGE + HOWS) as usize + at * HOW_SIZE as usize)
    } else {
        &raw const TABLE[at]
    };
    // SAFETY: the path ends with a zero; `how` points to a structure of that size that is never
    // changed, here or in the page that is never unmapped.
    let fd = unsafe {
        libc::syscall(libc::SYS_openat2, root.as_raw_fd(), path.as_ptr(), how, HOW_SIZE as usize)
    };
    let fd = i32::try_from(fd).unwrap_or(-1);
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor, nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl Program {
    /// Puts a program into memory under a name, sealed, and its path into the page. There is one
    /// for a process: asked again, it is the same. Where programs in memory are forbidden there is
    /// none, and the page is there all the same.
    pub fn pin(name: &str, bytes: &[u8]) -> io::Result<&'static Self> {
        if let Some(program) = PINNED.get() {
            return Ok(program);
        }
        let fd = match memory_file(name) {
            Ok(fd) => fd,
            Err(error) => {
                map("\0")?;
                return Err(error);
            }
        };
        rustix::io::retry_on_intr(|| rustix::io::write(&fd, bytes)).and_then(|written| {
            if written == bytes.len() { Ok(()) } else { Err(rustix::io::Errno::NOSPC) }
        })?;
        let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&fd, seals)?;
        let stat = rustix::fs::fstat(&fd)?;
        let inode = stat.st_ino;
        let device =
            format!("{}:{}", rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
        map(&format!("/proc/self/fd/{}\0", fd.as_raw_fd()))?;
        Ok(PINNED.get_or_init(|| Self { fd, inode, device }))
    }

    /// The number of its inode: no other file in memory has it at the same time.
    pub fn inode(&self) -> u64 {
        self.inode
    }

    /// The device that its file is on, `major:minor`.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Its descriptor, which must stay open.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Executes it with these arguments, its name being the first, and without an environment. Waits
    /// for its end, and returns how it ended.
    pub fn run(&self, args: &[&CStr]) -> io::Result<ExitStatus> {
        let (failed, tell) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        let path = std::ptr::with_exposed_provenance::<libc::c_char>(PAGE as usize);
        let mut argv: Vec<*const libc::c_char> = args.iter().map(|arg| arg.as_ptr()).collect();
        argv.push(std::ptr::null());
        let envp = [std::ptr::null::<libc::c_char>()];
        // SAFETY: between fork and execve the child calls nothing but these, which are safe there;
        // the path and both lists are in memory that it has a copy of.
        let pid = unsafe {
            let pid = libc::fork();
            if pid == 0 {
                libc::execve(path, argv.as_ptr(), envp.as_ptr());
                let error = *libc::__errno_location();
                libc::write(tell.as_raw_fd(), (&raw const error).cast(), size_of_val(&error));
                libc::_exit(127);
            }
            pid
        };
        if pid < 0 {
            return Err(io::Error::last_os_error());
        }
        // Its end of the pipe is closed when it is executed; what it says before that is the error.
        drop(tell);
        let mut error = [0; 4];
        let told = rustix::io::retry_on_intr(|| rustix::io::read(&failed, &mut error))?;
        let id = rustix::process::Pid::from_raw(pid);
        let none = rustix::process::WaitOptions::empty();
        let ended = rustix::io::retry_on_intr(|| rustix::process::waitpid(id, none))?;
        if told == error.len() {
            return Err(io::Error::from_raw_os_error(i32::from_ne_bytes(error)));
        }
        Ok(ExitStatus::from_raw(ended.map_or(0, |(_, status)| status.as_raw())))
    }
}

fn memory_file(name: &str) -> io::Result<OwnedFd> {
    // Kernels since 6.3 want to be told that it will be executed; older ones refuse to be told.
    const EXEC: MemfdFlags = MemfdFlags::from_bits_retain(0x10);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    Ok(memfd_create(name, flags | EXEC).or_else(|error| match error {
        rustix::io::Errno::INVAL => memfd_create(name, flags),
        error => Err(error),
    })?)
}

/// Maps the page and fills it.
fn map(path: &str) -> io::Result<()> {
    if MAPPED.get().is_some() {
        return Err(io::Error::other("it is there already"));
    }
    let size = rustix::param::page_size();
    let fits = path.len() as u64 <= HOWS && HOWS + size_of_val(&TABLE) as u64 <= size as u64;
    if !fits {
        return Err(io::Error::other("it does not fit into a page"));
    }
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE;
    let place = std::ptr::without_provenance_mut(PAGE as usize);
    // SAFETY: a new page where none was; the kernel refuses if there is one. It is as large as
    // what is copied, and nobody else knows of it yet.
    unsafe {
        let page =
            libc::mmap(place, size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0).cast::<u8>();
        if page.cast() == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        if page.expose_provenance() as u64 != PAGE {
            return Err(io::Error::other("the kernel is too old to choose an address"));
        }
        page.copy_from_nonoverlapping(path.as_ptr(), path.len());
        let table: *const [OpenHow; 4] = &raw const TABLE;
        page.add(HOWS as usize).copy_from_nonoverlapping(table.cast(), size_of_val(&TABLE));
        if libc::mprotect(page.cast(), size, libc::PROT_READ) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    let _ = MAPPED.set(());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_executed_and_files_are_opened_as_the_page_says() {
        let bytes = std::fs::read("/bin/true").unwrap();
        let root = std::fs::File::open("/proc/self").unwrap();
        for _ in 0..2 {
            // Before there is a page, and after.
            let file = open_inside(root.as_fd(), c"/status", Inside::File).unwrap();
            assert!(std::io::read_to_string(std::fs::File::from(file)).unwrap().contains("Name:"));
            let above = open_inside(root.as_fd(), c"../../etc/passwd", Inside::File);
            assert_eq!(above.unwrap_err().kind(), io::ErrorKind::NotFound);
            assert!(open_inside(root.as_fd(), c"status", Inside::Directory).is_err());
            Program::pin("tried", &bytes).unwrap();
        }
        let program = Program::pin("tried", &bytes).unwrap();
        assert!(program.run(&[c"tried"]).unwrap().success());
        assert!(rustix::io::write(program.fd(), b"x").is_err(), "it is not sealed");
    }
}
