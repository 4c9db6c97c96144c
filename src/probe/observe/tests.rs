use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::wire::message::Request;
use crate::wire::writer::{Section, Writer};
use crate::zone::digest::Digest;
use crate::zone::stamp::Stamp;

use super::*;
use crate::ask::exchange::{Failure, Transport};
use crate::ask::support::Support;
use crate::time::Utc;
use crate::wire::rtype::{Rcode, Rtype};
use crate::zone::serial::Serial;
use crate::zone::stamp::Told;

fn at(milli: u64) -> Now {
    Now { mono: Mono(milli * 1_000), utc: Utc(1_700_000_000_000_000 + milli * 1_000) }
}

/// Does something with what a call has at hand, and a memory of servers of its own.
fn call<T>(now: Now, out: &mut Outbox, act: impl FnOnce(&mut Call<'_>) -> T) -> T {
    let (rng, support) = (&mut StdRng::seed_from_u64(1), &mut Support::default());
    act(&mut Call { now, rng, support, out })
}

fn arrive(probe: &mut Probe, now: Now, token: Token, arrival: Arrival, out: &mut Outbox) -> Option<Event> {
    call(now, out, |call| probe.arrived(token, &arrival, call))
}

fn wait_out(probe: &mut Probe, now: Now, out: &mut Outbox) -> Option<Event> {
    call(now, out, |call| probe.handle_timeout(call))
}

fn zone() -> Name {
    "example.".parse().unwrap()
}

fn server() -> SocketAddr {
    ([127, 0, 0, 1], 5301).into()
}

/// Mname and rname are the root.
fn soa(serial: u32) -> Vec<u8> {
    [0, serial, 3_600, 600, 864_000, 300]
        .iter()
        .enumerate()
        .flat_map(|(at, number)| if at == 0 { vec![0, 0] } else { number.to_be_bytes().to_vec() })
        .collect()
}

/// The answer to a query: one SOA record, and these options.
fn answer(query: &[u8], bits: u16, rcode: Rcode, serial: u32, options: Option<&[u8]>) -> Arrival {
    let request = Request::read(query).unwrap();
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 1_232, request.header.id, flags::QR | bits);
    writer.question(request.name, request.rtype, request.class).unwrap();
    if rcode == Rcode::NOERROR {
        writer.record(Section::Answer, &zone(), Rtype::SOA, 900, &soa(serial)).unwrap();
    }
    match options {
        Some(options) => writer.opt(1_232, rcode, false, options).unwrap(),
        None => writer.set_rcode(rcode),
    }
    writer.finish();
    Arrival::Message(bytes)
}

fn start(ask: Ask, out: &mut Outbox) -> Probe {
    call(at(0), out, |call| Probe::start(ask, PATIENCE, call))
}

#[test]
fn everything_that_a_server_tells_is_seen() {
    let mut out = Outbox::default();
    let mut probe = start(Ask { have: Some(Serial(6)), ..Ask::soa(server(), zone()) }, &mut out);
    let sent = out.exchanges.remove(0);
    assert_eq!((sent.to, sent.transport), (server(), Transport::Udp));
    let request = Request::read(&sent.message).unwrap();
    let asked: Vec<u16> = request.opt.unwrap().options().map(|(code, _)| code).collect();
    assert_eq!(asked, [edns::ZONEVERSION, edns::NSID, edns::EXPIRE, edns::STAMP]);
    assert_eq!(request.opt.unwrap().option(edns::STAMP), Some(&[0, 0, 0, 6][..]));

    let stamp = Stamp { serial: Serial(7), published: None, digest: Digest::from_bytes([0; 32]), writer: 0 };
    let told =
        Told { age: Duration::from_millis(250), is_verified: true, stamps: vec![stamp], ..Told::default() };
    let mut options = Vec::new();
    push_option(&mut options, edns::ZONEVERSION, &[1, 0, 0, 0, 0, 7]);
    push_option(&mut options, edns::NSID, b"ams1");
    push_option(&mut options, edns::EXPIRE, &863_990_u32.to_be_bytes());
    push_option(&mut options, edns::STAMP, &told.write());
    let reply = answer(&sent.message, flags::AA, Rcode::NOERROR, 7, Some(&options));
    let event = arrive(&mut probe, at(4), sent.token, reply, &mut out);
    let Some(Event::Seen(seen)) = event else { panic!("{event:?}") };
    assert_eq!((seen.serial, seen.asked), (Some(Serial(7)), Some(Serial(6))));
    assert_eq!((seen.sent, seen.received, seen.sent_utc), (at(0).mono, at(4).mono, at(0).utc));
    assert_eq!((seen.expire, seen.soa_expire, seen.negative_ttl), (Some(863_990), Some(864_000), Some(300)));
    assert_eq!((seen.nsid.as_deref(), seen.authoritative), (Some(&b"ams1"[..]), true));
    assert_eq!(seen.verified_age(), Some(Duration::from_millis(250)));
    assert_eq!(Observation { told: None, ..seen }.verified_age(), Some(Duration::from_secs(10)));
    assert_eq!(out.cancels, [sent.token]);
}

