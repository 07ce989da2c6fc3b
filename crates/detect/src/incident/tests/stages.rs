//! Each stage, what makes it one and what does not, and what stages are together.

use event::{Severity, StageKind, Stamp};

use super::world::World;

const FAR: &str = "203.0.113.9";
const NGINX: &str = "/usr/sbin/nginx";

fn kinds(world: &World) -> Vec<StageKind> {
    world.incident().stages.iter().map(|stage| stage.kind).collect()
}

fn details(world: &World) -> Vec<&str> {
    world.incident().stages.iter().map(|stage| stage.detail.as_str()).collect()
}

/// A server that runs a shell.
fn shell(world: &mut World) -> &mut World {
    world.serve(10, NGINX).after(5).spawn(10, 11, "/usr/bin/dash -c id")
}

#[test]
fn what_happened_is_told_in_order_and_once() {
    let mut world = World::new();
    shell(&mut world);
    assert_eq!(world.told().len(), 0, "a child alone is what its detection says");
    world.after(1).connect(11, FAR, 443);
    let told = world.told();
    let [update] = &told[..] else { panic!("{told:#?}") };
    assert_eq!(
        update.reasons,
        [
            "nginx started, listens on 0.0.0.0:80, spawned dash (dash -c id), which connected to \
             203.0.113.9:443",
            "critical, as one of its detections is: an unexpected child and a connection to a new \
             peer",
        ]
    );
    assert_eq!(update.severity, Severity::Critical);
    let incident = world.incident();
    assert_eq!((&update.id, update.time), (&incident.id, world.now()));
    for detection in world.detections() {
        assert_eq!(detection.incident.as_ref(), Some(&incident.id));
    }
    use StageKind::{Child, Listens, Outbound, SecondServer, ServerStarted, Transferred};
    assert_eq!(kinds(&world), [ServerStarted, Listens, Child, Outbound]);
    let [started, _, child, outbound] = &incident.stages[..] else { panic!("{incident:#?}") };
    assert_eq!((started.pid, child.pid, outbound.pid), (10, 11, 11));
    let detections = world.detections();
    assert_eq!(started.detection.as_ref(), Some(&detections[0].id));
    assert_eq!(child.detection.as_ref(), Some(&detections[1].id));
    // Nothing of that is news a second time.
    world.connect(11, FAR, 443).spawn(10, 12, "/usr/bin/dash -c ls").connect(12, FAR, 443);
    assert_eq!(world.told().len(), 1);
    world.end(11, FAR, 443, 1234).end(12, FAR, 443, 1);
    assert_eq!(world.told().len(), 2);
    assert_eq!(
        details(&world)[4],
        "dash ended its connection to 203.0.113.9:443: 1234 bytes sent, 20 bytes received"
    );
    let python = "/usr/bin/python3.11 -m http.server 8000";
    world.after(1).spawn(12, 13, python).listen(13, "0.0.0.0", 8000);
    assert_eq!(
        kinds(&world),
        [ServerStarted, Listens, Child, Outbound, Transferred, SecondServer, Listens]
    );
    assert_eq!(
        details(&world)[5],
        "dash started a second server, python-http-server: python3.11 (python3.11 -m http.server \
         8000)"
    );
    let [peer] = &world.incident().peers[..] else { panic!() };
    assert_eq!((peer.connections, peer.bytes_sent, peer.bytes_received), (3, Some(1235), Some(40)));
    assert_eq!(world.told().len(), 4);
    assert!(world.told()[3].reasons[0].ends_with("which listens on 0.0.0.0:8000"));
}

#[test]
fn servers_that_serve_are_no_incident() {
    let mut world = World::new();
    world.serve(10, NGINX).fork(10, 11).listen(10, "::", 80).listen(11, "0.0.0.0", 443);
    // A proxy: its upstreams, near and far.
    for port in 1..200 {
        world.connect(11, "10.0.0.7", port).connect(11, FAR, port).end(11, FAR, port, 500);
    }
    world.after(100).serve(20, "/usr/sbin/php-fpm8.2").connect(20, "10.0.0.8", 5432);
    assert_eq!(world.told().len(), 0);
    let detections = world.detections();
    let ids: Vec<_> = detections.iter().map(|detection| detection.incident.as_ref()).collect();
    assert!(ids[0].is_some() && ids[1].is_some() && ids[0] != ids[1], "{ids:?}");
    assert!(detections.iter().all(|detection| detection.severity == Severity::High));
}

#[test]
fn a_child_that_connects_near_home_weighs_less() {
    let mut world = World::new();
    shell(&mut world).connect(11, "127.0.0.1", 5432).connect(11, "::1", 1);
    assert_eq!(world.told().len(), 0, "loopback is nobody");
    // Somebody that the server knows.
    world.connect(10, "10.0.0.7", 5432).connect(11, "10.0.0.7", 5432);
    assert_eq!(world.told().len(), 0);
    world.connect(11, "10.0.0.8", 22);
    assert_eq!(details(&world)[3], "dash connected to 10.0.0.8:22, a private address");
}

