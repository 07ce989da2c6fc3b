//! rpm: packages that rpmbuild makes and rpm installs into a root of its own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use tempfile::TempDir;

use super::*;

/// A root into which rpm has installed packages.
pub(super) struct Installed {
    dir: TempDir,
}

impl Installed {
    pub(super) fn new() -> Self {
        let installed = Self { dir: tempfile::tempdir().unwrap() };
        installed.install("tiny-server", 8);
        installed
    }

    pub(super) fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// Builds and installs a package whose checksums are of the algorithm of that number.
    fn install(&self, name: &str, algorithm: u32) {
        fs::create_dir_all(self.root()).unwrap();
        let top = self.dir.path();
        let spec = format!(
            "Name: {name}\nEpoch: 1\nVersion: 2.0\nRelease: 3.el9\nSummary: t\nLicense: MIT\n\
             BuildArch: noarch\n%description\nt\n%install\n\
             mkdir -p %{{buildroot}}/usr/sbin %{{buildroot}}/etc/{name} %{{buildroot}}/run\n\
             printf '{program}' > %{{buildroot}}/usr/sbin/{name}\n\
             chmod 755 %{{buildroot}}/usr/sbin/{name}\n\
             echo conf > %{{buildroot}}/etc/{name}/{name}\n\
             ln -s {name} %{{buildroot}}/usr/sbin/{name}-link\n\
             echo made > %{{buildroot}}/run/{name}.made\n\
             %files\n/usr/sbin/{name}\n/usr/sbin/{name}-link\n%config /etc/{name}/{name}\n\
             %ghost /run/{name}.made\n",
            program = PROGRAM.replace('\n', "\\n"),
        );
        write(top, "tiny.spec", spec);
        let define = format!("_topdir {}/build", top.display());
        let digest = format!("_binary_filedigest_algorithm {algorithm}");
        // Debian's rpm keeps a database, and reads settings, in the home directory.
        let mut build = Command::new("rpmbuild");
        build.env("HOME", top);
        run(build
            .args(["-bb", "--define", &define, "--define", &digest])
            .arg(top.join("tiny.spec")));
        let package = top.join(format!("build/RPMS/noarch/{name}-2.0-3.el9.noarch.rpm"));
        let mut rpm = Command::new("rpm");
        rpm.env("HOME", top);
        rpm.arg("--root").arg(self.root()).args([
            "--dbpath",
            "/var/lib/rpm",
            "--nodeps",
            "--install",
        ]);
        run(rpm.arg(package));
    }

    pub(super) fn database(&self) -> PathBuf {
        self.root().join("var/lib/rpm/rpmdb.sqlite")
    }
}

/// A process that says a line when it is ready, and is ended with the test.
struct Helper(Child);

