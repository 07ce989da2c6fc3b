//! Recipes: what is detected, and what it means.

use event::{Attack, Environment, Purpose, Severity};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::attack;
use crate::catalogue::Catalogue;
use crate::guidance::Template;
use crate::parse::{self, ParseError};
use crate::words::glob;

/// A recipe file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecipeFile {
    /// Name, unique.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// Version.
    pub version: String,
    /// What it detects, in a few words.
    pub description: String,
    /// The tactic, in words.
    pub category: String,
    /// The technique, in words.
    pub method: String,
    /// How much it matters before the context is known.
    pub importance: Severity,
    /// Technique ids of MITRE ATT&CK; names and tactics are looked up.
    #[schemars(with = "Vec<String>")]
    pub attack: Spanned<Vec<String>>,
    /// What it listens to.
    pub event: EventKind,
    /// What must be so.
    pub r#match: Match,
    /// What it implies and what to do, in each environment.
    pub guidance: PerEnvironment,
}

/// What a recipe listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventKind {
    /// Executions.
    Exec,
}

/// What must be so for a recipe to match.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Names of the catalogue's servers; `*` allowed.
    #[schemars(with = "Vec<String>")]
    pub server: Vec<Spanned<String>>,
    /// What the invocation is for; all purposes if absent.
    #[serde(default)]
    pub purpose: Vec<Purpose>,
}

/// Guidance for each environment.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerEnvironment {
    /// In a CI/CD pipeline.
    pub ci: GuidanceText,
    /// On a staging system.
    pub staging: GuidanceText,
    /// On a production system.
    pub production: GuidanceText,
}

/// What a detection implies and what to do.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuidanceText {
    /// What it implies. `{fact}` is filled in; `[…]` is left out if a fact in it is absent.
    #[schemars(with = "String")]
    pub implication: Spanned<String>,
    /// What to do, first things first.
    #[schemars(with = "Vec<String>")]
    pub actions: Vec<Spanned<String>>,
}

/// A recipe, checked and ready.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What its file says.
    pub file: RecipeFile,
    /// Where it came from.
    pub path: String,
    /// Its techniques.
    pub attack: Attack,
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
        if errors.is_empty() {
            Ok(Self { path: path.to_owned(), attack, guidance, file })
        } else {
            Err(errors)
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.file.name.value
    }

    /// Whether a server with this purpose is what it looks for.
    pub fn matches(&self, server: &str, purpose: Purpose) -> bool {
        let m = &self.file.r#match;
        m.server.iter().any(|s| glob(&s.value, server))
            && (m.purpose.is_empty() || m.purpose.contains(&purpose))
    }

    /// Names in its match that no server of the catalogue has: it would never match there.
    pub fn unknown_servers(&self, catalogue: &Catalogue) -> Vec<ParseError> {
        let unknown = |pattern: &&Spanned<String>| {
            !catalogue.servers.iter().any(|server| glob(&pattern.value, server.name()))
        };
        let error = |pattern: &Spanned<String>| {
            let message = format!("no web server of the catalogue is called {:?}", pattern.value);
            ParseError::at(&self.path, &pattern.referenced, message)
        };
        self.file.r#match.server.iter().filter(unknown).map(error).collect()
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
