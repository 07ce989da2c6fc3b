//! Scripts of package.json and composer.json.

use jsonc_parser::ast::Object;

use crate::Problem;
use crate::json;
use crate::site::{Sites, inside};
use crate::text::Piece;

pub(super) fn npm(text: &str, sites: &mut Sites) -> Result<(), Problem> {
    for (name, command) in scripts(text)? {
        sites.shell(&inside(&Vec::new(), "script", &name), &command);
    }
    Ok(())
}

pub(super) fn composer(text: &str, sites: &mut Sites) -> Result<(), Problem> {
    for (name, command) in scripts(text)? {
        // `@php` is the interpreter that runs composer; other `@name`s are scripts or settings.
        let command = match command.as_str() {
            line if line.starts_with("@php ") => command.slice(1..line.len()),
            line if line.starts_with('@') => continue,
            _ => command,
        };
        sites.shell(&inside(&Vec::new(), "script", &name), &command);
    }
    Ok(())
}

/// The commands below `scripts`, by name.
fn scripts(text: &str) -> Result<Vec<(String, Piece)>, Problem> {
    json::object(text, |root: &Object<'_>| {
        let scripts =
            root.get_object("scripts").map(|s| s.properties.as_slice()).unwrap_or_default();
        let each = scripts.iter().flat_map(|script| {
            let commands = json::texts(text, &script.value);
            commands.into_iter().map(|command| (script.name.as_str().to_owned(), command))
        });
        each.collect()
    })
}
