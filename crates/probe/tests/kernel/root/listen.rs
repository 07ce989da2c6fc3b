//! Sockets that begin to listen; on the loopback only.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use event::Listen;

use crate::facts;
use crate::kid::{self, Call, Kid, Slate, must, pause};
use crate::place::Place;
use crate::program;
use crate::watch::{Watch, everything};

/// Where a program that listens expects its socket, as `program::listens` says.
const SOCKET: i32 = 3;

/// A socket that is bound to a free loopback port and does not listen yet, and that port.
pub(super) fn bound(six: bool) -> (OwnedFd, u16) {
    let family = if six { libc::AF_INET6 } else { libc::AF_INET };
    // SAFETY: plain memory, as large as is said; the descriptor is new and nobody else's.
    unsafe {
        let fd = libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        let socket = OwnedFd::from_raw_fd(fd);
        // Address family, port 0, and ::1 or 127.0.0.1 where each has its address.
        let mut address = [0_u8; 28];
        address[..2].copy_from_slice(&u16::try_from(family).unwrap().to_ne_bytes());
        if six {
            address[8..24].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
        } else {
            address[4..8].copy_from_slice(&Ipv4Addr::LOCALHOST.octets());
        }
        let mut size: libc::socklen_t = if six { 28 } else { 16 };
        assert_eq!(libc::bind(fd, address.as_ptr().cast(), size), 0);
        assert_eq!(libc::getsockname(fd, address.as_mut_ptr().cast(), &raw mut size), 0);
        (socket, u16::from_be_bytes([address[2], address[3]]))
    }
}

/// Executes a program that listens on this socket.
pub(super) fn serve(call: &Call, socket: &OwnedFd) -> Kid {
    let fd = socket.as_raw_fd();
    Kid::fork(|| {
        // SAFETY: plain system call; without the flag the copy stays open over the execution.
        must(unsafe {
            if fd == SOCKET { libc::fcntl(fd, libc::F_SETFD, 0) } else { libc::dup2(fd, SOCKET) }
        });
        call.exec();
    })
}

#[track_caller]
fn assert_listens(listen: &Listen, pid: u32, address: &str, port: u16) {
    assert_eq!(listen.pid, pid);
    assert_eq!(facts::ticks(listen.start_boot_ns), facts::stat(pid, facts::START));
    assert_eq!(listen.listener.address, address);
    assert_eq!(listen.listener.port, port);
    assert_eq!(listen.listener.protocol, "tcp");
    let net = fs::metadata(format!("/proc/{pid}/ns/net")).unwrap().ino();
    assert_eq!(u64::from(listen.netns), net);
}

#[test]
fn a_program_executes_and_then_listens() {
    let place = Place::new();
    let path = place.file("listener", &program::listens());
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let call = Call::new(&path, &["listener"]);
    for (six, address) in [(false, "127.0.0.1"), (true, "::1")] {
        let (socket, port) = bound(six);
        let kid = serve(&call, &socket);
        let listen = watch.listen(kid.pid());
        assert_listens(&listen, kid.pid(), address, port);
        assert_eq!(listen.comm, "listener");
        assert_eq!(listen.program.as_deref(), Some("listener"));
        assert_eq!(listen.parents, [], "this process runs something else");
        let exec = watch.exec(kid.pid());
        assert_eq!(exec.process.key(), listen.key());
        assert!(exec.time < listen.time);
        assert!(watch.place_of_exec(kid.pid()) < watch.place_of_listener(kid.pid()));
    }
}

#[test]
fn this_process_listens() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let own = std::process::id();
    let loopbacks = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), (Ipv6Addr::LOCALHOST, 0).into()];
    for loopback in loopbacks {
        let socket = TcpListener::bind(loopback).unwrap();
        let (address, port) =
            (socket.local_addr().unwrap().ip().to_string(), socket.local_addr().unwrap().port());
        // Other tests listen too, from threads of this very process.
        let listen = watch.listen_on(own, &address, port);
        assert_listens(&listen, own, &address, port);
        // A thread asked for it; the process is meant.
        let file = std::env::current_exe().unwrap();
        let name = file.file_name().unwrap().to_str().unwrap();
        assert_eq!(listen.program.as_deref(), Some(&name[..name.len().min(31)]));
        assert_eq!(listen.parents, [], "who started it runs something else");
    }
}

#[test]
fn a_child_that_only_forked_has_its_parents() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let (socket, port) = bound(false);
    let slate = Slate::new();
    let fd = socket.as_raw_fd();
    let kid = Kid::fork(|| {
        // SAFETY: plain system calls; the child only makes more of them.
        unsafe {
            let pid = must(libc::fork());
            if pid == 0 {
                must(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL));
                must(libc::listen(fd, 1));
                pause();
            }
            slate.put(0, pid.cast_unsigned());
        }
        pause();
    });
    let pid = slate.wait(0);
    let listen = watch.listen(pid);
    assert_listens(&listen, pid, "127.0.0.1", port);
    let [parent, own, ..] = listen.parents[..] else { panic!("{:?}", listen.parents) };
    assert_eq!(parent.pid, kid.pid());
    assert_eq!(facts::ticks(parent.start_boot_ns), facts::stat(kid.pid(), facts::START));
    assert_eq!(own.pid, std::process::id());
    assert_eq!(facts::ticks(own.start_boot_ns), facts::stat(own.pid, facts::START));
}

/// More executions than are read at a time lie before it.
#[test]
fn executions_come_out_before_their_listeners_under_a_backlog() {
    let place = Place::new();
    let exits = place.file("exits", &program::exits());
    let call = Call::new(&place.file("listener", &program::listens()), &["listener"]);
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let sockets: Vec<_> = (0..8).map(|_| bound(false)).collect();
    let kids: Vec<Kid> = sockets
        .iter()
        .map(|(socket, _)| {
            for _ in 0..40 {
                kid::run(&exits);
            }
            serve(&call, socket)
        })
        .collect();
    for (kid, (_, port)) in kids.iter().zip(&sockets) {
        let listener = watch.place_of_listener(kid.pid());
        assert!(watch.place_of_exec(kid.pid()) < listener);
        assert_eq!(watch.listen(kid.pid()).listener.port, *port);
    }
    assert_eq!(probe.counts().unwrap().lost_listens, 0);
}
