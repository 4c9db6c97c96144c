//! A persistent hash table from folded owner name to block, cut into small leaves under two levels of arrays.
//!
//! ```text
//! top[t] -> middle[m] -> leaf: entries sorted by hash   (t, m: the upper bits of the name's hash)
//! ```
//!
//! A copy shares everything; a change copies the one leaf it touches and the two short arrays above it, for a zone of a
//! million names some 500 pointers. A lookup reads two hot pointers, one leaf and one block. Besides its block an entry
//! knows how many names stand right below it and whether it cuts the zone, so a search from the apex down reads few blocks.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::wire::hash::hash_name;

use crate::wire::name::NameRef;
use crate::wire::rtype::Rtype;

use super::owner::{Block, Owner};
use super::prefetch::fetch;

mod marks;

pub(super) use marks::{Mark, Marks};

/// Entries per leaf when a table is laid out.
const LEAF: usize = 8;
/// Entries per leaf, on average, at which the table is laid out anew.
const CROWDED: usize = 8 * LEAF;
/// Entries that no leaf comes to have by chance: hashes were made to agree, and the names would be searched one by one.
pub(super) const MAX_LEAF: usize = 16 * CROWDED;

/// An owner in the table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    hash: u32,
    /// The upper 24 bits count the names one label below (stuck at the maximum once there); the lower bits are flags.
    meta: u32,
    pub(super) block: Block,
}

const FLAG_NS: u32 = 1;
const FLAG_DNAME: u32 = 2;
const FLAGS: u32 = 0xff;
const CHILD: u32 = FLAGS + 1;

impl Entry {
    pub(super) fn new(hash: u64, block: Block) -> Entry {
        Entry { hash: hash as u32, meta: flags_of(&block), block }
    }

    pub(super) fn owner(&self) -> Owner<'_> {
        Owner::new(&self.block)
    }

    /// Whether there is an NS RRset.
    pub(super) fn has_ns(&self) -> bool {
        self.meta & FLAG_NS != 0
    }

    /// Whether there is a DNAME.
    pub(super) fn has_dname(&self) -> bool {
        self.meta & FLAG_DNAME != 0
    }

    /// Whether names exist below this one.
    pub(super) fn has_children(&self) -> bool {
        self.meta >= CHILD
    }

    /// The entry of the same name in a leaf of another table of the same shape.
    fn like<'l>(&self, leaf: &'l Leaf) -> Option<&'l Entry> {
        let mut same = leaf.iter().filter(|other| other.hash == self.hash);
        same.find(|other| {
            Arc::ptr_eq(&other.block, &self.block) || other.owner().name() == self.owner().name()
        })
    }

    pub(super) fn add_child(&mut self) {
        self.add_children(1);
    }

    pub(super) fn add_children(&mut self, count: usize) {
        let most = u32::MAX / CHILD;
        let children = u32::try_from(count).unwrap_or(most).saturating_add(self.meta / CHILD).min(most);
        self.meta = (children * CHILD) | (self.meta & FLAGS);
    }

    pub(super) fn remove_child(&mut self) {
        // A count that once reached its maximum is no longer exact and stays: a needless empty non-terminal at worst.
        if self.has_children() && self.meta / CHILD < u32::MAX / CHILD {
            self.meta -= CHILD;
        }
    }

    pub(super) fn set_block(&mut self, block: Block) {
        self.meta = (self.meta & !FLAGS) | flags_of(&block);
        self.block = block;
    }
}

fn flags_of(block: &Block) -> u32 {
    Owner::new(block).rrsets().fold(0, |flags, set| match set.rtype {
        Rtype::NS => flags | FLAG_NS,
        Rtype::DNAME => flags | FLAG_DNAME,
        _ => flags,
    })
}

type Leaf = Arc<[Entry]>;
type Middle = Arc<[Leaf]>;

/// A place in the order of a table's entries, to go on from later. It means nothing in another table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    leaf: usize,
    entry: usize,
}

impl Place {
    /// Moves on behind the entry that stands here.
    pub fn pass(&mut self) {
        self.entry += 1;
    }
}

/// The table; `clone` is cheap and shares.
#[derive(Clone, Debug)]
pub(super) struct Table {
    top: Arc<[Middle]>,
    top_bits: u32,
    middle_bits: u32,
    len: usize,
}

