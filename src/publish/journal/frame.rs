//! The framing of the journal, of the floors and of contents in files of their own: version 3. Version 2 has the same frames, and lacks some
//! kinds of entries.
//!
//! ```text
//! head:   "tidemark" | version u16 | what u16 | generation u32 | CRC-32 of all before it u32
//! frame:  marker u32 | generation u32 | sequence u64 | unsynced u32 | length u32 | CRC-32 of the payload u32
//!         | CRC-32 of all before it u32 | payload                                (little-endian)
//! ```
//!
//! The header of a frame has a checksum of its own, so that a damaged length misleads nobody, and covers that of the payload,
//! so that a payload stands for its own place only. The generation tells the frames of one file from what its blocks held
//! before. Sequence numbers begin at 0 and have no gap: one that is missing was lost, whatever the bytes look like. `unsynced`
//! counts the frames right before this one that no sync had followed when it was written: only those, and later ones, can a
//! power failure take away, and in any order.
//!
//! [`Scanner`] reads on behind damage at the next header that is whole.

/// Bytes of a head.
pub const HEAD: usize = 20;
/// Bytes of a frame before its payload.
pub const FRAME: usize = 32;
const MAGIC: [u8; 8] = *b"tidemark";
const VERSION: u16 = 3;
/// A program that knows this version and no later one takes entries of later kinds for damage: what is of it is read, and written anew
/// before anything is added to it.
const EARLIER: u16 = 2;
/// Begins a frame: bytes that are rare in names and records.
const MARKER: [u8; 4] = [0xf5, 0x9a, 0xc1, 0x7e];
/// A length at the beginning of a file of version 1 beyond this is none.
const MAX_OLD_LENGTH: usize = 1 << 30;
/// Consumed bytes are let go of once there are so many.
const SLACK: usize = 1 << 20;

/// What a file of frames is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum FileKind {
    /// The journal.
    Journal = 1,
    /// The floors of serials.
    Floors = 2,
    /// One large content.
    Content = 3,
}

/// Puts payloads into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framer {
    generation: u32,
    sequence: u64,
    /// Frames before this one are on stable storage.
    durable: u64,
}

impl Framer {
    /// Begins a file with its head. The generation is another one than that of any file that was here before.
    pub fn begin(out: &mut Vec<u8>, kind: FileKind, generation: u32) -> Framer {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(kind as u16).to_le_bytes());
        out.extend_from_slice(&generation.to_le_bytes());
        let sum = crc32fast::hash(&out[start..]);
        out.extend_from_slice(&sum.to_le_bytes());
        Framer { generation, sequence: 0, durable: 0 }
    }

    /// Goes on in a file that has been synced, with the frame of this sequence number.
    pub fn resume(generation: u32, sequence: u64) -> Framer {
        Framer { generation, sequence, durable: sequence }
    }

    /// Notes that the file has been synced.
    pub fn synced(&mut self) {
        self.durable = self.sequence;
    }

    /// The generation of the file.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The sequence number of the next frame.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Appends a frame with the payload that `fill` appends.
    pub fn frame(&mut self, out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        out.extend_from_slice(&[0; FRAME]);
        fill(out);
        let (header, payload) = out[start..].split_at_mut(FRAME);
        header[..4].copy_from_slice(&MARKER);
        header[4..8].copy_from_slice(&self.generation.to_le_bytes());
        header[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        let unsynced = u32::try_from(self.sequence - self.durable).unwrap_or(u32::MAX);
        header[16..20].copy_from_slice(&unsynced.to_le_bytes());
        header[20..24].copy_from_slice(&(payload.len() as u32).to_le_bytes());
        header[24..28].copy_from_slice(&crc32fast::hash(payload).to_le_bytes());
        let sum = crc32fast::hash(&header[..28]);
        header[28..].copy_from_slice(&sum.to_le_bytes());
        self.sequence += 1;
    }
}

/// A whole header.
#[derive(Clone, Copy, Debug)]
struct Header {
    generation: u32,
    sequence: u64,
    unsynced: u32,
    length: usize,
    sum: u32,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Header> {
        let bytes = bytes.first_chunk::<FRAME>()?;
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let whole = bytes[..4] == MARKER && crc32fast::hash(&bytes[..28]) == number(28);
        whole.then(|| Header {
            generation: number(4),
            sequence: u64::from(number(8)) | u64::from(number(12)) << 32,
            unsynced: number(16),
            length: number(20) as usize,
            sum: number(24),
        })
    }
}

/// What stands at the beginning of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// A head of this version or the one before.
    Whole {
        /// The file's generation.
        generation: u32,
        /// It is of the version before.
        is_earlier: bool,
    },
    /// A head of another version or of another kind of file.
    Other {
        /// Its version.
        version: u16,
    },
    /// No head: a file of version 1, or one whose head is damaged.
    None,
}

