//! Writes groups of commits, and keeps the files in order: one write and one sync of the journal for all that wait.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::panic;
use crate::publish::journal::entry::Entry;
use crate::publish::journal::floor::Life;
use crate::publish::journal::group::{self, Placed};
use crate::publish::journal::log::LogError;
use crate::publish::journal::order::Commit;
use crate::wire::name::NameRef;

use super::contents::{self, Live, Remover};
use super::folder::{Folder, FolderError, io_error};
use super::open::{Ready, most};
use super::rewrite::{Files, Mark, Rewrite};

/// A buffer that grew beyond this is let go of after use.
const KEEP_BUFFER: usize = 1 << 20;

/// The files that are written to.
pub struct Writer {
    folder: Folder,
    files: Files,
    ids: Arc<AtomicU64>,
    remover: Remover,
    most: u64,
    buffer: Vec<u8>,
    /// Why a file has to be written anew before anything counts as written: a sync failed, or it is not in place.
    unsound: Option<String>,
    /// The floors hold what is not synced.
    is_dirty: bool,
    /// Something is missing that only a checkpoint can bring back.
    is_lacking: bool,
    /// Syncs so far that commits waited for.
    syncs: Arc<AtomicU64>,
}

impl Writer {
    /// A writer of a journal that was put in order.
    pub fn new(ready: Ready, remover: Remover, syncs: Arc<AtomicU64>) -> Writer {
        let Ready { folder, files, ids, most } = ready;
        Writer {
            folder,
            files,
            ids,
            remover,
            most,
            buffer: Vec::new(),
            unsound: None,
            is_dirty: false,
            is_lacking: false,
            syncs,
        }
    }

    /// The data folder.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A name for another content.
    pub fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes and syncs the entries of all commits, or of none.
    pub fn write(&mut self, commits: &[Commit]) -> Result<(), LogError> {
        self.try_write(commits)
            .map_err(|error| LogError(format!("{}: {error}", self.files.journal.path().display())))
    }

    fn try_write(&mut self, commits: &[Commit]) -> io::Result<()> {
        let placed = || commits.iter().flat_map(|commit| &commit.placed);
        if placed().next().is_none() {
            return Ok(());
        }
        self.make_sound()?;
        self.reserve(placed())?;
        self.buffer.clear();
        let (length, before) = (self.files.journal.length(), self.files.journal.framer);
        let mut framer = before;
        group::entries(&mut framer, placed(), &mut self.buffer);
        self.files.journal.append(&self.buffer, framer)?;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.files.journal.sync() {
            // What the caller will not serve must not come back after a restart.
            self.files.journal.take_back(length, before);
            self.unsound = Some(format!("a sync failed ({error})"));
            return Err(error);
        }
        // A sync of a file that was removed keeps nothing.
        if let Err(error) = self.look() {
            self.files.journal.take_back(length, before);
            return Err(error);
        }
        self.note_served(placed());
        self.refer(placed());
        self.buffer.shrink_to(KEEP_BUFFER);
        Ok(())
    }

    /// Appends an entry whose loss would do no harm.
    pub fn note(&mut self, entry: Entry) {
        if self.unsound.is_some() {
            return;
        }
        let mut frames = Vec::new();
        let mut framer = self.files.journal.framer;
        group::entries(&mut framer, [(entry, None)].iter(), &mut frames);
        // If this fails, the next entry that matters will fail too, and be told.
        let _ = self.files.journal.append(&frames, framer);
    }

