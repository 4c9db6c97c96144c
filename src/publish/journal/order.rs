//! Which commits are written together, and when: a machine that the journal's thread and the simulator drive.
//!
//! ```text
//! commit --+-- small ----------------------> ready --group--> one write, one sync
//!          `-- large --> its content -------^          (groups begin at least GAP apart)
//! ```
//!
//! A large content keeps no other commit waiting. Commits that overtake each other are of different zones: the next of a zone is
//! asked for when what became of the one before is known.

use std::time::Duration;

use crate::time::Mono;

use super::entry::{Aside, Entry};
use super::group::Placed;
use super::log::LogError;

/// Groups begin at least so far apart: what arrives meanwhile goes together.
pub const GAP: Duration = Duration::from_millis(5);

/// Entries that count as written together or not at all.
#[derive(Debug)]
pub struct Commit {
    /// What the caller knows it by.
    pub ticket: u64,
    /// The entries, with the files that hold the bodies of large ones.
    pub placed: Vec<Placed>,
}

/// A body that is to be written into a file of its own.
#[derive(Debug)]
pub struct Task {
    /// Which file.
    pub aside: Aside,
    /// The entry.
    pub entry: Entry,
    /// Which commit waits for it; `None` when it counts as written already.
    pub ticket: Option<u64>,
}

/// What became of commits.
pub type Outcomes = Vec<(u64, Result<(), LogError>)>;

/// A commit that waits for contents.
#[derive(Debug)]
struct Held {
    commit: Commit,
    /// Contents that are not written yet.
    waits: usize,
    failed: Option<LogError>,
}

/// The commits that are not written yet.
#[derive(Debug, Default)]
pub struct Order {
    /// Those of the next group.
    ready: Vec<Commit>,
    held: Vec<Held>,
    /// When the last group began.
    last: Option<Mono>,
}

impl Order {
    /// Takes in a commit; the contents that it waits for. Where they may be later, it waits for none: a crash before they are
    /// written costs the differences to what was served before, and the zone file has the content.
    pub fn commit(&mut self, commit: Commit, may_be_later: bool) -> Vec<Task> {
        let ticket = Some(commit.ticket);
        let mut tasks = Vec::new();
        if !may_be_later {
            let large = commit.placed.iter().filter_map(|(entry, aside)| Some((entry, (*aside)?)));
            tasks.extend(large.map(|(entry, aside)| Task { aside, entry: entry.clone(), ticket }));
        }
        if tasks.is_empty() {
            self.ready.push(commit);
        } else {
            self.held.push(Held { commit, waits: tasks.len(), failed: None });
        }
        tasks
    }

    /// Takes in an entry whose loss would do no harm: it goes behind the commits before it, as what it says may be true of
    /// their versions only. Hands it back when it can be written at once.
    pub fn note(&mut self, entry: Entry) -> Option<Entry> {
        let earlier = |held: &&mut Held| held.commit.placed.iter().any(|(it, _)| it.zone() == entry.zone());
        let held = self.held.iter_mut().rev().find(earlier).map(|held| &mut held.commit);
        match held.or(self.ready.last_mut()) {
            Some(commit) => {
                commit.placed.push((entry, None));
                None
            }
            None => Some(entry),
        }
    }

    /// Takes in what became of a content that a commit waits for; the commits that fail with it.
    pub fn content(&mut self, ticket: u64, failed: Option<LogError>) -> Outcomes {
        let Some(at) = self.held.iter().position(|held| held.commit.ticket == ticket) else {
            return Vec::new();
        };
        let held = &mut self.held[at];
        held.waits -= 1;
        held.failed = held.failed.take().or(failed);
        if held.waits > 0 {
            return Vec::new();
        }
        let Held { commit, failed, .. } = self.held.remove(at);
        match failed {
            Some(error) => vec![(commit.ticket, Err(error))],
            None => {
                self.ready.push(commit);
                Vec::new()
            }
        }
    }

    /// When the next group may begin; `None` while there is none.
    pub fn due(&self) -> Option<Mono> {
        (!self.ready.is_empty()).then(|| self.last.map_or(Mono(0), |last| last + GAP))
    }

    /// Hands out all that is ready, to be written now.
    pub fn group(&mut self, now: Mono) -> Vec<Commit> {
        self.last = Some(now);
        std::mem::take(&mut self.ready)
    }

    /// Whether commits wait for contents.
    pub fn is_held(&self) -> bool {
        !self.held.is_empty()
    }

    /// Whether nothing is to be written.
    pub fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.held.is_empty()
    }
}