/// Reads the head of a file.
pub fn head(bytes: &[u8], kind: FileKind) -> Head {
    let Some(bytes) = bytes.first_chunk::<HEAD>() else { return Head::None };
    let sum = u32::from_le_bytes([bytes[16], bytes[17], bytes[18], bytes[19]]);
    if bytes[..8] != MAGIC || crc32fast::hash(&bytes[..16]) != sum {
        return Head::None;
    }
    let version = u16::from_le_bytes([bytes[8], bytes[9]]);
    if ![EARLIER, VERSION].contains(&version) || u16::from_le_bytes([bytes[10], bytes[11]]) != kind as u16 {
        return Head::Other { version };
    }
    let generation = u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
    Head::Whole { generation, is_earlier: version == EARLIER }
}

/// Whether a file without a head begins with an entry of version 1: `length u32 | CRC-32 of the payload u32 | payload`. A file of
/// a later version whose head alone is damaged has a header of a frame.
pub fn is_old(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk() else { return false };
    let Some(payload) = rest.get(4..) else { return false };
    let length = u32::from_le_bytes(*length) as usize;
    let plausible = length <= MAX_OLD_LENGTH && payload.first().is_some_and(|kind| (1..=4).contains(kind));
    plausible && (0..bytes.len()).all(|at| Header::read(&bytes[at..]).is_none())
}

/// Something found in a file of frames.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A whole frame.
    Frame {
        /// Where it ends.
        end: u64,
        /// How many frames are missing before it.
        missing: u64,
        /// The generation of the file.
        generation: u32,
        /// Its sequence number.
        sequence: u64,
        /// Frames before this one were on stable storage when it was written.
        durable: u64,
        /// What it holds.
        payload: &'a [u8],
    },
    /// Bytes that are no whole frame, with one behind them; or a frame a second time.
    Bad(Damage),
}

/// Bytes that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where they begin.
    pub offset: u64,
    /// How many.
    pub length: u64,
    /// What the damaged payload begins with, where its header is whole: the zone's name may still be legible in it.
    pub beginning: Vec<u8>,
}

/// Finds frames in the bytes of a file, which come in pieces. Keeps no more of them than the frame at hand takes.
#[derive(Debug)]
pub struct Scanner {
    buffer: Vec<u8>,
    /// How much of the buffer is done with.
    at: usize,
    /// Where in the file the buffer begins.
    base: u64,
    generation: Option<u32>,
    next: u64,
    /// Where the bytes begin that are no frame so far.
    bad: Option<u64>,
    beginning: Vec<u8>,
    is_at_end: bool,
}

impl Scanner {
    /// A scanner of what follows the head of a file. Without a generation, that of the first whole frame is the file's.
    pub fn new(generation: Option<u32>) -> Scanner {
        Scanner {
            buffer: Vec::new(),
            at: 0,
            base: HEAD as u64,
            generation,
            next: 0,
            bad: None,
            beginning: Vec::new(),
            is_at_end: false,
        }
    }

    /// A scanner from a frame in the middle of a file.
    pub fn from(generation: u32, sequence: u64, offset: u64) -> Scanner {
        Scanner { next: sequence, base: offset, ..Scanner::new(Some(generation)) }
    }

    /// Takes the next bytes of the file; none at its end.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.is_at_end |= bytes.is_empty();
        if self.at > SLACK || self.at == self.buffer.len() {
            self.buffer.drain(..self.at);
            self.base += self.at as u64;
            self.at = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The generation, once it is known.
    pub fn generation(&self) -> Option<u32> {
        self.generation
    }

    /// The sequence number of the frame that would come next.
    pub fn sequence(&self) -> u64 {
        self.next
    }

    /// What was found next; `None` when more bytes are needed, or at the end.
    pub fn find(&mut self) -> Option<Found<'_>> {
        loop {
            let rest = &self.buffer[self.at..];
            if rest.len() < FRAME {
                return None;
            }
            let header = Header::read(rest)
                .filter(|header| self.generation.is_none_or(|generation| generation == header.generation));
            let Some(header) = header else {
                self.step();
                continue;
            };
            let end = FRAME + header.length;
            if rest.len() < end {
                if !self.is_at_end {
                    return None;
                }
                self.step();
                continue;
            }
            if crc32fast::hash(&rest[FRAME..end]) != header.sum {
                // Behind it at the latest the next frame is looked for; before, if bytes are missing from this one.
                let follows = Header::read(&rest[end..]).is_some_and(|next| next.sequence > header.sequence);
                if rest.len() < end + FRAME && !self.is_at_end {
                    return None;
                }
                self.bad.get_or_insert(self.base + self.at as u64);
                self.beginning = rest[FRAME..end].iter().copied().take(256).collect();
                self.at += if follows { end } else { 1 };
                continue;
            }
            let offset = self.base + self.at as u64;
            if header.sequence < self.next && self.generation.is_some() {
                // The same frame a second time.
                self.bad.get_or_insert(offset);
                self.at += end;
                continue;
            }
            if let Some(bad) = self.bad.take() {
                let beginning = std::mem::take(&mut self.beginning);
                return Some(Found::Bad(Damage { offset: bad, length: offset - bad, beginning }));
            }
            let missing = header.sequence - self.next;
            self.generation = Some(header.generation);
            self.next = header.sequence + 1;
            let payload = self.at + FRAME..self.at + end;
            self.at += end;
            return Some(Found::Frame {
                end: offset + end as u64,
                missing,
                generation: header.generation,
                sequence: header.sequence,
                durable: header.sequence.saturating_sub(u64::from(header.unsynced)),
                payload: &self.buffer[payload],
            });
        }
    }

