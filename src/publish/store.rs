//! The zones that are served, and the end of the way by which they change.
//!
//! A [proposal](super::proposal) passes the [stages](super::stages), the journal keeps its entries, and [`ZoneStore::commit`] puts the
//! version in the place of the current one. Only that and [`ZoneStore::expire`] change what is served ([`ZoneStore::replay`] brings
//! back what a former life had published). Readers take the current [`Version`] and never wait.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};

use arc_swap::ArcSwap;
use dashmap::DashMap;

use crate::time::{Now, Utc};
use crate::wire::name::{Name, NameRef};
use crate::zone::delta::Delta;
use crate::zone::digest::Digest;
use crate::zone::serial::Serial;
use crate::zone::stamp::Stamp;

use super::access::Access;
use super::directory::Directory;
use super::journal::entry::{Entry, Replayed};
use super::journal::log::LogError;
use super::messages::Outside;
use super::proposal::{Proposal, Source};
use super::stages::{Base, Prepared, PublishError, Stamped, prepare};
use super::zone::{Kept, Remains, Version, Zone};

/// A version that has just become the current one.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The zone.
    pub zone: Name,
    /// The serial served until now.
    pub from: Option<Serial>,
    /// The stamp of the version served from now on.
    pub stamp: Stamp,
    /// When the zone file was changed that it is from.
    pub edited: Option<Utc>,
    /// When it began to be served here.
    pub applied: Utc,
    /// How many records it has.
    pub records: u64,
    /// The file's own serial, when the policy put another in its place.
    pub renumbered: Option<Serial>,
    /// The primary's digest of this version, when ours is another.
    pub mismatch: Option<Digest>,
    /// What was left out of the transfer that it came by.
    pub outside: Option<Outside>,
}

impl Publication {
    /// Whether it follows what was served before: not so a first copy, a repair, and what was taken by force.
    pub fn leads_forward(&self) -> bool {
        self.from.is_some_and(|from| self.stamp.serial.is_newer_than(from))
    }
}

/// All zones of a node.
#[derive(Debug, Default)]
pub struct ZoneStore {
    zones: ArcSwap<Directory>,
    /// Held by who replaces the directory.
    editing: Mutex<()>,
    /// Zones that were served once and are not configured now: without content, but their serials are remembered, so that one
    /// which comes back goes on where it was.
    withdrawn: DashMap<Name, Arc<Zone>>,
    /// Where content goes that was replaced and that nobody reads any more.
    remains: OnceLock<mpsc::Sender<Remains>>,
    /// This node, as the writer of what it publishes itself.
    writer: u64,
}

/// Records that are dropped as fast as they are handed to another thread.
const FEW_RECORDS: usize = 256;

/// What a journal has to hold, as it was at one moment.
#[derive(Debug)]
pub struct Checkpoint(Vec<Kept>);

impl Checkpoint {
    /// Hands out entries from which [`ZoneStore::replay`] makes all zones again: what a compacted journal begins with. Those of
    /// one zone come one after the other.
    pub fn entries(self, each: &mut dyn FnMut(Entry)) {
        self.0.into_iter().for_each(|kept| kept.checkpoint(each));
    }
}

impl ZoneStore {
    /// An empty store of the node with this id (not 0).
    pub fn new(writer: u64) -> ZoneStore {
        ZoneStore { writer, ..ZoneStore::default() }
    }

    /// The number of this node, as the writer of what it publishes itself.
    pub fn writer(&self) -> u64 {
        self.writer
    }

    /// Adds a zone without content, or changes who may do what with one that is there.
    pub fn configure(&self, name: &Name, access: Access) -> Arc<Zone> {
        self.edit(|directory| self.take_in(directory, name, &Arc::new(access)))
    }

