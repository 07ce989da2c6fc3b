//! Recipes: what is detected, and what it means.

mod file;
mod foresee;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use event::{Attack, Environment};
use serde_saphyr::Spanned;

pub use file::{EventKind, GuidanceText, Limit, Match, Per, PerEnvironment, RecipeFile, Within};

use crate::attack;
use crate::catalogue::{Catalogue, UNKNOWN};
use crate::guidance::Template;
use crate::parse::{self, ParseError};
use crate::subject::Subject;
use crate::when::{Need, Spent, When};
use crate::words::{base_name, glob};

/// A recipe, checked and ready.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What its file says.
    pub file: RecipeFile,
    /// Where it came from.
    pub path: String,
    /// Its techniques.
    pub attack: Attack,
    /// Its expression.
    pub when: Option<Arc<When>>,
    guidance: [Guidance; 3],
}

#[derive(Debug, Clone)]
struct Guidance {
    implication: Template,
    actions: Vec<Template>,
}

impl Recipe {
    /// Reads a recipe. Everything that is wrong with it is reported.
    pub fn parse(path: &str, text: &str) -> Result<Self, Vec<ParseError>> {
        let file: RecipeFile = parse::yaml(path, text).map_err(|e| vec![e])?;
        let mut errors = Vec::new();
        let name = &file.name.value;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            errors.push(ParseError::at(
                path,
                &file.name.referenced,
                format!("recipe name {name:?}: expected lower-case letters, digits and `_`"),
            ));
        }
        let attack = attack::look_up(&file.attack.value).unwrap_or_else(|message| {
            errors.push(ParseError::at(path, &file.attack.referenced, message));
            Attack::default()
        });
        let g = &file.guidance;
        let guidance = [&g.ci, &g.staging, &g.production].map(|text| {
            let mut template = |text: &Spanned<String>| {
                Template::parse(&text.value).unwrap_or_else(|message| {
                    errors.push(ParseError::at(path, &text.referenced, message));
                    Template::default()
                })
            };
            Guidance {
                implication: template(&text.implication),
                actions: text.actions.iter().map(template).collect(),
            }
        });
        let when = file.when.as_ref().and_then(|source| {
            When::in_file(path, text, source).map_err(|error| errors.push(error)).ok()
        });
        errors.extend(file.contradiction(path));
        if errors.is_empty() {
            let when = when.map(Arc::new);
            Ok(Self { path: path.to_owned(), attack, when, guidance, file })
        } else {
            Err(errors)
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.file.name.value
    }