impl Table {
    /// Lays out a table for these entries, which ascend by the hashes of their names; names must differ.
    pub(super) fn build(entries: Vec<(u64, Entry)>) -> Table {
        let names = entries.len();
        Table::lay_out(entries, names)
    }

    /// The same, with room for so many names in all.
    fn lay_out(entries: Vec<(u64, Entry)>, names: usize) -> Table {
        let len = entries.len();
        let bits = (names / LEAF).next_power_of_two().trailing_zeros();
        let middle_bits = bits / 2;
        let top_bits = bits - middle_bits;
        let mut entries = entries.into_iter().peekable();
        let mut inside: Vec<Entry> = Vec::new();
        let mut leaf = |index: u64| -> Leaf {
            while let Some((_, entry)) = entries.next_if(|&(hash, _)| leaf_index(hash, bits) == index) {
                inside.push(entry);
            }
            inside.sort_unstable_by_key(|entry| entry.hash);
            inside.drain(..).collect()
        };
        let mut middle =
            |t: u64| -> Middle { (0..1 << middle_bits).map(|m| leaf((t << middle_bits) | m)).collect() };
        Table { top: (0..1 << top_bits).map(&mut middle).collect(), top_bits, middle_bits, len }
    }

    /// How many names, empty non-terminals included.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, hash: u64, name: &NameRef) -> Option<&Entry> {
        self.find(hash, |found| found == name)
    }

    /// The entry with this hash whose name is the one meant.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_meant: impl Fn(&NameRef) -> bool) -> Option<&Entry> {
        let (top, middle) = self.place(hash);
        let leaf = &self.top[top][middle];
        // Leaves are short: going through one is faster than to search in it.
        leaf.iter().find(|entry| entry.hash == hash as u32 && is_meant(entry.owner().name()))
    }

    /// Has the way to the leaf that a name with this hash would be in brought near, to be gone later.
    #[inline]
    pub(super) fn fetch_way(&self, hash: u64) {
        let (top, middle) = self.place(hash);
        fetch((&raw const self.top[top][middle]).cast());
    }

    /// Has the leaf that a name with this hash would be in brought near, to be looked into later.
    #[inline]
    pub(super) fn fetch_leaf(&self, hash: u64) {
        let (top, middle) = self.place(hash);
        fetch_entries(&self.top[top][middle]);
    }

    /// The first entry with this hash, whose block is brought near; its leaf should be near already.
    #[inline]
    pub(super) fn fetch_block(&self, hash: u64) -> Option<&Entry> {
        let (top, middle) = self.place(hash);
        let entry = self.top[top][middle].iter().find(|entry| entry.hash == hash as u32)?;
        let lines = entry.block.as_ptr();
        fetch(lines);
        fetch(lines.wrapping_add(LINE));
        Some(entry)
    }

    /// The entry, unshared so that it can be changed.
    pub(super) fn get_mut(&mut self, hash: u64, name: &NameRef) -> Option<&mut Entry> {
        let (top, middle) = self.place(hash);
        let is_meant = |entry: &Entry| entry.hash == hash as u32 && entry.owner().name() == name;
        let at = self.top[top][middle].iter().position(is_meant)?;
        Arc::make_mut(self.leaf_mut(hash)).get_mut(at)
    }

    /// Whether the leaf that a name with this hash is in has more entries than come about by chance.
    pub(super) fn is_crowded(&self, hash: u64) -> bool {
        let (top, middle) = self.place(hash);
        self.top[top][middle].len() > MAX_LEAF
    }

    /// An owner in such a leaf.
    pub(super) fn crowded(&self) -> Option<Owner<'_>> {
        let mut leaves = self.top.iter().flat_map(|middle| middle.iter());
        leaves.find(|leaf| leaf.len() > MAX_LEAF).map(|leaf| leaf[0].owner())
    }

    /// Adds a name that is not in the table.
    pub(super) fn insert(&mut self, hash: u64, block: Block) {
        let entry = Entry::new(hash, block);
        let leaf = self.leaf_mut(hash);
        let at = position(leaf, hash);
        *leaf = leaf[..at].iter().cloned().chain([entry]).chain(leaf[at..].iter().cloned()).collect();
        self.len += 1;
        self.make_room(0);
    }

    /// Lays the table out anew where so many names more would be too many for it. Those that come in the order of their hashes fill one
    /// leaf after the other, and would crowd the first ones long before the table as a whole is full.
    pub(super) fn make_room(&mut self, more: usize) {
        let names = self.len + more;
        if names > CROWDED << (self.top_bits + self.middle_bits) {
            let mut all: Vec<(u64, Entry)> =
                self.iter().map(|entry| (hash_name(entry.owner().name()), entry.clone())).collect();
            all.sort_unstable_by_key(|&(hash, _)| hash);
            *self = Table::lay_out(all, names);
        }
    }

    /// Takes a name out; it must be in the table.
    pub(super) fn remove(&mut self, hash: u64, name: &NameRef) {
        let leaf = self.leaf_mut(hash);
        let before = leaf.len();
        *leaf = leaf
            .iter()
            .filter(|entry| entry.hash != hash as u32 || entry.owner().name() != name)
            .cloned()
            .collect();
        self.len -= before - leaf.len();
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.top.iter().flat_map(|middle| middle.iter()).flat_map(|leaf| leaf.iter())
    }

    /// The entry at a place, or else the first one behind it, to which the place moves; `None` at the end.
    pub(super) fn entry_at(&self, place: &mut Place) -> Option<&Entry> {
        loop {
            let leaf = self.leaf(place.leaf)?;
            if place.entry == 0 {
                // Whoever goes through a table waits for memory at every block: the next ones come meanwhile.
                let next = self.leaf(place.leaf + 1).into_iter().flat_map(|leaf| leaf.iter());
                next.for_each(|entry| fetch(entry.block.as_ptr()));
                self.leaf(place.leaf + 2).into_iter().for_each(fetch_entries);
            }
            if let Some(entry) = leaf.get(place.entry) {
                return Some(entry);
            }
            *place = Place { leaf: place.leaf + 1, entry: 0 };
        }
    }

    /// The leaf with this number.
    fn leaf(&self, number: usize) -> Option<&Leaf> {
        let middle = self.top.get(number >> self.middle_bits)?;
        middle.get(number & ((1 << self.middle_bits) - 1))
    }

    /// Calls `each` for every name that the two have not the same block for, with what `self` and what `other` has of it, until it
    /// breaks. Leaves that the two share are not looked at.
    pub(super) fn differing<'t>(
        &'t self,
        other: &'t Table,
        each: &mut impl FnMut(Option<&'t Entry>, Option<&'t Entry>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        if (self.top_bits, self.middle_bits) != (other.top_bits, other.middle_bits) {
            return differing(
                (self.iter(), |entry| self.like(entry)),
                (other.iter(), |entry| other.like(entry)),
                each,
            );
        }
        let is_unshared = |(mine, theirs): &(&'t Leaf, &'t Leaf)| !Arc::ptr_eq(mine, theirs);
        let middles = self.top.iter().zip(other.top.iter());
        let unshared = middles.filter(|(mine, theirs)| !Arc::ptr_eq(mine, theirs));
        let leaves = unshared.flat_map(|(mine, theirs)| mine.iter().zip(theirs.iter()));
        let mut leaves = leaves.filter(is_unshared).peekable();
        while let Some((mine, theirs)) = leaves.next() {
            // What the next two have not in common comes near meanwhile.
            let next = leaves.peek().into_iter().flat_map(|(mine, theirs)| mine.iter().zip(theirs.iter()));
            for (mine, theirs) in next.filter(|(mine, theirs)| !Arc::ptr_eq(&mine.block, &theirs.block)) {
                fetch(mine.block.as_ptr());
                fetch(theirs.block.as_ptr());
            }
            differing(
                (mine.iter(), |entry| entry.like(mine)),
                (theirs.iter(), |entry| entry.like(theirs)),
                each,
            )?;
        }
        ControlFlow::Continue(())
    }

    /// The entry of the same name, which another table's has.
    fn like(&self, entry: &Entry) -> Option<&Entry> {
        let name = entry.owner().name();
        self.get(hash_name(name), name)
    }

    fn place(&self, hash: u64) -> (usize, usize) {
        let index = leaf_index(hash, self.top_bits + self.middle_bits);
        ((index >> self.middle_bits) as usize, (index & ((1 << self.middle_bits) - 1)) as usize)
    }

    fn leaf_mut(&mut self, hash: u64) -> &mut Leaf {
        let (top, middle) = self.place(hash);
        &mut Arc::make_mut(&mut Arc::make_mut(&mut self.top)[top])[middle]
    }
}

