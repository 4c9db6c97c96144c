//! Hashed owner names (RFC 5155 section 5).

use sha1::block_api::compress;
use sha1::{Digest as _, Sha1};

use crate::wire::name::{MAX_NAME, NameRef};
use crate::wire::rtype::Rtype;

use super::owner::{Owner, Rrset};

/// SHA-1, the only hash algorithm there is (RFC 5155 section 11).
const SHA_1: u8 = 1;
/// How long a hash is.
const HASH: usize = 20;
/// The bytes that SHA-1 works on at a time.
const BLOCK: usize = 64;
/// What follows the message in its last block at least: a bit, and the length.
const END: usize = 9;
/// What SHA-1 begins with (FIPS 180-4 5.3.1).
const INITIAL: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
/// How long a hash is as a label.
pub(super) const LABEL: usize = 32;
/// The most additional iterations that are computed for an answer: what RFC 5155 10.3 allowed for the longest keys. BIND and Knot
/// serve such zones too, though RFC 9276 3.1 wants none and validators take zones with more than 50 to 150 for unsigned. An
/// answer takes three hashes, so the bound is about a millisecond of work for one question. A zone beyond it is answered with
/// signatures but without proofs.
pub const MAX_ITERATIONS: u16 = 2_500;

/// Parameters of one chain of NSEC3 records (RFC 5155 section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params {
    iterations: u16,
    salt: Box<[u8]>,
}

impl Params {
    /// The chain that an apex's NSEC3PARAM announces: the first one that is complete (flags zero, RFC 5155 4.1.2) and whose
    /// hashes are known and not too costly here.
    pub(super) fn of(apex: Owner<'_>) -> Option<Params> {
        let set = apex.rrset(Rtype::NSEC3PARAM)?;
        let params = set.rdatas().filter(|data| data.get(1) == Some(&0)).find_map(Params::read)?;
        Some(params)
    }

    fn read(data: &[u8]) -> Option<Params> {
        let (&[algorithm, _, high, low, length], rest) = data.split_first_chunk()?;
        let iterations = u16::from_be_bytes([high, low]);
        let salt = rest.get(..usize::from(length))?.into();
        (algorithm == SHA_1 && iterations <= MAX_ITERATIONS).then_some(Params { iterations, salt })
    }

    /// Whether this NSEC3 RRset is of the chain with these parameters, and named by a hash.
    pub(super) fn made(&self, owner: Owner<'_>, set: Rrset<'_>) -> bool {
        owner.name().as_wire().first() == Some(&(LABEL as u8))
            && Params::read(set.first()).as_ref() == Some(self)
    }

    /// The name that owns the NSEC3 record of `name` in the zone `apex`; `None` when it would be too long.
    pub(super) fn owner(&self, name: &NameRef, apex: &NameRef) -> Option<Hashed> {
        let apex = apex.as_wire();
        let length = 1 + LABEL + apex.len();
        if length > MAX_NAME {
            return None;
        }
        let mut hashed = Hashed { wire: [0; MAX_NAME], length: length as u8 };
        hashed.wire[0] = LABEL as u8;
        write_label(&self.hash(name), &mut hashed.wire[1..=LABEL]);
        hashed.wire[1 + LABEL..length].copy_from_slice(apex);
        Some(hashed)
    }

    /// RFC 5155 section 5: the hash of the name in canonical form with the salt, hashed again as often as told.
    fn hash(&self, name: &NameRef) -> [u8; HASH] {
        let mut folded = [0; MAX_NAME];
        let folded = &mut folded[..name.as_wire().len()];
        folded.copy_from_slice(name.as_wire());
        folded.make_ascii_lowercase();
        let mut hash = digest(folded, &self.salt);
        for _ in 0..self.iterations {
            hash = digest(&hash, &self.salt);
        }
        hash
    }
}

