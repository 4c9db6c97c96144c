//! What changes in folders mean for the zones: which are to be read again, which have gone, which are new.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::node::roster::ZoneSource;
use crate::wire::name::{Name, NameRef};

use super::super::unread::{Source, Unread};
use super::asked::{File, What};
use super::folder::{InFolder, files_in, is_zone_file};
use super::settle::Batch;
use super::trail::Trail;
use super::watch::{Changed, Watch};
use super::watched::Dir;

/// How long a missing file may be missing: some programs remove a file and then write or rename the new one.
const GRACE: Duration = Duration::from_secs(1);
/// Files that go missing within so long are told of at once.
const TOGETHER: Duration = Duration::from_millis(250);

/// Whether it can be told that a file is not there: a folder that cannot be read, or is not there itself (not mounted, say), tells
/// nothing of what was in it.
fn is_in_sight(path: &Path) -> bool {
    path.parent().is_some_and(|folder| fs::read_dir(folder).is_ok()) && path.try_exists().is_ok()
}

impl<R: Fn(Changed)> Watch<R> {
    /// Where a plain file lies, free of links.
    fn place(&self, zone: &NameRef) -> Option<PathBuf> {
        let (path, dir) = self.file_of(zone)?;
        Some(self.dirs.get(dir?)?.real.join(path.file_name()?))
    }

    /// The zones that changes are about.
    fn touched(&self, batch: &Batch, now: Instant) -> BTreeMap<Name, bool> {
        let overdue = self.missing.iter().filter(|(_, due)| **due <= now).map(|(name, _)| name);
        let mut touched: BTreeSet<&Name> = overdue.collect();
        if batch.all {
            touched.extend(self.roster.zones().filter_map(|(name, source)| source.file().map(|_| name)));
        }
        let is_changed = |places: &BTreeSet<PathBuf>| !places.is_disjoint(&batch.paths);
        touched.extend(batch.paths.iter().flat_map(|path| self.ways.through(path)));
        for (index, dir) in self.dirs.iter().enumerate() {
            if is_changed(&dir.places) {
                let is_inside =
                    |source: &ZoneSource<_>| matches!(source, ZoneSource::Found(_, dir) if *dir == index);
                let inside = self.roster.zones().filter(|(_, source)| is_inside(source));
                touched.extend(inside.map(|(name, _)| name));
            }
            let files = batch.paths.iter().filter(|path| path.parent() == Some(&dir.real));
            let files = files.filter_map(|path| Some(dir.path.join(path.file_name()?)));
            touched.extend(files.filter_map(|path| self.roster.held_by(path.as_path())));
        }
        let is_open = |name: &&Name| match self.ways.places(name) {
            Some(places) => !places.is_disjoint(&batch.open),
            None => self.place(name).is_none_or(|place| batch.open.contains(&place)),
        };
        let is_overdue = |name: &Name| self.missing.get(name).is_some_and(|due| *due <= now);
        let touched = touched.into_iter().filter(|name| !is_open(name));
        touched.map(|name| (name.clone(), is_overdue(name))).collect()
    }

    pub(super) fn changed(&mut self, batch: &mut Batch, now: Instant) {
        let copies = self.copies_beside(batch);
        batch.paths.extend(copies);
        self.watch_again(batch);
        let touched = self.touched(batch, now);
        self.missing.retain(|_, due| *due > now);
        let due = self.due_for_missing(now);
        let mut gone: Vec<Arc<Path>> = Vec::new();
        let mut to_read: Vec<Name> = Vec::new();
        let mut to_open: Vec<Name> = Vec::new();
        for (name, overdue) in touched {
            self.retrace(&name);
            let Some((path, dir)) = self.file_of(&name) else { continue };
            match dir {
                // It is served on; what is wrong with the folder has been told.
                Some(_) if !path.exists() && !is_in_sight(&path) => {
                    self.missing.remove(&name);
                }
                _ if !path.exists() && !overdue => {
                    self.missing.entry(name).or_insert(due);
                }
                Some(_) if !path.exists() => gone.push(path),
                Some(_) => to_open.push(name),
                None => to_read.push(name),
            }
        }
        for name in &to_read {
            if self.file_of(name).is_some_and(|(path, _)| path.exists()) {
                self.missing.remove(name);
            }
        }
        // As a change even if it is many: who changes them waits for them.
        self.read_zones(to_read, None, &[]);
        let lost = self.lost_dirs(batch);
        self.changed.lost.extend(lost);
        let (mut files, left) = self.new_files(batch);
        files.extend(gone.iter().flat_map(|path| self.left_behind(path)));
        gone.extend(left);
        for path in &gone {
            self.told.remove(&**path);
            self.marked.remove(path);
        }
        if !(gone.is_empty() && to_open.is_empty() && files.is_empty()) {
            let search = self.search();
            gone.iter().for_each(|path| self.gone(search, path));
            to_open.iter().for_each(|name| self.read_file_of(name, Some(search), &[], true));
            self.begin(files, Some(search), &[], true);
        }
    }

