//! Questions about zones: every name that is there, and names around it; every type that is there, and others.

use std::collections::BTreeSet;

use rand::RngExt;
use rand::rngs::StdRng;

use super::generate::Zone;
use super::name::Name;
use super::reply::{type_name, type_number};
use super::sign;

/// Asked for at every name.
const ALWAYS: &[&str] = &["A", "MX", "DS", "CNAME", "DNAME", "ANY", "NS", "SOA"];
/// One of these besides, at every name.
const SOMETIMES: &[&str] = &[
    "AAAA",
    "TXT",
    "RRSIG",
    "NSEC",
    "NSEC3",
    "DNSKEY",
    "NSEC3PARAM",
    "SRV",
    "HTTPS",
    "TYPE65280",
    "TYPE65281",
];

/// One question, with everything that goes into its header and its OPT record.
#[derive(Clone, Debug)]
pub struct Question {
    /// As spelled.
    pub name: Name,
    pub rtype: u16,
    pub recursion: bool,
    pub authentic: bool,
    pub checking_disabled: bool,
    pub edns: Option<Edns>,
    pub tcp: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Edns {
    pub payload: u16,
    pub dnssec: bool,
}

impl Question {
    /// The message with this id.
    pub fn message(&self, id: u16) -> Vec<u8> {
        let mut message = id.to_be_bytes().to_vec();
        let bits = [(self.recursion, 0x100), (self.authentic, 0x20), (self.checking_disabled, 0x10)];
        let flags: u16 = bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum();
        message.extend_from_slice(&flags.to_be_bytes());
        message.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, u8::from(self.edns.is_some())]);
        message.extend(self.question());
        if let Some(edns) = self.edns {
            message.extend_from_slice(&[0, 0, 41]);
            message.extend_from_slice(&edns.payload.to_be_bytes());
            message.extend_from_slice(&[0, 0, if edns.dnssec { 0x80 } else { 0 }, 0, 0, 0]);
        }
        message
    }

    /// Name, type and class in wire form.
    pub fn question(&self) -> Vec<u8> {
        let mut bytes = self.name.wire();
        bytes.extend_from_slice(&self.rtype.to_be_bytes());
        bytes.extend_from_slice(&[0, 1]);
        bytes
    }

    /// The largest reply that may come back.
    pub fn limit(&self) -> usize {
        match self.edns {
            _ if self.tcp => 65_535,
            None => 512,
            Some(edns) => usize::from(edns.payload).clamp(512, 1232),
        }
    }

    /// The same over TCP.
    pub fn over_tcp(&self) -> Question {
        Question { tcp: true, ..self.clone() }
    }

    /// The arguments that make `dig` ask this.
    pub fn dig(&self) -> String {
        let mut text = format!("dig {} {}", self.name.text(), type_name(self.rtype));
        let bits = [
            (self.recursion, "rec"),
            (self.authentic, "ad"),
            (self.checking_disabled, "cd"),
            (self.tcp, "tcp"),
        ];
        for (set, flag) in bits {
            text += &format!(" +{}{flag}", if set { "" } else { "no" });
        }
        match self.edns {
            None => text + " +noedns",
            Some(edns) => {
                text + &format!(
                    " +bufsize={} +nocookie{}",
                    edns.payload,
                    if edns.dnssec { " +dnssec" } else { "" }
                )
            }
        }
    }
}

/// Questions about all names of the zones and around them, in random order.
pub fn questions(random: &mut StdRng, zones: &[Zone]) -> Vec<Question> {
    let names: BTreeSet<Name> = zones.iter().flat_map(names).collect();
    let mut questions = Vec::new();
    for name in names {
        let mut types: BTreeSet<u16> = ALWAYS.iter().map(|name| type_number(name)).collect();
        types.insert(type_number(SOMETIMES[random.random_range(0..SOMETIMES.len())]));
        for zone in zones {
            types.extend(zone.types_at(&name).map(type_number));
        }
        questions.extend(types.into_iter().map(|rtype| question(random, &name, rtype)));
    }
    questions
}

/// Names of a zone, in lower case: its owners, what is above them, beside them, below them, and next to them in canonical
/// order (RFC 4034 6.1).
fn names(zone: &Zone) -> BTreeSet<Name> {
    let mut names = BTreeSet::new();
    for (owner, _) in zone.sets.keys() {
        names.extend(owner.up().take(2 + owner.labels.len() - zone.apex.labels.len()));
        names.insert(owner.child(b"\0"));
        names.insert(owner.child(b"a"));
        names.insert(owner.child(b"*"));
        names.insert(owner.child(b"x").child(b"b"));
        if let (Some(parent), Some((&last, before))) =
            (owner.parent(), owner.labels.first().and_then(|label| label.split_last()))
        {
            names.insert(parent.child(&[before, &[last.wrapping_sub(1)]].concat()));
            names.insert(parent.child(&[before, &[last, b'0']].concat()));
            names.insert(parent.child(b"*"));
            names.insert(parent.child(b"zz"));
        }
    }
    names.extend(sign::hashed_owners(zone));
    names.into_iter().map(|name| name.lower()).filter(Name::is_legal).collect()
}

fn question(random: &mut StdRng, name: &Name, rtype: u16) -> Question {
    let mut name = name.clone();
    if random.random_bool(0.3) {
        name.labels.iter_mut().flatten().for_each(|byte| {
            if random.random() {
                byte.make_ascii_uppercase();
            }
        });
    }
    let payload = [100, 512, 1232, 1232, 1232, 4096][random.random_range(0..6)];
    let edns = Edns { payload, dnssec: random.random() };
    Question {
        name,
        rtype,
        recursion: random.random_bool(0.3),
        authentic: random.random_bool(0.1),
        checking_disabled: random.random_bool(0.1),
        edns: random.random_bool(0.7).then_some(edns),
        tcp: random.random_bool(0.04),
    }
}
