//! What a script is to do: words of its text, where the catalogue knows them.

use event::{Sign, SignKind};

use super::{LARGEST_SCRIPT, Source};
use crate::catalogue::Catalogue;

/// Bytes of code up to which a script is taken for what its words say.
const SHORT: usize = 4096;

impl Catalogue {
    /// Servers whose code is in a script that a runtime was given: all words of one of their
    /// `code` lists are there, in lines that are not comments. Only in short scripts: a long one
    /// can serve as well, if it is asked to, and what it does will tell. And not the words of
    /// servers that are known by inline code alone: in a script they say less.
    pub fn script_signs(&self, runtime: &str, source: &mut dyn Source) -> Vec<Sign> {
        let len = usize::try_from(source.len().min(LARGEST_SCRIPT)).unwrap_or(0);
        let mut bytes = vec![0; len];
        let Ok(got) = source.read_at(0, &mut bytes) else { return Vec::new() };
        bytes.truncate(got);
        if bytes.contains(&0) {
            return Vec::new(); // an archive or compiled code, not a text
        }
        let text = without_comments(&String::from_utf8_lossy(&bytes), runtime);
        if text.len() > SHORT {
            return Vec::new();
        }
        let hosted =
            self.servers.iter().filter(|s| s.runtime.as_deref() == Some(runtime) && !s.is_inline());
        hosted
            .filter_map(|server| {
                let all = |words: &&Vec<String>| {
                    words.len() > 1 && words.iter().all(|w| text.contains(w.as_str()))
                };
                let words = server.code.iter().find(all)?;
                let quoted: Vec<String> = words.iter().map(|w| format!("{w:?}")).collect();
                Some(Sign {
                    kind: SignKind::Server,
                    name: server.name().to_owned(),
                    found: vec![format!("code with {}", quoted.join(" and "))],
                    version: None,
                })
            })
            .collect()
    }
}

/// The text without lines that are comments as a whole.
fn without_comments(text: &str, runtime: &str) -> String {
    let slashes = matches!(runtime, "node" | "deno" | "bun" | "php" | "java");
    let comment = |line: &&str| {
        let line = line.trim_start();
        line.starts_with('#') || slashes && line.starts_with("//")
    };
    text.lines().filter(|line| !comment(line)).fold(String::new(), |mut text, line| {
        text.push_str(line);
        text.push('\n');
        text
    })
}
