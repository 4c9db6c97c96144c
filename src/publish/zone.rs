//! A zone as it is served: its current version, who may do what with it, and how fresh it is known to be.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::time::{Mono, Now, Utc};
use crate::wire::name::Name;

use super::access::Access;
use super::history::History;
use super::journal::entry::{Entry, MANY_RECORDS};
use super::journal::floor::Reserve;
use crate::zone::clocks::Clocks;
use crate::zone::delta::Delta;
use crate::zone::serial::Serial;
use crate::zone::snapshot::Snapshot;
use crate::zone::stamp::Stamp;

/// One published version: content and its stamp. Never changes.
///
/// What is served (`snapshot`) is told apart from what the zone's source gave (`source`): the next content of a file is compared with the
/// file before, and what could not be written down is proposed again as it was given. What stages add on the way stands in
/// `snapshot` alone. Today that is a serial, so the serial is all that is kept of the source besides.
#[derive(Debug)]
pub struct Version {
    /// The content.
    pub snapshot: Snapshot,
    /// The serial that its source gave it, when another took its place.
    given: Option<Serial>,
    /// Who published it when.
    pub stamp: Stamp,
    /// When this node began to serve it.
    pub applied: Utc,
    /// Set once another version has taken its place. Behind `snapshot`, because fields are dropped in this order.
    remains: OnceLock<Box<Leaving>>,
}

impl Version {
    pub(super) fn new(snapshot: Snapshot, stamp: Stamp, applied: Utc) -> Version {
        Version::of(snapshot, None, stamp, applied)
    }

    pub(super) fn of(snapshot: Snapshot, given: Option<Serial>, stamp: Stamp, applied: Utc) -> Version {
        Version { snapshot, given, stamp, applied, remains: OnceLock::new() }
    }

    /// The content as its source gave it, sharing all that is served of it. After a restart, what is served stands for it until the
    /// source was read.
    pub fn source(&self) -> Snapshot {
        self.given.map_or_else(|| self.snapshot.clone(), |serial| self.snapshot.with_serial(serial))
    }

    /// Sends the content to `to` once this version is read no more.
    pub(super) fn leave_to(&self, to: mpsc::Sender<Remains>) {
        let _ = self.remains.set(Box::new(Leaving { snapshot: Some(self.snapshot.clone()), to }));
    }
}

/// What changes leave behind and what takes long to take to pieces.
#[derive(Debug)]
pub enum Remains {
    /// The content of a version.
    Content(Snapshot),
    /// Deltas that are kept no more.
    Deltas(Vec<Arc<Delta>>),
    /// Messages of a transfer that is of no use.
    Messages(Vec<Vec<u8>>),
}

/// The content of a version, which its last reader would have to take to pieces otherwise.
#[derive(Debug)]
struct Leaving {
    snapshot: Option<Snapshot>,
    to: mpsc::Sender<Remains>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // Where nobody takes it, it is let go of here.
        let content = self.snapshot.take().map(Remains::Content);
        content.into_iter().for_each(|content| drop(self.to.send(content)));
    }
}

/// About how many bytes of a journal a record takes, and an entry besides its records.
const RECORD: usize = 48;
const ENTRY: usize = 128;

/// What a zone serves, held for a moment.
pub type Current = arc_swap::Guard<Option<Arc<Version>>>;

/// From where a primary without history numbers its versions on.
#[derive(Clone, Copy, Debug)]
pub enum Numbering {
    /// From this version, which it has published once.
    From(Stamp),
    /// Above this serial, of which nothing more is known.
    Above(Serial),
}

