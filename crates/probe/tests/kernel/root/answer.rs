//! Whether a listener answers HTTP, heard from what it sends to others.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use probe::Clock;

use crate::cgroup::Cgroup;
use crate::facts;
use crate::kid::{self, Kid, c, must};
use crate::server::{OK, Server, connect, get, loopback4, loopback6, read};
use crate::watch::{Watch, everything};

/// Python's own server, in a cgroup where one is given.
pub(crate) fn python(protocol: &str, address: &str, cgroup: Option<&Cgroup>) -> Kid {
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-m", "http.server", "0", "--bind", address, "--protocol", protocol]);
    command.current_dir("/proc/self/fdinfo");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(procs) = cgroup.map(|cgroup| c(&cgroup.procs())) {
        // SAFETY: plain system calls and an ended string.
        unsafe {
            command.pre_exec(move || {
                let file = must(libc::open(procs.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC));
                must(libc::write(file, c"0".as_ptr().cast(), 1) as i32);
                Ok(())
            });
        }
    }
    Kid::adopt(&kid::spawn(&mut command))
}

#[test]
fn real_servers_answer() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    for (protocol, address) in [("HTTP/1.0", "127.0.0.1"), ("HTTP/1.1", "::1")] {
        let kid = python(protocol, address, None);
        let listen = watch.listen(kid.pid());
        watch.reader.suspect(&listen).unwrap();
        assert_eq!(probe.hooks().last(), Some(&"answer"));
        let before = Clock::boot_ns();
        let said = get(SocketAddr::new(address.parse().unwrap(), listen.listener.port));
        assert!(said.starts_with(protocol.as_bytes()), "{said:?}");
        let answer = watch.answer(&listen);
        assert_eq!(answer.protocol, protocol);
        assert_eq!(answer.key(), listen.key());
        assert!((before..=Clock::boot_ns()).contains(&answer.boot_ns));
        assert!(answer.time > listen.time);
        // Decided: nothing is looked at any more.
        assert_eq!(watch.reader.suspects().listeners, 0);
        assert_eq!(probe.hooks(), ["exec", "fork", "exit", "listen"]);
        assert_eq!(watch.reader.settle(&listen).unwrap(), None);
    }
    assert_eq!(watch.answers().len(), 2);
}

#[test]
fn first_bytes_of_http_are_known_however_they_come() {
    let split = |bytes: &[u8], at: usize| vec![bytes[..at].to_vec(), bytes[at..].to_vec()];
    let settings: &[u8] =
        b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x80\0\x04\0\x01\0\0\0\x05\0\xff\xff\xff";
    let grease: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\x1a\x2a\0\0\0\x80";
    let empty: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    let acknowledges: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";
    let window: &[u8] = b"\0\0\x04\x08\0\0\0\0\0\0\x0f\0\x01";
    let singly = |bytes: &[u8]| bytes.iter().map(|b| vec![*b]).collect::<Vec<_>>();
    let cases = [
        ("HTTP/1.1", vec![OK.to_vec()]),
        ("HTTP/1.0", vec![b"HTTP/1.0 404 Not Found\r\n\r\n".to_vec()]),
        ("HTTP/1.1", vec![b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec()]),
        ("HTTP/1.1", singly(&OK[..20])),
        ("HTTP/1.1", split(OK, 5)),
        ("HTTP/1.1", split(OK, 8)),
        ("HTTP/1.1", vec![[OK, &[b'x'; 300_000]].concat()]),
        ("HTTP/2", vec![settings.to_vec()]),
        ("HTTP/2", singly(settings)),
        ("HTTP/2", vec![grease.to_vec()]),
        ("HTTP/2", vec![empty.to_vec(), acknowledges.to_vec()]),
        ("HTTP/2", vec![[empty, window].concat()]),
    ];
    let probe = everything();
    let mut watch = Watch::new(&probe);
    for (protocol, parts) in cases {
        for address in [loopback4(), loopback6()] {
            let server = Server::at(address, parts.clone());
            let listen = server.listen(&mut watch);
            watch.reader.suspect(&listen).unwrap();
            assert_eq!(server.ask(), parts.concat());
            assert_eq!(watch.answer(&listen).protocol, protocol, "{parts:?}");
        }
    }
    let counts = probe.counts().unwrap();
    assert_eq!((counts.lost(), watch.reader.gaps().sum()), (0, 0));
}

