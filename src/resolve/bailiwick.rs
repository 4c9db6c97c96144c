//! What of a reply is believed: the records on the chain from the question to its answer, and what proves an answer
//! negative. Everything else is left behind, whatever section it came in (RFC 2181 5.4.1, RFC 5452 section 6).
//!
//! Each kept answer is stored under its own question alone, so a reply can never say anything about another question.

use crate::wire::message::{Message, Record, flags};
use crate::wire::name::{Name, NameRef};
use crate::wire::rdata::{self, Part};
use crate::wire::rtype::{Rcode, Rtype};
use crate::zone::dname::substitute;
use crate::zone::negative;

use super::cache::{Answer, Ask};

/// How many CNAMEs and DNAMEs are followed within one reply. Real chains have below ten.
pub const MAX_CHAIN: usize = 16;

/// What a reply amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The whole answer.
    Answer(Answer),
    /// A part of the chain; what is at its end has to be asked for by another question.
    Continue {
        /// The records so far: answer section, authority section.
        answer: Vec<Record>,
        /// Proofs that belong to them.
        authority: Vec<Record>,
        /// Where the chain leads.
        target: Name,
    },
    /// Nothing of use: a referral, a loop, two CNAMEs for one name.
    Useless,
}

/// Sifts a reply with response code NOERROR, NXDOMAIN or YXDOMAIN of a server that was asked as one of `zone`. `may_tell` says about
/// which names it may speak.
pub fn sift(message: Message, ask: &Ask, zone: &NameRef, may_tell: impl Fn(&NameRef) -> bool) -> Verdict {
    let rcode = message.rcode();
    let mut sieve = Sieve { message, dnssec_ok: ask.flags.dnssec_ok, answer: Vec::new() };
    let mut name = ask.name.clone();
    let mut links = 0;
    loop {
        match sieve.link(&name, ask.rtype, &may_tell) {
            Link::Data => return sieve.positive(rcode),
            Link::To(target) => {
                links += 1;
                if links > MAX_CHAIN || target == name {
                    return Verdict::Useless;
                }
                if !may_tell(&target) {
                    return sieve.go_on(target);
                }
                name = target;
            }
            Link::TooLong if rcode == Rcode::YXDOMAIN => return sieve.positive(rcode),
            Link::TooLong | Link::Broken => return Verdict::Useless,
            Link::None => break,
        }
    }
    let soa = sieve.message.authority.iter().find(|record| {
        // In bailiwick: of a zone that holds the name.
        record.rtype == Rtype::SOA && name.is_in(&record.owner)
    });
    if let Some(soa) = soa {
        let (zone, ttl) = (soa.owner.clone(), negative::ttl(soa.ttl, &soa.rdata));
        return if rcode == Rcode::YXDOMAIN { Verdict::Useless } else { sieve.negative(rcode, &zone, ttl) };
    }
    match rcode {
        // RFC 2308 section 5: without an SOA record it must not be cached; it is an answer all the same.
        Rcode::NXDOMAIN => sieve.unproven(rcode),
        _ if links > 0 => sieve.go_on(name),
        // RFC 2308 2.2: NS without SOA is a referral, and this server does not know; but one that is an authority, or was asked to
        // recurse and does so, has no reason to refer, and says that there is no such data (RFC 4074 4.2 has seen servers that do).
        Rcode::NOERROR if sieve.knows() || !sieve.refers(zone) => sieve.unproven(rcode),
        _ => Verdict::Useless,
    }
}

/// What a reply has for one name.
enum Link {
    /// The data asked for.
    Data,
    /// An alias for this name.
    To(Name),
    /// An alias for a name that would be too long (RFC 6672 2.2).
    TooLong,
    /// More than one CNAME.
    Broken,
    /// Nothing.
    None,
}

struct Sieve {
    message: Message,
    dnssec_ok: bool,
    answer: Vec<Record>,
}

impl Sieve {
    /// Whether the server speaks for the zone (AA), or has asked those that do.
    fn knows(&self) -> bool {
        let recursed = flags::RD | flags::RA;
        let header = self.message.header;
        header.is_authoritative() || header.flags & recursed == recursed
    }

    /// Whether others are named that are to be asked. The servers of the zone that was asked are no others: who shows them shows where
    /// it looked. But a referral to the root is what a server gives that knows nothing of the name.
    fn refers(&self, zone: &NameRef) -> bool {
        let is_own = |owner: &NameRef| *owner == *zone && !zone.is_root();
        self.message.authority.iter().any(|record| record.rtype == Rtype::NS && !is_own(&record.owner))
    }

