//! Command lines that nobody has run, seen through to the program behind them.
#![expect(clippy::unwrap_used, reason = "tests")]

use detect::catalogue::Catalogue;

fn catalogue() -> Catalogue {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../catalogue");
    let mut files: Vec<(String, String)> = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        files.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
    }
    files.sort();
    let (catalogue, errors) =
        Catalogue::parse(files.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    assert!(errors.is_empty(), "{errors:?}");
    catalogue
}

#[test]
fn command_lines_are_seen_through() {
    let catalogue = catalogue();
    for (line, expected) in [
        ("nohup nginx", "nginx serve"),
        ("sudo -u www nginx -t", "nginx manage"),
        ("env A=1 nice -n 5 setsid timeout -k 1 5 nginx", "nginx serve"),
        ("/lib64/ld-linux-x86-64.so.2 --argv0 x --library-path /y ./nginx", "nginx serve"),
        ("/lib64/ld-linux-x86-64.so.2 --list ./nginx", "-"),
        ("busybox httpd -f", "busybox-httpd serve"),
        ("busybox nohup httpd", "-"),
        ("sh -c exec\u{a0}nginx", "-"),
        ("python3 -m http.server 80", "python-http-server serve"),
        ("python3 -Bmhttp.server", "python-http-server serve"),
        ("python3 -c x -m http.server", "-"),
        ("python3 x.py -m http.server", "-"),
        ("npx http-server .", "node-http-server serve"),
        ("npm exec -- http-server", "node-http-server serve"),
        ("node /x/node_modules/.bin/http-server", "node-http-server serve"),
        ("gunicorn app:app", "gunicorn serve"),
        ("flask run", "werkzeug serve"),
        ("flask shell", "-"),
        ("php -S 127.0.0.1:80", "php-built-in-server serve"),
        ("php x.php -S 127.0.0.1:80", "-"),
        ("ruby -run -e httpd .", "webrick serve"),
        ("java -cp a org.apache.catalina.startup.Bootstrap start", "tomcat serve"),
        ("java -jar /usr/share/jetty9/start.jar", "jetty serve"),
        ("java X org.apache.catalina.startup.Bootstrap start", "-"),
        ("jwebserver -p 80", "jwebserver serve"),
        ("openssl s_server -accept 80 -WWW", "openssl-s-server serve"),
        ("openssl s_client -connect x:443", "-"),
        ("grep -r nginx", "-"),
        ("vim nginx.conf", "-"),
        ("docker run nginx", "-"),
    ] {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let program = catalogue.command_line(&words);
        let got = catalogue
            .identify_program(&program)
            .map_or("-".to_owned(), |i| format!("{} {}", i.server.name(), i.purpose));
        assert_eq!(got, expected, "{line}: {program:?}");
    }
}

#[test]
fn shell_text_is_read_to_its_first_command() {
    let catalogue = catalogue();
    for (text, expected) in [
        ("exec nginx -g 'daemon off;'", "nginx"),
        ("A=1 'nginx'", "nginx"),
        ("\"/usr/sbin/nginx\" && true", "nginx"),
        ("(nginx)", "nginx"),
        ("echo nginx", "-"),
        ("", "-"),
        ("'unfinished", "-"),
    ] {
        let words = ["sh", "-c", text].map(str::to_owned);
        let program = catalogue.command_line(&words);
        let identity = catalogue.identify_program(&program);
        assert_eq!(identity.map_or("-", |i| i.server.name()), expected, "{text}");
    }
}