/// The name that owns the NSEC3 record of `name` in the zone `apex` with these parameters.
#[cfg(test)]
pub(crate) fn hashed(
    name: &NameRef,
    apex: &NameRef,
    iterations: u16,
    salt: &[u8],
) -> crate::wire::name::Name {
    let hashed = Params { iterations, salt: salt.into() }.owner(name, apex);
    hashed.map_or_else(crate::wire::name::Name::root, |hashed| hashed.name().to_name())
}

/// SHA-1 of these bytes and the salt. Most names fit with their salt into one block (FIPS 180-4 5.1.1), which then is all there is
/// to do.
fn digest(bytes: &[u8], salt: &[u8]) -> [u8; HASH] {
    let length = bytes.len() + salt.len();
    let mut block = [0; BLOCK];
    if length > BLOCK - END {
        return Sha1::new().chain_update(bytes).chain_update(salt).finalize().into();
    }
    block[..bytes.len()].copy_from_slice(bytes);
    block[bytes.len()..length].copy_from_slice(salt);
    block[length] = 0x80;
    block[BLOCK - 8..].copy_from_slice(&(8 * length as u64).to_be_bytes());
    let mut state = INITIAL;
    compress(&mut state, &[block]);
    let mut hash = [0; HASH];
    for (bytes, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    hash
}

/// A hashed owner name, without an allocation.
pub(super) struct Hashed {
    wire: [u8; MAX_NAME],
    length: u8,
}

impl Hashed {
    pub(super) fn name(&self) -> &NameRef {
        NameRef::read_trusted(&self.wire[..usize::from(self.length)])
    }
}

/// Base 32 with the extended hex alphabet, in lower case: sorts as the hash does (RFC 5155 section 1.3).
fn write_label(hash: &[u8; HASH], label: &mut [u8]) {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    for (five, eight) in hash.as_chunks::<5>().0.iter().zip(label.as_chunks_mut::<8>().0) {
        let bits = five.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        for (at, digit) in eight.iter_mut().enumerate() {
            *digit = DIGITS[(bits >> (35 - 5 * at)) as usize & 31];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::name::Name;

    /// RFC 5155 appendix A.
    #[test]
    fn hashes_of_the_rfc() {
        let params = Params { iterations: 12, salt: [0xaa, 0xbb, 0xcc, 0xdd].into() };
        let apex: Name = "example.".parse().unwrap();
        let hashed =
            |name: &str| params.owner(&name.parse::<Name>().unwrap(), &apex).unwrap().name().to_string();
        assert_eq!(hashed("example."), "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example.");
        assert_eq!(hashed("a.example."), "35mthgpgcu1qg68fab165klnsnk3dpvl.example.");
        assert_eq!(hashed("AI.Example."), "gjeqe526plbf1g8mklp59enfd789njgi.example.");
        assert_eq!(hashed("*.w.example."), "r53bq7cc2uvmubfu5ocmm6pers9tk9en.example.");
    }

    #[test]
    fn one_block_or_more_is_hashed_alike() {
        for length in 0..80 {
            for salt in [0, 1, 8] {
                let (bytes, salt) = (vec![0xa5; length], vec![0x3c; salt]);
                let whole: [u8; HASH] =
                    Sha1::new().chain_update(&bytes).chain_update(&salt).finalize().into();
                assert_eq!(digest(&bytes, &salt), whole, "{length}");
            }
        }
    }

    #[test]
    fn what_cannot_be_hashed_is_told() {
        assert!(Params::read(&[1, 0, 0, 0, 0]).is_some());
        assert!(Params::read(&[2, 0, 0, 0, 0]).is_none());
        assert!(Params::read(&[1, 0, 0xff, 0, 0]).is_none());
        assert!(Params::read(&[1, 0, 0, 0, 2, 1]).is_none());
        assert!(Params::read(&[1, 0, 0]).is_none());
        let label = "a".repeat(63);
        let apex: Name = format!("{label}.{label}.{label}.{}.", "b".repeat(40)).parse().unwrap();
        assert!(Params { iterations: 0, salt: [].into() }.owner(&apex, &apex).is_none());
    }
}
