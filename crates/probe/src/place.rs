//! Where a process belongs, from what the kernel or `/proc` says: its cgroup and its terminal.

use std::fs;

use crate::decode;
use crate::home::proc;

/// Controllers of version 1 that containers are told by, in the order of `cgroup.h`.
const CONTROLLERS: [&str; 4] = ["name=systemd", "pids", "memory", "devices"];
/// A path deeper than this is cut, as in `wire.h`.
const LEVELS: usize = 20;

/// The two paths of an event, from those of both versions: the second only where it says more.
pub(crate) fn cgroups(v2: String, v1: String) -> (Option<String>, Option<String>) {
    match (&*v2, &*v1) {
        ("/", "/") => (Some(v2), None),
        ("/", _) => (Some(v1), None),
        (_, "/") => (Some(v2), None),
        _ if v1 == v2 => (Some(v2), None),
        _ => (Some(v2), Some(v1)),
    }
}

/// The same for a process that lives. What is read is seen from our own cgroup namespace; where that
/// is not the machine's, a path may begin with `/..` and is not taken.
pub(crate) fn of(pid: u32) -> (Option<String>, Option<String>) {
    let Ok(bytes) = fs::read(proc(pid, "cgroup")) else { return (None, None) };
    from_lines(&decode::text(&bytes))
}

fn from_lines(text: &str) -> (Option<String>, Option<String>) {
    // `NUMBER:CONTROLLER,CONTROLLER:PATH`; version 2 has number 0 and no controllers.
    let lines = text.lines().filter_map(|line| {
        let (number, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        let ours = path.starts_with('/') && path != "/.." && !path.starts_with("/../");
        ours.then_some((number == "0", controllers, path))
    });
    let lines: Vec<_> = lines.collect();
    let v2 = lines.iter().find(|(v2, ..)| *v2).map(|(.., path)| *path);
    let v1 = CONTROLLERS.iter().find_map(|wanted| {
        let has = |controllers: &str| controllers.split(',').any(|c| c == *wanted);
        let found = lines.iter().find(|(v2, controllers, _)| !v2 && has(controllers))?;
        (found.2 != "/").then_some(found.2)
    });
    if v2.is_none() && v1.is_none() && lines.is_empty() {
        return (None, None);
    }
    cgroups(cut(v2.unwrap_or("/")), cut(v1.unwrap_or("/")))
}

fn cut(path: &str) -> String {
    match path.match_indices('/').nth(LEVELS) {
        Some((end, _)) => path[..end].to_owned(),
        None => path.to_owned(),
    }
}

/// A terminal as people write it, from the kernel's name for it: `pts3` is `pts/3`.
pub(crate) fn tty(name: &str) -> Option<String> {
    let number = name.strip_prefix("pts").filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
    match number {
        _ if name.is_empty() => None,
        Some(number) if !number.is_empty() => Some(format!("pts/{number}")),
        _ => Some(name.to_owned()),
    }
}

/// A terminal's name from the number of its device, as `/proc/PID/stat` has it.
pub(crate) fn tty_of_number(device: i64) -> Option<String> {
    let device = u32::try_from(device & 0xffff_ffff).ok()?;
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00);
    match major {
        136..=143 => Some(format!("pts/{}", (major - 136) * 256 + minor)),
        4 if minor < 64 => Some(format!("tty{minor}")),
        4 => Some(format!("ttyS{}", minor - 64)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> (Option<String>, Option<String>) {
        from_lines(text)
    }

    fn some(path: &str) -> Option<String> {
        Some(path.to_owned())
    }

    #[test]
    fn version_2_comes_first() {
        assert_eq!(paths("0::/system.slice/x.service\n"), (some("/system.slice/x.service"), None));
        // A machine with both, where an old engine uses version 1 only.
        let both =
            "4:memory:/docker/a\n1:name=systemd:/docker/a\n0::/system.slice/docker.service\n";
        assert_eq!(paths(both), (some("/system.slice/docker.service"), some("/docker/a")));
        let only_v1 = "3:cpu,cpuacct:/x\n2:pids:/docker/b\n1:name=systemd:/\n0::/\n";
        assert_eq!(paths(only_v1), (some("/docker/b"), None));
        assert_eq!(paths("2:pids:/\n0::/\n"), (some("/"), None));
        assert_eq!(paths("1:cpuset:/lone\n"), (some("/"), None));
    }

    #[test]
    fn what_is_not_the_machines_view_is_not_taken() {
        assert_eq!(paths("0::/../../docker/a\n"), (None, None));
        assert_eq!(paths(""), (None, None));
        assert_eq!(paths("rubbish\n0::relative\n"), (None, None));
        assert_eq!(paths("0::/a:b (deleted)\n"), (some("/a:b"), None));
        let deep = format!("0::{}", "/d".repeat(40));
        assert_eq!(paths(&deep), (Some("/d".repeat(20)), None));
    }

    #[test]
    fn terminals_have_names() {
        assert_eq!(tty("pts3"), some("pts/3"));
        assert_eq!(tty("tty1"), some("tty1"));
        assert_eq!(tty("pts"), some("pts"));
        assert_eq!(tty("ptsx"), some("ptsx"));
        assert_eq!(tty(""), None);
        // 136:3, 136:256 + 1 (a major further on), 4:1, 4:64.
        assert_eq!(tty_of_number(136 << 8 | 3), some("pts/3"));
        assert_eq!(tty_of_number(137 << 8 | 1), some("pts/257"));
        assert_eq!(tty_of_number(4 << 8 | 1), some("tty1"));
        assert_eq!(tty_of_number(4 << 8 | 64), some("ttyS0"));
        assert_eq!(tty_of_number(0), None);
    }
}
