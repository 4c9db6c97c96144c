//! Answers to questions, case by case: RFC 1034, 2308, 4592, 6604, 6672, 6891, 7314, 8482, 8914, 9471, 9660.

use std::sync::Arc;

use proptest::prelude::*;

use super::context::{Client, Outcome, Path, Served};
use super::respond::answer;
use crate::publish::access::Access;
use crate::publish::proposal::Proposal;
use crate::publish::stages::PublishError;
use crate::publish::store::{Publication, ZoneStore};
use crate::text::file::read::read;
use crate::text::rdata::write;
use crate::time::{Mono, Now, Utc};
use crate::wire::cookie::{Secret, Secrets};
use crate::wire::edns::{EDE, EXPIRE, NSID, PADDING, STAMP, ZONEVERSION, push_option};
use crate::wire::message::{Message, Opcode, Record, flags};
use crate::wire::name::Name;
use crate::wire::rtype::{CLASS_CH, Rcode, Rtype};
use crate::wire::via::Via;
use crate::wire::writer::Writer;
use crate::zone::builder::Builder;
use crate::zone::serial::Policy;
use crate::zone::snapshot::Snapshot;
use crate::zone::stamp::Told;

mod corners;
mod elsewhere;
mod options;
mod signed;

const EXAMPLE: &str = "
$ORIGIN example.
@ 3600 SOA ns1 hostmaster 7 7200 900 86400 300
@ 3600 NS ns1
@ 3600 NS ns.elsewhere.
@ 3600 MX 10 mail
ns1 3600 A 192.0.2.1
ns1 3600 AAAA 2001:db8::1
mail 3600 A 192.0.2.25
www 60 A 192.0.2.80
alias 60 CNAME www
out 60 CNAME host.test.
far 60 CNAME nowhere.invalid.
gone 60 CNAME missing
loop1 60 CNAME loop2
loop2 60 CNAME loop1
*.wild 60 TXT \"here\"
a.b.ent 60 A 192.0.2.3
sub 3600 NS ns.sub
sub 3600 NS ns1
ns.sub 3600 A 192.0.2.53
moved 60 DNAME new
x.new 60 A 192.0.2.4
big 60 TXT \"1111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111\"
$GENERATE 1-20 many 60 TXT \"record number $ of a set that does not fit into five hundred and twelve bytes\"
";

const TEST: &str = "$ORIGIN test.
@ 3600 SOA ns hostmaster 1 7200 900 86400 300
@ 3600 NS ns.example.
host 60 A 198.51.100.1
";

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn at(seconds: u64) -> Now {
    Now { mono: Mono(seconds * 1_000_000), utc: Utc(1_700_000_000_000_000 + seconds * 1_000_000) }
}

fn load(text: &str) -> Snapshot {
    let mut records = Vec::new();
    let mut none = |_: &str, _: &str| Err("no includes".to_owned());
    let outcome = read("zone", text.as_bytes(), None, &mut none, &mut |entry| {
        records.push((entry.owner.to_name(), entry.rtype, entry.ttl, entry.rdata.to_vec()));
    });
    assert!(outcome.is_ok(), "{:?}", outcome.diagnostics);
    let mut builder = Builder::new(outcome.origin.unwrap());
    records.iter().for_each(|(owner, rtype, ttl, rdata)| builder.add(owner, *rtype, *ttl, rdata));
    builder.finish().unwrap().0
}

fn publish(store: &ZoneStore, text: &str, access: Access) {
    store.configure(load(text).apex(), access);
    try_publish(store, text).unwrap();
}

fn try_publish(store: &ZoneStore, text: &str) -> Result<Option<Publication>, PublishError> {
    let content = load(text);
    store.publish(at(100), Proposal::file(content, Policy::Increment), |_| Ok(()))
}

fn served() -> Served {
    let store = ZoneStore::new(42);
    let transfer = vec!["127.0.0.0/8".parse().unwrap()];
    publish(&store, EXAMPLE, Access { transfer, ..Access::default() });
    publish(
        &store,
        TEST,
        Access { secondary: true, notify: vec!["127.0.0.1".parse().unwrap()], ..Access::default() },
    );
    store.configure(&name("empty."), Access { secondary: true, ..Access::default() });
    Served {
        store: Arc::new(store),
        recursion: None,
        nsid: Some(b"ams1".as_slice().into()),
        cookies: cookies(),
    }
}

