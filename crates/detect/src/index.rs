//! Which recipes come into question for an event, found without asking each of them.
//!
//! Recipes about web servers are listed for each server that is met. Of the others, most need
//! a text in the event: all those texts are searched for at once. So what an event costs does not
//! grow with the number of recipes that have nothing to do with it.

use std::collections::HashMap;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use serde_saphyr::Spanned;

use crate::recipe::{Concern, EventKind, Recipe};
use crate::subject::Subject;
use crate::words::glob;

/// Recipes by what must be so for them to match. Numbers are places in the list of recipes.
#[derive(Default)]
pub(crate) struct Index {
    /// By the web server that the process is: executions.
    server: ByServer,
    /// And listeners.
    listen: ByServer,
    /// By the web server above.
    below: ByServer,
    /// Those that need a text: all the texts, and whose each is.
    texts: Option<AhoCorasick>,
    owners: Vec<Vec<usize>>,
    /// Those that must be asked each time.
    always: Vec<usize>,
    /// What is searched, kept for its memory.
    haystack: String,
}

/// Recipes by the names of servers. Which of them mean a server is found out when it is first met.
#[derive(Default)]
struct ByServer {
    recipes: Vec<(usize, Vec<String>)>,
    met: HashMap<String, Vec<usize>>,
}

impl ByServer {
    fn add(&mut self, number: usize, globs: Vec<String>) {
        self.recipes.push((number, globs));
    }

    fn of(&mut self, server: &str) -> &[usize] {
        if !self.met.contains_key(server) {
            let meant = |(_, globs): &&(usize, Vec<String>)| {
                globs.iter().any(|pattern| glob(pattern, server))
            };
            let numbers = self.recipes.iter().filter(meant).map(|(number, _)| *number).collect();
            self.met.insert(server.to_owned(), numbers);
        }
        self.met.get(server).map_or(&[], Vec::as_slice)
    }
}

impl Index {
    pub(crate) fn new(recipes: &[Recipe]) -> Self {
        let mut index = Self::default();
        let mut texts: HashMap<String, Vec<usize>> = HashMap::new();
        for (number, recipe) in recipes.iter().enumerate() {
            let listens = recipe.file.event == EventKind::Listen;
            let names =
                |globs: &[Spanned<String>]| globs.iter().map(|glob| glob.value.clone()).collect();
            match recipe.concerns() {
                Concern::Server(globs) if listens => index.listen.add(number, names(globs)),
                Concern::Server(globs) => index.server.add(number, names(globs)),
                Concern::AnyServer => index.server.add(number, vec!["*".to_owned()]),
                Concern::Below(globs) => index.below.add(number, names(globs)),
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
        if let Some(identity) = subject.identity {
            found.extend(self.server.of(identity.server.name()));
        }
        if let Some(above) = subject.above {
            found.extend(self.below.of(above.name));
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
    pub(crate) fn of_listener(&mut self, server: &str) -> &[usize] {
        self.listen.of(server)
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
