//! Masking secrets in arguments, before they leave the process.
//!
//! Matching sees the arguments as they are; what is written shows `***` in place of what looks
//! like a secret. Too much masked is better than too little.

use crate::words::base_name;

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

/// Programs with a short option for a secret, and whether the value may stand attached to it.
const SHORT_OPTIONS: &[(&str, &str, bool)] = &[
    ("mysql", "-p", true),
    ("mysqldump", "-p", true),
    ("mysqladmin", "-p", true),
    ("mariadb", "-p", true),
    ("mariadb-dump", "-p", true),
    ("sshpass", "-p", true),
    ("redis-cli", "-a", false),
    ("ttyd", "-c", false),
    ("dufs", "-a", false),
    ("curl", "-u", true),
];

/// The arguments with every secret masked.
pub fn arguments(args: &[String]) -> Vec<String> {
    let program = args.first().map_or("", |first| base_name(first));
    let mut out = Vec::with_capacity(args.len());
    let mut next = Next::Plain;
    for (i, arg) in args.iter().enumerate() {
        let masked = match std::mem::replace(&mut next, Next::Plain) {
            Next::Secret if !arg.starts_with("--") => Some(MASK.to_owned()),
            Next::Login if arg.contains(':') => Some(login(arg)),
            _ => None,
        };
        if let Some(masked) = masked {
            out.push(masked);
            continue;
        }
        // The program's own name is no secret.
        if i > 0 {
            next = after(program, arg);
        }
        out.push(short(program, arg).unwrap_or_else(|| text(arg)));
    }
    out
}

/// What the argument behind an option is.
enum Next {
    Plain,
    Secret,
    /// `user:password`, of which only the password is secret.
    Login,
}

fn after(program: &str, arg: &str) -> Next {
    if !arg.starts_with('-') || arg.contains(['=', ' ']) {
        return Next::Plain;
    }
    if matches!(arg, "-u" | "--user" | "--proxy-user") {
        return Next::Login;
    }
    let short = SHORT_OPTIONS.iter().any(|(name, option, _)| *name == program && *option == arg);
    if short || is_secret_name(arg) { Next::Secret } else { Next::Plain }
}

/// `mysql -pSECRET`, `curl -uuser:SECRET`.
fn short(program: &str, arg: &str) -> Option<String> {
    let known = |(name, option, attached): &&(&str, &str, bool)| {
        *attached && *name == program && arg.len() > option.len() && arg.starts_with(option)
    };
    let (_, option, _) = SHORT_OPTIONS.iter().find(known)?;
    let value = &arg[option.len()..];
    Some(if value.contains(':') {
        format!("{option}{}", login(value))
    } else {
        format!("{option}{MASK}")
    })
}

fn login(value: &str) -> String {
    let user = value.split(':').next().unwrap_or_default();
    format!("{user}:{MASK}")
}

/// One text with every secret in it masked. A text of several words (a shell's command) is masked
/// word by word, as if each were an argument, so that what is no secret stays to be read.
pub fn text(arg: &str) -> String {
    if arg.contains("-----BEGIN") && arg.contains("PRIVATE KEY") {
        return MASK.to_owned();
    }
    if let Some(masked) = whole_header(arg) {
        return masked;
    }
    if arg.contains([' ', '\t', '\n']) { words(arg) } else { word(arg) }
}

/// `Authorization: Bearer X`, where it is an argument of its own.
fn whole_header(arg: &str) -> Option<String> {
    let (name, value) = arg.split_once(':')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let is_header = !name.is_empty() && name.chars().all(plain) && !value.starts_with("//");
    (is_header && !value.trim().is_empty() && is_secret_header(name))
        .then(|| format!("{name}: {MASK}"))
}

fn is_secret_header(name: &str) -> bool {
    matches!(name.to_ascii_lowercase().as_str(), "cookie" | "set-cookie") || is_secret_name(name)
}

