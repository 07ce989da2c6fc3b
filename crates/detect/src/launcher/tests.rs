//! Every rule. What stands in `recorded.jsonl` was recorded by picket, of the real programs; the other
//! chains are of programs that have no place in a test.

use event::{Ancestor, Ci, Launcher, LauncherKind, Process};
use serde::Deserialize;

use super::{Scene, launcher};
use crate::catalogue::Catalogue;
use crate::workload;

fn catalogue() -> Catalogue {
    let files = [
        ("nginx.yaml", include_str!("../../../../catalogue/nginx.yaml")),
        ("php.yaml", include_str!("../../../../catalogue/php.yaml")),
        ("python.yaml", include_str!("../../../../catalogue/python.yaml")),
        ("java.yaml", include_str!("../../../../catalogue/java.yaml")),
    ];
    let unwrap = ("unwrap.yaml", include_str!("../../../../catalogue/unwrap.yaml"));
    let (catalogue, problems) = Catalogue::parse(files.into_iter().chain([unwrap]));
    assert!(problems.is_empty(), "{problems:?}");
    catalogue
}

#[derive(Deserialize)]
struct Recorded {
    process: Part,
    server: String,
    ancestry: Vec<Link>,
    kind: LauncherKind,
    detail: String,
    unit: Option<String>,
    script: Option<String>,
}

#[derive(Deserialize)]
struct Part {
    user: Option<String>,
    uid: u32,
    tty: bool,
    tty_name: Option<String>,
    cgroup_path: String,
    args: Vec<String>,
}

#[derive(Deserialize)]
struct Link {
    pid: u32,
    comm: String,
    exe: Option<String>,
    args: Vec<String>,
    alive: bool,
}

impl From<Link> for Ancestor {
    fn from(link: Link) -> Self {
        let Link { pid, comm, exe, args, alive } = link;
        Self { pid, comm, exe, args, alive, ..Self::default() }
    }
}

#[test]
fn recorded_chains() {
    let catalogue = catalogue();
    let mut kinds = Vec::new();
    for line in include_str!("recorded.jsonl").lines() {
        let recorded: Recorded = serde_json::from_str(line).unwrap();
        let part = recorded.process;
        let process = Process {
            user: part.user,
            uid: part.uid,
            tty: part.tty,
            tty_name: part.tty_name,
            cgroup_path: Some(part.cgroup_path),
            args: part.args,
            ..Process::default()
        };
        let ancestry: Vec<Ancestor> = recorded.ancestry.into_iter().map(Into::into).collect();
        let found = launcher(&Scene {
            catalogue: &catalogue,
            process: &process,
            server: &recorded.server,
            ancestry: &ancestry,
            workload: &workload::of(&process),
            ci: None,
            detected: &|_| None,
        });
        assert_eq!(found.kind, recorded.kind, "{line}");
        assert_eq!(found.detail, recorded.detail, "{line}");
        assert_eq!((found.unit, found.script), (recorded.unit, recorded.script), "{line}");
        kinds.push(found.kind);
    }
    for kind in [
        LauncherKind::Systemd,
        LauncherKind::Container,
        LauncherKind::PackageManager,
        LauncherKind::Shell,
        LauncherKind::Ssh,
        LauncherKind::Cron,
        LauncherKind::WebServer,
        LauncherKind::Other,
    ] {
        assert!(kinds.contains(&kind), "nothing recorded of {kind}");
    }
}

/// A chain, nearest first: `PATH ARGUMENT…`, blanks within an argument written as `~`. Pids count
/// from 100.
fn chain(words: &[&str]) -> Vec<Ancestor> {
    let link = |(line, pid): (&&str, u32)| {
        let args: Vec<String> = line.split(' ').map(|word| word.replace('~', " ")).collect();
        let exe = args[0].clone();
        let comm = exe.rsplit('/').next().unwrap_or_default().chars().take(15).collect();
        Ancestor { pid, comm, exe: Some(exe), args, alive: true, ..Ancestor::default() }
    };
    words.iter().zip(100..).map(link).collect()
}

