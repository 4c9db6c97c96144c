//! Zones with a bit of everything, drawn at random.
//!
//! Names are made of few labels, so that what one step of the generator adds often lies at, above or below what another has
//! added: that is where the corners are. What the four makes of servers would not load is left out (see [`Zone::add`]).

use std::collections::BTreeMap;
use std::fmt::Write;

use rand::RngExt;
use rand::rngs::StdRng;

use super::name::Name;
use super::rdata;

/// Names of zones that are served, parents before children. The generator delegates to children from some parents only.
pub const APEXES: &[&str] = &[
    "example.",
    "child.example.",
    "a.child.example.",
    "b.example.",
    "test.",
    "c.a.test.",
    "moved.test.",
    "x--y.",
    "a.x--y.",
    "org.",
    "a.a.org.",
];
/// The zone whose apex has a DNAME, and nothing below it.
const MOVED: &str = "moved.test.";

/// Labels of generated names: plain ones, mostly, and all that a label can be.
const PLAIN_LABELS: &[&[u8]] =
    &[b"a", b"b", b"c", b"www", b"mail", b"ns", b"_tcp", b"child", b"moved", b"X-y", b"*"];
const ODD_LABELS: &[&[u8]] = &[
    b"\0",
    b".",
    b"\\",
    b"\xff\xfe",
    b" ",
    b"\"",
    b"@",
    b"*a",
    b"**",
    b"$;()",
    b"ABCdefghijklmnopqrstuvwxyz-0123456789-abcdefghijklmnopqrstuvwxy",
];

const TTLS: &[u32] = &[0, 1, 60, 300, 3600, 86_400];

/// As many hosts are named by one RRset. Knot 3.2.6 hangs over some forty with addresses made from wildcards.
const MOST_TARGETS: usize = 16;

/// One zone: its name and its RRsets by owner and type.
#[derive(Clone, Debug)]
pub struct Zone {
    pub apex: Name,
    /// By owner in lower case and type: the owner as spelled, the TTL, and the data.
    pub sets: BTreeMap<(Name, String), Set>,
    /// Owners and types in other zones of the same world.
    elsewhere: Vec<(Name, String)>,
    plan: Plan,
    /// The text of the zone with signatures, when it has been signed.
    pub signed: Option<String>,
}

/// An RRset.
#[derive(Clone, Debug)]
pub struct Set {
    pub owner: Name,
    pub ttl: u32,
    pub rdata: Vec<String>,
}

/// What kind of zones is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// The root zone is among them, so that every name is in one.
    pub root: bool,
    /// Wildcards may own NS (RFC 4592 4.2), which BIND does not load.
    pub wildcard_cuts: bool,
}

/// RFC 1035 2.3.4.
const LONGEST_NAME: usize = 255;
/// So many records of fifty bytes are more than 1,232 bytes.
const LARGE: usize = 30;

/// How often the generator adds something to a zone.
const THINGS: usize = 60;

/// All zones of one world.
pub fn zones(random: &mut StdRng, plan: Plan) -> Vec<Zone> {
    let root = plan.root.then_some(".");
    let apexes: Vec<Name> = root.iter().chain(APEXES).map(|apex| Name::plain(apex)).collect();
    let mut zones: Vec<Zone> = Vec::new();
    for apex in &apexes {
        let others =
            apexes.iter().filter(|other| *other != apex).map(|other| (other.clone(), "SOA".to_owned()));
        let elsewhere = zones.iter().flat_map(|zone| zone.sets.keys().cloned()).chain(others).collect();
        let zone = Zone { apex: apex.clone(), sets: BTreeMap::new(), elsewhere, plan, signed: None };
        zones.push(Builder::zone(random, zone, &apexes));
    }
    zones
}

