//! Who listened before the probe.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;

use event::Listen;

use super::listen::{bound, serve};
use crate::facts;
use crate::kid::{Call, until_runs};
use crate::place::Place;
use crate::program;
use crate::watch::{Watch, everything};

fn of(all: &[Listen], pid: u32, port: u16) -> Vec<&Listen> {
    all.iter().filter(|l| l.pid == pid && l.listener.port == port).collect()
}

#[test]
fn listeners_of_both_families_and_nothing_else() {
    let place = Place::new();
    let own = std::process::id();
    let four = TcpListener::bind("127.0.0.1:0").unwrap();
    let six = TcpListener::bind("[::1]:0").unwrap();
    // None of these listens on TCP.
    let _unix = UnixListener::bind(place.path().join("socket")).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let connected = TcpStream::connect(four.local_addr().unwrap()).unwrap();
    let (idle, idle_port) = bound(false);
    // The same socket twice.
    let _again = four.try_clone().unwrap();

    let probe = everything();
    let found = probe.listening().unwrap();
    assert_eq!(found.unseen, Vec::<u32>::new());
    for (socket, address) in [(&four, "127.0.0.1"), (&six, "::1")] {
        let port = socket.local_addr().unwrap().port();
        let [listen] = of(&found.found, own, port)[..] else { panic!("{:?}", found.found) };
        assert_eq!((&*listen.listener.address, &*listen.listener.protocol), (address, "tcp"));
        assert_eq!(facts::ticks(listen.start_boot_ns), facts::stat(own, facts::START));
        let net = std::fs::metadata("/proc/self/ns/net").unwrap();
        assert_eq!(u64::from(listen.netns), std::os::unix::fs::MetadataExt::ino(&net));
        // As it would have been told, had it begun now.
        let mut watch = Watch::new(&probe);
        let now = TcpListener::bind((address, 0)).unwrap();
        let told = watch.listen_on(own, address, now.local_addr().unwrap().port());
        assert_eq!((listen.key(), listen.cgroup), (told.key(), told.cgroup));
        assert_eq!((&listen.program, &listen.parents), (&told.program, &told.parents));
    }
    for port in
        [udp.local_addr().unwrap().port(), connected.local_addr().unwrap().port(), idle_port]
    {
        assert!(of(&found.found, own, port).is_empty(), "port {port} does not listen");
    }
    drop(idle);
}

#[test]
fn another_process_listens_and_is_known_as_what_it_runs() {
    let place = Place::new();
    let path = place.file("listener", &program::listens());
    let (socket, port) = bound(false);
    let kid = serve(&Call::new(&path, &["listener", "word"]), &socket);
    drop(socket);
    until_runs(kid.pid(), &path);
    crate::kid::until("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let probe = everything();
    let found = probe.listening().unwrap().found;
    let [listen] = of(&found, kid.pid(), port)[..] else { panic!("{found:?}") };
    assert_eq!((&*listen.comm, listen.program.as_deref()), ("listener", Some("listener")));
    assert_eq!(listen.parents, [], "this process runs something else");
    let watch = Watch::new(&probe);
    let exec = watch.reader.recover(listen.pid, listen.start_boot_ns).unwrap();
    assert!(exec.seeded && !exec.ancestry_truncated);
    assert_eq!(exec.process.exe.path, path.to_str().unwrap());
    assert_eq!(exec.process.args, ["listener", "word"]);
    assert_eq!(exec.ancestry[0].pid, std::process::id());
}
