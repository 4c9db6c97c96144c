//! The newest version of each stub zone that any of its servers has answered from: what a cache does not go back behind while a server
//! with it is there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use dashmap::DashMap;

use crate::wire::name::{Name, NameRef};
use crate::zone::serial::Serial;

/// Shared by all resolvers of a cache.
#[derive(Debug, Default)]
pub struct Floors {
    floors: DashMap<Name, Serial>,
    /// Those that have been raised and that nobody has been told of.
    raised: Mutex<Vec<(Name, Serial)>>,
    /// Whether there are any: a look at this is all that most replies cost.
    is_raised: AtomicBool,
}

impl Floors {
    /// Takes note of the version that a server answered from. Whether it is not older than all that were seen.
    pub fn shows(&self, zone: &NameRef, serial: Serial) -> bool {
        // Nearly always it is what it was.
        if self.floors.get(zone).is_some_and(|floor| *floor == serial) {
            return true;
        }
        let mut floor = self.floors.entry(zone.to_name()).or_insert(serial);
        if floor.is_newer_than(serial) {
            return false;
        }
        *floor = serial;
        drop(floor);
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).push((zone.to_name(), serial));
        self.is_raised.store(true, Ordering::Release);
        true
    }

    /// Those that have been raised since this was called last.
    pub fn raised(&self) -> Vec<(Name, Serial)> {
        if !self.is_raised.load(Ordering::Acquire) || !self.is_raised.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *self.raised.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// No server answers from a newer version than this any more: the zone's serial went back, or who had it is gone.
    pub fn steps_back(&self, zone: &NameRef, serial: Serial) {
        self.floors.insert(zone.to_name(), serial);
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        self.floors.clear();
    }
}
