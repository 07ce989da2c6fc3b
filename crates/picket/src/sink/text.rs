//! Records for a person at three in the morning: what, where, who started it; then the chain of
//! processes, why it is thought so, what it implies here, and what to do.

mod incident;

use std::fmt::Write as _;

use detect::catalogue::UNKNOWN;
use detect::engine::socket;
use event::{Ancestor, Coverage, Detection, Event, Record, ServerInfo, Severity, Update};

use rustix::fd::BorrowedFd;

use crate::escape::terminal as safe;

/// Width where the terminal's is not known, and the widest that is pleasant to read.
const WIDTH: usize = 100;
const LABEL: usize = 9;

/// How text is drawn.
pub(crate) struct Text {
    colour: bool,
    width: usize,
}

impl Text {
    /// Colour only on a terminal, and not where `NO_COLOR` is set.
    pub(crate) fn new(out: BorrowedFd<'_>) -> Self {
        let terminal = rustix::termios::isatty(out);
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let columns = rustix::termios::tcgetwinsize(out).map_or(0, |size| usize::from(size.ws_col));
        Self {
            colour: terminal && !no_colour && !dumb,
            width: if columns == 0 { WIDTH } else { columns.clamp(40, WIDTH) },
        }
    }

    /// A record as text, ending with a line break.
    pub(crate) fn record(&self, record: &Record) -> String {
        match record {
            Record::Detection(detection) => self.detection(detection),
            Record::Update(update) => self.update(update),
            Record::Coverage(coverage) => self.coverage(coverage),
            Record::Response(response) => {
                format!("response {}: {}\n", safe(&response.action), safe(&response.outcome))
            }
            Record::Event(event) => self.event(event),
        }
    }

