//! The zones and the queries, the same in every run.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::dns::{self, A, AAAA, DS, TXT};

/// Names in `flat.`.
const FLAT_NAMES: usize = 100_000;
/// Delegations in `example.`.
const DELEGATIONS: usize = 300_000;
/// The signed zones have one in so many of these names.
const SHARE: usize = 3;
/// Small zones.
const SMALL_ZONES: usize = 100_000;
/// Queries in each file; dnsperf begins again at its end.
const QUERIES: usize = 200_000;
/// The serial of the first version of `example.`: bytes that occur nowhere else in the zone.
pub(crate) const SERIAL: u32 = 2_026_112_101;
/// The record of `example.` that is edited.
pub(crate) const EDITED: &str = "edit-me.example.";

/// A zone of any number of records.
pub(crate) const SIZED: &str = "sized.";

/// One query.
pub(crate) type Query = (String, u16);

/// The generated content.
pub(crate) struct Content {
    /// Names in `flat.`, without the zone.
    flat: Vec<String>,
    /// Delegated labels of `example.`.
    delegations: Vec<String>,
    /// How many small zones there are.
    pub(crate) small_zones: usize,
}

impl Content {
    /// Generates names for zones of the full size, or smaller ones.
    pub(crate) fn new(scaled: impl Fn(usize) -> usize) -> Content {
        Content {
            flat: labels(1, scaled(FLAT_NAMES)),
            delegations: labels(2, scaled(DELEGATIONS)),
            small_zones: scaled(SMALL_ZONES),
        }
    }

    /// `flat.`: names with an A record, a quarter with AAAA.
    pub(crate) fn flat_zone(&self) -> String {
        flat("flat.", &self.flat)
    }

    /// A zone to be signed, shaped like `flat.` or like `example.`: smaller, as its signatures take their time to make.
    pub(crate) fn unsigned(&self, zone: &str, is_registry: bool) -> String {
        match is_registry {
            true => registry(zone, 0, &self.delegations[..self.delegations.len() / SHARE]),
            false => flat(zone, &self.flat[..self.flat.len() / SHARE]),
        }
    }

    /// What is asked of these zones.
    pub(crate) fn signed_queries(&self, zone: &str, kind: Kind) -> Vec<Query> {
        let mut random = Random(6);
        let (flat, delegations) = (&self.flat, &self.delegations);
        let mut one = |labels: &[String]| labels[random.below(labels.len() / SHARE)].clone();
        let mut query = || match kind {
            Kind::Positive => (format!("{}.{zone}", one(flat)), A),
            Kind::NoData => (format!("{}.{zone}", one(flat)), TXT),
            Kind::Referral => (format!("www.{}.{zone}", one(delegations)), A),
            Kind::NoDs => (format!("{}.{zone}", one(delegations)), DS),
            // Longer than any label that there is.
            Kind::NoName => (format!("{}{}.{zone}", one(flat), "0123456789"), A),
        };
        (0..QUERIES).map(|_| query()).collect()
    }

    /// `example.`, shaped like a registry's zone: two NS a delegation, a third of the delegations served by hosts of their
    /// own with glue, a third with DS. `version` counts the edits; each changes one record, and the serial.
    pub(crate) fn registry_zone(&self, version: u8) -> String {
        registry("example.", version, &self.delegations)
    }

    /// `sized.`: so many records, one of which each version changes.
    pub(crate) fn sized_zone(&self, records: usize, version: u8) -> String {
        let mut text = head(SIZED, SERIAL + u32::from(version));
        let mut random = Random(6);
        // Four stand there already: SOA, NS, its address, and the one that changes.
        for number in 0..records.saturating_sub(4) {
            let (high, mid, low) = (number >> 16, number >> 8 & 255, number & 255);
            let _ = writeln!(text, "{}{number} A 10.{high}.{mid}.{low}", random.label());
        }
        let [a, b, c, d] = edited_address(version);
        let _ = writeln!(text, "edit-me A {a}.{b}.{c}.{d}");
        text
    }

    /// How many records the two zones hold.
    pub(crate) fn records(&self) -> (usize, usize) {
        let count = |text: String| text.lines().filter(|line| !line.starts_with('$')).count();
        (count(self.flat_zone()), count(self.registry_zone(0)))
    }

    /// Queries for names in `flat.` and types that they have, one in five for AAAA.
    pub(crate) fn flat_queries(&self) -> Vec<Query> {
        let mut random = Random(4);
        (0..QUERIES)
            .map(|_| {
                let number = random.below(self.flat.len());
                let wants_aaaa = random.below(5) == 0;
                let number = if wants_aaaa { number / 4 * 4 } else { number };
                (format!("{}.flat.", self.flat[number]), if wants_aaaa { AAAA } else { A })
            })
            .collect()
    }

    /// A query for the address of each name in `flat.`
    pub(crate) fn flat_names(&self) -> Vec<Query> {
        self.flat.iter().map(|label| (format!("{label}.flat."), A)).collect()
    }

