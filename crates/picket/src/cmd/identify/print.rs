//! An answer, for people and for programs.

use anyhow::Result;

use super::{Answer, Says};
use crate::cli::Format;
use crate::escape::terminal as safe;
use crate::sink;

pub(super) fn answer(answer: &Answer, format: Format) -> Result<()> {
    if format == Format::Json {
        return sink::print(&serde_json::to_string(answer)?);
    }
    let subject = safe(&answer.subject);
    match &answer.server {
        None => sink::print(&format!("{subject}: no web server that the catalogue knows"))?,
        Some(server) => {
            let purpose = match server.purpose {
                event::Purpose::Serve => "to serve",
                event::Purpose::Manage => "not to serve",
                event::Purpose::Unknown => "for a purpose that the arguments do not tell",
            };
            let version =
                server.version.as_ref().map_or_else(String::new, |v| format!(" {}", safe(v)));
            let doubt = if server.disputed { ", by its name only" } else { "" };
            let lie = if server.masquerade { ", under a false name" } else { "" };
            sink::print(&format!(
                "{subject}: {}{version} ({}), {purpose}, {}{doubt}{lie}",
                server.name, server.title, server.confidence
            ))?;
        }
    }
    for rung in &answer.ladder {
        let sign = match rung.says {
            Says::Agrees => "+",
            Says::Disagrees => "-",
            Says::Silent => " ",
        };
        let name = rung.rung.to_string().replace('_', " ");
        sink::print(&format!("  {sign} {name:<9} {}", safe(&rung.detail)))?;
    }
    if !answer.layers.is_empty() {
        sink::print(&format!("  through   {}", answer.layers.join(" → ")))?;
    }
    Ok(())
}
