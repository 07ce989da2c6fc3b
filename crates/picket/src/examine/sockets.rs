//! Whether a process still listens: ports are used again, and an answer belongs to who gave it.

use std::collections::HashSet;
use std::fs;

use probe::home::proc;

/// The state of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Whether a process holds a socket that listens on this port. `None` where that cannot be seen,
/// because the process is gone, for example.
pub(crate) fn listens(pid: u32, port: u16) -> Option<bool> {
    let mut sockets = HashSet::new();
    for table in ["tcp", "tcp6"] {
        let text = fs::read_to_string(proc(pid, &format!("net/{table}"))).unwrap_or_default();
        sockets.extend(text.lines().skip(1).filter_map(|line| listener(line, port)));
    }
    for entry in fs::read_dir(proc(pid, "fd")).ok()?.flatten() {
        let Ok(link) = fs::read_link(entry.path()) else { continue };
        let inode = link.to_str().and_then(|l| l.strip_prefix("socket:[")?.strip_suffix(']'));
        if inode.is_some_and(|inode| sockets.contains(inode)) {
            return Some(true);
        }
    }
    Some(false)
}

/// The inode of a listening socket on this port, from a line of the kernel's table.
fn listener(line: &str, port: u16) -> Option<String> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (_, local) = fields.next()?.rsplit_once(':')?;
    let state = fields.nth(1)?;
    let here = u16::from_str_radix(local, 16).ok()? == port && state == LISTEN;
    here.then(|| fields.nth(5).map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_listens_until_it_does_not() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        assert_eq!(listens(std::process::id(), port), Some(true));
        drop(socket);
        assert_eq!(listens(std::process::id(), port), Some(false));
        assert_eq!(listens(4_194_305, 80), None);
    }
}
