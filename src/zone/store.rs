//! The zones that are served, and the one door by which they change.
//!
//! ```text
//!            zone file      IXFR        AXFR
//!                 \           |          /
//!                  v          v         v
//! publish:  check -> delta -> journal -> stamp -> swap -> Publication
//! ```
//!
//! Only [`ZoneStore::publish`] and [`ZoneStore::expire`] change what is served ([`ZoneStore::replay`] brings back what a
//! former life had published). Readers take the current [`Version`] and never wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arc_swap::{ArcSwap, ArcSwapOption};
use dashmap::DashMap;

use crate::time::{Hlc, Mono, Now, Utc};
use crate::wire::name::{Name, NameRef};
use crate::wire::prefix::Prefix;

use super::delta::Delta;
use super::diff::between;
use super::digest::Digest;
use super::history::History;
use super::journal::{Entry, Happened, Log, LogError};
use super::serial::{Policy, Serial};
use super::snapshot::{ApplyError, Snapshot};
use super::stamp::Stamp;

/// One published version: content and its stamp. Never changes.
#[derive(Debug)]
pub struct Version {
    /// The content.
    pub snapshot: Snapshot,
    /// Who published it when.
    pub stamp: Stamp,
    /// When this node began to serve it.
    pub applied: Utc,
}

/// Who may do what with a zone besides asking it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Whether the zone is pulled from elsewhere.
    pub secondary: bool,
    /// Who may transfer it.
    pub transfer: Vec<Prefix>,
    /// Whose NOTIFY is heard: the primaries' addresses.
    pub notify: Vec<std::net::IpAddr>,
}

/// A configured zone: what it serves now, and how fresh that is known to be.
#[derive(Debug)]
pub struct Zone {
    name: Name,
    current: ArcSwapOption<Version>,
    history: RwLock<History>,
    access: ArcSwap<Access>,
    /// Content is known to have been current at this moment ([`Mono`], 0: never): for a secondary the start of the last poll
    /// that found it so, less what its primary said of its own.
    fresh_at: AtomicU64,
    /// The SOA's EXPIRE ends at this moment ([`Mono`], 0: it does not).
    expires_at: AtomicU64,
    /// When the last poll that found the content current began ([`Utc`], 0: never).
    verified_at: AtomicU64,
    /// From when on EXPIRE is counted ([`Utc`], 0: never): `verified_at`, less what the primary had used up of it by then.
    counted_from: AtomicU64,
}

/// What a change brings.
#[derive(Clone, Debug)]
pub enum Change {
    /// The whole content, from a zone file; published and stamped here.
    File(Snapshot, Policy),
    /// The whole content, by AXFR, with its stamp where the primary told it.
    Full(Snapshot, Option<Stamp>),
    /// Differences, by IXFR, with the stamps of the versions they lead to as far as the primary told them.
    Deltas(Vec<Delta>, Vec<Stamp>),
}

/// A version that has just become the current one.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The zone.
    pub zone: Name,
    /// The serial served until now.
    pub from: Option<Serial>,
    /// The stamp of the version served from now on.
    pub stamp: Stamp,
    /// When it began to be served here.
    pub applied: Utc,
    /// How many records it has.
    pub records: u64,
    /// The file's own serial, when the policy put another in its place.
    pub renumbered: Option<Serial>,
    /// The primary's digest of this version, when ours is another.
    pub mismatch: Option<Digest>,
}

/// Why a change was not published. What was served before is served still.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Nobody configured this zone.
    #[error("zone `{0}` is not configured here")]
    NoSuchZone(Name),
    /// Deltas do not fit what is served.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The file changed without its serial, and the policy is to refuse that.
    #[error(
        "content changed but the serial did not grow (file {file}, served {served}) and `serial = \"keep\"`: raise the serial"
    )]
    SerialKept {
        /// The serial in the file.
        file: Serial,
        /// The serial that is served.
        served: Serial,
    },
    /// A transfer ended at a serial that is not newer than what is served.
    #[error("transferred serial {found} is not newer than {served}")]
    NotNewer {
        /// The serial that is served.
        served: Serial,
        /// The serial that arrived.
        found: Serial,
    },
    /// It could not be written down.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// All zones of a node.
#[derive(Debug, Default)]
pub struct ZoneStore {
    zones: DashMap<Name, Arc<Zone>>,
    /// This node, as the writer of what it publishes itself.
    writer: u64,
}

impl ZoneStore {
    /// An empty store of the node with this id (not 0).
    pub fn new(writer: u64) -> ZoneStore {
        ZoneStore { zones: DashMap::new(), writer }
    }

