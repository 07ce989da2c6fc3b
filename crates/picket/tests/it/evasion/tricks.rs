//! The tricks: how each executes a program so that it is not recognised.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::rows::{Place, Row, fill};
use crate::harness;

/// The columns of the matrix: name, and what it does.
pub(super) const TRICKS: &[(&str, &str)] = &[
    ("rename", "a copy called `kworkerd`"),
    ("copy", "a copy of the same name in another directory"),
    ("symlink", "a symbolic link called `kworkerd`"),
    ("hardlink", "a hard link called `kworkerd`"),
    ("bind", "mounted over a file called `kworkerd`"),
    ("overlay", "called `kworkerd` in an overlay's lower layer"),
    ("memfd", "copied into a memfd, `fexecve`"),
    ("execveat", "`kworkerd` by descriptor, `AT_EMPTY_PATH`"),
    ("unlinked", "`kworkerd`, unlinked the moment it runs"),
    ("unlinked-first", "`kworkerd`, unlinked before it is executed by descriptor"),
    ("ld.so", "`ld.so ./kworkerd`"),
    ("upx", "packed with UPX, called `kworkerd`"),
    ("strip", "stripped of all symbols and its build id, called `kworkerd`"),
    ("static", "another, static build, called `kworkerd`"),
    ("argv0", "`exec -a '[kworker/u8:3]'`"),
    ("prctl", "its threads renamed from within by a preloaded library"),
    ("shebang", "a shell script that executes `./kworkerd`"),
    ("interpreter", "`kworkerd` as the interpreter that a script names in `#!`"),
    ("fork", "`kworkerd`, forked twice, in a session of its own"),
    ("thread", "`kworkerd`, executed by a second thread"),
    ("chroot", "`kworkerd` in a `chroot`"),
    ("namespaces", "`kworkerd` in PID, mount, IPC and UTS namespaces of its own"),
    ("escapes", "a name of newlines and escape sequences"),
    ("short", "`kworkerd`, killed 20 ms later"),
    ("pad8k", "8 KiB of arguments before the telling one"),
    ("pad100k", "100 KiB of arguments before the telling one"),
    ("script", "the script under another name"),
    ("archive", "the Java archive under another name"),
    ("oneliner", "the server as inline code (`-c`, `-e`, `-r`)"),
];

const INNOCENT: &str = "kworkerd";
/// As a shell would; some execute themselves again by it.
const ASKED_AS: &str = "./kworkerd";
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// A cell that is ready to run.
pub(super) struct Cell {
    pub(super) command: Command,
    /// The process is not the one that is started, but is named in this file.
    pub(super) pid_file: Option<PathBuf>,
    /// Whether a name lies, so that picket must say so. `None`: it need not know yet.
    pub(super) masquerade: Option<bool>,
    /// What it may be called.
    pub(super) names: Vec<String>,
}

/// What all cells share.
pub(super) struct Tools {
    pub(super) base: PathBuf,
    trick: PathBuf,
    preload: PathBuf,
}

impl Tools {
    pub(super) fn new(base: &Path) -> Self {
        let source = harness::root().join("crates/picket/tests/it/evasion/trick.c");
        let (trick, preload) = (base.join("trick"), base.join("rename.so"));
        run("gcc", &["-O1", "-Wall", "-o"], &[&trick, &source]).unwrap();
        let library = ["-O1", "-shared", "-fPIC", "-DPRELOAD", "-o"];
        run("gcc", &library, &[&preload, &source]).unwrap();
        Self { base: base.to_owned(), trick, preload }
    }

    /// Whether a process still is, or is becoming, what executes the server.
    pub(super) fn is_helper(&self, exe: &Path) -> bool {
        exe == self.trick || exe.ends_with("dash") || exe.ends_with("sh")
    }

    /// Makes a cell ready, or says why there is none.
    pub(super) fn prepare(&self, trick: &str, row: &Row, place: &Place) -> Result<Cell, String> {
        if let Some(why) = row.except.get(trick) {
            return Err(why.clone());
        }
        Cellar { tools: self, row, place, exe: PathBuf::from(fill(&row.exe)) }.prepare(trick)
    }
}

/// Where one cell is made.
struct Cellar<'a> {
    tools: &'a Tools,
    row: &'a Row,
    place: &'a Place,
    exe: PathBuf,
}