fn cookies() -> Arc<Secrets> {
    Arc::new(Secrets::new(Secret::new([7; 16]), Vec::new()))
}

fn client(via: Via) -> Client {
    Client { addr: "127.0.0.1:4711".parse().unwrap(), via }
}

struct Query {
    bytes: Vec<u8>,
    via: Via,
}

impl Query {
    fn new(qname: &str, rtype: Rtype) -> Query {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, 512, 0x1234, flags::RD);
        writer.question(&name(qname), rtype, 1).unwrap();
        writer.finish();
        Query { bytes, via: Via::Udp }
    }

    fn edns(mut self, payload: u16, version: u8, options: &[u8]) -> Query {
        self.bytes[11] = 1;
        self.bytes.extend_from_slice(&[0, 0, 41]);
        self.bytes.extend_from_slice(&payload.to_be_bytes());
        self.bytes.extend_from_slice(&[0, version, 0, 0]);
        self.bytes.extend_from_slice(&(options.len() as u16).to_be_bytes());
        self.bytes.extend_from_slice(options);
        self
    }

    fn dnssec(self) -> Query {
        let mut query = self.edns(1232, 0, &[]);
        let flags = query.bytes.len() - 4;
        query.bytes[flags] = 0x80;
        query
    }

    fn over(mut self, via: Via) -> Query {
        self.via = via;
        self
    }

    fn tcp(self) -> Query {
        self.over(Via::Tcp)
    }

    fn ask(&self, served: &Served) -> Message {
        let mut reply = Vec::new();
        let outcome = answer(served, at(200), &self.bytes, client(self.via), &mut reply);
        assert!(matches!(outcome, Outcome::Reply(_)), "{outcome:?}");
        let message = Message::read(&reply).unwrap();
        assert!(message.header.is_response() && message.header.id == 0x1234);
        message
    }
}

fn ask(qname: &str, rtype: Rtype) -> Message {
    Query::new(qname, rtype).edns(1232, 0, &[]).ask(&served())
}

/// Sections as text, each record `owner TTL type data`.
fn show(records: &[Record]) -> Vec<String> {
    records
        .iter()
        .map(|record| {
            let mut data = String::new();
            write::write(record.rtype, &record.rdata, &mut data);
            format!("{} {} {} {data}", record.owner, record.ttl, record.rtype)
        })
        .collect()
}

const SOA: &str = "example. 300 SOA ns1.example. hostmaster.example. 7 7200 900 86400 300";

#[test]
fn replies_over_tls_are_padded_to_a_block_when_asked() {
    let served = served();
    let with = |options: &[(u16, &[u8])]| {
        let mut bytes = Vec::new();
        options.iter().for_each(|(code, value)| push_option(&mut bytes, *code, value));
        Query::new("www.example.", Rtype::A).edns(1232, 0, &bytes)
    };
    let length = |query: Query, via: Via| {
        let mut reply = Vec::new();
        answer(&served, at(200), &query.bytes, client(via), &mut reply);
        let message = Message::read(&reply).unwrap();
        let opt = message.opt.unwrap();
        let padding = opt.get().option(PADDING);
        assert!(padding.is_none_or(|padding| padding.iter().all(|byte| *byte == 0)));
        (reply.len(), padding.is_some())
    };
    // RFC 8467 4.1, whatever else the reply says.
    assert_eq!(length(with(&[(PADDING, &[0; 37])]), Via::Tls), (468, true));
    assert_eq!(length(with(&[(PADDING, b""), (NSID, b""), (PADDING, b"")]), Via::Tls), (468, true));
    let mut refused = with(&[(PADDING, b"")]);
    refused.bytes[13..16].copy_from_slice(b"not");
    assert_eq!(length(refused, Via::Tls), (468, true));
    assert!(!length(with(&[]), Via::Tls).1);
    // RFC 7830 6.
    assert!(!length(with(&[(PADDING, b"")]), Via::Tcp).1);
    assert!(!length(with(&[(PADDING, b"")]), Via::Udp).1);
}

