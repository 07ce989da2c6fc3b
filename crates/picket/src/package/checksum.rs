//! Checksums as packages record them, computed of an open file only when asked for.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::Problem;
use crate::examine::file::note_progress;

/// A larger file is not read: it would keep the sensor busy for seconds.
const LARGEST: u64 = 1 << 30;
/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// How a checksum is made. None of them can be made to fit another content, not even MD5 and
/// SHA-1: only who makes both contents can make two that agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// A checksum that a package recorded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Checksum {
    algorithm: Algorithm,
    digest: Vec<u8>,
}

/// An open file, and the checksums that were made of it: no claim makes it be read twice.
pub(super) struct Content<'f> {
    file: &'f File,
    made: RefCell<Vec<Checksum>>,
}

impl Algorithm {
    /// Bytes of a digest.
    fn len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

impl Checksum {
    /// From hexadecimal digits, if there are as many as the algorithm makes.
    pub(super) fn from_hex(algorithm: Algorithm, text: &[u8]) -> Option<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let pairs = text.chunks(2).map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        });
        Self::new(algorithm, pairs.collect::<Option<_>>()?)
    }

    /// From base64 with its padding, if there is as much as the algorithm makes.
    pub(super) fn from_base64(algorithm: Algorithm, text: &[u8]) -> Option<Self> {
        if text.len() != algorithm.len().div_ceil(3) * 4 {
            return None;
        }
        let mut digest = Vec::with_capacity(algorithm.len() + 2);
        let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
        for four in text.chunks(4) {
            let mut bits = 0_u32;
            for byte in four {
                let six = match byte {
                    b'A'..=b'Z' => byte - b'A',
                    b'a'..=b'z' => byte - b'a' + 26,
                    b'0'..=b'9' => byte - b'0' + 52,
                    b'+' => 62,
                    b'/' => 63,
                    b'=' => 0,
                    _ => return None,
                };
                bits = bits << 6 | u32::from(six);
            }
            digest.extend_from_slice(&bits.to_be_bytes()[1..]);
        }
        digest.truncate(digest.len().saturating_sub(padding));
        Self::new(algorithm, digest)
    }

    fn new(algorithm: Algorithm, digest: Vec<u8>) -> Option<Self> {
        (digest.len() == algorithm.len()).then_some(Self { algorithm, digest })
    }
}

impl<'f> Content<'f> {
    pub(super) fn of(file: &'f File) -> Self {
        Self { file, made: RefCell::default() }
    }

    /// Whether a recorded checksum holds; nothing if none is recorded.
    pub(super) fn fits(&self, recorded: Option<&Checksum>) -> Result<Option<bool>, Problem> {
        let Some(recorded) = recorded else {
            return Ok(None);
        };
        let mut made = self.made.borrow_mut();
        if let Some(known) = made.iter().find(|known| known.algorithm == recorded.algorithm) {
            return Ok(Some(known == recorded));
        }
        let digest = match recorded.algorithm {
            Algorithm::Md5 => sum::<Md5>(self.file),
            Algorithm::Sha1 => sum::<Sha1>(self.file),
            Algorithm::Sha224 => sum::<Sha224>(self.file),
            Algorithm::Sha256 => sum::<Sha256>(self.file),
            Algorithm::Sha384 => sum::<Sha384>(self.file),
            Algorithm::Sha512 => sum::<Sha512>(self.file),
        };
        let digest = digest.map_err(|error| Problem::new("the file itself", error))?;
        let new = Checksum { algorithm: recorded.algorithm, digest };
        let fits = new == *recorded;
        made.push(new);
        Ok(Some(fits))
    }
}

/// Reads at positions, so that the file's own stays where its owner left it.
fn sum<D: Digest>(file: &File) -> io::Result<Vec<u8>> {
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    if meta.len() > LARGEST {
        let why = format!("{} bytes, of which no checksum is made beyond {LARGEST}", meta.len());
        return Err(io::Error::other(why));
    }
    let mut digest = D::new();
    let mut chunk = vec![0; CHUNK];
    let mut at = 0;
    while at <= LARGEST {
        match file.read_at(&mut chunk, at) {
            Ok(0) => return Ok(digest.finalize().to_vec()),
            Ok(read) => {
                digest.update(&chunk[..read]);
                note_progress(read);
                at += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("grows while it is read"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, SeekFrom, Write};

    use super::*;

    #[test]
    fn what_is_no_digest_is_none() {
        assert!(Checksum::from_hex(Algorithm::Md5, b"d41d8cd98f00b204e9800998ecf8427e").is_some());
        for bad in ["", "d4", "d41d8cd98f00b204e9800998ecf8427", "d41d8cd98f00b204e9800998ecf8427x"]
        {
            assert_eq!(Checksum::from_hex(Algorithm::Md5, bad.as_bytes()), None, "{bad}");
        }
        let sha1 = Checksum::from_base64(Algorithm::Sha1, b"2jmj7l5rSw0yVb/vlWAYkK/YBwk=");
        let hex = Checksum::from_hex(Algorithm::Sha1, b"da39a3ee5e6b4b0d3255bfef95601890afd80709");
        assert!(sha1.is_some());
        assert_eq!(sha1, hex);
        for bad in ["", "2jmj", "2jmj7l5rSw0yVb/vlWAYkK/YBwk", "2jmj7l5rSw0yVb_vlWAYkK/YBwk="] {
            assert_eq!(Checksum::from_base64(Algorithm::Sha1, bad.as_bytes()), None, "{bad}");
        }
        let padding = "=".repeat(28);
        assert_eq!(Checksum::from_base64(Algorithm::Sha1, padding.as_bytes()), None);
    }

    #[test]
    fn every_algorithm_agrees_with_the_tool_of_its_name() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        // More than one chunk, and no whole number of them.
        file.write_all(&b"picket\n".repeat(30_000)).unwrap();
        for (algorithm, tool) in [
            (Algorithm::Md5, "md5sum"),
            (Algorithm::Sha1, "sha1sum"),
            (Algorithm::Sha224, "sha224sum"),
            (Algorithm::Sha256, "sha256sum"),
            (Algorithm::Sha384, "sha384sum"),
            (Algorithm::Sha512, "sha512sum"),
        ] {
            let out = std::process::Command::new(tool).arg(file.path()).output().unwrap().stdout;
            let hex = out.split(|b| *b == b' ').next().unwrap();
            let right = Checksum::from_hex(algorithm, hex).unwrap();
            let content = Content::of(file.as_file());
            assert_eq!(content.fits(Some(&right)).unwrap(), Some(true), "{tool}");
            let wrong = Checksum { algorithm, digest: vec![0; algorithm.len()] };
            assert_eq!(content.fits(Some(&wrong)).unwrap(), Some(false), "{tool}");
        }
        assert_eq!(Content::of(file.as_file()).fits(None).unwrap(), None);
    }

    #[test]
    fn the_position_of_the_file_stays() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"0123456789").unwrap();
        file.seek(SeekFrom::Start(4)).unwrap();
        let sum = Checksum { algorithm: Algorithm::Md5, digest: vec![0; 16] };
        assert_eq!(Content::of(&file).fits(Some(&sum)).unwrap(), Some(false));
        let mut rest = String::new();
        file.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "456789");
    }

    #[test]
    fn a_file_too_large_to_read_is_said() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(LARGEST + 1).unwrap();
        let sum = Checksum { algorithm: Algorithm::Md5, digest: vec![0; 16] };
        let said = Content::of(&file).fits(Some(&sum)).unwrap_err().to_string();
        assert!(said.contains("1073741825 bytes"), "{said}");
    }
}
