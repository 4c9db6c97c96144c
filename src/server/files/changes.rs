//! What changes in folders mean for the zones: which are to be read again, which have gone, which are new.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use crate::wire::name::Name;

use super::super::reading::{Done, Haste, Job, read_all};
use super::super::watched::{Batch, Trail};
use super::super::zone_file::{Identity, Opened, identify, is_zone_file, zone_files};
use super::{Dir, FileEvent, GRACE, Watch, Watched, tell_empty};

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
        let mut to_open: Vec<(PathBuf, usize)> = Vec::new();
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
                Some(index) => to_open.push((zone.path.to_path_buf(), index)),
                None => to_read.push(name),
            }
        }
        let known: BTreeSet<PathBuf> = to_open.iter().map(|(path, _)| path.clone()).collect();
        to_open.extend(self.new_files(batch).into_iter().filter(|(path, _)| !known.contains(path)));
        let jobs = to_open.iter().map(|(path, _)| Job::Unknown(path.clone())).collect();
        let mut index_of: HashMap<PathBuf, usize> = to_open.into_iter().collect();
        let mut found = Vec::new();
        read_all(&Arc::clone(&self.store), jobs, Haste::Gentle, &mut |done| {
            let Done::Unknown(path, opened) = done else { return };
            let index = index_of.remove(&path).unwrap_or_default();
            let held = self.held.get(path.as_path()).cloned();
            match (held, opened) {
                (Some(name), Ok(Opened { identity: Identity::Certain(new), loaded: Some(loaded) }))
                    if new == name =>
                {
                    self.missing.remove(&name);
                    self.loaded(&name, loaded);
                }
                (Some(name), Ok(Opened { identity: Identity::Certain(new), loaded })) => {
                    self.missing.remove(&name);
                    freed.extend(self.let_go(&name));
                    found.push((path, index, new, loaded));
                }
                // What it holds now is no longer certain: for as long as it is not mended, it is still that zone.
                (Some(name), _) => to_read.push(name),
                (None, Ok(Opened { identity: Identity::Certain(name) | Identity::Guess(name), loaded })) => {
                    found.push((path, index, name, loaded));
                }
                (None, Ok(_)) if self.told.insert(path.clone()) => tell_empty(&path),
                (None, Ok(_)) => {}
                (None, Err(error)) => tracing::error!("{error}"),
            }
        });
        for (path, index, name, loaded) in found {
            if self.adopt(&path, index, &name, &mut freed) {
                match loaded {
                    Some(loaded) => self.loaded(&name, loaded),
                    None => to_read.push(name),
                }
            }
        }
        // A file that was left out may hold what another one held until now.
        let left_out = if freed.is_empty() { Vec::new() } else { self.unheld(|_| true) };
        for (path, index) in left_out {
            if let Ok(Identity::Certain(name) | Identity::Guess(name)) = identify(&path)
                && freed.contains_key(&name)
                && self.adopt(&path, index, &name, &mut freed)
            {
                to_read.push(name);
            }
        }
        self.changed.vanished.extend(freed.into_keys());
        for name in &to_read {
            if self.zones.get(name).is_some_and(|zone| zone.path.exists()) {
                self.missing.remove(name);
            }
        }
        self.read(to_read);
        self.flush();
    }

    /// The files of a batch from which no zone is served, with the index of their folder.
    fn new_files(&self, batch: &Batch) -> Vec<(PathBuf, usize)> {
        let is_changed = |dir: &Dir| batch.all || !dir.places.is_disjoint(&batch.paths);
        let mut files = self.unheld(is_changed);
        for (index, dir) in self.dirs.iter().enumerate().filter(|(_, dir)| !is_changed(dir)) {
            let inside =
                batch.paths.iter().filter(|path| path.parent() == Some(&dir.real) && is_zone_file(path));
            let inside = inside.filter_map(|path| Some(dir.settings.path.join(path.file_name()?)));
            let is_new = |path: &PathBuf| !self.held.contains_key(path.as_path()) && path.is_file();
            files.extend(inside.filter(is_new).map(|path| (path, index)));
        }
        let is_open = |path: &Path| !Trail::follow(path).places.is_disjoint(&batch.open);
        files.retain(|(path, _)| batch.open.is_empty() || !is_open(path));
        files
    }

    /// The files in some folders of zones from which no zone is served, with the index of the folder.
    fn unheld(&self, is_asked: impl Fn(&Dir) -> bool) -> Vec<(PathBuf, usize)> {
        let dirs = self.dirs.iter().enumerate().filter(|(_, dir)| is_asked(dir));
        let all = dirs.flat_map(|(index, dir)| {
            zone_files(&dir.settings.path).into_iter().map(move |file| (file.path, index))
        });
        all.filter(|(path, _)| !self.held.contains_key(path.as_path())).collect()
    }

    /// Takes in a file found in a folder of zones; `false` when it is no new zone. It may hold one of the zones that have
    /// just lost their file.
    fn adopt(&mut self, path: &Path, index: usize, name: &Name, freed: &mut BTreeMap<Name, Watched>) -> bool {
        if self.others.contains(name) {
            tracing::error!(zone = %name, "{} holds a zone that is served already; it is left out", path.display());
            return false;
        }
        if let Some(other) = self.zones.get(name) {
            if other.dir.is_none() || other.path.exists() {
                tracing::error!(zone = %name, "{} and {} both hold this zone; the second is left out", other.path.display(), path.display());
                return false;
            }
            self.missing.remove(name);
            freed.extend(self.let_go(name));
        }
        match freed.remove(name) {
            // The zone goes on, from another file.
            Some(old) if old.dir == Some(index) => {}
            old => {
                self.changed.vanished.extend(old.map(|_| name.clone()));
                self.changed.appeared.push(self.dirs[index].settings.zone(name.clone(), path));
            }
        }
        self.hold(name, Watched::plain(path, Some(index)));
        self.retrace(name);
        true
    }
}