fn words(arg: &str) -> String {
    let mut out = String::new();
    let mut next = Next::Plain;
    // In a header the secret goes on to the quote's end.
    let mut header: Option<char> = None;
    let mut program = "";
    for piece in arg.split_inclusive([' ', '\t', '\n']) {
        let body = piece.trim_end_matches([' ', '\t', '\n']);
        let blank = &piece[body.len()..];
        let quote = |c: char| c == '\'' || c == '"';
        let bare = body.trim_matches(|c| quote(c) || c == ';');
        let (open, close) =
            body.split_once(bare).filter(|_| !bare.is_empty()).unwrap_or((body, ""));
        if let Some(end) = header {
            if body.ends_with(end) || end == '\n' && blank.contains('\n') {
                header = None;
                out.push_str(&format!("{MASK}{close}{blank}"));
            }
            continue;
        }
        let masked = match std::mem::replace(&mut next, Next::Plain) {
            Next::Secret if !bare.starts_with("--") => MASK.to_owned(),
            Next::Login if bare.contains(':') => login(bare),
            _ => {
                next = after(program, bare);
                short(program, bare).unwrap_or_else(|| word(bare))
            }
        };
        out.push_str(&format!("{open}{masked}{close}{blank}"));
        if bare.ends_with(':') && is_secret_header(bare.trim_end_matches(':')) && close.is_empty() {
            header = Some(open.chars().find(|c| quote(*c)).unwrap_or('\n'));
        }
        let command = !bare.is_empty() && !bare.contains('=');
        if command && (program.is_empty() || matches!(program, "exec" | "sudo" | "env" | "nohup")) {
            program = base_name(bare);
        }
        if body.ends_with([';', '|', '&']) {
            program = "";
        }
    }
    if header.is_some() {
        out.push_str(MASK);
    }
    out
}

/// One word.
fn word(arg: &str) -> String {
    if let Some(masked) = assignment(arg) {
        return masked;
    }
    let masked = url_password(arg);
    let masked = bare_login(&masked);
    let masked = json(&masked);
    let masked = query(&masked);
    tokens(&masked)
}

/// `--password=X`, `DB_PASSWORD=X`, `--opt=password=X`.
fn assignment(arg: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    let mut rest = arg;
    while let Some((name, value)) = rest.split_once('=') {
        if value.is_empty() || !name.chars().all(plain) || name.contains("://") {
            return None;
        }
        let before = &arg[..arg.len() - value.len()];
        if is_secret_name(name) {
            return Some(format!("{before}{MASK}"));
        }
        if matches!(name, "--user" | "--proxy-user") && value.contains(':') {
            return Some(format!("{before}{}", login(value)));
        }
        // Further in, there may be another one. As many as someone likes: no recursion.
        rest = value;
    }
    None
}

/// `user:password@host`, without a scheme.
fn bare_login(arg: &str) -> String {
    let Some((before, after)) = arg.rsplit_once('@') else { return arg.to_owned() };
    match before.split_once(':') {
        Some((user, password))
            if !before.contains('/')
                && !password.is_empty()
                && password != MASK
                && !user.is_empty() =>
        {
            format!("{user}:{MASK}@{after}")
        }
        _ => arg.to_owned(),
    }
}

/// `"password":"X"`.
fn json(arg: &str) -> String {
    let mut out = String::new();
    let mut rest = arg;
    while let Some(at) = rest.find("\":") {
        let name = rest[..at].rsplit('"').next().unwrap_or_default();
        let (before, after) = rest.split_at(at + 2);
        out.push_str(before);
        rest = after;
        let value = rest.trim_start().strip_prefix('"');
        if let Some(value) = value.filter(|_| is_secret_name(name)) {
            out.push_str(&format!("\"{MASK}\""));
            rest = value.find('"').map_or("", |end| &value[end + 1..]);
        }
    }
    out.push_str(rest);
    out
}