/// A configured zone: what it serves now, and how fresh that is known to be.
#[derive(Debug)]
pub struct Zone {
    pub(super) name: Name,
    /// The number of this node, in the stamps of what it publishes.
    node: u64,
    pub(super) current: ArcSwapOption<Version>,
    pub(super) history: RwLock<History>,
    pub(super) access: ArcSwap<Access>,
    /// Content is known to have been current at this moment ([`Mono`], 0: never): for a secondary the start of the last poll
    /// that found it so, less what its primary said of its own.
    pub(super) fresh_at: AtomicU64,
    /// Whether a secondary's last poll was answered by somebody who would know of a newer version.
    pub(super) verified_until: AtomicU64,
    /// The same of somebody who does not merely believe that.
    vouched_until: AtomicU64,
    /// The SOA's EXPIRE ends at this moment ([`Mono`], 0: it does not).
    pub(super) expires_at: AtomicU64,
    /// When a secondary's content expired ([`Utc`], 0: it did not), as long as nothing has come since.
    pub(super) expired_at: AtomicU64,
    /// When the content is known to have been current, as the journal has it ([`Utc`], 0: never).
    pub(super) verified_at: AtomicU64,
    /// From when on EXPIRE is counted ([`Utc`], 0: never): when the last poll began that found the content current, less what the primary
    /// had used up of it by then.
    pub(super) counted_from: AtomicU64,
    /// A version that a secondary heard of and did not get, and when it did.
    heard_of: Mutex<Option<(Serial, Utc)>>,
    /// The clocks that a secondary's stamps are readings of, as it was told.
    clocks: Mutex<Clocks>,
}

impl Zone {
    /// A zone without content, of the node with this number.
    pub(super) fn new(name: Name, access: Arc<Access>, node: u64) -> Zone {
        Zone {
            name,
            node,
            current: ArcSwapOption::empty(),
            history: RwLock::default(),
            access: ArcSwap::new(access),
            fresh_at: AtomicU64::new(0),
            verified_until: AtomicU64::new(0),
            vouched_until: AtomicU64::new(0),
            expires_at: AtomicU64::new(0),
            expired_at: AtomicU64::new(0),
            verified_at: AtomicU64::new(0),
            counted_from: AtomicU64::new(0),
            heard_of: Mutex::default(),
            clocks: Mutex::default(),
        }
    }

    /// The zone's name, which is cheap to share.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What is served now; `None` before the first content and after expiry.
    pub fn version(&self) -> Option<Arc<Version>> {
        self.current.load_full()
    }

    /// What is served now, as [`Zone::version`] but for a moment only: without a count that workers would have to share.
    pub fn current(&self) -> Current {
        self.current.load()
    }

    /// Who may do what.
    pub fn access(&self) -> arc_swap::Guard<Arc<Access>> {
        self.access.load()
    }

    /// The version history, locked for reading: to be let go of soon.
    pub fn history(&self) -> RwLockReadGuard<'_, History> {
        self.history.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything is known of what was served before.
    pub fn has_history(&self) -> bool {
        let history = self.history();
        self.current().is_some() || history.last().is_some() || history.floor().reserved.is_some()
    }

    /// Takes over what another server knows of a former life of this zone.
    pub fn resume(&self, known: Numbering) {
        let mut history = self.history_mut();
        match known {
            Numbering::From(stamp) => history.push_anew(stamp),
            Numbering::Above(serial) => {
                history.floor.set(&Reserve { serial, digest: None, is_doubtful: true });
            }
        }
    }

    pub(super) fn history_mut(&self) -> RwLockWriteGuard<'_, History> {
        self.history.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the content is known to have been current, for a secondary; `None` before the first successful poll.
    pub fn fresh_at(&self) -> Option<Mono> {
        Some(Mono(self.fresh_at.load(Ordering::Relaxed))).filter(|at| at.0 != 0)
    }

    /// Whether this node would know of a newer version: a primary does, a secondary while its polls are answered. Of one that was stopped
    /// for a while the time tells, before anything has come to be done about it.
    pub fn is_verified(&self, now: Mono) -> bool {
        !self.access().secondary || now.0 < self.verified_until.load(Ordering::Relaxed)
    }

    /// Whether what this node knows of newer versions says something of other servers too: not where it believes a secondary that may be cut
    /// off itself.
    pub fn vouches(&self, now: Mono) -> bool {
        !self.access().secondary || now.0 < self.vouched_until.load(Ordering::Relaxed)
    }

    /// Notes until when the word of a secondary's primaries holds ([`Zone::is_verified`]), and of those that do not merely believe it
    /// ([`Zone::vouches`]); `None` when none does.
    pub fn verified(&self, until: Option<Mono>, vouched: Option<Mono>) {
        for (place, until) in [(&self.verified_until, until), (&self.vouched_until, vouched)] {
            place.store(until.map_or(0, |until| until.0), Ordering::Relaxed);
        }
    }