#[derive(Default)]
struct Case<'c> {
    tty: Option<&'c str>,
    cgroup: &'c str,
    ci: Option<Ci>,
    detected: Option<(u32, &'c str)>,
}

fn of_case(case: &Case<'_>, words: &[&str]) -> Launcher {
    let process = Process {
        user: Some("www".to_owned()),
        tty: case.tty.is_some(),
        tty_name: case.tty.map(str::to_owned),
        cgroup_path: (!case.cgroup.is_empty()).then(|| case.cgroup.to_owned()),
        args: vec!["python3".to_owned(), "-m".to_owned(), "http.server".to_owned()],
        ..Process::default()
    };
    launcher(&Scene {
        catalogue: &catalogue(),
        process: &process,
        server: "python-http-server",
        ancestry: &chain(words),
        workload: &workload::of(&process),
        ci: case.ci.as_ref(),
        detected: &|ancestor| case.detected.filter(|(pid, _)| *pid == ancestor.pid).map(|(_, n)| n),
    })
}

#[track_caller]
fn is(words: &[&str], kind: LauncherKind, detail: &str) -> Launcher {
    let found = of_case(&Case::default(), words);
    assert_eq!((found.kind, &*found.detail), (kind, detail), "{words:?}");
    found
}

const SYSTEMD: &str = "/usr/lib/systemd/systemd";

#[test]
fn package_scripts() {
    let kind = LauncherKind::PackageManager;
    let debian = "/bin/sh /var/lib/dpkg/info/demo.postinst configure 1.0";
    let line = [debian, "/usr/bin/dpkg --configure", "/usr/bin/apt-get install demo", "/bin/bash"];
    let detail = "package script demo.postinst (configure), run by dpkg (101), apt-get (102)";
    let found = is(&line, kind, detail);
    assert_eq!(found.script.as_deref(), Some("demo.postinst"));
    // An administrator's shell, above it, did not start the server.
    let on_tty = of_case(&Case { tty: Some("pts/1"), ..Case::default() }, &line);
    assert_eq!((on_tty.kind, &*on_tty.detail), (kind, detail));
    let debconf =
        "/usr/bin/perl -w /usr/share/debconf/frontend /var/lib/dpkg/info/a.config configure";
    is(&[debconf], kind, "package script a.config (configure)");
    is(&["/bin/sh /var/lib/dpkg/tmp.ci/preinst install"], kind, "package script preinst (install)");
    let rpm = ["/bin/sh /var/tmp/rpm-tmp.Xa1 1", "/usr/bin/rpm -i x.rpm"];
    is(&rpm, kind, "package script of rpm, rpm-tmp.Xa1, run by rpm (101)");
    let apk =
        ["/bin/sh lib/apk/exec/nginx-1.26.3-r0.post-install 1.26.3-r0", "/sbin/apk add nginx"];
    let detail = "package script nginx-1.26.3-r0.post-install (1.26.3-r0), run by apk (101)";
    is(&apk, kind, detail);
    let pacman = ["/bin/bash -c .~/tmp/alpm/.INSTALL;~post_install~1.0-1", "/usr/bin/pacman -S x"];
    is(&pacman, kind, "package script of pacman, post_install 1.0-1, run by pacman (101)");
    is(&["/usr/bin/dpkg -i x.deb"], kind, "package manager dpkg (100)");
}

