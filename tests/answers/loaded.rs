//! A zone read back from the text that all servers load: RRsets, names, and the chain of NSEC or NSEC3.

use std::collections::{BTreeMap, BTreeSet};

use sha1::{Digest as _, Sha1};

use super::generate::Zone;
use super::name::Name;
use super::reply::{RRSIG, type_number};

/// Type and, for signatures, the type they are for.
pub type Kind = (u16, Option<u16>);

/// An RRset as it stands in the text.
pub struct Set {
    pub ttl: u32,
    pub data: Vec<String>,
}

/// One zone, as signed.
pub struct Loaded {
    pub apex: Name,
    /// By owner in lower case; what NSEC3 owns is in the chain only (RFC 5155 7.2.8).
    pub sets: BTreeMap<(Name, Kind), Set>,
    /// All names that exist, empty non-terminals too.
    pub nodes: BTreeSet<Name>,
    /// The owners of NSEC or NSEC3 and the next name or hash.
    pub chain: BTreeMap<Name, String>,
    /// Iterations and salt of NSEC3.
    pub hashing: Option<(u16, Vec<u8>)>,
}

impl Loaded {
    pub fn new(zone: &Zone) -> Loaded {
        let text = zone.signed.clone().unwrap_or_else(|| zone.text());
        let mut loaded = Loaded {
            apex: zone.apex.lower(),
            sets: BTreeMap::new(),
            nodes: BTreeSet::new(),
            chain: BTreeMap::new(),
            hashing: None,
        };
        for line in text.lines().filter(|line| !line.starts_with(';')) {
            let mut words = line.split_whitespace();
            let Some(owner) = words.next() else { continue };
            let ttl = words.next().unwrap().parse().unwrap();
            assert_eq!(words.next(), Some("IN"), "{line}");
            let rtype = type_number(words.next().unwrap());
            loaded.add(name(owner), rtype, ttl, &words.collect::<Vec<_>>());
        }
        loaded
    }

    fn add(&mut self, owner: Name, rtype: u16, ttl: u32, data: &[&str]) {
        let (nsec, nsec3) = (type_number("NSEC"), type_number("NSEC3"));
        let covered = (rtype == RRSIG).then(|| type_number(data[0]));
        if rtype == nsec {
            self.chain.insert(owner.clone(), name(data[0]).text());
        }
        if rtype == nsec3 {
            let salt = data[3].as_bytes().chunks_exact(2);
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
            self.hashing = Some((data[2].parse().unwrap(), salt.map(byte).collect()));
            self.chain.insert(owner, data[4].to_ascii_lowercase());
            return;
        }
        if covered == Some(nsec3) {
            return;
        }
        self.nodes.extend(owner.up().take_while(|name| name.is_in(&self.apex)));
        let set = self.sets.entry((owner, (rtype, covered))).or_insert_with(|| Set { ttl, data: Vec::new() });
        // Two spellings of a name are one (RFC 4343).
        let data = data.join(" ");
        if !set.data.iter().any(|other| other.eq_ignore_ascii_case(&data)) {
            set.data.push(data);
        }
    }

    pub fn get(&self, owner: &Name, rtype: &str) -> Option<&Set> {
        self.sets.get(&(owner.clone(), (type_number(rtype), None)))
    }

    /// What stands at a name.
    pub fn at<'l>(&'l self, owner: &Name) -> impl Iterator<Item = (Kind, &'l Set)> {
        let owner = owner.clone();
        let from = (owner.clone(), (0, None));
        self.sets
            .range(from..)
            .take_while(move |((name, _), _)| *name == owner)
            .map(|((_, kind), set)| (*kind, set))
    }

    /// The nearest name at or above this one that exists.
    pub fn encloser(&self, name: &Name) -> Name {
        name.up().find(|above| self.nodes.contains(above)).unwrap_or_else(|| self.apex.clone())
    }

    /// The owner of a name's NSEC3 record (RFC 5155 5).
    pub fn hashed(&self, name: &Name) -> Option<Name> {
        let (iterations, salt) = self.hashing.as_ref()?;
        let mut hash = name.wire();
        for _ in 0..=*iterations {
            hash.extend_from_slice(salt);
            hash = Sha1::digest(&hash).to_vec();
        }
        Some(self.apex.child(&base32hex(&hash)))
    }
}

/// From presentation form, in lower case.
pub fn name(text: &str) -> Name {
    let mut labels = vec![Vec::new()];
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'.' => labels.push(Vec::new()),
            b'\\' => {
                let first = bytes.next().unwrap();
                let escaped = if first.is_ascii_digit() {
                    let digits = [first, bytes.next().unwrap(), bytes.next().unwrap()];
                    std::str::from_utf8(&digits).unwrap().parse().unwrap()
                } else {
                    first
                };
                labels.last_mut().unwrap().push(escaped);
            }
            _ => labels.last_mut().unwrap().push(byte),
        }
    }
    labels.retain(|label| !label.is_empty());
    Name { labels }.lower()
}

/// Base 32 with the extended hex alphabet (RFC 4648 7), in lower case; a hash has no padding.
pub fn base32hex(bytes: &[u8]) -> Vec<u8> {
    let bit = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1;
    let digit = |at: usize| (0..5).fold(0, |sum, step| sum << 1 | bit(at + step));
    (0..bytes.len() * 8)
        .step_by(5)
        .map(|at| b"0123456789abcdefghijklmnopqrstuv"[usize::from(digit(at))])
        .collect()
}
