//! rpm: the database is SQLite, with an index of all file names; a package is one header.
//!
//! Older systems (RHEL and CentOS to 8, Amazon Linux 2) have Berkeley DB, SUSE has ndb: these two
//! are not read, and a lookup says so.

use std::io;

use super::checksum::{Algorithm, Checksum, Content};
use super::header::{Header, tag};
use super::root::{Place, Root};
use super::sqlite::{Database, Value, values};
use super::{Best, Manager, Owner, Problem};

/// Where the database is; mostly all but one of these are links to that one.
const DIRS: [&str; 3] = ["usr/lib/sysimage/rpm", "var/lib/rpm", "usr/share/rpm"];
/// Formats that are not read, by the names of their files.
const OTHERS: [(&str, &str); 2] = [("Packages.db", "ndb"), ("Packages", "Berkeley DB")];
/// How many files of one name are looked at; programs have few namesakes.
const NAMESAKES: usize = 512;
/// No name or version is longer; what is, would be shown.
const LONGEST: usize = 256;

/// A file that is made when the package runs; what it was packed with means nothing.
const GHOST: u32 = 1 << 6;

pub(super) fn find(
    root: &Root,
    path: &str,
    content: &Content<'_>,
    best: &mut Best,
) -> Result<(), Problem> {
    for dir in DIRS {
        let database = format!("{dir}/rpmdb.sqlite");
        let claims = match claims(root, &database, path)? {
            Some(Ok(claims)) => claims,
            Some(Err(error)) => return Err(Problem::new(root.show(&database), error)),
            None => continue,
        };
        for claim in claims {
            best.offer(claim.owner(content)?);
            if best.is_certain() {
                return Ok(());
            }
        }
        return Ok(());
    }
    for (dir, (name, format)) in DIRS.iter().flat_map(|dir| OTHERS.map(|other| (dir, other))) {
        let path = format!("{dir}/{name}");
        let size = root.file(&path)?.and_then(|file| file.metadata().ok()).map_or(0, |m| m.len());
        // A tool that only looked left an empty one.
        if size > 0 {
            let why =
                format!("the rpm database is in the format {format}, and only SQLite is read");
            return Err(Problem::new(root.show(&path), why));
        }
    }
    Ok(())
}

/// The packages that claim a file; none if there is no database.
fn claims(
    root: &Root,
    database: &str,
    path: &str,
) -> Result<Option<io::Result<Vec<Claim>>>, Problem> {
    let mut tries = 0;
    loop {
        let Some(file) = root.file(database)? else {
            return Ok(None);
        };
        let log = root.file(&format!("{database}-wal"))?;
        let mut place = Place::of(root, path.as_bytes());
        let read = Database::open(file, log).and_then(|database| {
            let claims = search(&database, &mut place);
            // What does not fit together may also look damaged.
            if database.has_changed()? {
                return Err(io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    "changed while it was read",
                ));
            }
            claims
        });
        tries += 1;
        match read {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy && tries < 3 => {}
            read => return Ok(Some(read)),
        }
    }
}

fn search(database: &Database, place: &mut Place<'_>) -> io::Result<Vec<Claim>> {
    let root_of = |kind, name| {
        let missing =
            || io::Error::other(format!("not a database of rpm: it has no {kind} {name}"));
        database.root_of(kind, name)?.ok_or_else(missing)
    };
    let packages = root_of("table", "Packages")?;
    let files = root_of("table", "Basenames")?;
    let index = root_of("index", "Basenames_key_idx")?;
    let mut entries = Vec::new();
    for row in database.rows_of(index, place.base, NAMESAKES)? {
        let row = database.row(files, row)?.unwrap_or_default();
        // The name, the number of the package, and which of its files it is.
        if let [_, Value::Integer(package), Value::Integer(which), ..] = values(&row)?[..]
            && let Ok(which) = usize::try_from(which)
        {
            entries.push((package, which));
        }
    }
    entries.sort_unstable();
    let mut claims = Vec::new();
    for of_one in entries.chunk_by(|a, b| a.0 == b.0) {
        // Its first column is its number; the header is the second.
        let Some(row) = database.row(packages, of_one[0].0)? else {
            continue;
        };
        let Some(Value::Blob(blob)) = values(&row)?.get(1).copied() else {
            continue;
        };
        let Some(header) = Header::parse(blob) else {
            continue;
        };
        claims.extend(of_one.iter().filter_map(|(_, which)| Claim::of(&header, *which, place)));
    }
    Ok(claims)
}

/// A package's word that a file is its own.
#[derive(Debug)]
struct Claim {
    name: String,
    version: String,
    checksum: Option<Checksum>,
}

impl Claim {
    /// What a header says of one of its files, if it is the file at that place.
    fn of(header: &Header<'_>, which: usize, place: &mut Place<'_>) -> Option<Self> {
        let dir =
            header.string(tag::DIR_NAMES, header.number(tag::DIR_INDEXES, which)? as usize)?;
        let base = header.string(tag::BASE_NAMES, which)?;
        let ours = base == place.base && place.is_in(dir.strip_suffix(b"/").unwrap_or(dir));
        // 0 is an installed file; else another package has replaced it, or it was left out.
        let state = header.number(tag::FILE_STATES, which).unwrap_or(0);
        // A directory or a symbolic link is not what runs.
        let regular = header.number(tag::FILE_MODES, which)? & 0o17_0000 == 0o10_0000;
        if !ours || state != 0 || !regular {
            return None;
        }
        let text = |tag| {
            let bytes = header.string(tag, 0).filter(|bytes| bytes.len() <= LONGEST)?;
            Some(String::from_utf8_lossy(bytes).into_owned())
        };
        let version = format!("{}-{}", text(tag::VERSION)?, text(tag::RELEASE)?);
        let version = match header.number(tag::EPOCH, 0) {
            None | Some(0) => version,
            Some(epoch) => format!("{epoch}:{version}"),
        };
        Some(Self { name: text(tag::NAME)?, version, checksum: checksum(header, which) })
    }

