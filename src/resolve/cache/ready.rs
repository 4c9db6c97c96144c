//! Ready answers: a small table in front of the store, for what is asked for again and again. It is read without a lock and without
//! counting, while a look into the store takes a microsecond.
//!
//! ```text
//! question -> slot -> Held (question, entry)      fresh and not flushed: the answer
//!               `---- anything else: the store is asked, and what it says may take the slot
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use crate::time::Mono;
use crate::wire::name::{Name, NameRef, hash_name};
use crate::wire::rtype::Rtype;

use super::Entry;

/// The most slots: what is asked for more than once a second fits, and a miss of all of them costs a megabyte.
const MOST: u64 = 65_536;
/// A question that comes to a taken slot so often takes it over: two that are asked in turn do not drive each other out each time.
const STUBBORN: u8 = 8;

/// The table.
pub(super) struct Ready {
    slots: Box<[Slot]>,
    /// How often everything here was forgotten.
    epoch: AtomicU64,
}

#[derive(Default)]
struct Slot {
    held: ArcSwapOption<Held>,
    /// How many other questions found it taken.
    passed: AtomicU8,
}

struct Held {
    name: Name,
    rtype: Rtype,
    dnssec_ok: bool,
    epoch: u64,
    entry: Arc<Entry>,
}

impl Ready {
    /// An empty table for a store of so many entries.
    pub(super) fn new(max_entries: u64) -> Ready {
        // At most MOST, which any machine can count.
        let slots = max_entries.clamp(1, MOST).next_power_of_two() as usize;
        Ready { slots: (0..slots).map(|_| Slot::default()).collect(), epoch: AtomicU64::new(0) }
    }

    /// Hands the fresh entry for a question to `each`; `None` when there is none here.
    #[inline]
    pub(super) fn find<T>(
        &self,
        now: Mono,
        name: &NameRef,
        rtype: Rtype,
        dnssec_ok: bool,
        each: impl FnOnce(&Arc<Entry>) -> T,
    ) -> Option<T> {
        let held = self.slot(name, rtype, dnssec_ok).held.load();
        let held = held.as_ref()?;
        let is_good = held.is_for(name, rtype, dnssec_ok)
            && held.epoch == self.epoch.load(Ordering::Acquire)
            && held.entry.is_fresh(now);
        is_good.then(|| each(&held.entry))
    }

    /// The number of the time between two forgettings; to be read before the store is.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Offers an entry that the store held at some time of this epoch.
    pub(super) fn offer(
        &self,
        now: Mono,
        name: &NameRef,
        rtype: Rtype,
        dnssec_ok: bool,
        epoch: u64,
        entry: &Arc<Entry>,
    ) {
        let slot = self.slot(name, rtype, dnssec_ok);
        let is_taken = slot.held.load().as_ref().is_some_and(|held| {
            !held.is_for(name, rtype, dnssec_ok) && held.epoch == epoch && held.entry.is_fresh(now)
        });
        if is_taken && slot.passed.fetch_add(1, Ordering::Relaxed) < STUBBORN {
            return;
        }
        slot.passed.store(0, Ordering::Relaxed);
        let entry = Arc::clone(entry);
        slot.held.store(Some(Arc::new(Held { name: name.to_name(), rtype, dnssec_ok, epoch, entry })));
    }

    /// Forgets the entry for a question: the store has a newer one.
    pub(super) fn forget(&self, name: &NameRef, rtype: Rtype, dnssec_ok: bool) {
        let slot = self.slot(name, rtype, dnssec_ok);
        if slot.held.load().as_ref().is_some_and(|held| held.is_for(name, rtype, dnssec_ok)) {
            slot.held.store(None);
        }
    }

    /// Forgets everything.
    pub(super) fn forget_all(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    #[inline]
    fn slot(&self, name: &NameRef, rtype: Rtype, dnssec_ok: bool) -> &Slot {
        let tail = u64::from(rtype.0) << 1 | u64::from(dnssec_ok);
        let hash = hash_name(name) ^ tail.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // The number of slots is a power of two.
        &self.slots[hash as usize & (self.slots.len() - 1)]
    }
}

impl Held {
    #[inline]
    fn is_for(&self, name: &NameRef, rtype: Rtype, dnssec_ok: bool) -> bool {
        (self.rtype, self.dnssec_ok) == (rtype, dnssec_ok) && *self.name == *name
    }
}