#[test]
fn data_with_useful_addresses() {
    let message = ask("EXAMPLE.", Rtype::MX);
    assert!(message.header.is_authoritative());
    assert_eq!(show(&message.answer), ["EXAMPLE. 3600 MX 10 mail.EXAMPLE."]);
    assert_eq!(show(&message.additional), ["mail.EXAMPLE. 3600 A 192.0.2.25"]);
}

#[test]
fn no_data_and_no_name_carry_the_soa_with_its_minimum() {
    let nodata = ask("www.example.", Rtype::AAAA);
    assert_eq!((nodata.rcode(), show(&nodata.authority)), (Rcode::NOERROR, vec![SOA.to_owned()]));
    let noname = ask("missing.example.", Rtype::A);
    assert_eq!((noname.rcode(), show(&noname.authority)), (Rcode::NXDOMAIN, vec![SOA.to_owned()]));
    let empty = ask("b.ent.example.", Rtype::A);
    assert_eq!((empty.rcode(), empty.answer.len(), empty.authority.len()), (Rcode::NOERROR, 0, 1));
}

#[test]
fn wildcards_speak_in_the_name_that_was_asked() {
    let message = ask("any.thing.wild.example.", Rtype::TXT);
    assert_eq!(show(&message.answer), ["any.thing.wild.example. 60 TXT \"here\""]);
    assert_eq!(ask("any.wild.example.", Rtype::A).rcode(), Rcode::NOERROR);
    assert_eq!(ask("wild.example.", Rtype::TXT).rcode(), Rcode::NOERROR);
}

#[test]
fn chains_go_on_through_all_zones_here() {
    let within = ask("alias.example.", Rtype::A);
    assert_eq!(
        show(&within.answer),
        ["alias.example. 60 CNAME www.example.", "www.example. 60 A 192.0.2.80"]
    );
    let across = ask("out.example.", Rtype::A);
    assert_eq!(show(&across.answer), ["out.example. 60 CNAME host.test.", "host.test. 60 A 198.51.100.1"]);
    let away = ask("far.example.", Rtype::A);
    assert_eq!((away.rcode(), away.answer.len(), away.authority.len()), (Rcode::NOERROR, 1, 0));
    // RFC 6604 3: the code is that of the last name of the chain.
    let gone = ask("gone.example.", Rtype::A);
    assert_eq!((gone.rcode(), gone.answer.len(), gone.authority.len()), (Rcode::NXDOMAIN, 1, 1));
    assert_eq!(ask("alias.example.", Rtype::CNAME).answer.len(), 1);
    let looped = ask("loop1.example.", Rtype::A);
    assert!(looped.rcode() == Rcode::NOERROR && looped.answer.len() <= 17);
}

#[test]
fn referrals_with_their_glue() {
    let message = ask("www.sub.example.", Rtype::A);
    assert!(!message.header.is_authoritative());
    assert_eq!(
        show(&message.authority),
        ["sub.example. 3600 NS ns.sub.example.", "sub.example. 3600 NS ns1.example."]
    );
    assert_eq!(
        show(&message.additional),
        [
            "ns.sub.example. 3600 A 192.0.2.53",
            "ns1.example. 3600 A 192.0.2.1",
            "ns1.example. 3600 AAAA 2001:db8::1"
        ]
    );
    // The parent answers for DS at the cut (RFC 4035 3.1.4.1).
    let ds = ask("sub.example.", Rtype::DS);
    assert!(ds.header.is_authoritative() && ds.authority.len() == 1);
}

#[test]
fn dname_and_what_it_stands_for() {
    let message = ask("x.moved.example.", Rtype::A);
    assert_eq!(
        show(&message.answer),
        [
            "moved.example. 60 DNAME new.example.",
            "x.moved.example. 60 CNAME x.new.example.",
            "x.new.example. 60 A 192.0.2.4"
        ]
    );
    let label = "a".repeat(63);
    let long = format!("{label}.{label}.{label}.{}.moved.example.", "a".repeat(46));
    let mut target = served();
    target.store = Arc::new(ZoneStore::new(1));
    publish(&target.store, &EXAMPLE.replace("DNAME new", &format!("DNAME {label}.new")), Access::default());
    assert_eq!(Query::new(&long, Rtype::A).edns(1232, 0, &[]).ask(&target).rcode(), Rcode::YXDOMAIN);
}