    /// Adds a zone without content, or changes who may do what with one that is there.
    pub fn configure(&self, name: &NameRef, access: Access) -> Arc<Zone> {
        let zone = self.zones.entry(name.to_name()).or_insert_with(|| {
            Arc::new(Zone {
                name: name.to_name(),
                current: ArcSwapOption::empty(),
                history: RwLock::default(),
                access: ArcSwap::default(),
                fresh_at: AtomicU64::new(0),
                expires_at: AtomicU64::new(0),
                verified_at: AtomicU64::new(0),
                counted_from: AtomicU64::new(0),
            })
        });
        zone.access.store(Arc::new(access));
        Arc::clone(&zone)
    }

    /// Takes a zone out.
    pub fn remove(&self, name: &NameRef) {
        self.zones.remove(name);
    }

    /// The zone of exactly this name.
    pub fn get(&self, name: &NameRef) -> Option<Arc<Zone>> {
        self.zones.get(name).map(|zone| Arc::clone(&zone))
    }

    /// The zone nearest above (or at) a name.
    pub fn find(&self, name: &NameRef) -> Option<Arc<Zone>> {
        let mut candidate = Some(name);
        while let Some(zone) = candidate {
            if let Some(found) = self.get(zone) {
                return Some(found);
            }
            candidate = zone.parent();
        }
        None
    }

    /// All zones, by name.
    pub fn zones(&self) -> Vec<Arc<Zone>> {
        let mut all: Vec<Arc<Zone>> = self.zones.iter().map(|entry| Arc::clone(entry.value())).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The door. `Ok(None)` when the change changes nothing; no error leaves a trace in what is served.
    pub fn publish(
        &self,
        now: Now,
        name: &NameRef,
        change: Change,
        log: &mut dyn Log,
    ) -> Result<Option<Publication>, PublishError> {
        let zone = self.get(name).ok_or_else(|| PublishError::NoSuchZone(name.to_name()))?;
        let current = zone.version();
        let Some(step) = self.prepare(now, &zone, current.as_deref(), change)? else { return Ok(None) };
        let entries: Vec<Entry<'_>> = match &step.content {
            Content::Full => vec![Entry::Full(&step.snapshot, step.stamp(), now.utc)],
            Content::Deltas(deltas) => deltas
                .iter()
                .map(|(delta, stamp)| Entry::Change(name, Arc::clone(delta), *stamp, now.utc))
                .collect(),
        };
        log.append(&entries)?;
        Ok(Some(zone.swap(now, step)))
    }

    /// Stops serving a secondary's content whose EXPIRE has passed; `false` when it was not served anyway.
    pub fn expire(&self, name: &NameRef) -> bool {
        self.get(name).is_some_and(|zone| zone.current.swap(None).is_some())
    }

    /// Takes in what the journal of a former life holds. Entries that do not fit (a damaged part between) are left out.
    pub fn replay(&self, name: &NameRef, happened: Happened) -> bool {
        let Some(zone) = self.get(name) else { return false };
        match happened {
            Happened::Full(snapshot, stamp, applied) => {
                let records = snapshot.records();
                let mut history = zone.history_mut();
                if history.last() != Some(&stamp) {
                    history.push(stamp, None, records);
                }
                zone.current.store(Some(Arc::new(Version { snapshot, stamp, applied })));
            }
            Happened::Change(delta, stamp, applied) => {
                let Some(current) = zone.version() else { return false };
                let Ok(snapshot) = current.snapshot.apply(&delta) else { return false };
                zone.history_mut().push(stamp, Some(Arc::new(delta)), snapshot.records());
                zone.current.store(Some(Arc::new(Version { snapshot, stamp, applied })));
            }
            Happened::Past(delta, stamp) => {
                zone.history_mut().push(stamp, delta.map(Arc::new), u64::MAX);
            }
            Happened::Verified(at) => {
                zone.verified_at.store(at.0, Ordering::Relaxed);
                zone.counted_from.store(at.0, Ordering::Relaxed);
            }
        }
        true
    }

