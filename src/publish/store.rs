//! The zones that are served, and the one door by which they change.
//!
//! ```text
//!            zone file      IXFR        AXFR
//!                 \           |          /
//!                  v          v         v
//! publish:  check -> delta -> journal -> stamp -> swap -> Publication
//! ```
//!
//! The first content of a zone file may be served once its stamp is in the journal ([`Log::defers`]).
//!
//! Only [`ZoneStore::publish`] and [`ZoneStore::expire`] change what is served ([`ZoneStore::replay`] brings back what a
//! former life had published). Readers take the current [`Version`] and never wait.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use dashmap::DashMap;

use crate::time::{Now, Utc};
use crate::wire::name::{Name, NameRef};

use super::directory::Directory;
use super::journal::entry::{Entry, Happened};
use super::journal::log::{Log, LogError};
use super::zone::{Access, Kept, Version, Zone};
use crate::zone::delta::Delta;
use crate::zone::diff::between;
use crate::zone::digest::Digest;
use crate::zone::serial::{Policy, Serial};
use crate::zone::snapshot::{ApplyError, Snapshot};
use crate::zone::stamp::Stamp;

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
    /// The file of a signed zone changed without its serial, and another serial would break the signature over it.
    #[error(
        "content changed but the serial did not grow (file {file}, served {served}), and the zone is signed, so its SOA cannot be changed here: raise the serial and sign again"
    )]
    SignedSerialKept {
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
    zones: ArcSwap<Directory>,
    /// Held by who replaces the directory.
    editing: Mutex<()>,
    /// Zones that were served once and are not configured now: without content, but their serials are remembered, so that one
    /// which comes back goes on where it was.
    withdrawn: DashMap<Name, Arc<Zone>>,
    /// What was served until lately.
    retired: Mutex<Vec<Arc<Version>>>,
    /// This node, as the writer of what it publishes itself.
    writer: u64,
}

/// What a journal has to hold, as it was at one moment.
#[derive(Debug)]
pub struct Checkpoint(Vec<Kept>);

impl Checkpoint {
    /// Hands out entries from which [`ZoneStore::replay`] makes all zones again: what a compacted journal begins with.
    pub fn entries(self, each: &mut dyn FnMut(Entry)) {
        self.0.into_iter().for_each(|kept| kept.checkpoint(each));
    }
}

impl ZoneStore {
    /// An empty store of the node with this id (not 0).
    pub fn new(writer: u64) -> ZoneStore {
        ZoneStore { writer, ..ZoneStore::default() }
    }

    /// Adds a zone without content, or changes who may do what with one that is there.
    pub fn configure(&self, name: &NameRef, access: Access) -> Arc<Zone> {
        self.edit(|directory| self.take_in(directory, name, access))
    }

