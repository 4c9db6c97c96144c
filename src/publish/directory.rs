//! The zones of a node by name: a persistent hash table that is read without a lock, and replaced whole by who changes it.
//!
//! ```text
//! shelves -> shelf -> bucket -> zones     (256 shelves of 128 buckets of 3 zones for a hundred thousand)
//! ```
//!
//! A change copies one bucket, its shelf and the array of shelves, the latter two about as long as the square root of the number of
//! zones. A look reads one bucket, which is a line or two of memory.

use std::iter;
use std::sync::Arc;

use crate::wire::hash::{hash_label, hash_name, hash_root};
use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;
use crate::zone::lookup::Found;

use super::zone::{Version, Zone};

/// Zones for each bucket on average, at most.
const FILL: usize = 4;

/// All zones; `clone` is cheap and shares.
#[derive(Clone, Debug)]
pub struct Directory {
    /// As many as a power of two, and so are the buckets of each.
    shelves: Arc<[Shelf]>,
    len: usize,
    /// Bit n: there is, or was, a zone whose name has n labels. Only for those a name needs to be looked for.
    depths: u128,
}

type Shelf = Arc<[Bucket]>;
/// Zones with the hashes of their names.
type Bucket = Arc<[(u64, Arc<Zone>)]>;

impl Default for Directory {
    fn default() -> Directory {
        Directory { shelves: lay_out(0, Vec::new()), len: 0, depths: 0 }
    }
}

impl Directory {
    /// How many zones.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The zone of exactly this name.
    pub fn get(&self, name: &NameRef) -> Option<&Arc<Zone>> {
        self.at(hash_name(name), name)
    }

    /// The zone nearest above (or at) a name.
    pub fn find(&self, name: &NameRef) -> Option<&Arc<Zone>> {
        self.find_at(name, &name.label_starts())
    }

    /// Like [`Directory::find`] for a name whose labels are known to begin at `starts`.
    pub fn find_at(&self, name: &NameRef, starts: &[u8]) -> Option<&Arc<Zone>> {
        let mut hash = hash_root();
        let mut depths = self.depths;
        let mut nearest = if depths & 1 == 0 { None } else { self.at(hash, NameRef::ROOT) };
        for &start in starts.iter().rev() {
            depths >>= 1;
            // No zone has so many labels, nor more.
            if depths == 0 {
                break;
            }
            let suffix = name.suffix(start);
            hash = hash_label(hash, suffix.first_label());
            if depths & 1 != 0 {
                nearest = self.at(hash, suffix).or(nearest);
            }
        }
        nearest
    }

    /// The zone that answers for a name: the nearest above it, or at it unless DS is asked for at the zone's own apex. That belongs
    /// to the parent, which may be served here too (RFC 4035 3.1.4.1).
    pub fn authority(&self, name: &NameRef, rtype: Rtype) -> Option<&Arc<Zone>> {
        let zone = self.find(name)?;
        let above = name.parent().filter(|_| rtype == Rtype::DS && *name == **zone.name());
        Some(above.and_then(|name| self.find(name)).unwrap_or(zone))
    }

    /// Whether a zone here answers for a name, and does not refer to others for it.
    pub fn speaks_for(&self, name: &NameRef, rtype: Rtype) -> bool {
        let refers =
            |version: &Arc<Version>| matches!(version.snapshot.lookup(name, rtype), Found::Delegation(_));
        self.authority(name, rtype).is_some_and(|zone| !zone.current().as_ref().is_some_and(refers))
    }

