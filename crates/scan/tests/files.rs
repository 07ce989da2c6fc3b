//! Every format in its provider's own syntax: the files below `tests/repository` start the servers that
//! `tests/expected.txt` lists, at these places, and no others.

use std::fs;
use std::path::{Path, PathBuf};

use detect::catalogue::Catalogue;
use scan::Kind;

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn catalogue() -> Catalogue {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../catalogue");
    let texts: Vec<(String, String)> = files(&dir)
        .iter()
        .map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap()))
        .collect();
    let (catalogue, errors) =
        Catalogue::parse(texts.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    assert!(errors.is_empty(), "{errors:?}");
    catalogue
}

#[test]
fn files_start_what_is_expected() {
    let catalogue = catalogue();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/repository");
    let mut lines = Vec::new();
    for file in files(&root) {
        let path = file.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        let Some(kind) = Kind::of(&path, &text) else {
            lines.push(format!("{path}: not read"));
            continue;
        };
        let found = scan::scan(&catalogue, kind, &text);
        lines.extend(
            found.unread.iter().map(|(at, why)| format!("{path}:{}:{}: {why}", at.line, at.column)),
        );
        for start in found.starts {
            let place: Vec<String> =
                start.place.iter().map(|part| format!("{} {}", part.kind, part.name)).collect();
            lines.push(format!(
                "{path}:{}:{}: {} {} [{}]",
                start.position.line,
                start.position.column,
                start.identity.server.name(),
                start.identity.purpose,
                place.join(", ")
            ));
        }
    }
    let expected = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected.txt");
    let got = lines.join("\n") + "\n";
    if std::env::var_os("PICKET_UPDATE").is_some() {
        fs::write(&expected, &got).unwrap();
    }
    let expected = fs::read_to_string(&expected).unwrap();
    for (got, expected) in got.lines().zip(expected.lines()) {
        assert_eq!(got, expected);
    }
    assert_eq!(got, expected);
}
