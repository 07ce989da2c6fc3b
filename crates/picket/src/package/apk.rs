//! apk (Alpine): one text, `/lib/apk/db/installed`, has every package with its files.
//!
//! A paragraph is a package (`P:` name, `V:` version); in it, `F:` begins a directory, `R:` a file
//! there, `Z:` is that file's checksum.

use memchr::memmem;

use super::checksum::{Algorithm, Checksum, Content};
use super::root::{Place, Root};
use super::{Best, Manager, Owner, Problem};

/// Where the database is; where `/lib` is `/usr/lib`, the first is a link to the second.
const DATABASES: [&str; 2] = ["lib/apk/db/installed", "usr/lib/apk/db/installed"];
/// No name or version is longer; what is, would be shown.
const LONGEST: usize = 256;
/// More packages than one do not have the same file, unless the database is made up.
const CLAIMS: usize = 64;

pub(super) fn find(
    root: &Root,
    path: &str,
    content: &Content<'_>,
    best: &mut Best,
) -> Result<(), Problem> {
    for database in DATABASES {
        let Some(text) = root.text(database)? else {
            continue;
        };
        let mut place = Place::of(root, path.as_bytes());
        for claim in claims(&text, &mut place) {
            best.offer(claim.owner(content)?);
            if best.is_certain() {
                return Ok(());
            }
        }
        // The other name is the same file, or a leftover.
        return Ok(());
    }
    Ok(())
}

/// A package's word that a file is its own.
#[derive(Debug, Default, Clone)]
struct Claim<'t> {
    name: &'t [u8],
    version: &'t [u8],
    checksum: Option<&'t [u8]>,
}

impl Claim<'_> {
    fn owner(&self, content: &Content<'_>) -> Result<Owner, Problem> {
        let checksum = self.checksum.and_then(checksum);
        Ok(Owner {
            name: String::from_utf8_lossy(self.name).into_owned(),
            version: String::from_utf8_lossy(self.version).into_owned(),
            manager: Manager::Apk,
            intact: content.fits(checksum.as_ref())?,
        })
    }
}

fn claims<'t>(text: &'t [u8], place: &mut Place<'_>) -> Vec<Claim<'t>> {
    let mut claims: Vec<Claim<'t>> = Vec::new();
    if memmem::find(text, &[b"\nR:", place.base].concat()).is_none() {
        return claims;
    }
    let mut package = Claim::default();
    let mut dir = Vec::new();
    // The file whose lines these are is the one that is asked for.
    let mut ours = false;
    for line in text.split(|byte| *byte == b'\n') {
        match line {
            [] => {
                package = Claim::default();
                dir.clear();
                ours = false;
            }
            [b'P', b':', name @ ..] => package.name = name,
            [b'V', b':', version @ ..] => package.version = version,
            [b'F', b':', name @ ..] => {
                dir.clear();
                if !name.is_empty() {
                    dir.push(b'/');
                    dir.extend_from_slice(name);
                }
                ours = false;
            }
            [b'R', b':', base @ ..] => {
                let named = !package.name.is_empty() && !package.version.is_empty();
                let sane = named && package.name.len().max(package.version.len()) <= LONGEST;
                ours = base == place.base && sane && claims.len() < CLAIMS && place.is_in(&dir);
                if ours {
                    claims.push(package.clone());
                }
            }
            [b'Z', b':', sum @ ..] if ours => {
                if let Some(claim) = claims.last_mut() {
                    claim.checksum = Some(sum);
                }
            }
            _ => {}
        }
    }
    claims
}

/// `Q` is base64 and `X` hexadecimal, `1` SHA-1 and `2` SHA-256; before all that it was MD5.
fn checksum(text: &[u8]) -> Option<Checksum> {
    match text {
        [b'Q', b'1', sum @ ..] => Checksum::from_base64(Algorithm::Sha1, sum),
        [b'Q', b'2', sum @ ..] => Checksum::from_base64(Algorithm::Sha256, sum),
        [b'X', b'1', sum @ ..] => Checksum::from_hex(Algorithm::Sha1, sum),
        [b'X', b'2', sum @ ..] => Checksum::from_hex(Algorithm::Sha256, sum),
        sum => Checksum::from_hex(Algorithm::Md5, sum),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Written to the format, not by apk: Debian has no apk.
    const DATABASE: &str = "\
        C:Q1d4HQ/Gyfw7NRD1qRvOgS6IzT2sI=\nP:nginx\nV:1.26.2-r0\nA:x86_64\nS:1\nI:2\nT:A server\n\
        F:etc\nF:etc/init.d\nR:nginx\na:0:0:755\nZ:Q1uohe/3WOAvwKRHyb3hAlaxgvcMg=\n\
        F:usr\nF:usr/sbin\nM:0:0:755\nR:nginx\na:0:0:755\nZ:Q1Fn0EtHBoV+F7D++HUCggK46qXPI=\n\
        R:nginx-debug\na:0:0:755\n\n\
        P:other\nV:2\nF:\nR:top\nF:usr/sbin\nR:bad\nZ:Q1!\n\n\
        V:3\nF:usr/sbin\nR:nameless\n";

    fn ask(path: &str) -> Option<(String, bool)> {
        let root = Root::open(Path::new("/proc/self/fdinfo")).unwrap();
        let mut place = Place::of(&root, path.as_bytes());
        let claims = claims(DATABASE.as_bytes(), &mut place);
        assert!(claims.len() <= 1);
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        claims.first().map(|c| (text(c.name), c.checksum.and_then(checksum).is_some()))
    }

    #[test]
    fn a_file_is_of_its_directory_and_package() {
        assert_eq!(ask("/usr/sbin/nginx"), Some(("nginx".to_owned(), true)));
        assert_eq!(ask("/etc/init.d/nginx"), Some(("nginx".to_owned(), true)));
        assert_eq!(ask("/usr/sbin/nginx-debug"), Some(("nginx".to_owned(), false)));
        assert_eq!(ask("/top"), Some(("other".to_owned(), false)));
        assert_eq!(ask("/usr/sbin/bad"), Some(("other".to_owned(), false)));
        for path in ["/usr/nginx", "/nginx", "/usr/sbin/ngin", "/usr/sbin/nameless", "/usr"] {
            assert_eq!(ask(path), None, "{path}");
        }
    }

    #[test]
    fn every_kind_of_checksum_is_known_by_its_letters() {
        let sha1 = checksum(b"Q12jmj7l5rSw0yVb/vlWAYkK/YBwk=").unwrap();
        assert_eq!(Some(sha1), checksum(b"X1da39a3ee5e6b4b0d3255bfef95601890afd80709"));
        let sha256 = checksum(b"Q247DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=").unwrap();
        let hex = b"X2e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Some(sha256), checksum(hex));
        assert!(checksum(b"d41d8cd98f00b204e9800998ecf8427e").is_some());
        for bad in ["", "Q", "Q1", "Q3abc", "Q1=", "Q1da39a3ee5e6b4b0d3255bfef95601890afd80709"] {
            assert_eq!(checksum(bad.as_bytes()), None, "{bad}");
        }
    }
}
