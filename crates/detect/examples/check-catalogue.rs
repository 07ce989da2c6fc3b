#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "x")]
//! Loads every catalogue file, runs every sample, prints what is wrong.
fn main() {
    let mut files = Vec::new();
    for entry in std::fs::read_dir("catalogue").unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "yaml") {
            files.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    files.sort();
    let (catalogue, errors) =
        detect::catalogue::Catalogue::parse(files.iter().map(|(p, t)| (p.as_str(), t.as_str())));
    let (samples, failures) = catalogue.test_samples();
    for error in errors.iter().chain(&failures) {
        println!("{error}");
    }
    println!(
        "{} servers, {samples} samples, {} errors, {} failures",
        catalogue.servers.len(),
        errors.len(),
        failures.len()
    );
}
