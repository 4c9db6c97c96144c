//! Files that are being read: at most one read for each zone, and none that nobody needs any more.

use std::collections::HashSet;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::wire::name::Name;

use super::asked::{Asker, File, Read, What};
use super::read::{Haste, Job};
use super::watch::{Changed, Watch};

impl<R: Fn(Changed)> Watch<R> {
    /// Has zones' files read.
    pub(super) fn read_zones(&mut self, names: Vec<Name>, search: Option<u64>, askers: &[Rc<Asker>]) {
        // Who reloads many zones looks through them.
        let is_change = names.len() == 1 || askers.is_empty();
        let mut reads = Vec::with_capacity(names.len());
        for name in names {
            self.retrace(&name);
            if let Some((is_file, askers)) = self.may_read(&name, askers) {
                reads.push((name, is_file, askers));
            }
        }
        for (name, is_file, askers) in reads {
            if is_file {
                let search = search.unwrap_or_else(|| self.search());
                self.read_file_of(&name, Some(search), &askers, is_change);
            } else {
                self.begin(vec![What::Zone(name)], search, &askers, is_change);
            }
        }
    }

    /// Has a zone read that has changed.
    pub(super) fn read_changed(&mut self, name: &Name, askers: &[Rc<Asker>]) {
        if self.file_of(name).is_some_and(|(_, dir)| dir.is_some()) {
            let search = self.search();
            self.read_file_of(name, Some(search), askers, true);
        } else {
            self.read_zones(vec![name.clone()], None, askers);
        }
    }

    /// Has the file of a zone read, which may hold another one by now.
    pub(super) fn read_file_of(
        &mut self,
        name: &Name,
        search: Option<u64>,
        askers: &[Rc<Asker>],
        is_change: bool,
    ) {
        let Some((_, askers)) = self.may_read(name, askers) else { return };
        let Some((path, dir)) = self.file_of(name) else { return };
        let is_link = self.ways.has(name);
        self.begin(vec![What::File(File { path, dir, is_link })], search, &askers, is_change);
    }

    /// Gives up a read of this zone that is under way, if there is one: whether that was one of the file, and who waits now.
    /// `None` when that read is to be finished first: one that changes over and over is served now and then all the same.
    fn may_read(&mut self, name: &Name, askers: &[Rc<Asker>]) -> Option<(bool, Vec<Rc<Asker>>)> {
        self.file_of(name)?;
        let mut askers = askers.to_vec();
        let Some(reading) = self.reading.get_mut(name) else { return Some((false, askers)) };
        if reading.is_second && askers.is_empty() {
            reading.again = true;
            return None;
        }
        reading.is_second = true;
        let mut is_file = false;
        if let Some(read) = reading.ticket.take().and_then(|ticket| self.give_up_one(ticket)) {
            is_file = matches!(read.what, What::File(_));
            askers.extend(read.askers);
        }
        Some((is_file, askers))
    }

    /// A read of this zone has ended; whether it changed meanwhile.
    pub(super) fn finished(&mut self, name: &Name) -> bool {
        self.reading.remove(name).is_some_and(|reading| reading.again)
    }

    /// Has files read.
    pub(super) fn begin(
        &mut self,
        files: Vec<What>,
        search: Option<u64>,
        askers: &[Rc<Asker>],
        is_change: bool,
    ) {
        let mut jobs = Vec::with_capacity(files.len());
        let open = Arc::new(self.settling.all_open());
        let waited = self.give_up_files(&files);
        if let Some(search) = search.and_then(|id| self.searches.get_mut(&id)) {
            search.askers.extend(waited);
        }
        for what in files {
            self.last += 1;
            let ticket = self.last;
            let (read_for, path) = match &what {
                What::Zone(name) => {
                    let Some((path, _)) = self.file_of(name) else { continue };
                    (Some(name.clone()), path)
                }
                What::File(file) => (self.roster.held_by(&*file.path).cloned(), Arc::clone(&file.path)),
            };
            let zone = read_for.clone().filter(|_| matches!(what, What::Zone(_)));
            let may_be_copy = matches!(&what, What::File(file) if file.dir.is_some());
            if may_be_copy {
                self.marked.insert(&path);
            }
            if let Some(name) = read_for {
                self.reading.entry(name).or_default().ticket = Some(ticket);
            }
            let is_needless = Arc::new(AtomicBool::new(false));
            let (open, needless) = (Arc::clone(&open), Arc::clone(&is_needless));
            jobs.push(Job { ticket, path, zone, may_be_copy, open, is_needless: needless });
            self.one_more(search, ticket);
            self.reads.insert(ticket, Read { what, search, askers: askers.to_vec(), is_needless });
        }
        self.readers.read(jobs, self.haste, is_change);
    }

    /// Whether a file is being read for whichever zone it holds.
    pub(super) fn is_opening(&self, path: &Path) -> bool {
        self.reads.values().any(|read| matches!(&read.what, What::File(file) if *file.path == *path))
    }

    /// Gives up the reads that are under way of these files, if no zone is served from them yet: what came of them could come last. Who
    /// waits for them.
    fn give_up_files(&mut self, files: &[What]) -> Vec<Rc<Asker>> {
        if self.reads.is_empty() || self.haste == Haste::Start {
            return Vec::new();
        }
        let paths = files.iter().filter_map(|what| match what {
            What::File(file) if self.roster.held_by(&*file.path).is_none() => Some(&*file.path),
            What::File(_) | What::Zone(_) => None,
        });
        let paths: HashSet<&Path> = paths.collect();
        let is_old = |read: &Read| matches!(&read.what, What::File(file) if paths.contains(&*file.path));
        let old = self.reads.iter().filter(|(_, read)| is_old(read)).map(|(ticket, _)| *ticket);
        let old: Vec<u64> = old.collect();
        old.into_iter().filter_map(|ticket| self.give_up_one(ticket)).flat_map(|read| read.askers).collect()
    }

    /// Gives up a read; what it was.
    fn give_up_one(&mut self, ticket: u64) -> Option<Read> {
        let read = self.reads.remove(&ticket)?;
        read.is_needless.store(true, Ordering::Relaxed);
        self.skip(ticket, read.search);
        self.one_less(read.search);
        Some(read)
    }

    /// Gives up all reads and searches; who waits for them.
    pub(super) fn give_up(&mut self) -> Vec<Rc<Asker>> {
        let mut askers: Vec<Rc<Asker>> = Vec::new();
        for read in std::mem::take(&mut self.reads).into_values() {
            read.is_needless.store(true, Ordering::Relaxed);
            for asker in read.askers {
                if !askers.iter().any(|known| Rc::ptr_eq(known, &asker)) {
                    askers.push(asker);
                }
            }
        }
        askers.extend(std::mem::take(&mut self.awaited).into_iter().flat_map(|awaited| awaited.askers));
        askers.extend(std::mem::take(&mut self.searches).into_values().flat_map(|search| search.askers));
        askers
    }
}