/// What other servers say first. Between them an HTTP server is heard: silence means something.
#[test]
fn others_are_not_taken_for_http() {
    const TLS: &[&[u8]] = &[b"\x16\x03\x03\0\x7a\x02\0\0\x76\x03\x03", b"\x16\x03\x01\x02\0\x01"];
    const OTHERS: &[&[u8]] = &[
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        b"+PONG\r\n",
        b"-NOAUTH Authentication required.\r\n",
        b"220 mail.example.org ESMTP Postfix\r\n",
        b"220 (vsFTPd 3.0.3)\r\n",
        b"+OK POP3 ready\r\n",
        b"* OK [CAPABILITY IMAP4rev1] ready\r\n",
        b"N",
        b"R\0\0\0\x08\0\0\0\0S\0\0\0\x16application_name\0\0",
        b"E\0\0\0\x6aSFATAL\0VFATAL\0",
        b"\x4a\0\0\0\x0a8.0.35\0\x08\0\0\0",
        b"\x04\0\0\0\x0a5.5.5-10.11\0",
        b"VERSION 1.6.18\r\n",
        b"\x81\x0b\0\0\0\0\0\0\0\0\0\x06\0\0\0\0",
        b"\0\x2d\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0\x07example",
        b"\x01\0\x0b\0\0\0\xfd\x01\0\x40\x5e\xba\0\0\0\x02",
        b"\0\x16\x0b\0\0\0\x06\0Authorization",
        b"Content-Length: 86\r\n\r\n{\"jsonrpc\":\"2.0\"}",
        b"RTSP/1.0 200 OK\r\n\r\n",
        b"SIP/2.0 200 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/2.0 is not this one's",
        b"HTTP/1.x is not said",
        b"HTTP/1.1\r\n is no status line",
        b"HTTP/1.11 neither",
        b"http/1.1 200 OK",
        b" HTTP/1.1 200 OK",
        b"GET / HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        // Settings that acknowledge, that do not exist, on a stream, of no even size, too many.
        b"\0\0\0\x04\x01\0\0\0\0\0\0\x04\x08\0\0\0\0\0",
        b"\0\0\x06\x04\0\0\0\0\0\0\0\0\0\0\0",
        b"\0\0\x06\x04\0\0\0\0\0\x77\x77\0\0\0\0",
        b"\0\0\x06\x04\0\0\0\0\x01\0\x03\0\0\0\x64",
        b"\0\0\x07\x04\0\0\0\0\0\0\x03\0\0\0\x64\0",
        b"\0\x04\x02\x04\0\0\0\0\0\0\x03\0\0\0\x64",
        // Lengths, then zeros; as Kafka's brokers answer, and those who send numbers.
        b"\0\0\x06\x04\0\0\0\0\0\0\0\0\0\x3c\0\0\0\0\0\x0b",
        b"\0\0\0\x04\0\0\0\0\0\0\0\x04\0\0\0\0\0\0\0\x04",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
        b"\xff\xff\xff\xff\xff\xff\xff\xff",
        // Too little to tell.
        b"HTTP/1.1",
        b"\0\0\0\x04\0\0\0\0\0",
    ];
    /// Of these nothing is counted: more might have come.
    const TOO_SHORT: usize = 2;

    let probe = everything();
    let mut watch = Watch::new(&probe);
    let mut heard = |words: &[u8]| {
        let server = Server::new(words);
        let listen = server.listen(&mut watch);
        watch.reader.suspect(&listen).unwrap();
        assert_eq!(server.ask(), words);
        // Who answers HTTP is heard, after this one.
        let fence = Server::new(OK);
        let fenced = fence.listen(&mut watch);
        watch.reader.suspect(&fenced).unwrap();
        fence.ask();
        watch.answer(&fenced);
        let heard = watch.reader.settle(&listen).unwrap().expect("it is still waited for");
        (heard.tls, heard.other)
    };
    for words in TLS {
        assert_eq!(heard(words), (1, 0), "{words:?}");
    }
    for (at, words) in OTHERS.iter().enumerate() {
        let count = u32::from(at < OTHERS.len() - TOO_SHORT);
        assert_eq!(heard(words), (0, count), "{:?}", String::from_utf8_lossy(words));
    }
    assert_eq!(watch.answers().len(), TLS.len() + OTHERS.len());
    assert_eq!(watch.reader.suspects().cgroups, 0);
}

