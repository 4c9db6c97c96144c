//! The newest version of each stub zone that any of its servers has answered from: what a cache does not go back behind while a server
//! with it is there.

use dashmap::DashMap;

use crate::wire::name::{Name, NameRef};
use crate::zone::serial::Serial;

/// Shared by all resolvers of a cache.
#[derive(Debug, Default)]
pub struct Floors(DashMap<Name, Serial>);

impl Floors {
    /// Takes note of the version that a server answered from. Whether it is not older than all that were seen.
    pub fn shows(&self, zone: &NameRef, serial: Serial) -> bool {
        // Nearly always it is what it was.
        if self.0.get(zone).is_some_and(|floor| *floor == serial) {
            return true;
        }
        let mut floor = self.0.entry(zone.to_name()).or_insert(serial);
        let is_current = !floor.is_newer_than(serial);
        if is_current {
            *floor = serial;
        }
        is_current
    }

    /// No server answers from a newer version than this any more: the zone's serial went back, or who had it is gone.
    pub fn steps_back(&self, zone: &NameRef, serial: Serial) {
        self.0.insert(zone.to_name(), serial);
    }

    /// Forgets all of them.
    pub fn clear(&self) {
        self.0.clear();
    }
}
