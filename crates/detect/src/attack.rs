//! MITRE ATT&CK: the ids that recipes may name, with their names and tactics.
//!
//! Recipes carry technique ids only, so that a name or a tactic can never be wrong in one.

use event::{Attack, Technique};

/// The version of ATT&CK that the table is from.
pub const VERSION: &str = "19";

const TABLE: &str = include_str!("../data/attack.tsv");
const RENAMED: &str = include_str!("../data/attack-renamed.tsv");

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table.lines().filter(|l| !l.starts_with('#')).map(|l| l.split('\t').collect())
}

/// The technique of an id.
pub fn technique(id: &str) -> Option<Technique> {
    let row = rows(TABLE).find(|row| row.first() == Some(&id))?;
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
