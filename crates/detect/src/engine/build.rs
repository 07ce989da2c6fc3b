//! A detection, put together from an event and the recipe that it matched.

use event::{Baseline, Below, Detection, Evidence, Exec, Guidance, RecipeInfo, ServerInfo, Stamp};
use sha2::{Digest, Sha256};

use super::judge::judge;
use crate::guidance::Facts;
use crate::identify::Identity;
use crate::mask;
use crate::recipe::Recipe;
use crate::subject::{Subject, masked};

/// What a server is, as records have it.
pub(super) fn server_info(identity: &Identity<'_>) -> ServerInfo {
    ServerInfo {
        name: identity.server.name().to_owned(),
        version: identity.version.clone(),
        purpose: identity.purpose,
        confidence: identity.confidence,
        masquerade: identity.masquerade,
        evidence: harmless(&identity.evidence),
    }
}

/// The detection that a recipe makes of an event.
pub(super) fn detection(subject: &Subject<'_>, recipe: &Recipe) -> Detection {
    let exec = subject.exec;
    let mut process = exec.process.clone();
    process.args = mask::arguments(&process.args);
    if cut_short(&mut process.args) {
        process.args_truncated = true;
    }
    let file = &recipe.file;
    // What it is, or else what it came from.
    let above = subject.above.and_then(|above| subject.servers.get(&above.key));
    let server = match subject.identity {
        Some(identity) => Some(server_info(identity)),
        None => above.map(|known| known.server.clone()),
    };
    let mut detection = Detection {
        id: id(subject.host, exec, recipe.name()),
        time: exec.time,
        host: subject.host.to_owned(),
        latency_us: None,
        recipe: RecipeInfo {
            name: recipe.name().to_owned(),
            version: file.version.clone(),
            description: file.description.clone(),
            category: file.category.clone(),
            method: file.method.clone(),
            importance: file.importance,
        },
        severity: file.importance,
        reasons: Vec::new(),
        attack: recipe.attack.clone(),
        environment: subject.settings.environment,
        server,
        below: subject.above.filter(|_| subject.identity.is_none()).map(|at| Below {
            pid: at.key.pid,
            start: at.start,
            detection: above.and_then(|known| known.ids.first().cloned()),
        }),
        process,
        ancestry: masked(&exec.ancestry),
        ancestry_truncated: exec.ancestry_truncated,
        launcher: subject.launcher().clone(),
        container: subject.workload().container.clone(),
        ci: subject.attribution().ci.clone(),
        listen: subject.listen.to_vec(),
        baseline: None::<Baseline>,
        response: None,
        guidance: Guidance { implication: String::new(), actions: Vec::new() },
        seeded: exec.seeded,
        incident: None,
    };
    judge(&mut detection, subject);
    let (title, default_ports): (&str, &[u16]) = match (subject.identity, above) {
        (Some(identity), _) => (&identity.server.title, &identity.server.ports),
        (None, Some(known)) => (&known.title, &known.ports),
        (None, None) => ("the program", &[]),
    };
    let facts =
        Facts { detection: &detection, title, default_ports, above: subject.above.as_ref() };
    detection.guidance = recipe.guidance(subject.settings.environment, &facts);
    detection
}

/// Bytes of arguments that a detection carries.
const ARGS_LEN: usize = 8192;

/// Cuts arguments to what a detection carries; says whether anything was cut.
fn cut_short(args: &mut Vec<String>) -> bool {
    let mut room = ARGS_LEN;
    for (i, arg) in args.iter_mut().enumerate() {
        if arg.len() >= room {
            let end = (0..=room).rev().find(|end| arg.is_char_boundary(*end)).unwrap_or(0);
            arg.truncate(end);
            args.truncate(i + 1);
            return true;
        }
        room -= arg.len() + 1;
    }
    false
}

fn harmless(evidence: &[Evidence]) -> Vec<Evidence> {
    evidence.iter().map(|e| Evidence { detail: mask::text(&e.detail), ..e.clone() }).collect()
}

/// A UUID of version 7: the event's time, then what no other event shares. No randomness, so
/// that a replay gives the same ids.
pub(super) fn id(host: &str, exec: &Exec, recipe: &str) -> String {
    let mut hash = Sha256::new();
    for part in [host.as_bytes(), recipe.as_bytes()] {
        hash.update(part);
        hash.update([0]);
    }
    let p = &exec.process;
    for number in [exec.boot_ns, exec.seq, u64::from(exec.cpu), u64::from(p.pid), p.start_boot_ns] {
        hash.update(number.to_le_bytes());
    }
    // What ran before is found anew each time, and stays the same.
    uuid(if exec.seeded { p.start } else { exec.time }, hash)
}

/// A UUID of version 7 of a moment, and of what no other thing of that moment shares.
pub(crate) fn uuid(time: Stamp, hash: Sha256) -> String {
    let hash = hash.finalize();
    let mut random = [0; 10];
    random.copy_from_slice(&hash[..10]);
    let millis = u64::try_from(time.unix_nanos() / 1_000_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string()
}
