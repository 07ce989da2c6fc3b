//! `package.json`: the line of a script.

use serde_json::{Map, Value};

use super::find::Spot;

/// Scripts of these names: what each is called, and where it stands.
pub(super) fn scripts(text: &str, names: &[String]) -> Vec<(String, Spot)> {
    let parsed: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    let Some(scripts) = parsed.get("scripts").and_then(Value::as_object) else { return Vec::new() };
    let known = names.iter().filter(|name| scripts.contains_key(name.as_str()));
    known.filter_map(|name| Some((name.clone(), spot(text, name)?))).collect()
}

/// The key of that name which follows `"scripts"`.
fn spot(text: &str, name: &str) -> Option<Spot> {
    let mut inside = false;
    for (line, number) in text.lines().zip(1_u32..) {
        let mut rest = line;
        if !inside {
            let Some((_, after)) = line.split_once("\"scripts\"") else { continue };
            inside = true;
            rest = after;
        }
        let key = serde_json::to_string(name).ok()?;
        let at = rest
            .match_indices(&key)
            .find(|(at, _)| rest[at + key.len()..].trim_start().starts_with(':'));
        if let Some((at, _)) = at {
            let before = line.len() - rest.len() + at;
            let column = u32::try_from(line[..before].chars().count()).ok()?.checked_add(1)?;
            return Some(Spot { line: number, column });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_found_by_their_keys() {
        let text = "{\n  \"name\": \"start\",\n  \"start\": 1,\n  \"scripts\": {\n    \"x\": \"start\",\n    \
                    \"start\" : \"node a.js\"\n  }\n}\n";
        let names = ["prestart".to_owned(), "start".to_owned()];
        assert_eq!(scripts(text, &names), [("start".to_owned(), Spot { line: 6, column: 5 })]);
        let one = "{\"scripts\": {\"start\": \"x\"}}";
        assert_eq!(scripts(one, &names)[0].1, Spot { line: 1, column: 14 });
        assert_eq!(scripts("{\"scripts\": [1]", &names), []);
        assert_eq!(scripts("not json", &names), []);
    }
}
