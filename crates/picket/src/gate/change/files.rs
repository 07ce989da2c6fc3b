//! Texts of a repository, read once, and found by the names that processes gave them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use super::find::{self, Executed, Lines, Spot};
use super::repository::{Repository, read};
use super::words::{self, Word};

/// Scripts that call each other are followed as deep as this.
const DEEPEST: usize = 3;
/// Longer files are no scripts that somebody wrote.
const LONGEST: u64 = 256 << 10;
/// Files that one text may lead to.
const MOST_CALLED: usize = 50;

/// Files of a repository.
pub(super) struct Files<'r> {
    repository: &'r Repository,
    /// Directories that a relative name may begin at, the likeliest first.
    dirs: Vec<PathBuf>,
    texts: HashMap<PathBuf, Option<Rc<str>>>,
    commands: HashMap<PathBuf, Rc<[Vec<Word>]>>,
    /// After that, nothing is found any more.
    deadline: Instant,
}

impl<'r> Files<'r> {
    pub(super) fn new(repository: &'r Repository, deadline: Instant) -> Self {
        let (texts, commands) = (HashMap::new(), HashMap::new());
        Self { repository, dirs: Vec::new(), texts, commands, deadline }
    }

    /// From here on, relative names begin at one of these directories or of those above them.
    pub(super) fn begin_at(&mut self, dirs: &[&Path]) {
        self.dirs.clear();
        let root = &self.repository.root;
        let all = dirs.iter().flat_map(|dir| dir.ancestors()).filter(|dir| dir.starts_with(root));
        for dir in all.chain([root.as_path()]) {
            if !self.dirs.iter().any(|known| known == dir) {
                self.dirs.push(dir.to_owned());
            }
        }
    }

    /// What a name may mean: files that are there, below the repository's directory.
    pub(super) fn named(&mut self, name: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let bases =
            if name.starts_with('/') { vec![PathBuf::from("/")] } else { self.dirs.clone() };
        for path in bases.iter().map(|dir| dir.join(name)) {
            if self.repository.relative(&path).is_some()
                && !found.contains(&path)
                && self.text(&path).is_some()
            {
                found.push(path);
            }
        }
        found
    }

    /// A file below the repository's directory, whatever is in it.
    pub(super) fn below(&self, name: &str) -> Vec<PathBuf> {
        let path = Path::new(name);
        let bases: Vec<PathBuf> = match path.is_absolute() {
            true => vec![path.to_owned()],
            false => self.dirs.iter().map(|dir| dir.join(path)).collect(),
        };
        let there = |path: &PathBuf| path.is_file() && self.repository.relative(path).is_some();
        bases.into_iter().filter(there).take(1).collect()
    }

    /// The text of a file.
    pub(super) fn text(&mut self, path: &Path) -> Option<Rc<str>> {
        if Instant::now() >= self.deadline {
            return None;
        }
        if let Some(known) = self.texts.get(path) {
            return known.clone();
        }
        let bytes = read(path, LONGEST).filter(|bytes| !bytes.contains(&0));
        let text = bytes.map(|bytes| Rc::from(String::from_utf8_lossy(&bytes)));
        self.texts.insert(path.to_owned(), text.clone());
        text
    }

    /// The commands in the text of a file.
    fn commands(&mut self, path: &Path) -> Option<Rc<[Vec<Word>]>> {
        let text = self.text(path)?;
        if let Some(known) = self.commands.get(path) {
            return Some(Rc::clone(known));
        }
        let commands: Rc<[Vec<Word>]> = Rc::from(words::commands(&text));
        self.commands.insert(path.to_owned(), Rc::clone(&commands));
        Some(commands)
    }

    /// Where one of these commands stands in a file.
    pub(super) fn command(
        &mut self,
        path: &Path,
        any: &[Executed],
        among: &[Lines],
    ) -> Option<Spot> {
        let commands = self.commands(path)?;
        any.iter().find_map(|executed| find::command(&commands, executed, among))
    }

    /// Where a file calls another one in which one of these commands stands: what `exec` leaves no
    /// trace of. Each step of the way, the last one first.
    pub(super) fn called(
        &mut self,
        path: &Path,
        any: &[Executed],
        among: &[Lines],
    ) -> Option<Vec<(PathBuf, Spot)>> {
        self.call(path, any, among, &mut vec![path.to_owned()])
    }

    fn call(
        &mut self,
        path: &Path,
        any: &[Executed],
        among: &[Lines],
        way: &mut Vec<PathBuf>,
    ) -> Option<Vec<(PathBuf, Spot)>> {
        let commands = self.commands(path)?;
        let (mut found, here) = self.called_by(&commands, any, among, way)?;
        found.push((path.to_owned(), here));
        Some(found)
    }

    /// The same for any commands: the steps below it, and where the way begins.
    pub(super) fn called_by(
        &mut self,
        commands: &[Vec<Word>],
        any: &[Executed],
        among: &[Lines],
        way: &mut Vec<PathBuf>,
    ) -> Option<(Vec<(PathBuf, Spot)>, Spot)> {
        let words = commands.iter().flatten();
        let words = words.filter(|word| {
            let file = word.text.contains(['/', '.']) && !word.is_open();
            file && (among.is_empty() || among.iter().any(|lines| lines.contains(&word.line)))
        });
        for word in words.take(MOST_CALLED) {
            let here = Spot { line: word.line, column: word.column };
            for other in self.named(word.bare()) {
                if way.contains(&other) {
                    continue;
                }
                if let Some(spot) = self.command(&other, any, &[]) {
                    return Some((vec![(other, spot)], here));
                }
                if way.len() < DEEPEST {
                    way.push(other.clone());
                    if let Some(found) = self.call(&other, any, &[], way) {
                        return Some((found, here));
                    }
                    way.pop();
                }
            }
        }
        None
    }
}
