//! Commands that have others start something: container engines, service managers, remote shells, tools
//! that run several commands at once.

use crate::follow::joined;
use crate::text::Piece;

/// What a command asks for.
pub(crate) enum Ask {
    Nothing,
    /// For something that starts nothing, whatever its name says.
    Else,
    /// That a shell, somewhere else, runs this text.
    Text(Piece),
    /// That shells run these texts.
    Texts(Vec<Piece>),
    /// That this command is executed.
    Command(Vec<Piece>),
    /// That the service of this name is started.
    Service(String),
    /// That a container is started.
    Image {
        image: Piece,
        entrypoint: Option<Vec<Piece>>,
        command: Vec<Piece>,
    },
}

/// What the program of this path and name is asked for with these arguments.
pub(crate) fn asks(path: &str, name: &str, args: &[Piece], input: Option<&Piece>) -> Ask {
    let plain: Vec<&str> = args.iter().map(Piece::as_str).collect();
    if path.starts_with("/etc/init.d/") || path.contains("/rc.d/") {
        return script_of_init(name, &plain);
    }
    match name {
        "apachectl" | "apache2ctl" => apachectl(&plain),
        "catalina.sh" if matches!(plain.first(), Some(&("run" | "start"))) => {
            Ask::Service("tomcat".to_owned())
        }
        // It executes a program of that name.
        "jupyter" => match args.split_first() {
            Some((verb, rest)) if !verb.as_str().starts_with('-') => {
                let program = Piece::at(&format!("jupyter-{}", verb.as_str()), verb.origin(0));
                Ask::Command(std::iter::once(program).chain(rest.iter().cloned()).collect())
            }
            _ => Ask::Nothing,
        },
        "docker" | "podman" | "nerdctl" | "docker.io" | "buildah" => container(args, &plain),
        "kubectl" | "oc" | "k3s" | "microk8s.kubectl" => cluster(args, &plain),
        "systemctl" => systemctl(&plain),
        "service" | "rc-service" | "invoke-rc.d" | "initctl" => service(&plain),
        "ssh" => ssh(args, &plain, input),
        "concurrently" | "start-server-and-test" | "server-test" | "npm-run-all-commands" => {
            let options = |word: &&Piece| word.as_str().starts_with('-');
            Ask::Texts(args.iter().filter(|word| !options(word)).cloned().collect())
        }
        "supervise" | "xvfb-run" | "travis_retry" | "retry" | "cross-env" | "cross-env-shell"
        | "dotenv" | "wait-for-it" | "wait-for-it.sh" | "dockerize" | "chronic" | "eatmydata"
        | "fakeroot" | "nodemon" | "daemonize" | "daemon" => wrapped(name, args, &plain),
        _ => Ask::Nothing,
    }
}

/// Options of `docker run` that take no value; all others do.
const FLAGS: &[&str] = &[
    "--detach",
    "--interactive",
    "--tty",
    "--rm",
    "--init",
    "--privileged",
    "--publish-all",
    "--read-only",
    "--no-healthcheck",
    "--oom-kill-disable",
    "--disable-content-trust",
    "--sig-proxy",
    "--quiet",
    "--replace",
    "--no-hosts",
    "--rmi",
    "--help",
    "-h",
];

fn container(args: &[Piece], plain: &[&str]) -> Ask {
    // Options before the sub-command: those with a value are few.
    let mut at = 0;
    while let Some(word) = plain.get(at).filter(|word| word.starts_with('-')) {
        let value = matches!(
            *word,
            "-H" | "--host"
                | "-c"
                | "--context"
                | "--config"
                | "-l"
                | "--log-level"
                | "--url"
                | "--root"
        );
        at += if value { 2 } else { 1 };
    }
    if plain.get(at) == Some(&"container") {
        at += 1;
    }
    let verb = plain.get(at).copied().unwrap_or_default();
    if !matches!(verb, "run" | "create" | "exec") {
        return Ask::Nothing;
    }
    let mut entrypoint = None;
    at += 1;
    while let Some(word) = plain.get(at).filter(|word| word.starts_with('-') && **word != "--") {
        let (name, attached) =
            word.split_once('=').map_or((*word, false), |(name, _)| (name, true));
        let letters = !word.starts_with("--");
        let takes = if letters {
            let last = word.chars().last().unwrap_or('-');
            let cluster = word[1..].chars().all(|c| matches!(c, 'd' | 'i' | 't' | 'P' | 'q'));
            // `-p80:80`: the value is in the word.
            !cluster
                && (word.len() == 2
                    || word[1..word.len() - 1].chars().all(|c| "ditPq".contains(c))
                        && last.is_alphabetic())
        } else {
            !attached && !FLAGS.contains(&name)
        };
        if name == "--entrypoint" {
            let value = if attached {
                let piece = &args[at];
                Some(piece.slice("--entrypoint=".len()..piece.as_str().len()))
            } else {
                args.get(at + 1).cloned()
            };
            entrypoint = value.filter(|v| !v.is_empty()).map(|v| vec![v]);
        }
        at += if takes { 2 } else { 1 };
    }
    if plain.get(at) == Some(&"--") {
        at += 1;
    }
    let Some(image) = args.get(at) else { return Ask::Nothing };
    let command = args[at + 1..].to_vec();
    if verb == "exec" {
        return if command.is_empty() { Ask::Nothing } else { Ask::Command(command) };
    }
    Ask::Image { image: image.clone(), entrypoint, command }
}

