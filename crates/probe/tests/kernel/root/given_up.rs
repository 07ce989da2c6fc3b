//! Suspects that never answer: they end, talk about something else, are too many; or the one who
//! waits for them ends.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;

use event::{Listen, Listener};
use probe::{Error, Standing};

use super::answer::python;
use crate::again::{part, play};
use crate::cgroup::Cgroup;
use crate::facts;
use crate::kid::until;
use crate::server::{OK, Server, get, loopback4};
use crate::watch::{Watch, everything};

#[test]
fn a_server_that_dies_is_waited_for_no_longer() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let cgroup = Cgroup::new();
    let kid = python("HTTP/1.1", "127.0.0.1", Some(&cgroup));
    let listen = watch.listen(kid.pid());
    watch.reader.suspect(&listen).unwrap();
    assert_eq!(cgroup.programs(), 1);
    drop(kid); // killed
    watch.until("nobody is waited for", |reader| reader.suspects() == Standing::default());
    assert_eq!(cgroup.programs(), 0);
    assert!(watch.answers().is_empty());
}

/// The second server of a port is another one.
#[test]
fn a_server_after_another_answers_for_itself() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let first = Server::new(b"+OK\r\n");
    let address = first.address();
    let before = first.listen(&mut watch);
    watch.reader.suspect(&before).unwrap();
    drop(first);
    watch.seen.clear();
    let second = Server::at(address, vec![OK.to_vec()]);
    // Its event is handed out before that of the first one's end is looked at.
    let after = second.listen(&mut watch);
    watch.reader.suspect(&after).unwrap();
    watch.drain();
    assert_eq!(watch.reader.suspects().listeners, 1);
    second.ask();
    assert_eq!(watch.answer(&after).listen, after);
    assert_eq!(watch.answers().len(), 1);
}

#[test]
fn after_many_connections_without_http_none_is_looked_at() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let kinds: [&[u8]; 2] = [b"+PONG\r\n", b"\x16\x03\x03\0\x7a\x02\0\0\x76"];
    for (kind, given_up) in kinds.into_iter().zip(1..) {
        let server = Server::new(kind);
        let listen = server.listen(&mut watch);
        watch.reader.suspect(&listen).unwrap();
        for _ in 0..63 {
            server.ask();
        }
        watch.drain();
        assert_eq!(watch.reader.suspects().listeners, 1);
        server.ask();
        watch.until("it is given up", |reader| reader.suspects().listeners == 0);
        assert_eq!(watch.reader.suspects(), Standing { given_up, ..Standing::default() });
    }
    assert!(watch.answers().is_empty());
}

/// Of 2000 connections the first decides, and no packet more is looked at.
#[test]
fn one_answer_of_many_connections() {
    const MANY: usize = 2000;
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let server = Server::new(OK);
    let quiet = Server::new(b"+PONG\r\n");
    let listens = [server.listen(&mut watch), quiet.listen(&mut watch)];
    for listen in &listens {
        watch.reader.suspect(listen).unwrap();
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..MANY / 4 {
                    assert_eq!(server.ask(), OK);
                    assert_eq!(quiet.ask(), b"+PONG\r\n");
                }
            });
        }
    });
    watch.answer(&listens[0]);
    watch.until("both are decided", |reader| reader.suspects().listeners == 0);
    assert_eq!(watch.answers().len(), 1);
    assert_eq!(watch.reader.suspects().given_up, 1);
    let counts = probe.counts().unwrap();
    assert_eq!((counts.lost_answers, watch.reader.gaps().sum()), (0, 0));
}

/// A listener that nobody has, of a cgroup that there is.
fn made_up(cgroup: u64, netns: u32, port: u16) -> Listen {
    let address = Ipv4Addr::LOCALHOST.to_string();
    let listener = Listener { address, port, protocol: "tcp".to_owned() };
    Listen { pid: 1, cgroup, netns, listener, ..Listen::default() }
}

#[test]
fn the_oldest_has_to_go() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let cgroup = Cgroup::new();
    let server = Server::new(OK);
    let real = server.listen(&mut watch);
    let all: Vec<Listen> = (1..=1024).map(|port| made_up(cgroup.id(), 1, port)).collect();
    for listen in &all {
        watch.reader.suspect(listen).unwrap();
    }
    let full = Standing { listeners: 1024, cgroups: 1, ..Standing::default() };
    assert_eq!(watch.reader.suspects(), full);
    watch.reader.suspect(&real).unwrap();
    assert_eq!(watch.reader.suspects(), Standing { dropped: 1, cgroups: 2, ..full });
    assert_eq!(watch.reader.settle(&all[0]).unwrap(), None, "the oldest");
    server.ask();
    watch.answer(&real);
    for listen in &all[1..] {
        assert!(watch.reader.settle(listen).unwrap().is_some());
    }
    let empty = Standing { dropped: 1, ..Standing::default() };
    assert_eq!(watch.reader.suspects(), empty);
    assert_eq!(cgroup.programs(), 0);
}

#[test]
fn the_oldest_cgroup_has_to_go() {
    let probe = everything();
    let watch = Watch::new(&probe);
    let cgroups: Vec<Cgroup> = (0..257).map(|_| Cgroup::new()).collect();
    for cgroup in &cgroups {
        for port in [80, 81] {
            watch.reader.suspect(&made_up(cgroup.id(), 1, port)).unwrap();
        }
    }
    let full = Standing { listeners: 512, cgroups: 256, dropped: 2, given_up: 0 };
    assert_eq!(watch.reader.suspects(), full);
    assert_eq!((cgroups[0].programs(), cgroups[1].programs(), cgroups[256].programs()), (0, 1, 1));
    drop(watch);
    drop(probe);
    assert!(cgroups.iter().all(|cgroup| cgroup.programs() == 0));
}