    fn detection(&self, d: &Detection) -> String {
        let mut out = String::new();
        let level = d.severity.to_string().to_uppercase();
        let time = d.time.to_string();
        let headline = headline(d);
        let clock = time.get(11..19).unwrap_or_default();
        let _ =
            writeln!(out, "{} {} {}", clock, self.level(d.severity, &level), self.bold(&headline));

        let p = &d.process;
        let user = p.user.as_ref().map_or_else(|| format!("uid {}", p.uid), |user| safe(user));
        let mut file = safe(&p.exe.path);
        if p.exe.memfd {
            file.push_str(" (in memory only)");
        } else if p.exe.deleted {
            file.push_str(" (deleted)");
        }
        if let Some(package) = &p.exe.package {
            let _ = write!(file, " ({})", safe(package));
        }
        self.field(&mut out, "what", &format!("{file}, pid {}, as {user}", p.pid));
        let args: Vec<String> = p.args.iter().map(|a| quoted(a)).collect();
        let more = if p.args_truncated { " … (cut)" } else { "" };
        self.field(&mut out, "command", &format!("{}{more}", cut(&args.join(" "))));
        let cwd = p.cwd.as_ref().map_or_else(String::new, |cwd| format!(" in {}", safe(cwd)));
        self.field(&mut out, "where", &format!("{}{cwd}, {}", safe(&d.host), d.environment));
        if let Some(ci) = &d.ci {
            let facts =
                [&ci.repository, &ci.workflow, &ci.job, &ci.step, &ci.r#ref, &ci.sha, &ci.actor];
            let mut facts: Vec<String> = facts.into_iter().flatten().map(|f| safe(f)).collect();
            facts.extend(ci.attempt.as_ref().map(|attempt| format!("attempt {}", safe(attempt))));
            let claimed = if ci.claimed { " (it says so itself)" } else { "" };
            let facts = format!("{}: {}{claimed}", safe(&ci.provider), facts.join(", "));
            self.field(&mut out, "pipeline", &facts);
        }
        let own = Ancestor { pid: p.pid, comm: p.comm.clone(), alive: true, ..Ancestor::default() };
        let chain: Vec<String> = d.ancestry.iter().rev().chain([&own]).map(link).collect();
        let above = if d.ancestry_truncated { "… (cut) → " } else { "" };
        self.field(&mut out, "chain", &format!("{above}{}", chain.join(" → ")));
        if let Some(server) = &d.server {
            let sign = |e: &event::Evidence| {
                if e.agrees { safe(&e.detail) } else { format!("but {}", safe(&e.detail)) }
            };
            let evidence: Vec<String> = server.evidence.iter().map(sign).collect();
            let why = format!("{} ({})", evidence.join("; "), server.confidence);
            self.field(&mut out, if is_server(d) { "why" } else { "server" }, &why);
        }
        let reasons: Vec<String> = d.reasons.iter().map(|r| safe(r)).collect();
        self.field(&mut out, "severity", &format!("{}: {}", d.severity, reasons.join("; ")));
        if let Some(baseline) = &d.baseline {
            let key = match baseline.key.as_str() {
                "" => String::new(),
                key => format!(", key {}", safe(key)),
            };
            let seen = baseline.seen;
            self.field(
                &mut out,
                "baseline",
                &format!("{}, seen {seen} times before{key}", safe(&baseline.status)),
            );
        }
        for technique in &d.attack.techniques {
            self.field(
                &mut out,
                "ATT&CK",
                &format!("possible {} {}", technique.id, technique.name),
            );
        }
        self.field(&mut out, "implies", &safe(&d.guidance.implication));
        for (i, action) in d.guidance.actions.iter().enumerate() {
            let label = if i == 0 { "do" } else { "" };
            self.field(&mut out, label, &format!("{}. {}", i + 1, safe(action)));
        }
        self.field(&mut out, "id", &format!("{} {time}", d.id));
        out.push('\n');
        out
    }

    fn update(&self, u: &Update) -> String {
        if let Some(incident) = &u.incident {
            return self.incident(u, incident);
        }
        let at: Vec<String> = u.listen.iter().map(|l| socket(&safe(&l.address), l.port)).collect();
        let reasons: Vec<String> = u.reasons.iter().map(|r| safe(r)).collect();
        let time = u.time.to_string();
        let clock = time.get(11..19).unwrap_or_default();
        let who = u.server.as_ref().map_or_else(String::new, |server| {
            format!("{} {}: ", called(server), server.confidence)
        });
        let what = format!("{who}{}", reasons.join("; "));
        let mut out =
            format!("{clock} {} {}\n", self.level(Severity::Info, "UPDATE"), self.bold(&what));
        self.field(&mut out, "listens", &at.join(", "));
        self.field(&mut out, "id", &u.id);
        out.push('\n');
        out
    }

    fn coverage(&self, c: &Coverage) -> String {
        let time = c.time.to_string();
        let clock = time.get(11..19).unwrap_or_default();
        let mut out = format!("{clock} coverage {}, {} executions seen", c.state, c.seen);
        if !c.lost.is_zero() {
            let _ = write!(
                out,
                "; lost {} in the kernel, {} in the queue, {} on the way out, {} unread, between {} \
                 and {}",
                c.lost.kernel, c.lost.queue, c.lost.sink, c.lost.unread, c.window.from, c.window.to
            );
        }
        for reason in &c.reasons {
            let _ = write!(out, "; {}", safe(reason));
        }
        out.push('\n');
        out
    }

    fn event(&self, event: &Event) -> String {
        let time = event.time().to_string();
        let clock = time.get(11..29).unwrap_or_default();
        match event {
            Event::Exec { exec, .. } => {
                let args: Vec<String> = exec.process.args.iter().map(|a| quoted(a)).collect();
                let p = &exec.process;
                format!("{clock} exec {} {} {}\n", p.pid, safe(&p.exe.path), cut(&args.join(" ")))
            }
            Event::Listen { listen, .. } => {
                let at = socket(&safe(&listen.listener.address), listen.listener.port);
                format!("{clock} listen {} {} {at}\n", listen.pid, safe(&listen.comm))
            }
            Event::Behaviour { behaviour, .. } => {
                let p = &behaviour.exec.process;
                let at = &behaviour.listener;
                let at = socket(&safe(&at.address), at.port);
                let what = match &behaviour.answered {
                    Some(protocol) => format!("answers {}", safe(protocol)),
                    None => format!("{} servers in its memory", behaviour.mapped.len()),
                };
                format!("{clock} behaviour {} {} {at} {what}\n", p.pid, safe(&p.exe.path))
            }
            Event::Connect { connect, .. } => {
                let to = socket(&safe(&connect.peer.address), connect.peer.port);
                let what = match (connect.bytes_sent, connect.bytes_received) {
                    (Some(sent), Some(received)) => {
                        format!(" ended: {sent} sent, {received} received")
                    }
                    _ => String::new(),
                };
                format!("{clock} connect {} {} {to}{what}\n", connect.pid, safe(&connect.comm))
            }
        }
    }

    /// A label and a text, wrapped and indented.
    /// A fact with its label, in as many lines as it takes. What is hostile in it was made visible.
    pub(crate) fn field(&self, out: &mut String, label: &str, text: &str) {
        let room = self.width.saturating_sub(LABEL + 2).max(20);
        for (i, line) in wrap(text, room).iter().enumerate() {
            let label = if i == 0 { label } else { "" };
            let _ = writeln!(out, "  {}{line}", self.dim(&format!("{label:<LABEL$}")));
        }
    }

    fn level(&self, severity: Severity, word: &str) -> String {
        let code = match severity {
            Severity::Critical => "1;97;41",
            Severity::High => "1;31",
            Severity::Medium => "33",
            Severity::Low | Severity::Info => "36",
        };
        self.paint(code, word)
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// An argument as a person would type it.
fn quoted(arg: &str) -> String {
    let text = safe(arg);
    let plain = |c: char| c.is_alphanumeric() || "_-./:=,@+%*~!^".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Whether what was detected is a web server itself; else it runs below one, or has none to do with.
fn is_server(d: &Detection) -> bool {
    d.below.is_none() && d.server.is_some()
}

/// What happened, in a line.
pub(crate) fn headline(d: &Detection) -> String {
    let (host, by) = (safe(&d.host), safe(&d.launcher.detail));
    let program = safe(d.process.exe.path.rsplit('/').next().unwrap_or_default());
    let server = match (&d.server, &d.below) {
        (Some(server), None) => server,
        (Some(server), Some(below)) => {
            let server = called(server);
            let what = safe(&d.recipe.description);
            return format!("{what}: {program} below {server} ({}) on {host}", below.pid);
        }
        (None, _) => {
            return format!("{}: {program} on {host} by {by}", safe(&d.recipe.description));
        }
    };
    let verb = match server.purpose {
        event::Purpose::Serve if d.seeded => "ran already, started",
        event::Purpose::Serve => "started",
        event::Purpose::Manage => "invoked, not to serve,",
        event::Purpose::Unknown => "executed",
    };
    let disguise = if server.masquerade { ", under a false name," } else { "" };
    // The usual recipe says no more than that.
    let own = if d.recipe.name == "webserver_exec" {
        String::new()
    } else {
        format!("{}: ", safe(&d.recipe.description))
    };
    format!("{own}{} {verb}{disguise} on {host} by {by}", called(server))
}

/// What a server is called, with its version where that is known.
pub(crate) fn called(server: &ServerInfo) -> String {
    let name = if server.name == UNKNOWN { "unknown web server" } else { &server.name };
    let version = server.version.as_ref().map_or_else(String::new, |v| format!(" {}", safe(v)));
    format!("{}{version}", safe(name))
}

fn link(ancestor: &Ancestor) -> String {
    let gone = if ancestor.alive { "" } else { ", gone" };
    format!("{} ({}{gone})", safe(&ancestor.comm), ancestor.pid)
}

/// Commands can be thousands of characters long.
fn cut(text: &str) -> String {
    const MOST: usize = 600;
    match text.char_indices().nth(MOST) {
        None => text.to_owned(),
        Some((at, _)) => format!("{} … ({} more bytes)", &text[..at], text.len() - at),
    }
}

/// Lines of at most `room` characters, broken at blanks; a longer word is broken anywhere.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        if used > 0 && used + 1 + word.len() > room {
            lines.push(String::new());
            used = 0;
        }
        if used > 0 {
            if let Some(line) = lines.last_mut() {
                line.push(' ');
            }
            used += 1;
        }
        while word.len() > room - used {
            let rest = word.split_off(room - used);
            if let Some(line) = lines.last_mut() {
                line.extend(&word);
            }
            lines.push(String::new());
            used = 0;
            word = rest;
        }
        used += word.len();
        if let Some(line) = lines.last_mut() {
            line.extend(&word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_and_long_lines_are_broken() {
        assert_eq!(wrap("a bb ccc", 4), ["a bb", "ccc"]);
        assert_eq!(wrap("abcdefgh i", 4), ["abcd", "efgh", "i"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn arguments_are_quoted_and_safe() {
        assert_eq!(quoted("daemon off;"), "'daemon off;'");
        assert_eq!(quoted("\x1b]0;x\x07"), "'\\x1b]0;x\\x07'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("-g"), "-g");
    }
}
