//! The real catalogue and recipes, read once, with a family more so that everything that content
//! can be known by is known of something.

use std::sync::{Arc, LazyLock};

use detect::catalogue::Catalogue;
use detect::content::Scanner;
use detect::recipe::{self, Recipe};

use crate::place;

/// Servers that are known by each kind of sign that a file can show.
const FAMILY: &str = r#"
family: fuzz
about: Servers for the fuzzer, known by their content.
servers:
  - name: fuzz-texts
    title: Fuzz, known by texts
    role: web
    names: [fuzz-texts]
    content:
      literals: ["fuzz/1.0 listening", "X-Fuzz-Header: %s", "abababababababab"]
      version: ["fuzz/", "Fuzz version "]
    samples: [{run: [fuzz-texts], expect: serve}]
  - name: fuzz-fork
    title: Fuzz, built on another
    role: web
    names: [fuzz-fork]
    content: {literals: ["forked from fuzz"], of: fuzz-texts, version: ["fuzz/"]}
    samples: [{run: [fuzz-fork], expect: serve}]
  - name: fuzz-go
    title: Fuzz in Go
    role: web
    names: [fuzz-go]
    content: {go: [example.com/fuzz], version: ["go-fuzz v"]}
    samples: [{run: [fuzz-go], expect: serve}]
  - name: fuzz-rust
    title: Fuzz in Rust
    role: web
    names: [fuzz-rust]
    content: {crates: [fuzz], build_ids: ["000102030405060708090a0b0c0d0e0f10111213"]}
    samples: [{run: [fuzz-rust], expect: serve}]
  - name: fuzz-archive
    title: Fuzz in Java
    role: web
    runtime: java
    archives: ["fuzz*.jar"]
    content: {literals: ["com/example/fuzz/Main.class"]}
    samples: [{run: [java, -jar, fuzz.jar], expect: serve}]
"#;

/// The files of the catalogue, as path and text.
fn files() -> Vec<(String, String)> {
    let mut files = place::texts("catalogue", ".yaml");
    files.push(("fuzz.yaml".to_owned(), FAMILY.to_owned()));
    files
}

/// The catalogue.
pub static CATALOGUE: LazyLock<Arc<Catalogue>> = LazyLock::new(|| {
    let files = files();
    let borrowed = files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let (catalogue, errors) = Catalogue::parse(borrowed);
    assert!(errors.is_empty(), "{errors:?}");
    Arc::new(catalogue)
});

/// Looks for all that the catalogue knows.
pub static SCANNER: LazyLock<Scanner> = LazyLock::new(|| Scanner::new(&CATALOGUE));

/// The recipes.
pub static RECIPES: LazyLock<Vec<Recipe>> = LazyLock::new(|| {
    let files = place::texts("recipes", ".yaml");
    let borrowed = files.iter().map(|(path, text)| (path.as_str(), text.as_str()));
    let (recipes, errors) = recipe::parse_all(borrowed);
    assert!(errors.is_empty() && !recipes.is_empty(), "{errors:?}");
    recipes
});
