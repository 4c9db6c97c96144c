//! What is known of all zones together, kept up to date as they change: a reader costs the same for ten zones and for a hundred
//! thousand.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::time::Mono;
use crate::wire::name::Name;

use super::status::State;

/// Zones that are named in an [`Overview`].
const WORST: usize = 10;
/// Zones that were taken out and are still told of to those who follow the changes.
const MAX_REMOVED: usize = 1_024;

/// All zones of a node together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Overview {
    /// How many zones are in each state, in the order of [`State::ALL`].
    pub counts: [u64; State::ALL.len()],
    /// The zones that are worst off, the worst first: those not served, then those behind, each for how long.
    pub worst: Vec<Name>,
    /// The number of the latest change of any zone.
    pub change: u64,
    /// How many servers of zones are not watched, because they are too many.
    pub unwatched: u64,
}

impl Overview {
    /// How many zones are in a state.
    pub fn count(&self, state: State) -> u64 {
        State::ALL.iter().zip(self.counts).find(|(known, _)| **known == state).map_or(0, |(_, count)| count)
    }

    /// How many zones are configured and not served.
    pub fn unserved(&self) -> u64 {
        self.count(State::Expired) + self.count(State::Failed)
    }
}

/// The running sums behind an [`Overview`].
#[derive(Debug, Default)]
pub(super) struct Board {
    counts: BTreeMap<State, u64>,
    /// Those not current, or current with something wrong about them, by their latest change: the worst first.
    troubled: BTreeMap<(Reverse<State>, Mono, u64), Name>,
    /// The latest change of each zone, and of some that are gone.
    changes: BTreeMap<u64, Name>,
    removed: BTreeSet<u64>,
    change: u64,
}

/// How a zone stands on the board.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    state: State,
    since: Mono,
    change: u64,
    look: u64,
}

impl Board {
    /// Notes how a zone is now; `look` is its look, another number whenever something that is told of it is another, and whether that shows
    /// something wrong.
    pub(super) fn note(
        &mut self,
        now: Mono,
        zone: &Name,
        mark: &mut Option<Mark>,
        state: State,
        (look, is_troubled): (u64, bool),
    ) {
        if mark.is_some_and(|mark| (mark.state, mark.look) == (state, look)) {
            return;
        }
        let since = mark.filter(|mark| mark.state == state).map_or(now, |mark| mark.since);
        self.forget(mark.take());
        self.change += 1;
        self.changes.insert(self.change, zone.clone());
        *self.counts.entry(state).or_default() += 1;
        if state != State::Current || is_troubled {
            self.troubled.insert((Reverse(state), since, self.change), zone.clone());
        }
        *mark = Some(Mark { state, since, change: self.change, look });
    }

    /// Takes a zone off the board; those who follow the changes are told.
    pub(super) fn remove(&mut self, zone: &Name, mark: Option<Mark>) {
        self.forget(mark);
        self.change += 1;
        self.changes.insert(self.change, zone.clone());
        self.removed.insert(self.change);
        if self.removed.len() > MAX_REMOVED
            && let Some(oldest) = self.removed.pop_first()
        {
            self.changes.remove(&oldest);
        }
    }

    fn forget(&mut self, mark: Option<Mark>) {
        let Some(Mark { state, since, change, .. }) = mark else { return };
        self.changes.remove(&change);
        if let Some(count) = self.counts.get_mut(&state) {
            *count -= 1;
        }
        self.troubled.remove(&(Reverse(state), since, change));
    }

    /// All zones together, as they are now. So many of their servers are not watched.
    pub(super) fn overview(&self, unwatched: usize) -> Overview {
        Overview {
            counts: State::ALL.map(|state| self.counts.get(&state).copied().unwrap_or(0)),
            worst: self.worst().take(WORST).cloned().collect(),
            change: self.change,
            unwatched: unwatched as u64,
        }
    }

    /// Those that are not current, the worst first.
    fn worst(&self) -> impl Iterator<Item = &Name> {
        let behind = self.troubled.iter().take_while(|((Reverse(state), ..), _)| *state != State::Current);
        behind.map(|(_, zone)| zone)
    }

    /// Those, and then those that are current with something wrong about them.
    pub(super) fn troubled(&self) -> impl Iterator<Item = &Name> {
        self.troubled.values()
    }

    /// The number of the latest change.
    pub(super) fn change(&self) -> u64 {
        self.change
    }

    /// Zones that have changed since a change, in the order of their latest change.
    pub(super) fn changed_since(&self, change: u64) -> impl Iterator<Item = (u64, &Name)> {
        self.changes.range(change.saturating_add(1)..).map(|(change, zone)| (*change, zone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(number: u64) -> Name {
        format!("z{number}.example.").parse().unwrap()
    }

    #[test]
    fn counts_worst_and_changes_follow_the_zones() {
        let mut board = Board::default();
        let mut marks = [None; 20];
        for (number, mark) in marks.iter_mut().enumerate() {
            board.note(Mono(number as u64), &name(number as u64), mark, State::Failed, (0, true));
        }
        let overview = board.overview(0);
        assert_eq!((overview.count(State::Failed), overview.unserved(), overview.worst.len()), (20, 20, 10));
        assert_eq!(overview.worst[0], name(0), "the one that has been so for longest");
        let seen = overview.change;
        board.note(Mono(50), &name(3), &mut marks[3], State::Current, (1, false));
        board.note(Mono(51), &name(4), &mut marks[4], State::Expired, (1, true));
        // Nothing new is no change.
        board.note(Mono(52), &name(4), &mut marks[4], State::Expired, (1, true));
        board.remove(&name(5), marks[5].take());
        let overview = board.overview(0);
        assert_eq!(overview.counts, [1, 0, 0, 1, 17]);
        assert_eq!(overview.worst[0], name(0));
        let changed: Vec<&Name> = board.changed_since(seen).map(|(_, zone)| zone).collect();
        assert_eq!(changed, [&name(3), &name(4), &name(5)]);
        assert_eq!(board.changed_since(overview.change).count(), 0);
        // Current, with a file that is broken.
        assert_eq!(board.troubled().count(), 18);
        board.note(Mono(53), &name(3), &mut marks[3], State::Current, (2, true));
        assert_eq!((board.troubled().count(), board.troubled().last()), (19, Some(&name(3))));
        assert!(!board.overview(0).worst.contains(&name(3)));
        board.note(Mono(54), &name(3), &mut marks[3], State::Current, (3, false));
        assert_eq!(board.troubled().count(), 18);
    }

    #[test]
    fn zones_that_are_gone_are_not_told_of_for_ever() {
        let mut board = Board::default();
        for number in 0..3 * MAX_REMOVED as u64 {
            let mut mark = None;
            board.note(Mono(0), &name(number), &mut mark, State::Current, (0, false));
            board.remove(&name(number), mark);
        }
        assert_eq!(board.changed_since(0).count(), MAX_REMOVED);
        assert_eq!(board.overview(0).counts, [0; 5]);
    }
}
