//! Masking: the input is arguments, parted by NUL. A secret behind them must never show.

use detect::mask;

use super::parts;

const SECRET: &str = "s3cr3t-hunter2";

pub(super) fn run(data: &[u8]) {
    let args = parts(data);
    let masked = mask::arguments(&args);
    assert_eq!(args.len(), masked.len());
    for arg in &args {
        mask::text(arg);
    }
    let whole = args.join(" ");
    if whole.contains(SECRET) {
        return;
    }
    let mut known = args;
    known.push("x".to_owned());
    known.extend([format!("--password={SECRET}"), "--token".to_owned(), SECRET.to_owned()]);
    let masked = mask::arguments(&known);
    assert_eq!(masked[masked.len() - 3..], ["--password=***", "--token", "***"]);
    for behind in [
        format!("--password={SECRET}"),
        format!("https://me:{SECRET}@host/"),
        format!("https://host/?token={SECRET}"),
        format!("x --token {SECRET}"),
    ] {
        let text = format!("{whole} {behind}");
        let masked = mask::text(&text);
        assert!(!masked.contains(SECRET), "{text:?} became {masked:?}");
    }
}
