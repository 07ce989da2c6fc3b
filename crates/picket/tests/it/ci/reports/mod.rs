//! Reports in files: those of real runs are valid, by validators that nobody here wrote, and broken ones
//! are not. What such a validator does not look at is looked at here.

mod bench;
mod broken;
mod validators;

use std::fs;
use std::path::Path;
use std::process::Command;

use libtest_mimic::Trial;
use serde_json::{Value, json};

use self::bench::{Bench, OPTIONS, done};
use self::validators::Questions;
use super::media::HOSTILE;
use super::{err, until_it_listens};
use crate::harness::{free_port, outside_ci, picket, trial};

pub(super) fn trials() -> Vec<Trial> {
    vec![
        trial("root::ci::reports_are_valid_and_broken_ones_are_not", valid),
        trial("root::ci::a_file_that_was_not_made_is_not_attested", never_made),
        trial("ci::reports_that_cannot_be_made_are_said_before_anything_runs", refused),
    ]
}

/// Three runs, whose reports the validators are then asked about together: each takes its time to start.
fn valid() {
    let mut questions = Questions::default();
    let benches = [found(), clean(), blind()];
    for bench in &benches {
        bench.reports_are_valid(&mut questions);
    }
    broken::all(&benches[0], &benches[1], &mut questions);
    questions.ask();
}

/// A server with hostile arguments.
fn found() -> Bench {
    let bench = Bench::new(&["-algorithm", "ed25519"]);
    bench.git(&["init", "-q"]);
    bench.git(&["commit", "-q", "--allow-empty", "-m", "one"]);
    let port = free_port();
    let script = format!(
        "python3 -m http.server --bind 127.0.0.1 {port} --directory \"$0\" >/dev/null 2>&1 & \
         {}; kill $!; exit 0",
        until_it_listens(port)
    );
    let mut command = picket();
    bench.all(&mut command).args(["--", "sh", "-c", &script, HOSTILE]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_REPOSITORY", "octo/cat");
    let out = command.env("GITHUB_RUN_ID", "77").output().unwrap();
    assert_eq!(out.status.code(), Some(80), "{}", err(&out));

    let sarif = bench.json("sarif");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "webserver_exec");
    assert_eq!(result["properties"]["server"], "python-http-server");
    assert_eq!(result["taxa"][0]["id"], "T1104");
    let steps = result["codeFlows"][0]["threadFlows"][0]["locations"].as_array().unwrap();
    let step = |at: usize| &steps[at]["location"]["logicalLocations"][0]["name"];
    assert_eq!((steps.len(), step(0), step(1)), (2, &json!("sh"), &json!("python3")));

    let statement = bench.statement();
    let commit = bench.git(&["rev-parse", "HEAD"]);
    let subject = json!([{"name": "octo/cat", "digest": {"gitCommit": commit}}]);
    assert_eq!(statement["subject"], subject);
    let process = &statement["predicate"]["monitoredProcess"];
    assert_eq!(process["event"], "https://github.com/octo/cat/actions/runs/77/attempts/1");
    let log = &statement["predicate"]["monitorLog"];
    assert_eq!(log["process"][0]["eventType"], "command");
    let last = log["process"].as_array().unwrap().last().unwrap();
    assert_eq!(last["detection"]["server"]["name"], "python-http-server");
    // What runs the test is none of the report's business.
    let kinds: Vec<&Value> =
        log["process"].as_array().unwrap().iter().map(|process| &process["eventType"]).collect();
    assert_eq!(kinds, ["command", "parent", "detection"]);
    let listener = &log["network"][0];
    assert_eq!((&listener["ip"], &listener["port"]), (&json!("127.0.0.1"), &json!(port)));
    let mut files = log["fileAccess"].as_array().unwrap().iter();
    let program = files.find(|file| file["name"] == last["processBinary"]).unwrap();
    let digest = sha256(Path::new(last["processBinary"].as_str().unwrap()));
    assert_eq!(program["digest"]["sha256"], digest);
    bench
}