    /// Takes over what the answer section has for `name`.
    fn link(&mut self, name: &NameRef, rtype: Rtype, may_tell: impl Fn(&NameRef) -> bool) -> Link {
        let redirect = self.message.answer.iter().find(|record| {
            record.rtype == Rtype::DNAME
                && name.is_in(&record.owner)
                && *name != *record.owner
                && may_tell(&record.owner)
        });
        if let Some(dname) = redirect {
            let dname = dname.clone();
            let taken = |record: &Record| record.rtype == Rtype::DNAME && record.owner == dname.owner;
            if !self.answer.iter().any(taken) {
                self.take(&dname.owner, Rtype::DNAME);
            }
            let target = first_name(&dname).and_then(|target| substitute(name, &dname.owner, &target));
            let Some(target) = target else { return Link::TooLong };
            // Made here rather than taken from the reply, so that it says what the DNAME says (RFC 6672 3.1).
            self.answer.push(Record {
                owner: name.to_name(),
                rtype: Rtype::CNAME,
                ttl: dname.ttl,
                rdata: target.as_wire().into(),
            });
            return if rtype == Rtype::CNAME { Link::Data } else { Link::To(target) };
        }
        if self.take(name, rtype) > 0 {
            return Link::Data;
        }
        let target = self
            .message
            .answer
            .iter()
            .find(|record| record.rtype == Rtype::CNAME && *record.owner == *name)
            .and_then(first_name);
        match target {
            Some(target) if self.take(name, Rtype::CNAME) == 1 => Link::To(target),
            Some(_) => Link::Broken,
            None => Link::None,
        }
    }

    /// Copies the RRset of a name and type, and its signatures where they are wanted, from the answer section; how many
    /// records of the type there were.
    fn take(&mut self, name: &NameRef, rtype: Rtype) -> usize {
        let mut found = 0;
        for record in &self.message.answer {
            if *record.owner != *name {
                continue;
            }
            let asked = record.rtype == rtype || rtype == Rtype::ANY;
            if asked || (self.dnssec_ok && covers(record, rtype)) {
                found += usize::from(asked);
                self.answer.push(record.clone());
            }
        }
        found
    }

    fn positive(mut self, rcode: Rcode) -> Verdict {
        let authority = self.proofs();
        let rcode = if rcode == Rcode::NXDOMAIN { Rcode::NOERROR } else { rcode };
        Verdict::Answer(Answer { rcode, answer: self.answer, authority, negative: None, rest: None })
    }

    fn negative(mut self, rcode: Rcode, zone: &NameRef, ttl: u32) -> Verdict {
        let mut authority = Vec::new();
        for record in &self.message.authority {
            let first_soa = record.rtype == Rtype::SOA && authority.is_empty();
            if *record.owner == *zone && (first_soa || (self.dnssec_ok && covers(record, Rtype::SOA))) {
                // The SOA record goes out with the TTL it bounds (RFC 2308 section 3).
                authority.push(Record { ttl: record.ttl.min(ttl), ..record.clone() });
            }
        }
        authority.extend(self.proofs());
        Verdict::Answer(Answer { rcode, answer: self.answer, authority, negative: Some(ttl), rest: None })
    }

    fn unproven(self, rcode: Rcode) -> Verdict {
        let (answer, authority) = (self.answer, Vec::new());
        Verdict::Answer(Answer { rcode, answer, authority, negative: Some(0), rest: None })
    }

    fn go_on(mut self, target: Name) -> Verdict {
        let authority = self.proofs();
        Verdict::Continue { answer: self.answer, authority, target }
    }

    /// NSEC and NSEC3 records with their signatures, where they are wanted: they prove names and types absent, also behind
    /// an answer made from a wildcard (RFC 4035 3.1.3).
    fn proofs(&mut self) -> Vec<Record> {
        if !self.dnssec_ok {
            return Vec::new();
        }
        let proof = |record: &Record| {
            let denial = |rtype| record.rtype == rtype || covers(record, rtype);
            denial(Rtype::NSEC) || denial(Rtype::NSEC3)
        };
        std::mem::take(&mut self.message.authority).into_iter().filter(proof).collect()
    }
}

/// Whether the record is a signature over this type.
fn covers(record: &Record, rtype: Rtype) -> bool {
    record.rtype == Rtype::RRSIG && record.rdata.first_chunk() == Some(&rtype.0.to_be_bytes())
}

/// The first name in a record's data.
fn first_name(record: &Record) -> Option<Name> {
    let mut first = None;
    let _ = rdata::walk(record.rtype, &record.rdata, |part| {
        if let Part::Name(name, _) = part {
            first.get_or_insert_with(|| name.to_name());
        }
    });
    first
}

#[cfg(test)]
mod tests;
