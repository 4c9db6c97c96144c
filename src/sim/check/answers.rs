//! What hosts answer, held against the zone file that the version is from. Nothing here looks into a zone: what an answer has to
//! hold is picked from the records of the file.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::*;

use crate::answer::context::{Client, Outcome, Served};
use crate::answer::door::{self, Asked};
use crate::answer::reply::Reply;
use crate::sim::content::{CANARIES, apex, below, canary};
use crate::sim::host::address;
use crate::time::Now;
use crate::wire::edns::{ZONEVERSION, push_option};
use crate::wire::message::flags;
use crate::wire::name::Name;
use crate::wire::rtype::{CLASS_IN, Rcode};
use crate::wire::via::Via;
use crate::wire::writer::{Section, Writer};

/// An address that is no host's.
const STRANGER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5_353);
/// The longest message over UDP without EDNS (RFC 1035 4.2.1), and with it here.
const PLAIN_UDP: usize = 512;
const EDNS_UDP: u16 = 1_232;

/// How a question is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Over UDP, without EDNS.
    Plain,
    /// Over UDP, with DO.
    Do,
    /// Over TCP, without EDNS.
    Tcp,
}

/// What a question has to be answered with.
#[derive(Debug)]
struct Expected {
    rcode: Rcode,
    flags: u16,
    /// Answer, authority, additional.
    sections: [Vec<Record>; 3],
}

impl Expected {
    fn is(&self, bytes: &[u8], manner: Manner) -> bool {
        let fits = match manner {
            Manner::Plain => bytes.len() <= PLAIN_UDP,
            Manner::Do => bytes.len() <= usize::from(EDNS_UDP),
            Manner::Tcp => true,
        };
        let [answer, authority, additional] = &self.sections;
        fits && Message::read(bytes).is_ok_and(|message| {
            message.header.flags & !flags::RCODE == self.flags
                && message.rcode() == self.rcode
                && is_same(&message.answer, answer)
                && is_same(&message.authority, authority)
                && is_same(&message.additional, additional)
        })
    }
}

/// The records of one zone file.
struct File {
    records: Vec<Record>,
    is_signed: bool,
}

impl File {
    /// The RRset of a name and type, with its signatures where they are asked for.
    fn set(&self, owner: &Name, rtype: Rtype, manner: Manner) -> Vec<Record> {
        let with_signatures = manner == Manner::Do && self.is_signed;
        let belongs = |record: &&Record| {
            let signs = record.rtype == Rtype::RRSIG && record.rdata.starts_with(&rtype.0.to_be_bytes());
            record.owner == *owner && (record.rtype == rtype || signs && with_signatures)
        };
        self.records.iter().filter(belongs).cloned().collect()
    }

    /// The SOA, and the NSEC records of these owners where absence is to be proved.
    fn absence(&self, owners: &[Name], manner: Manner) -> Vec<Record> {
        let mut records = self.set(&apex(), Rtype::SOA, manner);
        records.extend(self.proof(owners, manner));
        records
    }

    fn proof(&self, owners: &[Name], manner: Manner) -> Vec<Record> {
        let is_proved = manner == Manner::Do && self.is_signed;
        let owners = owners.iter().filter(|_| is_proved);
        owners.flat_map(|owner| self.set(owner, Rtype::NSEC, manner)).collect()
    }

