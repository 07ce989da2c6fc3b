//! A finding, for people and for programs.

use anyhow::Result;

use super::finding::Finding;
use crate::cli::Format;
use crate::escape;
use crate::sink;

pub(super) fn finding(finding: &Finding, format: Format) -> Result<()> {
    if format == Format::Json {
        let json = escape::json(finding);
        return sink::print(String::from_utf8_lossy(&json).trim_end());
    }
    let line = |text: String| sink::print(&escape::terminal(&text));
    line(format!(
        "{}:{}:{}: {} {} started by `{}`",
        finding.file,
        finding.line,
        finding.column,
        finding.severity.to_string().to_uppercase(),
        finding.server.name,
        finding.started_by()
    ))?;
    if !finding.place.is_empty() {
        line(format!("  where    {}", finding.whereabouts()))?;
    }
    let signs: Vec<&str> = finding.server.evidence.iter().map(|e| e.detail.as_str()).collect();
    line(format!("  why      {}", signs.join("; ")))?;
    line(format!("  implies  {}", finding.guidance.implication))?;
    for (number, action) in (1..).zip(&finding.guidance.actions) {
        let lead = if number == 1 { "do" } else { "" };
        line(format!("  {lead:<8} {number}. {action}"))?;
    }
    Ok(())
}
