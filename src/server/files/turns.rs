//! A search for zones in files, as far as it is about reading them: which are still to come, and what waits for them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use super::asked::{Asker, File};
use super::load::{LoadError, Loaded, Opened};
use super::read::Haste;

/// A search under way: a group of reports to the roster.
#[derive(Default)]
pub(super) struct Search {
    /// Files that are still being read.
    pub(super) waiting: usize,
    /// What was read from files that wait for the end of the search.
    pub(super) held_back: HashMap<Arc<Path>, HeldBack>,
    /// Whether these are files that were left out before, which was told then.
    pub(super) is_second: bool,
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
    /// Nothing of a copy.
    pub(super) opened: Result<Option<Opened>, LoadError>,
    pub(super) askers: Vec<Rc<Asker>>,
}

/// A file that was read, until it is known whether it holds its zone.
pub(super) struct HeldBack {
    pub(super) file: File,
    /// Nothing for a file that is empty.
    pub(super) loaded: Option<Result<Loaded, LoadError>>,
}

impl Search {
    /// For all zones. Before anything is served, files are taken in in their order, so that each start has the same outcome.
    pub(super) fn of_everything(haste: Haste, askers: &[Rc<Asker>]) -> Search {
        let turns = (haste == Haste::Start).then(Default::default);
        Search { turns, askers: askers.to_vec(), ..Search::default() }
    }
}
