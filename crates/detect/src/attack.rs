//! MITRE ATT&CK: the ids that recipes may name, with their names and tactics.
//!
//! Recipes carry technique ids only, so that a name or a tactic can never be wrong in one.

use event::{Attack, Technique};

/// The version of ATT&CK that the table is from.
pub const VERSION: &str = "19";

const TABLE: &str = include_str!("../data/attack.tsv");
const RENAMED: &str = include_str!("../data/attack-renamed.tsv");

/// Tactics: id and name.
const TACTICS: &[(&str, &str)] = &[
    ("TA0001", "Initial Access"),
    ("TA0002", "Execution"),
    ("TA0003", "Persistence"),
    ("TA0004", "Privilege Escalation"),
    ("TA0005", "Stealth"),
    ("TA0006", "Credential Access"),
    ("TA0007", "Discovery"),
    ("TA0008", "Lateral Movement"),
    ("TA0009", "Collection"),
    ("TA0010", "Exfiltration"),
    ("TA0011", "Command and Control"),
    ("TA0040", "Impact"),
    ("TA0042", "Resource Development"),
    ("TA0043", "Reconnaissance"),
    ("TA0112", "Defense Impairment"),
];

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().filter(|l| !l.starts_with('#')).map(|l| l.split('\t').collect())
}

/// The technique of an id.
pub fn technique(id: &str) -> Option<Technique> {
    let line = TABLE.lines().find(|line| line.split('\t').next() == Some(id))?;
    let row: Vec<&str> = line.split('\t').collect();
    Some(Technique {
        id: id.to_owned(),
        name: (*row.get(1)?).to_owned(),
        tactics: row.get(2)?.split(',').map(str::to_owned).collect(),
    })
}

/// Every technique of the table.
pub fn techniques() -> impl Iterator<Item = Technique> {
    rows(TABLE).filter_map(|row| technique(row.first()?))
}

/// The name of a tactic.
pub fn tactic(id: &str) -> Option<&'static str> {
    TACTICS.iter().find(|(known, _)| *known == id).map(|(_, name)| *name)
}

/// The tactic of this name, however its words are joined: `command-and-control`.
pub fn tactic_named(name: &str) -> Option<&'static str> {
    TACTICS.iter().map(|(_, known)| *known).find(|known| same_words(known, name))
}

/// The technique of this name, however its words are joined; below another one, if that is given.
pub fn technique_named(name: &str, above: Option<&str>) -> Option<String> {
    let id = rows(TABLE).find(|row| {
        let above_it = row.first().and_then(|id| id.split_once('.')).map(|(above, _)| above);
        above_it == above && row.get(1).is_some_and(|known| same_words(known, name))
    })?;
    id.first().map(|id| (*id).to_owned())
}

/// Whether two names have the same letters and digits.
fn same_words(a: &str, b: &str) -> bool {
    let letters = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_lowercase()).collect()
    };
    letters(a) == letters(b)
}

/// The id that replaced an id of an earlier version.
pub fn replaced_by(id: &str) -> Option<&'static str> {
    rows(RENAMED).find(|row| row.first() == Some(&id)).and_then(|row| row.get(1).copied())
}

/// The techniques of some ids, or what is wrong with them.
pub fn look_up(ids: &[String]) -> Result<Attack, String> {
    let techniques = ids.iter().map(|id| {
        technique(id).ok_or_else(|| match replaced_by(id) {
            Some(new) => format!("ATT&CK id {id:?} was replaced in version {VERSION}: use {new}"),
            None => format!(
                "ATT&CK id {id:?} is not known: expected a technique of version {VERSION}, such as T1104"
            ),
        })
    });
    Ok(Attack { version: VERSION.to_owned(), techniques: techniques.collect::<Result<_, _>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_ids() {
        let named = |name, above| technique_named(name, above);
        assert_eq!(named("application_layer_protocol", None).as_deref(), Some("T1071"));
        assert_eq!(named("web_protocols", Some("T1071")).as_deref(), Some("T1071.001"));
        assert_eq!(named("web_protocols", None), None);
        assert_eq!(tactic_named("command-and-control"), Some("Command and Control"));
        assert_eq!(tactic_named("defense_evasion"), None);
        for technique in techniques() {
            for id in &technique.tactics {
                assert!(tactic(id).is_some(), "{} {id}", technique.id);
            }
        }
    }

    #[test]
    fn names_are_right_where_others_have_them_wrong() {
        for (id, name, tactic) in [
            ("T1104", "Multi-Stage Channels", "TA0011"),
            ("T1098", "Account Manipulation", "TA0003"),
            ("T1210", "Exploitation of Remote Services", "TA0008"),
            ("T1203", "Exploitation for Client Execution", "TA0002"),
            ("T1190", "Exploit Public-Facing Application", "TA0001"),
            ("T1048", "Exfiltration Over Alternative Protocol", "TA0010"),
        ] {
            let found = technique(id).unwrap();
            assert_eq!((found.name.as_str(), found.tactics[0].as_str()), (name, tactic));
        }
        assert!(look_up(&["T9999".into()]).unwrap_err().contains("not known"));
        assert!(look_up(&["T1562.001".into()]).unwrap_err().contains("use T1685"));
    }
}
