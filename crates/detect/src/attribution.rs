//! Which step of which pipeline a process belongs to.
//!
//! A process chooses its environment. So where picket's own speaks of a pipeline, the process says no
//! more than which step of that it belongs to; where the two contradict each other, picket's own is
//! believed, and the other is told.

use event::{Ci, CiOrigin};

/// The pipeline, and what does not fit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Attribution {
    pub(crate) ci: Option<Ci>,
    pub(crate) contradiction: Option<String>,
}

/// `own` is what picket's environment says, `claim` what that of the process does.
pub(crate) fn of(own: Option<&Ci>, claim: Option<&Ci>) -> Attribution {
    let (Some(own), Some(claim)) = (own, claim) else {
        let ci = own.cloned().or_else(|| Some(Ci { claimed: true, ..claim?.clone() }));
        return Attribution { ci, contradiction: None };
    };
    let contradictions = contradictions(own, claim);
    if contradictions.is_empty() {
        let (step, origin) = (claim.step.clone(), claim.origin);
        let ci = Some(Ci { step, origin, ..own.clone() });
        return Attribution { ci, contradiction: None };
    }
    let whose = match claim.origin {
        CiOrigin::Ancestor => "the environment of its parent",
        CiOrigin::Process | CiOrigin::Picket => "its environment",
    };
    let contradiction = format!(
        "{whose} speaks of another pipeline than picket's own, which is believed: {}",
        contradictions.join(", ")
    );
    Attribution { ci: Some(own.clone()), contradiction: Some(contradiction) }
}

fn contradictions(own: &Ci, claim: &Ci) -> Vec<String> {
    let provider = |ci: &Ci| Some(ci.provider.clone());
    let facts = [
        ("provider", provider(own), provider(claim)),
        ("repository", own.repository.clone(), claim.repository.clone()),
        ("workflow", own.workflow.clone(), claim.workflow.clone()),
        ("job", own.job.clone(), claim.job.clone()),
        ("run", own.run_id.clone(), claim.run_id.clone()),
        ("attempt", own.attempt.clone(), claim.attempt.clone()),
        ("commit", own.sha.clone(), claim.sha.clone()),
        ("ref", own.r#ref.clone(), claim.r#ref.clone()),
        ("actor", own.actor.clone(), claim.actor.clone()),
    ];
    let differs = |(name, own, claim): (&str, Option<String>, Option<String>)| {
        let (own, claim) = (own?, claim?);
        (own != claim).then(|| format!("{name} {claim}, not {own}"))
    };
    facts.into_iter().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ci(run: &str, step: Option<&str>, origin: CiOrigin) -> Ci {
        Ci {
            provider: "github".to_owned(),
            run_id: Some(run.to_owned()),
            step: step.map(str::to_owned),
            origin,
            ..Ci::default()
        }
    }

    #[test]
    fn the_step_is_that_of_the_process() {
        let own = ci("7", Some("second"), CiOrigin::Picket);
        let first = ci("7", Some("first"), CiOrigin::Process);
        let found = of(Some(&own), Some(&first));
        assert_eq!(found, Attribution { ci: Some(first.clone()), contradiction: None });
        assert_eq!(of(Some(&own), None).ci, Some(own));
        assert_eq!(of(None, None), Attribution::default());
    }

    #[test]
    fn a_process_is_not_believed_against_picket() {
        let own = ci("7", Some("second"), CiOrigin::Picket);
        let other = ci("8", Some("first"), CiOrigin::Process);
        let found = of(Some(&own), Some(&other));
        assert_eq!(found.ci, Some(own));
        assert_eq!(
            found.contradiction.as_deref(),
            Some(
                "its environment speaks of another pipeline than picket's own, which is believed: \
                 run 8, not 7"
            )
        );
    }

    #[test]
    fn what_only_a_process_says_is_a_claim() {
        let first = ci("7", Some("first"), CiOrigin::Ancestor);
        let found = of(None, Some(&first));
        assert_eq!(found.ci, Some(Ci { claimed: true, ..first }));
    }
}
