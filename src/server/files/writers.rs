//! Files that were to be read and that somebody has open for writing: what is in them may be half of what it is to be. They are read
//! once they are closed, as after any edit, and whoever has asked for them waits for that, but not for long.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::wire::name::NameRef;

use super::asked::{Asker, File, What};
use super::lease::is_open_for_writing;
use super::load::LoadError;
use super::read::Haste;
use super::watch::{Changed, Watch};

/// How long whoever has files read waits for one to be closed: most that is written is written within that.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A file that is open for writing, and who waits for it.
pub(super) struct Awaited {
    what: What,
    /// The file itself, or one that it includes.
    open: PathBuf,
    pub(super) until: Instant,
    pub(super) askers: Vec<Rc<Asker>>,
}

impl Awaited {
    fn is_of_zone(&self, zone: &NameRef) -> bool {
        matches!(&self.what, What::Zone(name) if **name == *zone)
    }

    fn is_of_file(&self, path: &Path) -> bool {
        matches!(&self.what, What::File(file) if *file.path == *path)
    }
}

impl<R: Fn(Changed)> Watch<R> {
    /// What was to be read could not be, because this file is open for writing.
    pub(super) fn await_writer(&mut self, what: What, open: PathBuf, askers: &[Rc<Asker>]) {
        // What is included for the first time is not watched yet.
        if let What::Zone(name) = &what
            && let Some((path, _)) = self.file_of(name)
            && *path != *open
            && !self.ways.files(name).contains(&open)
        {
            self.ways.begin(name, &path);
            let files = [self.ways.files(name), std::slice::from_ref(&open)].concat();
            self.ways.set_files(name, &files);
            self.retrace(name);
        }
        // It may have been closed before that could be seen.
        if is_open_for_writing(&open) != Some(true) {
            return self.read_awaited(what, askers);
        }
        let now = Instant::now();
        // Nothing else is to wait before anything is served, unless it is worth nothing without this.
        let is_told = self.haste == Haste::Start && !self.is_strict;
        let place = open.canonicalize().unwrap_or_else(|_| open.clone());
        self.settling.open(now, place, is_told || !askers.is_empty());
        if is_told {
            return self.tell_open(what, open, askers);
        }
        let known = self.awaited.iter_mut().find(|awaited| match &what {
            What::Zone(name) => awaited.is_of_zone(name),
            What::File(file) => awaited.is_of_file(&file.path),
        });
        match known {
            Some(known) => {
                known.open = open;
                known.askers.extend_from_slice(askers);
            }
            None if askers.is_empty() => {}
            None => {
                let (until, askers) = (now + PATIENCE, askers.to_vec());
                self.awaited.push(Awaited { what, open, until, askers });
            }
        }
    }

    /// Tells those that have waited for long enough.
    pub(super) fn end_waits(&mut self, now: Instant) {
        let over: Vec<Awaited> = self.awaited.extract_if(.., |awaited| awaited.until <= now).collect();
        for Awaited { what, open, askers, .. } in over {
            if is_open_for_writing(&open) == Some(true) {
                self.tell_open(what, open, &askers);
            } else {
                self.read_awaited(what, &askers);
            }
        }
    }

    /// A zone's file was read, or is its file no more; who waited for that.
    pub(super) fn waited_for_zone(&mut self, zone: &NameRef) -> Vec<Rc<Asker>> {
        self.awaited
            .extract_if(.., |awaited| awaited.is_of_zone(zone))
            .flat_map(|awaited| awaited.askers)
            .collect()
    }

    /// A file was read; who waited for that.
    pub(super) fn waited_for_file(&mut self, path: &Path) -> Vec<Rc<Asker>> {
        self.awaited
            .extract_if(.., |awaited| awaited.is_of_file(path))
            .flat_map(|awaited| awaited.askers)
            .collect()
    }

    fn tell_open(&mut self, what: What, open: PathBuf, askers: &[Rc<Asker>]) {
        let error = LoadError::Open { path: open };
        match what {
            What::Zone(name) => self.changed.read.push((name, Err(error))),
            What::File(_) => Asker::refuse(askers, &error.to_string()),
        }
        self.leaving.extend_from_slice(askers);
    }

    fn read_awaited(&mut self, what: What, askers: &[Rc<Asker>]) {
        match what {
            What::Zone(name) => self.read_zones(vec![name], None, askers),
            What::File(File { path, .. }) if !path.exists() => self.leaving.extend_from_slice(askers),
            What::File(_) => {
                let search = self.search_for(askers);
                self.begin(vec![what], Some(search), askers, true);
            }
        }
    }
}