#[test]
fn a_late_answer_counts_for_the_question_it_answers() {
    let mut out = Outbox::default();
    let mut probe = start(Ask::soa(server(), zone()), &mut out);
    assert_eq!(wait_out(&mut probe, at(299), &mut out), None);
    assert_eq!((wait_out(&mut probe, at(300), &mut out), out.exchanges.len()), (None, 2));
    assert_eq!(probe.next_timeout(), Some(at(900).mono));
    let first = out.exchanges.remove(0);
    let reply = answer(&first.message, flags::AA, Rcode::NOERROR, 7, None);
    let event = arrive(&mut probe, at(400), first.token, reply, &mut out);
    let Some(Event::Seen(seen)) = event else { panic!("{event:?}") };
    assert_eq!((seen.sent, seen.received), (at(0).mono, at(400).mono));
    assert_eq!(out.cancels.len(), 2);
}

#[test]
fn three_questions_without_an_answer_are_silence() {
    let mut out = Outbox::default();
    let mut probe = start(Ask::soa(server(), zone()), &mut out);
    for due in [300, 900] {
        assert_eq!(wait_out(&mut probe, at(due), &mut out), None);
    }
    let event = wait_out(&mut probe, at(2_100), &mut out);
    assert_eq!(event, Some(Event::Silent { server: server(), zone: zone(), since: at(0).mono }));
    assert_eq!((out.exchanges.len(), out.cancels.len()), (3, 3));
}

#[test]
fn answers_that_show_nothing_say_why() {
    let reasons = [
        (0, Rcode::NOERROR, Reason::NotAuthoritative),
        (flags::AA, Rcode::NOTAUTH, Reason::Rcode(Rcode::NOTAUTH)),
        (flags::AA, Rcode::NXDOMAIN, Reason::Rcode(Rcode::NXDOMAIN)),
    ];
    for (bits, rcode, expected) in reasons {
        let mut out = Outbox::default();
        let mut probe = start(Ask::soa(server(), zone()), &mut out);
        let sent = out.exchanges.remove(0);
        let reply = answer(&sent.message, bits, rcode, 7, Some(&[]));
        let event = arrive(&mut probe, at(1), sent.token, reply, &mut out);
        assert!(matches!(event, Some(Event::Failed { reason, .. }) if reason == expected), "{event:?}");
    }
    let mut out = Outbox::default();
    let mut probe = start(Ask::soa(server(), zone()), &mut out);
    let refused = Arrival::Failed(Failure::Refused);
    let event = arrive(&mut probe, at(1), out.exchanges[0].token, refused, &mut out);
    assert!(matches!(event, Some(Event::Failed { reason: Reason::Network(Failure::Refused), .. })));
}

#[test]
fn an_answer_that_was_cut_is_asked_for_over_tcp() {
    let mut out = Outbox::default();
    let mut probe = start(Ask::soa(server(), zone()), &mut out);
    let first = out.exchanges.remove(0);
    let cut = answer(&first.message, flags::AA | flags::TC, Rcode::NOERROR, 7, Some(&[]));
    assert_eq!(arrive(&mut probe, at(1), first.token, cut, &mut out), None);
    let second = out.exchanges.remove(0);
    assert_eq!(second.transport, Transport::Tcp);
    let whole = answer(&second.message, flags::AA, Rcode::NOERROR, 7, Some(&[]));
    let event = arrive(&mut probe, at(2), second.token, whole, &mut out);
    assert!(matches!(event, Some(Event::Seen(seen)) if seen.serial == Some(Serial(7))));

    let mut out = Outbox::default();
    let mut probe = start(Ask::soa(server(), zone()), &mut out);
    for left in [None, Some(Reason::Truncated)] {
        let sent = out.exchanges.remove(0);
        let cut = answer(&sent.message, flags::AA | flags::TC, Rcode::NOERROR, 7, Some(&[]));
        let event = arrive(&mut probe, at(1), sent.token, cut, &mut out);
        let said = event.map(|event| match event {
            Event::Failed { reason, .. } => reason,
            other => panic!("{other:?}"),
        });
        assert_eq!(said, left);
    }
}