fn is_secret_name(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_lowercase();
    SECRET_WORDS.iter().any(|w| name.contains(w))
        || SECRET_NAMES.contains(&name.as_str())
        || name.rsplit(['_', '-', '.']).next().is_some_and(|last| {
            !matches!(last, "key" | "sig") && SECRET_NAMES.contains(&last) && last != name
        })
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

/// `?token=X&…`.
fn query(arg: &str) -> String {
    const ENDS: [char; 4] = ['?', '&', ';', '#'];
    if !arg.contains(ENDS) {
        return arg.to_owned();
    }
    let mut out = String::new();
    for part in arg.split_inclusive(ENDS) {
        let (body, end) = match part.char_indices().next_back() {
            Some((i, c)) if ENDS.contains(&c) => (&part[..i], Some(c)),
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
        for (from, to) in [
            (&["x", "--password=s3cret"][..], &["x", "--password=***"][..]),
            (&["x", "--token", "s3cret", "y"], &["x", "--token", "***", "y"]),
            (&["x", "--password", "-s3cret"], &["x", "--password", "***"]),
            (&["x", "--basic-auth", "me:s3cret"], &["x", "--basic-auth", "***"]),
            (&["env", "DB_PASSWORD=s3cret"], &["env", "DB_PASSWORD=***"]),
            (&["curl", "-u", "me:s3cret"], &["curl", "-u", "me:***"]),
            (&["curl", "-ume:s3cret"], &["curl", "-ume:***"]),
            (&["mysql", "-ps3cret", "-p", "s3cret"], &["mysql", "-p***", "-p", "***"]),
            (&["ttyd", "-c", "me:s3cret", "sh"], &["ttyd", "-c", "***", "sh"]),
            (&["redis-cli", "-a", "s3cret"], &["redis-cli", "-a", "***"]),
        ] {
            assert_eq!(masked(from), to);
        }
        for (from, to) in [
            ("https://me:s3cret@host/p?q=1", "https://me:***@host/p?q=1"),
            ("https://s3cret@host/", "https://***@host/"),
            ("https://host/?token=s3cret&a=b", "https://host/?token=***&a=b"),
            ("https://host/x;token=s3cret", "https://host/x;token=***"),
            ("https://host/#access_token=s3cret", "https://host/#access_token=***"),
            ("Authorization: Bearer s3cret", "Authorization: ***"),
            ("postgres://u:p%40w@db:5432/x", "postgres://u:***@db:5432/x"),
            ("user:s3cret@tcp(h)/db", "user:***@tcp(h)/db"),
            ("me:s3cret@/", "me:***@/"),
            ("--user=me:s3cret", "--user=me:***"),
            ("--opt=password=s3cret", "--opt=password=***"),
            ("-Ddb.pwd=s3cret", "-Ddb.pwd=***"),
            ("{\"password\":\"s3cret\",\"a\":\"b\"}", "{\"password\":\"***\",\"a\":\"b\"}"),
            ("ghp_0123456789abcdefghij0123", "ghp_***"),
            ("x ghp_0123456789abcdefghij0123 y", "x ghp_*** y"),
            ("--private-key=-----BEGIN", "--private-key=***"),
            ("a://u:s3cret@h b://v:s3cret@i", "a://u:***@h b://v:***@i"),
            ("gunicorn app --password=s3cret", "gunicorn app --password=***"),
            ("PASSWORD=s3cret exec busybox httpd", "PASSWORD=*** exec busybox httpd"),
            ("export TOKEN=s3cret; nginx", "export TOKEN=*** nginx"),
            ("curl -H 'Authorization: Bearer s3cret' x", "curl -H 'Authorization: ***' x"),
            ("curl -u me:s3cret x", "curl -u me:*** x"),
            ("x --token 's3cret' y", "x --token '***' y"),
        ] {
            let got = text(from);
            assert!(!got.contains("s3cret"), "{from} became {got}");
            assert!(got == to || from.contains("; nginx"), "{from} became {got}, not {to}");
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
            "-Dcatalina.base=/x",
            "a=b",
            "ski-lift",
            "=",
            ":",
            "git@host:group/project",
            "exec nginx -g 'daemon off;'",
            "a  b\tc\nd",
            "'",
            "\" \"",
            "; ;",
            "TCP-LISTEN:80,fork",
            "for i in 1 2; do echo $i; done",
        ] {
            assert_eq!(text(arg), arg);
        }
        assert_eq!(masked(&["x", "--token", "--other"]), ["x", "--token", "--other"]);
        assert_eq!(masked(&["password", "x"]), ["password", "x"]);
        assert_eq!(masked(&["x", "-p", "80", "-a", "b"]), ["x", "-p", "80", "-a", "b"]);
    }

    #[test]
    fn a_text_of_any_length_is_masked() {
        let long = "a=".repeat(1 << 18);
        assert_eq!(text(&long), long);
        assert_eq!(text(&format!("{long}password=s3cret")), format!("{long}password=***"));
        let long = "a=b ".repeat(1 << 18);
        assert_eq!(text(&format!("{long}--token s3cret")), format!("{long}--token ***"));
    }
}
