//! Outbound connections of those who are watched; on the loopback only.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, SocketAddrV6, TcpListener};
use std::os::fd::AsRawFd;
use std::thread::JoinHandle;

use event::ProcessKey;
use probe::{Options, Probe};

use super::listen::bound;
use crate::facts;
use crate::kid::{Kid, Slate, must, pause};
use crate::server::{loopback4, loopback6};
use crate::watch::{Watch, attached};

/// Nobody judges here: all that ran before is watched, and this process with it.
fn watching() -> Probe {
    attached(&Options { trees: 1024, ..Options::default() }, &[])
}

/// An address as the kernel takes it.
struct Address {
    bytes: [u8; 28],
    len: libc::socklen_t,
}

impl Address {
    fn new(at: SocketAddr) -> Self {
        let mut bytes = [0; 28];
        bytes[2..4].copy_from_slice(&at.port().to_be_bytes());
        let (family, len) = match at {
            SocketAddr::V4(at) => {
                bytes[4..8].copy_from_slice(&at.ip().octets());
                (libc::AF_INET, 16)
            }
            SocketAddr::V6(at) => {
                bytes[8..24].copy_from_slice(&at.ip().octets());
                (libc::AF_INET6, 28)
            }
        };
        bytes[..2].copy_from_slice(&u16::try_from(family).unwrap().to_ne_bytes());
        Self { bytes, len }
    }

    /// In a forked child: connects, says `word`, listens to the answer, and closes. The port of
    /// this side, or 0 where nobody was there.
    fn call(&self, word: &[u8]) -> u16 {
        let mut own = [0_u8; 28];
        let mut size: libc::socklen_t = 28;
        let mut answer = [0_u8; 4096];
        // SAFETY: plain system calls on memory of the sizes that are given.
        unsafe {
            let family = i32::from(u16::from_ne_bytes([self.bytes[0], self.bytes[1]]));
            let fd = must(libc::socket(family, libc::SOCK_STREAM, 0));
            if libc::connect(fd, self.bytes.as_ptr().cast(), self.len) != 0 {
                libc::close(fd);
                return 0;
            }
            must(libc::getsockname(fd, own.as_mut_ptr().cast(), &raw mut size));
            libc::write(fd, word.as_ptr().cast(), word.len());
            libc::shutdown(fd, libc::SHUT_WR);
            while libc::read(fd, answer.as_mut_ptr().cast(), answer.len()) > 0 {}
            libc::close(fd);
        }
        u16::from_be_bytes([own[2], own[3]])
    }
}

/// Hears out whoever connects, so many times, answers with `answer`, and closes.
fn serve(at: SocketAddr, times: usize, answer: Vec<u8>) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind(at).unwrap();
    let at = listener.local_addr().unwrap();
    let serve = move || {
        for _ in 0..times {
            let (mut stream, _) = listener.accept().unwrap();
            let mut said = Vec::new();
            stream.read_to_end(&mut said).unwrap();
            stream.write_all(&answer).unwrap();
            stream.shutdown(Shutdown::Both).unwrap();
        }
    };
    (at, std::thread::spawn(serve))
}

/// A process that makes so many connections when it is told to, and says from which port the last
/// one was.
fn caller(slate: &Slate, at: SocketAddr, word: &[u8], times: u32) -> Kid {
    let address = Address::new(at);
    Kid::fork(|| {
        while slate.get(0) == 0 {
            // SAFETY: plain system call.
            unsafe { libc::usleep(1000) };
        }
        let mut port = 0;
        for _ in 0..times {
            port = address.call(word);
        }
        slate.put(1, u32::from(port) + 1);
        pause();
    })
}

fn go(slate: &Slate) -> u16 {
    slate.put(0, 1);
    u16::try_from(slate.wait(1) - 1).unwrap()
}

/// A member by its pid, and the tree that it is in.
fn member(probe: &Probe, pid: u32) -> (ProcessKey, u64) {
    let members = probe.members().unwrap();
    let member = members.iter().find(|member| member.process.pid == pid).unwrap();
    (member.process, member.tree)
}