#[test]
fn a_refusal_is_told_once_it_is_known_not_to_be_due_to_edns() {
    let mut out = Outbox::default();
    let mut probe = start(Ask::soa(server(), zone()), &mut out);
    let mut event = None;
    for level in ["options", "an OPT record", "nothing"] {
        assert_eq!(event, None, "{level}");
        let sent = out.exchanges.remove(0);
        let refusal = answer(&sent.message, 0, Rcode::REFUSED, 0, None);
        event = arrive(&mut probe, at(1), sent.token, refusal, &mut out);
    }
    let refused = Reason::Rcode(Rcode::REFUSED);
    assert!(matches!(event, Some(Event::Failed { reason, .. }) if reason == refused), "{event:?}");
}

#[test]
fn a_server_that_stumbles_over_options_is_seen_all_the_same() {
    for rcode in [Rcode::FORMERR, Rcode::NOTIMP, Rcode::REFUSED, Rcode::SERVFAIL, Rcode::BADVERS] {
        let mut out = Outbox::default();
        let mut probe = start(Ask::soa(server(), zone()), &mut out);
        let mut event = None;
        for _ in 0..3 {
            let Some(sent) = out.exchanges.pop() else { break };
            let has_edns = Request::read(&sent.message).unwrap().opt.is_some();
            let reply = match has_edns {
                true => answer(&sent.message, 0, rcode, 0, (rcode == Rcode::BADVERS).then_some(&[])),
                false => answer(&sent.message, flags::AA, Rcode::NOERROR, 7, None),
            };
            event = arrive(&mut probe, at(1), sent.token, reply, &mut out);
        }
        assert!(matches!(&event, Some(Event::Seen(seen)) if seen.serial == Some(Serial(7))), "{event:?}");
    }
}

#[test]
fn the_answer_to_another_question_is_waited_past() {
    let mut out = Outbox::default();
    let mut probe = start(Ask::soa(server(), zone()), &mut out);
    let sent = out.exchanges.remove(0);
    let other = Writer::query(1, 0, &zone(), Rtype::NS, &[]);
    let reply = answer(&other, flags::AA, Rcode::NOERROR, 7, None);
    assert_eq!(arrive(&mut probe, at(1), sent.token, reply, &mut out), None);
    let question = Arrival::Message(sent.message.clone());
    assert_eq!(arrive(&mut probe, at(1), sent.token, question, &mut out), None);
    assert!(out.cancels.is_empty());
}

#[test]
fn a_cache_shows_a_record_behind_an_alias() {
    let mut out = Outbox::default();
    let name: Name = "www.example.".parse().unwrap();
    let target: Name = "host.example.".parse().unwrap();
    let ask = Ask { name: name.clone(), rtype: Rtype::A, recursive: true, ..Ask::soa(server(), zone()) };
    let mut probe = start(ask, &mut out);
    let sent = out.exchanges.remove(0);
    let request = Request::read(&sent.message).unwrap();
    assert_ne!(request.header.flags & flags::RD, 0);
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 1_232, request.header.id, flags::QR | flags::RA);
    writer.question(request.name, request.rtype, request.class).unwrap();
    writer.record(Section::Answer, &name, Rtype::CNAME, 60, target.as_wire()).unwrap();
    writer.record(Section::Answer, &target, Rtype::A, 30, &[192, 0, 2, 1]).unwrap();
    writer.finish();
    let event = arrive(&mut probe, at(1), sent.token, Arrival::Message(bytes), &mut out);
    let Some(Event::Seen(seen)) = event else { panic!("{event:?}") };
    assert_eq!((seen.records.len(), &seen.records[0].owner, seen.serial), (1, &target, None));
}

#[test]
fn a_referral_to_a_delegation_is_told_with_its_ttl() {
    for (cut, expected) in [
        ("sub.example.", Reason::Delegated(90)),
        // These hide nothing that was asked for.
        ("example.", Reason::NotAuthoritative),
        ("other.example.", Reason::NotAuthoritative),
        (".", Reason::NotAuthoritative),
    ] {
        let mut out = Outbox::default();
        let ask =
            Ask { name: "www.sub.example.".parse().unwrap(), rtype: Rtype::A, ..Ask::soa(server(), zone()) };
        let mut probe = start(ask, &mut out);
        let sent = out.exchanges.remove(0);
        let request = Request::read(&sent.message).unwrap();
        let mut reply = Vec::new();
        let mut writer = Writer::new(&mut reply, 1_232, request.header.id, flags::QR);
        writer.question(request.name, request.rtype, request.class).unwrap();
        let owner: Name = cut.parse().unwrap();
        writer.record(Section::Authority, &owner, Rtype::NS, 90, zone().as_wire()).unwrap();
        writer.opt(1_232, Rcode::NOERROR, false, &[]).unwrap();
        writer.finish();
        let event = arrive(&mut probe, at(1), sent.token, Arrival::Message(reply), &mut out);
        assert!(matches!(event, Some(Event::Failed { reason, .. }) if reason == expected), "{cut} {event:?}");
    }
}
