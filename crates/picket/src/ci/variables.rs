//! Variables of an environment: those of a list are kept, all others are dropped at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};

use super::providers::PROVIDERS;

/// Bytes of an environment that are read. Runners set some ten kilobytes.
const MOST: u64 = 256 << 10;
/// Bytes of a value that are kept.
const LONGEST: usize = 512;

/// The list: what pipelines say of themselves, and of the change that they are about.
#[derive(Debug)]
pub(crate) struct Names(BTreeSet<&'static str>);

impl Names {
    /// Those that say which pipeline it is.
    pub(crate) fn of_pipelines() -> Self {
        let facts = PROVIDERS.iter().flat_map(|p| p.facts().into_iter().flat_map(names_in));
        Self(facts.chain(PROVIDERS.iter().map(|p| p.sign.0)).collect())
    }

    /// These as well.
    pub(crate) fn and(mut self, more: impl IntoIterator<Item = &'static str>) -> Self {
        self.0.extend(more);
        self
    }
}

/// The names of variables in a fact of a provider.
fn names_in(fact: &'static str) -> impl Iterator<Item = &'static str> {
    fact.split('{').skip(1).filter_map(|part| Some(part.split_once('}')?.0))
}

/// Variables that were kept.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Variables(BTreeMap<&'static str, String>);

impl Variables {
    /// Of an environment as the kernel keeps it: `NAME=VALUE`, each ended by a zero.
    pub(crate) fn of_bytes(environment: &[u8], names: &Names) -> Self {
        let mut kept = BTreeMap::new();
        for entry in environment.split(|byte| *byte == 0) {
            let mut parts = entry.splitn(2, |byte| *byte == b'=');
            let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
            let name = str::from_utf8(name).ok().and_then(|name| names.0.get(name));
            // As for getenv(3), the first one counts.
            if let Some(name) = name
                && !value.is_empty()
            {
                kept.entry(*name).or_insert_with(|| text(value));
            }
        }
        Self(kept)
    }

    /// Of the file in which the kernel shows an environment.
    pub(crate) fn of_file(path: &str, names: &Names) -> io::Result<Self> {
        let mut environment = Vec::new();
        File::open(path)?.take(MOST).read_to_end(&mut environment)?;
        Ok(Self::of_bytes(&environment, names))
    }

    /// Of this process.
    pub(crate) fn of_this_process(names: &Names) -> Self {
        use std::os::unix::ffi::OsStringExt;
        let set = |name: &&'static str| {
            let value = std::env::var_os(name)?.into_vec();
            (!value.is_empty()).then(|| (*name, text(&value)))
        };
        Self(names.0.iter().filter_map(set).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The first alternative of a fact of which all variables are set, without secrets.
    pub(super) fn fact(&self, fact: &str) -> Option<String> {
        let filled = fact.split('|').find_map(|alternative| self.fill(alternative))?;
        (!filled.is_empty()).then(|| detect::mask::text(&filled))
    }

    fn fill(&self, alternative: &str) -> Option<String> {
        let mut out = String::new();
        let mut rest = alternative;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            out.push_str(before);
            out.push_str(self.get(name)?);
            rest = after;
        }
        Some(out + rest)
    }
}

/// A value as text, cut where it is too long; bytes that are none are shown.
fn text(value: &[u8]) -> String {
    let mut out = String::new();
    for chunk in value[..value.len().min(LONGEST)].utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if value.len() > LONGEST {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_on_the_list_is_kept() {
        let environment = b"AWS_SECRET_ACCESS_KEY=s3cret\0GITHUB_SHA=abc\0GITHUB_TOKEN=s3cret\0\
                            GITHUB_SHA=later\0no value\0GITHUB_JOB=\0=x\0GITHUB_REF=a=b\xff";
        let kept = Variables::of_bytes(environment, &Names::of_pipelines());
        assert_eq!(kept.get("GITHUB_SHA"), Some("abc"));
        assert_eq!(kept.get("GITHUB_REF"), Some("a=b\\xff"));
        assert_eq!(kept.0.len(), 2, "{kept:?}");
        assert!(!format!("{kept:?}").contains("s3cret"));
    }

    #[test]
    fn nothing_on_the_list_is_a_secret() {
        for name in Names::of_pipelines().0 {
            let word = ["TOKEN", "SECRET", "PASSWORD", "KEY_", "CREDENTIAL", "AUTHORIZATION"]
                .into_iter()
                .find(|word| name.contains(word));
            assert_eq!(word, None, "{name}");
        }
    }

    #[test]
    fn values_are_bounded() {
        let environment = [b"GITHUB_JOB=".as_slice(), &[b'x'; 4096]].concat();
        let kept = Variables::of_bytes(&environment, &Names::of_pipelines());
        assert_eq!(kept.get("GITHUB_JOB").unwrap().chars().count(), LONGEST + 1);
    }

    #[test]
    fn facts_are_filled_in_or_left_out() {
        let kept = Variables(BTreeMap::from([("A", "1".to_owned()), ("B", "u:p@h".to_owned())]));
        assert_eq!(kept.fact("{A}/{C}|{A}").as_deref(), Some("1"));
        assert_eq!(kept.fact("http://{B}/{A}").as_deref(), Some("http://u:***@h/1"));
        assert_eq!(kept.fact("{C}"), None);
        assert_eq!(kept.fact(""), None);
    }
}
