//! dpkg: this machine's own packages, and one that dpkg installs into a root of its own.

use std::os::unix::fs::symlink;

use tempfile::TempDir;

use super::*;

/// A root into which dpkg has installed a package; it brings a program for `/sbin`, a script in
/// `init.d` as a configuration file, and one program without a checksum.
struct Installed {
    dir: TempDir,
}

impl Installed {
    fn new() -> Self {
        let installed = Self { dir: tempfile::tempdir().unwrap() };
        let root = installed.root();
        merge_usr(&root);
        for dir in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        write(&root, "var/lib/dpkg/status", "");
        write(&root, "var/lib/dpkg/available", "");
        installed.build("tiny-server", "1:2.0-3", "/sbin/tiny");
        installed.dpkg(&["--install", installed.deb("tiny-server").to_str().unwrap()]);
        installed
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn deb(&self, name: &str) -> PathBuf {
        self.dir.path().join(format!("{name}.deb"))
    }

    fn dpkg(&self, args: &[&str]) {
        run(Command::new("dpkg").arg("--root").arg(self.root()).args(args));
    }

    fn build(&self, name: &str, version: &str, program: &str) {
        let tree = self.dir.path().join(name);
        write(&tree, program, PROGRAM);
        write(&tree, &format!("/etc/init.d/{name}"), PROGRAM);
        write(&tree, &format!("/usr/bin/{name}-unsummed"), PROGRAM);
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMulti-Arch: same\n\
             Maintainer: t <t@t>\nDescription: t\n"
        );
        write(&tree, "DEBIAN/control", control);
        write(&tree, "DEBIAN/conffiles", format!("/etc/init.d/{name}\n"));
        let sum = run(Command::new("md5sum").arg(&program[1..]).current_dir(&tree));
        write(&tree, "DEBIAN/md5sums", sum);
        for file in ["control", "conffiles", "md5sums"] {
            let path = tree.join("DEBIAN").join(file);
            fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        run(Command::new("dpkg-deb").arg("--build").arg(&tree).arg(self.deb(name)));
    }
}

#[test]
fn this_machine_agrees_with_dpkg_itself() {
    let mut looked_at = 0;
    for path in
        ["/usr/bin/bash", "/usr/bin/dpkg", "/usr/bin/perl", "/usr/sbin/useradd", "/usr/bin/ls"]
    {
        let path = fs::canonicalize(path).unwrap().to_str().unwrap().to_owned();
        // dpkg knows one of both names only.
        let said = [path.as_str(), path.trim_start_matches("/usr")].into_iter().find_map(|path| {
            let out = Command::new("dpkg-query").args(["--search", path]).output().unwrap();
            let line = String::from_utf8(out.stdout).unwrap();
            line.split(": /").next().filter(|name| !name.is_empty()).map(str::to_owned)
        });
        let name = said.unwrap();
        let format = "--showformat=${Package} ${Version}";
        let package = run(Command::new("dpkg-query").args(["--show", format, &name]));
        assert_eq!(answer(Path::new("/"), &path), Some(format!("{package} dpkg intact")), "{path}");
        // The other name of the same file.
        let other = path.trim_start_matches("/usr").to_owned();
        assert_eq!(
            answer(Path::new("/"), &other),
            Some(format!("{package} dpkg intact")),
            "{other}"
        );
        looked_at += 1;
    }
    assert_eq!(looked_at, 5);
}

#[test]
fn a_file_of_no_package_has_no_owner() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    assert_eq!(answer(Path::new("/"), path), None);
    for odd in
        ["", "bash", "/", "/usr/bin/", "/usr/bin/ba\0sh", "/usr/bin/\n", "/usr/bin/../bin/bash-"]
    {
        assert_eq!(Packages::below(Path::new("/")).owner(odd, file.as_file()).unwrap(), None);
    }
}

