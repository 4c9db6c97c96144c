//! A pretend disk: a journal, its floors and large contents, of which a crash loses, tears and reorders what was not synced.
//!
//! What is written and what is read back is the code of [`crate::publish::journal`], as on a real disk; only the bytes are kept
//! here. A write reaches the disk in sectors, each by itself: a crash leaves any of those that were not synced, in no order, and
//! zeros between them.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::publish::journal::content;
use crate::publish::journal::entry::{Aside, Entry, Replayed};
use crate::publish::journal::floor::Life;
use crate::publish::journal::frame::{FRAME, FileKind, Framer, HEAD};
use crate::publish::journal::group::{self, Placed};
use crate::publish::journal::log::LogError;
use crate::publish::journal::recovery::{FileFound, FileReader, Position, Recovered, Recovery};
use crate::wire::name::{Name, NameRef};

/// A journal below this size is never compacted: small, so that compaction happens in short runs too.
const SMALL: usize = 24 << 10;
/// An entry of more records has a file of its own: few, so that there are such.
const MANY_RECORDS: u64 = 24;
/// What reaches the disk as a whole or not at all.
const SECTOR: usize = 512;

/// A file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The journal.
    Journal,
    /// A copy of the floors of serials.
    Floors(usize),
    /// A large content.
    Content(u64),
}

/// A file's bytes.
#[derive(Clone, Debug, Default)]
pub struct Platter {
    /// What is read.
    pub bytes: Vec<u8>,
    /// How much of that survives any crash.
    synced: usize,
}

/// When a host crashes that does so while it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// What is reserved is in the floors, not synced.
    Reserving,
    /// The entries are in the journal, not synced.
    Writing,
    /// They are synced, and the floors do not have them.
    Synced,
}

impl Moment {
    /// All of them.
    pub const ALL: [Moment; 3] = [Moment::Reserving, Moment::Writing, Moment::Synced];
}

/// The disk of one host; outlives its crashes.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// What is on it.
    pub files: BTreeMap<Place, Platter>,
    journal: Option<Framer>,
    floors: Option<Framer>,
    next_id: u64,
    generation: u32,
    /// What a crash of the host changes.
    boot: u128,
    compacted: usize,
    /// The journal lacks something that a new one would have.
    is_damaged: bool,
    /// There is no room for more.
    pub full: bool,
    /// The host crashes in the next append, then.
    pub armed: Option<Moment>,
    /// It crashed so.
    pub crashed: bool,
}

impl Disk {
    /// Hands everything that is left to `each`: what a process does when it starts.
    pub fn replay(&mut self, mut each: impl FnMut(Name, Replayed)) -> Recovered {
        let mut recovery = Recovery::default();
        for copy in 0..2 {
            let found = self.read(Place::Floors(copy), FileKind::Floors, &mut |position, payload| {
                recovery.floor(position, payload);
            });
            recovery.floors(found);
        }
        let mut content = |zone: &NameRef, aside: Aside| {
            let bytes = &self.files.get(&Place::Content(aside.id))?.bytes;
            content::read(zone, aside, bytes)
        };
        let journal = self.read(Place::Journal, FileKind::Journal, &mut |_, payload| {
            recovery.entry(payload, &mut content, &mut each);
        });
        let recovered = recovery.finish(journal, Life::Running(self.boot), &mut content, &mut each);
        self.settle_in(&recovered);
        recovered
    }

    fn read(&self, place: Place, kind: FileKind, each: &mut dyn FnMut(Position, &[u8])) -> FileFound {
        let mut reader = FileReader::new(kind);
        let bytes = self.files.get(&place).map_or(&[][..], |file| &file.bytes);
        // Pieces of any length do.
        bytes.chunks(1_000).chain([&[][..]]).for_each(|piece| reader.feed(piece, each));
        reader.finish()
    }

    /// Cuts off what is torn, begins what is missing, and notes that this life goes on here.
    fn settle_in(&mut self, recovered: &Recovered) {
        let journal = &recovered.journal;
        let floors = &recovered.floors;
        let generations = floors.iter().chain([journal]).map(|found| found.generation);
        self.generation = generations.max().unwrap_or_default().max(self.generation) + 1;
        self.is_damaged = !journal.is_whole() || floors.iter().any(|copy| !copy.is_whole());
        self.journal = Some(self.resume(Place::Journal, FileKind::Journal, journal));
        let newest = floors.iter().map(FileFound::next).max();
        let good = floors.iter().position(|copy| Some(copy.next()) == newest).unwrap_or(0);
        let framer = self.resume(Place::Floors(good), FileKind::Floors, &floors[good]);
        let copy = self.files.get(&Place::Floors(good)).cloned().unwrap_or_default();
        self.files.insert(Place::Floors(1 - good), copy);
        self.floors = Some(framer);
        let life = Life::Running(self.boot);
        self.floor_frames(|framer, out| framer.frame(out, |out| life.write(out)));
        self.sync_all();
        self.next_id += 1;
        self.compacted = self.length();
    }