fn cluster(args: &[Piece], plain: &[&str]) -> Ask {
    let verb = plain.iter().find(|word| !word.starts_with('-')).copied().unwrap_or_default();
    let behind = plain.iter().position(|word| *word == "--").map(|at| args[at + 1..].to_vec());
    let image =
        plain.iter().enumerate().find_map(|(at, word)| match word.strip_prefix("--image") {
            Some("") => args.get(at + 1).cloned(),
            Some(_) => Some(args[at].slice("--image=".len()..word.len())),
            None => None,
        });
    match (verb, image, behind) {
        ("run" | "create", Some(image), behind) => {
            Ask::Image { image, entrypoint: None, command: behind.unwrap_or_default() }
        }
        ("exec", _, Some(command)) if !command.is_empty() => Ask::Command(command),
        _ => Ask::Nothing,
    }
}

/// `systemctl enable --now nginx.service`.
fn systemctl(plain: &[&str]) -> Ask {
    let mut words = plain.iter().filter(|word| !word.starts_with('-'));
    let starts = match words.next() {
        Some(&("start" | "restart" | "try-restart" | "reload-or-restart")) => true,
        Some(&("enable" | "reenable")) => plain.contains(&"--now"),
        _ => false,
    };
    match words.next() {
        Some(unit) if starts => {
            let name = unit.trim_end_matches(".service");
            Ask::Service(name.split('@').next().unwrap_or(name).to_owned())
        }
        _ => Ask::Nothing,
    }
}

/// `service nginx start`, `initctl start nginx`.
fn service(plain: &[&str]) -> Ask {
    let words: Vec<&str> = plain.iter().filter(|word| !word.starts_with('-')).copied().collect();
    match words.as_slice() {
        [name, "start" | "restart" | "force-reload", ..] | ["start" | "restart", name, ..] => {
            Ask::Service((*name).to_owned())
        }
        _ => Ask::Nothing,
    }
}

/// `/etc/init.d/nginx start`.
fn script_of_init(name: &str, plain: &[&str]) -> Ask {
    match plain.first() {
        Some(&("start" | "restart" | "force-reload")) => Ask::Service(name.to_owned()),
        _ => Ask::Else,
    }
}

/// Apache's control script: without a verb, and with options for it, it starts the server.
fn apachectl(plain: &[&str]) -> Ask {
    let starts = match plain.first() {
        Some(&("start" | "restart" | "graceful")) | None => true,
        Some(word) => {
            word.starts_with('-')
                && !matches!(*word, "-t" | "-v" | "-V" | "-S" | "-M" | "-l" | "-L" | "-h")
        }
    };
    let stops =
        plain.windows(2).any(|pair| pair[0] == "-k" && !matches!(pair[1], "start" | "restart"));
    if starts && !stops { Ask::Service("apache2".to_owned()) } else { Ask::Else }
}

fn ssh(args: &[Piece], plain: &[&str], input: Option<&Piece>) -> Ask {
    let mut at = 0;
    while let Some(word) = plain.get(at).filter(|word| word.starts_with('-')) {
        let letter = word.chars().last().unwrap_or('-');
        let value = word.len() == 2 && "BbcDEeFIiJLlmOopQRSWw".contains(letter);
        at += if value { 2 } else { 1 };
    }
    match args.get(at + 1..) {
        Some(command) if !command.is_empty() => Ask::Text(joined(command)),
        _ => input.map_or(Ask::Nothing, |text| Ask::Text(text.clone())),
    }
}

/// The command behind a tool's own options.
fn wrapped(name: &str, args: &[Piece], plain: &[&str]) -> Ask {
    if let Some(end) = plain.iter().position(|word| *word == "--") {
        let command = args[end + 1..].to_vec();
        return if command.is_empty() { Ask::Nothing } else { Ask::Command(command) };
    }
    let own = |word: &&str| {
        let assignment = name.starts_with("cross-env")
            && word.split_once('=').is_some_and(|(name, _)| !name.contains(['/', ' ']));
        word.starts_with('-') || assignment
    };
    if name == "nodemon" {
        // `nodemon --exec TEXT`; else it runs a script of node.
        let exec = plain.iter().position(|word| matches!(*word, "--exec" | "-x"));
        return exec
            .and_then(|at| args.get(at + 1))
            .map_or(Ask::Nothing, |text| Ask::Text(text.clone()));
    }
    let mut start = plain.iter().position(|word| !own(word));
    if name == "daemon" {
        let values = ["-u", "-p", "-P", "-o", "-m", "-l", "-t", "-T", "-s", "-R"];
        let mut at = 0;
        while let Some(word) = plain.get(at).filter(|word| word.starts_with('-')) {
            at += if values.contains(word) { 2 } else { 1 };
        }
        start = Some(at);
    }
    match start {
        Some(at) if name == "cross-env-shell" => Ask::Text(joined(&args[at..])),
        Some(at) if name.starts_with("wait-for-it") || name == "dockerize" || at >= args.len() => {
            Ask::Nothing
        }
        Some(at) => Ask::Command(args[at..].to_vec()),
        None => Ask::Nothing,
    }
}