    /// Questions of every kind, each with its answer.
    fn questions(&self, manner: Manner) -> Vec<(Name, Rtype, Expected)> {
        let found = |rcode, answer, authority| Expected {
            rcode,
            flags: flags::QR | flags::AA,
            sections: [answer, authority, Vec::new()],
        };
        let (cut, server_of_cut) = (below(&[b"sub"]), below(&[b"ns", b"sub"]));
        let wildcard = below(&[b"*", b"wild"]);
        let synthesised = below(&[b"any", b"wild"]);
        let mut expanded = self.set(&wildcard, Rtype::A, manner);
        expanded.iter_mut().for_each(|record| record.owner = synthesised.clone());
        let mut delegation = self.set(&cut, Rtype::NS, manner);
        if manner == Manner::Do {
            delegation.extend(self.set(&cut, Rtype::DS, manner));
        }
        let referral = Expected {
            rcode: Rcode::NOERROR,
            flags: flags::QR,
            sections: [Vec::new(), delegation, self.set(&server_of_cut, Rtype::A, Manner::Plain)],
        };
        let large = below(&[b"big"]);
        let whole = match manner {
            Manner::Tcp => found(Rcode::NOERROR, self.set(&large, Rtype::TXT, manner), Vec::new()),
            // RFC 2181 section 9: nothing is sent broken in half.
            Manner::Plain | Manner::Do => Expected {
                flags: flags::QR | flags::AA | flags::TC,
                ..found(Rcode::NOERROR, Vec::new(), Vec::new())
            },
        };
        let positive = self.set(&canary(0), Rtype::A, manner);
        vec![
            (canary(0), Rtype::A, found(Rcode::NOERROR, positive, Vec::new())),
            (canary(1), Rtype::MX, found(Rcode::NOERROR, Vec::new(), self.absence(&[canary(1)], manner))),
            // It would stand between `ns` and `sub`, and the wildcard right behind the apex.
            (
                below(&[b"nx"]),
                Rtype::A,
                found(Rcode::NXDOMAIN, Vec::new(), self.absence(&[below(&[b"ns"]), apex()], manner)),
            ),
            (synthesised, Rtype::A, found(Rcode::NOERROR, expanded, self.proof(&[wildcard], manner))),
            (below(&[b"www", b"sub"]), Rtype::AAAA, referral),
            (large, Rtype::TXT, whole),
        ]
    }
}

/// Puts a question as a host does; what comes back, and how the server went on.
fn put(served: &Served, now: Now, bytes: &[u8], from: Client) -> (Outcome, Vec<u8>) {
    let mut reply = Reply::default();
    let outcome = door::answer_one(served, now, Asked { bytes, from }, &mut reply);
    (outcome, reply.as_bytes().to_vec())
}

fn question(name: &Name, rtype: Rtype, manner: Manner) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, PLAIN_UDP, 7, 0);
    let _ = writer.question(name, rtype, CLASS_IN);
    if manner == Manner::Do {
        let _ = writer.opt(EDNS_UDP, Rcode::NOERROR, true, &[]);
    }
    writer.finish();
    bytes
}

/// Whether two sections hold the same records, in whatever order.
fn is_same(one: &[Record], other: &[Record]) -> bool {
    one.len() == other.len() && one.iter().all(|record| other.contains(record))
}

impl Oracle {
    /// Asks for the canaries, plainly and with ZONEVERSION, and compares them with each other and with what was published.
    pub fn canaries(&self, at: Mono, host: usize, served: &Served, now: Now) -> Result<(), Violation> {
        let fail = |what| Err(Violation { at, host, what });
        let from = Client { addr: address(host), via: Via::Udp };
        let (mut shown, mut current) = (None, None);
        for index in 0..CANARIES {
            let mut options = Vec::new();
            push_option(&mut options, ZONEVERSION, &[]);
            let ask = |rtype, options: &[u8]| {
                let query = Writer::query(index as u16, 0, &canary(index), rtype, options);
                Message::read(&put(served, now, &query, from).1)
            };
            for rtype in [Rtype::A, Rtype::AAAA, Rtype::TXT, Rtype::MX] {
                // The option takes a query off the fast path, which says the same.
                let (Ok(plain), Ok(whole)) = (ask(rtype, &[]), ask(rtype, &options)) else {
                    return fail(format!("no answer for canary {index}, type {rtype}"));
                };
                let gist = |it: &Message| (it.header, it.answer.clone(), it.authority.clone());
                if gist(&plain) != gist(&whole) {
                    return fail(format!("canary {index}, type {rtype}: a plain query is told {plain:?}"));
                }
            }
            let Ok(message) = ask(Rtype::A, &options) else {
                return fail(format!("no answer for canary {index}"));
            };
            if message.rcode() == Rcode::SERVFAIL
                && served.store.find(&apex()).is_none_or(|it| it.version().is_none())
            {
                return Ok(());
            }
            let serial = message.option(ZONEVERSION).and_then(|value| value.last_chunk::<4>());
            let serial = serial.map(|bytes| Serial(u32::from_be_bytes(*bytes)));
            let (Some(number), Some(serial)) = (number_in(&message), serial) else {
                return fail(format!("answer without canary {index} or ZONEVERSION: {}", message.rcode()));
            };
            match self.find(serial) {
                Some(known) if known.number == number => {}
                _ => return fail(format!("canary {index} shows {number}, ZONEVERSION serial {serial}")),
            }
            if *shown.get_or_insert(number) != number {
                return fail(format!("canary {index} shows {number}, others {shown:?}"));
            }
            current = Some(serial);
        }
        match current.and_then(|serial| self.find(serial)) {
            Some(known) => self.answers(at, host, served, now, known),
            None => Ok(()),
        }
    }