impl Helper {
    fn start(command: &mut Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        let helper = Self(child);
        BufReader::new(out).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready");
        helper
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn an_installed_file_is_intact_until_it_is_changed() {
    let installed = Installed::new();
    let root = installed.root();
    merge_sbin(&root);
    let program = "/usr/sbin/tiny-server";
    assert_eq!(answer(&root, program).as_deref(), Some("tiny-server 1:2.0-3.el9 rpm intact"));
    let owner = ask(&root, program).unwrap().unwrap();
    assert_eq!(owner.manager, Manager::Rpm);
    assert_eq!(owner.to_string(), "tiny-server 1:2.0-3.el9");
    let same = answer(&root, "/sbin/tiny-server");
    assert_eq!(same.as_deref(), Some("tiny-server 1:2.0-3.el9 rpm intact"));
    let conf = answer(&root, "/etc/tiny-server/tiny-server");
    assert_eq!(conf.as_deref(), Some("tiny-server 1:2.0-3.el9 rpm intact"));
    // What the package only names has no checksum; a symbolic link is no program.
    write(&root, "/run/tiny-server.made", "made");
    let made = answer(&root, "/run/tiny-server.made");
    assert_eq!(made.as_deref(), Some("tiny-server 1:2.0-3.el9 rpm unrecorded"));
    assert_eq!(answer(&root, "/usr/sbin/tiny-server-link"), None);
    write(&root, "/opt/tiny-server", PROGRAM);
    assert_eq!(answer(&root, "/opt/tiny-server"), None);

    write(&root, program, format!("{PROGRAM}#"));
    assert_eq!(answer(&root, program).as_deref(), Some("tiny-server 1:2.0-3.el9 rpm changed"));
}

fn merge_sbin(root: &Path) {
    std::os::unix::fs::symlink("usr/sbin", root.join("sbin")).unwrap();
}

#[test]
fn every_algorithm_that_rpm_uses_is_known() {
    let installed = Installed::new();
    for (name, algorithm) in
        [("md5", 1), ("sha1", 2), ("sha384", 9), ("sha512", 10), ("sha224", 11)]
    {
        installed.install(name, algorithm);
        let program = format!("/usr/sbin/{name}");
        let expected = |state| Some(format!("{name} 1:2.0-3.el9 rpm {state}"));
        assert_eq!(answer(&installed.root(), &program), expected("intact"));
        write(&installed.root(), &program, "other");
        assert_eq!(answer(&installed.root(), &program), expected("changed"));
    }
}

/// Enough packages that tables and indexes have inner pages, and headers overflow.
#[test]
fn a_database_of_many_pages_is_searched() {
    let installed = Installed::new();
    let fill = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
blob = db.execute('SELECT blob FROM Packages').fetchone()[0]
for n in range(2, 1500):
    db.execute('INSERT INTO Packages VALUES (?, ?)', (n, blob + bytes(n * 7 % 9000)))
    for i in range(20):
        db.execute('INSERT INTO Basenames VALUES (?, ?, ?)', (f'file-{n * 20 + i:06}' + 'x' * (n % 400), n, i))
    if n % 5 == 0:
        db.execute('INSERT INTO Basenames VALUES (?, ?, ?)', ('tiny-server', n, 99))
db.execute('DELETE FROM Basenames WHERE key = ? AND hnum = 1', ('tiny-server',))
db.execute('INSERT INTO Basenames SELECT ?, 1499, idx FROM Basenames WHERE key = ?', ('tiny-server', 'nothing'))
for i in range(4):
    db.execute('INSERT INTO Basenames VALUES (?, 1499, ?)', ('tiny-server', i))
db.commit()
db.close()
";
    run(Command::new("python3").args(["-c", fill]).arg(installed.database()));
    let program = "/usr/sbin/tiny-server";
    let found = answer(&installed.root(), program);
    assert_eq!(found.as_deref(), Some("tiny-server 1:2.0-3.el9 rpm intact"));
    // The first and the last of the index, and what is not there.
    for absent in ["/usr/sbin/file-000040", "/usr/sbin/zzz", "/usr/sbin/0", "/usr/sbin/file-029999"]
    {
        write(&installed.root(), absent, "");
        assert_eq!(answer(&installed.root(), absent), None, "{absent}");
    }
    let check = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute('SELECT count(*) FROM Basenames WHERE key = ?', ('tiny-server',)).fetchone()[0])
";
    let count = run(Command::new("python3").args(["-c", check]).arg(installed.database()));
    let file = File::open(installed.database()).unwrap();
    let database = sqlite::Database::open(file, None).unwrap();
    let index = database.root_of("index", "Basenames_key_idx").unwrap().unwrap();
    let rows = database.rows_of(index, b"tiny-server", 1000).unwrap();
    assert_eq!(rows.len().to_string(), count.trim());
}

/// A reader keeps rpm from moving what it commits out of the log.
#[test]
fn what_rpm_has_committed_to_its_log_only_is_found() {
    let installed = Installed::new();
    let hold = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute('BEGIN')
db.execute('SELECT count(*) FROM Packages').fetchone()
print('ready', flush=True)
sys.stdin.read()
";
    let helper =
        Helper::start(Command::new("python3").args(["-c", hold]).arg(installed.database()));
    installed.install("late-server", 8);
    let log = installed.root().join("var/lib/rpm/rpmdb.sqlite-wal");
    assert!(fs::metadata(&log).unwrap().len() > 0);
    // Without the log, the package is not there.
    let file = File::open(installed.database()).unwrap();
    let alone = sqlite::Database::open(file, None).unwrap();
    let index = alone.root_of("index", "Basenames_key_idx").unwrap().unwrap();
    assert_eq!(alone.rows_of(index, b"late-server", 9).unwrap(), Vec::<i64>::new());

    let before = listing(&installed.root().join("var/lib/rpm"));
    let found = answer(&installed.root(), "/usr/sbin/late-server");
    assert_eq!(found.as_deref(), Some("late-server 1:2.0-3.el9 rpm intact"));
    assert_eq!(listing(&installed.root().join("var/lib/rpm")), before);
    // A log that is cut off counts up to where it is whole: here, its first transaction is not.
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..whole.len() / 8]).unwrap();
    assert_eq!(answer(&installed.root(), "/usr/sbin/late-server"), None);
    fs::write(&log, &whole).unwrap();
    drop(helper);
}