#[test]
fn what_cannot_be_waited_for_says_why() {
    let probe = everything();
    let watch = Watch::new(&probe);
    let why = |listen: &Listen| watch.reader.suspect(listen).unwrap_err().to_string();
    let root = facts::cgroup2();
    let root = std::os::unix::fs::MetadataExt::ino(&root.metadata().unwrap());
    assert!(why(&made_up(root, 1, 0)).contains("port is not known"));
    let gone = Cgroup::new().id();
    let words = why(&made_up(gone, 1, 80));
    assert!(words.contains("process 1 on 127.0.0.1:80"), "{words}");
    assert!(words.contains("cgroup is not found"), "{words}");
    assert_eq!(watch.reader.suspects(), Standing::default());
}

/// What the tests below let another process do, which is this program executed once more.
fn the_other_part(part: &str) {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let server = Server::new(b"+OK\r\n");
    let listen = server.listen(&mut watch);
    let suspected = watch.reader.suspect(&listen);
    match part {
        "hold" => {
            suspected.unwrap();
            say("held");
            loop {
                std::thread::park();
            }
        }
        "powerless" => {
            let error = suspected.unwrap_err();
            assert!(matches!(error, Error::Deaf { .. }), "{error:?}");
            say(&format!("{error}\n{}", probe.deaf().unwrap()));
        }
        _ => panic!("{part}: no such part"),
    }
}

/// To the test that plays this part.
#[expect(clippy::print_stdout, reason = "it is read there")]
fn say(words: &str) {
    println!("\n{words}");
}

fn enter(cgroup: &Cgroup) -> impl FnMut() -> std::io::Result<()> + Send + Sync + 'static {
    let procs = crate::kid::c(&cgroup.procs());
    move || {
        use crate::kid::must;
        // SAFETY: an ended string; plain system calls.
        unsafe {
            let file = must(libc::open(procs.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC));
            must(libc::write(file, c"0".as_ptr().cast(), 1) as i32);
        }
        Ok(())
    }
}

#[test]
fn nothing_stays_attached_when_the_sensor_is_killed() {
    if let Some(part) = part() {
        return the_other_part(&part);
    }
    let cgroup = Cgroup::new();
    let (kid, out) = play(
        "root::given_up::nothing_stays_attached_when_the_sensor_is_killed",
        "hold",
        enter(&cgroup),
    );
    let mut lines = BufReader::new(out).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "held"), "the other process waits for its listener");
    assert_eq!(cgroup.programs(), 1);
    drop(kid); // killed
    until("the program is detached", || cgroup.programs() == 0);
}

/// The rest of the hooks works, as the other part asserts.
#[test]
fn without_the_capability_only_this_is_missing() {
    if let Some(part) = part() {
        return the_other_part(&part);
    }
    let (mut kid, out) =
        play("root::given_up::without_the_capability_only_this_is_missing", "powerless", || {
            const CAP_NET_ADMIN: libc::c_ulong = 12;
            // SAFETY: plain system call.
            crate::kid::must(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, CAP_NET_ADMIN, 0, 0, 0) });
            Ok(())
        });
    let words: Vec<String> = BufReader::new(out).lines().map(Result::unwrap).collect();
    assert_eq!(kid.wait(), 0, "{words:?}");
    let words = words.join("\n");
    assert!(words.contains("cannot hear whether process"), "{words}");
    assert!(words.contains("missing CAP_NET_ADMIN"), "{words}");
}

#[test]
fn without_a_mounted_hierarchy_only_this_is_missing() {
    if let Some(part) = part() {
        return the_other_part(&part);
    }
    let root = crate::kid::c(&facts::cgroup2());
    let (mut kid, out) = play(
        "root::given_up::without_a_mounted_hierarchy_only_this_is_missing",
        "powerless",
        move || {
            use crate::kid::must;
            // SAFETY: ended strings; concerns this process only.
            unsafe {
                must(libc::unshare(libc::CLONE_NEWNS));
                let flags = libc::MS_REC | libc::MS_PRIVATE;
                let none = c"none".as_ptr();
                must(libc::mount(none, c"/".as_ptr(), none, flags, std::ptr::null()));
                must(libc::umount2(root.as_ptr(), libc::MNT_DETACH));
            }
            Ok(())
        },
    );
    let words: Vec<String> = BufReader::new(out).lines().map(Result::unwrap).collect();
    assert_eq!(kid.wait(), 0, "{words:?}");
    assert!(words.join("\n").contains("no cgroup version 2 hierarchy is mounted"), "{words:?}");
}

/// Not waited for, though asked: neither is anything said of it, nor is anything attached.
#[test]
fn who_is_no_suspect_is_left_alone() {
    let probe = everything();
    let mut watch = Watch::new(&probe);
    let cgroup = Cgroup::new();
    let kid = python("HTTP/1.0", "127.0.0.1", Some(&cgroup));
    let listen = watch.listen(kid.pid());
    get((Ipv4Addr::LOCALHOST, listen.listener.port).into());
    assert_eq!(cgroup.programs(), 0);
    let fence = Server::at(loopback4(), vec![OK.to_vec()]);
    let fenced = fence.listen(&mut watch);
    watch.reader.suspect(&fenced).unwrap();
    fence.ask();
    watch.answer(&fenced);
    assert_eq!(watch.answers().len(), 1);
}
