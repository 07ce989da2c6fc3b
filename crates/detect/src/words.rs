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

// Two-pointer matching: when something does not fit, only the last star of each kind is tried on, for
// whatever an earlier one could do, the last one can do as well. No recursion: neither a hostile
// name nor a strange pattern can make it slow.
fn glob_bytes(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // What follows the star in the pattern, and where in the text it was last tried.
    let mut shallow: Option<(usize, usize)> = None;
    let mut deep: Option<(usize, usize, bool)> = None;
    loop {
        if pattern.get(p) == Some(&b'*') {
            if pattern.get(p + 1) == Some(&b'*') {
                // "**/" is directories, or none at all: what follows begins where a name begins.
                let begins = p == 0 || pattern[p - 1] == b'/';
                let whole_names = begins && pattern.get(p + 2) == Some(&b'/');
                p += if whole_names { 3 } else { 2 };
                deep = Some((p, t, whole_names));
                shallow = None;
            } else {
                p += 1;
                shallow = Some((p, t));
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
        if let Some((rp, rt)) = shallow.filter(|&(_, rt)| rt < text.len() && text[rt] != b'/') {
            shallow = Some((rp, rt + 1));
            (p, t) = (rp, rt + 1);
            continue;
        }
        let further = deep.and_then(|(rp, rt, whole_names)| {
            let skipped = text[rt..].iter().position(|b| !whole_names || *b == b'/')?;
            Some((rp, rt + skipped + 1, whole_names))
        });
        let Some((rp, rt, _)) = further else {
            return false;
        };
        deep = further;
        shallow = None;
        (p, t) = (rp, rt);
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

    /// What a glob means, one byte after the other.
    fn meaning(pattern: &[u8], text: &[u8], begins: bool) -> bool {
        match pattern {
            [b'*', b'*', b'/', rest @ ..] if begins => {
                let dirs = (0..text.len()).filter(|&i| text[i] == b'/');
                meaning(rest, text, true)
                    || dirs.into_iter().any(|i| meaning(rest, &text[i + 1..], true))
            }
            [b'*', b'*', rest @ ..] => (0..=text.len()).any(|i| meaning(rest, &text[i..], false)),
            [b'*', rest @ ..] => (0..=text.len())
                .take_while(|&i| !text[..i].contains(&b'/'))
                .any(|i| meaning(rest, &text[i..], false)),
            [byte, rest @ ..] => {
                text.first() == Some(byte) && meaning(rest, &text[1..], *byte == b'/')
            }
            [] => text.is_empty(),
        }
    }

    /// All words of these letters, up to this length.
    fn words(letters: &[u8], longest: u32) -> Vec<Vec<u8>> {
        let mut all = vec![Vec::new()];
        for _ in 0..longest {
            let more: Vec<Vec<u8>> = all
                .iter()
                .flat_map(|word: &Vec<u8>| {
                    letters.iter().map(|l| [word.as_slice(), &[*l]].concat())
                })
                .collect();
            all.extend(more);
            all.sort_unstable();
            all.dedup();
        }
        all
    }

    #[test]
    fn globs_match_what_they_mean() {
        let texts = words(b"a/", 6);
        for pattern in words(b"a/*", 6) {
            for text in &texts {
                assert_eq!(
                    glob_bytes(&pattern, text),
                    meaning(&pattern, text, true),
                    "{} {}",
                    String::from_utf8_lossy(&pattern),
                    String::from_utf8_lossy(text)
                );
            }
        }
    }

    #[test]
    fn no_pattern_is_slow() {
        let text = "a/".repeat(2000);
        assert!(!glob(&format!("{}z", "**/a/".repeat(40)), &text));
        assert!(!glob(&format!("{}z", "**a*/".repeat(40)), &text));
        assert!(!glob(&format!("{}z", "*a".repeat(40)), &"a".repeat(4000)));
        assert!(glob(&"**/".repeat(1 << 20), ""));
    }
}
