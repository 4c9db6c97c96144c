//! A new journal from the state of all zones, in place of one that has grown, is damaged, or is of an older version.
//!
//! ```text
//! old:  [ what the checkpoint holds ........ mark ][ what came since ]
//! new:  [ the checkpoint's entries ][ what came since ]
//! ```

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::panic;
use crate::publish::journal::entry::{Aside, Entry, MANY_RECORDS};
use crate::publish::journal::frame::{FileKind, Found, Framer, Scanner};
use crate::wire::name::Name;
use crate::zone::stamp::Stamp;

use super::contents::{self, BACKLOG, Live, References};
use super::file::{self, FrameFile};
use super::folder::{Folder, FolderError, io_error, sync_folder};

/// What is read or written at once.
const CHUNK: usize = 256 << 10;

/// Places in the journal and in the floors up to which a checkpoint holds all there is.
#[derive(Clone, Debug)]
pub struct Mark {
    journal: (u64, Framer),
    floors: (u64, Framer),
    /// The contents that the journal referred to by then.
    pub(super) known: HashSet<u64>,
}

/// The files of a journal.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) journal: FrameFile,
    /// Two copies with the same frames.
    pub(super) floors: [FrameFile; 2],
    pub(super) references: References,
}

/// Where new files are to be written.
pub(super) struct Rewrite {
    paths: [PathBuf; 4],
    generation: u32,
    /// Files that may be referred to again.
    references: References,
    ids: Arc<AtomicU64>,
}

impl Rewrite {
    /// New files beside those in this folder. The generation is another one than theirs.
    pub(super) fn new(
        folder: &Folder,
        generation: u32,
        references: References,
        ids: Arc<AtomicU64>,
    ) -> Rewrite {
        let [first, second] = folder.floors();
        Rewrite { paths: [folder.journal(), first, second, folder.contents()], generation, references, ids }
    }

    /// Writes and syncs the new files from the entries that `checkpoint` hands out; they are not in place yet. A fault of this program
    /// is an error like one of the disk, and either leaves nothing behind.
    pub(super) fn write(self, checkpoint: impl FnOnce(&mut dyn FnMut(Entry))) -> Result<Files, FolderError> {
        let Rewrite { paths: [journal, first, second, contents], generation, references, ids } = self;
        let create = |path, kind| {
            FrameFile::create(path, kind, generation).map_err(io_error("create", &file::new(path)))
        };
        let mut writer = Writer {
            journal: Output::new(create(&journal, FileKind::Journal)?),
            floors: [
                Output::new(create(&first, FileKind::Floors)?),
                Output::new(create(&second, FileKind::Floors)?),
            ],
            contents,
            known: references,
            references: References::default(),
            ids,
            zone: None,
            past: Vec::new(),
            last: None,
        };
        let written = panic::catch(|| writer.write(checkpoint));
        match written.unwrap_or_else(|error| Err(io::Error::other(format!("that {error}")))) {
            Ok(()) => Ok(writer.files()),
            Err(error) => {
                let (dir, known) = (writer.contents.clone(), writer.known.ids().collect());
                writer.files().discard(&dir, &known);
                Err(io_error("write", &journal)(error))
            }
        }
    }
}

/// Puts the entries of a checkpoint into files.
struct Writer {
    journal: Output,
    floors: [Output; 2],
    contents: PathBuf,
    /// Contents that may be referred to again.
    known: References,
    references: References,
    ids: Arc<AtomicU64>,
    /// The zone at hand.
    zone: Option<Name>,
    /// Its versions up to the one whose content comes next.
    past: Vec<Entry>,
    /// Its last version.
    last: Option<Stamp>,
}

impl Writer {
    fn write(&mut self, checkpoint: impl FnOnce(&mut dyn FnMut(Entry))) -> io::Result<()> {
        let mut result = Ok(());
        checkpoint(&mut |entry| {
            if result.is_ok() {
                result = self.entry(entry);
            }
        });
        result?;
        self.end_zone()?;
        self.journal.finish()?;
        self.floors.iter_mut().try_for_each(Output::finish)
    }

    fn files(self) -> Files {
        let [first, second] = self.floors;
        Files { journal: self.journal.file, floors: [first.file, second.file], references: self.references }
    }

    fn entry(&mut self, entry: Entry) -> io::Result<()> {
        if self.zone.as_deref() != Some(entry.zone()) {
            self.end_zone()?;
            self.zone = Some(entry.zone().to_name());
        }
        match &entry {
            Entry::Past(_, _, stamp) => {
                self.last = Some(*stamp);
                self.past.push(entry);
                Ok(())
            }
            Entry::Full(_, stamp, _) => {
                self.last = Some(*stamp);
                match entry.aside(MANY_RECORDS, || self.ids.fetch_add(1, Ordering::Relaxed)) {
                    Some(aside) => self.large(&entry, aside),
                    None => {
                        self.flush_past()?;
                        self.journal.entry(&entry)
                    }
                }
            }
            Entry::Reserve(..) => {
                self.flush_past()?;
                self.journal.entry(&entry)?;
                self.floors.iter_mut().try_for_each(|floors| floors.entry(&entry))
            }
            Entry::Change(..) | Entry::Verified(..) | Entry::Newer(..) | Entry::Expired(..) => {
                self.flush_past()?;
                self.journal.entry(&entry)
            }
        }
    }