    /// When a secondary's content expires.
    pub fn expires_at(&self) -> Option<Mono> {
        Some(Mono(self.expires_at.load(Ordering::Relaxed))).filter(|at| at.0 != 0)
    }

    /// When a secondary's content expired, as long as nothing has come since; in this life or a former one.
    pub fn expired_at(&self) -> Option<Utc> {
        Some(Utc(self.expired_at.load(Ordering::Relaxed))).filter(|at| at.0 != 0)
    }

    /// Prepares for serving a version: what is known of when the last one was the newest says nothing of one that is older.
    pub(super) fn leads_to(&self, history: &History, stamp: &Stamp) {
        if history.steps_back_to(stamp) {
            self.fresh_at.store(0, Ordering::Relaxed);
            self.verified_at.store(0, Ordering::Relaxed);
        }
    }

    /// Serves a version from now on; the one before.
    pub(super) fn serve(&self, version: Version) -> Option<Arc<Version>> {
        self.expired_at.store(0, Ordering::Relaxed);
        self.current.swap(Some(Arc::new(version)))
    }

    /// Serves nothing any more, because that expired at this time; what was served.
    pub(super) fn expire(&self, at: Utc) -> Option<Arc<Version>> {
        self.expired_at.store(at.0.max(1), Ordering::Relaxed);
        self.current.swap(None)
    }

    /// When a secondary's content is known to have been current, as the journal has it: [`Zone::fresh_at`] of a former life, until this
    /// one knows better.
    pub fn verified_at(&self) -> Option<Utc> {
        Some(Utc(self.verified_at.load(Ordering::Relaxed))).filter(|at| at.0 != 0)
    }

    /// Notes when a secondary's content is known to have been current (0: never): what [`Entry::Verified`] keeps.
    pub fn was_current(&self, at: Utc) {
        self.verified_at.store(at.0, Ordering::Relaxed);
    }

    /// Notes that a poll which began at `verified_at` found a secondary's content current; `fresh_at` as far as the primary
    /// says how fresh its own is.
    pub fn confirm(&self, verified_at: Utc, fresh_at: Option<Mono>, expires_at: Mono) {
        self.fresh_at.store(fresh_at.unwrap_or_default().0, Ordering::Relaxed);
        self.expires_at.store(expires_at.0.max(1), Ordering::Relaxed);
        self.counted_from.store(verified_at.0, Ordering::Relaxed);
    }

    /// Notes when a secondary's content expires, and, where it is known, from when on EXPIRE is counted by that: what a restart
    /// has to go by.
    pub fn expires(&self, at: Mono, counted_from: Option<Utc>) {
        self.expires_at.store(at.0.max(1), Ordering::Relaxed);
        counted_from.into_iter().for_each(|from| self.is_counted_from(from));
    }

    /// Notes from when on a secondary's EXPIRE is counted.
    pub(super) fn is_counted_from(&self, at: Utc) {
        self.counted_from.store(at.0, Ordering::Relaxed);
    }

    /// From when on a secondary's EXPIRE is counted; what [`Entry::Verified`] keeps.
    pub fn counted_from(&self) -> Option<Utc> {
        Some(Utc(self.counted_from.load(Ordering::Relaxed))).filter(|at| at.0 != 0)
    }

    /// Takes no moment of a secondary's former life for one that is still to come: the clock was set back since. EXPIRE is counted from now
    /// on, or every restart would begin to count anew until that moment has come; when the content was current is not known then. How
    /// far ahead the last of them was, and what is to be kept.
    pub fn not_after(&self, now: Utc) -> Option<(Duration, Vec<Entry>)> {
        let applied = self.current().as_ref().map(|version| version.applied);
        let (counted_from, verified_at) = (self.counted_from().or(applied), self.verified_at());
        let is_ahead = |at: &Utc| *at > now;
        let moments = [counted_from, verified_at, self.expired_at()];
        let last = moments.into_iter().flatten().filter(is_ahead).max()?;
        let mut kept = Vec::new();
        if let Some(from) = [counted_from, verified_at].into_iter().flatten().find(is_ahead) {
            let from = counted_from.unwrap_or(from).min(now);
            let current = verified_at.filter(|at| !is_ahead(at)).unwrap_or_default();
            self.counted_from.store(from.0, Ordering::Relaxed);
            self.was_current(current);
            kept.push(Entry::Verified(self.name.clone(), from, Some(current)));
        }
        if self.expired_at().is_some_and(|at| is_ahead(&at)) {
            self.expired_at.store(now.0.max(1), Ordering::Relaxed);
            kept.push(Entry::Expired(self.name.clone(), now));
        }
        Some((last.since(now), kept))
    }