impl Cellar<'_> {
    fn prepare(&self, trick: &str) -> Result<Cell, String> {
        let innocent = self.place.path(INNOCENT);
        let plain = |path: &Path| self.cell("plain", "-", path, ASKED_AS, &self.args());
        let copied = |how: &str, aux: &str| {
            self.copy(&self.exe, &innocent);
            self.cell(how, aux, &innocent, ASKED_AS, &self.args())
        };
        let dir = self.place.dir().to_str().unwrap();
        Ok(match trick {
            "rename" => {
                let first = self.place.path("x");
                self.copy(&self.exe, &first);
                fs::rename(first, &innocent).unwrap();
                plain(&innocent)
            }
            "copy" => {
                let path = self.place.path("bin").join(self.exe.file_name().unwrap());
                self.copy(&self.exe, &path);
                honest(self.cell("plain", "-", &path, &path, &self.args()), Some(false))
            }
            "symlink" => {
                symlink(&self.exe, &innocent).unwrap();
                plain(&innocent)
            }
            "hardlink" => {
                let path = self.place.path("bin").join(self.exe.file_name().unwrap());
                self.copy(&self.exe, &path);
                fs::hard_link(&path, &innocent).unwrap();
                plain(&innocent)
            }
            "bind" => {
                fs::write(&innocent, "").unwrap();
                let from = self.exe.to_str().unwrap();
                self.cell("bind", from, &innocent, ASKED_AS, &self.args())
            }
            "overlay" => {
                for name in ["upper", "work", "merged"] {
                    fs::create_dir_all(self.place.path(name)).unwrap();
                }
                self.copy(&self.exe, &self.place.path("lower").join(INNOCENT));
                let path = self.place.path("merged").join(INNOCENT);
                self.cell("overlay", dir, &path, ASKED_AS, &self.args())
            }
            "memfd" => self.cell("memfd", "-", &self.exe, ASKED_AS, &self.args()),
            "execveat" | "unlinked" | "unlinked-first" | "thread" => copied(trick, "-"),
            "short" => copied("short", "20"),
            "fork" | "namespaces" => {
                let file = self.place.path("pid");
                let mut cell = copied(trick, file.to_str().unwrap());
                cell.pid_file = Some(file);
                cell
            }
            "ld.so" => self.by_loader(&innocent)?,
            "upx" => {
                self.copy(&self.packed()?, &innocent);
                plain(&innocent)
            }
            "strip" => {
                let options = [
                    "-s",
                    "-R",
                    ".comment",
                    "-R",
                    ".note.gnu.build-id",
                    "-R",
                    ".gnu_debuglink",
                    "-o",
                ];
                run("strip", &options, &[&innocent, &self.exe])?;
                plain(&innocent)
            }
            "static" => {
                let build = self.row.static_build.as_deref().ok_or("no static build at hand")?;
                self.copy(Path::new(&fill(build)), &innocent);
                plain(&innocent)
            }
            "argv0" => self.cell("plain", "-", &self.exe, "[kworker/u8:3]", &self.args()),
            "prctl" => {
                self.dynamic()?;
                let mut cell = self.cell("plain", "-", &self.exe, &self.exe, &self.args());
                cell.command.env("LD_PRELOAD", &self.tools.preload);
                honest(cell, None)
            }
            "shebang" => self.by_script(&innocent),
            "interpreter" => self.as_interpreter(&innocent)?,
            "chroot" => self.in_chroot(),
            "escapes" => {
                let name = b"kw\n\x1b[2J\x1b]0;x\x07rk\"}\xe2\x80\xae\xff\r".to_vec();
                let path = self.place.dir().join(OsString::from_vec(name));
                self.copy(&self.exe, &path);
                plain(&path)
            }
            "pad8k" => self.padded(8 << 10)?,
            "pad100k" => self.padded(100 << 10)?,
            "script" => self.with_other("script", self.row.script.as_deref())?,
            "archive" => self.with_other("archive", self.row.archive.as_deref())?,
            "oneliner" => {
                let code = self.row.oneliner.as_ref().ok_or("it takes no inline code")?;
                let args = self.place.fill_all(code);
                let mut cell = self.cell("plain", "-", &self.exe, &self.exe, &args);
                cell.names.extend(self.row.is.iter().cloned());
                honest(cell, Some(false))
            }
            _ => unreachable!("{trick}"),
        })
    }

    fn args(&self) -> Vec<String> {
        self.place.fill_all(self.row.args())
    }

    /// Executes a file by the helper.
    fn cell<A: AsRef<OsStr>>(
        &self,
        how: &str,
        aux: &str,
        path: &Path,
        argv0: impl AsRef<OsStr>,
        args: &[A],
    ) -> Cell {
        let mut command = Command::new(&self.tools.trick);
        // What ends at once, and leaves no file behind, may be gone before anyone could read it.
        // That is counted and told, but is a race, and not what is measured here.
        let races = ["overlay", "memfd", "unlinked", "unlinked-first", "chroot", "namespaces"];
        let how = if races.contains(&how) { format!("held-{how}") } else { how.to_owned() };
        command.arg(how).arg(aux).arg(path);
        match &self.row.argv0 {
            Some(argv0) => command.arg(argv0),
            None => command.arg(argv0.as_ref()),
        };
        command.args(args);
        self.finish(command)
    }

    fn finish(&self, mut command: Command) -> Cell {
        let out = fs::File::create(self.place.path("test-output")).unwrap();
        command
            .current_dir(self.place.dir())
            .envs(self.place.env.iter().map(|(name, value)| (name, value)))
            .env("PICKET_EVASION", self.place.dir())
            .stdin(if self.row.stdin { Stdio::piped() } else { Stdio::null() })
            .stdout(out.try_clone().unwrap())
            .stderr(out);
        let names = vec![self.row.name.clone()];
        Cell { command, pid_file: None, masquerade: Some(true), names }
    }

    /// Copied by another process: a file that this one writes cannot be executed while a child
    /// that another test just started has inherited it.
    fn copy(&self, from: &Path, to: &Path) {
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        run("cp", &["-L", "--no-preserve=mode"], &[from, to]).unwrap();
        fs::set_permissions(to, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn dynamic(&self) -> Result<(), String> {
        let elf = fs::read(&self.exe).map_err(|e| e.to_string())?;
        let linked = elf.get(..4096).unwrap_or(&elf).windows(10).any(|w| w == b"/ld-linux-");
        if linked { Ok(()) } else { Err("it is static: no loader is involved".to_owned()) }
    }

    fn by_loader(&self, innocent: &Path) -> Result<Cell, String> {
        self.dynamic()?;
        self.copy(&self.exe, innocent);
        let mut args = vec![format!("./{INNOCENT}")];
        args.extend(self.args());
        Ok(self.cell("plain", "-", Path::new(LOADER), LOADER, &args))
    }

    /// Packed once and kept, because that takes long.
    fn packed(&self) -> Result<PathBuf, String> {
        let base = harness::root().join("target/test-servers");
        let meta = fs::metadata(&self.exe).map_err(|e| e.to_string())?;
        let name = self.exe.file_name().unwrap().to_str().unwrap();
        let kept = base.join(format!("upx/{name}-{}-{}", meta.len(), meta.mtime()));
        fs::create_dir_all(base.join("upx")).unwrap();
        let no = kept.with_extension("no");
        if let Ok(why) = fs::read_to_string(&no) {
            return Err(why);
        }
        if !kept.exists() {
            let new = self.place.path("packed");
            let library = base.join("deb/usr/lib/x86_64-linux-gnu");
            let out = Command::new(base.join("deb/usr/bin/upx-ucl"))
                .env("LD_LIBRARY_PATH", library)
                .args(["-q", "-1", "-o"])
                .args([&new, &self.exe])
                .output()
                .map_err(|e| format!("upx-ucl: {e}"))
                .unwrap();
            if !out.status.success() {
                let text = String::from_utf8_lossy(&out.stderr);
                let why = text.lines().find(|l| l.contains("Exception")).unwrap_or(&text);
                let why = why.rsplit("Exception: ").next().unwrap_or(why).trim();
                let why = format!("UPX refuses: {why}");
                fs::write(&no, &why).unwrap();
                return Err(why);
            }
            fs::rename(&new, &kept).unwrap();
        }
        Ok(kept)
    }

    fn by_script(&self, innocent: &Path) -> Cell {
        self.copy(&self.exe, innocent);
        let path = self.place.path("update");
        let exec = match &self.row.argv0 {
            // No shell of POSIX's can say `exec -a`.
            Some(argv0) => {
                format!("exec {:?} plain - ./{INNOCENT} {argv0} \"$@\"", self.tools.trick)
            }
            None => format!("exec ./{INNOCENT} \"$@\""),
        };
        script(&path, &format!("#!/bin/sh\n# updates\n{exec}\n"));
        self.cell("plain", "-", &path, ASKED_AS, &self.args())
    }

    fn as_interpreter(&self, innocent: &Path) -> Result<Cell, String> {
        let first = match (&self.row.interp, &self.row.script) {
            (Some(no), _) if no == "none" => {
                return Err("it serves only with more than one argument before the script".into());
            }
            (Some(first), _) => format!(" {}", self.place.fill(first)),
            (None, _) => String::new(),
        };
        let (text, skip) = match &self.row.script {
            Some(script) => {
                let text = fs::read_to_string(fill(script)).map_err(|e| e.to_string())?;
                (text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default(), 1)
            }
            None if self.row.oneliner.is_some() && self.row.interp.is_none() => {
                return Err("it needs more than one argument before the script".into());
            }
            None if self.row.archive.is_some() || self.exe.ends_with("java") => {
                return Err("java runs no script of this kind".into());
            }
            None => ("# settings\n".to_owned(), 0),
        };
        self.copy(&self.exe, innocent);
        let path = self.place.path(self.row.script_as.as_deref().unwrap_or("update"));
        script(&path, &format!("#!{}{first}\n{text}", innocent.display()));
        // Alone on its network: the script takes the place of an argument, so it may listen anywhere.
        Ok(self.cell("alone", "-", &path, ASKED_AS, &self.args()[skip..]))
    }

    fn in_chroot(&self) -> Cell {
        let root = self.place.path("root");
        self.copy(&self.exe, &root.join(INNOCENT));
        let out = Command::new("ldd").arg(&self.exe).envs(self.place.env.clone()).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let libraries = text.split_whitespace().filter(|w| w.starts_with('/'));
        let libraries: Vec<PathBuf> = libraries.map(PathBuf::from).collect();
        if !libraries.is_empty() {
            let mut all: Vec<&Path> = libraries.iter().map(PathBuf::as_path).collect();
            all.push(&root);
            run("cp", &["-L", "--parents"], &all).unwrap();
        }
        // What it was told to read is there, too.
        let there = root.join(self.place.dir().strip_prefix("/").unwrap());
        fs::create_dir_all(&there).unwrap();
        for entry in fs::read_dir(self.place.dir()).unwrap() {
            let path = entry.unwrap().path();
            if path != root {
                run("cp", &["-R"], &[&path, &there]).unwrap();
            }
        }
        let system = ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf"].map(Path::new);
        run("cp", &["-L", "--parents"], &[&system[..], &[root.as_path()]].concat()).unwrap();
        fs::create_dir_all(root.join("dev")).unwrap();
        run("cp", &["-R"], &[Path::new("/dev/null"), &root.join("dev")]).unwrap();
        if let Some(script) = &self.row.script {
            let script = PathBuf::from(fill(script));
            self.copy(&script, &root.join(script.strip_prefix("/").unwrap()));
        }
        let path = PathBuf::from("/").join(INNOCENT);
        self.cell("chroot", root.to_str().unwrap(), &path, ASKED_AS, &self.args())
    }

    fn padded(&self, size: usize) -> Result<Cell, String> {
        if self.row.pad.is_empty() {
            return Err("no argument tells, or none takes junk".to_owned());
        }
        let junk = "x".repeat(size);
        let mut args = self.args();
        let pad: Vec<String> =
            self.row.pad.iter().map(|w| self.place.fill(&w.replace("{junk}", &junk))).collect();
        args.splice(self.row.pad_at..self.row.pad_at, pad);
        Ok(honest(self.cell("plain", "-", &self.exe, &self.exe, &args), Some(false)))
    }

    /// The script or archive that it is given, under another name.
    fn with_other(&self, what: &str, original: Option<&str>) -> Result<Cell, String> {
        let original = fill(original.ok_or_else(|| format!("it is given no {what}"))?);
        let path = self.place.path(self.row.script_as.as_deref().unwrap_or("data.bin"));
        self.copy(Path::new(&original), &path);
        let mut args = self.args();
        let mut found = false;
        for arg in &mut args {
            if *arg == original {
                *arg = path.to_str().unwrap().to_owned();
                found = true;
            }
        }
        assert!(found, "{}: {original} is not among {args:?}", self.row.name);
        Ok(self.cell("plain", "-", &self.exe, &self.exe, &args))
    }
}

/// A cell whose file is called what it is.
fn honest(mut cell: Cell, masquerade: Option<bool>) -> Cell {
    cell.masquerade = masquerade;
    cell
}

fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // Written by another process, for the reason that `copy` has.
    let source = path.with_extension("text");
    fs::write(&source, text).unwrap();
    run("cp", &[], &[&source, path]).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Runs a tool; what it said if it fails.
fn run(program: &str, options: &[&str], files: &[&Path]) -> Result<(), String> {
    let out = Command::new(program).args(options).args(files).output();
    let out = out.map_err(|e| format!("{program}: {e}"))?;
    if out.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&out.stderr).trim()))
}
