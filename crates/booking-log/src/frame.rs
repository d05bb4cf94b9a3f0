//! What a file is made of: frames, each bound to the one before it, so that none can be altered, be left
//! out or change its place without being noticed. No files in here, only bytes.
//!
//! ```text
//!  magic 4 │ kind 1 │ 0 3 │ number 8 │ length 4 │ before 4 │ sum of the payload 4 │ sum of the header 4 │ payload
//!                                                   └─ the sum of the header before this one
//! ```
//!
//! All numbers are little-endian, sums are CRC-32. A commit is one frame, and is synced before the next one is begun: so
//! what a crash leaves behind is at most one frame that is not whole, at the end. If anything whole comes after what is
//! not, that was no crash, and the file is damaged.

use std::io::{self, Read};

/// The first bytes of a frame. No text in UTF-8 has them in it.
const MAGIC: [u8; 4] = *b"\xB5bkf";

/// How long a header is.
const HEADER: usize = 32;

/// The longest payload: longer ones are no frames of ours.
pub(crate) const LONGEST: u32 = 1 << 30;

/// Stands for a value where there is none any more.
const GONE: u32 = u32::MAX;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What file this is: the first frame, and no other.
    Head,
    /// One commit.
    Commit,
    /// The end of a file that is written once.
    End,
}

impl Kind {
    const fn byte(self) -> u8 {
        match self {
            Self::Head => 1,
            Self::Commit => 2,
            Self::End => 3,
        }
    }

    const fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Head),
            2 => Some(Self::Commit),
            3 => Some(Self::End),
            _ => None,
        }
    }
}

/// What binds a frame to the one before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain(
    /// The sum of that frame's header.
    pub u32,
);

/// One frame, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// The number of the last commit up to here, this one among them.
    pub number: u64,
    /// What is in it: of a commit, its [`entries`].
    pub payload: Vec<u8>,
}

/// One thing under its key: its value, or that there is none any more.
pub type Entry<'a> = (&'a [u8], Option<&'a [u8]>);

/// Adds a frame.
pub fn append(out: &mut Vec<u8>, chain: &mut Chain, kind: Kind, number: u64, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    payload(out);
    let (head, body) = out[start..].split_at_mut(HEADER);
    let length = u32::try_from(body.len()).expect("a commit is not as long as four gigabytes");
    head[..4].copy_from_slice(&MAGIC);
    head[4] = kind.byte();
    head[8..16].copy_from_slice(&number.to_le_bytes());
    head[16..20].copy_from_slice(&length.to_le_bytes());
    head[20..24].copy_from_slice(&chain.0.to_le_bytes());
    head[24..28].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    *chain = Chain(crc32fast::hash(&head[..28]));
    head[28..].copy_from_slice(&chain.0.to_le_bytes());
}

/// Adds an entry to a payload.
pub fn put(payload: &mut Vec<u8>, (key, value): Entry<'_>) {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("nothing is as long as four gigabytes");
    payload.extend_from_slice(&length(key).to_le_bytes());
    payload.extend_from_slice(&value.map_or(GONE, length).to_le_bytes());
    payload.extend_from_slice(key);
    payload.extend_from_slice(value.unwrap_or_default());
}

/// The entries of a payload; `None` in the place of one that is none.
pub fn entries(mut payload: &[u8]) -> impl Iterator<Item = Option<Entry<'_>>> {
    std::iter::from_fn(move || {
        if payload.is_empty() {
            return None;
        }
        let entry = entry(&mut payload);
        if entry.is_none() {
            payload = &[];
        }
        Some(entry)
    })
}

fn entry<'a>(payload: &mut &'a [u8]) -> Option<Entry<'a>> {
    let (key, value) = (number(payload)?, number(payload)?);
    let mut take = |length: u32| {
        let (taken, rest) = payload.split_at_checked(usize::try_from(length).ok()?)?;
        *payload = rest;
        Some(taken)
    };
    let key = take(key)?;
    Some((key, if value == GONE { None } else { Some(take(value)?) }))
}

fn number(bytes: &mut &[u8]) -> Option<u32> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*taken))
}

