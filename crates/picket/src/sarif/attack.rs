//! MITRE ATT&CK, as a taxonomy of SARIF.

use detect::attack::VERSION;
use detect::recipe::Recipe;
use event::Technique;
use serde_json::{Value, json};

/// The techniques of some recipes, each once.
pub(super) struct Taxonomy<'a>(Vec<&'a Technique>);

const NAME: &str = "MITRE ATT&CK";

impl<'a> Taxonomy<'a> {
    pub(super) fn of(recipes: &'a [Recipe]) -> Self {
        let mut all: Vec<&Technique> = recipes.iter().flat_map(|r| &r.attack.techniques).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all.dedup_by(|a, b| a.id == b.id);
        Self(all)
    }

    /// The taxonomy itself, as one of the run's.
    pub(super) fn component(&self) -> Value {
        let taxa: Vec<Value> = self.0.iter().map(|technique| taxon(technique)).collect();
        json!({
            "name": NAME,
            "version": VERSION,
            "organization": "MITRE",
            "informationUri": "https://attack.mitre.org/",
            "shortDescription": {"text": "Tactics and techniques of adversaries"},
            "isComprehensive": false,
            "taxa": taxa,
        })
    }

    /// How the tool refers to it.
    pub(super) fn supported() -> Value {
        json!([{"name": NAME, "index": 0}])
    }

    /// References to the techniques of a recipe.
    pub(super) fn references(&self, recipe: &Recipe) -> Vec<Value> {
        let of = |technique: &Technique| {
            let index = self.0.iter().position(|known| known.id == technique.id);
            json!({"id": technique.id, "index": index, "toolComponent": {"name": NAME, "index": 0}})
        };
        recipe.attack.techniques.iter().map(of).collect()
    }
}

fn taxon(technique: &Technique) -> Value {
    let path = technique.id.replace('.', "/");
    let tactics: Vec<String> = technique
        .tactics
        .iter()
        .map(|id| format!("{id} {}", detect::attack::tactic(id).unwrap_or_default()))
        .collect();
    json!({
        "id": technique.id,
        "name": technique.name,
        "shortDescription": {"text": technique.name},
        "helpUri": format!("https://attack.mitre.org/techniques/{path}/"),
        "properties": {"tactics": tactics},
    })
}
