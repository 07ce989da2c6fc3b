//! The reports that GitLab shows in a merge request.

pub(super) mod quality;
pub(super) mod sast;

use super::context::Context;
use super::report::Found;

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
