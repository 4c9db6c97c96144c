//! Large contents and changes, in files of their own: they are written while other zones' entries go on, and a journal that is
//! written anew need not copy them.
//!
//! ```text
//! file:  head | frame of the entry that refers to it | frames of records | frame of the end
//! frame of records: 0 (content, or removed) or 1 (added) u8 | records
//! frame of the end: 2 u8 | count of records u64
//! ```

use crate::wire::message::RecordRef;
use crate::wire::name::{Name, NameRef};
use crate::zone::builder::Builder;
use crate::zone::delta::Delta;
use crate::zone::records;

use super::entry::{self, Aside, Entry, Payload, Replayed};
use super::frame::{FileKind, Found, Framer, HEAD, Head, Scanner, head};

const REMOVED: u8 = 0;
const ADDED: u8 = 1;
const END: u8 = 2;

/// Hands out the bytes of the file for an entry, piece by piece; an error of `each` ends it.
pub fn write<E>(entry: &Entry, aside: &Aside, each: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut out = Vec::new();
    let mut framer = Framer::begin(&mut out, FileKind::Content, generation(aside.id));
    framer.frame(&mut out, |out| aside.write(entry.zone(), out));
    let mut result = each(&out);
    let mut flush = |section: u8, records: &mut Vec<u8>| {
        out.clear();
        framer.frame(&mut out, |out| {
            out.push(section);
            out.append(records);
        });
        if result.is_ok() {
            result = each(&out);
        }
    };
    let mut records = Vec::new();
    let count = match entry {
        Entry::Full(content, ..) => {
            entry::write_content(&mut records, content, &mut |records| flush(REMOVED, records));
            flush(REMOVED, &mut records);
            content.records()
        }
        Entry::Change(_, delta, ..) => {
            for (section, part) in [(REMOVED, &delta.removed), (ADDED, &delta.added)] {
                entry::write_records(&mut records, part, &mut |records| flush(section, records));
                flush(section, &mut records);
            }
            delta.len() as u64
        }
        Entry::Past(..)
        | Entry::Verified(..)
        | Entry::Reserve(..)
        | Entry::Newer(..)
        | Entry::Expired(..) => 0,
    };
    flush(END, &mut count.to_le_bytes().to_vec());
    result
}

fn generation(id: u64) -> u32 {
    id as u32
}

/// Reads such a file from its bytes, which come in pieces.
pub struct Reader {
    aside: Aside,
    zone: Name,
    /// The bytes of the head so far.
    head: Vec<u8>,
    scanner: Scanner,
    builder: Option<Builder>,
    delta: Delta,
    records: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Head,
    Entry,
    Records,
    Whole,
    Damaged,
}

impl Reader {
    /// A reader of the file that an entry of this zone refers to.
    pub fn new(zone: &NameRef, aside: Aside) -> Reader {
        Reader {
            aside,
            zone: zone.to_name(),
            head: Vec::new(),
            scanner: Scanner::new(Some(generation(aside.id))),
            builder: (!aside.is_change).then(|| Builder::new(zone.to_name())),
            delta: Delta::default(),
            records: 0,
            state: State::Head,
        }
    }

    /// Takes the next bytes of the file.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        let is_at_end = bytes.is_empty();
        if self.state == State::Head && !is_at_end {
            let (first, rest) = bytes.split_at((HEAD - self.head.len()).min(bytes.len()));
            self.head.extend_from_slice(first);
            bytes = rest;
            if self.head.len() < HEAD {
                return;
            }
            let own = generation(self.aside.id);
            // The version before has the same form.
            let whole = matches!(head(&self.head, FileKind::Content), Head::Whole { generation, .. } if generation == own);
            self.state = if whole { State::Entry } else { State::Damaged };
        }
        if is_at_end || !bytes.is_empty() {
            self.scanner.feed(bytes);
        }
        while let Some(found) = self.scanner.find() {
            let Found::Frame { missing: 0, payload, .. } = found else {
                self.state = State::Damaged;
                return;
            };
            let taken = match self.state {
                State::Entry => {
                    let same = matches!(entry::decode(payload), Some(Payload::Aside(aside)) if aside == self.aside)
                        && entry::zone_of(payload) == Some(&self.zone);
                    same.then_some(State::Records)
                }
                State::Records => take(payload, &mut self.builder, &mut self.delta, &mut self.records),
                State::Head | State::Whole | State::Damaged => None,
            };
            self.state = taken.unwrap_or(State::Damaged);
        }
    }

    /// The content or change, if the file is whole and has the digest that it is to have.
    pub fn finish(self) -> Option<Replayed> {
        let Aside { stamp, applied, .. } = self.aside;
        if self.state != State::Whole || self.scanner.finish().is_some() {
            return None;
        }
        let Some(builder) = self.builder else { return Some(Replayed::Change(self.delta, stamp, applied)) };
        let content = builder.finish().ok()?.0;
        let same = content.digest() == stamp.digest && content.serial() == stamp.serial;
        same.then_some(Replayed::Full(content, stamp, applied))
    }
}

fn take(
    payload: &[u8],
    builder: &mut Option<Builder>,
    delta: &mut Delta,
    records: &mut u64,
) -> Option<State> {
    let (section, mut rest) = payload.split_first()?;
    if *section == END {
        let count = u64::from_le_bytes(*rest.first_chunk()?);
        return (count == *records).then_some(State::Whole);
    }
    while !rest.is_empty() {
        let RecordRef { owner, rtype, ttl, rdata, .. } = records::read(&mut rest)?;
        *records += 1;
        match (builder.as_mut(), *section) {
            (Some(builder), REMOVED) => builder.add(owner, rtype, ttl, rdata),
            (None, REMOVED) => delta.removed.push(owner, rtype, ttl, rdata),
            (None, ADDED) => delta.added.push(owner, rtype, ttl, rdata),
            _ => return None,
        }
    }
    Some(State::Records)
}

/// What a file holds that was read as a whole.
pub fn read(zone: &NameRef, aside: Aside, bytes: &[u8]) -> Option<Replayed> {
    let mut reader = Reader::new(zone, aside);
    reader.feed(bytes);
    reader.feed(&[]);
    reader.finish()
}
