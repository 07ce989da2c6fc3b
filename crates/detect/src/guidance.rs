//! Guidance: what a detection implies and what to do, with its own facts filled in.
//!
//! `{field}` is a fact. `[…]` is a part that is left out when a fact in it is absent, so that
//! no sentence ever says "unknown" or shows a hole.

use event::Detection;

use crate::subject::Above;
use crate::words::base_name;

/// The facts that guidance may name, each with what it is.
pub const FIELDS: &[(&str, &str)] = &[
    ("server", "the web server's name"),
    ("title", "the web server's name as people write it"),
    ("version", "its version"),
    ("program", "the name of the file that runs"),
    ("above", "the web server that it runs below, with its pid"),
    ("pid", "the process id"),
    ("exe", "the file that runs"),
    ("args", "the command line"),
    ("user", "the user it runs as"),
    ("cwd", "its working directory"),
    ("host", "the machine"),
    ("parent", "the process that started it, with its pid"),
    ("launcher", "what started it, in words"),
    ("container", "the container that it runs in, with its engine"),
    ("ports", "the ports it is known for or listens on"),
    ("package", "the package that owns the file"),
    ("ci.provider", "who runs the pipeline"),
    ("ci.repository", "the pipeline's repository"),
    ("ci.workflow", "the pipeline's workflow"),
    ("ci.job", "the pipeline's job"),
    ("ci.step", "the pipeline's step"),
    ("ci.sha", "the pipeline's commit"),
    ("ci.ref", "the pipeline's branch or tag"),
    ("ci.actor", "who caused the pipeline"),
];

/// A text with facts in it, checked when it is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(String),
    Optional(Vec<Part>),
}

impl Template {
    /// Reads a text. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut optional: Option<Vec<Part>> = None;
        let mut rest = text;
        while let Some(at) = rest.find(['{', '[', ']', '}']) {
            let (before, from) = rest.split_at(at);
            let into = optional.as_mut().unwrap_or(&mut parts);
            if !before.is_empty() {
                into.push(Part::Text(before.to_owned()));
            }
            match from.as_bytes()[0] {
                b'{' => {
                    let end =
                        from.find('}').ok_or_else(|| format!("`{{` without `}}` in {text:?}"))?;
                    let field = &from[1..end];
                    if !FIELDS.iter().any(|(name, _)| *name == field) {
                        let known: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).collect();
                        return Err(format!(
                            "unknown fact {{{field}}}: expected one of {}",
                            known.join(", ")
                        ));
                    }
                    into.push(Part::Field(field.to_owned()));
                    rest = &from[end + 1..];
                }
                b'[' if optional.is_none() => {
                    optional = Some(Vec::new());
                    rest = &from[1..];
                }
                b']' if optional.is_some() => {
                    parts.push(Part::Optional(optional.take().unwrap_or_default()));
                    rest = &from[1..];
                }
                other => return Err(format!("`{}` out of place in {text:?}", char::from(other))),
            }
        }
        if optional.is_some() {
            return Err(format!("`[` without `]` in {text:?}"));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// Fills in the facts of a detection.
    pub fn fill(&self, facts: &Facts<'_>) -> String {
        let mut out = String::new();
        for part in &self.parts {
            if let Some(text) = part.fill(facts) {
                out.push_str(&text);
            }
        }
        out
    }
}

impl Part {
    fn fill(&self, facts: &Facts<'_>) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            // Outside brackets a missing fact must still read: a neutral word stands in.
            Self::Field(field) => facts.get(field).or_else(|| Some("(not known)".to_owned())),
            Self::Optional(parts) => parts
                .iter()
                .map(|part| match part {
                    Self::Field(field) => facts.get(field),
                    other => other.fill(facts),
                })
                .collect(),
        }
    }
}

/// Where the facts come from.
pub struct Facts<'d> {
    /// The detection.
    pub detection: &'d Detection,
    /// The server's name as people write it.
    pub title: &'d str,
    /// Ports that the server uses unless told otherwise.
    pub default_ports: &'d [u16],
    /// The web server above.
    pub(crate) above: Option<&'d Above<'d>>,
}

impl Facts<'_> {
    fn get(&self, field: &str) -> Option<String> {
        let d = self.detection;
        let p = &d.process;
        let ci = d.ci.as_ref();
        match field {
            "server" => Some(d.server.as_ref()?.name.clone()),
            "title" => Some(self.title.to_owned()),
            "version" => d.server.as_ref()?.version.clone(),
            "program" => Some(base_name(&p.exe.path).to_owned()),
            "above" => self.above.map(|a| format!("{} ({})", a.name, a.ancestor.pid)),
            "pid" => Some(p.pid.to_string()),
            "exe" => Some(p.exe.path.clone()),
            "args" => (!p.args.is_empty()).then(|| p.args.join(" ")),
            "user" => Some(p.user.clone().unwrap_or_else(|| format!("uid {}", p.uid))),
            "cwd" => p.cwd.clone(),
            "host" => Some(d.host.clone()),
            "parent" => d.ancestry.first().map(|a| format!("{} ({})", a.comm, a.pid)),
            "launcher" => Some(d.launcher.detail.clone()),
            "container" => d.container.as_ref().map(crate::workload::called),
            "ports" => self.ports(),
            "package" => p.exe.package.clone(),
            "ci.provider" => ci.map(|ci| ci.provider.clone()),
            "ci.repository" => ci?.repository.clone(),
            "ci.workflow" => ci?.workflow.clone(),
            "ci.job" => ci?.job.clone(),
            "ci.step" => ci?.step.clone(),
            "ci.sha" => ci?.sha.clone(),
            "ci.ref" => ci?.r#ref.clone(),
            "ci.actor" => ci?.actor.clone(),
            _ => None,
        }
    }

    fn ports(&self) -> Option<String> {
        let join = |ports: Vec<u16>| -> String {
            ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")
        };
        if !self.detection.listen.is_empty() {
            return Some(join(self.detection.listen.iter().map(|l| l.port).collect()));
        }
        (!self.default_ports.is_empty()).then(|| join(self.default_ports.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::Template;

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("{nope}", "unknown fact {nope}"),
            ("a { b", "without"),
            ("[ a", "without"),
            ("a ] b", "out of place"),
            ("[a [b]]", "out of place"),
        ] {
            let error = Template::parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!(Template::parse("started {server}[ on {ports}].").is_ok());
    }
}
