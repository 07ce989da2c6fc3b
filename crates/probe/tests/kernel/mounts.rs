//! Mounts of a thread's own.

use std::ffi::CString;
use std::path::Path;

use crate::kid::c;

/// Runs `work` in a thread with a mount namespace of its own, in which nothing that is mounted
/// is seen elsewhere.
pub(crate) fn privately(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: concerns this thread only.
            let result = unsafe { libc::unshare(libc::CLONE_NEWNS) };
            assert_eq!(result, 0, "unshare: {}", std::io::Error::last_os_error());
            mount("none", Path::new("/"), "", libc::MS_REC | libc::MS_PRIVATE, "");
            work();
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

pub(crate) fn mount(what: &str, target: &Path, kind: &str, flags: libc::c_ulong, data: &str) {
    let text = |s: &str| CString::new(s).unwrap();
    let (source, fs, options) = (text(what), text(kind), text(data));
    let place = c(target);
    // SAFETY: ended strings, all alive.
    let result = unsafe {
        libc::mount(
            source.as_ptr(),
            place.as_ptr(),
            fs.as_ptr(),
            flags,
            if data.is_empty() { std::ptr::null() } else { options.as_ptr().cast() },
        )
    };
    assert_eq!(result, 0, "mount {kind} {what} {target:?}: {}", std::io::Error::last_os_error());
}

pub(crate) fn tmpfs(target: &Path) {
    mount("tmpfs", target, "tmpfs", 0, "size=1m");
}

pub(crate) fn bind(source: &Path, target: &Path) {
    mount(source.to_str().unwrap(), target, "", libc::MS_BIND, "");
}

/// Takes a mount out of sight; who uses it goes on.
pub(crate) fn detach(target: &Path) {
    let place = c(target);
    // SAFETY: an ended string.
    let result = unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH) };
    assert_eq!(result, 0, "umount {target:?}: {}", std::io::Error::last_os_error());
}

/// Mounts an overlay of `lower` and `upper` on `merged`; directories in `place`.
pub(crate) fn overlay(place: &Path) {
    for dir in ["lower", "upper", "work", "merged"] {
        std::fs::create_dir_all(place.join(dir)).unwrap();
    }
    let dir = place.display();
    let data = format!("lowerdir={dir}/lower,upperdir={dir}/upper,workdir={dir}/work");
    mount("overlay", &place.join("merged"), "overlay", 0, &data);
}
