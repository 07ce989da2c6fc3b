//! Against sockets of this test's own: what real engines say is tested with real engines.

use std::os::unix::net::UnixListener;
use std::thread;

use super::*;

const ID: &str = "3726184226f5d3147c25fdeab5b60097e378e8a720503a5e19ecfb8a1d2c3f40";

/// Asks a socket behind which somebody reads the question and then does as told.
fn with(answer: impl FnOnce(&mut UnixStream) + Send + 'static) -> (Result<Named, Failure>, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut question = [0; 1024];
        let got = stream.read(&mut question).unwrap();
        answer(&mut stream);
        String::from_utf8(question[..got].to_vec()).unwrap()
    });
    let result = inspect(&path, ID);
    (result, server.join().unwrap())
}

fn says(text: &str) -> Result<Named, Failure> {
    let text = text.to_owned();
    with(move |stream| {
        // The other side may have had enough.
        let _ = stream.write_all(text.as_bytes());
    })
    .0
}

fn ok(body: &str) -> String {
    format!("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{body}")
}

fn full() -> String {
    format!(
        r#"{{"Id": "{ID}", "Name": "/web", "Image": "sha256:1", "Config": {{"Image": "nginx:1.27", "Labels": {{}}}}}}"#
    )
}

#[test]
fn a_question_and_an_answer() {
    let answer = ok(&full());
    let (named, question) = with(move |stream| stream.write_all(answer.as_bytes()).unwrap());
    let named = named.unwrap();
    assert_eq!((named.image.as_deref(), named.name.as_deref()), (Some("nginx:1.27"), Some("web")));
    assert_eq!(question, format!("GET /containers/{ID}/json HTTP/1.0\r\nHost: picket\r\n\r\n"));
    let pod = ok(&full().replace(
        r#""Labels": {}"#,
        r#""Labels": {"io.kubernetes.container.name": "web-1", "io.kubernetes.pod.name": "web-7d4b9",
            "io.kubernetes.pod.namespace": "shop"}"#,
    ));
    let named = says(&pod).unwrap();
    assert_eq!(named.name.as_deref(), Some("web-1"));
    assert_eq!(named.pod_name.as_deref(), Some("web-7d4b9"));
    assert_eq!(named.pod_namespace.as_deref(), Some("shop"));
    assert!(says(&ok(&full().replace(r#""Labels": {}"#, r#""Labels": null"#))).is_ok());
}

#[test]
fn what_is_not_in_form_is_no_answer() {
    let other = ok(&full().replace(ID, &"0".repeat(64)));
    assert_eq!(says(&other), Err(Failure::Unknown));
    let gone = "HTTP/1.0 404 Not Found\r\n\r\n{\"message\": \"No such container\"}";
    assert_eq!(says(gone), Err(Failure::Unknown));
    for text in [
        String::new(),
        "HTTP/1.0 200 OK".to_owned(),
        "HTTP/1.0 200 OK\r\n\r\n".to_owned(),
        "SSH-2.0-x\r\n\r\n".to_owned(),
        "\r\n\r\n".to_owned(),
        "HTTP/1.1 500 x\r\n\r\n{}".to_owned(),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}", full()),
        format!("HTTP/9 200 OK\r\n\r\n{}", full()),
        ok("[1, 2"),
        ok(&"[".repeat(500_000)),
        ok(r#"{"Id": 7}"#),
        ok(&full()).replace("HTTP/1.0 200", "HTTP/1.0 \u{e9}"),
    ] {
        assert_eq!(says(&text), Err(Failure::Silent), "{text:.60}");
    }
}

#[test]
fn an_answer_that_says_its_length_needs_no_end() {
    let body = full();
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-LENGTH: {length}\r\n\r\n{body}");
    let begun = Instant::now();
    let (done, wait) = std::sync::mpsc::channel::<()>();
    let (named, _) = {
        let held = move |stream: &mut UnixStream| {
            stream.write_all(answer.as_bytes()).unwrap();
            // Nobody closes the connection while the answer is read.
            let kept = stream.try_clone().unwrap();
            thread::spawn(move || {
                let _ = wait.recv();
                drop(kept);
            });
        };
        with(held)
    };
    assert!(named.is_ok());
    assert!(begun.elapsed() < PATIENCE, "it waited for the end");
    drop(done);
}

#[test]
fn nobody_is_waited_for() {
    // It takes the question and says nothing; it says a byte now and then; it never stops.
    let silent: fn(&mut UnixStream) = |stream| {
        let _ = stream.read(&mut [0; 1]);
    };
    let slow: fn(&mut UnixStream) = |stream| {
        while stream.write_all(b"H").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    };
    let endless: fn(&mut UnixStream) = |stream| {
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n");
        while stream.write_all(&[b' '; 4096]).is_ok() {}
    };
    for bad in [silent, slow, endless] {
        let (result, _) = with(bad);
        assert_eq!(result, Err(Failure::Silent));
    }
}

#[test]
fn nobody_is_there() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(inspect(&dir.path().join("none"), ID), Err(Failure::Silent));
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert_eq!(inspect(&file, ID), Err(Failure::Silent));
    let path = dir.path().join("dead");
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(inspect(&path, ID), Err(Failure::Silent));
    // One that takes nobody in: those that wait fill its queue, and the next must not wait.
    let path = dir.path().join("full");
    let _listener = UnixListener::bind(&path).unwrap();
    let mut waiting = Vec::new();
    loop {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        if connect(&socket, &SocketAddrUnix::new(&path).unwrap()).is_err() {
            break;
        }
        waiting.push(socket);
        assert!(waiting.len() < 100_000, "the queue has no end");
    }
    assert_eq!(inspect(&path, ID), Err(Failure::Silent));
}
