//! From a detection to the lines that led to it: its parents are asked from the nearest on what they
//! were given to run, and there it is looked for what they started.

use std::path::{Path, PathBuf};

use event::{Ancestor, Process};
use probe::home;

use super::files::Files;
use super::find::{self, Executed, Spot};
use super::starters::{self, Starter};
use super::{definitions, makefile, package, words};

/// What lineage keeps of the arguments of a parent.
const KEPT: usize = 126;
/// Parents that are asked.
const MOST_PARENTS: usize = 24;
/// Lines of one detection.
const MOST: usize = 6;
/// A command in words is cut to this.
const LONGEST: usize = 80;

/// A place, and what happens there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trace {
    pub(super) path: PathBuf,
    /// Without one, the file as a whole.
    pub(super) spot: Option<Spot>,
    pub(super) why: String,
    /// Nobody says that it was started from there; words of it are.
    pub(super) hint: bool,
}

/// Where things are.
pub(super) struct Ground<'a, 'r> {
    pub(super) files: &'a mut Files<'r>,
    /// Where picket was called, and what it was given to run.
    pub(super) dir: &'a Path,
    pub(super) given: &'a str,
    pub(super) root: &'a Path,
    /// The workflow that runs, as GitHub names it.
    pub(super) workflow: Option<&'a str>,
    /// Files that this change touches.
    pub(super) changed: &'a [PathBuf],
}

struct Tracer<'a, 'r> {
    ground: &'a mut Ground<'a, 'r>,
    server: Vec<Executed>,
    /// What the next parent started.
    child: Vec<Executed>,
    /// What was started by somebody whose file is not in the repository, as the script of a step.
    unplaced: Vec<Vec<Executed>>,
    found: Vec<Trace>,
}

/// The lines that led to a detection, the nearest first.
pub(super) fn trace<'a, 'r>(
    process: &Process,
    ancestry: &[Ancestor],
    ground: &'a mut Ground<'a, 'r>,
) -> Vec<Trace> {
    let cwd = process.cwd.as_deref().map_or(ground.dir, Path::new);
    ground.files.begin_at(&[cwd, ground.dir]);
    let server = of_process(process);
    let child = server.clone();
    let mut tracer = Tracer { ground, server, child, unplaced: Vec::new(), found: Vec::new() };
    for parent in ancestry.iter().take(MOST_PARENTS) {
        if home::is_self(parent.pid, parent.start_boot_ns, &parent.comm) {
            // What it was itself given to run.
            tracer.text(tracer.ground.given);
            break;
        }
        tracer.ask(parent);
    }
    tracer.unplaced.push(tracer.child.clone());
    tracer.definitions();
    if tracer.found.is_empty() {
        tracer.changed_files();
    }
    tracer.own_file(process);
    tracer.found.truncate(MOST);
    tracer.found
}

/// What was executed, in every way that a line could have said it.
fn of_process(p: &Process) -> Vec<Executed> {
    let cut = p.args_truncated;
    let mut all = variants(&p.args, cut);
    for program in [&p.invoked_as, &p.exe.path] {
        let rest = p.args.iter().skip(1).cloned();
        let args: Vec<String> = std::iter::once(program.clone()).chain(rest).collect();
        if !program.is_empty() && !all.iter().any(|known| known.args == args) {
            all.push(Executed { args, cut });
        }
    }
    all
}

fn of_parent(parent: &Ancestor) -> Vec<Executed> {
    let bytes: usize = parent.args.iter().map(|arg| arg.len() + 1).sum();
    variants(&parent.args, bytes >= KEPT)
}

/// With and without the interpreter that a script brings along.
fn variants(args: &[String], cut: bool) -> Vec<Executed> {
    let mut all = vec![Executed { args: args.to_vec(), cut }];
    let script = args.iter().skip(1).position(|arg| !arg.starts_with('-')).map(|at| at + 1);
    if let Some(at) = script.filter(|at| args[*at].contains(['/', '.'])) {
        all.push(Executed { args: args[at..].to_vec(), cut });
    }
    all
}

