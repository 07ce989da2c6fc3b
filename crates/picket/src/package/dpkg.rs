//! dpkg: `/var/lib/dpkg/info/*.list` says which package has a file, `*.md5sums` and `status` the
//! rest. Images without dpkg itself (distroless) have `status.d` instead.
//!
//! The lists are searched as they are; of the machine's own it is remembered which to search.

use std::ffi::CString;

use memchr::memmem::{self, Finder};

use super::checksum::{Algorithm, Checksum, Content};
use super::root::{Directory, Place, Root, split};
use super::{Best, Lists, Manager, Owner, Problem};

const INFO: &str = "var/lib/dpkg/info";
const STATUS: &str = "var/lib/dpkg/status";
const STATUS_D: &str = "var/lib/dpkg/status.d";
const DIVERSIONS: &str = "var/lib/dpkg/diversions";
/// `PATH_MAX`, and a checksum: longer lines name no file.
const LONGEST_LINE: usize = 4096 + 64;
/// No version is longer; what is, would be shown.
const LONGEST_VERSION: usize = 256;

/// Reads which list names what.
pub(super) fn prepare(root: &Root, lists: &Lists) -> Result<(), Problem> {
    match root.directory(INFO)? {
        Some(info) => lists.naming(&info, b"").map(drop),
        None => Ok(()),
    }
}

pub(super) fn find(
    root: &Root,
    path: &str,
    content: &Content<'_>,
    lists: Option<&Lists>,
    best: &mut Best,
) -> Result<(), Problem> {
    if let Some(info) = root.directory(INFO)? {
        listed(root, &info, path, content, lists, best)?;
    }
    if let Some(dir) = root.directory(STATUS_D)?
        && !best.is_certain()
    {
        stanzas(root, &dir, path, content, best)?;
    }
    Ok(())
}

/// Looks into the file list of every package that may have the file.
fn listed(
    root: &Root,
    info: &Directory<'_>,
    path: &str,
    content: &Content<'_>,
    lists: Option<&Lists>,
    best: &mut Best,
) -> Result<(), Problem> {
    let diversions = root.text(DIVERSIONS)?.unwrap_or_default();
    let diverted = Diverted::of(root, path, &diversions);
    let recorded = diverted.as_ref().map_or(path.as_bytes(), |diverted| diverted.recorded);
    let mut lines = Lines::naming(root, recorded);
    let mut status = None;
    let (mut list, mut sums) = (Vec::new(), Vec::new());
    let files = match lists {
        Some(lists) => lists.naming(info, lines.place.base)?,
        None => info.names()?,
    };
    for file in files {
        let Some(stem) = file.to_bytes().strip_suffix(b".list") else {
            continue;
        };
        let (name, architecture) = halves(stem, b':');
        if diverted.as_ref().is_some_and(|diverted| !diverted.may_be_of(name)) {
            continue;
        }
        match info.read(&file, &mut list) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(problem) => {
                best.excuse(problem);
                continue;
            }
        }
        let Some(line) = lines.find(&list, |line| Some((line, line))) else {
            continue;
        };
        if status.is_none() {
            status = Some(root.text(STATUS)?.unwrap_or_default());
        }
        let status = status.as_deref().unwrap_or_default();
        // A list may outlive its package.
        let Some(package) = Stanza::of(status, name, architecture) else {
            continue;
        };
        let mut checksum = package.conffile(line);
        if checksum.is_none() && info.read(&beside(stem), &mut sums)? {
            checksum = Lines::naming(root, line).find(&sums, sum_line);
        }
        best.offer(package.owner(name, content.fits(checksum.as_ref())?));
        if best.is_certain() {
            break;
        }
    }
    Ok(())
}

/// Looks into the checksums of every package of an image without dpkg: it has no lists.
fn stanzas(
    root: &Root,
    dir: &Directory<'_>,
    path: &str,
    content: &Content<'_>,
    best: &mut Best,
) -> Result<(), Problem> {
    let mut lines = Lines::naming(root, path.as_bytes());
    let mut text = Vec::new();
    for file in dir.names()? {
        let Some(stem) = file.to_bytes().strip_suffix(b".md5sums") else {
            continue;
        };
        match dir.read(&file, &mut text) {
            Ok(true) => {}
            Ok(false) => continue,
            Err(problem) => {
                best.excuse(problem);
                continue;
            }
        }
        let Some(checksum) = lines.find(&text, sum_line) else {
            continue;
        };
        let control = CString::new(stem).unwrap_or_default();
        if !dir.read(&control, &mut text)? {
            continue;
        }
        let Some(package) = Stanza::parse(&text) else {
            continue;
        };
        best.offer(package.owner(package.name, content.fits(Some(&checksum))?));
        if best.is_certain() {
            break;
        }
    }
    Ok(())
}

