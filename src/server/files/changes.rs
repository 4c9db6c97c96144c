//! What changes in folders mean for the zones: which are to be read again, which have gone, which are new.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::wire::name::Name;

use super::asked::What;
use super::claims::Search;
use super::folder::{InFolder, is_zone_file, zone_files};
use super::settle::Batch;
use super::trail::Trail;
use super::watch::{FileEvent, Watch};
use super::watched::{Dir, Watched};

/// How long a missing file may be missing: some programs remove a file and then write or rename the new one.
const GRACE: Duration = Duration::from_secs(1);

/// Whether it can be told that a file is not there: a folder that cannot be read, or is not there itself (not mounted, say), tells
/// nothing of what was in it.
fn is_in_sight(path: &Path) -> bool {
    path.parent().is_some_and(|folder| fs::read_dir(folder).is_ok()) && path.try_exists().is_ok()
}

impl<R: Fn(FileEvent)> Watch<R> {
    /// Where a plain file lies, free of links.
    fn place(&self, zone: &Watched) -> Option<PathBuf> {
        Some(self.dirs.get(zone.dir?)?.real.join(zone.path.file_name()?))
    }

    /// The zones that changes are about.
    fn touched(&self, batch: &Batch, now: Instant) -> BTreeMap<Name, bool> {
        let overdue = self.missing.iter().filter(|(_, due)| **due <= now).map(|(name, _)| name);
        let mut touched: BTreeSet<&Name> = overdue.collect();
        if batch.all {
            touched.extend(self.zones.keys());
        }
        let is_changed = |places: &BTreeSet<PathBuf>| !places.is_disjoint(&batch.paths);
        for name in &self.traced {
            let way = self.zones.get(name).and_then(|zone| zone.way.as_ref());
            touched.extend(way.filter(|way| is_changed(&way.places)).map(|_| name));
        }
        for (index, dir) in self.dirs.iter().enumerate() {
            if is_changed(&dir.places) {
                let inside = self.zones.iter().filter(|(_, zone)| zone.dir == Some(index));
                touched.extend(inside.map(|(name, _)| name));
            }
            let files = batch.paths.iter().filter(|path| path.parent() == Some(&dir.real));
            let files = files.filter_map(|path| Some(dir.settings.path.join(path.file_name()?)));
            touched.extend(files.filter_map(|path| self.held.get(path.as_path())));
        }
        let is_open = |name: &&Name| match self.zones.get(*name) {
            Some(Watched { way: Some(way), .. }) => !way.places.is_disjoint(&batch.open),
            Some(zone) => self.place(zone).is_some_and(|place| batch.open.contains(&place)),
            None => true,
        };
        let is_overdue = |name: &Name| self.missing.get(name).is_some_and(|due| *due <= now);
        let touched = touched.into_iter().filter(|name| !is_open(name));
        touched.map(|name| (name.clone(), is_overdue(name))).collect()
    }

    pub(super) fn changed(&mut self, batch: &Batch, now: Instant) {
        self.watch_again(batch);
        let touched = self.touched(batch, now);
        self.missing.retain(|_, due| *due > now);
        let mut freed: BTreeMap<Name, Watched> = BTreeMap::new();
        let mut to_read: Vec<Name> = Vec::new();
        let mut to_open: Vec<Name> = Vec::new();
        for (name, overdue) in touched {
            self.retrace(&name);
            let Some(zone) = self.zones.get(&name) else { continue };
            match zone.dir {
                // It is served on; what is wrong with the folder has been told.
                Some(_) if !zone.path.exists() && !is_in_sight(&zone.path) => {
                    self.missing.remove(&name);
                }
                _ if !zone.path.exists() && !overdue => {
                    self.missing.entry(name).or_insert(now + GRACE);
                }
                Some(_) if !zone.path.exists() => {
                    self.missing.remove(&name);
                    freed.extend(self.let_go(&name));
                }
                Some(_) => to_open.push(name),
                None => to_read.push(name),
            }
        }
        for name in &to_read {
            if self.zones.get(name).is_some_and(|zone| zone.path.exists()) {
                self.missing.remove(name);
            }
        }
        // As a change even if it is many: who changes them waits for them.
        self.read_zones(to_read, None, &[]);
        let files = self.new_files(batch);
        if !(freed.is_empty() && to_open.is_empty() && files.is_empty()) {
            let search = self.search(Search::for_freed(freed), &[]);
            to_open.iter().for_each(|name| self.read_file_of(name, Some(search), &[], true));
            self.begin(files, Some(search), &[], true);
        }
    }

    /// The files of a batch from which no zone is served.
    fn new_files(&self, batch: &Batch) -> Vec<What> {
        let is_changed = |dir: &Dir| batch.all || !dir.places.is_disjoint(&batch.paths);
        let mut files = self.unheld(is_changed);
        for (index, dir) in self.dirs.iter().enumerate().filter(|(_, dir)| !is_changed(dir)) {
            let inside =
                batch.paths.iter().filter(|path| path.parent() == Some(&dir.real) && is_zone_file(path));
            let inside = inside.filter_map(|path| Some(dir.settings.path.join(path.file_name()?)));
            let is_new = |path: &PathBuf| !self.held.contains_key(path.as_path()) && path.is_file();
            files.extend(inside.filter(is_new).map(|path| {
                let is_link = path.is_symlink();
                What::File { path, dir: Some(index), is_link }
            }));
        }
        let is_open = |what: &What| match what {
            What::File { path, .. } => !Trail::follow(path).places.is_disjoint(&batch.open),
            What::Zone(_) => false,
        };
        files.retain(|what| batch.open.is_empty() || !is_open(what));
        files
    }

    /// The files in some folders of zones from which no zone is served.
    pub(super) fn unheld(&self, is_asked: impl Fn(&Dir) -> bool) -> Vec<What> {
        let dirs = self.dirs.iter().enumerate().filter(|(_, dir)| is_asked(dir));
        let all = dirs.flat_map(|(index, dir)| {
            let files = zone_files(&dir.settings.path).into_iter();
            files.map(move |InFolder { path, is_link }| What::File { path, dir: Some(index), is_link })
        });
        all.filter(|what| match what {
            What::File { path, .. } => !self.held.contains_key(path.as_path()),
            What::Zone(_) => false,
        })
        .collect()
    }
}
