//! Rules of other formats, made into recipes.
//!
//! What a rule says is said in a recipe exactly, or the rule is refused, with the place and the name
//! of what picket cannot say. What a recipe need not say, such as the text of an alert, is left
//! out, and a comment in the recipe's file tells.

mod cel;
mod draft;
mod falco;
mod jibril;
mod node;
mod pattern;
mod regex;
mod sigma;

use crate::parse::{self, ParseError};
use crate::recipe::Recipe;
use draft::Draft;
pub(crate) use draft::scalar;
use node::{Node, Value};
pub(crate) use pattern::quoted;

/// Where rules come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Recipes of Jibril, which it calls alchemies.
    Jibril,
    /// Sigma rules.
    Sigma,
    /// Falco rules.
    Falco,
}

/// A recipe made from a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its name.
    pub name: String,
    /// The text of its file.
    pub yaml: String,
    /// The file that the rule is from, with its line.
    pub from: String,
}

/// What came of some files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Import {
    /// The recipes.
    pub recipes: Vec<Imported>,
    /// What was refused, and why.
    pub errors: Vec<ParseError>,
}

/// Makes recipes of the rules in some files, given as path and text. Without a format, each file's
/// own keys tell it.
pub fn import(files: &[(&str, &str)], format: Option<Format>) -> Import {
    let mut import = Import::default();
    let mut falco = Vec::new();
    for (path, text) in files {
        let documents: Vec<Node> = match parse::yaml_documents(path, text) {
            Ok(documents) => documents,
            Err(error) => {
                import.errors.push(error);
                continue;
            }
        };
        for document in &documents {
            match format.or_else(|| recognise(document)) {
                Some(Format::Jibril) => {
                    for recipe in document.each() {
                        import.add(path, jibril::draft(path, recipe));
                    }
                }
                Some(Format::Sigma) => import.add(path, sigma::draft(path, document)),
                Some(Format::Falco) => falco.push((*path, document.clone())),
                None => import.errors.push(document.wrong(
                    path,
                    "no rule of a known format: expected Jibril's (a list with kind and \
                     mechanism), Sigma's (with detection) or Falco's (a list of rule, macro and \
                     list)",
                )),
            }
        }
    }
    // Falco's rules share lists and macros across files, so that they are read together.
    for (path, drafted) in falco::drafts(&falco) {
        import.add(path, drafted);
    }
    if let (Some((path, _)), [], []) = (files.first(), &*import.recipes, &*import.errors) {
        import.errors.push(ParseError::line(path, 1, "there is no rule in it"));
    }
    import
}

/// The format of a document, by its keys.
fn recognise(document: &Node) -> Option<Format> {
    let has = |node: &Node, keys: &[&str]| keys.iter().any(|key| node.get(key).is_some());
    match &document.value {
        Value::Map(_) if has(document, &["detection", "correlation", "logsource"]) => {
            Some(Format::Sigma)
        }
        Value::List(list) => list.iter().find_map(|item| {
            if has(item, &["rule", "macro", "list", "required_engine_version"]) {
                Some(Format::Falco)
            } else if has(item, &["breed", "mechanism"]) {
                Some(Format::Jibril)
            } else {
                None
            }
        }),
        _ => None,
    }
}

impl Import {
    /// Takes a recipe, if it is one in picket's own eyes, too.
    fn add(&mut self, path: &str, drafted: Result<Draft, Vec<ParseError>>) {
        let draft = match drafted {
            Ok(draft) => draft,
            Err(errors) => {
                self.errors.extend(errors);
                return;
            }
        };
        let wrong = |message: String| ParseError::at(path, &draft.at, message);
        let name = draft.name();
        let from = format!("{path}:{}", draft.at.line());
        if name.is_empty() {
            self.errors.push(wrong("its title has no letter of which to make a name".to_owned()));
            return;
        }
        if let Some(other) = self.recipes.iter().find(|r| r.name == name) {
            let message = format!(
                "the recipe {name:?} comes from {} already: give one of them another title",
                other.from
            );
            self.errors.push(wrong(message));
            return;
        }
        let yaml = draft.yaml();
        match Recipe::parse(&format!("{name}.yaml"), &yaml) {
            Ok(_) => self.recipes.push(Imported { name: name.to_owned(), yaml, from }),
            Err(errors) => {
                for error in errors {
                    self.errors.push(wrong(format!("no recipe can say this: {}", error.message)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
