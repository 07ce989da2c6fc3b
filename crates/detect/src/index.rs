//! Which recipes come into question for an event, found without asking each of them.
//!
//! Recipes about web servers are listed for each server of the catalogue. Of the others, most need
//! a text in the event: all those texts are searched for at once. So what an event costs does not
//! grow with the number of recipes that have nothing to do with it.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};

use crate::catalogue::Catalogue;
use crate::recipe::{Concern, EventKind, Recipe};
use crate::subject::Subject;
use crate::words::glob;

/// Recipes by what must be so for them to match. Numbers are places in the list of recipes.
#[derive(Default)]
pub(crate) struct Index {
    /// By the web server that the process is: executions.
    server: HashMap<String, Vec<usize>>,
    /// And listeners.
    listen: HashMap<String, Vec<usize>>,
    /// By the web server above.
    below: HashMap<String, Vec<usize>>,
    /// Those that need a text: all the texts, and whose each is.
    texts: Option<AhoCorasick>,
    owners: Vec<Vec<usize>>,
    /// Those that must be asked each time.
    always: Vec<usize>,
    /// What is searched, kept for its memory.
    haystack: String,
}

impl Index {
    pub(crate) fn new(recipes: &[Recipe], catalogue: &Catalogue) -> Self {
        let mut index = Self::default();
        let mut texts: HashMap<String, Vec<usize>> = HashMap::new();
        for (number, recipe) in recipes.iter().enumerate() {
            let listens = recipe.file.event == EventKind::Listen;
            match recipe.concerns() {
                Concern::Server(globs) => {
                    let into = if listens { &mut index.listen } else { &mut index.server };
                    let names = globs.iter().map(|glob| glob.value.as_str());
                    add(into, catalogue, &names.collect::<Vec<_>>(), number);
                }
                Concern::AnyServer => add(&mut index.server, catalogue, &["*"], number),
                Concern::Below(globs) => {
                    let names = globs.iter().map(|glob| glob.value.as_str());
                    add(&mut index.below, catalogue, &names.collect::<Vec<_>>(), number);
                }
                Concern::Anything => match recipe.need() {
                    Some(need) => {
                        for text in need {
                            texts.entry(text).or_default().push(number);
                        }
                    }
                    None => index.always.push(number),
                },
            }
        }
        index.search_for(texts);
        index
    }

    fn search_for(&mut self, texts: HashMap<String, Vec<usize>>) {
        if texts.is_empty() {
            return;
        }
        let mut texts: Vec<(String, Vec<usize>)> = texts.into_iter().collect();
        texts.sort();
        let built = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .build(texts.iter().map(|(text, _)| text));
        match built {
            Ok(automaton) => {
                self.texts = Some(automaton);
                self.owners = texts.into_iter().map(|(_, owners)| owners).collect();
            }
            // Too many texts for one automaton: all of them are asked, then.
            Err(_) => self.always.extend(texts.into_iter().flat_map(|(_, owners)| owners)),
        }
    }

    /// Whether anything is asked of executions that are no web server, and below none.
    pub(crate) fn asks_of_others(&self) -> bool {
        self.texts.is_some() || !self.always.is_empty()
    }

    /// The recipes that an execution may match, in their order.
    pub(crate) fn of_exec(&mut self, subject: &Subject<'_>) -> Vec<usize> {
        let mut found = self.always.clone();
        let listed = |map: &HashMap<String, Vec<usize>>, name: &str| {
            map.get(name).cloned().unwrap_or_default()
        };
        if let Some(identity) = subject.identity {
            found.extend(listed(&self.server, identity.server.name()));
        }
        if let Some(above) = subject.above {
            found.extend(listed(&self.below, above.name));
        }
        if let Some(automaton) = &self.texts {
            put_texts(&mut self.haystack, subject);
            for hit in automaton.find_overlapping_iter(&self.haystack) {
                found.extend(&self.owners[hit.pattern().as_usize()]);
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The recipes about listeners of a web server.
    pub(crate) fn of_listener(&self, server: &str) -> &[usize] {
        self.listen.get(server).map_or(&[], Vec::as_slice)
    }
}

/// Lists a recipe under each server of the catalogue that a glob means, and under the name of
/// what nobody knows.
fn add(
    into: &mut HashMap<String, Vec<usize>>,
    catalogue: &Catalogue,
    globs: &[&str],
    number: usize,
) {
    let unknown = std::iter::once(crate::catalogue::UNKNOWN);
    let names = catalogue.servers.iter().map(|server| server.name()).chain(unknown);
    for name in names {
        if globs.iter().any(|pattern| glob(pattern, name)) {
            into.entry(name.to_owned()).or_default().push(number);
        }
    }
}

/// The texts of an event in which recipes look for theirs: those of `when::need`.
fn put_texts(out: &mut String, subject: &Subject<'_>) {
    out.clear();
    let process = subject.process();
    let mut put = |text: &str| {
        out.push_str(text);
        out.push('\0');
    };
    put(subject.command_line());
    put(&process.exe.path);
    put(&process.invoked_as);
    put(&process.comm);
    for text in [&process.cwd, &process.interpreter].into_iter().flatten() {
        put(text);
    }
    if let Some(parent) = subject.parent() {
        put(parent.exe.as_deref().unwrap_or_default());
        put(&parent.comm);
        put(&parent.args.join(" "));
    }
}