    /// Puts questions of every kind to a host that serves this version.
    fn answers(
        &self,
        at: Mono,
        host: usize,
        served: &Served,
        now: Now,
        known: &Published,
    ) -> Result<(), Violation> {
        let Some(file) = self.files.iter().find(|file| file.number == known.number) else { return Ok(()) };
        // Nothing that is asked for depends on the other names; the serial may be the primary's own.
        let content = Content { serial: known.serial, hosts: Default::default(), ..file.clone() };
        let file = File { records: content.records(), is_signed: content.is_signed };
        // One after the other: everything is looked at often.
        let manner = [Manner::Plain, Manner::Do, Manner::Tcp][at.0 as usize % 3];
        let via = if manner == Manner::Tcp { Via::Tcp } else { Via::Udp };
        for (name, rtype, expected) in file.questions(manner) {
            let query = question(&name, rtype, manner);
            let bytes = put(served, now, &query, Client { addr: address(host), via }).1;
            if !expected.is(&bytes, manner) {
                let (length, told) = (bytes.len(), Message::read(&bytes));
                let what =
                    format!("{name} {rtype} ({manner:?}): told {told:?} in {length} bytes, not {expected:?}");
                return Err(Violation { at, host, what });
            }
        }
        self.differences(at, host, served, now)
    }

    /// Asks over UDP for a transfer, whole and from each of the last versions on: differences in one datagram that lead to what is
    /// served, or the SOA alone, upon which one asks over TCP (RFC 1995 section 2).
    fn differences(&self, at: Mono, host: usize, served: &Served, now: Now) -> Result<(), Violation> {
        let fail = |what| Err(Violation { at, host, what });
        let from = Client { addr: address(host), via: Via::Udp };
        let query = question(&apex(), Rtype::AXFR, Manner::Plain);
        let told = Message::read(&put(served, now, &query, from).1).map(|message| message.rcode());
        // RFC 5936 4.2.
        if told != Ok(Rcode::NOTIMP) {
            return fail(format!("AXFR over UDP is answered with {told:?}"));
        }
        let Some(current) = self.hosts[host].last.and_then(|last| self.find(last)) else { return Ok(()) };
        for before in self.published.iter().rev().skip_while(|it| it.serial != current.serial).skip(1).take(2)
        {
            let soa = |known: &Published| {
                let file = self.files.iter().find(|file| file.number == known.number)?;
                let content = Content { serial: known.serial, hosts: Default::default(), ..file.clone() };
                content.records().into_iter().next()
            };
            let (Some(mine), Some(theirs)) = (soa(before), soa(current)) else { continue };
            let mut query = Vec::new();
            let mut writer = Writer::new(&mut query, PLAIN_UDP, 7, 0);
            let _ = writer.question(&apex(), Rtype::IXFR, CLASS_IN);
            let _ = writer.push(Section::Authority, &mine);
            writer.finish();
            let bytes = put(served, now, &query, from).1;
            let told = Message::read(&bytes).map(|message| message.answer).unwrap_or_default();
            let is_alone = told.len() == 1 && told[0] == theirs;
            let leads_on =
                told.len() > 3 && told[0] == theirs && told[1] == mine && told.last() == Some(&theirs);
            if bytes.len() > PLAIN_UDP || !is_alone && !leads_on {
                return fail(format!(
                    "IXFR from {} over UDP: {} bytes, {told:?}",
                    before.serial,
                    bytes.len()
                ));
            }
        }
        Ok(())
    }

    /// Asks for a transfer from an address that may not have one.
    pub fn stranger(&self, at: Mono, host: usize, served: &Served, now: Now) -> Result<(), Violation> {
        let query = Writer::query(1, 0, &apex(), Rtype::AXFR, &[]);
        let (outcome, bytes) = put(served, now, &query, Client { addr: STRANGER, via: Via::Tcp });
        let rcode = Message::read(&bytes).map(|message| message.rcode());
        match (outcome, rcode) {
            (Outcome::Reply(_), Ok(Rcode::REFUSED)) => Ok(()),
            (outcome, _) => {
                let what = format!("a stranger who asks for the zone gets {outcome:?}");
                Err(Violation { at, host, what })
            }
        }
    }
}
