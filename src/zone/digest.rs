//! A digest of a zone's content that changes in proportion to the change: the sum, modulo 2^256, of a hash of every
//! record (as range-based set reconciliation does it). Equal content has an equal digest, whatever way it came about, so two
//! servers that show one serial and two digests have diverged.
//!
//! A record is hashed in canonical form (RFC 4034 6.2) with its TTL. The SOA serial is taken as 0, so that the digest speaks of
//! content alone.

use std::borrow::Cow;
use std::fmt;

use crate::wire::name::NameRef;
use crate::wire::rdata;
use crate::wire::rtype::Rtype;

/// A multiset digest; the empty set's is zero.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Digest([u64; 4]);

impl Digest {
    /// The digest of one record.
    pub fn of(owner: &NameRef, rtype: Rtype, ttl: u32, data: &[u8]) -> Digest {
        let mut buffer = [0; 512];
        let name = owner.as_wire();
        let folded = &mut buffer[..name.len()];
        folded.copy_from_slice(name);
        folded.make_ascii_lowercase();
        // Names are all there is to fold, and most are written in small letters.
        let canonical = match data.iter().any(u8::is_ascii_uppercase) {
            true => rdata::canonical(rtype, data),
            false => Cow::Borrowed(data),
        };
        let mut at = name.len();
        for part in [&rtype.0.to_be_bytes()[..], &ttl.to_be_bytes(), &(canonical.len() as u32).to_be_bytes()]
        {
            buffer[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        // One short input is the common case, and hashing it in one piece is much the cheapest.
        if at + canonical.len() <= buffer.len() {
            buffer[at..at + canonical.len()].copy_from_slice(&canonical);
            let whole = &mut buffer[..at + canonical.len()];
            if rtype == Rtype::SOA {
                blank_serial(&mut whole[at..]);
            }
            return Digest::from_bytes(*blake3::hash(whole).as_bytes());
        }
        let mut hasher = blake3::Hasher::new();
        hasher.update(&buffer[..at]);
        if rtype == Rtype::SOA {
            let mut owned = canonical.into_owned();
            blank_serial(&mut owned);
            hasher.update(&owned);
        } else {
            hasher.update(&canonical);
        }
        Digest::from_bytes(*hasher.finalize().as_bytes())
    }

    /// Takes another digest in.
    pub fn add(&mut self, other: Digest) {
        let mut carry = false;
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            let (sum, first) = mine.overflowing_add(theirs);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*mine, carry) = (sum, first || second);
        }
    }

    /// Takes another digest out.
    pub fn remove(&mut self, other: Digest) {
        let mut borrow = false;
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            let (difference, first) = mine.overflowing_sub(theirs);
            let (difference, second) = difference.overflowing_sub(u64::from(borrow));
            (*mine, borrow) = (difference, first || second);
        }
    }

    /// 32 bytes, least significant first.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(self.0) {
            *chunk = word.to_le_bytes();
        }
        bytes
    }

    /// The reverse of [`Digest::to_bytes`].
    pub fn from_bytes(bytes: [u8; 32]) -> Digest {
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(bytes.as_chunks::<8>().0) {
            *word = u64::from_le_bytes(*chunk);
        }
        Digest(words)
    }
}

/// Zeroes the serial of canonical SOA data: the first of the five numbers at its end.
fn blank_serial(soa: &mut [u8]) {
    if let Some(at) = soa.len().checked_sub(20) {
        soa[at..at + 4].fill(0);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sums_do_not_depend_on_order(a: [u8; 32], b: [u8; 32]) {
            let (a, b) = (Digest::from_bytes(a), Digest::from_bytes(b));
            let (mut left, mut right) = (a, b);
            left.add(b);
            right.add(a);
            prop_assert_eq!(left, right);
            left.remove(b);
            prop_assert_eq!(left, a);
            right.remove(a);
            right.remove(b);
            prop_assert_eq!(right, Digest::default());
        }
    }
}
