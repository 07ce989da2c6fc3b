//! Names and globs: small comparisons that the whole crate shares.

/// A base name without the version at its end: `php-fpm8.2` is `php-fpm`.
pub(crate) fn strip_version(name: &str) -> &str {
    let cut = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if cut.len() == name.len() {
        return name;
    }
    let cut = cut.trim_end_matches(['-', '_']);
    if cut.is_empty() { name } else { cut }
}

/// Whether a base name is the program that a pattern names, its version aside.
pub(crate) fn same_program(pattern: &str, name: &str) -> bool {
    pattern == name
        || strip_version(name) == pattern
        || (pattern.contains('*') && glob(pattern, name))
}

/// The last component of a path.
pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether text matches a glob: `*` is anything but a slash, `**` anything at all.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    glob_bytes(pattern.as_bytes(), text.as_bytes())
}

// Two-pointer matching, linear but for the last star: a hostile name cannot make it slow.
fn glob_bytes(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize, bool)> = None;
    let mut deep_retry: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            let deep = pattern.get(p + 1) == Some(&b'*');
            p += if deep { 2 } else { 1 };
            if deep {
                // "**/" also stands for no directory at all.
                if pattern.get(p) == Some(&b'/') && glob_bytes(&pattern[p + 1..], &text[t..]) {
                    return true;
                }
                deep_retry = Some((p, t));
                retry = None;
            } else {
                retry = Some((p, t, false));
            }
            continue;
        }
        if t < text.len() && p < pattern.len() && pattern[p] == text[t] {
            p += 1;
            t += 1;
            continue;
        }
        if t == text.len() && p == pattern.len() {
            return true;
        }
        if let Some((rp, rt, _)) = retry.filter(|&(_, rt, _)| rt < text.len() && text[rt] != b'/') {
            retry = Some((rp, rt + 1, false));
            (p, t) = (rp, rt + 1);
            continue;
        }
        if let Some((rp, rt)) = deep_retry.filter(|&(_, rt)| rt < text.len()) {
            deep_retry = Some((rp, rt + 1));
            retry = None;
            (p, t) = (rp, rt + 1);
            continue;
        }
        return false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_cut() {
        for (name, cut) in [
            ("php-fpm8.2", "php-fpm"),
            ("python3.11", "python"),
            ("apache2", "apache"),
            ("httpd-2.4", "httpd"),
            ("h2o", "h2o"),
            ("7", "7"),
            ("nginx", "nginx"),
        ] {
            assert_eq!(strip_version(name), cut, "{name}");
        }
    }

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("*", "abc", true),
            ("*", "a/c", false),
            ("**", "a/c", true),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("/opt/**/nginx", "/opt/a/b/nginx", true),
            ("/opt/**/nginx", "/opt/nginx", true),
            ("**/bin/x", "/usr/bin/x", true),
            ("**/bin/x", "/usr/bin/xy", false),
            ("ld-linux*.so*", "ld-linux-x86-64.so.2", true),
            ("-D*.base=*", "-Dcatalina.base=x", true),
            ("", "", true),
            ("", "a", false),
            ("**/m/*/z", "/m/m/q/z", true),
            ("*a*b", "xaxbxb", true),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
