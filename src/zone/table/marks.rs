//! What was met of a table's entries while another content is compared with it.

use crate::wire::name::NameRef;

use super::super::prefetch::fetch;
use super::{Entry, Table, position};

/// What became of an entry of a table that another content is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::zone) enum Mark {
    Unseen,
    /// The other has the same block.
    Shared,
    Changed,
}

/// The mark of each entry of a table.
#[derive(Debug)]
pub(in crate::zone) struct Marks {
    /// The place of the first entry of each leaf when all entries are counted through.
    first: Vec<u32>,
    marks: Vec<Mark>,
}

impl Marks {
    /// Nothing was seen of the table.
    pub(in crate::zone) fn new(table: &Table) -> Marks {
        let mut count = 0;
        let leaves = table.top.iter().flat_map(|middle| middle.iter());
        let first = leaves.map(|leaf| {
            let first = count;
            count += leaf.len() as u32;
            first
        });
        Marks { first: first.collect(), marks: vec![Mark::Unseen; table.len()] }
    }

    /// Has what is looked at to find a name with this hash brought near.
    #[inline]
    pub(in crate::zone) fn fetch(&self, table: &Table, hash: u64) {
        let (top, middle) = table.place(hash);
        fetch((&raw const self.first[(top << table.middle_bits) | middle]).cast());
    }

    /// The entry of a name and its place. The table must be the one these are marks of.
    pub(in crate::zone) fn find<'t>(
        &self,
        table: &'t Table,
        hash: u64,
        name: &NameRef,
    ) -> Option<(usize, &'t Entry)> {
        let (top, middle) = table.place(hash);
        let leaf = &table.top[top][middle];
        let from = position(leaf, hash);
        let mut same = leaf[from..].iter().take_while(|entry| entry.hash == hash as u32);
        let at = from + same.position(|entry| entry.owner().name() == name)?;
        let first = self.first[(top << table.middle_bits) | middle];
        Some((first as usize + at, &leaf[at]))
    }

    /// The mark at a place.
    pub(in crate::zone) fn mark(&self, place: usize) -> Mark {
        self.marks[place]
    }

    /// Puts another mark at a place.
    pub(in crate::zone) fn set(&mut self, place: usize, mark: Mark) {
        self.marks[place] = mark;
    }

    /// How many entries have this mark.
    pub(in crate::zone) fn count(&self, mark: Mark) -> usize {
        self.marks.iter().filter(|one| **one == mark).count()
    }

    /// The entries with this mark.
    pub(in crate::zone) fn entries<'t>(
        &self,
        table: &'t Table,
        mark: Mark,
    ) -> impl Iterator<Item = &'t Entry> {
        table.iter().zip(&self.marks).filter(move |(_, one)| **one == mark).map(|(entry, _)| entry)
    }
}