/// Only a connection's beginning counts, also when it began before the suspicion.
#[test]
fn the_middle_of_a_connection_is_not_judged() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let socket = TcpListener::bind(loopback4()).unwrap();
    let address = socket.local_addr().unwrap();
    let listen = watch.listen_on(std::process::id(), "127.0.0.1", address.port());
    let asks = connect(address);
    let mut answers = socket.accept().unwrap().0;
    let greeting = b"a greeting of more than sixteen bytes\n";
    answers.write_all(greeting).unwrap();
    let mut said = [0; 38];
    (&asks).read_exact(&mut said).unwrap();

    watch.reader.suspect(&listen).unwrap();
    answers.write_all(OK).unwrap();
    drop(answers);
    assert_eq!(read(asks), OK);

    let asks = connect(address);
    let mut answers = socket.accept().unwrap().0;
    answers.write_all(greeting).unwrap();
    answers.write_all(OK).unwrap();
    drop(answers);
    read(asks);
    assert_eq!(watch.reader.suspects().listeners, 1);
    assert!(watch.answers().is_empty());

    let asks = connect(address);
    socket.accept().unwrap().0.write_all(OK).unwrap();
    read(asks);
    watch.answer(&listen);
}

/// However much it says, and however slowly; also when it says something like HTTP later.
#[test]
fn a_connection_is_judged_once() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let parts = [b"+OK\r\n", b"+OK\r\n", b"HTTP/", b"1.1 2", b"00 OK"];
    let server = Server::at(loopback4(), parts.iter().map(|part| part.to_vec()).collect());
    let listen = server.listen(&mut watch);
    watch.reader.suspect(&listen).unwrap();
    for _ in 0..3 {
        server.ask();
    }
    assert_eq!(watch.reader.settle(&listen).unwrap().unwrap().other, 3);
    assert!(watch.answers().is_empty());
}

#[test]
fn a_cgroup_is_looked_at_as_long_as_it_holds_a_suspect() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let (ours, theirs) = (Cgroup::new(), Cgroup::new());
    let kids =
        [python("HTTP/1.1", "127.0.0.1", Some(&ours)), python("HTTP/1.1", "::1", Some(&ours))];
    let other = python("HTTP/1.0", "127.0.0.1", Some(&theirs));
    let listens = kids.each_ref().map(|kid| watch.listen(kid.pid()));
    for listen in &listens {
        assert_eq!(listen.cgroup, ours.id());
        watch.reader.suspect(listen).unwrap();
        watch.reader.suspect(listen).unwrap(); // changes nothing
    }
    assert_eq!((ours.programs(), theirs.programs()), (1, 0));
    assert_eq!(watch.reader.suspects().listeners, 2);
    let third = watch.listen(other.pid());
    assert_eq!(third.cgroup, theirs.id());
    watch.reader.suspect(&third).unwrap();
    assert_eq!((ours.programs(), theirs.programs()), (1, 1));
    assert_eq!(watch.reader.suspects().cgroups, 2);

    get((Ipv4Addr::LOCALHOST, third.listener.port).into());
    assert_eq!(watch.answer(&third).protocol, "HTTP/1.0");
    assert_eq!((ours.programs(), theirs.programs()), (1, 0));
    get((Ipv4Addr::LOCALHOST, listens[0].listener.port).into());
    watch.answer(&listens[0]);
    assert_eq!(ours.programs(), 1, "the other is not decided");
    assert_eq!(watch.reader.settle(&listens[1]).unwrap(), Some(probe::Heard::default()));
    assert_eq!(ours.programs(), 0);
    get((Ipv6Addr::LOCALHOST, listens[1].listener.port).into());
    assert_eq!(watch.answers().len(), 2);
}

/// The process moved on, its socket is of the cgroup in which it was made.
#[test]
fn a_cgroup_is_found_when_the_process_left_it() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let cgroup = Cgroup::new();
    let kid = python("HTTP/1.1", "127.0.0.1", Some(&cgroup));
    let listen = watch.listen(kid.pid());
    fs::write(facts::cgroup2().join("cgroup.procs"), kid.pid().to_string()).unwrap();
    watch.reader.suspect(&listen).unwrap();
    assert_eq!(cgroup.programs(), 1);
    get((Ipv4Addr::LOCALHOST, listen.listener.port).into());
    assert_eq!(watch.answer(&listen).listen.cgroup, cgroup.id());
}

/// Puts this thread into a network of its own that has only the loopback; back when dropped.
struct OwnNetwork(fs::File);

