//! Records that many replies have in common, rendered once: in a signed zone the SOA of negative answers and the proofs for the
//! apex and its wildcard, with their signatures. A reply copies the bytes and sets the compression pointers (RFC 1035 4.1.4),
//! for what they point to stands elsewhere in each message.

use super::compression::{Known, POINTER};
use super::name::{Name, NameRef};
use super::rdata::{self, Field, Part};
use super::rtype::{CLASS_IN, Rtype};

/// Records of a zone as they stand in a reply to a question for a name in the zone.
#[derive(Clone, Debug)]
pub struct Rendered {
    apex: Name,
    labels: usize,
    pub(super) bytes: Vec<u8>,
    pub(super) count: u16,
    pub(super) pointers: Vec<(u16, Target)>,
    names: Vec<Written>,
}

/// What a pointer leads to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// So many bytes behind the beginning of the apex in the question.
    Question(u8),
    /// So many bytes behind the beginning of the records.
    Here(u16),
}

/// A name that others can point to.
#[derive(Clone, Debug)]
struct Written {
    name: Name,
    at: u16,
    /// How many of its bytes stand there, before a pointer or the root.
    literal: u8,
}

impl Rendered {
    /// No records yet.
    pub fn new(apex: &NameRef) -> Rendered {
        Rendered {
            apex: apex.to_name(),
            labels: apex.label_count(),
            bytes: Vec::new(),
            count: 0,
            pointers: Vec::new(),
            names: Vec::new(),
        }
    }

    /// Adds a record; `None` when its data does not follow the layout of its type.
    pub fn push(&mut self, owner: &NameRef, rtype: Rtype, ttl: u32, rdata: &[u8]) -> Option<()> {
        self.name(owner);
        self.bytes.extend(rtype.0.to_be_bytes());
        self.bytes.extend(CLASS_IN.to_be_bytes());
        self.bytes.extend(ttl.to_be_bytes());
        self.bytes.extend([0; 2]);
        let start = self.bytes.len();
        if rdata::has_compressible_names(rtype) {
            let walked = rdata::walk(rtype, rdata, |part| match part {
                Part::Name(name, Field::CompressibleName) => self.name(name),
                Part::Name(name, _) => self.bytes.extend(name.as_wire()),
                Part::Bytes(bytes) => self.bytes.extend(bytes),
            });
            walked.ok()?;
        } else {
            self.bytes.extend(rdata);
        }
        let length = u16::try_from(self.bytes.len() - start).ok()?;
        self.bytes[start - 2..start].copy_from_slice(&length.to_be_bytes());
        // What is beyond the reach of numbers here is beyond any reply too.
        u16::try_from(self.bytes.len()).ok()?;
        self.count += 1;
        Some(())
    }

    /// Where the apex stands in the name asked for, whose labels begin at `starts`. `None` when that name is at or below a host
    /// named here, which should then be pointed to in the question.
    #[inline]
    pub(super) fn place_in(&self, asked: &NameRef, starts: &[u8]) -> Option<usize> {
        let below = starts.len().checked_sub(self.labels)?;
        if let Some(&start) = starts[..below].last() {
            let label = asked.suffix(start).first_label();
            let is_named = |written: &Written| {
                let own = &written.name.as_wire()[..usize::from(written.literal)];
                own.len() > label.len() && own[own.len() - label.len()..].eq_ignore_ascii_case(label)
            };
            if self.names.iter().any(is_named) {
                return None;
            }
        }
        asked.as_wire().len().checked_sub(self.apex.as_wire().len())
    }

    /// Whether nothing here could be pointed to where it stands in the message already, by one of these names.
    #[inline]
    pub(super) fn is_apart_from(&self, known: &[Known<'_>]) -> bool {
        let is_known = |written: &Written| {
            let mut start = 0;
            while start < written.literal {
                let suffix = written.name.suffix(start);
                if known.iter().any(|known| known.find(suffix).is_some()) {
                    return true;
                }
                start += 1 + suffix.as_wire()[0];
            }
            false
        };
        known.is_empty() || !self.names.iter().any(is_known)
    }

    /// The names that others can point to, in records that begin at `start`.
    #[inline]
    pub(super) fn names(&self, start: u16) -> impl Iterator<Item = Known<'_>> {
        self.names.iter().map(move |written| written.known(start))
    }

    /// Writes a name as a pointer from the first suffix on that stands in the question or here.
    fn name(&mut self, name: &NameRef) {
        let (wire, here) = (name.as_wire(), self.bytes.len() as u16);
        let mut literal = 0;
        while wire[literal] != 0 {
            let suffix = name.suffix(literal as u8);
            let target = if self.apex.is_in(suffix) {
                Some(Target::Question((self.apex.as_wire().len() - suffix.as_wire().len()) as u8))
            } else {
                self.names.iter().find_map(|written| written.known(0).find(suffix)).map(Target::Here)
            };
            if let Some(target) = target {
                self.bytes.extend(&wire[..literal]);
                self.pointer(target);
                return self.remember(name, here, literal);
            }
            literal += 1 + usize::from(wire[literal]);
        }
        self.bytes.extend(wire);
        self.remember(name, here, literal);
    }

