//! A start that was found, as a record.

use detect::mask;
use detect::recipe::Recipe;
use event::{Attack, Confidence, Evidence, Guidance, Purpose, RecipeInfo, Severity};
use scan::{Kind, Part, Start};
use serde::Serialize;

/// A place where a file starts a web server.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) r#type: &'static str,
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) column: usize,
    /// What the file is.
    pub(super) kind: Kind,
    /// Of what inside of it: job, step, service, target.
    pub(super) place: Vec<Part>,
    /// The command, secrets masked; the image's name, where that says what runs.
    pub(super) command: Vec<String>,
    pub(super) image: bool,
    pub(super) server: Server,
    pub(super) recipe: RecipeInfo,
    pub(super) severity: Severity,
    pub(super) reasons: Vec<String>,
    pub(super) attack: Attack,
    pub(super) guidance: Guidance,
}

/// Which web server.
#[derive(Debug, Serialize)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) purpose: Purpose,
    pub(super) confidence: Confidence,
    pub(super) evidence: Vec<Evidence>,
}

impl Finding {
    /// The record of a start, by the most serious of the recipes that would tell of it.
    pub(super) fn of(file: &str, kind: Kind, start: Start<'_>, recipes: &[Recipe]) -> Option<Self> {
        let foreseen = recipes.iter().filter(|r| r.foresees(&start.identity, &start.program));
        let judged = foreseen.map(|r| (r, r.foreseen(&start.identity, &start.program)));
        let (recipe, (severity, reasons)) =
            judged.reduce(|best, next| if next.1.0 > best.1.0 { next } else { best })?;
        let f = &recipe.file;
        let identity = start.identity;
        let title = identity.server.title.clone();
        let guidance = guidance(kind, &title, file, &start.place);
        Some(Self {
            r#type: "finding",
            file: file.to_owned(),
            line: start.position.line,
            column: start.position.column,
            kind,
            command: mask::arguments(&start.command),
            image: start.image,
            server: Server {
                name: identity.server.name().to_owned(),
                title,
                purpose: identity.purpose,
                confidence: identity.confidence,
                evidence: identity.evidence.into_iter().map(masked).collect(),
            },
            recipe: RecipeInfo {
                name: recipe.name().to_owned(),
                version: f.version.clone(),
                description: f.description.clone(),
                category: f.category.clone(),
                method: f.method.clone(),
                importance: f.importance,
            },
            severity,
            reasons,
            attack: recipe.attack.clone(),
            guidance,
            place: start.place,
        })
    }

    /// Of what inside of the file, in words.
    pub(super) fn whereabouts(&self) -> String {
        words(&self.place)
    }

    /// What it is that starts the server.
    pub(super) fn started_by(&self) -> String {
        let what = if self.image { "image " } else { "" };
        format!("{what}{}", self.command.join(" "))
    }
}

fn masked(mut evidence: Evidence) -> Evidence {
    evidence.detail = mask::text(&evidence.detail);
    evidence
}

fn words(place: &[Part]) -> String {
    let parts: Vec<String> = place.iter().map(|p| format!("{} {}", p.kind, p.name)).collect();
    parts.join(", ")
}

/// When what a file describes is run.
enum When {
    Pipeline,
    Deployment,
    ByHand,
}

fn when(kind: Kind) -> When {
    match kind {
        Kind::GithubWorkflow
        | Kind::GithubAction
        | Kind::Gitlab
        | Kind::Jenkins
        | Kind::Circleci
        | Kind::Azure
        | Kind::Buildkite
        | Kind::Bitbucket
        | Kind::Drone
        | Kind::Woodpecker
        | Kind::Travis
        | Kind::Tekton => When::Pipeline,
        Kind::Kubernetes
        | Kind::Compose
        | Kind::Dockerfile
        | Kind::Systemd
        | Kind::Procfile
        | Kind::Supervisor => When::Deployment,
        Kind::Npm | Kind::Composer | Kind::Makefile | Kind::Shell => When::ByHand,
    }
}

fn guidance(kind: Kind, title: &str, file: &str, place: &[Part]) -> Guidance {
    let within = match words(place).as_str() {
        "" => String::new(),
        words => format!(" ({words})"),
    };
    let (implication, first) = match when(kind) {
        When::Pipeline => (
            format!(
                "Each run of this pipeline starts {title}{within}. A build has little reason to serve: \
                 whoever reaches the runner then reaches the checkout and the job's secrets, and a change \
                 that brings this may bring command and control."
            ),
            format!(
                "See which change brought this to {file}, and which test needs it. Bind it to 127.0.0.1, or \
                 remove it."
            ),
        ),
        When::Deployment => (
            format!(
                "What is deployed from {file} runs {title}{within}. Where that is not what this repository is \
                 for, it is a way in, a channel for commands, or a way out for data."
            ),
            format!(
                "See who added it to {file}, what it serves, and whether it is meant to be reached."
            ),
        ),
        When::ByHand => (
            format!(
                "Whoever runs {file}{within}, a developer or a pipeline, starts {title}, with all that it \
                 can then read."
            ),
            format!("See which change brought this to {file}. Bind it to 127.0.0.1, or remove it."),
        ),
    };
    let last = "Let `picket ci` watch what the pipeline really starts.".to_owned();
    Guidance { implication, actions: vec![first, last] }
}
