//! Records in one piece of memory, one behind the other: what a delta holds, and what a journal keeps of it.
//!
//! ```text
//! record: owner in wire form | type u16 | TTL u32 | length of RDATA u16 | RDATA     numbers are little-endian
//! ```
//!
//! A change of a large part of a large zone has millions of them. Each by itself would take several times the memory, and longer to
//! give it back than to make the change.

use std::borrow::Borrow;
use std::fmt;

use crate::wire::message::{Record, RecordRef};
use crate::wire::name::NameRef;
use crate::wire::rdata;
use crate::wire::rtype::{CLASS_IN, Rtype};

/// Records of class IN in the order they came in.
#[derive(Clone, Default)]
pub struct Records {
    bytes: Vec<u8>,
    len: usize,
}

impl Records {
    /// Takes a record. Data longer than RDATA can be is no record.
    pub fn push(&mut self, owner: &NameRef, rtype: Rtype, ttl: u32, rdata: &[u8]) {
        if rdata.len() <= usize::from(u16::MAX) {
            write(&mut self.bytes, owner, rtype, ttl, rdata);
            self.len += 1;
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first one.
    pub fn first(&self) -> Option<RecordRef<'_>> {
        self.iter().next()
    }

    /// All of them, in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.bytes }
    }

    /// All of them, as this module's text has them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Those behind the first `at` bytes, which are whole records; each with how many bytes there are up to its end.
    pub fn iter_from(&self, at: usize) -> impl Iterator<Item = (usize, RecordRef<'_>)> {
        let mut iter = Iter { rest: self.bytes.get(at..).unwrap_or_default() };
        let all = self.bytes.len();
        std::iter::from_fn(move || iter.next().map(|record| (all - iter.rest.len(), record)))
    }

    /// Gives back memory for records that did not come.
    pub fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Records) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl Eq for Records {}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<R: Borrow<Record>> Extend<R> for Records {
    fn extend<I: IntoIterator<Item = R>>(&mut self, records: I) {
        for record in records {
            let Record { owner, rtype, ttl, rdata } = record.borrow();
            self.push(owner, *rtype, *ttl, rdata);
        }
    }
}

impl<R: Borrow<Record>> FromIterator<R> for Records {
    fn from_iter<I: IntoIterator<Item = R>>(all: I) -> Records {
        let mut records = Records::default();
        records.extend(all);
        records
    }
}

/// Goes through [`Records`].
#[derive(Clone, Debug)]
pub struct Iter<'r> {
    rest: &'r [u8],
}

impl<'r> Iterator for Iter<'r> {
    type Item = RecordRef<'r>;

    fn next(&mut self) -> Option<RecordRef<'r>> {
        let owner = NameRef::read_trusted(self.rest);
        behind_owner(owner, &mut self.rest)
    }
}

/// Appends a record to others.
pub fn write(out: &mut Vec<u8>, owner: &NameRef, rtype: Rtype, ttl: u32, rdata: &[u8]) {
    out.extend_from_slice(owner.as_wire());
    out.extend_from_slice(&rtype.0.to_le_bytes());
    out.extend_from_slice(&ttl.to_le_bytes());
    out.extend_from_slice(&(rdata.len() as u16).to_le_bytes());
    out.extend_from_slice(rdata);
}

/// Takes a record from the start of bytes that come from elsewhere; `None` where there is none.
pub fn read<'r>(rest: &mut &'r [u8]) -> Option<RecordRef<'r>> {
    let owner = NameRef::read(rest).ok()?;
    behind_owner(owner, rest).filter(|record| rdata::check(record.rtype, record.rdata).is_ok())
}

fn behind_owner<'r>(owner: &'r NameRef, rest: &mut &'r [u8]) -> Option<RecordRef<'r>> {
    let behind = rest.get(owner.as_wire().len()..)?;
    let (&[r0, r1, t0, t1, t2, t3, l0, l1], behind) = behind.split_first_chunk()?;
    let (rdata, behind) = behind.split_at_checked(usize::from(u16::from_le_bytes([l0, l1])))?;
    *rest = behind;
    let (rtype, ttl) = (Rtype(u16::from_le_bytes([r0, r1])), u32::from_le_bytes([t0, t1, t2, t3]));
    Some(RecordRef { owner, rtype, class: CLASS_IN, ttl, rdata })
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn records_are_there_as_they_came() {
        let all = fixture::records("example.", 7, [(1, [192, 0, 2, 1]), (2, [192, 0, 2, 2])]);
        let records: Records = all.iter().collect();
        assert_eq!(
            (records.len(), records.first().and_then(|record| record.owned())),
            (4, Some(all[0].clone()))
        );
        assert!(records.iter().map(|record| record.owned().unwrap()).eq(all.iter().cloned()));
        let mut at = 0;
        for (number, record) in all.iter().enumerate() {
            let (next, found) = records.iter_from(at).next().unwrap();
            assert_eq!((found.owned().as_ref(), records.iter_from(at).count()), (Some(record), 4 - number));
            at = next;
        }
        assert_eq!((at, records.iter_from(at).count()), (records.as_bytes().len(), 0));
        let mut rest = records.as_bytes();
        assert!(std::iter::from_fn(|| read(&mut rest)?.owned()).eq(all) && rest.is_empty());
    }

    #[test]
    fn what_is_cut_or_wrong_is_no_record() {
        let all = fixture::records("example.", 7, [(1, [192, 0, 2, 1])]);
        let records: Records = all[2..].iter().collect();
        for end in 0..records.as_bytes().len() {
            assert!(read(&mut &records.as_bytes()[..end]).is_none(), "{end} bytes");
        }
        let mut wrong = Vec::new();
        write(&mut wrong, &all[2].owner, Rtype::A, 60, &[1; 3]);
        assert!(read(&mut &wrong[..]).is_none());
        let mut long = Records::default();
        long.push(&all[2].owner, Rtype::TXT, 60, &[0; 65_536]);
        assert!(long.is_empty());
    }

    #[test]
    fn names_are_compared_without_case() {
        let all = fixture::records("example.", 7, [(1, [192, 0, 2, 1])]);
        let mut capitals = all.clone();
        capitals[2].owner = "H1.EXAMPLE.".parse().unwrap();
        let other = |ttl| Record { ttl, ..capitals[2].clone() };
        let records = |of: &Record| std::iter::once(of).collect::<Records>();
        assert_eq!(records(&all[2]), records(&other(all[2].ttl)));
        assert_ne!(records(&all[2]), records(&other(all[2].ttl + 1)));
    }
}
