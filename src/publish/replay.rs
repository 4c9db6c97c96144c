//! What the entries that a former life wrote down make of a zone: its history, and the content that is served until it changes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::time::Utc;
use crate::zone::delta::Delta;
use crate::zone::snapshot::Snapshot;
use crate::zone::stamp::Stamp;

use super::history::History;
use super::journal::entry::Replayed;
use super::journal::floor::Reserve;
use super::zone::{Version, Zone};

impl Zone {
    /// Takes in an entry; `writer` is this node.
    pub(super) fn replay(&self, happened: Replayed, writer: u64) {
        match happened {
            // A journal that was written anew begins with a later state than its next entries knew.
            Replayed::Full(_, stamp, applied) | Replayed::Change(_, stamp, applied)
                if self.has_taken_in(&stamp, applied) => {}
            Replayed::Full(snapshot, stamp, applied) => {
                {
                    let mut history = self.history_mut();
                    self.leads_to(&history, &stamp);
                    if history.last() != Some(&stamp) {
                        drop(history.push(stamp, None, snapshot.records()));
                    }
                }
                drop(self.serve(Version::new(snapshot, stamp, applied)));
            }
            Replayed::Change(delta, stamp, applied) => self.replay_change(delta, stamp, applied),
            Replayed::Past(delta, stamp) => {
                let mut history = self.history_mut();
                if delta.is_some() || history.last() != Some(&stamp) {
                    drop(history.push(stamp, delta.map(Arc::new), u64::MAX));
                }
            }
            Replayed::Lost(stamp) => self.remember_alone(&mut self.history_mut(), stamp),
            Replayed::Served(stamp) => {
                let mut history = self.history_mut();
                if history.leads_behind(&stamp) {
                    self.remember_alone(&mut history, stamp);
                }
            }
            Replayed::Reserved(reserve) => self.replay_reserve(&reserve, writer),
            Replayed::Verified(counted_from, current) => {
                self.is_counted_from(counted_from);
                current.into_iter().for_each(|at| self.was_current(at));
            }
            Replayed::Newer(serial, at) => self.heard_of(serial, at),
            Replayed::Expired(at) => drop(self.expire(at)),
        }
    }

    fn has_taken_in(&self, stamp: &Stamp, applied: Utc) -> bool {
        self.version().is_some_and(|version| version.applied >= applied) && self.history().holds(stamp)
    }

    fn replay_change(&self, delta: Delta, stamp: Stamp, applied: Utc) {
        let current = self.version();
        let snapshot = current.as_ref().and_then(|version| version.snapshot.apply(&delta).ok());
        let mut history = self.history_mut();
        // Where the content is written down later, its differences fit the stamp that stands for it.
        let follows = current.is_none() && history.last().is_some_and(|last| last.serial == delta.from());
        let records = snapshot.as_ref().map(Snapshot::records).or(follows.then_some(u64::MAX));
        drop(history.push(stamp, records.map(|_| Arc::new(delta)), records.unwrap_or_default()));
        self.current.store(snapshot.map(|snapshot| Arc::new(Version::new(snapshot, stamp, applied))));
    }

    fn replay_reserve(&self, reserve: &Reserve, writer: u64) {
        let mut history = self.history_mut();
        // The floors may be older than the journal.
        if history.floor.reserved.is_none_or(|known| !known.is_newer_than(reserve.serial)) {
            history.floor.set(reserve);
        }
        // A version that was reserved alone is known by its digest, whether or not it came to be served.
        let stamp =
            reserve.digest.map(|digest| Stamp { serial: reserve.serial, published: None, digest, writer });
        if let Some(stamp) = stamp.filter(|stamp| reserve.is_doubtful && history.leads_behind(stamp)) {
            self.remember_alone(&mut history, stamp);
        }
    }

    /// Keeps a version in mind whose content is not known: nothing older is served again.
    fn remember_alone(&self, history: &mut History, stamp: Stamp) {
        history.push_anew(stamp);
        // It came after whatever expired.
        self.expired_at.store(0, Ordering::Relaxed);
        self.current.store(None);
    }
}