#[test]
fn scripts_of_tools() {
    let kind = LauncherKind::PackageManager;
    let npm = "/usr/bin/node /usr/lib/node_modules/npm/bin/npm-cli.js install";
    let found =
        is(&["/bin/sh -c node~server.js", npm], kind, "npm install (101), script `node server.js`");
    assert_eq!(found.script.as_deref(), Some("node server.js"));
    is(&["/usr/bin/node /usr/bin/npx --yes http-server ."], kind, "npx http-server . (100)");
    is(&["/usr/bin/node /usr/share/yarn/bin/yarn.js run dev"], kind, "yarn run dev (100)");
    is(&["/usr/bin/node /opt/pnpm/pnpm.cjs dev"], kind, "pnpm dev (100)");
    is(&["/usr/bin/python3.11 -m pip install ."], kind, "pip install . (100)");
    is(&["/usr/bin/python3.11 /usr/bin/pip3 install x"], kind, "pip install x (100)");
    is(&["/usr/bin/python3 setup.py install"], kind, "setup.py install (100)");
    is(&["/usr/bin/ruby3.1 /usr/bin/gem install x"], kind, "gem install x (100)");
    is(&["/usr/bin/php8.2 /usr/bin/composer.phar install"], kind, "composer install (100)");
    let cargo = "/srv/a/target/debug/build/web-sys-0123456789abcdef/build-script-build";
    let found = is(&[cargo, "/usr/bin/cargo build"], kind, "cargo, build script of web-sys");
    assert_eq!(found.script.as_deref(), Some("build script of web-sys"));
    // Programs of the same interpreters that are none of these.
    for other in ["/usr/bin/node app.js npm", "/usr/bin/python3 pipeline.py", "/usr/bin/php x.php"]
    {
        assert_eq!(of_case(&Case::default(), &[other]).kind, LauncherKind::Other, "{other}");
    }
}

#[test]
fn pipelines() {
    let kind = LauncherKind::CiStep;
    let step = "/usr/bin/bash -e /home/runner/work/_temp/2a6e1c4e-94b7-4d53-8d1c-6c1f0e1b2a3d.sh";
    let runner = "/home/runner/runners/2.320.0/bin/Runner.Worker spawnclient";
    let script = "2a6e1c4e-94b7-4d53-8d1c-6c1f0e1b2a3d.sh";
    let found = is(&[step, runner, SYSTEMD], kind, &format!("step of a GitHub pipeline, {script}"));
    assert_eq!(found.script.as_deref(), Some(script));
    is(
        &["/bin/sh -xe /tmp/jenkins123.sh", "/usr/bin/java -jar remoting.jar"],
        kind,
        "step of a Jenkins pipeline, jenkins123.sh",
    );
    is(&["/usr/bin/java -jar /opt/agent.jar -url x"], kind, "pipeline runner java (100)");
    is(
        &["/bin/bash --login", "/usr/bin/gitlab-runner run", SYSTEMD],
        kind,
        "pipeline runner gitlab-runner (101) via bash (100)",
    );
    let id = "ab".repeat(32);
    let job = Case { cgroup: &format!("/actions_job/{id}"), ..Case::default() };
    let found = of_case(&job, &["/usr/bin/containerd-shim-runc-v2 -namespace moby"]);
    assert_eq!(found.kind, kind);
    assert_eq!(found.detail, "docker container abababababab of a GitHub job");
    // picket runs in a pipeline itself, and nobody else is known.
    let ci = Ci { provider: "gitlab".to_owned(), job: Some("test".to_owned()), ..Ci::default() };
    let found = of_case(&Case { ci: Some(ci), ..Case::default() }, &["/bin/sh -c x", "/init"]);
    assert_eq!((found.kind, &*found.detail), (kind, "gitlab pipeline test"));
}

