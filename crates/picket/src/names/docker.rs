//! What docker and podman say of a container, over their socket.
//!
//! One question and one answer, in HTTP/1.0, so that the answer comes in one piece. Whoever answers
//! has so much time and so many bytes, and no more.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use serde::Deserialize;

use super::{Named, Notes, text};

/// For all of it.
const PATIENCE: Duration = Duration::from_secs(2);
/// What an engine says of a container is some thousand bytes.
const MOST: usize = 1 << 20;

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// There is nobody, or nobody that answers in time and in form.
    Silent,
    /// It knows no such container.
    Unknown,
}

/// What the engine behind a socket calls a container.
pub(super) fn inspect(socket: &Path, id: &str) -> Result<Named, Failure> {
    let request = format!("GET /containers/{id}/json HTTP/1.0\r\nHost: picket\r\n\r\n");
    let answer = ask(socket, request.as_bytes()).map_err(|_| Failure::Silent)?;
    let body = body(&answer)?;
    let inspected: Inspected = serde_json::from_slice(body).map_err(|_| Failure::Silent)?;
    if inspected.id != id {
        return Err(Failure::Unknown);
    }
    let own = Named {
        image: inspected.config.image.as_deref().and_then(text),
        name: inspected.name.as_deref().and_then(|name| text(name.trim_start_matches('/'))),
        ..Named::default()
    };
    // In Kubernetes the name within the pod says more than the long one made of it.
    Ok(inspected.config.labels.unwrap_or_default().named().or(own))
}

#[derive(Deserialize)]
struct Inspected {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "Name", default)]
    name: Option<String>,
    #[serde(rename = "Config")]
    config: Settings,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(rename = "Image", default)]
    image: Option<String>,
    #[serde(rename = "Labels", default)]
    labels: Option<Notes>,
}

fn ask(path: &Path, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let deadline = Instant::now() + PATIENCE;
    // Connecting waits when too many others do, unless it is told not to.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    let mut stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let got = stream.read(&mut buffer)?;
        if got == 0 || whole(&answer) {
            return Ok(answer);
        }
        answer.extend_from_slice(&buffer[..got]);
        if answer.len() > MOST {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        if whole(&answer) {
            return Ok(answer);
        }
    }
}

/// The head of an answer, and where its body begins.
fn head(answer: &[u8]) -> Option<(&str, usize)> {
    let end = memchr::memmem::find(answer, b"\r\n\r\n")?;
    Some((std::str::from_utf8(&answer[..end]).ok()?, end + 4))
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Whether all of an answer is there, where it says how long it is.
fn whole(answer: &[u8]) -> bool {
    let Some((head, begin)) = head(answer) else { return false };
    let length = field(head, "content-length").and_then(|length| length.parse::<usize>().ok());
    length.is_some_and(|length| answer.len() - begin >= length)
}

fn body(answer: &[u8]) -> Result<&[u8], Failure> {
    let (head, begin) = head(answer).ok_or(Failure::Silent)?;
    let mut first = head.lines().next().unwrap_or_default().split(' ');
    if !first.next().is_some_and(|version| version.starts_with("HTTP/1.")) {
        return Err(Failure::Silent);
    }
    match first.next() {
        // Pieces are not asked for, and not put together.
        Some("200") if field(head, "transfer-encoding").is_none() => Ok(&answer[begin..]),
        Some("404") => Err(Failure::Unknown),
        _ => Err(Failure::Silent),
    }
}

#[cfg(test)]
#[path = "docker/tests.rs"]
mod tests;