#[test]
fn remembered_lists_follow_every_change() {
    let installed = Installed::new();
    let root = installed.root();
    let lists = Lists::default();
    let packages = Packages::below(&root).remembering(&lists);
    packages.prepare().unwrap();
    let owner = |path: &str| {
        let file = File::open(root.join(&path[1..])).unwrap();
        packages.owner(path, &file).unwrap().map(|owner| owner.to_string())
    };
    assert_eq!(owner("/usr/sbin/tiny").as_deref(), Some("tiny-server 1:2.0-3"));
    write(&root, "/usr/sbin/other", PROGRAM);
    assert_eq!(owner("/usr/sbin/other"), None);
    // A second package, and then a version of the first that has another file.
    installed.build("other-server", "1", "/sbin/other");
    installed.dpkg(&["--install", installed.deb("other-server").to_str().unwrap()]);
    assert_eq!(owner("/usr/sbin/other").as_deref(), Some("other-server 1"));
    fs::remove_dir_all(installed.dir.path().join("tiny-server")).unwrap();
    installed.build("tiny-server", "1:3.0", "/sbin/tinier");
    installed.dpkg(&["--install", installed.deb("tiny-server").to_str().unwrap()]);
    assert_eq!(owner("/usr/sbin/tinier").as_deref(), Some("tiny-server 1:3.0"));
    installed.dpkg(&["--purge", "tiny-server"]);
    write(&root, "/usr/sbin/tinier", PROGRAM);
    assert_eq!(owner("/usr/sbin/tinier"), None);
    assert_eq!(owner("/usr/sbin/other").as_deref(), Some("other-server 1"));
}

#[test]
fn an_installed_file_is_intact_until_it_is_changed() {
    let installed = Installed::new();
    let root = installed.root();
    assert!(root.join("usr/sbin/tiny").exists());
    assert!(root.join("var/lib/dpkg/info/tiny-server:amd64.list").exists());
    for path in ["/usr/sbin/tiny", "/sbin/tiny"] {
        assert_eq!(answer(&root, path).as_deref(), Some("tiny-server 1:2.0-3 dpkg intact"));
    }
    let script = "/etc/init.d/tiny-server";
    assert_eq!(answer(&root, script).as_deref(), Some("tiny-server 1:2.0-3 dpkg intact"));
    let unsummed = answer(&root, "/usr/bin/tiny-server-unsummed");
    assert_eq!(unsummed.as_deref(), Some("tiny-server 1:2.0-3 dpkg unrecorded"));

    write(&root, script, "#!/bin/sh\nexit 1\n");
    assert_eq!(answer(&root, script).as_deref(), Some("tiny-server 1:2.0-3 dpkg changed"));
    write(&root, "/usr/sbin/tiny", format!("{PROGRAM}#"));
    let changed = answer(&root, "/usr/sbin/tiny");
    assert_eq!(changed.as_deref(), Some("tiny-server 1:2.0-3 dpkg changed"));
    // The same content elsewhere is nobody's.
    write(&root, "/usr/bin/tiny", PROGRAM);
    assert_eq!(answer(&root, "/usr/bin/tiny"), None);
    write(&root, "/opt/sbin/tiny", PROGRAM);
    assert_eq!(answer(&root, "/opt/sbin/tiny"), None);
}

#[test]
fn directories_of_two_names_are_two_where_usr_is_not_merged() {
    let installed = Installed::new();
    let root = installed.root();
    fs::remove_file(root.join("sbin")).unwrap();
    write(&root, "/sbin/tiny", PROGRAM);
    assert_eq!(answer(&root, "/sbin/tiny").as_deref(), Some("tiny-server 1:2.0-3 dpkg intact"));
    assert_eq!(answer(&root, "/usr/sbin/tiny"), None);
}

#[test]
fn a_deleted_file_is_still_known() {
    let installed = Installed::new();
    let root = installed.root();
    let file = File::open(root.join("usr/sbin/tiny")).unwrap();
    fs::remove_file(root.join("usr/sbin/tiny")).unwrap();
    let owner = Packages::below(&root).owner("/usr/sbin/tiny", &file).unwrap().unwrap();
    assert_eq!(owner.to_string(), "tiny-server 1:2.0-3");
    assert_eq!(owner.intact, Some(true));
}

#[test]
fn a_removed_package_owns_nothing() {
    let installed = Installed::new();
    let root = installed.root();
    installed.dpkg(&["--remove", "tiny-server"]);
    // Its list is still there, for the configuration files.
    assert!(root.join("var/lib/dpkg/info/tiny-server:amd64.list").exists());
    assert_eq!(answer(&root, "/etc/init.d/tiny-server"), None);
}