#[test]
fn what_the_server_connects_to_around_its_shell_counts() {
    // A script in the server connects, and then gives the connection a shell.
    let mut world = World::new();
    world.serve(10, NGINX).connect(10, FAR, 1).connect(10, "10.0.0.7", 2).after(61);
    world.connect(10, FAR, 3).after(30).spawn(10, 11, "/usr/bin/dash -i");
    use StageKind::{Child, Listens, Outbound, ServerStarted};
    assert_eq!(kinds(&world), [ServerStarted, Listens, Outbound, Child]);
    assert_eq!(details(&world)[2], "nginx connected to 203.0.113.9:3");
    // What comes later belongs to it as well, unless it is near or was met.
    world.after(600).connect(10, "10.0.0.9", 2).connect(10, FAR, 1);
    assert_eq!(world.told().len(), 1);
    world.connect(10, FAR, 4);
    assert_eq!(world.told().len(), 2);
}

#[test]
fn another_program_below_the_server_may_connect_near_home() {
    let mut world = World::new();
    world.serve(10, NGINX).spawn(10, 12, "/usr/lib/cgi-bin/report");
    world.connect(12, "10.0.0.7", 5432).spawn(10, 11, "/usr/bin/dash -c id");
    assert_eq!(world.told().len(), 0);
    world.connect(12, FAR, 25);
    assert_eq!(details(&world)[3], "report connected to 203.0.113.9:25");
}

#[test]
fn credentials_of_the_cloud_are_far_away() {
    let mut world = World::new();
    shell(&mut world).spawn(11, 12, "/usr/bin/curl http://169.254.169.254/").connect(
        12,
        "169.254.169.254",
        80,
    );
    let incident = world.incident();
    assert!(
        incident.stages.iter().any(|s| s.detail.ends_with("the credentials of cloud machines"))
    );
    assert!(incident.actions.iter().any(|action| action.contains("revoke")), "{incident:#?}");
}

#[test]
fn an_incident_without_news_ends_and_the_next_one_names_it() {
    let mut world = World::new();
    shell(&mut world).connect(11, FAR, 443);
    let first = world.incident().id.clone();
    world.after(3600).connect(11, FAR, 8443);
    assert_eq!(world.incident().id, first);
    world.after(3601).spawn(10, 21, "/usr/bin/dash -c ls");
    assert_eq!(world.told().len(), 2);
    world.connect(21, FAR, 443);
    let second = world.incident();
    assert_ne!(second.id, first);
    assert_eq!(second.former.as_ref(), Some(&first));
    let kinds = kinds(&world);
    use StageKind::{Child, Listens, Outbound, ServerStarted};
    assert_eq!(kinds, [ServerStarted, Listens, Child, Outbound]);
    assert!(second.stages[0].time < second.opened);
    let last = world.detections().pop().unwrap();
    assert_eq!(last.incident.as_ref(), Some(&second.id));
}

#[test]
fn a_file_written_while_the_server_ran() {
    let mut world = World::new();
    world.serve(10, NGINX);
    let (before, later) = (Stamp::from_unix_nanos(world.now().unix_nanos() - 1), world.now());
    world.after(10).fork(10, 11).exec_as(11, "/srv/old", |e| e.process.exe.changed = before);
    world.fork(10, 12).exec_as(12, "/usr/bin/tool", |e| {
        e.process.exe.changed = e.time;
        e.process.exe.package = Some("tool 1".to_owned());
        e.process.exe.intact = Some(true);
    });
    world.fork(10, 15).exec_as(15, "/usr/bin/updated", |e| e.process.exe.changed = e.time);
    world.connect(11, FAR, 1).connect(12, FAR, 2);
    assert_eq!(world.told().len(), 0);
    let secret = "/srv/up/x --password=hunter2";
    world.fork(10, 13).exec_as(13, secret, |e| e.process.exe.changed = e.time);
    assert!(later < world.now());
    let last = *details(&world).last().unwrap();
    assert_eq!(
        last,
        "nginx executed x (x --password=***), which was written after the server had started"
    );
    assert!(world.incident().actions.iter().any(|action| action.starts_with("Copy /srv/up/x")));
    world.fork(13, 14).exec_as(14, "memfd:y", |e| e.process.exe.memfd = true);
    assert_eq!(*details(&world).last().unwrap(), "x executed memfd:y, which exists in memory only");
}

