//! Records, questions and replies for the tests of this folder.

use crate::time::{Mono, Now, Utc};
use crate::wire::message::{Record, Request, flags};
use crate::wire::name::Name;
use crate::wire::rtype::{Rcode, Rtype};
use crate::wire::writer::{Section, Writer};

use super::cache::{Ask, AskFlags};

/// This many milliseconds after the start.
pub(super) fn at(millis: u64) -> Mono {
    Mono(millis * 1_000)
}

/// The same as a present.
pub(super) fn now(millis: u64) -> Now {
    Now { mono: at(millis), utc: Utc(1_763_700_000_000_000 + millis * 1_000) }
}

pub(super) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// `name TYPE`, or `name TYPE do`.
pub(super) fn ask(text: &str) -> Ask {
    let words: Vec<_> = text.split(' ').collect();
    Ask {
        name: name(words[0]),
        rtype: words[1].parse().unwrap(),
        flags: AskFlags { dnssec_ok: words.contains(&"do"), checking_disabled: words.contains(&"cd") },
    }
}

/// `owner ttl TYPE data`, where data is an address, a name, the MINIMUM of an SOA record, or the type an RRSIG covers.
pub(super) fn record(text: &str) -> Record {
    let words: Vec<_> = text.split(' ').collect();
    let rtype: Rtype = words[2].parse().unwrap();
    let rdata = match rtype {
        Rtype::A => words[3].parse::<std::net::Ipv4Addr>().unwrap().octets().to_vec(),
        Rtype::SOA => {
            let mut rdata = vec![0, 0];
            for number in [1, 3_600, 600, 86_400, words[3].parse::<u32>().unwrap()] {
                rdata.extend_from_slice(&number.to_be_bytes());
            }
            rdata
        }
        Rtype::RRSIG => {
            let mut rdata = words[3].parse::<Rtype>().unwrap().0.to_be_bytes().to_vec();
            rdata.extend_from_slice(&[0; 17]);
            rdata
        }
        Rtype::TXT => {
            let mut rdata = vec![words[3].len() as u8];
            rdata.extend_from_slice(words[3].as_bytes());
            rdata
        }
        _ => name(words[3]).as_wire().to_vec(),
    };
    Record { owner: name(words[0]), rtype, ttl: words[1].parse().unwrap(), rdata: rdata.into() }
}

pub(super) fn records(texts: &[&str]) -> Vec<Record> {
    texts.iter().map(|text| record(text)).collect()
}

/// A reply to a query as it was sent; `extra` are flags.
pub(super) fn reply(query: &[u8], rcode: Rcode, extra: u16, sections: [&[&str]; 3]) -> Vec<u8> {
    reply_with(query, rcode, extra, sections, &[])
}

/// The same with these EDNS options.
pub(super) fn reply_with(
    query: &[u8],
    rcode: Rcode,
    extra: u16,
    sections: [&[&str]; 3],
    options: &[u8],
) -> Vec<u8> {
    let request = Request::read(query).unwrap();
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 65_535, request.header.id, flags::QR | flags::RA | extra);
    writer.question(request.name, request.rtype, request.class).unwrap();
    for (section, texts) in
        [Section::Answer, Section::Authority, Section::Additional].into_iter().zip(sections)
    {
        for text in texts {
            writer.push(section, &record(text)).unwrap();
        }
    }
    writer.set_rcode(rcode);
    // Who understands EDNS says so in every reply (RFC 6891 6.1.1).
    if request.opt.is_some() {
        writer.opt(1_232, rcode, false, options).unwrap();
    }
    writer.finish();
    bytes
}