    /// A version newer than what is served that a secondary heard of, and when it did: what [`Entry::Newer`] keeps.
    pub fn newer(&self) -> Option<(Serial, Utc)> {
        let heard_of = *self.heard_of.lock().unwrap_or_else(PoisonError::into_inner);
        let served = self.current().as_ref().map(|version| version.stamp.serial)?;
        heard_of.filter(|(serial, _)| serial.is_newer_than(served))
    }

    /// Notes that a secondary heard of a version at that time.
    pub fn heard_of(&self, serial: Serial, at: Utc) {
        *self.heard_of.lock().unwrap_or_else(PoisonError::into_inner) = Some((serial, at));
    }

    /// What the clock shows that a stamp is a reading of, and how wrong that may be; `None` while it is not known.
    pub fn clock_of(&self, stamp: &Stamp, now: Now) -> Option<(Utc, Duration)> {
        if stamp.writer == self.node {
            return Some((now.utc, Duration::ZERO));
        }
        let clock = self.clocks.lock().unwrap_or_else(PoisonError::into_inner).of(stamp.writer)?;
        Some((clock.shows(now.mono), clock.error(now.mono)))
    }

    /// Notes what is known of these clocks.
    pub fn hear_clocks(&self, clocks: &Clocks) {
        self.clocks.lock().unwrap_or_else(PoisonError::into_inner).clone_from(clocks);
    }

    /// About how many bytes of a journal that takes, large content left out.
    pub(super) fn checkpoint_bytes(&self) -> u64 {
        let records = self.current().as_ref().map_or(0, |version| version.snapshot.records());
        let inline = if records > MANY_RECORDS { 0 } else { records as usize };
        let history = self.history();
        ((history.stamps().len() + 3) * ENTRY + (inline + history.delta_records()) * RECORD) as u64
    }

    /// What a journal has to hold of this zone, at this moment.
    pub(super) fn kept(self: &Arc<Zone>) -> Kept {
        let history = self.history();
        Kept {
            reserve: history.floor.reserve(history.last()),
            past: history.kept().map(|(stamp, delta)| (*stamp, delta.cloned())).collect(),
            version: self.version(),
            counted_from: self.counted_from(),
            verified_at: self.verified_at(),
            expired_at: self.expired_at(),
            newer: self.newer(),
            zone: Arc::clone(self),
        }
    }

    /// Entries from which [`ZoneStore::replay`] makes this zone again: what a compacted journal begins with.
    ///
    /// [`ZoneStore::replay`]: super::store::ZoneStore::replay
    pub fn checkpoint(self: &Arc<Zone>, each: &mut dyn FnMut(Entry)) {
        self.kept().checkpoint(each);
    }
}

/// What a journal has to hold of a zone, as it was at one moment.
#[derive(Debug)]
pub(super) struct Kept {
    zone: Arc<Zone>,
    reserve: Option<Reserve>,
    past: Vec<(Stamp, Option<Arc<Delta>>)>,
    version: Option<Arc<Version>>,
    counted_from: Option<Utc>,
    verified_at: Option<Utc>,
    expired_at: Option<Utc>,
    newer: Option<(Serial, Utc)>,
}

impl Kept {
    pub(super) fn checkpoint(self, each: &mut dyn FnMut(Entry)) {
        for (stamp, delta) in self.past {
            each(Entry::Past(self.zone.name.clone(), delta, stamp));
        }
        if let Some(version) = self.version {
            each(Entry::Full(version.snapshot.clone(), version.stamp, version.applied));
        }
        if let Some(reserve) = self.reserve {
            each(Entry::Reserve(self.zone.name.clone(), reserve));
        }
        if let Some(from) = self.counted_from {
            each(Entry::Verified(self.zone.name.clone(), from, self.verified_at));
        }
        if let Some((serial, at)) = self.newer {
            each(Entry::Newer(self.zone.name.clone(), serial, at));
        }
        if let Some(at) = self.expired_at {
            each(Entry::Expired(self.zone.name.clone(), at));
        }
    }
}