    /// Like [`ZoneStore::configure`] for many zones, at the cost of one change; the zones in the same order. Zones may share a list.
    pub fn configure_all<'n>(&self, zones: impl Iterator<Item = (&'n Name, Arc<Access>)>) -> Vec<Arc<Zone>> {
        self.edit(|directory| zones.map(|(name, access)| self.take_in(directory, name, &access)).collect())
    }

    fn take_in(&self, directory: &mut Directory, name: &Name, access: &Arc<Access>) -> Arc<Zone> {
        let zone = directory.take_in(name, || {
            let known = self.withdrawn.remove(name).map(|(_, zone)| zone);
            known.unwrap_or_else(|| Arc::new(Zone::new(name.clone(), Arc::clone(access), self.writer)))
        });
        if !Arc::ptr_eq(&zone.access(), access) {
            zone.access.store(Arc::clone(access));
        }
        zone
    }

    /// Takes a zone out. Its last serials are remembered, in case it comes back.
    pub fn remove(&self, name: &NameRef) {
        if let Some(zone) = self.edit(|directory| directory.remove(name)) {
            self.retire(zone.current.swap(None));
            let deltas = zone.history_mut().forget_deltas();
            self.retire_deltas(deltas);
            self.withdrawn.insert(name.to_name(), zone);
        }
    }

    fn edit<T>(&self, change: impl FnOnce(&mut Directory) -> T) -> T {
        let _one_at_a_time = self.editing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut directory = Directory::clone(&self.zones.load());
        let outcome = change(&mut directory);
        self.zones.store(Arc::new(directory));
        outcome
    }

    /// What a journal has to hold at this moment; later changes do not show in it.
    pub fn checkpoint(&self) -> Checkpoint {
        let withdrawn: Vec<Arc<Zone>> =
            self.withdrawn.iter().map(|entry| Arc::clone(entry.value())).collect();
        Checkpoint(self.zones().iter().chain(&withdrawn).map(Zone::kept).collect())
    }

    /// About how many bytes of a journal a checkpoint takes, large contents left out.
    pub fn checkpoint_bytes(&self) -> u64 {
        let withdrawn: u64 = self.withdrawn.iter().map(|entry| entry.value().checkpoint_bytes()).sum();
        withdrawn + self.directory().iter().map(|zone| zone.checkpoint_bytes()).sum::<u64>()
    }

    /// How many records all zones have.
    pub fn records(&self) -> u64 {
        self.directory().iter().filter_map(|zone| Some(zone.version()?.snapshot.records())).sum()
    }

    /// Has content that is replaced from now on sent to `to` once nobody reads it any more, so that no query waits for it to be taken
    /// to pieces. Only the first call counts.
    pub fn leave_remains_to(&self, to: mpsc::Sender<Remains>) {
        let _ = self.remains.set(to);
    }

    /// Who takes to pieces what is not needed any more.
    pub fn remains(&self) -> Option<mpsc::Sender<Remains>> {
        self.remains.get().cloned()
    }

    /// Lets go of a version that was served until now.
    fn retire(&self, version: Option<Arc<Version>>) {
        if let Some((version, to)) = version.zip(self.remains.get()) {
            version.leave_to(to.clone());
        }
    }

    /// Lets go of deltas that are kept no more.
    fn retire_deltas(&self, deltas: Vec<Arc<Delta>>) {
        let records: usize = deltas.iter().map(|delta| delta.len()).sum();
        if let Some(to) = self.remains.get().filter(|_| records > FEW_RECORDS) {
            let _ = to.send(Remains::Deltas(deltas));
        }
    }

    /// Lets go of content that [`ZoneStore::replay`] brought back of zones that nobody has configured since.
    pub fn forget_unconfigured(&self) {
        for entry in self.withdrawn.iter() {
            self.retire(entry.value().current.swap(None));
            let deltas = entry.value().history_mut().forget_deltas();
            self.retire_deltas(deltas);
        }
    }

    /// Takes every zone's history to be incomplete: the journal lost entries, and nothing tells which. Where what was reserved
    /// `is_boundless`, serials may have gone beyond all that is known of.
    pub fn doubt(&self, is_boundless: bool) {
        let withdrawn: Vec<Arc<Zone>> =
            self.withdrawn.iter().map(|entry| Arc::clone(entry.value())).collect();
        let directory = self.directory();
        directory.iter().chain(&withdrawn).for_each(|zone| zone.history_mut().floor.doubt(is_boundless));
    }

    /// The zones as they are configured now: what answers are found in, without a lock or a copy.
    pub fn directory(&self) -> arc_swap::Guard<Arc<Directory>> {
        self.zones.load()
    }

    /// The stamp of what was last published of a zone, whether or not the zone is configured.
    pub fn last_stamp(&self, name: &NameRef) -> Option<Stamp> {
        let withdrawn = || self.withdrawn.get(name).map(|entry| Arc::clone(entry.value()));
        let zone = self.get(name).or_else(withdrawn)?;
        let history = zone.history();
        history.last().copied()
    }

    /// The zone of exactly this name.
    pub fn get(&self, name: &NameRef) -> Option<Arc<Zone>> {
        self.directory().get(name).cloned()
    }

    /// The zone nearest above (or at) a name.
    pub fn find(&self, name: &NameRef) -> Option<Arc<Zone>> {
        self.directory().find(name).cloned()
    }

    /// All zones, by name.
    pub fn zones(&self) -> Vec<Arc<Zone>> {
        let mut all: Vec<Arc<Zone>> = self.directory().iter().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// What a proposal for this zone is to follow.
    pub fn base(&self, name: &NameRef) -> Result<Base, PublishError> {
        self.get(name).map(Base::of).ok_or_else(|| PublishError::NoSuchZone(name.to_name()))
    }

    /// Stamps a prepared change as this node's.
    pub fn stamp(&self, now: Now, prepared: Prepared) -> Stamped {
        prepared.stamp(now, self.writer)
    }

    /// Serves a version whose entries have been written down; `None` when the zone was taken out meanwhile: it keeps the serial in
    /// mind, and no content.
    pub fn commit(&self, applied: Utc, stamped: Stamped) -> Option<Publication> {
        let Stamped { zone, from, snapshot, versions, stamp, given, mismatch, outside, reserve, source } =
            stamped;
        let records = snapshot.records();
        let (mut is_new, mut forgotten) = (false, Vec::new());
        {
            let mut history = zone.history_mut();
            zone.leads_to(&history, &stamp);
            reserve.iter().for_each(|reserve| history.floor.set(reserve));
            for (delta, stamp) in versions {
                // Content that is back as it was adds no version.
                if delta.is_some() || history.last() != Some(&stamp) {
                    forgotten.extend(history.push(stamp, delta, records));
                    is_new = true;
                }
            }
        }
        self.retire_deltas(forgotten);
        let renumbered = given.filter(|_| is_new);
        self.get(&zone.name).filter(|configured| Arc::ptr_eq(configured, &zone))?;
        let version = Version::of(snapshot, given, stamp, applied);
        self.retire(zone.serve(version));
        let edited = match source {
            Source::File { edited, .. } => edited,
            Source::Transfer { counted_from, .. } => {
                counted_from.into_iter().for_each(|from| zone.is_counted_from(from));
                None
            }
        };
        let zone = zone.name.clone();
        Some(Publication { zone, from, stamp, edited, applied, records, renumbered, mismatch, outside })
    }

    /// Takes a proposal all the way, with `keep` as the journal: for those who have no other zones to go on with meanwhile.
    /// `Ok(None)` when it changes nothing; no error leaves a trace in what is served.
    pub fn publish(
        &self,
        now: Now,
        proposal: Proposal,
        keep: impl FnOnce(&[Entry]) -> Result<(), LogError>,
    ) -> Result<Option<Publication>, PublishError> {
        let Some(prepared) = prepare(self.base(&proposal.zone)?, proposal, now.utc)? else { return Ok(None) };
        let stamped = self.stamp(now, prepared);
        keep(&stamped.entries(now.utc))?;
        Ok(self.commit(now.utc, stamped))
    }

    /// Stops serving a secondary's content whose EXPIRE passed at this time; `false` when it was not served anyway.
    pub fn expire(&self, name: &NameRef, at: Utc) -> bool {
        let Some(expired) = self.get(name).and_then(|zone| zone.expire(at)) else { return false };
        self.retire(Some(expired));
        true
    }

    /// Takes in what the journal of a former life holds, of all zones: which of them are configured still may show later
    /// ([`ZoneStore::forget_unconfigured`]).
    ///
    /// A change that does not fit, because entries before it are damaged, leaves the zone without content but with its serial
    /// remembered: nothing older than what was served is ever served again.
    pub fn replay(&self, name: &NameRef, happened: Replayed) {
        let zone = self.get(name).unwrap_or_else(|| {
            let zone = self
                .withdrawn
                .entry(name.to_name())
                .or_insert_with(|| Arc::new(Zone::new(name.to_name(), Arc::default(), self.writer)));
            Arc::clone(&zone)
        });
        zone.replay(happened, self.writer);
    }
}

#[cfg(test)]
mod tests;
