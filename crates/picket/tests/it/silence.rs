//! What must not be detected.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use libtest_mimic::Trial;

use crate::harness::{self, Group, args_of, is_below, shared, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("root::silence::words_about_servers", words_about_servers),
        trial("root::silence::names_like_servers", names_like_servers),
        trial("root::silence::package_installation", package_installation),
        trial("root::silence::release_build_of_picket", release_build),
    ]
}

/// Building picket on a busy machine.
const LONGEST: Duration = Duration::from_secs(1200);

/// Runs commands and expects that none of them, nor anything below them, is detected.
fn expect_silence(commands: Vec<Command>) {
    let sensor = shared();
    for mut command in commands {
        let shown = format!("{command:?}");
        let mark = sensor.mark();
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut group = Group::start(&mut command);
        let root = group.child.id();
        harness::wait_long(&mut group.child, LONGEST);
        sensor.barrier();
        let found: Vec<String> = sensor
            .since(mark)
            .iter()
            .filter(|r| is_below(r, root))
            .map(|r| format!("{} for {:?}", r["server"]["name"], args_of(r)))
            .collect();
        assert!(found.is_empty(), "{shown} was detected: {found:?}");
    }
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

fn words_about_servers() {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("nginx.conf");
    fs::write(&conf, "nginx apache2 python3 -m http.server\n").unwrap();
    let conf = conf.to_str().unwrap();
    expect_silence(vec![
        command(&["vim", "-es", "-c", "q", conf]),
        command(&["grep", "-r", "nginx", dir.path().to_str().unwrap()]),
        command(&["timeout", "0.2", "tail", "-f", "/var/log/apache2/error.log", conf]),
        command(&["cat", conf]),
        command(&["ls", "/etc/nginx", "/usr/sbin/nginx"]),
        command(&["which", "nginx", "apache2", "httpd"]),
        command(&["sh", "-c", "echo nginx; : python3 -m http.server"]),
        command(&["python3", "-c", "print('nginx')"]),
        command(&["python3", "-m", "json.tool", "--help"]),
        command(&["perl", "-e", "print 'plackup'"]),
        command(&["node", "-e", "console.log('http-server')"]),
        command(&["php", "-r", "echo 'php -S';"]),
        command(&["openssl", "version"]),
        command(&["busybox", "echo", "httpd"]),
        command(&["dpkg", "-L", "nginx"]),
        command(&["apt-cache", "policy", "nginx"]),
    ]);
}

fn names_like_servers() {
    let dir = tempfile::tempdir().unwrap();
    let copies = [
        "nginx-prometheus-exporter",
        "apache2ctl-report",
        "nginxfmt",
        "http",
        "httpie",
        "caddyfile",
        "server",
        "webserver-check",
        "tomcat-users",
        "gunicorn-stats",
        "apachetop",
        "goaccess",
        "haproxy_exporter",
        "varnishlog",
        "php-config",
        "uwsgitop",
    ];
    let commands = copies.map(|name| {
        let path = dir.path().join(name);
        std::os::unix::fs::symlink("/bin/true", &path).unwrap();
        Command::new(path)
    });
    expect_silence(commands.into());
}

/// A server's package, installed but not started: unpacking, its scripts, its triggers.
fn package_installation() {
    let installed = |name: &str| {
        let out = Command::new("dpkg-query").args(["-W", "-f=${db:Status-Status}", name]).output();
        out.is_ok_and(|out| out.stdout == b"installed")
    };
    // One that is small and that nothing here needs; removed again, whatever happens.
    let package = "micro-httpd";
    assert!(!installed(package), "{package} is installed already: remove it for this test");
    struct Remove(&'static str);
    impl Drop for Remove {
        fn drop(&mut self) {
            let _ = Command::new("apt-get").args(["purge", "-y", "-qq", self.0]).output();
        }
    }
    let _remove = Remove(package);
    let mut install = command(&["apt-get", "install", "-y", "-qq", "--no-install-recommends"]);
    install.arg(package).env("DEBIAN_FRONTEND", "noninteractive");
    expect_silence(vec![install]);
    assert!(installed(package), "{package} was not installed: was apt-get update run?");
}

/// Thousands of executions, none of them a server: a release build of picket itself.
fn release_build() {
    let dir = tempfile::tempdir().unwrap();
    let mut build = command(&["cargo", "build", "--release", "--locked", "-p", "picket"]);
    build.current_dir(harness::root()).env("CARGO_TARGET_DIR", dir.path());
    // The profile's optimisation is not what is tested; the executions are the same.
    build.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
    expect_silence(vec![build]);
    assert!(dir.path().join("release/picket").exists(), "the build failed");
}