impl Zone {
    /// The types at a name, in lower case.
    pub fn types_at<'z>(&'z self, owner: &Name) -> impl Iterator<Item = &'z str> {
        let from = (owner.clone(), String::new());
        let owner = owner.clone();
        self.sets
            .range(from..)
            .take_while(move |((name, _), _)| *name == owner)
            .map(|((_, rtype), _)| &rtype[..])
    }

    /// Whether the owner, in lower case, has an RRset of this type.
    pub fn has(&self, owner: &Name, rtype: &str) -> bool {
        self.sets.contains_key(&(owner.clone(), rtype.to_owned()))
    }

    /// Adds a record, unless one of the servers would refuse the zone for it:
    /// CNAME beside other data (RFC 2181 10.1), a second CNAME or DNAME, data below a DNAME (RFC 6672 2.4), also where it is
    /// occluded, NS beside DNAME (RFC 6672 2.3) but at the apex, NS at a wildcard, and CDS at
    /// the apex without a DNSKEY. NSD
    /// minds data below a DNAME even where it is in another zone, above the one with the DNAME.
    fn add(&mut self, owner: &Name, rtype: &str, ttl: u32, data: String) -> bool {
        let lower = owner.lower();
        if !owner.is_legal() || !lower.is_in(&self.apex) {
            return false;
        }
        let here: Vec<String> = self.types_at(&lower).map(str::to_owned).collect();
        let has = |rtype: &str| here.iter().any(|other| other == rtype);
        let single = matches!(rtype, "CNAME" | "DNAME");
        let clash = has("CNAME")
            || rtype == "CNAME" && !here.is_empty()
            || single && has(rtype)
            || lower != self.apex && (rtype == "DNAME" && has("NS") || rtype == "NS" && has("DNAME"))
            || rtype == "CDS" && lower == self.apex
            || rtype == "NS"
                && !self.plan.wildcard_cuts
                && lower.labels.first().is_some_and(|label| label == b"*")
            || lower.up().skip(1).any(|above| self.has(&above, "DNAME"))
            || rtype == "DNAME" && self.sets.keys().any(|(other, _)| other.is_below(&lower))
            || self.elsewhere.iter().any(|(other, at)| {
                rtype == "DNAME" && (other.is_below(&lower) || at == "SOA" && *other == lower)
                    || at == "DNAME" && lower.is_below(other)
            })
            || lower.is_below(&Name::plain(MOVED));
        if clash {
            return false;
        }
        let set = self.sets.entry((lower, rtype.to_owned())).or_insert_with(|| Set {
            owner: owner.clone(),
            ttl,
            rdata: Vec::new(),
        });
        if !set.rdata.contains(&data) {
            set.rdata.push(data);
        }
        true
    }

    /// The first lines of the zone's file for a name, in lower case.
    pub fn lines_at(&self, owner: &Name) -> Vec<String> {
        let types: Vec<String> = self.types_at(owner).map(str::to_owned).collect();
        let sets = types.into_iter().map(|rtype| (self.sets[&(owner.clone(), rtype.clone())].clone(), rtype));
        sets.map(|(set, rtype)| {
            let shown = set.rdata.iter().take(4).map(|data| &data[..data.len().min(80)]).collect::<Vec<_>>();
            format!("{} {} {rtype} {}", set.owner.text(), set.ttl, shown.join(" | "))
        })
        .collect()
    }

    /// The master file without signatures.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // The SOA first, as RFC 1035 5.2 has it.
        let soa = |key: &&(Name, String)| key.1 == "SOA";
        for key in self.sets.keys().filter(soa).chain(self.sets.keys().filter(|key| !soa(key))) {
            let set = &self.sets[key];
            for data in &set.rdata {
                writeln!(text, "{} {} IN {} {data}", set.owner.text(), set.ttl, key.1).unwrap();
            }
        }
        text
    }
}

/// A name of so many bytes, or one less.
fn long(apex: &Name, length: usize) -> Name {
    let mut name = apex.clone();
    while name.len() < length - 1 {
        let room = (length - name.len() - 1).min(63);
        name = name.child(&vec![b'l'; room]);
    }
    name
}

struct Builder<'r> {
    random: &'r mut StdRng,
    zone: Zone,
    apexes: &'r [Name],
}