impl OwnNetwork {
    fn new() -> Self {
        let home = fs::File::open("/proc/thread-self/ns/net").unwrap();
        // SAFETY: concerns this thread only; `request` is as the kernel takes it.
        unsafe {
            assert_eq!(libc::unshare(libc::CLONE_NEWNET), 0);
            let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
            let socket = OwnedFd::from_raw_fd(socket);
            let mut request: libc::ifreq = std::mem::zeroed();
            request.ifr_name[0] = b'l' as libc::c_char;
            request.ifr_name[1] = b'o' as libc::c_char;
            request.ifr_ifru.ifru_flags = libc::IFF_UP as i16;
            let fd = socket.as_raw_fd();
            assert_eq!(libc::ioctl(fd, libc::SIOCSIFFLAGS, &raw const request), 0);
        }
        Self(home)
    }
}

impl Drop for OwnNetwork {
    fn drop(&mut self) {
        // SAFETY: concerns this thread only.
        unsafe { libc::setns(self.0.as_raw_fd(), libc::CLONE_NEWNET) };
    }
}

/// The same port, cgroup and process, in another network: nothing is mixed up.
#[test]
fn networks_are_told_apart() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let quiet = Server::new(b"SSH-2.0-x\r\n");
    let address = quiet.address();
    let here = quiet.listen(&mut watch);
    watch.reader.suspect(&here).unwrap();
    {
        let _network = OwnNetwork::new();
        let server = Server::at(address, vec![OK.to_vec()]);
        watch.seen.clear();
        let there = server.listen(&mut watch);
        assert_ne!(there.netns, here.netns);
        watch.reader.suspect(&there).unwrap();
        assert_eq!(watch.reader.suspects().listeners, 2);
        assert_eq!(server.ask(), OK);
        assert_eq!(watch.answer(&there).protocol, "HTTP/1.1");
    }
    quiet.ask();
    let heard = watch.reader.settle(&here).unwrap().unwrap();
    assert_eq!((heard.tls, heard.other), (0, 1));
    assert_eq!(watch.answers().len(), 1);
}

/// Any address; where only the loopback is.
#[test]
fn servers_on_any_address_answer() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let _network = OwnNetwork::new();
    let any4: SocketAddr = (Ipv4Addr::UNSPECIFIED, 0).into();
    let any6: SocketAddr = (Ipv6Addr::UNSPECIFIED, 0).into();
    for (address, asked) in [
        (any4, "127.0.0.1"),
        (any4, "127.8.9.1"),
        (any6, "::1"),
        // One of IPv4 to a server of IPv6.
        (any6, "127.0.0.1"),
    ] {
        let server = Server::at(address, vec![OK.to_vec()]);
        let listen = server.listen(&mut watch);
        watch.reader.suspect(&listen).unwrap();
        let asked = SocketAddr::new(asked.parse().unwrap(), server.address().port());
        assert_eq!(read(connect(asked)), OK);
        assert_eq!(watch.answer(&listen).listen.listener.address, address.ip().to_string());
    }
}

#[test]
fn one_of_several_ports_answers() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let words: [&[u8]; 4] = [b"+OK\r\n", OK, b"\x16\x03\x03\0\x7a", b"220 x\r\n"];
    let servers = words.map(Server::new);
    let listens: Vec<_> = servers.iter().map(|server| server.listen(&mut watch)).collect();
    for listen in &listens {
        watch.reader.suspect(listen).unwrap();
    }
    // Another, of whom nobody wants to know.
    let aside = Server::new(OK);
    aside.ask();
    for server in servers.iter().rev() {
        server.ask();
    }
    watch.answer(&listens[1]);
    assert_eq!(watch.answers().len(), 1);
    assert_eq!(watch.reader.suspects().listeners, 3);
    // Two addresses of one port are two servers.
    let port = servers[0].address().port();
    let beside = Server::at((Ipv4Addr::new(127, 0, 0, 9), port).into(), vec![OK.to_vec()]);
    let listen = beside.listen(&mut watch);
    watch.reader.suspect(&listen).unwrap();
    servers[0].ask();
    beside.ask();
    watch.answer(&listen);
    assert_eq!(watch.answers().len(), 2);
    assert_eq!(watch.reader.settle(&listens[0]).unwrap().unwrap().other, 2);
}