#[test]
fn units() {
    let of = |cgroup: &str, words: &[&str]| {
        let found = of_case(&Case { cgroup, ..Case::default() }, words);
        (found.kind, found.detail, found.unit)
    };
    let unit = Some("web.service".to_owned());
    let kind = LauncherKind::Systemd;
    let own = "/system.slice/web.service";
    assert_eq!(of(own, &[SYSTEMD]), (kind, "systemd unit web.service".to_owned(), unit.clone()));
    assert_eq!(
        of(own, &["/opt/main --x", "/bin/sh /opt/start", SYSTEMD]),
        (kind, "systemd unit web.service via sh (101)".to_owned(), unit.clone())
    );
    let user = "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service";
    assert_eq!(
        of(user, &["/usr/lib/systemd/systemd --user", SYSTEMD]),
        (kind, "systemd unit web.service of user 1000".to_owned(), unit.clone())
    );
    // Whoever is nearer: the cgroup is the service's that runs the schedule, or that lets people in.
    let cron = ["/bin/sh -c job", "/usr/sbin/cron -f", "/usr/sbin/cron -f", SYSTEMD];
    let (kind, detail, unit) = of("/system.slice/cron.service", &cron);
    assert_eq!((kind, &*detail), (LauncherKind::Cron, "scheduler cron (101), job `job`"));
    assert_eq!(unit.as_deref(), Some("cron.service"));
    let ssh = ["/bin/bash", "/usr/sbin/sshd -R", "/usr/sbin/sshd -D", SYSTEMD];
    assert_eq!(of("/system.slice/ssh.service", &ssh).0, LauncherKind::Ssh);
    // The ancestry does not reach systemd: the cgroup alone is not believed.
    let (kind, detail, _) = of(own, &["/opt/main", "/init"]);
    assert_eq!((kind, &*detail), (LauncherKind::Other, "main (100)"));
    let (kind, detail, _) = of(own, &[]);
    assert_eq!(kind, LauncherKind::Systemd);
    assert_eq!(detail, "systemd unit web.service, its parents are not known");
    // A scope's processes are not started by systemd.
    let scope = "/user.slice/user-1000.slice/session-3.scope";
    let shell = ["/bin/bash -c x", "/usr/bin/login", SYSTEMD];
    assert_eq!(of(scope, &shell).0, LauncherKind::Shell);
    // From a recording without cgroups, as ever.
    assert_eq!(of("", &[SYSTEMD]).1, "service manager systemd (100)");
    // systemd in a container, started by an engine.
    let inner = ["/usr/lib/systemd/systemd", "/usr/bin/lxc-start -n c1", SYSTEMD];
    let (kind, detail, _) = of("/lxc.payload.c1/system.slice/web.service", &inner);
    assert_eq!(kind, LauncherKind::Systemd);
    assert_eq!(detail, "systemd unit web.service, in lxc container c1");
}

#[test]
fn people() {
    let on = |tty, words: &[&str]| {
        let found = of_case(&Case { tty, ..Case::default() }, words);
        (found.kind, found.detail)
    };
    let shell = |detail: &str| (LauncherKind::Shell, detail.to_owned());
    let desktop = ["/usr/bin/bash", "/usr/libexec/gnome-terminal-server", SYSTEMD];
    assert_eq!(on(Some("pts/3"), &desktop), shell("shell bash (100), on terminal pts/3"));
    // Through sudo and a script: the shell that was typed into is the launcher.
    let script = ["/bin/sh ./start.sh", "/usr/bin/sudo ./start.sh", "/usr/bin/zsh -l", SYSTEMD];
    assert_eq!(on(Some("tty1"), &script), shell("shell zsh (102), on terminal tty1"));
    assert_eq!(on(None, &script[..3]), shell("shell sh (100), without a terminal"));
    let ssh = ["/bin/bash", "/usr/sbin/sshd -R", "/usr/sbin/sshd -R", "/usr/sbin/sshd -D", SYSTEMD];
    let (kind, detail) = on(Some("pts/0"), &ssh);
    assert_eq!(kind, LauncherKind::Ssh);
    assert_eq!(detail, "ssh session of www on pts/0, sshd (101) from sshd (103) via bash (100)");
    // Somebody types into a shell of a container.
    let id = "ab".repeat(32);
    let case = Case { tty: Some("pts/0"), cgroup: &format!("/docker/{id}"), ..Case::default() };
    let exec = ["/bin/bash", "/usr/bin/runc init", "/usr/bin/containerd-shim-runc-v2 -id x"];
    let found = of_case(&case, &exec);
    assert_eq!(found.kind, LauncherKind::Shell);
    let detail = "shell bash (100), on terminal pts/0, in docker container abababababab";
    assert_eq!(found.detail, detail);
}

