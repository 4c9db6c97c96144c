//! What is left after a restart: entries, and what could not be read.
//!
//! ```text
//! floors, two copies --\
//!                       >-- entries, in order, then what the floors know to have been served --> ZoneStore::replay
//! journal, contents ---/
//! ```
//!
//! Bytes come in pieces, so that the simulator's disk and the real one drive the same code, in bounded memory.

use std::collections::HashMap;

use crate::wire::name::{Name, NameRef};
use crate::zone::stamp::Stamp;

use super::entry::{self, Aside, Payload, Replayed};
use super::floor::{Life, Reserve};
use super::frame::{self, Damage, FileKind, Found, HEAD, Head, Scanner};

/// Places of damage told one by one.
const MAX_TOLD: usize = 16;

/// Where a frame stands among all that were ever written to a file of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file's generation: later ones are greater.
    pub generation: u32,
    /// The frame's number in it.
    pub sequence: u64,
}

/// What a file of frames turned out to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileFound {
    /// How many bytes it has; 0 when there is none.
    pub size: u64,
    /// Its generation.
    pub generation: u32,
    /// The sequence number of its next frame.
    pub sequence: u64,
    /// Where its last whole frame ends, or its head where there is no frame yet.
    pub end: u64,
    /// Bytes between whole frames that could not be read: the first places.
    pub damage: Vec<Damage>,
    /// How many such places there are.
    pub damaged: u64,
    /// How many frames are missing before the last whole one.
    pub missing: u64,
    /// What follows the last whole frame: a torn write, or damage.
    pub torn: Option<Damage>,
    /// Whole frames in that, which a power failure may have left of writes that no sync followed.
    tail: Option<Tail>,
    /// The head is damaged.
    pub is_headless: bool,
    /// It is of version 1, which `old` reads.
    pub is_old: bool,
    /// It is of version 2: it is read like any other, and is to be written anew before anything is added to it.
    pub is_earlier: bool,
    /// It is of a version that this program does not know.
    pub unknown_version: Option<u16>,
}

impl FileFound {
    /// A file of version 1, of which nothing has been read yet.
    pub(super) fn old(size: u64) -> FileFound {
        FileFound { size, is_old: true, ..FileFound::default() }
    }

    /// Where its next frame goes.
    pub fn next(&self) -> Position {
        Position { generation: self.generation, sequence: self.sequence }
    }

    /// Whether all that was ever written to it is there, but for a torn end.
    pub fn is_whole_within(&self) -> bool {
        self.damaged == 0 && self.missing == 0 && !self.is_headless && self.unknown_version.is_none()
    }

    /// Whether nothing shows that anything is missing.
    pub fn is_whole(&self) -> bool {
        self.is_whole_within() && self.torn.is_none()
    }

    pub(super) fn count_damage(&mut self, bad: &mut Vec<Damage>) {
        self.damaged += bad.len() as u64;
        let room = MAX_TOLD.saturating_sub(self.damage.len()).min(bad.len());
        self.damage.extend(bad.drain(..room));
        bad.clear();
    }

    /// Takes the gap before the last frames to be damage, and not what a power failure left; those frames.
    fn count_tail(&mut self) -> Vec<(Position, Vec<u8>)> {
        let Some(mut tail) = self.tail.take() else { return Vec::new() };
        self.count_damage(&mut tail.bad);
        self.missing += tail.missing;
        self.end = tail.end;
        self.torn = tail.torn;
        if let Some((last, _)) = tail.frames.last() {
            self.sequence = last.sequence + 1;
        }
        tail.frames
    }
}

/// Frames behind a gap before which nothing shows that they were synced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tail {
    /// The first number that is missing.
    gap: u64,
    frames: Vec<(Position, Vec<u8>)>,
    end: u64,
    missing: u64,
    bad: Vec<Damage>,
    torn: Option<Damage>,
}

/// Reads a file of frames from its bytes, which come in pieces.
pub struct FileReader {
    kind: FileKind,
    found: FileFound,
    /// Damage before the frame that comes next.
    bad: Vec<Damage>,
    state: State,
}

enum State {
    /// The bytes so far, until it is known what the file is.
    Beginning(Vec<u8>),
    Frames(Scanner),
    /// Of another version.
    Other,
}

impl FileReader {
    /// A reader of a file of this kind.
    pub fn new(kind: FileKind) -> FileReader {
        let state = State::Beginning(Vec::new());
        FileReader { kind, found: FileFound::default(), bad: Vec::new(), state }
    }