/// See [`Table::differing`]; of either side, its entries and how to find the one of the same name.
fn differing<'t>(
    mine: (impl Iterator<Item = &'t Entry>, impl Fn(&Entry) -> Option<&'t Entry>),
    theirs: (impl Iterator<Item = &'t Entry>, impl Fn(&Entry) -> Option<&'t Entry>),
    each: &mut impl FnMut(Option<&'t Entry>, Option<&'t Entry>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for entry in mine.0 {
        match theirs.1(entry) {
            Some(same) if same.block == entry.block => {}
            found => each(Some(entry), found)?,
        }
    }
    let mut gone = theirs.0.filter(|entry| mine.1(entry).is_none());
    gone.try_for_each(|entry| each(None, Some(entry)))
}

/// Bytes per line of the processor's cache.
const LINE: usize = 64;

/// Has the entries of a leaf brought near.
#[inline]
fn fetch_entries(leaf: &Leaf) {
    let lines = leaf.as_ptr().cast::<u8>();
    fetch(lines);
    fetch(lines.wrapping_add(LINE));
}

/// The upper `bits` of the hash.
fn leaf_index(hash: u64, bits: u32) -> u64 {
    hash.checked_shr(64 - bits).unwrap_or(0)
}

/// Where the entries with this hash begin, or would.
fn position(leaf: &[Entry], hash: u64) -> usize {
    leaf.partition_point(|entry| entry.hash < hash as u32)
}