#[test]
fn a_server_that_becomes_something_else() {
    let mut world = World::new();
    world.serve(10, NGINX).exec(10, NGINX).exec(10, "/usr/sbin/nginx -t").exec(10, NGINX);
    world.exec(10, "/usr/bin/dash -i").connect(10, FAR, 4444);
    assert_eq!(details(&world)[2], "nginx became dash (dash -i)");
    assert!(world.told()[0].reasons[0].contains(", became dash (dash -i), connected to"));
}

#[test]
fn a_child_that_listens() {
    let mut world = World::new();
    shell(&mut world).spawn(11, 12, "/opt/tool").listen(12, "0.0.0.0", 4444);
    assert_eq!(world.told().len(), 0, "nobody said anything of it");
    world.spawn(11, 13, "/usr/bin/nc.openbsd -lp 4445").listen(13, "0.0.0.0", 4445);
    assert_eq!(*details(&world).last().unwrap(), "nc.openbsd listens on 0.0.0.0:4445");
    assert_eq!(world.incident().severity, Severity::Critical);
}

fn in_container(exec: &mut event::Exec) {
    exec.process.cgroup_path = Some(format!("/docker/{}", "0123456789abcdef".repeat(4)));
}

#[test]
fn servers_of_one_container_belong_together() {
    let mut world = World::new();
    world.fork(0, 10).exec_as(10, NGINX, in_container);
    world.fork(0, 20).exec_as(20, "/usr/sbin/php-fpm8.2", in_container);
    // Started beside each other, with a connection: that is how containers are.
    world.spawn(20, 21, "/usr/bin/wkhtmltopdf").connect(21, FAR, 443);
    assert_eq!(world.told().len(), 0);
    world.spawn(20, 22, "/usr/bin/dash -c id");
    let incident = world.incident();
    assert_eq!(incident.workload, "docker container 0123456789ab");
    assert_eq!(incident.severity, Severity::Critical);
    assert_eq!(details(&world)[1], "php-fpm started beside it");
    let ids = world.detections();
    assert!(ids.iter().all(|detection| detection.incident.as_ref() == Some(&incident.id)));
}

#[test]
fn the_same_server_again_is_no_second_one() {
    let mut world = World::new();
    // An upgrade while it runs, and a restart in its container.
    world.fork(0, 10).exec_as(10, NGINX, in_container).spawn(10, 11, NGINX);
    world.fork(0, 20).exec_as(20, NGINX, in_container);
    world.spawn(20, 22, "/usr/bin/dash -c id");
    assert_eq!(world.told().len(), 0);
}

#[test]
fn servers_that_ran_before_take_part() {
    let mut world = World::new();
    world.fork(0, 10).after(86_400).exec_as(10, NGINX, |exec| {
        exec.seeded = true;
        exec.listen = vec![event::Listener {
            address: "0.0.0.0".to_owned(),
            port: 80,
            protocol: "tcp".to_owned(),
        }];
    });
    world.after(10).spawn(10, 11, "/usr/bin/dash -c id").connect(11, FAR, 443);
    let update = world.told()[0];
    assert!(
        update.reasons[0].starts_with("nginx ran already, listens on 0.0.0.0:80, spawned dash")
    );
    assert!(update.seeded);
    let [ran, listens, ..] = &world.incident().stages[..] else { panic!() };
    assert_eq!(listens.time.unix_nanos() - ran.time.unix_nanos(), 86_400_000_000_000);
}

#[test]
fn all_is_bounded() {
    let mut world = World::new();
    shell(&mut world);
    for port in 1..=3000 {
        world.connect(11, FAR, port).end(11, FAR, port, 1).listen(11, "0.0.0.0", port);
    }
    let stages = &world.incident().stages;
    let of = |kind| stages.iter().filter(|stage| stage.kind == kind).count();
    use StageKind::{ChildListens, Outbound, Transferred};
    assert_eq!([Outbound, Transferred, ChildListens].map(of), [8; 3]);
    assert_eq!(world.told().len(), 24);
    let last = stages.iter().rfind(|stage| stage.kind == Outbound).unwrap();
    assert!(last.detail.ends_with("(more of this kind are not told)"), "{}", last.detail);
    // An incident that was told is not pushed out by servers that only start.
    let id = world.incident().id.clone();
    for pid in 1000..2000 {
        world.serve(pid, NGINX);
    }
    world.spawn(11, 12, "/usr/bin/curl x");
    assert_eq!(world.incident().id, id);
}

#[test]
fn long_command_lines_are_cut() {
    let mut world = World::new();
    world.serve(10, NGINX).spawn(10, 11, &format!("/usr/bin/dash -c {}", "é".repeat(500)));
    world.connect(11, FAR, 1);
    let detail = details(&world)[2];
    assert!(detail.ends_with("é…)") && detail.chars().count() < 130, "{detail}");
}
