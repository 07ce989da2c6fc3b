//! The user that picket becomes.

use std::path::Path;

use anyhow::{Context, Result};

/// Made by the package; nobody else runs as it.
const OWN: &str = "picket";
/// Every system has it, for what has no user of its own.
const NOBODY: &str = "nobody";

/// A user, by name and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl User {
    /// The user that is configured, else the one made for picket, else nobody.
    pub(crate) fn choose(configured: Option<&str>) -> Result<Self> {
        let file = Path::new("/etc/passwd");
        let passwd =
            std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let passwd = String::from_utf8_lossy(&passwd);
        let found = match configured {
            Some(name) => find(&passwd, name),
            None => find(&passwd, OWN).or_else(|| find(&passwd, NOBODY)),
        };
        let wanted = configured.unwrap_or(NOBODY);
        let user = found.with_context(|| {
            format!("there is no user {wanted} to become: make one, or set `user` to another")
        })?;
        anyhow::ensure!(user.uid != 0, "user {wanted} is root: name one without privileges");
        Ok(user)
    }

    /// Whether other programs may run as it, too: those could end picket.
    pub(crate) fn is_shared(&self) -> bool {
        self.name == NOBODY
    }
}

fn find(passwd: &str, name: &str) -> Option<User> {
    let mut lines = passwd.lines().map(|line| line.split(':'));
    let mut fields =
        lines.find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(User { name: name.to_owned(), uid, gid })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name() {
        let passwd = "root:x:0:0::/root:/bin/sh\nbroken\nweb:x:33:34:x:/:/bin/false\n";
        let web = find(passwd, "web").unwrap();
        assert_eq!((web.uid, web.gid), (33, 34));
        assert_eq!(find(passwd, "we"), None);
        assert_eq!(find(passwd, "broken"), None);
        let error = User::choose(Some("root")).unwrap_err().to_string();
        assert_eq!(error, "user root is root: name one without privileges");
        assert!(User::choose(Some("no-such-user-at-all")).is_err());
        assert_ne!(User::choose(None).unwrap().uid, 0);
    }
}