    /// Takes the next bytes, and hands out the place and payload of every whole frame.
    pub fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(Position, &[u8])) {
        self.found.size += bytes.len() as u64;
        self.step(bytes, bytes.is_empty(), each);
    }

    fn step(&mut self, bytes: &[u8], is_at_end: bool, each: &mut dyn FnMut(Position, &[u8])) {
        match &mut self.state {
            State::Beginning(beginning) => {
                beginning.extend_from_slice(bytes);
                if beginning.len() < HEAD && !is_at_end {
                    return;
                }
                let beginning = std::mem::take(beginning);
                let rest = self.begin(&beginning);
                self.step(&beginning[rest..], false, each);
                if is_at_end {
                    self.step(&[], true, each);
                }
            }
            State::Frames(scanner) => {
                if !bytes.is_empty() || is_at_end {
                    scanner.feed(bytes);
                }
                // The floors hold nothing that is not true by itself.
                let may_be_torn = self.kind == FileKind::Journal;
                frames(scanner, &mut self.found, &mut self.bad, may_be_torn, each);
            }
            State::Other => {}
        }
    }

    /// Decides what the file is by its first bytes; where its frames begin in them.
    fn begin(&mut self, bytes: &[u8]) -> usize {
        let scanner = match frame::head(bytes, self.kind) {
            Head::Whole { generation, is_earlier } => {
                self.found.end = HEAD as u64;
                self.found.is_earlier = is_earlier;
                Scanner::new(Some(generation))
            }
            Head::Other { version } => {
                self.found.unknown_version = Some(version);
                self.state = State::Other;
                return bytes.len();
            }
            Head::None if self.kind == FileKind::Journal && frame::is_old(bytes) => {
                self.found.is_old = true;
                self.state = State::Other;
                return bytes.len();
            }
            Head::None => {
                self.found.is_headless = !bytes.is_empty();
                Scanner::new(None)
            }
        };
        self.state = State::Frames(scanner);
        HEAD.min(bytes.len())
    }

    /// What the file turned out to hold, once all of it was fed.
    pub fn finish(self) -> FileFound {
        let mut found = self.found;
        match self.state {
            State::Frames(scanner) => {
                (found.generation, found.sequence) =
                    (scanner.generation().unwrap_or_default(), scanner.sequence());
                let torn = scanner.finish().filter(|torn| torn.offset < found.size);
                if let Some(tail) = &mut found.tail {
                    tail.torn = torn;
                    let (offset, length) = (found.end, found.size - found.end);
                    let beginning =
                        tail.bad.first().map(|damage| damage.beginning.clone()).unwrap_or_default();
                    found.torn = Some(Damage { offset, length, beginning });
                    found.sequence = tail.gap;
                } else {
                    found.torn = torn;
                }
            }
            State::Beginning(_) | State::Other => {}
        }
        found
    }
}

fn frames(
    scanner: &mut Scanner,
    found: &mut FileFound,
    bad: &mut Vec<Damage>,
    may_be_torn: bool,
    each: &mut dyn FnMut(Position, &[u8]),
) {
    while let Some(next) = scanner.find() {
        let (end, missing, position, durable, payload) = match next {
            Found::Frame { end, missing, generation, sequence, durable, payload } => {
                (end, missing, Position { generation, sequence }, durable, payload)
            }
            Found::Bad(damage) => {
                bad.push(damage);
                continue;
            }
        };
        if missing > 0 && may_be_torn && found.tail.is_none() {
            found.tail = Some(Tail { gap: position.sequence - missing, ..Tail::default() });
        }
        if let Some(tail) = found.tail.as_mut().filter(|tail| durable <= tail.gap) {
            tail.frames.push((position, payload.to_vec()));
            tail.end = end;
            tail.missing += missing;
            tail.bad.append(bad);
            continue;
        }
        // What is missing had been synced: it was damaged since.
        found.count_tail().iter().for_each(|(position, payload)| each(*position, payload));
        found.count_damage(bad);
        found.end = end;
        found.missing += missing;
        each(position, payload);
    }
}

/// What the floors know of a zone.
#[derive(Clone, Debug, Default)]
struct Known {
    served: Option<(Position, Stamp)>,
    /// The journal has that version.
    is_in_journal: bool,
    reserve: Option<(Position, Reserve)>,
}

/// Puts together what the floors and the journal hold.
#[derive(Default)]
pub struct Recovery {
    floors: HashMap<Name, Known>,
    life: Option<(Position, Life)>,
    copies: Vec<FileFound>,
    /// Entries whose file is missing or damaged.
    lost_contents: u64,
    /// Payloads that are whole and not understood.
    strange: u64,
}

/// How far the past is known.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The journal.
    pub journal: FileFound,
    /// The copies of the floors.
    pub floors: Vec<FileFound>,
    /// Entries whose file is missing or damaged.
    pub lost_contents: u64,
    /// The floors tell exactly what was served last: whatever the journal lost is known.
    pub is_exact: bool,
    /// Versions may have been served that neither journal nor floors know of.
    pub is_doubtful: bool,
    /// They may, and of what was reserved for them something is lost as well.
    pub is_boundless: bool,
    /// Zones that the floors know.
    pub zones: usize,
}

