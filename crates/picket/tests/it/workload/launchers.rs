//! Who started it: every kind, by the real programs.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Trial;
use serde_json::Value;

use super::{Session, Stray, detection, place, run, string, wait_until, watched};
use crate::harness::{Group, free_port, shared};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        watched("root::workload::a_package_script_is_named", package),
        watched("root::workload::a_script_of_npm_is_named", npm),
        watched("root::workload::an_ssh_session", ssh),
        watched("root::workload::a_job_of_cron", cron),
        watched("root::workload::a_job_of_at", at),
        watched("root::workload::a_shell_that_somebody_types_into", typed),
        watched("root::workload::a_web_server_that_was_taken_over", web_server),
        watched("root::workload::a_supervisor", supervisor),
    ]
}

fn python(port: u16) -> String {
    format!("python3 -m http.server --bind 127.0.0.1 {port}")
}

/// The detection of a server that outlives whoever started it.
fn stray(port: u16) -> (Value, Stray) {
    let found = detection(&shared(), port);
    let pid = u32::try_from(found["process"]["pid"].as_u64().unwrap()).unwrap();
    (found, Stray(pid))
}

#[track_caller]
fn is(found: &Value, kind: &str, words: &[&str]) {
    let launcher = &found["launcher"];
    assert_eq!(launcher["kind"], kind, "{:#} {:#}", found["launcher"], found["ancestry"]);
    let detail = launcher["detail"].as_str().unwrap();
    for word in words {
        assert!(detail.contains(word), "expected {word:?} in {detail:?}");
    }
}

/// A package whose script starts a server, installed below a directory of its own.
fn package() {
    let dir = place();
    let port = free_port();
    let tree = dir.path().join("package/DEBIAN");
    fs::create_dir_all(&tree).unwrap();
    let control = "Package: picket-demo\nVersion: 1\nArchitecture: all\nDescription: none\n\
                   Maintainer: nobody <nobody@localhost>\n";
    fs::write(tree.join("control"), control).unwrap();
    let script = format!("#!/bin/sh\n{} >/dev/null 2>&1 &\n", python(port));
    fs::write(tree.join("postinst"), script).unwrap();
    run(&["chmod", "755", &string(&tree), &string(&tree.join("postinst"))]);
    let deb = string(&dir.path().join("picket-demo.deb"));
    run(&["dpkg-deb", "--build", &string(&dir.path().join("package")), &deb]);
    let root = dir.path().join("root");
    for name in ["info", "updates", "triggers"] {
        fs::create_dir_all(root.join("var/lib/dpkg").join(name)).unwrap();
    }
    fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    fs::create_dir_all(root.join("var/log")).unwrap();
    let rooted = format!("--root={}", root.display());
    run(&["dpkg", &rooted, "--force-script-chrootless", "--install", &deb]);
    let (found, _stray) = stray(port);
    is(&found, "package-manager", &["picket-demo.postinst (configure)", "run by dpkg ("]);
    assert_eq!(found["launcher"]["script"], "picket-demo.postinst");
}

fn npm() {
    let dir = place();
    let port = free_port();
    let package = serde_json::json!({"name": "demo", "scripts": {"start": python(port)}});
    fs::write(dir.path().join("package.json"), package.to_string()).unwrap();
    let _npm =
        Session::start_with(Command::new("setsid").args(["npm", "start"]).current_dir(dir.path()));
    let (found, _stray) = stray(port);
    is(&found, "package-manager", &["npm start (", "script `python3 -m http.server"]);
    assert_eq!(found["launcher"]["script"], python(port));
}

/// A server of ssh on a port of its own, with keys of its own.
fn ssh() {
    let dir = place();
    let (port, to) = (free_port(), free_port());
    let at = |name: &str| string(&dir.path().join(name));
    for name in ["host", "key"] {
        run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &at(name)]);
    }
    fs::copy(at("key.pub"), at("authorized")).unwrap();
    fs::create_dir_all("/run/sshd").unwrap();
    let config = format!(
        "ListenAddress 127.0.0.1:{to}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
         StrictModes no\nUsePAM no\nPermitRootLogin yes\n",
        at("host"),
        at("authorized")
    );
    fs::write(at("config"), config).unwrap();
    let _sshd = Session::start(&["/usr/sbin/sshd", "-D", "-f", &at("config")]);
    wait_until("sshd", || TcpStream::connect(("127.0.0.1", to)).is_ok());
    let (key, to) = (at("key"), to.to_string());
    let command = python(port);
    let mut words = vec!["ssh", "-tt", "-q", "-F", "none", "-i", &key, "-p", &to];
    words.extend(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
    words.extend(["root@127.0.0.1", &command]);
    let _ssh = Session::start(&words);
    let (found, _stray) = stray(port);
    is(&found, "ssh", &["ssh session of root on pts/", "sshd (", " from sshd ("]);
    assert_eq!(found["launcher"]["tty"], found["process"]["tty_name"]);
    assert!(found["launcher"]["tty"].as_str().unwrap().starts_with("pts/"));
}