    /// Whether an event is what it looks for. The kind of event is not asked here.
    pub(crate) fn matches<'s>(&'s self, subject: &'s Subject<'s>) -> Result<bool, Spent> {
        let m = &self.file.r#match;
        let among = |globs: &[Spanned<String>], name: &str| {
            globs.iter().any(|pattern| glob(&pattern.value, name))
        };
        let purpose = || subject.identity.is_some_and(|i| m.purpose.contains(&i.purpose));
        let path = || {
            let paths = [Some(subject.process().exe.path.as_str()), subject.target()];
            paths.into_iter().flatten().any(|path| m.path.iter().any(|p| glob(p, path)))
        };
        let program = || {
            let named = |name: &String| m.program.iter().any(|p| glob(p, name));
            subject.names().iter().any(named)
        };
        let plain = (m.environment.is_empty()
            || m.environment.contains(&subject.settings.environment))
            && (m.server.is_empty()
                || subject.identity.is_some_and(|i| among(&m.server, i.server.name())))
            && (m.purpose.is_empty() || purpose())
            && (m.below.is_empty() || subject.above.is_some_and(|a| among(&m.below, a.name)))
            && (m.program.is_empty() || program())
            && (m.path.is_empty() || path())
            && (m.launcher.is_empty() || m.launcher.contains(&subject.launcher().kind));
        match &self.when {
            Some(when) if plain => when.holds(subject),
            _ => Ok(plain),
        }
    }

    /// What the process itself must be, or what it must be below: one of these servers.
    pub(crate) fn concerns(&self) -> Concern<'_> {
        let m = &self.file.r#match;
        match (m.server.is_empty(), m.below.is_empty()) {
            (false, _) => Concern::Server(&m.server),
            (true, false) => Concern::Below(&m.below),
            (true, true) if !m.purpose.is_empty() => Concern::AnyServer,
            (true, true) => Concern::Anything,
        }
    }

    /// Texts of which one must be in an event for it to match.
    pub(crate) fn need(&self) -> Option<Need> {
        let m = &self.file.r#match;
        let globs =
            |globs: &[String]| globs.iter().map(|g| plain_part(g)).collect::<Option<Need>>();
        let keys = [&m.program, &m.path].into_iter().filter(|globs_of| !globs_of.is_empty());
        let needs =
            keys.filter_map(|of| globs(of)).chain(self.when.as_ref().and_then(|w| w.need()));
        needs.max_by_key(|need| need.iter().map(String::len).min())
    }

    /// Names, in lower case, of which the program must have one for it to match; `None` if it may
    /// have any.
    pub fn names(&self) -> Option<BTreeSet<String>> {
        let m = &self.file.r#match;
        let exact = |of: &[String], name: fn(&str) -> &str| -> Option<BTreeSet<String>> {
            let names = of.iter().map(|one| {
                let name = name(one);
                (!name.is_empty() && !name.contains('*')).then(|| name.to_ascii_lowercase())
            });
            names.collect()
        };
        let program = Some(&m.program).filter(|of| !of.is_empty());
        let path = Some(&m.path).filter(|of| !of.is_empty());
        program
            .and_then(|of| exact(of, |name| name))
            .or_else(|| path.and_then(|of| exact(of, base_name)))
            .or_else(|| self.when.as_ref().and_then(|when| when.names()))
    }

    /// Names in its match that no server of the catalogue has: it would never match there.
    pub fn unknown_servers(&self, catalogue: &Catalogue) -> Vec<ParseError> {
        let unknown = |pattern: &&Spanned<String>| {
            let unknown = std::iter::once(UNKNOWN);
            let mut names = catalogue.servers.iter().map(|server| server.name()).chain(unknown);
            !names.any(|name| glob(&pattern.value, name))
        };
        let error = |pattern: &Spanned<String>| {
            let message = format!("no web server of the catalogue is called {:?}", pattern.value);
            ParseError::at(&self.path, &pattern.referenced, message)
        };
        let m = &self.file.r#match;
        m.server.iter().chain(&m.below).filter(unknown).map(error).collect()
    }

    /// What it implies and what to do, with a detection's facts filled in.
    pub fn guidance(
        &self,
        environment: Environment,
        facts: &crate::guidance::Facts<'_>,
    ) -> event::Guidance {
        let text = &self.guidance[match environment {
            Environment::Ci => 0,
            Environment::Staging => 1,
            Environment::Production => 2,
        }];
        event::Guidance {
            implication: text.implication.fill(facts),
            actions: text.actions.iter().map(|action| action.fill(facts)).collect(),
        }
    }
}

/// What the process must be, before anything else is asked.
pub(crate) enum Concern<'r> {
    /// One of these web servers.
    Server(&'r [Spanned<String>]),
    /// Any web server.
    AnyServer,
    /// Something below one of these.
    Below(&'r [Spanned<String>]),
    /// Whatever.
    Anything,
}

/// Whether a glob of a recipe covers the name of a web server.
pub fn covers(pattern: &str, name: &str) -> bool {
    glob(pattern, name)
}

/// The longest part of a glob without a wildcard, in lower case, if it is worth searching for.
fn plain_part(glob: &str) -> Option<String> {
    let longest = glob.split('*').max_by_key(|part| part.len())?;
    (longest.len() >= 3).then(|| longest.to_ascii_lowercase())
}

impl RecipeFile {
    /// What cannot be meant.
    fn contradiction(&self, path: &str) -> Option<ParseError> {
        let m = &self.r#match;
        let message = if m.is_empty() && self.when.is_none() {
            "it would match everything: expected a key in match, or when"
        } else if self.event == EventKind::Listen && m.server.is_empty() {
            "only what is recognised as a web server is told of when it listens: expected \
             match.server, [\"*\"] for all"
        } else {
            return None;
        };
        let message = format!("recipe {:?}: {message}", self.name.value);
        Some(ParseError::at(path, &self.name.referenced, message))
    }
}

/// Reads recipes, given as path and text. A recipe with an error is left out, by name; so is
/// the second of two with one name.
pub fn parse_all<'a>(
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> (Vec<Recipe>, Vec<ParseError>) {
    let mut recipes: Vec<Recipe> = Vec::new();
    let mut errors = Vec::new();
    for (path, text) in files {
        match Recipe::parse(path, text) {
            Ok(recipe) => match recipes.iter().find(|r| r.name() == recipe.name()) {
                Some(other) => errors.push(ParseError::at(
                    path,
                    &recipe.file.name.referenced,
                    format!("recipe {:?} is already defined in {}", recipe.name(), other.path),
                )),
                None => recipes.push(recipe),
            },
            Err(more) => errors.extend(more),
        }
    }
    (recipes, errors)
}
