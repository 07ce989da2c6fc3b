//! The reports that GitLab shows in a merge request.

pub(super) mod quality;
pub(super) mod sast;

use serde_json::Value;

use super::bounded::fit;
use super::context::Context;
use super::identity::Group;
use super::report::{Found, Report};

/// Where a finding is, as GitLab wants it: a file, and a line in it, which is 1 where none is known.
fn place(found: &Found, context: &Context) -> (String, u32) {
    let place = found.places().into_iter().next().unwrap_or_default();
    let path = match place.path.as_str() {
        "" => PIPELINE.to_owned(),
        path => context.relative(path).to_owned(),
    };
    (path, place.line.unwrap_or(1).max(1))
}

/// The pipeline's own file, for what concerns the run.
const PIPELINE: &str = ".gitlab-ci.yml";

/// A piece for each finding, as far as there is room, and what there is to say of the others.
fn pieces(
    report: &Report,
    context: &Context,
    piece: fn(&Group<'_>, &Context) -> Value,
) -> (Vec<Value>, Option<String>) {
    let groups = report.groups(context);
    let pieces = groups.iter().map(|group| (piece(group, context), group.count));
    let (kept, left) = fit(pieces, |(piece, _)| piece.to_string().len());
    let unlisted = report.unlisted(left.iter().map(|(_, count)| count).sum());
    (kept.into_iter().map(|(piece, _)| piece).collect(), unlisted)
}