#[test]
fn a_diverted_file_is_of_the_package_that_brought_it() {
    let installed = Installed::new();
    let root = installed.root();
    let divert = ["--add", "--rename", "--package", "other-server", "--divert"];
    let mut command = Command::new("dpkg-divert");
    command.arg("--root").arg(&root).args(divert).args(["/sbin/tiny.real", "/sbin/tiny"]);
    run(&mut command);
    installed.build("other-server", "9", "/sbin/tiny");
    installed.dpkg(&["--install", installed.deb("other-server").to_str().unwrap()]);
    let aside = answer(&root, "/usr/sbin/tiny.real");
    assert_eq!(aside.as_deref(), Some("tiny-server 1:2.0-3 dpkg intact"));
    assert_eq!(answer(&root, "/usr/sbin/tiny").as_deref(), Some("other-server 9 dpkg intact"));
}

#[test]
fn the_administrators_own_file_in_place_of_a_diverted_one_is_of_no_package() {
    let installed = Installed::new();
    let root = installed.root();
    let mut command = Command::new("dpkg-divert");
    command.arg("--root").arg(&root);
    run(command.args([
        "--add",
        "--rename",
        "--local",
        "--divert",
        "/sbin/tiny.real",
        "/sbin/tiny",
    ]));
    write(&root, "/usr/sbin/tiny", PROGRAM);
    assert_eq!(answer(&root, "/usr/sbin/tiny"), None);
    let aside = answer(&root, "/usr/sbin/tiny.real");
    assert_eq!(aside.as_deref(), Some("tiny-server 1:2.0-3 dpkg intact"));
}

/// As images are made that have no dpkg: the package unpacked, its control files in `status.d`.
#[test]
fn an_image_without_dpkg_has_its_packages_in_status_d() {
    let installed = Installed::new();
    let root = installed.dir.path().join("distroless");
    let deb = installed.deb("tiny-server");
    let control = installed.dir.path().join("control");
    run(Command::new("dpkg-deb").arg("--extract").arg(&deb).arg(&root));
    run(Command::new("dpkg-deb").arg("--control").arg(&deb).arg(&control));
    let read = |name: &str| fs::read(control.join(name)).unwrap();
    write(&root, "var/lib/dpkg/status.d/tiny-server", read("control"));
    write(&root, "var/lib/dpkg/status.d/tiny-server.md5sums", read("md5sums"));
    assert_eq!(answer(&root, "/sbin/tiny").as_deref(), Some("tiny-server 1:2.0-3 dpkg intact"));
    write(&root, "/sbin/tiny", "other");
    assert_eq!(answer(&root, "/sbin/tiny").as_deref(), Some("tiny-server 1:2.0-3 dpkg changed"));
}

#[test]
fn a_directory_is_the_same_by_any_name() {
    let installed = Installed::new();
    let root = installed.root();
    fs::create_dir(root.join("data")).unwrap();
    fs::rename(root.join("usr/sbin"), root.join("data/sbin")).unwrap();
    // As an absolute link inside the root: it leads to the root's own directory.
    symlink("/data/sbin", root.join("usr/sbin")).unwrap();
    assert_eq!(
        answer(&root, "/data/sbin/tiny").as_deref(),
        Some("tiny-server 1:2.0-3 dpkg intact")
    );
}

/// Not a figure: a bound that a search which is quadratic, or an index of all, would break.
#[test]
fn a_lookup_among_two_thousand_packages_is_quick() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let mut status = String::new();
    for number in 0..2000 {
        let name = format!("package-{number}");
        let dir = format!("/usr/share/doc/{name}/examples");
        let files = (0..300).map(|file| format!("{dir}/{file}/server.conf\n"));
        write(root, &format!("var/lib/dpkg/info/{name}.list"), files.collect::<String>());
        status += &format!("Package: {name}\nStatus: install ok installed\nVersion: {number}\n\n");
    }
    write(root, "var/lib/dpkg/status", status);
    write(root, "/usr/share/doc/package-1999/examples/299/server.conf", "");
    write(root, "/usr/bin/server", "");
    let started = std::time::Instant::now();
    let owned = answer(root, "/usr/share/doc/package-1999/examples/299/server.conf");
    assert_eq!(owned.as_deref(), Some("package-1999 1999 dpkg unrecorded"));
    assert_eq!(answer(root, "/usr/bin/server"), None);
    let took = started.elapsed();
    println!("two lookups took {took:?}");
    assert!(took.as_secs() < 5, "{took:?}");
}