    fn prepare(
        &self,
        now: Now,
        zone: &Zone,
        current: Option<&Version>,
        change: Change,
    ) -> Result<Option<Step>, PublishError> {
        let from = current.map(|version| version.stamp.serial);
        match change {
            Change::File(content, policy) => {
                let file = content.serial();
                let last = zone.last_published();
                let stamp = |snapshot: &Snapshot| Stamp {
                    serial: snapshot.serial(),
                    published: Some(last.unwrap_or_default().next(now.utc)),
                    digest: snapshot.digest(),
                    writer: self.writer,
                };
                let Some(current) = current else {
                    let stamp = stamp(&content);
                    return Ok(Some(Step {
                        from,
                        snapshot: content,
                        content: Content::Full,
                        stamps: vec![stamp],
                        renumbered: None,
                        mismatch: None,
                    }));
                };
                let served = current.stamp.serial;
                let newer = file.is_newer_than(served);
                if !newer && content.digest() == current.snapshot.digest() {
                    return Ok(None);
                }
                let (content, renumbered) = if newer {
                    (content, None)
                } else {
                    let serial =
                        policy.next(served, now.utc).ok_or(PublishError::SerialKept { file, served })?;
                    (content.with_serial(serial), Some(file))
                };
                let Some(delta) = between(&current.snapshot, &content) else { return Ok(None) };
                let snapshot = current.snapshot.apply(&delta)?;
                let stamp = stamp(&snapshot);
                Ok(Some(Step {
                    from,
                    snapshot,
                    content: Content::Deltas(vec![(Arc::new(delta), stamp)]),
                    stamps: vec![stamp],
                    renumbered,
                    mismatch: None,
                }))
            }
            Change::Full(content, told) => {
                let told = told.filter(|stamp| stamp.serial == content.serial());
                let stamp = own_stamp(&content, told.as_ref());
                let mismatch = mismatch(told.as_ref(), &stamp);
                if let Some(current) = current {
                    let (served, found) = (current.stamp.serial, content.serial());
                    if served == found && content.digest() == current.snapshot.digest() {
                        return Ok(None);
                    }
                    // The same serial with other content is a repair, asked for after a digest told of divergence.
                    if served != found && !found.is_newer_than(served) {
                        return Err(PublishError::NotNewer { served, found });
                    }
                    if served != found
                        && let Some(delta) = between(&current.snapshot, &content)
                    {
                        let snapshot = current.snapshot.apply(&delta)?;
                        let deltas = vec![(Arc::new(delta), stamp)];
                        return Ok(Some(Step {
                            from,
                            snapshot,
                            content: Content::Deltas(deltas),
                            stamps: vec![stamp],
                            renumbered: None,
                            mismatch,
                        }));
                    }
                }
                Ok(Some(Step {
                    from,
                    snapshot: content,
                    content: Content::Full,
                    stamps: vec![stamp],
                    renumbered: None,
                    mismatch,
                }))
            }
            Change::Deltas(deltas, told) => {
                let have = current.ok_or_else(|| ApplyError::WrongSerial {
                    have: Serial(0),
                    found: deltas.first().map(Delta::from).unwrap_or_default(),
                })?;
                let mut snapshot = have.snapshot.clone();
                let mut stamped = Vec::with_capacity(deltas.len());
                let mut differs = None;
                for delta in deltas {
                    let (served, found) = (delta.from(), delta.to());
                    if !found.is_newer_than(served) {
                        return Err(PublishError::NotNewer { served, found });
                    }
                    snapshot = snapshot.apply(&delta)?;
                    let told = told.iter().find(|stamp| stamp.serial == found);
                    let stamp = own_stamp(&snapshot, told);
                    differs = mismatch(told, &stamp);
                    stamped.push((Arc::new(delta), stamp));
                }
                let stamps: Vec<Stamp> = stamped.iter().map(|(_, stamp)| *stamp).collect();
                if stamps.is_empty() {
                    return Ok(None);
                }
                Ok(Some(Step {
                    from,
                    snapshot,
                    content: Content::Deltas(stamped),
                    stamps,
                    renumbered: None,
                    mismatch: differs,
                }))
            }
        }
    }
}

/// The stamp of content that came from elsewhere: time and writer as told, the digest always our own.
fn own_stamp(snapshot: &Snapshot, told: Option<&Stamp>) -> Stamp {
    Stamp {
        serial: snapshot.serial(),
        published: told.and_then(|stamp| stamp.published),
        digest: snapshot.digest(),
        writer: told.map_or(0, |stamp| stamp.writer),
    }
}

fn mismatch(told: Option<&Stamp>, own: &Stamp) -> Option<Digest> {
    told.map(|stamp| stamp.digest).filter(|digest| *digest != own.digest)
}

/// A change that has been checked and waits for the journal.
struct Step {
    from: Option<Serial>,
    snapshot: Snapshot,
    content: Content,
    stamps: Vec<Stamp>,
    renumbered: Option<Serial>,
    mismatch: Option<Digest>,
}

