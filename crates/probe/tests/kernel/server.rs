//! Servers and those who ask them; on the loopback only.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread::{JoinHandle, sleep};
use std::time::Duration;

use event::Listen;

use crate::watch::Watch;

/// Longer than any of these takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// What an HTTP server says.
pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

pub(crate) fn loopback4() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

pub(crate) fn loopback6() -> SocketAddr {
    (Ipv6Addr::LOCALHOST, 0).into()
}

/// Says the same on each connection, one part after the other, and closes it. A thread of this
/// process; ended when dropped.
pub(crate) struct Server {
    socket: Arc<TcpListener>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn new(words: &[u8]) -> Self {
        Self::at(loopback4(), vec![words.to_vec()])
    }

    pub(crate) fn at(address: SocketAddr, parts: Vec<Vec<u8>>) -> Self {
        Self::on(TcpListener::bind(address).unwrap(), parts)
    }

    pub(crate) fn on(socket: TcpListener, parts: Vec<Vec<u8>>) -> Self {
        let socket = Arc::new(socket);
        let accepting = Arc::clone(&socket);
        let thread = std::thread::spawn(move || {
            while let Ok((mut stream, _)) = accepting.accept() {
                stream.set_nodelay(true).unwrap();
                for (number, part) in parts.iter().enumerate() {
                    if number > 0 {
                        sleep(Duration::from_millis(5));
                    }
                    // Who asked may have gone.
                    let _ = stream.write_all(part);
                }
            }
        });
        Self { socket, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// The event of its listening.
    #[track_caller]
    pub(crate) fn listen(&self, watch: &mut Watch<'_>) -> Listen {
        let address = self.address();
        watch.listen_on(std::process::id(), &address.ip().to_string(), address.port())
    }

    /// Connects and reads all that it says.
    pub(crate) fn ask(&self) -> Vec<u8> {
        read(connect(self.address()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SAFETY: the descriptor is open; it wakes who accepts.
        unsafe { libc::shutdown(self.socket.as_raw_fd(), libc::SHUT_RDWR) };
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads to the end of a connection.
pub(crate) fn read(mut stream: TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // A server that closes with something unread resets.
    let _ = stream.read_to_end(&mut said);
    said
}

/// Asks as HTTP clients do; what came back.
pub(crate) fn get(address: SocketAddr) -> Vec<u8> {
    let mut stream = connect(address);
    stream.write_all(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    read(stream)
}