fn in_words(any: &[Executed]) -> String {
    let args = any.first().map(|executed| detect::mask::arguments(&executed.args).join(" "));
    let args = args.unwrap_or_default();
    match args.char_indices().nth(LONGEST) {
        None => args,
        Some((at, _)) => format!("{}…", &args[..at]),
    }
}

impl Tracer<'_, '_> {
    fn ask(&mut self, parent: &Ancestor) {
        let before = self.found.len();
        match starters::of(&parent.args) {
            Starter::Passes => return,
            Starter::Text(text) => return self.text(&text),
            Starter::Other => {}
            Starter::Script(file) => self.script(&file),
            Starter::Program { file, part } => self.program(&file, part.as_deref()),
            Starter::Tests => self.tests(),
            Starter::Make { dirs, file, targets } => self.make(&dirs, file, &targets),
            Starter::Package { dir, names } => self.package(dir.as_deref(), &names),
        }
        if self.found.len() == before {
            self.unplaced.push(std::mem::take(&mut self.child));
        }
        self.child = of_parent(parent);
    }

    fn add(&mut self, path: &Path, spot: Option<Spot>, why: String) {
        if !self.found.iter().any(|known| known.path == path && known.spot == spot) {
            self.found.push(Trace { path: path.to_owned(), spot, why, hint: false });
        }
    }

    fn add_hint(&mut self, path: &Path, spot: Spot, why: String) {
        let (path, spot) = (path.to_owned(), Some(spot));
        self.found.push(Trace { path, spot, why, hint: true });
    }

    /// Adds the way from a file to the one in which it stands.
    fn add_way(&mut self, way: Vec<(PathBuf, Spot)>) {
        let mut what = in_words(&self.child);
        for (path, spot) in way {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.add(&path, Some(spot), format!("runs {what}"));
            what = name;
        }
    }

    /// A text that calls a file which ran something with `exec`, so that nobody is left who did.
    fn text(&mut self, text: &str) {
        let child = self.child.clone();
        let commands = words::commands(text);
        let here = |executed: &Executed| find::command(&commands, executed, &[]).is_some();
        let here = child.iter().any(here);
        if here || !self.found.is_empty() {
            return;
        }
        if let Some((way, _)) = self.ground.files.called_by(&commands, &child, &[], &mut Vec::new())
        {
            self.add_way(way);
        }
    }

    fn script(&mut self, file: &str) {
        let paths = self.ground.files.named(file);
        let child = self.child.clone();
        for path in &paths {
            if let Some(spot) = self.ground.files.command(path, &child, &[]) {
                return self.add(path, Some(spot), format!("runs {}", in_words(&child)));
            }
        }
        for path in &paths {
            if let Some(way) = self.ground.files.called(path, &child, &[]) {
                return self.add_way(way);
            }
        }
        if let Some(path) = paths.first() {
            let mention = self.mention(path);
            self.add(path, mention, format!("started {}", in_words(&child)));
        }
    }

    fn program(&mut self, file: &str, part: Option<&str>) {
        let Some(path) = self.ground.files.named(file).into_iter().next() else { return };
        let part = part.map(|part| Executed { args: vec![part.to_owned()], cut: false });
        let spot = self.mention(&path).or_else(|| {
            let text = self.ground.files.text(&path)?;
            find::mention(&text, &part?.args)
        });
        let what = if spot.is_some() { "names" } else { "started" };
        let why = format!("{what} {}", in_words(&self.child));
        self.add(&path, spot, why);
    }

    fn mention(&mut self, path: &Path) -> Option<Spot> {
        let text = self.ground.files.text(path)?;
        let any = self.child.iter().chain(&self.server);
        any.into_iter().find_map(|executed| find::mention(&text, &executed.args))
    }

    fn tests(&mut self) {
        let is_test = |path: &&PathBuf| path.to_string_lossy().to_lowercase().contains("test");
        let changed = self.ground.changed;
        for path in changed.iter().filter(is_test) {
            if let Some(spot) = self.mention(path) {
                let why = format!("names {}; tests were running", in_words(&self.child));
                self.add_hint(path, spot, why);
                return;
            }
        }
    }