    /// A large content: refers to the file of an older version where the changes since are at hand, and writes one otherwise.
    fn large(&mut self, entry: &Entry, aside: Aside) -> io::Result<()> {
        let zone = entry.zone();
        let base = self.known.base(zone).cloned().and_then(|live| Some((self.follows(&live)?, live)));
        let Some((behind, live)) = base else {
            self.flush_past()?;
            let size = contents::write(&self.contents, entry, &aside)?;
            self.references.add(zone, Live { aside, size: Some(size) });
            return self.journal.frame(|out| aside.write(zone, out));
        };
        let changes = self.past.split_off(behind);
        self.flush_past()?;
        self.journal.frame(|out| live.aside.write(zone, out))?;
        self.references.add(zone, live);
        for change in changes {
            if let Entry::Past(zone, Some(delta), stamp) = change {
                self.journal.entry(&Entry::Change(zone, delta, stamp, aside.applied))?;
            }
        }
        Ok(())
    }

    /// Where the versions begin that follow a content, if all changes from it on are at hand.
    fn follows(&self, live: &Live) -> Option<usize> {
        let stamp_of = |entry: &Entry| match entry {
            Entry::Past(_, delta, stamp) => Some((*stamp, delta.is_some())),
            _ => None,
        };
        let at =
            self.past.iter().rposition(|entry| stamp_of(entry).is_some_and(|it| it.0 == live.aside.stamp))?;
        let behind = &self.past[at + 1..];
        behind.iter().all(|entry| stamp_of(entry).is_some_and(|it| it.1)).then_some(at + 1)
    }

    fn flush_past(&mut self) -> io::Result<()> {
        std::mem::take(&mut self.past).iter().try_for_each(|entry| self.journal.entry(entry))
    }

    fn end_zone(&mut self) -> io::Result<()> {
        self.flush_past()?;
        if let Some((zone, last)) = self.zone.take().zip(self.last.take()) {
            let served = Entry::Past(zone, None, last);
            self.floors.iter_mut().try_for_each(|floors| floors.entry(&served))?;
        }
        Ok(())
    }
}

/// Appends frames in large writes.
struct Output {
    file: FrameFile,
    /// How long the file was when it was last synced.
    synced: u64,
    framer: Framer,
    buffer: Vec<u8>,
}

impl Output {
    fn new(file: FrameFile) -> Output {
        Output { framer: file.framer, synced: file.length(), file, buffer: Vec::new() }
    }

    fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        self.frame(|out| entry.encode(out))
    }

    fn frame(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.framer.frame(&mut self.buffer, fill);
        if self.buffer.len() < CHUNK {
            return Ok(());
        }
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.append(&self.buffer, self.framer)?;
        self.buffer.clear();
        if self.file.length() - self.synced >= BACKLOG {
            self.file.sync()?;
            (self.framer, self.synced) = (self.file.framer, self.file.length());
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.sync()
    }
}

impl Files {
    /// The ends of the files as they are now.
    pub(super) fn mark(&self) -> Mark {
        let end = |file: &FrameFile| (file.length(), file.framer);
        let known = self.references.ids().collect();
        Mark { journal: end(&self.journal), floors: end(&self.floors[0]), known }
    }

    /// Takes over what the old files got since the mark, and gives the new ones their names.
    pub(super) fn replace(&mut self, old: &Files, mark: &Mark) -> io::Result<()> {
        let Files { journal, floors: [first, second], .. } = self;
        carry_over(&old.journal, mark.journal, journal)?;
        let readable = old.floors.iter().find(|copy| copy.is_complete()).unwrap_or(&old.floors[0]);
        for floors in [&mut *first, &mut *second] {
            carry_over(readable, mark.floors, floors)?;
        }
        self.put_in_place()
    }

    /// Removes files that are not to get their names, and the contents in `dir` that nothing else refers to: all but `known`.
    pub(super) fn discard(&self, dir: &Path, known: &HashSet<u64>) {
        let [first, second] = &self.floors;
        [&self.journal, first, second].into_iter().for_each(FrameFile::discard);
        // A journal that has its name counts after a restart, and so do the contents that it refers to.
        if !self.journal.is_in_place() {
            contents::remove(dir, self.references.ids().filter(|id| !known.contains(id)));
        }
    }

    /// Syncs the files and gives them their names.
    pub(super) fn put_in_place(&mut self) -> io::Result<()> {
        let [first, second] = &mut self.floors;
        for file in [&mut self.journal, first, second] {
            file.sync()?;
        }
        // The floors first: what they say of a later state than the journal's is true all the same.
        for file in [&self.floors[0], &self.floors[1], &self.journal] {
            file.put_in_place()?;
        }
        self.journal.path().parent().map_or(Ok(()), sync_folder)
    }
}

/// Appends to a new file what an old one holds behind a mark.
fn carry_over(old: &FrameFile, mark: (u64, Framer), new: &mut FrameFile) -> io::Result<()> {
    let (mut at, framer) = mark;
    let mut scanner = Scanner::from(framer.generation(), framer.sequence(), at);
    let mut bytes = vec![0; CHUNK.min(old.length().saturating_sub(at) as usize)];
    let (mut frames, mut next) = (Vec::new(), new.framer);
    while at < old.length() {
        let part = bytes.len().min((old.length() - at) as usize);
        old.read(&mut bytes[..part], at)?;
        at += part as u64;
        scanner.feed(&bytes[..part]);
        while let Some(found) = scanner.find() {
            match found {
                Found::Frame { payload, .. } => next.frame(&mut frames, |out| out.extend_from_slice(payload)),
                Found::Bad(_) => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        new.append(&frames, next)?;
        frames.clear();
    }
    // Nothing of what counts may be left behind.
    if scanner.sequence() == old.framer.sequence() { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