/// Names, sizes and times of what is in a directory.
fn listing(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let meta = entry.metadata().unwrap();
        format!("{:?} {} {:?}", entry.file_name(), meta.len(), meta.modified().unwrap())
    });
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    entries
}

/// A root that can be reached through the process only, as a container's.
#[test]
fn a_containers_packages_are_found_through_its_process() {
    let installed = Installed::new();
    let mount = installed.dir.path().join("mount");
    fs::create_dir(&mount).unwrap();
    let enter = "
import os, sys
os.chroot(sys.argv[1])
print('ready', flush=True)
sys.stdin.read()
";
    let script = "mount -t tmpfs picket-test \"$1\" && cp -a \"$2/.\" \"$1\" && exec python3 -c \"$3\" \"$1\"";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(&mount)
        .arg(installed.root())
        .arg(enter);
    let helper = Helper::start(&mut command);
    assert_eq!(fs::read_dir(&mount).unwrap().count(), 0);
    let root = PathBuf::from(format!("/proc/{}/root", helper.0.id()));
    let program = "/usr/sbin/tiny-server";
    assert_eq!(answer(&root, program).as_deref(), Some("tiny-server 1:2.0-3.el9 rpm intact"));
    write(&root, program, "other");
    assert_eq!(answer(&root, program).as_deref(), Some("tiny-server 1:2.0-3.el9 rpm changed"));
    write(&root, "/usr/bin/bash", "not this machine's");
    assert_eq!(answer(&root, "/usr/bin/bash"), None);
}

/// Where `/var/lib/rpm` is a link, as on Fedora.
#[test]
fn the_database_may_be_below_usr() {
    let installed = Installed::new();
    let root = installed.root();
    fs::create_dir_all(root.join("usr/lib/sysimage")).unwrap();
    fs::rename(root.join("var/lib/rpm"), root.join("usr/lib/sysimage/rpm")).unwrap();
    std::os::unix::fs::symlink("../../usr/lib/sysimage/rpm", root.join("var/lib/rpm")).unwrap();
    let found = answer(&root, "/usr/sbin/tiny-server");
    assert_eq!(found.as_deref(), Some("tiny-server 1:2.0-3.el9 rpm intact"));
}

/// These files only have the right names: Debian's rpm cannot write those formats.
#[test]
fn a_database_of_another_format_is_said() {
    for (name, format) in [("Packages", "Berkeley DB"), ("Packages.db", "ndb")] {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), "/usr/sbin/server", PROGRAM);
        let database = format!("var/lib/rpm/{name}");
        write(root.path(), &database, "");
        assert_eq!(answer(root.path(), "/usr/sbin/server"), None);
        write(root.path(), &database, "something");
        let said = problem(root.path(), "/usr/sbin/server");
        assert!(said.contains(&database) && said.contains(format), "{said}");
    }
}