    /// Writes to both copies of the floors, and syncs one, what primaries may publish from now on.
    fn reserve<'p>(&mut self, placed: impl Iterator<Item = &'p Placed>) -> io::Result<()> {
        self.buffer.clear();
        let [first, second] = &mut self.files.floors;
        let mut framer = first.framer;
        group::reserved(&mut framer, placed, &mut self.buffer);
        if self.buffer.is_empty() {
            return Ok(());
        }
        let (length, before) = (first.length(), first.framer);
        first.append(&self.buffer, framer)?;
        if let Err(error) = second.append(&self.buffer, framer) {
            first.take_back(length, before);
            return Err(error);
        }
        self.is_dirty = true;
        self.syncs.fetch_add(1, Ordering::Relaxed);
        first.sync().inspect_err(|error| self.unsound = Some(format!("a sync failed ({error})")))
    }

    /// Notes the versions that are served from now on.
    fn note_served<'p>(&mut self, placed: impl Iterator<Item = &'p Placed>) {
        self.buffer.clear();
        let [first, second] = &mut self.files.floors;
        let mut framer = first.framer;
        group::served(&mut framer, placed, &mut self.buffer);
        let noted = first.append(&self.buffer, framer).and_then(|()| second.append(&self.buffer, framer));
        self.is_dirty = true;
        if let Err(error) = noted {
            // The journal has it; only the second source of it is missing until the floors are written anew.
            self.unsound = Some(format!("the floors of serials could not be written ({error})"));
        }
    }

    /// Keeps account of contents in files of their own.
    fn refer<'p>(&mut self, placed: impl Iterator<Item = &'p Placed>) {
        let mut needless = Vec::new();
        for (entry, aside) in placed {
            match (entry, aside) {
                (entry, Some(aside)) => {
                    self.files.references.add(entry.zone(), Live { aside: *aside, size: None });
                }
                (Entry::Full(snapshot, ..), None) => {
                    needless.extend(self.files.references.forget(snapshot.apex()));
                }
                (Entry::Change(..) | Entry::Past(..) | Entry::Verified(..) | Entry::Reserve(..), None) => {}
                (Entry::Newer(..) | Entry::Expired(..), None) => {}
            }
        }
        self.remover.files(needless);
    }

    /// Notes that a file is whole.
    pub fn complete(&mut self, zone: &NameRef, id: u64, size: u64) {
        let needless = self.files.references.complete(zone, id, size);
        self.remover.files(needless);
    }

    /// Removes the file of an entry that does not count.
    pub fn discard(&self, id: u64) {
        self.remover.files(vec![id]);
    }

    /// Lets go of an entry with a file of its own: nothing else may hold its content any more.
    pub fn let_go(&self, entry: Entry) {
        self.remover.entry(entry);
    }

    /// The size of a file that is whole; `None` when it is still to be written.
    pub fn size_of(&self, id: u64) -> Option<u64> {
        std::fs::metadata(contents::path(&self.folder.contents(), id)).ok().map(|file| file.len())
    }

    /// Whether the journal refers to this file.
    pub fn refers_to(&self, id: u64) -> bool {
        self.files.references.has(id)
    }

    /// Finds out whether the files are still where they belong, and writes them anew where they are not.
    pub fn look(&mut self) -> io::Result<()> {
        if self.unsound.is_none() && !self.are_in_place() {
            tracing::error!(
                "{} was removed or replaced while this node uses it; it is written anew (find out what removed it)",
                self.folder.path().display()
            );
            self.unsound = Some("a file was removed or replaced".to_owned());
        }
        self.make_sound()
    }

    fn are_in_place(&self) -> bool {
        self.files.journal.is_in_place() && self.files.floors.iter().all(|floors| floors.is_in_place())
    }

    fn make_sound(&mut self) -> io::Result<()> {
        let Some(why) = self.unsound.clone() else { return Ok(()) };
        self.renew().map_err(|error| {
            io::Error::new(error.kind(), format!("{why}, and writing it anew failed: {error}"))
        })?;
        self.unsound = None;
        tracing::warn!("{} is written anew: {why}", self.files.journal.path().display());
        Ok(())
    }

    fn renew(&mut self) -> io::Result<()> {
        self.folder.restore().map_err(io::Error::other)?;
        for path in [self.folder.journal()].into_iter().chain(self.folder.floors()) {
            // What somebody put there may be all that is left of something.
            let ours = [&self.files.journal, &self.files.floors[0], &self.files.floors[1]];
            let is_ours = ours.iter().any(|file| file.path() == path && file.is_in_place());
            if path.exists() && !is_ours {
                self.folder.keep_aside(&path, &path, false).map_err(io::Error::other)?;
            }
        }
        let Files { journal, floors: [first, second], .. } = &mut self.files;
        // One copy of the floors may lack what could not be written to it.
        let longer = if first.length() >= second.length() { &*first } else { &*second };
        let floors = [longer.copy_to(first.path())?, longer.copy_to(second.path())?];
        *journal = journal.copy_to(journal.path())?;
        self.files.floors = floors;
        self.folder.sync()
    }

    /// Syncs what is not synced yet; to be called now and then.
    pub fn settle(&mut self) {
        if std::mem::take(&mut self.is_dirty) {
            for floors in &mut self.files.floors {
                if let Err(error) = floors.sync() {
                    self.unsound = Some(format!("a sync failed ({error})"));
                }
            }
        }
    }

    /// Finds out whether what only a checkpoint can bring back is missing.
    pub fn look_for_losses(&mut self) {
        let is_gone = |id| !contents::path(&self.folder.contents(), id).exists();
        let mut written = self.files.references.iter().filter(|(_, live)| live.size.is_some());
        self.is_lacking = written.any(|(_, live)| is_gone(live.aside.id))
            || !self.files.journal.is_complete()
            || !self.files.floors[0].is_complete();
    }

    /// Where a checkpoint begins to count, if one is needed: the journal has grown far beyond what it has to hold, which
    /// `needed` tells, or lacks something.
    pub fn overgrown(&mut self, needed: impl FnOnce() -> u64) -> Option<Mark> {
        // Changes in files of their own are as much a part of the journal: only those that zones remember are written anew.
        let changes = self.files.references.change_bytes();
        let longest = (self.files.journal.length() + changes).max(self.files.floors[0].length());
        if longest > self.most {
            // What was never written anew need not have grown by what is of no use now.
            self.most = self.most.max(most(needed(), &self.files.references));
        }
        (longest > self.most || self.is_lacking).then(|| self.files.mark())
    }

    /// Begins new files beside the old ones.
    pub(super) fn rewrite(&self) -> Rewrite {
        let mut references = self.files.references.clone();
        references.retain(|id| contents::path(&self.folder.contents(), id).exists());
        let generation = self.files.journal.framer.generation().max(self.files.floors[0].framer.generation());
        Rewrite::new(&self.folder, generation.wrapping_add(1), references, Arc::clone(&self.ids))
    }

    /// Puts new files in the place of the old ones, which go on when that fails. A fault of this program is an error too.
    pub(super) fn replace(
        &mut self,
        written: Result<Files, FolderError>,
        mark: Mark,
    ) -> Result<(), FolderError> {
        let known = mark.known.clone();
        let replaced = written.and_then(|mut new| {
            let replaced = panic::catch(|| new.replace(&self.files, &mark));
            match replaced.unwrap_or_else(|error| Err(io::Error::other(format!("that {error}")))) {
                Ok(()) => Ok(new),
                Err(error) => {
                    new.discard(&self.folder.contents(), &self.files.references.ids().collect());
                    Err(io_error("write", self.files.journal.path())(error))
                }
            }
        });
        match replaced {
            Ok(files) => {
                let kept: HashSet<u64> = files.references.ids().collect();
                let since: Vec<_> =
                    self.files.references.iter().map(|(zone, live)| (zone.clone(), live.clone())).collect();
                (self.files, self.unsound, self.is_lacking) = (files, None, false);
                let mut needless = Vec::new();
                for (zone, live) in since {
                    // What was carried over refers to files that came since the mark.
                    if kept.contains(&live.aside.id) {
                        continue;
                    }
                    if known.contains(&live.aside.id) {
                        needless.push(live.aside.id);
                        continue;
                    }
                    let (id, size) = (live.aside.id, live.size);
                    self.files.references.add(&zone, Live { size: None, ..live });
                    if let Some(size) = size {
                        needless.extend(self.files.references.complete(&zone, id, size));
                    }
                }
                self.remover.files(needless);
                self.most = most(self.files.journal.length(), &self.files.references);
                Ok(())
            }
            Err(error) => {
                if self.unsound.is_none() && !self.are_in_place() {
                    self.unsound = Some("another could not be put in its place".to_owned());
                }
                Err(error)
            }
        }
    }

    /// Notes that the node has ended and all is synced.
    pub fn stop(&mut self) {
        let mut frames = Vec::new();
        let mut framer = self.files.floors[0].framer;
        framer.frame(&mut frames, |out| Life::Stopped.write(out));
        if self.unsound.is_none() && self.files.journal.sync().is_ok() {
            for floors in &mut self.files.floors {
                // Without it, the floors count as exact only while the system runs.
                let _ = floors.append(&frames, framer).and_then(|()| floors.sync());
            }
        }
    }
}
