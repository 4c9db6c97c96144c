//! The version history of a zone: which serial was published when, by whom, and what changed between. Every figure of lag rests on
//! it. Bounded; the oldest goes first.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::zone::delta::Delta;
use crate::zone::serial::Serial;
use crate::zone::stamp::Stamp;

use super::journal::floor::Floor;

/// Stamps kept per zone.
const MAX_STAMPS: usize = 65_536;
/// Deltas kept per zone, whatever their size.
const MAX_DELTAS: usize = 4_096;
/// Records in deltas that are kept however small the zone is.
const MIN_DELTA_RECORDS: usize = 4_096;

/// Records of a delta that is kept, at most: a chain with more records than the zone is worth less than an AXFR (RFC 1995 section 2).
pub(super) fn most_records(zone_records: u64) -> usize {
    MIN_DELTA_RECORDS.max(usize::try_from(zone_records).unwrap_or(usize::MAX))
}

/// The newest versions, oldest first, with the deltas that lead to the newest of them.
#[derive(Debug, Default)]
pub struct History {
    stamps: VecDeque<Stamp>,
    deltas: VecDeque<Arc<Delta>>,
    delta_records: usize,
    /// A version followed that is not newer than the one before: serials may stand for two contents.
    went_back: bool,
    /// What the next serial has to keep clear of.
    pub(super) floor: Floor,
}

impl History {
    /// Takes in a version that followed by `delta`, or from nowhere (a first load, a full transfer). Returns the deltas that are kept
    /// no more.
    #[must_use = "large deltas take long to drop"]
    pub(super) fn push(
        &mut self,
        stamp: Stamp,
        delta: Option<Arc<Delta>>,
        zone_records: u64,
    ) -> Vec<Arc<Delta>> {
        if self.stamps.len() == MAX_STAMPS {
            self.stamps.pop_front();
        }
        if self.stamps.is_empty() {
            // Most zones of a server with very many never change.
            self.stamps.reserve_exact(1);
        }
        self.went_back |= self.last().is_some_and(|last| !stamp.serial.is_newer_than(last.serial));
        self.stamps.push_back(stamp);
        let Some(delta) = delta else { return self.forget_deltas() };
        let mut forgotten = Vec::new();
        if self.deltas.back().is_some_and(|last| last.to() != delta.from()) {
            forgotten = self.forget_deltas();
        }
        self.delta_records += delta.len();
        self.deltas.push_back(delta);
        while self.deltas.len() > MAX_DELTAS || self.delta_records > most_records(zone_records) {
            let Some(oldest) = self.deltas.pop_front() else { break };
            self.delta_records -= oldest.len();
            forgotten.push(oldest);
        }
        forgotten
    }

    /// Takes in a version that followed from nowhere known, unless it is the last one already.
    pub(super) fn push_anew(&mut self, stamp: Stamp) {
        if !self.last().is_some_and(|last| is_same(last, &stamp)) {
            drop(self.push(stamp, None, 0));
        }
    }

    /// Whether this version, which is known to have been served, is none that the history leads to or past. One that is in it is
    /// past, though the order of serials (RFC 1982) may not say so after two large steps.
    pub(super) fn leads_behind(&self, stamp: &Stamp) -> bool {
        let is_older = self.last().is_some_and(|last| last.serial.is_newer_than(stamp.serial));
        !is_older && !self.stamps.iter().rev().any(|known| is_same(known, stamp))
    }

    /// Whether this version is neither newer than the last one nor the same.
    pub(super) fn steps_back_to(&self, stamp: &Stamp) -> bool {
        self.last().is_some_and(|last| !is_same(last, stamp) && !stamp.serial.is_newer_than(last.serial))
    }

    /// What the next serial has to keep clear of.
    pub(super) fn floor(&self) -> Floor {
        self.floor
    }

    /// Whether this very version is in the history.
    pub(super) fn holds(&self, stamp: &Stamp) -> bool {
        let may = self.last().is_some_and(|last| !stamp.serial.is_newer_than(last.serial));
        may && self.stamps.iter().rev().any(|known| known == stamp)
    }

    /// Records in the deltas that are kept.
    pub(super) fn delta_records(&self) -> usize {
        self.delta_records
    }

    /// Takes out what changed, and keeps the stamps.
    #[must_use = "large deltas take long to drop"]
    pub(super) fn forget_deltas(&mut self) -> Vec<Arc<Delta>> {
        self.delta_records = 0;
        std::mem::take(&mut self.deltas).into()
    }

    /// The newest version.
    pub fn last(&self) -> Option<&Stamp> {
        self.stamps.back()
    }

    /// The version with this serial, the newest if there are several.
    pub fn stamp(&self, serial: Serial) -> Option<&Stamp> {
        self.stamps.iter().rev().find(|stamp| stamp.serial == serial)
    }

    /// The versions that followed this serial, oldest first; `None` when it is not in the history.
    pub fn after(&self, serial: Serial) -> Option<impl Iterator<Item = &Stamp>> {
        let at = self.stamps.iter().rposition(|stamp| stamp.serial == serial)?;
        Some(self.stamps.range(at + 1..))
    }

    /// All versions, oldest first.
    pub fn stamps(&self) -> impl DoubleEndedIterator<Item = &Stamp> + ExactSizeIterator {
        self.stamps.iter()
    }

    /// The deltas that lead from one serial to another, if all are here; none from a serial that has stood for two contents, of which
    /// nobody knows which one the asker has.
    pub fn deltas(&self, from: Serial, to: Serial) -> Option<Vec<Arc<Delta>>> {
        if self.went_back && self.is_ambiguous(from) {
            return None;
        }
        let first = self.deltas.iter().position(|delta| delta.from() == from)?;
        let last = self.deltas.iter().position(|delta| delta.to() == to)?;
        (first <= last).then(|| self.deltas.range(first..=last).cloned().collect())
    }

    fn is_ambiguous(&self, serial: Serial) -> bool {
        let mut digests = self.stamps.iter().filter(|stamp| stamp.serial == serial).map(|stamp| stamp.digest);
        digests.next().is_some_and(|first| digests.any(|other| other != first))
    }

    /// Deltas with the stamps of the versions they lead to, oldest first.
    pub(super) fn kept(&self) -> impl Iterator<Item = (&Stamp, Option<&Arc<Delta>>)> {
        let bare = self.stamps.len() - self.deltas.len().min(self.stamps.len());
        let deltas = std::iter::repeat_n(None, bare).chain(self.deltas.iter().map(Some));
        self.stamps.iter().zip(deltas)
    }
}

/// Whether two stamps are of one version. When it was published is not always known.
fn is_same(one: &Stamp, other: &Stamp) -> bool {
    one.serial == other.serial && one.digest == other.digest
}
