//! Where the files of a repository start a web server, before anything runs.
//!
//! Pure: a file's text in, the starts out. Each format is read with a parser of its own, shell with the grammar
//! of bash, and what a command starts is decided by the catalogue, as for a process that runs.

mod ask;
mod follow;
mod format;
mod image;
mod json;
mod kind;
mod shell;
mod site;
mod text;
mod yaml;

use detect::catalogue::Catalogue;
use detect::identify::Identity;
use detect::unwrap::Program;

pub use kind::Kind;
pub use site::Part;

use follow::Follow;
use site::Sites;
use text::Lines;

/// A place in a file, both from 1 on; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// Where a file starts a web server.
#[derive(Debug)]
pub struct Start<'c> {
    /// Where the command, or the image, begins.
    pub position: Position,
    /// Of what inside of the file it is: job, step, service, target, outermost first.
    pub place: Vec<Part>,
    /// The command; of an image its name. Secrets are in it.
    pub command: Vec<String>,
    /// Whether it is a container whose image says what runs.
    pub image: bool,
    /// Which web server, and what for.
    pub identity: Identity<'c>,
    /// The program, layers taken off.
    pub program: Program,
}

/// What was found in a file.
#[derive(Debug, Default)]
pub struct Found<'c> {
    /// Starts, in their order.
    pub starts: Vec<Start<'c>>,
    /// Why it could not be read, or not to its end.
    pub unread: Option<(Position, String)>,
}

/// What is wrong with a file, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) at: usize,
    pub(crate) why: String,
}

/// Finds the starts in a file of this kind.
pub fn scan<'c>(catalogue: &'c Catalogue, kind: Kind, text: &str) -> Found<'c> {
    let lines = Lines::new(text);
    let position = |at: usize| {
        let (line, column) = lines.place(at);
        Position { line, column }
    };
    let mut sites = Sites::default();
    let read = format::read(kind, text, &mut sites);
    let mut follow = Follow::new(catalogue, kind == Kind::Npm, text.len());
    let mut found = Found::default();
    for site in sites.list {
        let before = follow.starts.len();
        site.follow(&mut follow);
        let starts = follow.starts.drain(before..);
        found.starts.extend(starts.map(|start| Start {
            position: position(start.at),
            place: site.place.clone(),
            command: start.words,
            image: start.image,
            identity: start.identity,
            program: start.program,
        }));
    }
    found.starts.sort_by_key(|start| start.position);
    found.starts.dedup_by(|a, b| {
        a.position == b.position && a.identity.server.name() == b.identity.server.name()
    });
    let too_much = || {
        follow.unread.map(|at| (position(at), "takes too many steps to read to its end".to_owned()))
    };
    found.unread = match read {
        Err(problem) => Some((position(problem.at), problem.why)),
        Ok(()) => too_much(),
    };
    found
}