    /// The files that were copies of one that has gone.
    fn left_behind(&self, original: &Path) -> Vec<What> {
        let Some(dir) = self.dirs.iter().position(|dir| original.parent() == Some(&dir.path)) else {
            return Vec::new();
        };
        let copies = self.marked.beside(original).filter(|copy| self.roster.held_by(&***copy).is_none());
        let file = |path: &Arc<Path>| {
            What::File(File { path: Arc::clone(path), dir: Some(dir), is_link: path.is_symlink() })
        };
        copies.map(file).collect()
    }

    /// The files that are copies, or are none any more, by what came or went.
    fn copies_beside(&self, batch: &Batch) -> Vec<PathBuf> {
        let mut copies = Vec::new();
        for path in &batch.paths {
            let Some((folder, name)) = path.parent().zip(path.file_name()) else { continue };
            for dir in self.dirs.iter().filter(|dir| dir.real == folder) {
                let original = dir.path.join(name);
                // One that is missing may be back in a moment.
                let is_there = self.roster.held_by(original.as_path()).is_some() || original.exists();
                let is_turned =
                    |copy: &Path| self.roster.held_by(copy).is_some() == is_there || self.is_opening(copy);
                let turned = self.marked.beside(&original).filter(|copy| is_turned(copy));
                copies.extend(turned.filter_map(|copy| Some(dir.real.join(copy.file_name()?))));
            }
        }
        copies
    }

    /// When files are told to be missing that are so from now on. Those that go one soon after the other are told together: somebody
    /// empties a folder.
    fn due_for_missing(&self, now: Instant) -> Instant {
        let last = self.missing.values().max();
        last.copied().filter(|due| *due >= now + GRACE - TOGETHER).unwrap_or(now + GRACE)
    }

    /// The files of a batch from which no zone is served, and the paths of those of them that have gone.
    fn new_files(&self, batch: &Batch) -> (Vec<What>, Vec<Arc<Path>>) {
        let is_changed = |dir: &Dir| batch.all || !dir.places.is_disjoint(&batch.paths);
        let (mut files, mut gone) = (self.unheld(is_changed), Vec::new());
        for (index, dir) in self.dirs.iter().enumerate().filter(|(_, dir)| !is_changed(dir)) {
            let inside =
                batch.paths.iter().filter(|path| path.parent() == Some(&dir.real) && is_zone_file(path));
            let inside = inside.filter_map(|path| Some(dir.path.join(path.file_name()?)));
            for path in inside.filter(|path| self.roster.held_by(path.as_path()).is_none()) {
                let (path, is_link): (Arc<Path>, bool) = (path.as_path().into(), path.is_symlink());
                match path.is_file() {
                    true => files.push(File { path, dir: Some(index), is_link }),
                    false => gone.push(path),
                }
            }
        }
        let is_open = |file: &File| !Trail::follow(&file.path).places.is_disjoint(&batch.open);
        files.retain(|file| batch.open.is_empty() || !is_open(file));
        (files.into_iter().map(What::File).collect(), gone)
    }

    /// The folders of zones that a batch is about and that cannot be read any more.
    fn lost_dirs(&self, batch: &Batch) -> Vec<Unread> {
        let changed = self.dirs.iter().filter(|dir| batch.all || !dir.places.is_disjoint(&batch.paths));
        changed.filter_map(|dir| Source::ZoneDir(dir.path.clone()).lost()).collect()
    }

    /// The files in some folders of zones from which no zone is served.
    fn unheld(&self, is_asked: impl Fn(&Dir) -> bool) -> Vec<File> {
        let dirs = self.dirs.iter().enumerate().filter(|(_, dir)| is_asked(dir));
        let all = dirs.flat_map(|(index, dir)| {
            let files = files_in(&dir.path).unwrap_or_default().into_iter();
            files.map(move |InFolder { path, is_link }| File { path: path.into(), dir: Some(index), is_link })
        });
        all.filter(|file| self.roster.held_by(&*file.path).is_none()).collect()
    }
}