#[test]
fn two_probes_hear_the_same() {
    let (one, other) = (everything(), everything());
    let mut watches = [Watch::new(&one), Watch::new(&other)];
    let cgroup = Cgroup::new();
    let kid = python("HTTP/1.1", "127.0.0.1", Some(&cgroup));
    let [first, second] = watches.each_mut().map(|watch| {
        let listen = watch.listen(kid.pid());
        watch.reader.suspect(&listen).unwrap();
        listen
    });
    assert_eq!(cgroup.programs(), 2);
    get((Ipv4Addr::LOCALHOST, first.listener.port).into());
    let [a, b] = watches.each_mut().map(|watch| watch.answers().len());
    assert_eq!((a, b), (1, 1));
    assert_eq!(watches[0].answer(&first).protocol, watches[1].answer(&second).protocol);
    assert_eq!(cgroup.programs(), 0);
}

/// Two that share a port (`SO_REUSEPORT`) share the answer, since nobody can tell them apart.
#[test]
fn who_shares_a_port_shares_the_answer() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let bound = |port: u16| {
        // SAFETY: plain system calls; the descriptor is new and nobody else's.
        unsafe {
            let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
            assert!(fd >= 0);
            let on = 1_i32;
            let size = size_of_val(&on) as libc::socklen_t;
            libc::setsockopt(
                fd,
                libc::SOL_SOCKET,
                libc::SO_REUSEPORT,
                (&raw const on).cast(),
                size,
            );
            let mut address: libc::sockaddr_in = std::mem::zeroed();
            address.sin_family = libc::AF_INET as u16;
            address.sin_port = port.to_be();
            address.sin_addr.s_addr = u32::from(Ipv4Addr::LOCALHOST).to_be();
            let size = size_of_val(&address) as libc::socklen_t;
            assert_eq!(libc::bind(fd, (&raw const address).cast(), size), 0);
            OwnedFd::from_raw_fd(fd)
        }
    };
    let ours = bound(0);
    let ours = TcpListener::from(ours);
    let port = ours.local_addr().unwrap().port();
    // Another process's, of the same user.
    let theirs = bound(port);
    let fd = theirs.as_raw_fd();
    let kid = Kid::fork(|| {
        // SAFETY: plain system calls.
        unsafe {
            must(libc::listen(fd, 8));
        }
        kid::pause();
    });
    let second = watch.listen(kid.pid());
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libc::listen(ours.as_raw_fd(), 8) }, 0);
    let first = watch.listen_on(std::process::id(), "127.0.0.1", port);
    for listen in [&first, &second] {
        watch.reader.suspect(listen).unwrap();
    }
    assert_eq!(watch.reader.suspects().listeners, 2);
    drop((theirs, kid));
    // Children of other tests may hold a copy for a moment.
    watch.until("who ended is waited for no longer", |reader| reader.suspects().listeners == 1);
    let server = Server::on(ours, vec![OK.to_vec()]);
    server.ask();
    watch.answer(&first);
    assert_eq!(watch.answers().len(), 1);
}

/// Headers longer than usual: options of IPv4, extensions of IPv6.
#[test]
fn headers_with_options_are_read_over() {
    const IPV6_HOPOPTS: i32 = 54;
    const IPV6_DSTOPTS: i32 = 59;
    // Eight bytes that mean nothing: the length in units of eight beyond the first, and padding.
    let extension: &[u8] = &[0, 0, 1, 4, 0, 0, 0, 0];
    let probe = everything();
    let mut watch = Watch::new(&probe);
    type Options<'o> = &'o [(i32, i32, &'o [u8])];
    let cases: [(SocketAddr, Options<'_>); 2] = [
        (loopback4(), &[(libc::IPPROTO_IP, libc::IP_OPTIONS, &[1, 1, 1, 1, 1, 1, 1, 0])]),
        (
            loopback6(),
            &[
                (libc::IPPROTO_IPV6, IPV6_HOPOPTS, extension),
                (libc::IPPROTO_IPV6, IPV6_DSTOPTS, extension),
            ],
        ),
    ];
    for (address, options) in cases {
        let socket = TcpListener::bind(address).unwrap();
        let address = socket.local_addr().unwrap();
        let own = std::process::id();
        let listen = watch.listen_on(own, &address.ip().to_string(), address.port());
        watch.reader.suspect(&listen).unwrap();
        let asks = connect(address);
        let mut answers = socket.accept().unwrap().0;
        for (level, name, value) in options {
            let size = value.len() as libc::socklen_t;
            let fd = answers.as_raw_fd();
            // SAFETY: the value is as long as is said.
            let set = unsafe { libc::setsockopt(fd, *level, *name, value.as_ptr().cast(), size) };
            assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
        }
        answers.write_all(OK).unwrap();
        drop(answers);
        assert_eq!(read(asks), OK);
        watch.answer(&listen);
    }
}