#[cfg(test)]
mod tests {
    use super::super::owner::Draft;
    use super::*;
    use crate::wire::name::Name;

    fn block(number: usize) -> (u64, Name, Block) {
        let name: Name = format!("n{number}.example.").parse().unwrap();
        let block = Draft::default().block(&name);
        (hash_name(&name), name, block)
    }

    #[test]
    fn grows_and_shrinks() {
        let mut table = Table::build(Vec::new());
        for number in 0..2_000 {
            let (hash, _, block) = block(number);
            table.insert(hash, block);
        }
        assert_eq!((table.len(), table.iter().count()), (2_000, 2_000));
        for number in 0..2_000 {
            let (hash, name, _) = block(number);
            assert_eq!(table.get(hash, &name).unwrap().owner().name(), &*name);
            if number % 2 == 0 {
                table.remove(hash, &name);
                assert!(table.get(hash, &name).is_none());
            }
        }
        assert_eq!(table.len(), 1_000);
    }

    #[test]
    fn a_walk_goes_on_where_it_stopped() {
        let mut entries: Vec<(u64, Entry)> =
            (0..1_000).map(block).map(|(hash, _, block)| (hash, Entry::new(hash, block))).collect();
        entries.sort_by_key(|&(hash, _)| hash);
        for table in [Table::build(entries), Table::build(Vec::new())] {
            let mut place = Place::default();
            let mut met = Vec::new();
            while let Some(entry) = table.entry_at(&mut place) {
                let mut again = place;
                assert!(
                    table.entry_at(&mut again).is_some_and(|same| Arc::ptr_eq(&same.block, &entry.block))
                );
                met.push(Arc::as_ptr(&entry.block));
                place.pass();
            }
            assert!(met.into_iter().eq(table.iter().map(|entry| Arc::as_ptr(&entry.block))));
        }
    }

    #[test]
    fn a_change_leaves_the_copy_alone_and_shares_the_rest() {
        let mut entries: Vec<(u64, Entry)> =
            (0..10_000).map(block).map(|(hash, _, block)| (hash, Entry::new(hash, block))).collect();
        entries.sort_by_key(|&(hash, _)| hash);
        let old = Table::build(entries);
        let mut new = old.clone();
        let (hash, name, _) = block(77);
        new.get_mut(hash, &name).unwrap().add_child();
        assert!(!old.get(hash, &name).unwrap().has_children());
        let leaves = |table: &'_ Table| {
            let leaves = table.top.iter().flat_map(|middle| middle.iter());
            leaves.map(|leaf| Arc::as_ptr(leaf).cast::<Entry>()).collect::<Vec<_>>()
        };
        let copied = leaves(&old).iter().zip(leaves(&new)).filter(|(old, new)| *old != new).count();
        assert_eq!(copied, 1, "leaves");
    }
}
