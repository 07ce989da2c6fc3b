//! Masking secrets in arguments, before they leave the process.
//!
//! Matching sees the arguments as they are; what is written shows `***` in place of what looks
//! like a secret. Too much masked is better than too little.

/// What stands in place of a secret.
pub const MASK: &str = "***";

/// Words that make an option or a variable a secret one.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api-key",
    "api_key",
    "access-key",
    "access_key",
    "accesskey",
    "private-key",
    "private_key",
    "credential",
    "authorization",
    "bearer",
    "session-key",
    "client-key-data",
    "auth-key",
    "authkey",
];
/// Short names that are secret only as a whole.
const SECRET_NAMES: &[&str] = &["pwd", "pass", "auth", "pw", "psk", "sig", "key"];
/// Beginnings of well-known tokens, and how long such a token is at least.
const TOKEN_PREFIXES: &[(&str, usize)] = &[
    ("ghp_", 20),
    ("gho_", 20),
    ("ghs_", 20),
    ("ghu_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 15),
    ("xoxb-", 15),
    ("xoxp-", 15),
    ("xoxa-", 15),
    ("xapp-", 15),
    ("AKIA", 16),
    ("ASIA", 16),
    ("npm_", 20),
    ("pypi-", 20),
    ("sk-", 20),
    ("sk_live_", 16),
    ("rk_live_", 16),
    ("hf_", 20),
    ("dop_v1_", 20),
    ("AIza", 30),
    ("eyJ", 30),
    ("SG.", 20),
    ("hvs.", 16),
];

/// The arguments with every secret masked.
pub fn arguments(args: &[String]) -> Vec<String> {
    let mut out = Vec::with_capacity(args.len());
    let mut secret_next = false;
    for (i, arg) in args.iter().enumerate() {
        if std::mem::take(&mut secret_next) && !arg.starts_with('-') {
            out.push(MASK.to_owned());
            continue;
        }
        // The program's own name is no secret.
        secret_next =
            i > 0 && arg.starts_with('-') && !arg.contains(['=', ' ']) && is_secret_name(arg);
        // `curl -u user:password`, `--user user:password`.
        if matches!(
            args.get(i.wrapping_sub(1)).map(String::as_str),
            Some("-u" | "--user" | "--proxy-user")
        ) && let Some((user, _)) = arg.split_once(':')
        {
            out.push(format!("{user}:{MASK}"));
            continue;
        }
        out.push(text(arg));
    }
    out
}

/// One text with every secret in it masked.
pub fn text(arg: &str) -> String {
    if let Some(masked) = assignment(arg) {
        return masked;
    }
    let masked = url_password(arg);
    let masked = header(&masked);
    let masked = query(&masked);
    tokens(&masked)
}

/// `--password=X`, `DB_PASSWORD=X`.
fn assignment(arg: &str) -> Option<String> {
    let (name, value) = arg.split_once('=')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    if value.is_empty() || !name.chars().all(plain) || name.contains("://") || !is_secret_name(name)
    {
        return None;
    }
    Some(format!("{name}={MASK}"))
}

fn is_secret_name(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_lowercase();
    SECRET_WORDS.iter().any(|w| name.contains(w))
        || SECRET_NAMES.contains(&name.as_str())
        || SECRET_NAMES
            .iter()
            .any(|w| *w != "key" && *w != "auth" && name.ends_with(&format!("_{w}")))
        || SECRET_NAMES
            .iter()
            .any(|w| *w != "key" && *w != "auth" && name.ends_with(&format!("-{w}")))
}

/// `scheme://user:password@host`.
fn url_password(arg: &str) -> String {
    let mut out = String::new();
    let mut rest = arg;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after
            .find(|c: char| {
                c == '/' || c == '?' || c == '#' || c.is_whitespace() || c == '"' || c == '\''
            })
            .unwrap_or(after.len());
        let authority = &after[..end];
        rest = &after[end..];
        match authority.rsplit_once('@') {
            Some((user, host)) => {
                let user = user.split(':').next().unwrap_or_default();
                let masked = if authority.contains(':') && !user.is_empty() {
                    format!("{user}:{MASK}@{host}")
                } else {
                    format!("{MASK}@{host}")
                };
                out.push_str(&masked);
            }
            None => out.push_str(authority),
        }
    }
    out.push_str(rest);
    out
}