#[test]
fn both_ends_of_a_connection_are_told() {
    let probe = watching();
    let mut watch = Watch::new(&probe);
    let mapped = |at: SocketAddr| {
        let SocketAddr::V4(four) = at else { unreachable!() };
        SocketAddr::V6(SocketAddrV6::new(four.ip().to_ipv6_mapped(), at.port(), 0, 0))
    };
    let ways: [(SocketAddr, bool); 3] =
        [(loopback4(), false), (loopback6(), false), (loopback4(), true)];
    for (at, as_six) in ways {
        let (at, server) = serve(at, 1, vec![b'a'; 23_456]);
        let to = if as_six { mapped(at) } else { at };
        let slate = Slate::new();
        let kid = caller(&slate, to, &[b'w'; 1234], 1);
        let port = go(&slate);
        server.join().unwrap();
        let began = watch.connect(kid.pid(), false);
        let ended = watch.connect(kid.pid(), true);
        let key = member(&probe, kid.pid()).0;
        for told in [&began, &ended] {
            assert_eq!(told.key(), key);
            assert_eq!((&*told.peer.address, told.peer.port), (&*at.ip().to_string(), at.port()));
            assert_eq!(told.local.address, at.ip().to_string());
            assert_eq!((&*told.peer.protocol, told.repeats), ("tcp", 0));
            assert_eq!(told.comm, facts::text(kid.pid(), "comm").trim_end());
            assert!(told.program.is_some());
            assert_eq!(told.parents[0].pid, std::process::id());
            assert_eq!(told.began_boot_ns, began.began_boot_ns);
        }
        let nothing = (began.established, began.bytes_sent, began.bytes_received);
        assert_eq!((nothing, began.duration_us), ((None, None, None), None));
        assert_eq!(ended.local.port, port);
        assert_eq!(ended.established, Some(true));
        assert_eq!((ended.bytes_sent, ended.bytes_received), (Some(1234), Some(23_456)));
        let took = ended.time.unix_nanos() - began.time.unix_nanos();
        assert_eq!(u64::try_from(took / 1000).unwrap(), ended.duration_us.unwrap());
        assert_eq!(watch.connects(kid.pid()).len(), 2);
    }
    assert_eq!(probe.counts().unwrap().lost_connects, 0);
}

#[test]
fn a_connection_that_nobody_answers_is_told_as_that() {
    let probe = watching();
    let mut watch = Watch::new(&probe);
    // Bound, so that it is nobody else's, and not listening.
    for six in [false, true] {
        let (_socket, port) = bound(six);
        let at = if six { loopback6().ip() } else { loopback4().ip() };
        let slate = Slate::new();
        let kid = caller(&slate, (at, port).into(), b"", 1);
        assert_eq!(go(&slate), 0);
        watch.connect(kid.pid(), false);
        let ended = watch.connect(kid.pid(), true);
        assert_eq!((ended.established, ended.peer.port), (Some(false), port));
        assert_eq!((ended.bytes_sent, ended.bytes_received), (Some(0), Some(0)));
    }
}

/// Neither theirs whose tree is cleared, nor those that others make to somebody who is watched.
#[test]
fn no_other_connections_are_told() {
    let probe = watching();
    let mut watch = Watch::new(&probe);
    let (at, server) = serve(loopback4(), 2, vec![b'a'; 10]);
    let (idle_slate, slate) = (Slate::new(), Slate::new());
    let idle = caller(&idle_slate, at, b"idle", 1);
    let (socket, _) = bound(false);
    let (address, fd) = (Address::new(at), socket.as_raw_fd());
    // One whose tree is its own.
    let busy = Kid::fork(|| {
        // SAFETY: plain system call.
        must(unsafe { libc::listen(fd, 1) });
        while slate.get(0) == 0 {
            // SAFETY: plain system call.
            unsafe { libc::usleep(1000) };
        }
        slate.put(1, u32::from(address.call(b"busy")) + 1);
        pause();
    });
    watch.listen(busy.pid());
    let (trees, own) = ([&idle, &busy].map(|kid| member(&probe, kid.pid()).1), std::process::id());
    assert_ne!(trees[0], trees[1]);
    probe.clear(trees[0]).unwrap();
    assert_ne!(go(&idle_slate), 0);
    let port = go(&slate);
    server.join().unwrap();
    assert_eq!(watch.connect(busy.pid(), true).local.port, port);
    assert_eq!(watch.connects(idle.pid()), []);
    // This process was connected to.
    assert!(watch.connects(own).iter().all(|told| told.peer.port != port));
}

/// As a proxy makes them.
#[test]
fn many_connections_to_one_place_are_told_in_part_and_counted() {
    const MANY: u32 = 50;
    let probe = watching();
    let mut watch = Watch::new(&probe);
    let (at, server) = serve(loopback4(), MANY as usize + 1, vec![b'a'; 10]);
    let (elsewhere, other_server) = serve(loopback4(), 1, Vec::new());
    let slate = Slate::new();
    let kid = caller(&slate, at, b"again", MANY);
    go(&slate);
    let other_slate = Slate::new();
    let other = caller(&other_slate, elsewhere, b"", 1);
    go(&other_slate);
    watch.connect(other.pid(), true);
    let told = watch.connects(kid.pid());
    assert_eq!(told.iter().filter(|told| !told.ended).count(), 16);
    assert_eq!(told.iter().filter(|told| told.ended).count(), 16);
    // Other tests connect, too, but not as often.
    assert!(probe.counts().unwrap().repeated >= u64::from(MANY) - 16);
    // Another one of the same tree gets no more.
    let last_slate = Slate::new();
    let last = caller(&last_slate, at, b"again", 1);
    assert_eq!(member(&probe, last.pid()).1, member(&probe, kid.pid()).1);
    go(&last_slate);
    assert_eq!(watch.connects(last.pid()), []);
    server.join().unwrap();
    other_server.join().unwrap();
    assert_eq!(probe.counts().unwrap().lost_connects, 0);
}
