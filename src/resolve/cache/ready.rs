//! Ready answers: a small table in front of the store, for what is asked for again and again. It is read without a lock and without
//! counting, while a look into the store takes a microsecond.
//!
//! ```text
//! question -> four slots -> entry      for this question, and fresh: the answer
//!                   `------ anything else: the store is asked, and what it says may take one of the slots
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use crate::time::Mono;
use crate::wire::hash::hash_name;
use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;
use crate::zone::prefetch::fetch;

use super::{AskFlags, Entry};

/// The most slots: room for what is asked for more than once a second, in half a megabyte.
const MOST: u64 = 32_768;
/// Slots that a question may be in, side by side.
const WAYS: usize = 4;
/// A question that finds its slots taken so often takes one over: those that are asked in turn do not drive each other out
/// each time.
const STUBBORN: u8 = 8;

/// The table.
pub(super) struct Ready {
    sets: Box<[Set]>,
    /// How often everything was forgotten.
    epoch: AtomicU64,
}

/// Slots side by side, in one line of the processor's cache.
#[derive(Default)]
#[repr(align(64))]
struct Set {
    entries: [ArcSwapOption<Entry>; WAYS],
    /// A part of the hash of each entry's question: entries that are not meant need not be looked at. Set apart from the entry,
    /// it may be wrong for a moment, and the entry is then not found.
    tags: [AtomicU8; WAYS],
    /// How many other questions found the slots taken.
    passed: AtomicU8,
}

/// A question with its place in the table.
#[derive(Clone, Copy)]
pub struct Sought<'n> {
    name: &'n NameRef,
    rtype: Rtype,
    flags: AskFlags,
    hash: u64,
}

impl<'n> Sought<'n> {
    /// The question for this name and type.
    #[inline]
    pub fn new(name: &'n NameRef, rtype: Rtype, flags: AskFlags) -> Sought<'n> {
        let tail = u64::from(rtype.0) << 2 | u64::from(flags.bits());
        let hash = hash_name(name) ^ tail.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Sought { name, rtype, flags, hash }
    }

    #[inline]
    fn tag(self) -> u8 {
        (self.hash >> 56) as u8
    }
}

impl Ready {
    /// An empty table for a store of so many entries.
    pub(super) fn new(max_entries: u64) -> Ready {
        // At most MOST, which any machine can count.
        let slots = max_entries.clamp(1, MOST) as usize;
        let sets = slots.div_ceil(WAYS).next_power_of_two();
        Ready { sets: (0..sets).map(|_| Set::default()).collect(), epoch: AtomicU64::new(0) }
    }

    /// Has the slots for a question brought near.
    #[inline]
    pub(super) fn fetch(&self, sought: Sought<'_>) {
        fetch((&raw const *self.set(sought)).cast());
    }

    /// Hands the fresh entry for a question to `each`; `None` when there is none here.
    #[inline]
    pub(super) fn find<T>(
        &self,
        now: Mono,
        sought: Sought<'_>,
        each: impl FnOnce(&Arc<Entry>) -> T,
    ) -> Option<T> {
        let set = self.set(sought);
        for (slot, tag) in set.entries.iter().zip(&set.tags) {
            if tag.load(Ordering::Relaxed) == sought.tag()
                && let Some(entry) = &*slot.load()
                && entry.is_for(sought)
            {
                return entry.is_fresh(now).then(|| each(entry));
            }
        }
        None
    }

    /// The number of the time between two forgettings; to be read before the store is.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Offers an entry that the store held at some time of this epoch.
    pub(super) fn offer(&self, now: Mono, sought: Sought<'_>, epoch: u64, entry: &Arc<Entry>) {
        let set = self.set(sought);
        let is_free = |slot: &&ArcSwapOption<Entry>| {
            slot.load().as_ref().is_none_or(|held| held.is_for(sought) || !held.is_fresh(now))
        };
        let at = match set.entries.iter().position(|slot| is_free(&slot)) {
            Some(at) => at,
            None => {
                let passed = set.passed.fetch_add(1, Ordering::Relaxed);
                if !passed.is_multiple_of(STUBBORN) {
                    return;
                }
                usize::from(passed / STUBBORN) % WAYS
            }
        };
        let slot = &set.entries[at];
        set.tags[at].store(sought.tag(), Ordering::Relaxed);
        slot.store(Some(Arc::clone(entry)));
        // Everything was forgotten meanwhile, and this with it.
        if self.epoch() != epoch {
            slot.store(None);
        }
    }

    /// Forgets the entry for a question: the store has a newer one.
    pub(super) fn forget(&self, sought: Sought<'_>) {
        for slot in &self.set(sought).entries {
            if slot.load().as_ref().is_some_and(|held| held.is_for(sought)) {
                slot.store(None);
            }
        }
    }

    /// Forgets everything.
    pub(super) fn forget_all(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        self.sets.iter().flat_map(|set| &set.entries).for_each(|slot| slot.store(None));
    }

    #[inline]
    fn set(&self, sought: Sought<'_>) -> &Set {
        // The number of sets is a power of two.
        &self.sets[sought.hash as usize & (self.sets.len() - 1)]
    }
}

impl Entry {
    #[inline]
    fn is_for(&self, sought: Sought<'_>) -> bool {
        let (name, rtype, flags) = self.question();
        (rtype, flags) == (sought.rtype, sought.flags) && *name == *sought.name
    }
}
