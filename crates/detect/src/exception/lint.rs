//! What makes an exception one that can be trusted, and what is said of one that cannot.

use event::{LauncherKind, Stamp};
use serde_saphyr::{Location, Spanned};

use super::{Exception, ExceptionFile, LONGEST_DAYS, Values, Where};
use crate::baseline::is_sha256;
use crate::day::Day;
use crate::parse::ParseError;

/// Directories that nobody but root writes to. `/usr/local` is not one of them: on Debian a group may.
const ROOTS: &[&str] = &[
    "/bin/",
    "/lib/",
    "/lib64/",
    "/sbin/",
    "/usr/bin/",
    "/usr/lib/",
    "/usr/lib64/",
    "/usr/libexec/",
    "/usr/sbin/",
];
/// An image pattern says at least this much before its first `*`.
const SHORTEST_IMAGE: usize = 3;

/// A condition that carries nothing: where it stands, and why.
struct Weak<'w> {
    at: &'w Location,
    why: String,
}

/// Checks an exception. Everything that is wrong with it is reported.
pub(super) fn check(
    path: &str,
    spanned: &Spanned<ExceptionFile>,
    now: Stamp,
) -> Result<Exception, Vec<ParseError>> {
    let file = &spanned.value;
    let mut errors = Vec::new();
    let mut refuse = |at: &Location, message: String| {
        errors.push(ParseError::at(path, at, message));
    };
    let name = &file.name;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.value.is_empty() || !name.value.chars().all(plain) {
        let message =
            format!("exception name {:?}: expected lower-case letters, digits and `_`", name.value);
        refuse(&name.referenced, message);
    }
    for (what, text) in [("reason", &file.reason), ("by", &file.by)] {
        if text.value.trim().is_empty() {
            refuse(&text.referenced, format!("{what}: expected some text"));
        }
    }
    let furthest = Day::after(now, LONGEST_DAYS);
    let until = Day::parse(&file.until.value).unwrap_or_else(|why| {
        refuse(&file.until.referenced, format!("until: {why}"));
        furthest.clone()
    });
    if until > furthest {
        let message = format!(
            "until: {until} is more than {LONGEST_DAYS} days ahead: expected {furthest} at the latest; \
             an exception that is still needed then is renewed"
        );
        refuse(&file.until.referenced, message);
    }
    let conditions = &file.r#where;
    for (at, message) in malformed(conditions) {
        refuse(at, message);
    }
    let (anchors, weak) = anchors(conditions);
    if anchors.is_empty() {
        let ask = "; expected at least one of `sha256`, `script_sha256`, `package`, `path` (of a \
                   directory that is root's alone), `unit`, `image`, `user` and `uid`, beside which \
                   this may stay to narrow it";
        if weak.is_empty() {
            let message = format!("exception {:?} covers everything{ask}", name.value);
            refuse(&name.referenced, message);
        }
        for weak in weak {
            refuse(weak.at, format!("{}{ask}", weak.why));
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Exception {
        name: name.value.clone(),
        recipe: file.recipe.clone(),
        reason: file.reason.value.clone(),
        by: file.by.value.clone(),
        until,
        anchors,
        conditions: conditions.clone(),
    })
}

/// Values that can never hold, or that say something else than they seem to.
fn malformed(w: &Where) -> Vec<(&Location, String)> {
    let mut found = Vec::new();
    for (key, values) in [("sha256", &w.sha256), ("script_sha256", &w.script_sha256)] {
        for value in values.iter().filter(|value| !is_sha256(&value.value)) {
            found.push((&value.referenced, format!("{key}: expected 64 digits from 0 to f")));
        }
    }
    for (key, values) in [("package", &w.package), ("unit", &w.unit), ("user", &w.user)] {
        for value in values.iter().filter(|value| value.value.contains('*')) {
            let message = format!("{key}: {:?}: expected a whole name, without `*`", value.value);
            found.push((&value.referenced, message));
        }
    }
    for value in w.unit.iter().filter(|value| !value.value.ends_with(".service")) {
        let message = format!(
            "unit: {:?}: expected a service, which ends with `.service`; scopes are made and named by \
             whoever asks",
            value.value
        );
        found.push((&value.referenced, message));
    }
    found
}

/// The keys that carry an exception, and the conditions that do not, each with why.
fn anchors(w: &Where) -> (Vec<&'static str>, Vec<Weak<'_>>) {
    let mut anchors = Vec::new();
    let mut weak = Vec::new();
    let certain = [
        ("sha256", &w.sha256),
        ("script_sha256", &w.script_sha256),
        ("package", &w.package),
        ("unit", &w.unit),
    ];
    anchors.extend(certain.iter().filter(|(_, values)| !values.is_empty()).map(|(key, _)| *key));
    for (key, found) in [
        ("path", w.path.iter().map(weak_path).collect::<Vec<_>>()),
        ("image", w.image.iter().map(weak_image).collect()),
        ("user", w.user.iter().map(|user| weak_root(user, user.value == "root")).collect()),
        ("uid", w.uid.iter().map(|uid| weak_root(uid, uid.value == 0)).collect()),
    ] {
        if !found.is_empty() && found.iter().all(Option::is_none) {
            anchors.push(key);
        }
        weak.extend(found.into_iter().flatten());
    }
    weak.extend(w.launcher.iter().map(weak_launcher));
    weak.extend(w.build_id.iter().map(|id| Weak {
        at: &id.referenced,
        why: format!(
            "whoever links a program gives it any build id: `ld --build-id=0x{}` would pass",
            id.value
        ),
    }));
    for (values, example) in typed(w) {
        weak.extend(values.iter().map(|value| Weak {
            at: &value.referenced,
            why: example.replace("{}", value.value.replace('*', "").trim()),
        }));
    }
    weak.extend(w.environment.iter().map(|environment| Weak {
        at: &environment.referenced,
        why: format!("everything on a {} system would pass", environment.value),
    }));
    (anchors, weak)
}

/// What an attacker types, or what covers everything in some place, each with an example of what
/// would pass.
fn typed(w: &Where) -> [(&Values, &'static str); 11] {
    [
        (
            &w.arguments,
            "whoever starts a program types its arguments: `/tmp/backdoor {}` would pass",
        ),
        (
            &w.command_line,
            "whoever starts a program types its command line: `/tmp/backdoor {}` would pass",
        ),
        (&w.comm, "a process calls itself as it likes: prctl(PR_SET_NAME, \"{}\") would pass"),
        (&w.invoked_as, "a program is asked for by any path: `ln -s /tmp/backdoor {}` would pass"),
        (&w.name, "a file is called as whoever writes it likes: `cp backdoor /tmp/{}` would pass"),
        (&w.cwd, "anyone changes into a directory first: `cd {} && /tmp/backdoor` would pass"),
        (&w.server, "which server it is, not which file: an attacker's own copy of {} would pass"),
        (&w.pod_namespace, "whatever is executed in any pod of the namespace {} would pass"),
        (&w.repository, "whatever a pull request makes a pipeline of {} execute would pass"),
        (&w.job, "whoever edits a workflow names its jobs: any that is called {} would pass"),
        (&w.host, "whatever is executed on {} would pass"),
    ]
}

/// Whether others than root may write where a path leads.
fn weak_path(pattern: &Spanned<String>) -> Option<Weak<'_>> {
    let text = pattern.value.as_str();
    let certain = text.split('*').next().unwrap_or_default();
    let sound = ROOTS.iter().any(|root| certain.starts_with(root)) && !text.contains("/../");
    (!sound).then(|| Weak {
        at: &pattern.referenced,
        why: format!(
            "others than root may write there: `cp backdoor {}` would pass (root's alone are {})",
            text.replace("**", "x").replace('*', "x"),
            ROOTS.join(" ")
        ),
    })
}

fn weak_image(pattern: &Spanned<String>) -> Option<Weak<'_>> {
    let certain = pattern.value.split('*').next().unwrap_or_default();
    (certain.len() < SHORTEST_IMAGE).then(|| Weak {
        at: &pattern.referenced,
        why: format!("image: {:?} covers nearly every container", pattern.value),
    })
}

fn weak_root<T>(user: &Spanned<T>, root: bool) -> Option<Weak<'_>> {
    root.then(|| Weak {
        at: &user.referenced,
        why: "an attacker who got far enough is root, and so is the root of a container: anything \
              that either starts would pass"
            .to_owned(),
    })
}

fn weak_launcher(kind: &Spanned<LauncherKind>) -> Weak<'_> {
    Weak {
        at: &kind.referenced,
        why: format!(
            "who started it is told by names of processes: a program that is called as one of the \
             kind {} is, and executes /tmp/backdoor, would pass",
            kind.value
        ),
    }
}