    /// Like [`ZoneStore::configure`] for many zones, at the cost of one change.
    pub fn configure_all<'n>(&self, zones: impl Iterator<Item = (&'n NameRef, Access)>) {
        self.edit(|directory| zones.for_each(|(name, access)| drop(self.take_in(directory, name, access))));
    }

    fn take_in(&self, directory: &mut Directory, name: &NameRef, access: Access) -> Arc<Zone> {
        let zone = directory.get(name).cloned().unwrap_or_else(|| {
            let known = self.withdrawn.remove(name).map(|(_, zone)| zone);
            let zone = known.unwrap_or_else(|| Arc::new(Zone::new(name.to_name())));
            directory.insert(Arc::clone(&zone));
            zone
        });
        zone.access.store(Arc::new(access));
        zone
    }

    /// Takes a zone out. Its last serials are remembered, in case it comes back.
    pub fn remove(&self, name: &NameRef) {
        if let Some(zone) = self.edit(|directory| directory.remove(name)) {
            self.retire(zone.current.swap(None));
            zone.history_mut().forget_deltas();
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

    /// How many records all zones have.
    pub fn records(&self) -> u64 {
        self.directory().iter().filter_map(|zone| Some(zone.version()?.snapshot.records())).sum()
    }

    /// Versions that were replaced as a whole and may still be read somewhere: to be let go of once nobody else has them, where
    /// that keeps no query waiting.
    pub fn take_retired(&self) -> Vec<Arc<Version>> {
        std::mem::take(&mut *self.retired.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps the version that was served until now, so that no reader is the last one to have it and has to take it to pieces.
    fn retire(&self, version: Option<Arc<Version>>) {
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        retired.retain(|version| Arc::strong_count(version) > 1);
        retired.extend(version);
    }

    /// Lets go of content that [`ZoneStore::replay`] brought back of zones that nobody has configured since.
    pub fn forget_unconfigured(&self) {
        for entry in self.withdrawn.iter() {
            self.retire(entry.value().current.swap(None));
            entry.value().history_mut().forget_deltas();
        }
    }

    /// The zones as they are configured now: what answers are found in, without a lock or a copy.
    pub fn directory(&self) -> arc_swap::Guard<Arc<Directory>> {
        self.zones.load()
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

    /// The door. `Ok(None)` when the change changes nothing; no error leaves a trace in what is served.
    pub fn publish(
        &self,
        now: Now,
        name: &NameRef,
        change: Change,
        log: &mut dyn Log,
    ) -> Result<Option<Publication>, PublishError> {
        let mut outcomes = self.publish_all(now, vec![(name.to_name(), change)], log);
        outcomes.pop().unwrap_or_else(|| Err(PublishError::NoSuchZone(name.to_name())))
    }

    /// The door for many at once, at the cost of one write: what came of each change, in their order. Two changes of one zone are
    /// published one after the other.
    pub fn publish_all(
        &self,
        now: Now,
        changes: Vec<(Name, Change)>,
        log: &mut dyn Log,
    ) -> Vec<Result<Option<Publication>, PublishError>> {
        let mut outcomes = Vec::with_capacity(changes.len());
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let mut together: Vec<(Arc<Zone>, Option<Step>)> = Vec::new();
            let mut names = HashSet::new();
            let first = outcomes.len();
            // A zone that changes twice has to be looked at again in between.
            while let Some((name, change)) = changes.next_if(|(name, _)| !names.contains(name)) {
                let prepared = self.get(&name).ok_or_else(|| PublishError::NoSuchZone(name.clone()));
                let prepared = prepared.and_then(|zone| {
                    let current = zone.version();
                    let step = self.prepare(now, &zone, current.as_deref(), change, log)?;
                    Ok((zone, step))
                });
                names.insert(name);
                outcomes.push(prepared.map(|prepared| together.push(prepared)).map(|()| None));
            }
            let entries: Vec<Entry> = together
                .iter()
                .filter_map(|(zone, step)| Some((zone, step.as_ref()?)))
                .flat_map(|(zone, step)| step.entries(&zone.name, now.utc))
                .collect();
            let kept = if entries.is_empty() { Ok(()) } else { log.append(&entries) };
            drop(entries);
            let steps = outcomes[first..].iter_mut().filter(|outcome| outcome.is_ok()).zip(together);
            for (outcome, (zone, step)) in steps {
                if let Some(step) = step {
                    let kept = kept.clone().map_err(PublishError::Log);
                    *outcome = kept.map(|()| Some(self.swap(&zone, log.moment(now), step)));
                }
            }
        }
        outcomes
    }

    /// Puts a version that has been written down in the place of the current one.
    fn swap(&self, zone: &Zone, applied: Utc, step: Step) -> Publication {
        let stamp = step.stamp();
        let records = step.snapshot.records();
        {
            let mut history = zone.history_mut();
            match step.content {
                // Content that is back as it was.
                Content::Full | Content::Deferred { .. } if history.last() == Some(&stamp) => {}
                Content::Full | Content::Deferred { .. } => history.push(stamp, None, records),
                Content::Deltas(deltas) => {
                    deltas.into_iter().for_each(|(delta, stamp)| history.push(stamp, Some(delta), records));
                }
            }
        }
        let version = Version { snapshot: step.snapshot, stamp, applied };
        self.retire(zone.current.swap(Some(Arc::new(version))));
        Publication {
            zone: zone.name.clone(),
            from: step.from,
            stamp,
            applied,
            records,
            renumbered: step.renumbered,
            mismatch: step.mismatch,
        }
    }

    /// Stops serving a secondary's content whose EXPIRE has passed; `false` when it was not served anyway.
    pub fn expire(&self, name: &NameRef) -> bool {
        let Some(expired) = self.get(name).and_then(|zone| zone.current.swap(None)) else { return false };
        self.retire(Some(expired));
        true
    }

    /// Takes in what the journal of a former life holds, of all zones: which of them are configured still may show later
    /// ([`ZoneStore::forget_unconfigured`]).
    ///
    /// A change that does not fit, because entries before it are damaged, leaves the zone without content but with its serial
    /// remembered: nothing older than what was served is ever served again.
    pub fn replay(&self, name: &NameRef, happened: Happened) {
        let zone = self.get(name).unwrap_or_else(|| {
            let zone =
                self.withdrawn.entry(name.to_name()).or_insert_with(|| Arc::new(Zone::new(name.to_name())));
            Arc::clone(&zone)
        });
        let content = match happened {
            Happened::Full(snapshot, stamp, applied) => {
                let mut history = zone.history_mut();
                if history.last() != Some(&stamp) {
                    history.push(stamp, None, snapshot.records());
                }
                Some(Version { snapshot, stamp, applied })
            }
            Happened::Change(delta, stamp, applied) => {
                let current = zone.version();
                let snapshot = current.as_ref().and_then(|version| version.snapshot.apply(&delta).ok());
                let mut history = zone.history_mut();
                // Where the content is written down later, its differences fit the stamp that stands for it.
                let follows =
                    current.is_none() && history.last().is_some_and(|last| last.serial == delta.from());
                let records = snapshot.as_ref().map(Snapshot::records).or(follows.then_some(u64::MAX));
                history.push(stamp, records.map(|_| Arc::new(delta)), records.unwrap_or_default());
                snapshot.map(|snapshot| Version { snapshot, stamp, applied })
            }
            Happened::Past(delta, stamp) => {
                zone.history_mut().push(stamp, delta.map(Arc::new), u64::MAX);
                return;
            }
            Happened::Verified(at) => {
                zone.verified_at.store(at.0, Ordering::Relaxed);
                zone.counted_from.store(at.0, Ordering::Relaxed);
                return;
            }
        };
        zone.current.store(content.map(Arc::new));
    }

    fn prepare(
        &self,
        now: Now,
        zone: &Zone,
        current: Option<&Version>,
        change: Change,
        log: &mut dyn Log,
    ) -> Result<Option<Step>, PublishError> {
        let from = current.map(|version| version.stamp.serial);
        match change {
            Change::File(content, policy) => {
                let file = content.serial();
                let is_signed = content.signed().is_some();
                let policy = if is_signed { Policy::Keep } else { policy };
                let kept = |served: Serial| {
                    if is_signed {
                        PublishError::SignedSerialKept { file, served }
                    } else {
                        PublishError::SerialKept { file, served }
                    }
                };
                let last = zone.last_published();
                let remembered = zone.history().last().copied();
                let stamp = |snapshot: &Snapshot| Stamp {
                    serial: snapshot.serial(),
                    published: Some(last.unwrap_or_default().next(log.moment(now))),
                    digest: snapshot.digest(),
                    writer: self.writer,
                };
                let Some(current) = current else {
                    // Content that was lost or withdrawn, but whose serial is remembered, goes on from there.
                    let (content, stamp, renumbered) = match remembered {
                        Some(last) if !file.is_newer_than(last.serial) => {
                            let same = content.digest() == last.digest;
                            let serial =
                                if same { Some(last.serial) } else { policy.next(last.serial, now.utc) };
                            let serial = serial.ok_or_else(|| kept(last.serial))?;
                            let content = content.with_serial(serial);
                            let stamp = if same { last } else { stamp(&content) };
                            (content, stamp, Some(file).filter(|file| *file != serial && !same))
                        }
                        _ => {
                            let stamp = stamp(&content);
                            (content, stamp, None)
                        }
                    };
                    let is_known = remembered == Some(stamp);
                    // Where the policy may refuse the file after a restart, the file does not stand for the content.
                    let content_of_step = match policy != Policy::Keep && log.defers(&content) {
                        true => Content::Deferred { is_known },
                        false => Content::Full,
                    };
                    let stamps = vec![stamp];
                    let step = Step {
                        from,
                        snapshot: content,
                        content: content_of_step,
                        stamps,
                        renumbered,
                        mismatch: None,
                    };
                    return Ok(Some(step));
                };
                let served = current.stamp.serial;
                let newer = file.is_newer_than(served);
                if !newer && content.digest() == current.snapshot.digest() {
                    return Ok(None);
                }
                let (content, renumbered) = if newer {
                    (content, None)
                } else {
                    let serial = policy.next(served, now.utc).ok_or_else(|| kept(served))?;
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
    /// Like `Full`, but only the stamp is written down now, unless it is already.
    Deferred {
        is_known: bool,
    },
    Deltas(Vec<(Arc<Delta>, Stamp)>),
}

impl Step {
    /// What is to be written down before this is served.
    fn entries(&self, zone: &NameRef, applied: Utc) -> Vec<Entry> {
        match &self.content {
            Content::Full => vec![Entry::Full(self.snapshot.clone(), self.stamp(), applied)],
            Content::Deferred { is_known: true } => Vec::new(),
            Content::Deferred { is_known: false } => vec![Entry::Past(zone.to_name(), None, self.stamp())],
            Content::Deltas(deltas) => deltas
                .iter()
                .map(|(delta, stamp)| Entry::Change(zone.to_name(), Arc::clone(delta), *stamp, applied))
                .collect(),
        }
    }

    fn stamp(&self) -> Stamp {
        // Every way to make a step gives it one stamp at least.
        self.stamps.last().copied().unwrap_or(own_stamp(&self.snapshot, None))
    }
}

#[cfg(test)]
mod tests;