    fn make(&mut self, dirs: &[String], file: Option<String>, targets: &[String]) {
        let names = match file {
            Some(file) => vec![file],
            None => ["GNUmakefile", "makefile", "Makefile"].map(str::to_owned).to_vec(),
        };
        let dir: PathBuf = dirs.iter().collect();
        let child = self.child.clone();
        let paths: Vec<PathBuf> = names
            .iter()
            .flat_map(|name| self.ground.files.named(&dir.join(name).to_string_lossy()))
            .collect();
        let target = match targets {
            [] => "make, its first target,".to_owned(),
            targets => format!("make {}", targets.join(" ")),
        };
        let mut whole = None;
        for path in &paths {
            let Some(text) = self.ground.files.text(path) else { continue };
            let lines = makefile::lines(&text, targets);
            if lines.is_empty() {
                continue;
            }
            if let Some(spot) = self.ground.files.command(path, &child, &lines) {
                return self.add(path, Some(spot), format!("{target} runs {}", in_words(&child)));
            }
            if let Some(way) = self.ground.files.called(path, &child, &lines) {
                return self.add_way(way);
            }
            let first = lines.first().map(|lines| Spot { line: *lines.start(), column: 1 });
            whole = whole.or_else(|| Some((path.clone(), first)));
        }
        if let Some((path, spot)) = whole {
            self.add(&path, spot, format!("{target} started {}", in_words(&child)));
        }
    }

    fn package(&mut self, dir: Option<&str>, names: &[String]) {
        let file = Path::new(dir.unwrap_or_default()).join("package.json");
        let child = self.child.clone();
        let mut only = None;
        for path in self.ground.files.named(&file.to_string_lossy()) {
            let Some(text) = self.ground.files.text(&path) else { continue };
            for (name, key) in package::scripts(&text, names) {
                let lines = [key.line..=key.line];
                if let Some(spot) = self.ground.files.command(&path, &child, &lines) {
                    let why = format!("script {name} runs {}", in_words(&child));
                    return self.add(&path, Some(spot), why);
                }
                if let Some(way) = self.ground.files.called(&path, &child, &lines) {
                    return self.add_way(way);
                }
                only = only.or_else(|| Some((path.clone(), key, name)));
            }
        }
        if let Some((path, key, name)) = only {
            self.add(&path, Some(key), format!("script {name} started {}", in_words(&child)));
        }
    }

    /// Workflows, Dockerfiles and the like: what a runner or an engine was given.
    fn definitions(&mut self) {
        let files = definitions::of(self.ground.root, self.ground.workflow);
        for mut any in std::mem::take(&mut self.unplaced) {
            // A bare name is in too many lines.
            any.retain(|executed| {
                executed.args.len() > 1 || executed.args.iter().any(|a| a.contains('/'))
            });
            let why = format!("runs {}", in_words(&any));
            let places = files
                .iter()
                .filter_map(|path| Some((path, self.ground.files.command(path, &any, &[])?)));
            if let Some((path, spot)) = places.into_iter().next() {
                return self.add(path, Some(spot), why);
            }
            let ways: Vec<_> = files
                .iter()
                .filter_map(|path| self.ground.files.called(path, &any, &[]))
                .take(1)
                .collect();
            if let Some(way) = ways.into_iter().next() {
                self.child = any;
                return self.add_way(way);
            }
        }
    }

    /// Nobody above says anything: this change may.
    fn changed_files(&mut self) {
        let changed = self.ground.changed;
        for path in changed {
            let Some(text) = self.ground.files.text(path) else { continue };
            let spots =
                self.server.iter().find_map(|executed| find::mention(&text, &executed.args));
            if let Some(spot) = spots {
                let why = format!("names {}; its parents do not tell", in_words(&self.server));
                self.add_hint(path, spot, why);
                return;
            }
        }
    }

    /// The program itself, where the repository brings it.
    fn own_file(&mut self, process: &Process) {
        let script = process.target.as_ref().map(|target| target.path.as_str());
        let exe = Some(process.exe.path.as_str()).filter(|_| !process.exe.memfd);
        for name in script.into_iter().chain(exe) {
            for path in self.ground.files.below(name) {
                self.add(&path, None, "is what runs".to_owned());
            }
        }
    }
}
