//! The header of an rpm package, as its database keeps it: an index of tags, and their data.
//!
//! Two counts, then for each tag its number, type, where its data begins and how many values it
//! has, then all data. Numbers are big-endian, strings end with a zero byte.

/// Tags, by rpm's numbers.
pub(super) mod tag {
    pub(in super::super) const NAME: u32 = 1000;
    pub(in super::super) const VERSION: u32 = 1001;
    pub(in super::super) const RELEASE: u32 = 1002;
    pub(in super::super) const EPOCH: u32 = 1003;
    pub(in super::super) const FILE_STATES: u32 = 1029;
    pub(in super::super) const FILE_MODES: u32 = 1030;
    pub(in super::super) const FILE_DIGESTS: u32 = 1035;
    pub(in super::super) const FILE_FLAGS: u32 = 1037;
    pub(in super::super) const DIR_INDEXES: u32 = 1116;
    pub(in super::super) const BASE_NAMES: u32 = 1117;
    pub(in super::super) const DIR_NAMES: u32 = 1118;
    pub(in super::super) const FILE_DIGEST_ALGO: u32 = 5011;
}

/// rpm takes no header with more for sane.
const MOST_TAGS: usize = 0xffff;
/// Bytes of the index for one tag.
const ENTRY: usize = 16;

/// A parsed header. It holds what it was made of; only the counts are known to be right.
pub(super) struct Header<'b> {
    index: &'b [u8],
    data: &'b [u8],
}

impl<'b> Header<'b> {
    /// None if it is shorter than it says, or says too much.
    pub(super) fn parse(blob: &'b [u8]) -> Option<Self> {
        let (tags, size) = (word(blob, 0)?, word(blob, 4)?);
        let tags = usize::try_from(tags).ok().filter(|tags| *tags <= MOST_TAGS)?;
        let (index, data) = blob.get(8..)?.split_at_checked(tags * ENTRY)?;
        Some(Self { index, data: data.get(..usize::try_from(size).ok()?)? })
    }

    /// Type, number of values, and the data from the first on.
    fn find(&self, tag: u32) -> Option<(u32, usize, &'b [u8])> {
        let entry = self.index.chunks_exact(ENTRY).find(|entry| word(entry, 0) == Some(tag))?;
        let at = usize::try_from(word(entry, 8)?).ok()?;
        let count = usize::try_from(word(entry, 12)?).ok()?;
        Some((word(entry, 4)?, count, self.data.get(at..)?))
    }

    /// One of the strings of a tag.
    pub(super) fn string(&self, tag: u32, which: usize) -> Option<&'b [u8]> {
        // STRING, STRING_ARRAY and I18NSTRING look the same.
        let (6 | 8 | 9, count, mut data) = self.find(tag)? else {
            return None;
        };
        if which >= count {
            return None;
        }
        for _ in 0..which {
            data = &data[memchr::memchr(0, data)? + 1..];
        }
        Some(&data[..memchr::memchr(0, data)?])
    }

    /// One of the numbers of a tag.
    pub(super) fn number(&self, tag: u32, which: usize) -> Option<u32> {
        let (kind, count, data) = self.find(tag)?;
        if which >= count {
            return None;
        }
        match kind {
            // CHAR and INT8
            1 | 2 => data.get(which).map(|byte| u32::from(*byte)),
            3 => {
                let at = which.checked_mul(2)?;
                let two = data.get(at..)?.first_chunk()?;
                Some(u32::from(u16::from_be_bytes(*two)))
            }
            4 => word(data, which.checked_mul(4)?),
            _ => None,
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A header of tags with their types, numbers of values and data.
    pub(in super::super) fn blob(tags: &[(u32, u32, u32, &[u8])]) -> Vec<u8> {
        let (mut index, mut data) = (Vec::new(), Vec::new());
        for (tag, kind, count, bytes) in tags {
            for number in [*tag, *kind, u32::try_from(data.len()).unwrap(), *count] {
                index.extend(number.to_be_bytes());
            }
            data.extend_from_slice(bytes);
        }
        let counts = [tags.len(), data.len()].map(|n| u32::try_from(n).unwrap().to_be_bytes());
        [counts.concat(), index, data].concat()
    }

    /// Everything that a header can be asked for.
    pub(in super::super) fn ask_everything(blob: &[u8]) -> usize {
        let Some(header) = Header::parse(blob) else {
            return 0;
        };
        let tags = [1000, 1001, 1002, 1003, 1029, 1030, 1035, 1037, 1116, 1117, 1118, 5011];
        let which = [0, 1, 2, 1000, usize::MAX];
        let all = tags.iter().flat_map(|tag| which.iter().map(move |which| (*tag, *which)));
        all.filter(|(tag, which)| {
            header.string(*tag, *which).is_some() | header.number(*tag, *which).is_some()
        })
        .count()
    }

    #[test]
    fn values_are_found_by_tag_and_place() {
        let blob = blob(&[
            (tag::NAME, 6, 1, b"nginx\0"),
            (tag::BASE_NAMES, 8, 3, b"a\0\0ccc\0"),
            (tag::FILE_MODES, 3, 2, &[0x81, 0xed, 0x41, 0xed]),
            (tag::DIR_INDEXES, 4, 2, &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]),
            (tag::FILE_STATES, 1, 1, &[2]),
        ]);
        let header = Header::parse(&blob).unwrap();
        assert_eq!(header.string(tag::NAME, 0), Some(&b"nginx"[..]));
        assert_eq!(header.string(tag::NAME, 1), None);
        assert_eq!(header.string(tag::BASE_NAMES, 1), Some(&b""[..]));
        assert_eq!(header.string(tag::BASE_NAMES, 2), Some(&b"ccc"[..]));
        assert_eq!(header.number(tag::FILE_MODES, 0), Some(0o10_0755));
        assert_eq!(header.number(tag::FILE_MODES, 2), None);
        assert_eq!(header.number(tag::DIR_INDEXES, 1), Some(u32::MAX));
        assert_eq!(header.number(tag::FILE_STATES, 0), Some(2));
        // A tag of another type, and none.
        assert_eq!(header.string(tag::FILE_MODES, 0), None);
        assert_eq!(header.number(tag::NAME, 0), None);
        assert_eq!(header.number(tag::EPOCH, 0), None);
    }

    #[test]
    fn a_header_that_is_cut_off_is_none() {
        let blob = blob(&[(tag::NAME, 6, 1, b"nginx\0"), (tag::VERSION, 6, 1, b"1\0")]);
        for size in 0..blob.len() {
            assert!(Header::parse(&blob[..size]).is_none(), "{size}");
        }
    }

    #[test]
    fn data_that_is_not_there_is_none() {
        let blob = blob(&[
            (tag::NAME, 6, 1, b"without end"),
            (tag::BASE_NAMES, 8, u32::MAX, b""),
            (tag::DIR_INDEXES, 4, u32::MAX, b""),
        ]);
        let header = Header::parse(&blob).unwrap();
        assert_eq!(header.string(tag::NAME, 0), None);
        assert_eq!(header.string(tag::BASE_NAMES, 0), None);
        assert_eq!(header.number(tag::DIR_INDEXES, usize::MAX / 2), None);
    }
}