    /// All zones, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        let buckets = self.shelves.iter().flat_map(|shelf| shelf.iter());
        buckets.flat_map(|bucket| bucket.iter()).map(|(_, zone)| zone)
    }

    /// The zone of a name, which is made and added if there is none.
    pub(super) fn take_in(&mut self, name: &NameRef, make: impl FnOnce() -> Arc<Zone>) -> Arc<Zone> {
        let hash = hash_name(name);
        if let Some(zone) = self.at(hash, name) {
            return Arc::clone(zone);
        }
        let zone = make();
        self.len += 1;
        self.depths |= 1 << name.label_count();
        let added = (hash, Arc::clone(&zone));
        let bits = self.shelves.len().trailing_zeros() + self.shelves[0].len().trailing_zeros();
        if self.len > FILL << bits {
            let buckets = self.shelves.iter().flat_map(|shelf| shelf.iter());
            let zones = buckets.flat_map(|bucket| bucket.iter().cloned()).chain([added]);
            self.shelves = lay_out(bits + 1, zones.collect());
        } else {
            self.change(hash, |bucket| bucket.iter().cloned().chain([added]).collect());
        }
        zone
    }

    /// Takes a zone out.
    pub(super) fn remove(&mut self, name: &NameRef) -> Option<Arc<Zone>> {
        let hash = hash_name(name);
        let zone = Arc::clone(self.at(hash, name)?);
        self.change(hash, |bucket| {
            bucket.iter().filter(|(_, other)| !Arc::ptr_eq(other, &zone)).cloned().collect()
        });
        self.len -= 1;
        Some(zone)
    }

    fn change(&mut self, hash: u64, change: impl FnOnce(&Bucket) -> Bucket) {
        let (shelf, bucket) = place(hash, self.shelves.len(), self.shelves[0].len());
        let bucket = &mut Arc::make_mut(&mut Arc::make_mut(&mut self.shelves)[shelf])[bucket];
        *bucket = change(bucket);
    }

    fn at(&self, hash: u64, name: &NameRef) -> Option<&Arc<Zone>> {
        let (shelf, bucket) = place(hash, self.shelves.len(), self.shelves[0].len());
        let zones = self.shelves[shelf][bucket].iter().filter(|(other, _)| *other == hash);
        zones.map(|(_, zone)| zone).find(|zone| **zone.name() == *name)
    }
}

/// The shelf and the bucket on it that a hash belongs to.
fn place(hash: u64, shelves: usize, buckets: usize) -> (usize, usize) {
    // The lower bits: the upper ones place names within zones.
    let (hash, bits) = (hash as usize, shelves.trailing_zeros());
    (hash & (shelves - 1), hash >> bits & (buckets - 1))
}

/// Places zones in 2^bits buckets.
fn lay_out(bits: u32, mut zones: Vec<(u64, Arc<Zone>)>) -> Arc<[Shelf]> {
    let (shelves, buckets) = (1 << (bits - bits / 2), 1 << (bits / 2));
    let at = |hash| place(hash, shelves, buckets);
    zones.sort_unstable_by_key(|&(hash, _)| at(hash));
    let (nothing, mut zones) = (Bucket::default(), zones.into_iter().peekable());
    let mut fill = |place| {
        let mut next = || zones.next_if(|&(hash, _)| at(hash) == place);
        let Some(first) = next() else { return Arc::clone(&nothing) };
        [first].into_iter().chain(iter::from_fn(next)).collect()
    };
    (0..shelves).map(|shelf| (0..buckets).map(|bucket| fill((shelf, bucket))).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::name::Name;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn directory(names: impl Iterator<Item = String>) -> Directory {
        let mut directory = Directory::default();
        names.for_each(|text| {
            drop(directory.take_in(&name(&text), || Arc::new(Zone::new(name(&text), Arc::default(), 1))))
        });
        directory
    }

    fn nearest(directory: &Directory, text: &str) -> Option<String> {
        directory.find(&name(text)).map(|zone| zone.name().to_string())
    }

    #[test]
    fn the_nearest_zone_above() {
        let zones = directory(["example.", "a.b.example.", "test."].into_iter().map(str::to_owned));
        assert_eq!(nearest(&zones, "x.A.b.Example."), Some("a.b.example.".to_owned()));
        assert_eq!(nearest(&zones, "b.example."), Some("example.".to_owned()));
        assert_eq!(nearest(&zones, "test."), Some("test.".to_owned()));
        assert_eq!(nearest(&zones, "org."), None);
        assert_eq!(nearest(&zones, "."), None);
        let root = directory([".", "example."].into_iter().map(str::to_owned));
        assert_eq!(nearest(&root, "a.b.org."), Some(".".to_owned()));
        assert_eq!(nearest(&root, "."), Some(".".to_owned()));
    }

    #[test]
    fn many_come_and_go_and_copies_stay() {
        let mut zones = directory((0..5_000).map(|number| format!("z{number}.example.")));
        let before = zones.clone();
        for number in (0..5_000).step_by(2) {
            assert!(zones.remove(&name(&format!("z{number}.example."))).is_some());
        }
        assert!(zones.remove(&name("z0.example.")).is_none());
        assert_eq!((zones.len(), zones.iter().count(), before.len()), (2_500, 2_500, 5_000));
        for number in 0..5_000 {
            let name = name(&format!("Z{number}.example."));
            assert_eq!(zones.get(&name).is_some(), number % 2 == 1);
            assert!(before.get(&name).is_some());
        }
    }
}