    fn remember(&mut self, name: &NameRef, at: u16, literal: usize) {
        if literal > 0 {
            self.names.push(Written { name: name.to_name(), at, literal: literal as u8 });
        }
    }

    fn pointer(&mut self, target: Target) {
        self.pointers.push((self.bytes.len() as u16, target));
        self.bytes.extend(POINTER.to_be_bytes());
    }
}

impl Written {
    #[inline]
    fn known(&self, start: u16) -> Known<'_> {
        Known { name: &self.name, at: start + self.at, literal: self.literal }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::message::flags;
    use super::super::plain::{Names, PlainQuery, PlainReply};
    use super::super::writer::{Full, Section, Sections as _, Writer};
    use super::*;

    /// Names of few labels, so that they often end alike.
    fn name() -> impl Strategy<Value = Name> {
        prop::collection::vec(prop::sample::select(vec!["a", "A", "b", "ab"]), 0..4)
            .prop_map(|labels| format!("{}.", labels.join(".")).parse().unwrap())
    }

    fn under(labels: &[&str], apex: &Name) -> Name {
        labels.iter().rev().fold(apex.clone(), |name, label| name.child(label.as_bytes()).unwrap())
    }

    fn one_by_one<'r>(reply: &mut PlainReply<'r, '_>, owner: &'r NameRef) -> Result<(), Full> {
        [Rtype::NSEC, Rtype::RRSIG].into_iter().try_for_each(|rtype| {
            reply.rrset(Section::Authority, owner, rtype, 60, [&b"proof"[..]].into_iter())
        })
    }

    proptest! {
        #[test]
        fn as_if_written_record_by_record(
            apex in name(),
            below in prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 0..3),
            hosts in prop::collection::vec((name(), any::<bool>()), 3),
            limit in 40_usize..400,
        ) {
            let host = |at: usize| match &hosts[at] {
                (name, true) => under(&name.labels().map(|l| std::str::from_utf8(l).unwrap()).collect::<Vec<_>>(), &apex),
                (name, false) => name.clone(),
            };
            let (primary, mailbox, later) = (host(0), host(1), host(2));
            let soa = [primary.as_wire(), mailbox.as_wire(), &[7; 20]].concat();
            let signature = [&[9; 18][..], apex.as_wire(), &[5; 64]].concat();
            let mut rendered = Rendered::new(&apex);
            prop_assert!(rendered.push(&apex, Rtype::SOA, 300, &soa).is_some());
            prop_assert!(rendered.push(&apex, Rtype::RRSIG, 300, &signature).is_some());
            let owner = under(&below[..below.len().min(1)], &apex);
            let mut proof = Rendered::new(&apex);
            for rtype in [Rtype::NSEC, Rtype::RRSIG] {
                prop_assert!(proof.push(&owner, rtype, 60, b"proof").is_some());
            }
            let question = Writer::query(1, flags::RD, &under(&below, &apex), Rtype::A, &[]);
            let query = PlainQuery::read(&question).unwrap();
            let (mut one, mut other) = ([0; 1_404], [0; 1_404]);
            let (mut names, mut others) = (Names::default(), Names::default());
            let mut whole = PlainReply::new(&query, limit, 0, &mut one, &mut names);
            let mut single = PlainReply::new(&query, limit, 0, &mut other, &mut others);
            let (Some(whole), Some(single)) = (&mut whole, &mut single) else { return Ok(()) };
            let Some(copied) = whole.rendered(Section::Authority, &rendered) else { return Ok(()) };
            let written = single
                .rrset(Section::Authority, &apex, Rtype::SOA, 300, [&*soa].into_iter())
                .and_then(|()| single.rrset(Section::Authority, &apex, Rtype::RRSIG, 300, [&*signature].into_iter()));
            prop_assert_eq!(copied, written);
            if written.is_ok() {
                let copied = whole.rendered(Section::Authority, &proof).unwrap_or_else(|| one_by_one(whole, &owner));
                let written = one_by_one(single, &owner);
                prop_assert_eq!(copied, written);
                if written.is_err() {
                    return Ok(());
                }
                for reply in [&mut *whole, &mut *single] {
                    let _ = reply.rrset(Section::Authority, &later, Rtype::NS, 60, [mailbox.as_wire()].into_iter());
                }
                let length = whole.length();
                prop_assert_eq!(length, single.length());
                prop_assert_eq!(&one[..length], &other[..length]);
            }
        }
    }
}