/// Why there are no more frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// There are no more bytes.
    End,
    /// The last one is not whole: a crash came while it was written.
    Torn,
    /// What is here is not what was written.
    Damaged(&'static str),
}

/// Reads frames, one after the other.
#[derive(Debug)]
pub struct Frames<R> {
    from: R,
    chain: Option<Chain>,
    /// The number of the last frame.
    number: u64,
    /// Where the next frame begins.
    at: u64,
}

impl<R: Read> Frames<R> {
    /// The frames of a file that continues after commit `number` and is bound to `chain`; to anything, where that is `None`.
    pub fn new(from: R, chain: Option<Chain>, number: u64) -> Self {
        Self { from, chain, number, at: 0 }
    }

    /// Where the next frame begins, or what is left of one.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// What the next frame is bound to.
    pub fn chain(&self) -> Chain {
        self.chain.unwrap_or_default()
    }

    /// The next frame, or why there is none. Not to be asked again then.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn next_frame(&mut self) -> io::Result<Result<Frame, Stop>> {
        let mut head = [0; HEADER];
        let read = read_up_to(&mut self.from, &mut head)?;
        if read == 0 {
            return Ok(Err(Stop::End));
        }
        let Some(header) = Header::read(&head[..read]) else { return self.no_frame(&head[..read]) };
        if self.chain.is_some_and(|chain| chain != header.before) {
            return Ok(Err(Stop::Damaged("something is missing before here")));
        }
        let mut payload = Vec::new();
        (&mut self.from).take(header.length.into()).read_to_end(&mut payload)?;
        if payload.len() as u64 != u64::from(header.length) || crc32fast::hash(&payload) != header.payload {
            return self.no_frame(&[&head[..], &payload].concat());
        }
        (self.chain, self.number) = (Some(header.after), header.number);
        self.at += (HEADER + payload.len()) as u64;
        Ok(Ok(Frame { kind: header.kind, number: header.number, payload }))
    }

    /// What begins here is no whole frame: torn, or is there a whole one behind it?
    fn no_frame(&mut self, begun: &[u8]) -> io::Result<Result<Frame, Stop>> {
        let mut rest = begun.to_vec();
        self.from.read_to_end(&mut rest)?;
        let places = (1..rest.len()).filter(|at| rest[*at..].starts_with(&MAGIC));
        let is_whole = |at: usize| {
            // One with an older number was there before this file was: it is no part of it.
            let header = Header::read(&rest[at..]).filter(|header| header.number > self.number);
            let Some(header) = header else { return false };
            let payload = rest[at + HEADER..].get(..usize::try_from(header.length).unwrap_or(usize::MAX));
            payload.is_some_and(|payload| crc32fast::hash(payload) == header.payload)
        };
        // A process that is writing may have finished this frame since. For this reader the file ends here all the same.
        let is_damaged = !is_whole(0) && places.into_iter().any(is_whole);
        Ok(Err(if is_damaged { Stop::Damaged("it is altered here") } else { Stop::Torn }))
    }
}

struct Header {
    kind: Kind,
    number: u64,
    length: u32,
    before: Chain,
    payload: u32,
    after: Chain,
}

impl Header {
    /// `None` for what is none.
    fn read(bytes: &[u8]) -> Option<Self> {
        let head: &[u8; HEADER] = bytes.first_chunk()?;
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (low, high) = (u64::from(word(8)), u64::from(word(12)));
        let header = Self {
            kind: Kind::of(head[4])?,
            number: low | high << 32,
            length: word(16),
            before: Chain(word(20)),
            payload: word(24),
            after: Chain(word(28)),
        };
        let is_one = head[..4] == MAGIC && header.length <= LONGEST && crc32fast::hash(&head[..28]) == header.after.0;
        is_one.then_some(header)
    }
}