enum Content {
    Full,
    Deltas(Vec<(Arc<Delta>, Stamp)>),
}

impl Step {
    fn stamp(&self) -> Stamp {
        // Every way to make a step gives it one stamp at least.
        self.stamps.last().copied().unwrap_or(own_stamp(&self.snapshot, None))
    }
}

impl Zone {
    /// The zone's name.
    pub fn name(&self) -> &NameRef {
        &self.name
    }

    /// What is served now; `None` before the first content and after expiry.
    pub fn version(&self) -> Option<Arc<Version>> {
        self.current.load_full()
    }

    /// Who may do what.
    pub fn access(&self) -> arc_swap::Guard<Arc<Access>> {
        self.access.load()
    }

    /// The version history, locked for reading: to be let go of soon.
    pub fn history(&self) -> RwLockReadGuard<'_, History> {
        self.history.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn history_mut(&self) -> RwLockWriteGuard<'_, History> {
        self.history.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the content is known to have been current, for a secondary; `None` before the first successful poll.
    pub fn fresh_at(&self) -> Option<Mono> {
        Some(Mono(self.fresh_at.load(Ordering::Relaxed))).filter(|at| at.0 != 0)
    }

    /// When a secondary's content expires.
    pub fn expires_at(&self) -> Option<Mono> {
        Some(Mono(self.expires_at.load(Ordering::Relaxed))).filter(|at| at.0 != 0)
    }

    /// When the last poll that found a secondary's content current began, in this life or a former one.
    pub fn verified_at(&self) -> Option<Utc> {
        Some(Utc(self.verified_at.load(Ordering::Relaxed))).filter(|at| at.0 != 0)
    }

    /// Notes that a poll which began at `verified_at` found a secondary's content current; `fresh_at` as far as the primary
    /// says how fresh its own is.
    pub fn confirm(&self, verified_at: Utc, fresh_at: Option<Mono>, expires_at: Mono) {
        self.verified_at.store(verified_at.0, Ordering::Relaxed);
        self.fresh_at.store(fresh_at.unwrap_or_default().0, Ordering::Relaxed);
        self.expires_at.store(expires_at.0.max(1), Ordering::Relaxed);
        self.counted_from.store(verified_at.0, Ordering::Relaxed);
    }

    /// Notes when a secondary's content expires, and, where it is known, from when on EXPIRE is counted by that: what a restart
    /// has to go by.
    pub fn expires(&self, at: Mono, counted_from: Option<Utc>) {
        self.expires_at.store(at.0.max(1), Ordering::Relaxed);
        if let Some(from) = counted_from {
            self.counted_from.store(from.0, Ordering::Relaxed);
        }
    }

    /// From when on a secondary's EXPIRE is counted; what [`Entry::Verified`] keeps.
    pub fn counted_from(&self) -> Option<Utc> {
        Some(Utc(self.counted_from.load(Ordering::Relaxed))).filter(|at| at.0 != 0)
    }

    /// Entries from which [`ZoneStore::replay`] makes this zone again: what a compacted journal begins with.
    pub fn checkpoint(&self, each: &mut dyn FnMut(Entry<'_>)) {
        let Some(version) = self.version() else { return };
        for (stamp, delta) in self.history().kept() {
            each(Entry::Past(&self.name, delta.cloned(), *stamp));
        }
        each(Entry::Full(&version.snapshot, version.stamp, version.applied));
        if let Some(from) = self.counted_from() {
            each(Entry::Verified(&self.name, from));
        }
    }

    fn last_published(&self) -> Option<Hlc> {
        self.history().last().and_then(|stamp| stamp.published)
    }

    fn swap(&self, now: Now, step: Step) -> Publication {
        let stamp = step.stamp();
        let records = step.snapshot.records();
        {
            let mut history = self.history_mut();
            match step.content {
                Content::Full => history.push(stamp, None, records),
                Content::Deltas(deltas) => {
                    deltas.into_iter().for_each(|(delta, stamp)| history.push(stamp, Some(delta), records));
                }
            }
        }
        self.current.store(Some(Arc::new(Version { snapshot: step.snapshot, stamp, applied: now.utc })));
        Publication {
            zone: self.name.clone(),
            from: step.from,
            stamp,
            applied: now.utc,
            records,
            renumbered: step.renumbered,
            mismatch: step.mismatch,
        }
    }
}

#[cfg(test)]
mod tests;