#[test]
fn truncation_breaks_nothing_in_half() {
    let cut = Query::new("many.example.", Rtype::TXT).ask(&served());
    assert!(cut.header.is_truncated() && cut.answer.is_empty());
    let whole = Query::new("many.example.", Rtype::TXT).tcp().ask(&served());
    assert!(!whole.header.is_truncated() && whole.answer.len() == 20);
    // More than 1232 bytes are never sent over UDP, whatever the client offers.
    assert!(
        Query::new("many.example.", Rtype::TXT).edns(65_535, 0, &[]).ask(&served()).header.is_truncated()
    );
}

#[test]
fn any_is_one_rrset() {
    let message = ask("example.", Rtype::ANY);
    let types: Vec<Rtype> = message.answer.iter().map(|record| record.rtype).collect();
    assert!(!types.is_empty() && types.iter().all(|rtype| *rtype == types[0]));
}

#[test]
fn options_are_answered_when_asked_for() {
    let mut options = Vec::new();
    for code in [NSID, ZONEVERSION, EXPIRE, STAMP] {
        push_option(&mut options, code, &[]);
    }
    let message = Query::new("example.", Rtype::SOA).edns(1232, 0, &options).ask(&served());
    assert_eq!(message.option(NSID), Some(&b"ams1"[..]));
    assert_eq!(message.option(ZONEVERSION), Some(&[1, 0, 0, 0, 0, 7][..]));
    assert_eq!(message.option(EXPIRE), Some(&86_400u32.to_be_bytes()[..]));
    let told = message.option(STAMP).and_then(Told::read).unwrap();
    let stamp = told.served().unwrap();
    assert_eq!((stamp.serial.0, stamp.writer, stamp.published.unwrap().utc()), (7, 42, at(100).utc));
    let plain = Query::new("www.example.", Rtype::A).edns(1232, 0, &[]).ask(&served());
    assert!([NSID, ZONEVERSION, EXPIRE, STAMP].iter().all(|&code| plain.option(code).is_none()));
    assert!(Query::new("www.example.", Rtype::A).ask(&served()).opt.is_none());
}

#[test]
fn what_is_refused_and_why() {
    let ede = |message: &Message| message.option(EDE).map(|value| value[1]);
    let elsewhere = ask("www.invalid.", Rtype::A);
    assert_eq!((elsewhere.rcode(), ede(&elsewhere)), (Rcode::REFUSED, Some(20)));
    let empty = ask("www.empty.", Rtype::A);
    assert_eq!((empty.rcode(), ede(&empty)), (Rcode::SERVFAIL, Some(14)));
    assert_eq!(Query::new("example.", Rtype::A).edns(1232, 1, &[]).ask(&served()).rcode(), Rcode::BADVERS);
    assert_eq!(ask("test.", Rtype::AXFR).rcode(), Rcode::REFUSED);
    assert_eq!(ask("www.example.", Rtype::AXFR).rcode(), Rcode::NOTAUTH);
    assert_eq!(ask("example.", Rtype::MAILA).rcode(), Rcode::NOTIMP);
    let mut update = Query::new("example.", Rtype::SOA);
    update.bytes[2] = Opcode::UPDATE.0 << 3;
    assert_eq!(update.ask(&served()).rcode(), Rcode::NOTIMP);
}