/// Nothing was found. What is attested is a file that the command makes, with a key of another kind.
fn clean() -> Bench {
    let bench = Bench::new(&["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    fs::write(bench.file("sarif"), "before").unwrap();
    let mut command = picket();
    let options = ["--attest-subject", "made", "--", "sh", "-c", "echo made >made"];
    let out = bench.all(&mut command).args(options).output().unwrap();
    assert_eq!(out.status.code(), Some(0), "{}", err(&out));
    assert_eq!(bench.json("sarif")["runs"][0]["results"], json!([]));
    let statement = bench.statement();
    let digest = sha256(&bench.repository().join("made"));
    assert_eq!(statement["subject"], json!([{"name": "made", "digest": {"sha256": digest}}]));
    let log = &statement["predicate"]["monitorLog"];
    assert_eq!(log["process"].as_array().unwrap().len(), 1, "{log:#}");
    bench
}

/// Nothing could be seen, and the reports say so.
fn blind() -> Bench {
    let bench = Bench::new(&["-algorithm", "ed25519"]);
    let mut command = outside_ci("setpriv");
    command.args(["--bounding-set=-all", "--inh-caps=-all", env!("CARGO_BIN_EXE_picket")]);
    fs::write(bench.repository().join("x"), "x").unwrap();
    bench.all(&mut command).args(["--attest-subject", "x", "--", "true"]);
    let out = command.output().unwrap();
    assert_eq!(out.status.code(), Some(81), "{}", err(&out));
    let invocation = &bench.json("sarif")["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    assert_eq!(bench.json("sast.json")["scan"]["status"], "failure");
    assert_eq!(bench.json("quality.json")[0]["check_name"], "no_evidence");
    let junit = fs::read_to_string(bench.file("junit.xml")).unwrap();
    assert!(junit.contains(" errors=\"1\""), "{junit}");
    assert_eq!(bench.statement()["predicate"]["picketResult"]["evidence"], false);
    bench
}

fn sha256(path: &Path) -> String {
    let out = String::from_utf8(done(Command::new("sha256sum").arg(path)).stdout).unwrap();
    out.split(' ').next().unwrap().to_owned()
}

/// The other reports are written all the same.
fn never_made() {
    let bench = Bench::new(&["-algorithm", "ed25519"]);
    let mut command = picket();
    bench.all(&mut command).args(["--attest-subject", "never-made", "--", "true"]);
    let out = command.output().unwrap();
    assert_eq!(out.status.code(), Some(1), "{}", err(&out));
    assert!(err(&out).contains("cannot read never-made, to attest it"), "{}", err(&out));
    assert!(!bench.file("attestation.json").exists() && bench.file("sarif").exists());
    // Nothing but the reports is left where they are.
    for entry in fs::read_dir(bench.file("")).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(!name.to_string_lossy().starts_with('.'), "{name:?} is left");
    }
}

fn refused() {
    let bench = Bench::new(&["-algorithm", "ed25519"]);
    let mark = bench.file("ran");
    let refused = |options: &[&str], code: i32, why: &str| {
        let mut command = picket();
        command.arg("ci").args(options).arg("--").arg("touch").arg(&mark);
        let out = command.current_dir(bench.repository()).output().unwrap();
        assert_eq!(out.status.code(), Some(code), "{options:?}: {}", err(&out));
        assert!(err(&out).contains(why), "{options:?}: {}", err(&out));
        assert!(!mark.exists(), "the command ran");
    };
    let (key, public, out) = (bench.file("key.pem"), bench.file("public.pem"), bench.file("out"));
    let [key, public, out] = [&key, &public, &out].map(|path| path.to_str().unwrap());
    for (option, _) in OPTIONS {
        let mut options = vec![option, "/no/such/directory/file"];
        if option == "--attest" {
            options.extend(["--attest-key", key]);
        }
        refused(&options, 1, "/no/such/directory/file: name another file");
    }
    let with_key = |key| ["--attest", out, "--attest-key", key];
    refused(&["--attest", out], 2, "--attest-key");
    refused(&with_key("/no/such/key"), 1, "cannot use the key /no/such/key");
    refused(&with_key(public), 1, "openssl genpkey");
    // There is no repository here.
    refused(&with_key(key), 1, "--attest-subject");
    assert!(!Path::new(out).exists());
}
