//! The report in the XML of JUnit, which most runners show: each finding is a test, which failed if it
//! fails the run.

use std::fmt::Write as _;

use event::Stamp;

use super::bounded::fit;
use super::context::Context;
use super::identity::Group;
use super::report::Report;
use crate::escape::xml;
use crate::sink::text::headline;

/// A test.
struct Case {
    class: String,
    name: String,
    outcome: Outcome,
}

enum Outcome {
    Passed,
    /// What is wrong: in a word, in a line, and at length.
    Failed(String, String, Vec<String>),
    /// Nothing could be said.
    Broken(String),
}

impl Case {
    /// How much it is, as it is written.
    fn size(&self) -> usize {
        let mut out = String::new();
        write(&mut out, self);
        out.len()
    }
}

pub(super) fn render(report: &Report, context: &Context) -> Vec<u8> {
    let cases = cases(report, context);
    let count = |is: fn(&Outcome) -> bool| cases.iter().filter(|case| is(&case.outcome)).count();
    let failures = count(|outcome| matches!(outcome, Outcome::Failed(..)));
    let errors = count(|outcome| matches!(outcome, Outcome::Broken(_)));
    let (from, to) = context.window(report);
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let _ = writeln!(
        out,
        "<testsuite name=\"picket\" package=\"picket\" id=\"0\" tests=\"{}\" failures=\"{failures}\" \
         errors=\"{errors}\" time=\"{}\" timestamp=\"{}\" hostname=\"{}\">",
        cases.len(),
        seconds(from, to),
        super::context::to_the_second(from),
        xml(&context.host),
    );
    out.push_str("<properties>\n");
    for (name, value) in report.facts() {
        let _ = writeln!(out, "<property name=\"{}\" value=\"{}\"/>", xml(name), xml(&value));
    }
    let _ = writeln!(out, "<property name=\"exit code\" value=\"{}\"/>", report.verdict.code());
    out.push_str("</properties>\n");
    for case in &cases {
        write(&mut out, case);
    }
    let _ = writeln!(out, "<system-out>{}</system-out>", xml(&report.headline()));
    out.push_str("<system-err></system-err>\n</testsuite>\n</testsuites>\n");
    out.into_bytes()
}

fn cases(report: &Report, context: &Context) -> Vec<Case> {
    let seen = match report.gaps.as_slice() {
        [] => Outcome::Passed,
        gaps if report.rules.without_evidence_fails => Outcome::Broken(gaps.join("; ")),
        _ => Outcome::Passed,
    };
    let case =
        |name: &str, outcome| Case { class: "picket".to_owned(), name: name.to_owned(), outcome };
    let mut cases = vec![case("everything that was executed was seen", seen)];
    if report.found.is_empty() {
        cases.push(case("no web server is started", Outcome::Passed));
    }
    let groups = report.groups(context);
    let all = groups.iter().map(|group| (of(group, report, context), group.count));
    let (kept, left) = fit(all, |(case, _)| case.size());
    cases.extend(kept.into_iter().map(|(case, _)| case));
    if let Some(more) = report.unlisted(left.iter().map(|(_, count)| count).sum()) {
        let text = vec!["see the records for them".to_owned()];
        cases.push(case("and more", Outcome::Failed("unlisted".to_owned(), more, text)));
    }
    cases
}

fn of(group: &Group<'_>, report: &Report, context: &Context) -> Case {
    let d = &group.first.detection;
    let place = group.first.places().into_iter().next();
    let place = place.map(|place| {
        let line = place.line.map_or_else(String::new, |line| format!(":{line}"));
        format!("{}{line}", context.relative(&place.path))
    });
    let failed = d.severity >= report.rules.fail_on;
    let outcome = if failed {
        let mut text = vec![
            d.guidance.implication.clone(),
            format!("command: {}", d.process.args.join(" ")),
            format!("started by: {}", d.launcher.detail),
        ];
        text.extend(place.iter().map(|place| format!("where: {place}")));
        text.extend(d.guidance.actions.iter().map(|action| format!("do: {action}")));
        let line = format!("{}{}", headline(d), group.more());
        Outcome::Failed(d.severity.to_string(), line, text)
    } else {
        Outcome::Passed
    };
    // Runners follow a test by its name: nothing in it changes from run to run.
    let source = group.first.sources.first().map(|place| context.relative(&place.path).to_owned());
    let source = source.map_or_else(String::new, |source| format!(" from {source}"));
    let name = format!("{} is not started by {}{source}", group.first.program(), d.launcher.kind);
    Case { class: format!("picket.{}", d.recipe.name), name, outcome }
}

fn write(out: &mut String, case: &Case) {
    let head = format!(
        "<testcase classname=\"{}\" name=\"{}\" time=\"0\"",
        xml(&case.class),
        xml(&case.name)
    );
    let _ = match &case.outcome {
        Outcome::Passed => writeln!(out, "{head}/>"),
        Outcome::Failed(kind, line, text) => {
            // Each line is escaped for itself, so that they stay lines.
            let text: Vec<String> = text.iter().map(|line| xml(line)).collect();
            writeln!(
                out,
                "{head}>\n<failure type=\"{kind}\" message=\"{}\">{}</failure>\n</testcase>",
                xml(line),
                text.join("\n")
            )
        }
        Outcome::Broken(why) => writeln!(
            out,
            "{head}>\n<error type=\"no evidence\" message=\"{0}\">{0}</error>\n</testcase>",
            xml(why)
        ),
    };
}

fn seconds(from: Stamp, to: Stamp) -> String {
    let millis = (to.unix_nanos() - from.unix_nanos()).max(0) / 1_000_000;
    format!("{}.{:03}", millis / 1000, millis % 1000)
}