/// `Authorization: Bearer X`, `X-Api-Key: X`.
fn header(arg: &str) -> String {
    let Some((name, value)) = arg.split_once(':') else {
        return arg.to_owned();
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if value.starts_with("//") || value.trim().is_empty() || !name.chars().all(plain) {
        return arg.to_owned();
    }
    let cookie = matches!(name.to_ascii_lowercase().as_str(), "cookie" | "set-cookie");
    if !cookie && !is_secret_name(name) {
        return arg.to_owned();
    }
    format!("{name}: {MASK}")
}

/// `?token=X&…`.
fn query(arg: &str) -> String {
    if !arg.contains(['?', '&']) {
        return arg.to_owned();
    }
    let mut out = String::new();
    for part in arg.split_inclusive(['?', '&']) {
        let (body, end) = match part.char_indices().next_back() {
            Some((i, c @ ('?' | '&'))) => (&part[..i], Some(c)),
            _ => (part, None),
        };
        match body.split_once('=') {
            Some((name, value)) if is_secret_name(name) && !value.is_empty() => {
                out.push_str(&format!("{name}={MASK}"));
            }
            _ => out.push_str(body),
        }
        out.extend(end);
    }
    out
}

/// Tokens that are known by how they begin, wherever they stand, and private keys.
fn tokens(arg: &str) -> String {
    if arg.contains("-----BEGIN") && arg.contains("PRIVATE KEY") {
        return MASK.to_owned();
    }
    let word = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let mut out = String::new();
    let mut rest = arg;
    while let Some(start) = rest.find(word) {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let end = from.find(|c| !word(c)).unwrap_or(from.len());
        let (token, after) = from.split_at(end);
        let secret = TOKEN_PREFIXES
            .iter()
            .find(|(prefix, least)| token.starts_with(prefix) && token.len() >= *least);
        match secret {
            Some((prefix, _)) => out.push_str(&format!("{prefix}{MASK}")),
            None => out.push_str(token),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(args: &[&str]) -> Vec<String> {
        arguments(&args.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn secrets_are_masked() {
        assert_eq!(masked(&["x", "--password=s3cret"]), ["x", "--password=***"]);
        assert_eq!(masked(&["x", "--token", "s3cret", "y"]), ["x", "--token", "***", "y"]);
        assert_eq!(masked(&["env", "DB_PASSWORD=s3cret"]), ["env", "DB_PASSWORD=***"]);
        assert_eq!(masked(&["curl", "-u", "me:s3cret"]), ["curl", "-u", "me:***"]);
        for (from, to) in [
            ("https://me:s3cret@host/p?q=1", "https://me:***@host/p?q=1"),
            ("https://s3cret@host/", "https://***@host/"),
            ("https://host/?token=s3cret&a=b", "https://host/?token=***&a=b"),
            ("Authorization: Bearer s3cret", "Authorization: ***"),
            ("postgres://u:p%40w@db:5432/x", "postgres://u:***@db:5432/x"),
            ("ghp_0123456789abcdefghij0123", "ghp_***"),
            ("x ghp_0123456789abcdefghij0123 y", "x ghp_*** y"),
            ("--private-key=-----BEGIN", "--private-key=***"),
            ("a://u:s3cret@h b://v:s3cret@i", "a://u:***@h b://v:***@i"),
        ] {
            assert_eq!(text(from), to);
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        for arg in [
            "-c",
            "/etc/nginx/nginx.conf",
            "--bind=127.0.0.1:80",
            "daemon off;",
            "http://host:80/a@b",
            "app:app",
            "keyboard=us",
            "--key=value.pem.d/x",
            "-Dcatalina.base=/x",
            "a=b",
            "ski-lift",
            "=",
            ":",
        ] {
            let kept = text(arg);
            assert!(kept == arg || arg.starts_with("--key"), "{arg} became {kept}");
        }
        assert_eq!(masked(&["x", "--token", "--other"]), ["x", "--token", "--other"]);
        assert_eq!(masked(&["password", "x"]), ["password", "x"]);
    }
}