    /// What stands at the end and is no frame.
    pub fn finish(mut self) -> Option<Damage> {
        let end = self.base + self.buffer.len() as u64;
        let offset = self.bad.take().unwrap_or(self.base + self.at as u64);
        (offset < end).then(|| Damage { offset, length: end - offset, beginning: self.beginning })
    }

    /// Goes on to where the next frame may begin.
    fn step(&mut self) {
        self.bad.get_or_insert(self.base + self.at as u64);
        let rest = &self.buffer[self.at + 1..];
        let skip = rest.iter().position(|byte| *byte == MARKER[0]).unwrap_or(rest.len());
        self.at += 1 + skip;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(payloads: &[&[u8]]) -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut framer = Framer::begin(&mut bytes, FileKind::Journal, 7);
        let mut ends = vec![bytes.len()];
        for payload in payloads {
            framer.frame(&mut bytes, |out| out.extend_from_slice(payload));
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    /// The payloads of whole frames, the bytes of damage within, those of damage at the end, and how many frames are missing.
    fn scan(bytes: &[u8], chunk: usize) -> (Vec<Vec<u8>>, u64, u64, u64) {
        let mut scanner = Scanner::new(match head(bytes, FileKind::Journal) {
            Head::Whole { generation, .. } => Some(generation),
            _ => None,
        });
        let (mut found, mut bad, mut lost) = (Vec::new(), 0, 0);
        let rest = bytes.get(HEAD..).unwrap_or_default();
        for chunk in rest.chunks(chunk).chain([&[][..]]) {
            scanner.feed(chunk);
            while let Some(next) = scanner.find() {
                match next {
                    Found::Frame { payload, missing, .. } => {
                        found.push(payload.to_vec());
                        lost += missing;
                    }
                    Found::Bad(damage) => bad += damage.length,
                }
            }
        }
        (found, bad, scanner.finish().map_or(0, |end| end.length), lost)
    }

    #[test]
    fn frames_are_found_whatever_the_pieces() {
        let (bytes, _) = file(&[b"one", b"", b"three"]);
        for chunk in 1..bytes.len() {
            assert_eq!(scan(&bytes, chunk), (vec![b"one".to_vec(), vec![], b"three".to_vec()], 0, 0, 0));
        }
    }

    #[test]
    fn any_flipped_bit_costs_one_frame_and_is_seen() {
        let (bytes, ends) = file(&[b"one", b"two", b"three"]);
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let (found, bad, torn, lost) = scan(&damaged, 9);
            let hit = ends.iter().position(|end| bit / 8 < *end).unwrap();
            let mut left = vec![b"one".to_vec(), b"two".to_vec(), b"three".to_vec()];
            if hit > 0 {
                left.remove(hit - 1);
            } else {
                assert!(!matches!(head(&damaged, FileKind::Journal), Head::Whole { .. }));
            }
            assert_eq!(found, left, "bit {bit}");
            let length = if hit > 0 { (ends[hit] - ends[hit - 1]) as u64 } else { 0 };
            assert_eq!((bad, torn), if hit == 3 { (0, length) } else { (length, 0) }, "bit {bit}");
            assert_eq!(lost, u64::from(hit == 1 || hit == 2), "bit {bit}");
        }
    }

    #[test]
    fn a_torn_end_is_what_no_whole_frame_follows() {
        let (bytes, ends) = file(&[b"one", b"two"]);
        for cut in ends[1]..ends[2] {
            assert_eq!(scan(&bytes[..cut], 5), (vec![b"one".to_vec()], 0, (cut - ends[1]) as u64, 0));
        }
    }

    #[test]
    fn missing_doubled_and_foreign_frames_are_no_entries() {
        let (bytes, ends) = file(&[b"one", b"two", b"three"]);
        let without = [&bytes[..ends[1]], &bytes[ends[2]..]].concat();
        assert_eq!(scan(&without, 64), (vec![b"one".to_vec(), b"three".to_vec()], 0, 0, 1));
        let twice = [&bytes[..ends[2]], &bytes[ends[1]..]].concat();
        let (found, bad, torn, lost) = scan(&twice, 64);
        assert_eq!((found.len(), torn, lost), (3, 0, 0));
        assert_eq!(bad, (ends[2] - ends[1]) as u64);
        let mut foreign = Vec::new();
        let mut framer = Framer::begin(&mut foreign, FileKind::Journal, 8);
        framer.frame(&mut foreign, |out| out.extend_from_slice(b"old"));
        let foreign = [&bytes[..ends[1]], &foreign[HEAD..], &bytes[ends[1]..]].concat();
        assert_eq!(scan(&foreign, 64).0.len(), 3);
    }
}