impl Builder<'_> {
    fn zone(random: &mut StdRng, zone: Zone, apexes: &[Name]) -> Zone {
        let mut builder = Builder { random, zone, apexes };
        builder.apex();
        builder.children();
        for _ in 0..THINGS {
            builder.thing();
        }
        builder.limits();
        builder.zone
    }

    /// What every zone has, as chance gives it to few: answers larger than a message, and names that a DNAME makes as long as a
    /// name can be, or longer.
    fn limits(&mut self) {
        let apex = self.zone.apex.clone();
        let wildcard = apex.child(b"big").child(b"*");
        for number in 0..LARGE {
            self.zone.add(&wildcard, "TXT", 60, format!("\"{number} {}\"", "x".repeat(40)));
        }
        let target = long(&apex, LONGEST_NAME - 2);
        self.zone.add(&apex.child(b"far"), "DNAME", 60, target.text());
    }

    /// SOA and NS; the servers of most zones have addresses in the zone, which BIND insists on, and nothing else is put there.
    fn apex(&mut self) {
        let apex = self.zone.apex.clone();
        let (ttl, minimum) = (self.ttl(), self.ttl());
        let soa = format!("ns1.example. h.example. 1 1800 900 604800 {minimum}");
        assert!(self.zone.add(&apex, "SOA", ttl, soa));
        let ns_ttl = self.ttl();
        if apex == Name::plain(MOVED) {
            self.zone.add(&apex, "NS", ns_ttl, "ns1.example.".to_owned());
            self.zone.add(&apex, "DNAME", 300, "a.example.".to_owned());
        } else {
            for label in [b"ns1", b"ns2"] {
                let server = apex.child(label);
                let ttl = self.ttl();
                self.zone.add(&server, "A", ttl, "127.0.0.1".to_owned());
                self.zone.add(&apex, "NS", ns_ttl, server.text());
            }
            if self.chance(0.5) && !self.zone.plan.root {
                self.zone.add(&apex, "NS", ns_ttl, "ns.nowhere.".to_owned());
            }
        }
        for _ in 0..3 {
            self.plain(&apex);
        }
    }

    /// Delegates to most of the other zones below this one.
    fn children(&mut self) {
        let apex = self.zone.apex.clone();
        let below: Vec<Name> = self.apexes.iter().filter(|other| other.is_below(&apex)).cloned().collect();
        for child in below {
            if self.chance(0.7) {
                self.delegation(&child);
            }
        }
    }

    fn thing(&mut self) {
        let owner = self.name();
        // What the zone's own servers are called is left alone.
        if owner.lower().labels.iter().any(|label| label == b"ns1" || label == b"ns2") {
            return;
        }
        match self.random.random_range(0..100) {
            0..40 => (0..self.random.random_range(1..4)).for_each(|_| self.plain(&owner)),
            40..55 => self.alias(&owner, "CNAME"),
            55..62 => self.alias(&owner, "DNAME"),
            62..70 => {
                let wildcard = owner.child(b"*");
                if self.chance(0.3) { self.alias(&wildcard, "CNAME") } else { self.plain(&wildcard) }
            }
            70..74 => self.large(&owner),
            74..76 => self.long_chain(&owner),
            76..80 if self.zone.plan.wildcard_cuts => self.delegation(&owner.child(b"*")),
            _ if self.zone.plan.wildcard_cuts || !owner.labels.contains(&b"*".to_vec()) => {
                self.delegation(&owner)
            }
            _ => self.plain(&owner),
        }
    }

    fn plain(&mut self, owner: &Name) {
        let (rtype, draw) = rdata::PLAIN[self.random.random_range(0..rdata::PLAIN.len())];
        let ttl = self.ttl();
        for _ in 0..self.random.random_range(1..4) {
            let to = self.target();
            let data = draw(self.random, &to);
            self.zone.add(owner, rtype, ttl, data);
        }
    }

    fn alias(&mut self, owner: &Name, rtype: &str) {
        let (ttl, target) = (self.ttl(), self.target());
        self.zone.add(owner, rtype, ttl, target.text());
    }

    /// CNAMEs one after another, around the sixteenth, to something or back to the first.
    fn long_chain(&mut self, owner: &Name) {
        let length = self.random.random_range(14..20);
        let at = |step: usize| owner.child(format!("c{step}").as_bytes());
        // A target too long for a name would have every server refuse the zone.
        if !at(length).is_legal() {
            return;
        }
        for step in 0..length {
            let last = step + 1 == length && self.chance(0.3);
            self.zone.add(&at(step), "CNAME", 60, at(if last { 0 } else { step + 1 }).text());
        }
        self.zone.add(&at(length), "A", 60, "192.0.2.77".to_owned());
    }

    /// An RRset too large for 512 bytes, for 1,232 bytes, or for both.
    fn large(&mut self, owner: &Name) {
        let ttl = self.ttl();
        let kind = self.random.random_range(0..3);
        let count = self.random.random_range(5..if kind == 2 { MOST_TARGETS } else { 60 });
        for number in 0..count {
            match kind {
                0 => self.zone.add(owner, "A", ttl, format!("198.51.100.{number}")),
                1 => self.zone.add(owner, "TXT", ttl, format!("\"{number} {}\"", "x".repeat(40))),
                _ => {
                    let to = self.target();
                    self.zone.add(owner, "MX", ttl, format!("{number} {}", to.text()))
                }
            };
        }
    }

    /// NS with servers of every kind, with or without glue, and what should not be below a cut.
    fn delegation(&mut self, cut: &Name) {
        if *cut == self.zone.apex {
            return;
        }
        let ttl = self.ttl();
        for _ in 0..self.random.random_range(1..4) {
            let server = match self.random.random_range(0..10) {
                0..4 => cut.child(b"ns"),
                4 => cut.child(b"ns").child(b"b"),
                5 => cut.clone(),
                _ => self.target(),
            };
            if !server.is_legal() || !self.zone.add(cut, "NS", ttl, server.text()) {
                continue;
            }
            // Wherever in the zone it lies: glue below this cut or another, or authoritative.
            for (rtype, share) in [("A", 0.8), ("AAAA", 0.4)] {
                if self.chance(share) {
                    let ttl = self.ttl();
                    let (_, draw) = rdata::PLAIN.iter().find(|(name, _)| *name == rtype).unwrap();
                    let data = draw(self.random, cut);
                    self.zone.add(&server, rtype, ttl, data);
                }
            }
        }
        // dnssec-signzone minds DS where the NS were refused.
        if self.chance(0.3) && self.zone.has(&cut.lower(), "NS") {
            let (ttl, data) = (self.ttl(), rdata::ds(self.random));
            self.zone.add(cut, "DS", ttl, data);
        }
        if self.chance(0.3) {
            self.plain(cut);
        }
        if self.chance(0.4) {
            let below = self.below(cut);
            match self.random.random_range(0..4) {
                0 => self.alias(&below, "CNAME"),
                1 => self.alias(&below, "NS"),
                _ => self.plain(&below),
            }
        }
    }

    /// A name of the zone: one that is there, or a new one.
    fn name(&mut self) -> Name {
        if self.chance(0.2) {
            let existing = self.existing();
            return self.below(&existing);
        }
        let apex = self.zone.apex.clone();
        if self.chance(0.03) {
            return self.longest(&apex);
        }
        (0..self.random.random_range(1..4)).fold(apex, |name, _| self.below(&name))
    }

    fn below(&mut self, name: &Name) -> Name {
        let from = if self.chance(0.12) { ODD_LABELS } else { PLAIN_LABELS };
        let label = from[self.random.random_range(0..from.len())];
        let mixed = if self.chance(0.2) { label.to_ascii_uppercase() } else { label.to_vec() };
        name.child(&mixed)
    }

    /// A name of 255 bytes, or some less.
    fn longest(&mut self, apex: &Name) -> Name {
        let length = self.random.random_range(250..=LONGEST_NAME);
        long(apex, length)
    }

    fn existing(&mut self) -> Name {
        let at = self.random.random_range(0..self.zone.sets.len());
        self.zone.sets.keys().nth(at).unwrap().0.clone()
    }

    /// Where aliases and services point to.
    fn target(&mut self) -> Name {
        let target = self.any_target();
        if target.is_legal() { target } else { Name::plain(".") }
    }

    fn any_target(&mut self) -> Name {
        match self.random.random_range(0..20) {
            0..7 => self.existing(),
            7..12 => self.name(),
            12..17 => {
                let apex = self.apexes[self.random.random_range(0..self.apexes.len())].clone();
                (0..self.random.random_range(0..3)).fold(apex, |name, _| self.below(&name))
            }
            17 => Name::plain("."),
            _ => Name::plain("a.b.nowhere."),
        }
    }

    fn ttl(&mut self) -> u32 {
        TTLS[self.random.random_range(0..TTLS.len())]
    }

    fn chance(&mut self, share: f64) -> bool {
        self.random.random_bool(share)
    }
}
