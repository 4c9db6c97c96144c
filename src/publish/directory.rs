//! The zones of a node by name: a persistent hash table that is read without a lock, and replaced whole by who changes it.
//!
//! ```text
//! buckets -> bucket -> zones sorted by the hash of their names   (one bucket for some hundred zones of a hundred thousand)
//! ```
//!
//! A change copies one bucket and the array of buckets, both about the square root of the number of zones long.

use std::sync::Arc;

use crate::wire::hash::{hash_label, hash_name, hash_root};
use crate::wire::name::NameRef;

use super::zone::Zone;

/// All zones; `clone` is cheap and shares.
#[derive(Clone, Debug)]
pub struct Directory {
    buckets: Arc<[Bucket]>,
    len: usize,
    /// Bit n: there is, or was, a zone whose name has n labels. Only for those a name needs to be looked for.
    depths: u128,
}

type Bucket = Arc<Vec<(u64, Arc<Zone>)>>;

impl Default for Directory {
    fn default() -> Directory {
        Directory { buckets: Arc::new([Bucket::default()]), len: 0, depths: 0 }
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

    /// All zones, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Zone>> {
        self.buckets.iter().flat_map(|bucket| bucket.iter()).map(|(_, zone)| zone)
    }

    /// Adds a zone whose name is not here yet.
    pub(super) fn insert(&mut self, zone: Arc<Zone>) {
        self.len += 1;
        self.depths |= 1 << zone.name().label_count();
        if self.len > 4 * self.buckets.len() * self.buckets.len() {
            self.lay_out(4 * self.buckets.len());
        }
        let hash = hash_name(zone.name());
        let bucket = self.bucket_mut(hash);
        let at = bucket.partition_point(|&(other, _)| other < hash);
        bucket.insert(at, (hash, zone));
    }

    /// Takes a zone out.
    pub(super) fn remove(&mut self, name: &NameRef) -> Option<Arc<Zone>> {
        self.get(name)?;
        let hash = hash_name(name);
        let bucket = self.bucket_mut(hash);
        let at = bucket.iter().position(|(other, zone)| *other == hash && zone.name() == name)?;
        let (_, zone) = bucket.remove(at);
        self.len -= 1;
        Some(zone)
    }

    fn lay_out(&mut self, buckets: usize) {
        let mut all: Vec<(u64, Arc<Zone>)> =
            self.buckets.iter().flat_map(|bucket| bucket.iter().cloned()).collect();
        all.sort_unstable_by_key(|&(hash, _)| (index(hash, buckets), hash));
        let mut new = vec![Bucket::default(); buckets];
        for chunk in all.chunk_by(|a, b| index(a.0, buckets) == index(b.0, buckets)) {
            new[index(chunk[0].0, buckets)] = Arc::new(chunk.to_vec());
        }
        self.buckets = new.into();
    }

    fn bucket_mut(&mut self, hash: u64) -> &mut Vec<(u64, Arc<Zone>)> {
        let index = index(hash, self.buckets.len());
        Arc::make_mut(&mut Arc::make_mut(&mut self.buckets)[index])
    }

    fn at(&self, hash: u64, name: &NameRef) -> Option<&Arc<Zone>> {
        let bucket = &self.buckets[index(hash, self.buckets.len())];
        let from = bucket.partition_point(|&(other, _)| other < hash);
        bucket[from..]
            .iter()
            .take_while(|(other, _)| *other == hash)
            .map(|(_, zone)| zone)
            .find(|zone| zone.name() == name)
    }
}

/// The bucket of a hash; `buckets` is a power of two.
fn index(hash: u64, buckets: usize) -> usize {
    // The lower bits: the upper ones place names within zones.
    hash as usize & (buckets - 1)
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
        names.for_each(|text| directory.insert(Arc::new(Zone::new(name(&text)))));
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