/// The file of checksums that belongs to a list.
fn beside(stem: &[u8]) -> CString {
    CString::new([stem, b".md5sums"].concat()).unwrap_or_default()
}

/// A line of checksums: 32 digits, two blanks, a path without its leading slash.
fn sum_line(line: &[u8]) -> Option<(&[u8], Checksum)> {
    let (sum, path) = line.split_at_checked(32)?;
    let path = path.strip_prefix(b"  ")?;
    Some((path.strip_prefix(b"./").unwrap_or(path), Checksum::from_hex(Algorithm::Md5, sum)?))
}

/// Finds the line that names a file in a text of many.
struct Lines<'a> {
    place: Place<'a>,
    needle: Finder<'static>,
}

impl<'a> Lines<'a> {
    fn naming(root: &'a Root, path: &'a [u8]) -> Self {
        let place = Place::of(root, path);
        let needle = Finder::new(&[place.base, b"\n"].concat()).into_owned();
        Self { place, needle }
    }

    /// The first line of which `parse` makes the path of the file, and what else it makes of it.
    fn find<'t, T>(
        &mut self,
        text: &'t [u8],
        parse: impl Fn(&'t [u8]) -> Option<(&'t [u8], T)>,
    ) -> Option<T> {
        let mut found = self.needle.find_iter(text).map(|at| at + self.place.base.len());
        // The last line may lack its end.
        let unended = (!text.ends_with(b"\n")).then_some(text.len());
        loop {
            let end = found.next().or_else(|| unended.filter(|_| text.ends_with(self.place.base)));
            let last = end == Some(text.len());
            let end = end?;
            let before = &text[end.saturating_sub(LONGEST_LINE)..end];
            let line = match memchr::memrchr(b'\n', before) {
                Some(start) => Some(&before[start + 1..]),
                None => (before.len() == end).then_some(before),
            };
            if let Some((path, value)) = line.and_then(&parse) {
                let (dir, base) = split(path);
                // Checksums have no leading slash.
                let ours = match dir {
                    [] | [b'/', ..] => self.place.is_in(dir),
                    _ => self.place.is_in(&[b"/", dir].concat()),
                };
                if ours && base == self.place.base {
                    return Some(value);
                }
            }
            if last {
                return None;
            }
        }
    }
}

/// A file that was diverted, or that stands where one was.
struct Diverted<'d> {
    /// The path that the lists have.
    recorded: &'d [u8],
    /// Who diverted it; the administrator has no name.
    by: &'d [u8],
    /// The file is the one that stepped aside.
    aside: bool,
}

impl<'d> Diverted<'d> {
    /// Three lines each: from where, to where, by which package (`:` is the administrator).
    fn of(root: &Root, path: &str, diversions: &'d [u8]) -> Option<Self> {
        let mut place = Place::of(root, path.as_bytes());
        let mut lines = diversions.split(|byte| *byte == b'\n');
        while let (Some(from), Some(to), Some(by)) = (lines.next(), lines.next(), lines.next()) {
            if place.is(to) {
                return Some(Self { recorded: from, by, aside: true });
            }
            if place.is(from) {
                return Some(Self { recorded: from, by, aside: false });
            }
        }
        None
    }

    fn may_be_of(&self, package: &[u8]) -> bool {
        (self.by == package) != self.aside
    }
}

/// What is known of an installed package.
struct Stanza<'t> {
    name: &'t [u8],
    version: &'t [u8],
    text: &'t [u8],
}

impl<'t> Stanza<'t> {
    /// An installed package's paragraph in the status file.
    fn of(status: &'t [u8], name: &[u8], architecture: &[u8]) -> Option<Self> {
        let mut rest = status;
        while !rest.is_empty() {
            let end = memmem::find(rest, b"\n\n").unwrap_or(rest.len());
            let text = &rest[..end];
            rest = rest.get(end + 2..).unwrap_or_default();
            // Nearly all paragraphs are another's, and begin by saying so.
            if field(text, b"Package") != Some(name) {
                continue;
            }
            let here =
                architecture.is_empty() || field(text, b"Architecture") == Some(architecture);
            let state =
                field(text, b"Status").and_then(|status| status.rsplit(|b| *b == b' ').next());
            let gone = matches!(state, None | Some(b"not-installed" | b"config-files"));
            if here && !gone {
                return Self::parse(text);
            }
        }
        None
    }