#[test]
fn schedules() {
    let kind = LauncherKind::Cron;
    let daily = [
        "/bin/sh /etc/cron.daily/web",
        "/usr/bin/run-parts --report /etc/cron.daily",
        "/bin/sh -c run-parts~/etc/cron.daily",
        "/usr/sbin/cron -f",
        "/usr/sbin/cron -f",
    ];
    let found = is(&daily, kind, "scheduler cron (103), job `/etc/cron.daily/web`");
    assert_eq!(found.script.as_deref(), Some("/etc/cron.daily/web"));
    is(&["/usr/sbin/crond -n"], kind, "scheduler crond (100), job `python3 -m http.server`");
    is(&["/bin/sh", "/usr/sbin/atd -f"], kind, "at atd (101) via sh (100)");
}

#[test]
fn containers_and_those_that_keep_others_running() {
    let id = "ab".repeat(32);
    let docker = format!("/system.slice/docker-{id}.scope");
    let inside = Case { cgroup: &docker, ..Case::default() };
    let shim = "/usr/bin/containerd-shim-runc-v2 -namespace moby";
    let found = of_case(&inside, &["/sbin/docker-init -- python3", "/usr/sbin/runc init", shim]);
    assert_eq!(found.kind, LauncherKind::Container);
    assert_eq!(found.detail, "docker container abababababab, started by docker-init (100)");
    let found =
        of_case(&inside, &["/bin/sh -c x", "/usr/sbin/runc init", "/usr/sbin/runc x", shim]);
    let detail = "docker container abababababab, started by containerd-shim (103) via sh (100)";
    assert_eq!((found.kind, &*found.detail), (LauncherKind::Container, detail));
    is(&["/usr/bin/tini -- x", "/init"], LauncherKind::Other, "init tini (100)");
    // A user's own word for it.
    let own = format!("/user.slice/user-1000.slice/user@1000.service/docker/{id}");
    let found = of_case(&Case { cgroup: &own, ..Case::default() }, &["/init"]);
    assert_eq!(found.kind, LauncherKind::Container);
    let detail = "docker container abababababab (so named below user@1000.service)";
    assert_eq!(found.detail, detail);
    // In a container something nearer may have started it.
    let found = of_case(&inside, &["/usr/bin/python3 /usr/bin/supervisord -n", shim]);
    assert_eq!(found.kind, LauncherKind::Other);
    let detail = "supervisor supervisord (100), in docker container abababababab";
    assert_eq!(found.detail, detail);
    let kind = LauncherKind::Other;
    is(
        &["/usr/bin/runsv web", "/usr/bin/runsvdir /etc/service"],
        kind,
        "supervisor runsv (100) of web",
    );
    is(&["/bin/s6-supervise web"], kind, "supervisor s6-supervise (100) of web");
    is(&["/usr/bin/node /usr/lib/node_modules/pm2/lib/Daemon.js"], kind, "supervisor pm2 (100)");
    is(&["/usr/bin/ruby3.1 /usr/bin/foreman start"], kind, "supervisor foreman (100)");
}

#[test]
fn web_servers() {
    let kind = LauncherKind::WebServer;
    let tomcat =
        "/usr/lib/jvm/java-17/bin/java -classpath x org.apache.catalina.startup.Bootstrap start";
    is(&["/bin/sh -c x", tomcat], kind, "web server tomcat, java (101) via sh (100)");
    is(&["/bin/sh -c x", "/usr/sbin/nginx -g x"], kind, "web server nginx (101) via sh (100)");
    // A program with another name, that was detected by its content.
    let case = Case { detected: Some((101, "nginx")), ..Case::default() };
    let found = of_case(&case, &["/bin/sh -c x", "/opt/.hidden"]);
    assert_eq!(
        (found.kind, &*found.detail),
        (kind, "web server nginx, .hidden (101) via sh (100)")
    );
    // The same server once more is only its master.
    let own = of_case(&Case::default(), &["/usr/bin/python3 -m http.server 80"]);
    assert_eq!((own.kind, &*own.detail), (LauncherKind::Other, "python3 (100)"));
    // A shell whose words name a server is a shell.
    let words = of_case(&Case::default(), &["/bin/sh -c php~-S~localhost:1"]);
    assert_eq!(words.kind, LauncherKind::Shell);
}