/// Runs a script where its spool, and all else that it changes, is its own.
fn apart(script: &str) -> Session {
    Session::start_with(
        Command::new("setsid")
            .args(["unshare", "--mount", "sh", "-ec", script])
            .stderr(Stdio::null()),
    )
}

fn cron() {
    let dir = place();
    let port = free_port();
    let place = dir.path().display();
    for name in ["crontabs", "cron.d"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    fs::write(dir.path().join("empty"), "").unwrap();
    let table = dir.path().join("crontabs/root");
    fs::write(&table, format!("@reboot {}\n", python(port))).unwrap();
    run(&["chmod", "600", &string(&table)]);
    // What is due at the start of the machine is due when /run is new.
    let _cron = apart(&format!(
        "mount -t tmpfs none /run
         mount --bind {place}/crontabs /var/spool/cron/crontabs
         mount --bind {place}/cron.d /etc/cron.d
         mount --bind {place}/empty /etc/crontab
         exec cron -f"
    ));
    let (found, _stray) = stray(port);
    is(&found, "cron", &["scheduler cron (", "job `python3 -m http.server"]);
    assert_eq!(found["launcher"]["script"], python(port));
}

fn at() {
    let dir = place();
    let port = free_port();
    let place = dir.path().display();
    let _at = apart(&format!(
        "cp -a /var/spool/cron/atjobs /var/spool/cron/atspool {place}
         rm -f {place}/atjobs/a* {place}/atspool/a*
         chown daemon:daemon {place}/atjobs {place}/atspool
         mount -t tmpfs none /run
         mount --bind {place}/atjobs /var/spool/cron/atjobs
         mount --bind {place}/atspool /var/spool/cron/atspool
         echo '{}' | at now
         exec atd -f -l 1000 -b 1",
        python(port)
    ));
    let (found, _stray) = stray(port);
    is(&found, "cron", &["at atd (", "via sh ("]);
}

/// A terminal with a shell, and somebody who types.
fn typed() {
    let port = free_port();
    let mut script = Command::new("setsid");
    script.args(["script", "-qfc", "bash --norc -i", "/dev/null"]);
    let mut child =
        script.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut keys = child.stdin.take().unwrap();
    let _session = Session(child);
    keys.write_all(format!("{}\n", python(port)).as_bytes()).unwrap();
    let (found, _stray) = stray(port);
    let tty = found["process"]["tty_name"].as_str().unwrap().to_owned();
    let link = fs::read_link(format!("/proc/{}/fd/0", found["process"]["pid"])).unwrap();
    assert_eq!(link, Path::new("/dev").join(&tty));
    is(&found, "shell", &["shell bash (", &format!("on terminal {tty}")]);
}

/// A page that runs what it is asked to run: what intruders leave behind.
fn web_server() {
    let dir = place();
    let (page, port) = (free_port(), free_port());
    let text = "<?php exec($_GET['c'] . ' >/dev/null 2>&1 &'); echo 'done'; ?>";
    fs::write(dir.path().join("x.php"), text).unwrap();
    let address = format!("127.0.0.1:{page}");
    let _php = Group::start(
        Command::new("php")
            .args(["-S", &address, "-t", &string(dir.path())])
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    wait_until("php", || TcpStream::connect(("127.0.0.1", page)).is_ok());
    let mut stream = TcpStream::connect(("127.0.0.1", page)).unwrap();
    let command = python(port).replace(' ', "%20");
    write!(stream, "GET /x.php?c={command} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("done"), "{answer}");
    let (found, _stray) = stray(port);
    is(&found, "web-server", &["web server php-built-in-server, php (", "via sh ("]);
}

fn supervisor() {
    let dir = place();
    let port = free_port();
    let config = dir.path().join("supervisord.conf");
    let own = dir.path().display();
    let text = format!(
        "[supervisord]\nnodaemon=true\nlogfile={own}/log\npidfile={own}/pid\nchildlogdir={own}\n\
         [program:web]\ncommand={}\n",
        python(port)
    );
    fs::write(&config, text).unwrap();
    let _supervisord = Session::start(&["supervisord", "-n", "-c", config.to_str().unwrap()]);
    let (found, _stray) = stray(port);
    is(&found, "other", &["supervisor supervisord ("]);
}