    fn owner(self, content: &Content<'_>) -> Result<Owner, Problem> {
        let intact = content.fits(self.checksum.as_ref())?;
        Ok(Owner { name: self.name, version: self.version, manager: Manager::Rpm, intact })
    }
}

fn checksum(header: &Header<'_>, which: usize) -> Option<Checksum> {
    if header.number(tag::FILE_FLAGS, which).unwrap_or(0) & GHOST != 0 {
        return None;
    }
    // Numbers of OpenPGP; before there was a choice, it was MD5.
    let algorithm = match header.number(tag::FILE_DIGEST_ALGO, 0) {
        None | Some(0 | 1) => Algorithm::Md5,
        Some(2) => Algorithm::Sha1,
        Some(8) => Algorithm::Sha256,
        Some(9) => Algorithm::Sha384,
        Some(10) => Algorithm::Sha512,
        Some(11) => Algorithm::Sha224,
        Some(_) => return None,
    };
    Checksum::from_hex(algorithm, header.string(tag::FILE_DIGESTS, which)?)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::header::tests::blob;
    use super::*;

    fn claim(changes: &[(u32, u32, u32, &[u8])], path: &str) -> Option<Claim> {
        let mut tags: Vec<(u32, u32, u32, &[u8])> = vec![
            (tag::NAME, 6, 1, b"nginx-core\0"),
            (tag::VERSION, 6, 1, b"1.20.1\0"),
            (tag::RELEASE, 6, 1, b"14.el9\0"),
            (tag::BASE_NAMES, 8, 2, b"sbin\0nginx\0"),
            (tag::DIR_NAMES, 8, 2, b"/usr/\0/usr/sbin/\0"),
            (tag::DIR_INDEXES, 4, 2, &[0, 0, 0, 0, 0, 0, 0, 1]),
            (tag::FILE_MODES, 3, 2, &[0x41, 0xed, 0x81, 0xed]),
            (tag::FILE_DIGESTS, 8, 2, b"\0d41d8cd98f00b204e9800998ecf8427e\0"),
        ];
        for change in changes {
            tags.retain(|tag| tag.0 != change.0);
            tags.push(*change);
        }
        let blob = blob(&tags);
        let root = Root::open(Path::new("/proc/self/fdinfo")).unwrap();
        let header = Header::parse(&blob).unwrap();
        Claim::of(&header, 1, &mut Place::of(&root, path.as_bytes()))
    }

    #[test]
    fn a_file_is_claimed_by_its_path() {
        let found = claim(&[], "/usr/sbin/nginx").unwrap();
        assert_eq!(format!("{} {}", found.name, found.version), "nginx-core 1.20.1-14.el9");
        let md5 = Checksum::from_hex(Algorithm::Md5, b"d41d8cd98f00b204e9800998ecf8427e");
        assert!(found.checksum.is_some());
        assert_eq!(found.checksum, md5);
        for path in ["/usr/nginx", "/sbin/nginx", "/usr/sbin/nginx2", "/usr/sbin"] {
            assert!(claim(&[], path).is_none(), "{path}");
        }
    }

    #[test]
    fn an_epoch_is_part_of_the_version() {
        let found = claim(&[(tag::EPOCH, 4, 1, &[0, 0, 0, 2])], "/usr/sbin/nginx").unwrap();
        assert_eq!(found.version, "2:1.20.1-14.el9");
        let found = claim(&[(tag::EPOCH, 4, 1, &[0; 4])], "/usr/sbin/nginx").unwrap();
        assert_eq!(found.version, "1.20.1-14.el9");
    }

    #[test]
    fn what_is_replaced_or_no_file_is_not_claimed() {
        assert!(claim(&[(tag::FILE_STATES, 1, 2, &[0, 0])], "/usr/sbin/nginx").is_some());
        for state in 1..=4 {
            assert!(claim(&[(tag::FILE_STATES, 1, 2, &[0, state])], "/usr/sbin/nginx").is_none());
        }
        let modes = [0x41, 0xed, 0xa1, 0xff];
        assert!(claim(&[(tag::FILE_MODES, 3, 2, &modes)], "/usr/sbin/nginx").is_none());
    }

    #[test]
    fn a_checksum_is_of_the_algorithm_that_is_named() {
        let of = |number: u8, digits: usize| {
            let digests = [b"\0".to_vec(), b"a".repeat(digits), b"\0".to_vec()].concat();
            let algo = [0, 0, 0, number];
            let tags: [(u32, u32, u32, &[u8]); 2] =
                [(tag::FILE_DIGESTS, 8, 2, &digests), (tag::FILE_DIGEST_ALGO, 4, 1, &algo)];
            claim(&tags, "/usr/sbin/nginx").unwrap().checksum
        };
        for (number, digits) in [(1, 32), (2, 40), (8, 64), (9, 96), (10, 128), (11, 56)] {
            assert!(of(number, digits).is_some(), "{number}");
            assert_eq!(of(number, digits - 2), None, "{number}");
        }
        assert_eq!(of(3, 40), None);
        assert_eq!(of(8, 0), None);
        let ghost: [(u32, u32, u32, &[u8]); 1] =
            [(tag::FILE_FLAGS, 4, 2, &[0, 0, 0, 0, 0, 0, 0, 64])];
        assert_eq!(claim(&ghost, "/usr/sbin/nginx").unwrap().checksum, None);
    }
}
