//! Tells the service manager that picket is ready.

use std::os::unix::net::UnixDatagram;

/// A way to the service manager, if there is one. It is found before privileges are given up: the
/// socket may be where only root gets to.
pub(crate) struct Ready {
    socket: Option<UnixDatagram>,
}

impl Ready {
    pub(crate) fn connect() -> Self {
        let path = std::env::var_os("NOTIFY_SOCKET");
        Self { socket: path.and_then(|path| connect(&path).ok()) }
    }

    /// Says it. Only the manager cares; nobody else can do anything about a failure.
    pub(crate) fn say(&self) {
        if let Some(socket) = &self.socket {
            let _ = socket.send(b"READY=1");
        }
    }
}

fn connect(path: &std::ffi::OsStr) -> std::io::Result<UnixDatagram> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::SocketAddr;
    let socket = UnixDatagram::unbound()?;
    // A leading "@" means a name that is in no file system.
    match path.as_bytes() {
        [b'@', name @ ..] => socket.connect_addr(&SocketAddr::from_abstract_name(name)?)?,
        _ => socket.connect(path)?,
    }
    Ok(socket)
}