    fn resume(&mut self, place: Place, kind: FileKind, found: &FileFound) -> Framer {
        let file = self.files.entry(place).or_default();
        if found.end == 0 {
            file.bytes.clear();
            return Framer::begin(&mut file.bytes, kind, self.generation);
        }
        file.bytes.truncate(found.end as usize);
        Framer::resume(found.generation, found.sequence)
    }

    /// Loses power: of what was not synced any sectors may be left. `at` chooses which, given how many choices there are.
    pub fn crash(&mut self, at: impl FnOnce(usize) -> usize) {
        let mut rng = StdRng::seed_from_u64(at(1 << 20) as u64);
        for file in self.files.values_mut() {
            let mut left = file.synced;
            let mut from = file.synced;
            while from < file.bytes.len() {
                let to = (from / SECTOR * SECTOR + SECTOR).min(file.bytes.len());
                if rng.random() {
                    left = to;
                } else {
                    file.bytes[from..to].fill(0);
                }
                from = to;
            }
            file.bytes.truncate(left);
            file.synced = left;
        }
        self.boot += 1;
        self.kill();
    }

    /// Ends the process: what it wrote is there.
    pub fn kill(&mut self) {
        (self.crashed, self.armed) = (false, None);
    }

    /// Loses a file.
    pub fn lose(&mut self, place: Place) {
        self.files.remove(&place);
    }

    /// Spoils a frame of the journal that is synced, with so many behind it that are.
    pub fn rot(&mut self, behind: usize) {
        let Some(file) = self.files.get_mut(&Place::Journal) else { return };
        let (mut reader, mut end, mut ends) = (FileReader::new(FileKind::Journal), HEAD, Vec::new());
        reader.feed(&file.bytes[..file.synced], &mut |_, payload| {
            end += FRAME + payload.len();
            ends.push(end);
        });
        if let Some(end) = ends.len().checked_sub(behind + 1).map(|at| ends[at]) {
            file.bytes[end - 1] ^= 1;
        }
    }

    /// Syncs a file unasked: the process does not know of it.
    pub fn write_back(&mut self, place: Place) {
        self.files.entry(place).and_modify(|file| file.synced = file.bytes.len());
    }

    /// Ends the process in good order.
    pub fn stop(&mut self) {
        self.floor_frames(|framer, out| framer.frame(out, |out| Life::Stopped.write(out)));
        self.sync_all();
    }

    /// Syncs what is not synced yet, as a process does now and then.
    pub fn sync_all(&mut self) {
        self.files.values_mut().for_each(|file| file.synced = file.bytes.len());
        self.journal.iter_mut().for_each(Framer::synced);
    }

    fn sync(&mut self, place: Place) {
        if let Some(file) = self.files.get_mut(&place) {
            file.synced = file.bytes.len();
        }
        if place == Place::Journal {
            self.journal.iter_mut().for_each(Framer::synced);
        }
    }

    fn length(&self) -> usize {
        self.files.get(&Place::Journal).map_or(0, |file| file.bytes.len())
    }

    /// Appends an entry whose loss would do no harm.
    pub fn note(&mut self, entry: &Entry) {
        if !self.full {
            self.write_entries(&[(entry.clone(), None)]);
        }
    }

    /// Whether it is time to compact.
    pub fn is_overgrown(&self) -> bool {
        !self.full && (self.is_damaged || self.length() > SMALL.max(3 * self.compacted))
    }