impl Recovery {
    /// Takes in a payload of a copy of the floors.
    pub fn floor(&mut self, position: Position, payload: &[u8]) {
        if let Some(life) = Life::read(payload) {
            if self.life.is_none_or(|(last, _)| last <= position) {
                self.life = Some((position, life));
            }
            return;
        }
        let (Some(zone), Some(Payload::Whole(happened))) = (entry::zone_of(payload), entry::decode(payload))
        else {
            return;
        };
        let known = match self.floors.get_mut(zone) {
            Some(known) => known,
            None => self.floors.entry(zone.to_name()).or_default(),
        };
        match happened {
            Replayed::Past(_, stamp) if known.served.is_none_or(|(last, _)| last <= position) => {
                known.served = Some((position, stamp));
            }
            Replayed::Reserved(reserve) if known.reserve.is_none_or(|(last, _)| last <= position) => {
                known.reserve = Some((position, reserve));
            }
            _ => {}
        }
    }

    /// Takes in what became of a copy of the floors.
    pub fn floors(&mut self, found: FileFound) {
        self.copies.push(found);
    }

    /// Takes in a payload of the journal. `content` reads the file of an entry that has one.
    pub fn entry(
        &mut self,
        payload: &[u8],
        content: &mut dyn FnMut(&NameRef, Aside) -> Option<Replayed>,
        each: &mut dyn FnMut(Name, Replayed),
    ) {
        let (Some(zone), Some(payload)) = (entry::zone_of(payload), entry::decode(payload)) else {
            self.strange += 1;
            return;
        };
        let stamp = match &payload {
            Payload::Whole(happened) => happened.stamp(),
            Payload::Aside(aside) => Some(&aside.stamp),
        };
        if let Some(known) = self.floors.get_mut(zone) {
            known.is_in_journal |=
                stamp.is_some() && stamp == known.served.as_ref().map(|(_, served)| served);
        }
        let happened = match payload {
            Payload::Whole(happened) => happened,
            Payload::Aside(aside) => content(zone, aside).unwrap_or_else(|| {
                self.lost_contents += 1;
                Replayed::Lost(aside.stamp)
            }),
        };
        each(zone.to_name(), happened);
    }

    /// Hands out what the floors know, once the whole journal was read; before that, what stands at its end behind a gap, unless
    /// a power failure left it of a write that nobody was told of. `boot` is what such a failure changes.
    pub fn finish(
        mut self,
        mut journal: FileFound,
        boot: Life,
        content: &mut dyn FnMut(&NameRef, Aside) -> Option<Replayed>,
        each: &mut dyn FnMut(Name, Replayed),
    ) -> Recovered {
        let lost_power = self.life.is_some_and(|(_, life)| matches!(life, Life::Running(_)) && life != boot);
        if !lost_power || self.knows_served(&journal) {
            let frames = journal.count_tail();
            frames.iter().for_each(|(_, payload)| self.entry(payload, content, each));
        }
        let newest = self.copies.iter().map(FileFound::next).max();
        let whole = |copy: &FileFound| copy.size > 0 && copy.is_whole() && Some(copy.next()) == newest;
        let is_exact = self.life.is_some() && !lost_power && self.copies.iter().any(whole);
        let had_floors = self.copies.iter().any(|copy| copy.size > 0);
        let journal_is_gone = journal.size == 0 && had_floors;
        let floors_are_gone = !had_floors && journal.size > 0 && !journal.is_old;
        // An end that version 1 left torn is what a crash leaves.
        let is_damaged = if journal.is_old { !journal.is_whole_within() } else { !journal.is_whole() };
        // One that was restored from a copy, or cut off where a frame ends, shows no damage.
        let is_behind = self.floors.values().any(|known| known.served.is_some() && !known.is_in_journal);
        let damage = is_damaged || is_behind || self.strange > 0 || journal_is_gone || floors_are_gone;
        let is_doubtful = damage && !is_exact;
        // What was reserved had been synced: a power failure tears no more off the floors than what was served.
        let holds_reserves =
            |copy: &FileFound| copy.size > 0 && copy.is_whole_within() && (lost_power || copy.torn.is_none());
        let is_boundless = is_doubtful
            && (is_damaged || journal_is_gone || self.strange > 0)
            && !self.copies.iter().any(holds_reserves);
        let zones = self.floors.len();
        for (zone, known) in self.floors {
            if let Some((_, stamp)) = known.served {
                each(zone.clone(), Replayed::Served(stamp));
            }
            if let Some((_, reserve)) = known.reserve {
                let is_doubtful = reserve.is_doubtful || is_doubtful;
                each(zone, Replayed::Reserved(Reserve { is_doubtful, ..reserve }));
            }
        }
        Recovered {
            journal,
            floors: self.copies,
            lost_contents: self.lost_contents,
            is_exact,
            is_doubtful,
            is_boundless,
            zones,
        }
    }

    /// Whether the floors know that a version at the end of the journal was served.
    fn knows_served(&self, journal: &FileFound) -> bool {
        let served = |payload: &[u8]| {
            let known = self.floors.get(entry::zone_of(payload)?)?.served?.1;
            Some(known == entry::version_of(payload)?)
        };
        journal.tail.iter().flat_map(|tail| &tail.frames).any(|(_, payload)| served(payload) == Some(true))
    }
}