#[test]
fn a_transfer_is_handed_on_over_tcp_only() {
    let query = Query::new("example.", Rtype::AXFR);
    let mut reply = Vec::new();
    let outcome = answer(&served(), at(200), &query.bytes, client(Via::Tcp), &mut reply);
    assert!(
        matches!(outcome, Outcome::Transfer(zone) if *zone.name() == name("example.")) && reply.is_empty()
    );
    assert_eq!(query.ask(&served()).rcode(), Rcode::NOTIMP);
    // What nobody gets is told apart, to be logged.
    for (zone, why) in [("test.", Rcode::REFUSED), ("www.example.", Rcode::NOTAUTH)] {
        let query = Query::new(zone, Rtype::IXFR);
        let outcome = answer(&served(), at(200), &query.bytes, client(Via::Tcp), &mut reply);
        assert!(matches!(outcome, Outcome::Reply(Path::Withheld(rcode)) if rcode == why), "{outcome:?}");
    }
}

#[test]
fn notify_is_heard_from_primaries_alone() {
    let notify = |zone: &str, from: &str| {
        let mut query = Query::new(zone, Rtype::SOA);
        query.bytes[2] = Opcode::NOTIFY.0 << 3;
        let mut reply = Vec::new();
        let source = Client { addr: from.parse().unwrap(), via: Via::Udp };
        let outcome = answer(&served(), at(200), &query.bytes, source, &mut reply);
        let rcode = Message::read(&reply).unwrap().rcode();
        match outcome {
            Outcome::Notified { .. } => (true, rcode),
            // What is counted is what is answered.
            Outcome::Reply(Path::Unheard(counted)) if counted == rcode => (false, rcode),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(notify("test.", "127.0.0.1:53"), (true, Rcode::NOERROR));
    assert_eq!(notify("test.", "127.0.0.2:53"), (false, Rcode::REFUSED));
    assert_eq!(notify("example.", "127.0.0.1:53"), (false, Rcode::NOTAUTH));
    assert_eq!(notify("invalid.", "127.0.0.1:53"), (false, Rcode::NOTAUTH));
}

#[test]
fn the_servers_own_names() {
    let mut served = served();
    let ask = |served: &Served, name: &str| {
        let mut query = Query::new(name, Rtype::TXT);
        let class = query.bytes.len() - 1;
        query.bytes[class] = CLASS_CH as u8;
        let mut reply = Vec::new();
        answer(served, at(200), &query.bytes, client(Via::Udp), &mut reply);
        (reply[3] & 0xf, reply.ends_with(b"\x08tidemark"), reply.ends_with(b"\x04ams1"))
    };
    assert_eq!(ask(&served, "VERSION.bind."), (0, true, false));
    assert_eq!(ask(&served, "hostname.bind."), (0, false, true));
    assert_eq!(ask(&served, "id.server."), (0, false, true));
    assert_eq!(ask(&served, "www.example."), (5, false, false));
    served.nsid = None;
    assert_eq!(ask(&served, "id.server."), (5, false, false));
}

#[test]
fn responses_and_scraps_meet_silence() {
    let mut response = Query::new("www.example.", Rtype::A).bytes;
    response[2] |= 0x80;
    let mut reply = Vec::new();
    for bytes in [&response[..], &response[..5], &[]] {
        assert!(matches!(answer(&served(), at(200), bytes, client(Via::Udp), &mut reply), Outcome::Drop));
    }
    assert!(reply.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever arrives: no panic, no response answered, every reply well formed and within its limit.
    #[test]
    fn replies_are_whole_and_short(
        changes in proptest::collection::vec((0usize..64, any::<u8>()), 0..6),
        cut in 0usize..80,
        pick in 0usize..6,
    ) {
        let names = ["www.example.", "x.moved.example.", "many.example.", "sub.example.", "any.wild.example.", "loop1.example."];
        let mut bytes = Query::new(names[pick], Rtype::TXT).edns(1232, 0, b"\x00\x03\x00\x00").bytes;
        for (at, byte) in changes {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(60)));
        let mut reply = Vec::new();
        let outcome = answer(&served(), at(200), &bytes, client(Via::Udp), &mut reply);
        if let Outcome::Reply(_) = outcome {
            prop_assert!(reply.len() <= 1232);
            let message = Message::read(&reply);
            prop_assert!(message.is_ok(), "{message:?} {reply:?}");
        } else {
            let notified = matches!(outcome, Outcome::Notified { .. });
            prop_assert!(reply.is_empty() || notified);
        }
    }
}