/// Reads as much as there is, at most as much as fits.
fn read_up_to(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match from.read(&mut bytes[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of a few commits, and where each of its frames ends.
    fn file(commits: u64) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut chain, mut ends) = (Vec::new(), Chain::default(), Vec::new());
        append(&mut bytes, &mut chain, Kind::Head, 0, |payload| payload.extend_from_slice(b"{}"));
        ends.push(bytes.len());
        for number in 1..=commits {
            append(&mut bytes, &mut chain, Kind::Commit, number, |payload| {
                put(payload, (b"key", Some(format!("value {number}").as_bytes())));
                put(payload, (b"another", None));
            });
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    /// How many whole frames there are, and why there are no more.
    fn read(bytes: &[u8]) -> (usize, Stop) {
        let mut frames = Frames::new(bytes, Some(Chain::default()), 0);
        for whole in 0.. {
            match frames.next_frame().unwrap() {
                Ok(_) => {}
                Err(stop) => return (whole, stop),
            }
        }
        unreachable!("a file has an end")
    }

    #[test]
    fn what_was_put_in_comes_out() {
        let (bytes, _) = file(2);
        let mut frames = Frames::new(&bytes[..], Some(Chain::default()), 0);
        let _head = frames.next_frame().unwrap().unwrap();
        let first = frames.next_frame().unwrap().unwrap();
        assert_eq!((first.kind, first.number), (Kind::Commit, 1));
        let found: Vec<_> = entries(&first.payload).map(Option::unwrap).collect();
        assert_eq!(found, [(&b"key"[..], Some(&b"value 1"[..])), (b"another", None)]);
        assert_eq!(read(&bytes), (3, Stop::End));
    }

    #[test]
    fn a_file_that_was_cut_anywhere_is_torn_at_the_last_whole_frame() {
        let (bytes, ends) = file(5);
        for length in 0..bytes.len() {
            let whole = ends.iter().filter(|end| **end <= length).count();
            let is_clean = length == 0 || ends.contains(&length);
            assert_eq!(read(&bytes[..length]), (whole, if is_clean { Stop::End } else { Stop::Torn }), "{length}");
        }
    }

    #[test]
    fn whatever_is_there_of_a_last_frame_it_is_torn() {
        let (bytes, ends) = file(3);
        let (start, end) = (ends[2], ends[3]);
        // Any part of it may be missing: blocks reach a disk in any order.
        for from in start..end {
            for to in from + 1..=end {
                let mut torn = bytes.clone();
                torn[from..to].fill(0);
                if torn != bytes {
                    assert_eq!(read(&torn), (3, Stop::Torn), "{from}..{to}");
                }
                torn.extend_from_slice(&[0; 100]);
                assert_eq!(read(&torn).0, if torn.starts_with(&bytes) { 4 } else { 3 });
            }
        }
    }

    #[test]
    fn what_is_left_of_an_older_file_behind_a_torn_frame_is_no_damage() {
        let (bytes, ends) = file(4);
        let torn = [&bytes[..ends[3]], &bytes[ends[3]..ends[4] - 1], &[0; 70], &bytes[ends[1]..ends[2]]].concat();
        assert_eq!(read(&torn), (4, Stop::Torn));
    }

    #[test]
    fn any_bit_that_is_another_before_the_last_frame_is_damage() {
        let (bytes, ends) = file(4);
        for at in 0..ends[3] {
            for bit in 0..8 {
                let mut altered = bytes.clone();
                altered[at] ^= 1 << bit;
                let (_, stop) = read(&altered);
                assert!(matches!(stop, Stop::Damaged(_)), "byte {at}, bit {bit}: {stop:?}");
            }
        }
    }

    #[test]
    fn a_frame_that_is_left_out_stands_twice_or_elsewhere_is_damage() {
        let (bytes, ends) = file(4);
        let part = |n: usize| &bytes[ends[n - 1]..ends[n]];
        let head = &bytes[..ends[0]];
        for order in [&[1, 3, 4][..], &[1, 2, 2, 3], &[2, 1, 3, 4], &[1, 2, 4]] {
            let file = order.iter().fold(head.to_vec(), |file, n| [&file, part(*n)].concat());
            assert!(matches!(read(&file).1, Stop::Damaged(_)), "{order:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_entries_are_none() {
        for bytes in [&b"x"[..], b"\x01\0\0\0", b"\x05\0\0\0\0\0\0\0abc", b"\xff\xff\xff\xff\xff\xff\xff\xff"] {
            assert_eq!(entries(bytes).collect::<Vec<_>>(), [None]);
        }
    }
}