    /// Puts what `fill` hands out in the journal's place, and in that of the floors.
    pub fn compact(&mut self, fill: impl FnOnce(&mut dyn FnMut(Entry))) {
        self.generation += 1;
        let (mut journal, mut floors) = (Platter::default(), Platter::default());
        let mut framer = Framer::begin(&mut journal.bytes, FileKind::Journal, self.generation);
        let mut floor = Framer::begin(&mut floors.bytes, FileKind::Floors, self.generation);
        floor.frame(&mut floors.bytes, |out| Life::Running(self.boot).write(out));
        let mut contents = BTreeMap::new();
        fill(&mut |entry| {
            let placed = [self.place(entry)];
            if let [(entry, Some(aside))] = &placed {
                contents.insert(Place::Content(aside.id), synced(file_of(entry, aside)));
            }
            if let (Entry::Past(zone, _, stamp), _) = &placed[0] {
                let past = Entry::Past(zone.clone(), None, *stamp);
                floor.frame(&mut floors.bytes, |out| past.encode(out));
            }
            group::entries(&mut framer, placed.iter(), &mut journal.bytes);
            group::reserved(&mut floor, placed.iter(), &mut floors.bytes);
            group::served(&mut floor, placed.iter(), &mut floors.bytes);
        });
        self.files = contents;
        self.files.insert(Place::Journal, journal);
        self.files.insert(Place::Floors(0), floors.clone());
        self.files.insert(Place::Floors(1), floors);
        (self.journal, self.floors, self.is_damaged) = (Some(framer), Some(floor), false);
        self.sync_all();
        self.compacted = self.length();
    }

    /// An entry, and the file for its body if it is large.
    pub fn place(&mut self, entry: Entry) -> Placed {
        let aside = entry.aside(MANY_RECORDS, || {
            self.next_id += 1;
            self.next_id
        });
        (entry, aside)
    }

    fn write_entries(&mut self, placed: &[Placed]) {
        let file = self.files.entry(Place::Journal).or_default();
        let generation = self.generation;
        let begin = |bytes: &mut Vec<u8>| Framer::begin(bytes, FileKind::Journal, generation);
        let framer = self.journal.get_or_insert_with(|| begin(&mut file.bytes));
        group::entries(framer, placed.iter(), &mut file.bytes);
    }

    /// Appends frames to both copies of the floors.
    fn floor_frames(&mut self, fill: impl FnOnce(&mut Framer, &mut Vec<u8>)) {
        let mut frames = Vec::new();
        let generation = self.generation;
        let mut framer =
            self.floors.unwrap_or_else(|| Framer::begin(&mut frames, FileKind::Floors, generation));
        fill(&mut framer, &mut frames);
        self.floors = Some(framer);
        for copy in 0..2 {
            self.files.entry(Place::Floors(copy)).or_default().bytes.extend_from_slice(&frames);
        }
    }

    /// Writes and syncs the file of a large entry.
    pub fn content(&mut self, entry: &Entry, aside: &Aside) -> Result<(), LogError> {
        if self.full {
            return Err(no_space());
        }
        self.files.insert(Place::Content(aside.id), synced(file_of(entry, aside)));
        Ok(())
    }

    /// Whether the file of a large entry is there.
    pub fn has(&self, aside: &Aside) -> bool {
        self.files.contains_key(&Place::Content(aside.id))
    }

    /// Writes entries, and does not sync them: [`Disk::finish`] does.
    pub fn begin(&mut self, placed: &[Placed]) -> Result<(), LogError> {
        if self.full {
            return Err(no_space());
        }
        self.floor_frames(|framer, out| group::reserved(framer, placed.iter(), out));
        if self.armed == Some(Moment::Reserving) {
            return Err(self.crash_now());
        }
        self.sync(Place::Floors(0));
        self.write_entries(placed);
        Ok(())
    }

    /// Syncs what [`Disk::begin`] wrote.
    pub fn finish(&mut self, placed: &[Placed]) -> Result<(), LogError> {
        if self.armed == Some(Moment::Writing) {
            return Err(self.crash_now());
        }
        self.sync(Place::Journal);
        if self.armed.is_some() {
            return Err(self.crash_now());
        }
        self.floor_frames(|framer, out| group::served(framer, placed.iter(), out));
        Ok(())
    }

    /// Writes and syncs entries, or fails as a whole.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), LogError> {
        let placed: Vec<Placed> = entries.iter().map(|entry| self.place(entry.clone())).collect();
        for (entry, aside) in &placed {
            aside.map_or(Ok(()), |aside| self.content(entry, &aside))?;
        }
        self.begin(&placed)?;
        self.finish(&placed)
    }

    fn crash_now(&mut self) -> LogError {
        self.crashed = true;
        LogError("the pretend host crashed while it wrote".to_owned())
    }
}

fn no_space() -> LogError {
    LogError("no space left on the pretend disk".to_owned())
}

/// The bytes of a content's file.
fn file_of(entry: &Entry, aside: &Aside) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written: Result<(), std::convert::Infallible> = content::write(entry, aside, &mut |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    });
    let Ok(()) = written;
    bytes
}

fn synced(bytes: Vec<u8>) -> Platter {
    Platter { synced: bytes.len(), bytes }
}

#[cfg(test)]
mod tests;
