//! The section of docs/figures.md that the bench owns.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

const BEGIN: &str = "<!-- bench:begin -->";
const END: &str = "<!-- bench:end -->";

/// Rewrites what is between the marker lines, and nothing else.
pub(crate) fn rewrite(path: &Path, section: &str) -> Result<()> {
    let old =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let new = replaced(&old, section).with_context(|| path.display().to_string())?;
    fs::write(path, new).with_context(|| format!("cannot write {}", path.display()))
}

/// Fails early, before a quarter of an hour of measuring.
pub(crate) fn check(path: &Path) -> Result<()> {
    let old =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    replaced(&old, "").with_context(|| path.display().to_string()).map(drop)
}

fn replaced(old: &str, section: &str) -> Result<String> {
    let what = format!("expected the lines {BEGIN} and {END}, once each, in this order");
    let (before, rest) = old.split_once(BEGIN).context(what.clone())?;
    let (_, after) = rest.split_once(END).context(what.clone())?;
    ensure!(!after.contains(BEGIN) && !after.contains(END), what);
    Ok(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", section.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_section_changes() {
        let old = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let new = replaced(&old, "new\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n"));
        assert_eq!(replaced(&new, "new").unwrap(), new);
    }

    #[test]
    fn without_markers_nothing_is_written() {
        assert!(replaced("a", "new").is_err());
        assert!(replaced(&format!("{END}{BEGIN}"), "new").is_err());
    }
}