    fn parse(text: &'t [u8]) -> Option<Self> {
        let (name, version) = (field(text, b"Package")?, field(text, b"Version")?);
        let sane = !name.is_empty() && name.len().max(version.len()) <= LONGEST_VERSION;
        sane.then_some(Self { name, version, text })
    }

    /// The checksum of a configuration file (a script of init.d is one), which stands here and not
    /// among the others.
    fn conffile(&self, path: &[u8]) -> Option<Checksum> {
        let start = memmem::find(self.text, b"\nConffiles:\n")? + b"\nConffiles:\n".len();
        let lines = self.text[start..].split(|byte| *byte == b'\n');
        lines.take_while(|line| line.starts_with(b" ")).find_map(|line| {
            let rest = line[1..].strip_prefix(path)?.strip_prefix(b" ")?;
            Checksum::from_hex(Algorithm::Md5, halves(rest, b' ').0)
        })
    }

    fn owner(&self, name: &[u8], intact: Option<bool>) -> Owner {
        Owner {
            name: String::from_utf8_lossy(name).into_owned(),
            version: String::from_utf8_lossy(self.version).into_owned(),
            manager: Manager::Dpkg,
            intact,
        }
    }
}

/// The value of a field that fits on its line.
fn field<'t>(stanza: &'t [u8], name: &[u8]) -> Option<&'t [u8]> {
    let lines = stanza.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(b":"))
        .map(<[u8]>::trim_ascii)
        .next()
}

/// What is before and after the first such byte.
fn halves(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    match memchr::memchr(at, text) {
        Some(found) => (&text[..found], &text[found + 1..]),
        None => (text, b""),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SUM: &str = "d41d8cd98f00b204e9800998ecf8427e";

    fn named(text: &str, path: &str) -> bool {
        let root = Root::open(Path::new("/proc/self/fdinfo")).unwrap();
        Lines::naming(&root, path.as_bytes())
            .find(text.as_bytes(), |line| Some((line, ())))
            .is_some()
    }

    #[test]
    fn a_line_names_the_whole_path() {
        let text = "/.\n/usr\n/usr/sbin/nginx\n/usr/sbin/nginx-debug\n/opt/usr/sbin/a\n/last";
        for path in ["/usr/sbin/nginx", "/usr/sbin/nginx-debug", "/last", "/usr"] {
            assert!(named(text, path), "{path}");
        }
        for path in ["/sbin/nginx", "/usr/sbin/nginx-", "/usr/sbin/a", "/nginx", "/las", "/st"] {
            assert!(!named(text, path), "{path}");
        }
        assert!(!named("", "/a"));
        assert!(!named("\n\n\n", "/a"));
        assert!(named("/a", "/a"));
        // A line that is too long hides none after it.
        let long = format!("/{}/a\n/a\n", "x/".repeat(9000));
        assert!(named(&long, "/a"));
        assert!(!named(&format!("{}/a", "x".repeat(9000)), "/a"));
    }

    #[test]
    fn lines_of_checksums_that_are_none_are_skipped() {
        assert!(sum_line(format!("{SUM}  usr/bin/a").as_bytes()).is_some());
        for bad in ["", SUM, "x  a", &format!("{SUM} a"), &format!("{}g  a", &SUM[1..])] {
            assert!(sum_line(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_paragraph_is_of_the_package_that_is_installed() {
        let status = format!(
            "Package: a\nStatus: deinstall ok config-files\nVersion: 1\n\n\
             Package: a\nStatus: install ok installed\nArchitecture: i386\nVersion: 2\n\n\
             Package: a\nStatus: install ok half-configured\nArchitecture: amd64\n\
             Conffiles:\n /etc/a {SUM}\n /etc/old {SUM} obsolete\n /etc/new newconffile\n\
             Version: 1:3-4\nDescription: x\n Version: 9\n\n\
             Package: broken\nStatus: install ok installed\n"
        );
        let of = |name: &str, arch: &str| {
            Stanza::of(status.as_bytes(), name.as_bytes(), arch.as_bytes())
                .map(|s| s.owner(s.name, None).to_string())
        };
        assert_eq!(of("a", "amd64").as_deref(), Some("a 1:3-4"));
        assert_eq!(of("a", "").as_deref(), Some("a 2"));
        assert_eq!(of("a", "arm64"), None);
        assert_eq!(of("broken", ""), None);
        assert_eq!(of("none", ""), None);
        let a = Stanza::of(status.as_bytes(), b"a", b"amd64").unwrap();
        assert!(a.conffile(b"/etc/a").is_some());
        assert!(a.conffile(b"/etc/old").is_some());
        assert!(a.conffile(b"/etc/new").is_none());
        assert!(a.conffile(b"/etc").is_none());
    }
}
