//! A search for zones in files: what it waits for, and which files hold what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;

use crate::node::roster;
use crate::wire::name::Name;

use super::asked::Asker;
use super::load::{LoadError, Loaded, Opened};
use super::read::Haste;
use super::watched::Watched;

/// A file, the index of its folder, and whether it is a link.
pub(super) type File = (PathBuf, Option<usize>, bool);

/// A search under way.
#[derive(Default)]
pub(super) struct Search {
    /// Files that are still being read.
    pub(super) waiting: usize,
    /// Zones that have just lost their file, which other files may hold.
    pub(super) freed: BTreeMap<Name, Watched>,
    /// Files that wait for the end of the search, to be compared with others that hold the same zone.
    pub(super) claims: BTreeMap<Name, Vec<Claim>>,
    /// Whether only the zones in `freed` are looked for, in files that were left out before.
    pub(super) is_second: bool,
    /// Whether all zones are known at its end.
    pub(super) is_of_everything: bool,
    /// The order in which files are taken in; `None` for any.
    pub(super) turns: Option<Turns>,
    /// Who waits for its end.
    pub(super) askers: Vec<Rc<Asker>>,
}

/// Files that are taken in one after the other, by their tickets.
#[derive(Default)]
pub(super) struct Turns {
    /// Those that are still to be taken in.
    pub(super) order: BTreeSet<u64>,
    /// Those of them that were read already.
    pub(super) early: BTreeMap<u64, Turn>,
}

impl Turns {
    /// The next one, if it was read.
    pub(super) fn next(&mut self) -> Option<Turn> {
        let turn = self.early.remove(self.order.first()?)?;
        self.order.pop_first();
        Some(turn)
    }
}

/// What was read from a file, until it is its turn.
pub(super) struct Turn {
    pub(super) ticket: u64,
    pub(super) file: File,
    pub(super) opened: Result<Opened, LoadError>,
    pub(super) askers: Vec<Rc<Asker>>,
}

/// A file that holds a zone.
pub(super) struct Claim {
    pub(super) file: File,
    pub(super) loaded: Option<Result<Loaded, LoadError>>,
}

impl Search {
    /// For zones that have just lost their file.
    pub(super) fn for_freed(freed: BTreeMap<Name, Watched>) -> Search {
        Search { freed, ..Search::default() }
    }

    /// For all zones. Before anything is served, files are taken in in their order, so that each start has the same outcome.
    pub(super) fn of_everything(haste: Haste) -> Search {
        let turns = (haste == Haste::Start).then(Default::default);
        Search { is_of_everything: true, turns, ..Search::default() }
    }
}

impl Claim {
    /// What counts of it where several files hold one zone.
    pub(super) fn weight(&self) -> roster::Claim {
        let read = self.loaded.as_ref().and_then(|loaded| loaded.as_ref().ok());
        roster::Claim { content: read.map(|loaded| (loaded.snapshot.serial(), loaded.snapshot.digest())) }
    }
}
