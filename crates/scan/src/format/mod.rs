//! One file for each format: which commands does it have run, and where do they stand?

mod azure;
mod bitbucket;
mod buildkite;
mod circleci;
mod compose;
mod dockerfile;
mod drone;
mod github;
mod gitlab;
mod ini;
mod jenkins;
mod kubernetes;
mod makefile;
mod package;
mod procfile;
mod split;
mod supervisor;
mod systemd;
mod tekton;
mod travis;

use crate::site::Sites;
use crate::text::Piece;
use crate::yaml::{Node, Yaml};
use crate::{Kind, Problem};

/// Hands on the commands of a file.
pub(crate) fn read(kind: Kind, text: &str, sites: &mut Sites) -> Result<(), Problem> {
    match kind {
        Kind::GithubWorkflow => each(text, |root| github::workflow(root, sites)),
        Kind::GithubAction => each(text, |root| github::action(root, sites)),
        Kind::Gitlab => each(text, |root| gitlab::pipeline(root, sites)),
        Kind::Circleci => each(text, |root| circleci::config(root, sites)),
        Kind::Azure => each(text, |root| azure::pipeline(root, sites)),
        Kind::Buildkite => each(text, |root| buildkite::pipeline(root, sites)),
        Kind::Bitbucket => each(text, |root| bitbucket::pipelines(root, sites)),
        Kind::Drone | Kind::Woodpecker => each(text, |root| drone::pipeline(root, sites)),
        Kind::Travis => each(text, |root| travis::build(root, sites)),
        Kind::Tekton => templated(text, |root| tekton::resource(root, sites)),
        Kind::Kubernetes => templated(text, |root| kubernetes::resource(root, sites)),
        Kind::Compose => each(text, |root| compose::file(root, sites)),
        Kind::Npm => package::npm(text, sites),
        Kind::Composer => package::composer(text, sites),
        Kind::Jenkins => {
            jenkins::file(text, sites);
            Ok(())
        }
        Kind::Dockerfile => {
            dockerfile::file(text, sites);
            Ok(())
        }
        Kind::Systemd => {
            systemd::unit(text, sites);
            Ok(())
        }
        Kind::Procfile => {
            procfile::file(text, sites);
            Ok(())
        }
        Kind::Supervisor => {
            supervisor::file(text, sites);
            Ok(())
        }
        Kind::Makefile => {
            makefile::file(text, sites);
            Ok(())
        }
        Kind::Shell => {
            sites.shell(&Vec::new(), &Piece::at(text, 0));
            Ok(())
        }
    }
}

/// Reads each document of a YAML file.
fn each(text: &str, mut read: impl FnMut(Node<'_>)) -> Result<(), Problem> {
    let yaml = Yaml::parse(text)?;
    yaml.documents().for_each(&mut read);
    Ok(())
}

/// The same for YAML that templates are often made of: what a template fills in becomes letters, and a line
/// that only steers it a comment.
fn templated(text: &str, read: impl FnMut(Node<'_>)) -> Result<(), Problem> {
    if !text.contains("{{") {
        return each(text, read);
    }
    let mut plain = String::with_capacity(text.len());
    for line in fill_in_templates(text).split_inclusive('\n') {
        let steers = line.trim_start().starts_with('\u{1}');
        plain.push_str(&line.replace('\u{1}', if steers { "#" } else { "x" }));
    }
    each(&plain, read)
}

/// Puts a mark and letters in place of `{{ … }}`, lines kept as they are.
fn fill_in_templates(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let Some(len) = rest[start..].find("}}") else { break };
        let end = start + len + 2;
        out.push_str(&rest[..start]);
        out.push('\u{1}');
        let inside = rest[start + 1..end].bytes();
        out.extend(inside.map(|byte| if byte == b'\n' { '\n' } else { 'x' }));
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Texts that one shell runs, one after the other.
fn lines(texts: &[&Piece]) -> Piece {
    let mut whole = Piece::default();
    for text in texts {
        whole.append(text);
        whole.push("\n", text.origin(text.as_str().len()));
    }
    whole
}

/// The words of a value: a list of them, or a text that is split as a shell splits it.
fn command(node: Option<Node<'_>>) -> Vec<Piece> {
    match node {
        Some(node) => match node.text() {
            Some(text) => split::words(text),
            None => node.texts().into_iter().cloned().collect(),
        },
        None => Vec::new(),
    }
}

/// The interpreter that a script's first line names.
fn shebang(text: &str) -> &str {
    let line = text.trim_start().strip_prefix("#!").and_then(|rest| rest.lines().next());
    line.map_or("sh", str::trim)
}

/// Values nested deeper are not looked at.
const DEEPEST: usize = 24;
