//! Rules of other formats: Jibril's, Sigma's, Falco's; and what becomes of them, back as Sigma.

use detect::export;
use detect::import::{self, Format};
use detect::recipe::Recipe;

pub(super) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let files = [("rules.yml", &*text)];
    for format in [None, Some(Format::Jibril), Some(Format::Sigma), Some(Format::Falco)] {
        let imported = import::import(&files, format);
        for error in &imported.errors {
            assert!(error.line > 0 && error.column > 0 && !error.message.is_empty(), "{error}");
        }
        assert!(!imported.errors.is_empty() || !imported.recipes.is_empty(), "nothing is said");
        for recipe in &imported.recipes {
            match Recipe::parse("recipe.yaml", &recipe.yaml) {
                Ok(recipe) => export_holds(&recipe),
                Err(errors) => panic!("{errors:?} in {}", recipe.yaml),
            }
        }
    }
}

/// What Sigma can say of a recipe can be read again.
fn export_holds(recipe: &Recipe) {
    let Ok(rule) = export::sigma(recipe) else { return };
    let again = import::import(&[("exported.yml", &rule)], Some(Format::Sigma));
    // What is too large for a recipe on the way back is refused, and what can never fit.
    let wrong = |error: &&detect::parse::ParseError| {
        !["expensive", "bytes", "fits", "more than"].iter().any(|why| error.message.contains(why))
    };
    let wrong: Vec<_> = again.errors.iter().filter(wrong).collect();
    assert!(wrong.is_empty(), "{wrong:?} in {rule}");
}
