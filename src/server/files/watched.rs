//! What is watched for: the ways to zones, and folders of zones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::wire::name::{Name, NameRef};

use super::copies::originals;

/// A zone whose file is being read.
#[derive(Default)]
pub(super) struct Reading {
    /// Under which ticket.
    pub(super) ticket: Option<u64>,
    /// Whether that took the place of a read that was given up.
    pub(super) is_second: bool,
    /// Whether it changed since.
    pub(super) again: bool,
}

/// How the content of zones is come by, where that is more than a plain file in a folder of zones.
#[derive(Default)]
pub(super) struct Ways {
    ways: BTreeMap<Name, Way>,
    /// The zones to which a way leads through each place: there may be very many zones, and a change is at one place.
    through: HashMap<PathBuf, BTreeSet<Name>>,
}

#[derive(Default)]
struct Way {
    /// The file and what it includes, as far as known from the last time it could be read.
    files: Vec<PathBuf>,
    /// The places on the way to any of the files.
    places: BTreeSet<PathBuf>,
}

/// Files in folders of zones whose being copies depends on files beside them, by these.
#[derive(Default)]
pub(super) struct Marked(BTreeMap<PathBuf, BTreeSet<Arc<Path>>>);

/// A folder of zones.
pub(super) struct Dir {
    pub(super) path: PathBuf,
    /// The same free of links, as of the last look.
    pub(super) real: PathBuf,
    pub(super) places: BTreeSet<PathBuf>,
}

impl Ways {
    /// A zone is read from this file, where nothing else is known of it.
    pub(super) fn begin(&mut self, zone: &Name, path: &Path) {
        let new = || Way { files: vec![path.to_owned()], places: BTreeSet::new() };
        self.ways.entry(zone.clone()).or_insert_with(new);
    }

    pub(super) fn has(&self, zone: &NameRef) -> bool {
        self.ways.contains_key(zone)
    }

    /// A zone is read from these files.
    pub(super) fn set_files(&mut self, zone: &Name, files: &[PathBuf]) {
        self.ways.entry(zone.clone()).or_default().files = files.to_vec();
    }

    pub(super) fn files(&self, zone: &NameRef) -> &[PathBuf] {
        self.ways.get(zone).map_or(&[], |way| &way.files)
    }

    /// The way to a zone leads through these places now.
    pub(super) fn set_places(&mut self, zone: &NameRef, places: &BTreeSet<PathBuf>) {
        let Some((name, mut way)) = self.ways.remove_entry(zone) else { return };
        for place in way.places.difference(places) {
            self.leave(&name, place);
        }
        for place in places.difference(&way.places) {
            self.through.entry(place.clone()).or_default().insert(name.clone());
        }
        way.places.clone_from(places);
        self.ways.insert(name, way);
    }

    /// The places on the way to a zone, if it has a way.
    pub(super) fn places(&self, zone: &NameRef) -> Option<&BTreeSet<PathBuf>> {
        self.ways.get(zone).map(|way| &way.places)
    }

    /// The zones to which a way leads through a place.
    pub(super) fn through(&self, place: &Path) -> impl Iterator<Item = &Name> {
        self.through.get(place).into_iter().flatten()
    }

    pub(super) fn remove(&mut self, zone: &NameRef) {
        let way = self.ways.remove(zone).unwrap_or_default();
        way.places.iter().for_each(|place| self.leave(zone, place));
    }

    fn leave(&mut self, zone: &NameRef, place: &Path) {
        if let Some(zones) = self.through.get_mut(place) {
            zones.remove(zone);
            if zones.is_empty() {
                self.through.remove(place);
            }
        }
    }
}

impl Marked {
    /// There is such a file, if it is one.
    pub(super) fn insert(&mut self, path: &Arc<Path>) {
        for original in originals(path) {
            self.0.entry(original).or_default().insert(Arc::clone(path));
        }
    }

    /// A file has gone.
    pub(super) fn remove(&mut self, path: &Path) {
        for original in originals(path) {
            if let Some(copies) = self.0.get_mut(&original) {
                copies.remove(path);
                if copies.is_empty() {
                    self.0.remove(&original);
                }
            }
        }
    }

    /// The files that may be copies of this one.
    pub(super) fn beside(&self, original: &Path) -> impl Iterator<Item = &Arc<Path>> {
        self.0.get(original).into_iter().flatten()
    }
}

impl Dir {
    pub(super) fn new(path: PathBuf) -> Dir {
        Dir { path, real: PathBuf::new(), places: BTreeSet::new() }
    }
}