    /// 70 % referrals, 30 % names that do not exist.
    pub(crate) fn registry_queries(&self) -> Vec<Query> {
        let mut random = Random(5);
        let known: HashSet<&str> = self.delegations.iter().map(String::as_str).collect();
        (0..QUERIES)
            .map(|_| {
                if random.below(10) < 7 {
                    let label = &self.delegations[random.below(self.delegations.len())];
                    let prefix = if random.below(2) == 0 { "www." } else { "" };
                    return (format!("{prefix}{label}.example."), A);
                }
                let absent = loop {
                    let label = random.label();
                    if !known.contains(label.as_str()) {
                        break label;
                    }
                };
                (format!("{absent}.example."), A)
            })
            .collect()
    }

    /// The name of one small zone, with its final dot.
    pub(crate) fn small_zone(number: usize) -> String {
        format!("z{number:06}.test.")
    }

    /// Writes the small zones into `folder`, a file each.
    pub(crate) fn write_small_zones(&self, folder: &Path) {
        self.write_zones(folder, self.small_zones);
    }

    /// The same, of which there are so many.
    pub(crate) fn write_zones(&self, folder: &Path, count: usize) {
        fs::create_dir(folder).unwrap();
        for number in 0..count {
            let zone = Content::small_zone(number);
            let text = format!("{}www A 192.0.2.1\nwww AAAA 2001:db8::1\n", head(&zone, 1));
            fs::write(folder.join(format!("{zone}zone")), text).unwrap();
        }
    }
}

/// The kinds of answers of a signed zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An RRset and its signature.
    Positive,
    /// A name without records of the type.
    NoData,
    /// A name that is not there.
    NoName,
    /// A delegation with DS, or with the proof that there is none.
    Referral,
    /// DS at a delegation: a third has it, the others' absence is proved.
    NoDs,
}

/// Names with an A record, a quarter with AAAA.
fn flat(zone: &str, labels: &[String]) -> String {
    let mut text = head(zone, SERIAL);
    for (number, label) in labels.iter().enumerate() {
        let _ = writeln!(text, "{label} A 10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255);
        if has_aaaa(number) {
            let _ = writeln!(text, "{label} AAAA 2001:db8::{:x}:{:x}", number >> 16, number & 0xffff);
        }
    }
    text
}

/// See [`Content::registry_zone`].
fn registry(zone: &str, version: u8, delegations: &[String]) -> String {
    let mut text = head(zone, SERIAL + u32::from(version));
    let mut random = Random(3);
    for (number, label) in delegations.iter().enumerate() {
        if number == delegations.len() / 2 {
            let address = edited_address(version);
            let [a, b, c, d] = address;
            let _ = writeln!(text, "edit-me 60 A {a}.{b}.{c}.{d}");
        }
        if number % 3 == 0 {
            let (high, low) = (number >> 8 & 255, number & 255);
            let _ = writeln!(text, "{label} NS ns1.{label}\n{label} NS ns2.{label}");
            let _ = writeln!(text, "ns1.{label} A 10.1.{high}.{low}\nns2.{label} A 10.2.{high}.{low}");
        } else {
            let host = random.below(1_000);
            let _ = writeln!(text, "{label} NS ns1.host{host}.test.\n{label} NS ns2.host{host}.test.");
        }
        if number % 3 == 1 {
            let tag = random.below(65_536);
            let digest: [u64; 4] = std::array::from_fn(|_| random.next());
            let [a, b, c, d] = digest;
            let _ = writeln!(text, "{label} DS {tag} 13 2 {a:016x}{b:016x}{c:016x}{d:016x}");
        }
    }
    text
}

/// The address of the edited record in this version.
pub(crate) fn edited_address(version: u8) -> [u8; 4] {
    [198, 51, 100, 100 + version]
}

/// The query for the edited record.
pub(crate) fn edited_query(id: u16) -> Vec<u8> {
    dns::query(id, EDITED, A, false)
}

/// Writes queries as dnsperf reads them.
pub(crate) fn write_queries(file: &Path, queries: &[Query]) {
    let mut text = String::new();
    for (name, rtype) in queries {
        let rtype = match *rtype {
            A => "A",
            AAAA => "AAAA",
            TXT => "TXT",
            DS => "DS",
            other => panic!("type {other} has no name here"),
        };
        let _ = writeln!(text, "{name} {rtype}");
    }
    fs::write(file, text).unwrap();
}

/// SOA, NS and its address: three records. Nothing but an edit or a NOTIFY can explain a change, so long is the refresh.
fn head(zone: &str, serial: u32) -> String {
    format!(
        "$ORIGIN {zone}\n$TTL 3600\n@ SOA ns1 hostmaster {serial} 86400 7200 2419200 300\n@ NS ns1\nns1 A 192.0.2.1\n"
    )
}

fn has_aaaa(number: usize) -> bool {
    number.is_multiple_of(4)
}

/// So many different labels.
fn labels(seed: u64, count: usize) -> Vec<String> {
    let mut random = Random(seed);
    let mut known = HashSet::new();
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        let label = random.label();
        if known.insert(label.clone()) {
            all.push(label);
        }
    }
    all
}

/// splitmix64: small, fast, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Six to fifteen letters and digits, beginning with a letter, as most registered names are.
    fn label(&mut self) -> String {
        const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let length = 6 + self.below(10);
        (0..length).map(|at| char::from(LETTERS[self.below(if at == 0 { 26 } else { 36 })])).collect()
    }
}
