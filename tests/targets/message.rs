//! A message from anybody: it gets the reply that is due, a whole one that keeps to its limit, by UDP, TCP and TLS, and the
//! same one by the fast path as by the general one. Requests and replies say here what they say to hickory-proto, where it
//! reads them. What a client or a secondary reads is read, too.

use std::sync::Arc;

use tidemark::answer::cached::turn_away;
use tidemark::answer::context::{Client, Outcome, Served};
use tidemark::answer::fast::{Fast, REPLY, Versions};
use tidemark::answer::respond;
use tidemark::answer::transfer::Transfer;
use tidemark::ask::reply::{self, Reading};
use tidemark::transfer::intake::{Asked, Intake, Limits};
use tidemark::transfer::ixfr_loop::Stuck;
use tidemark::transfer::notify::read_notify;
use tidemark::transfer::query;
use tidemark::wire::edns::UDP_PAYLOAD;
use tidemark::wire::message::{Header, Message, Opcode, Record, Request, flags};
use tidemark::wire::name::Name;
use tidemark::wire::plain::Names;
use tidemark::wire::via::Via;
use tidemark::wire::writer::{Section, Writer};
use tidemark::zone::serial::Serial;

use super::library::agrees;
use super::reached::reached;
use super::world::{nodes, now};

/// The longest message (RFC 1035 4.2.2).
const LONGEST: usize = 65_535;
/// The zones here take fewer messages to transfer.
const TRANSFER: usize = 50;

pub fn holds(bytes: &[u8]) {
    if bytes.len() > LONGEST {
        return;
    }
    for served in nodes() {
        for from in ["127.0.0.1:53", "[2001:db8::1]:5353"] {
            let [datagram, stream, encrypted] =
                Via::ALL.map(|via| asked(served, bytes, Client { addr: from.parse().unwrap(), via }));
            if let (Some(datagram), Some(stream), Some(encrypted)) = (datagram, stream, encrypted) {
                are_alike(&datagram, &stream);
                are_alike(&stream, &encrypted);
            }
        }
    }
    heard(bytes);
    if agrees(bytes) {
        reached("read by hickory-proto too");
    }
}

/// Asks by the general path, and by the fast one where it answers; returns the reply as it reads.
fn asked(served: &Served, bytes: &[u8], from: Client) -> Option<Message> {
    let mut reply = Vec::new();
    let outcome = respond::answer(served, now(), bytes, from, &mut reply);
    match &outcome {
        Outcome::Reply(_) | Outcome::Notified { .. } => {}
        Outcome::Drop => {
            let is_due = Header::read(bytes).is_some_and(|header| !header.is_response());
            assert!(!is_due && reply.is_empty(), "a request is not answered");
        }
        Outcome::FollowUp(_) => {
            assert!(reply.is_empty() && served.recursion.is_some());
            turn_away(served, now(), bytes, from, &mut reply);
        }
        Outcome::Transfer(zone) => {
            assert!(reply.is_empty() && from.via.is_stream());
            let mut transfer = Transfer::begin(Arc::clone(zone), bytes, now(), from, &mut Stuck::default());
            let (mut count, mut message) = (0, Vec::new());
            while count < TRANSFER && transfer.write_next(served, &mut message) {
                is_whole(bytes, &message, LONGEST);
                message.clear();
                count += 1;
            }
            assert!((1..TRANSFER).contains(&count), "{count} messages");
            reached("transferred");
        }
    }
    let mut room = [0xaa; REPLY];
    let directory = served.store.directory();
    let versions = Versions::<1>::default();
    let mut plain = Fast::read(served, &directory, &versions, bytes);
    plain.iter_mut().for_each(Fast::fetch);
    let mut names = Names::default();
    let fast = plain.as_ref().and_then(|plain| plain.answer(served, now(), from, &mut room, &mut names));
    if let Some(length) = fast {
        assert!(matches!(outcome, Outcome::Reply(_)), "{outcome:?}");
        is_whole(bytes, &room[..length], limit(bytes, from.via));
        agree(bytes, &room[..length], &reply);
        reached("answered by the fast path");
    }
    if reply.is_empty() {
        return None;
    }
    is_whole(bytes, &reply, limit(bytes, from.via));
    Some(Message::read(&reply).unwrap())
}

/// How long the reply may be (RFC 1035 4.2.1, RFC 6891 6.2.5).
fn limit(bytes: &[u8], via: Via) -> usize {
    let opt =
        Request::read(bytes).or_else(|_| Request::read_bare(bytes)).ok().and_then(|request| request.opt);
    match opt {
        _ if via.is_stream() => LONGEST,
        Some(opt) => usize::from(opt.payload.clamp(512, UDP_PAYLOAD)),
        None => 512,
    }
}

/// A reply to the request, as two readers that know nothing of each other find.
fn is_whole(request: &[u8], reply: &[u8], limit: usize) {
    assert!(reply.len() <= limit, "{} bytes of {limit}", reply.len());
    let message = match Message::read(reply) {
        Ok(message) => message,
        Err(error) => panic!("{error}: {}", reply.escape_ascii()),
    };
    assert!(agrees(reply), "hickory-proto does not read {}", reply.escape_ascii());
    let (asked, header) = (Header::read(request).unwrap(), message.header);
    assert!(header.is_response() && header.id == asked.id && header.opcode() == asked.opcode());
    // Only a query has something to desire (RFC 1035 4.1.1, RFC 1996 3.3).
    if asked.opcode() == Opcode::QUERY {
        assert_eq!(header.flags & flags::RD, asked.flags & flags::RD);
    }
    // Reserved, and for DNSSEC validators to set.
    assert_eq!(header.flags & (0x40 | flags::AD), 0);
    if let (Ok(request), Some(question)) = (Request::read(request), &message.question) {
        assert_eq!(question.name.as_wire(), request.name.as_wire());
        assert_eq!((question.rtype, question.class), (request.rtype, request.class));
        // A reply has an OPT record exactly when its request has one (RFC 6891 6.1.1); a transfer, in its first message.
        assert!(message.opt.is_none() || request.opt.is_some());
    }
}

/// What the fast path says, the general one says.
fn agree(request: &[u8], fast: &[u8], general: &[u8]) {
    let (ours, theirs) = (Message::read(fast).unwrap(), Message::read(general).unwrap());
    assert_eq!(ours.header, theirs.header);
    let question = 12..Request::read(request).unwrap().question_end;
    assert_eq!(fast[question.clone()], general[question], "the question's own bytes");
    assert_eq!((&ours.question, &ours.opt), (&theirs.question, &theirs.opt));
    assert_eq!(ours.answer, theirs.answer);
    assert_eq!(ours.authority, theirs.authority);
    assert_eq!(ours.additional, theirs.additional);
    assert!(fast.len() <= general.len(), "{} bytes instead of {}", fast.len(), general.len());
}

/// By a stream the answer is the same, but for what had no room.
fn are_alike(datagram: &Message, stream: &Message) {
    assert_eq!(datagram.header.id, stream.header.id);
    let is_part = |part: &[Record], whole: &[Record]| part.iter().all(|record| whole.contains(record));
    if datagram.header.opcode() != Opcode::QUERY
        || datagram.header.rcode() != stream.header.rcode()
        || datagram.question.as_ref().is_some_and(|question| question.rtype.is_meta())
    {
        return;
    }
    assert!(!stream.header.is_truncated());
    if datagram.header.is_truncated() {
        assert!(is_part(&datagram.answer, &stream.answer));
        return;
    }
    assert_eq!(datagram.answer, stream.answer);
    assert_eq!(datagram.authority, stream.authority);
    assert!(is_part(&datagram.additional, &stream.additional));
}

/// Reads the bytes as those do who await a reply or are told of a change.
fn heard(bytes: &[u8]) {
    let zone: Name = "example.".parse().unwrap();
    let _ = read_notify(bytes);
    for asked in [query::soa(&zone, None), query::axfr(&zone, Some(Serial(1)))] {
        let id = Header::read(bytes).map_or(0, |header| header.id);
        if let Reading::Reply(message) = reply::read(&asked, id, bytes) {
            let _ = query::read_soa(&zone, &message);
        }
    }
    for asked in [Asked::Axfr, Asked::Ixfr(Serial(1))] {
        let mut intake = Intake::new(zone.clone(), asked, Limits { bytes: 1 << 20, records: 1 << 12 });
        let _ = intake.feed(bytes);
        let _ = intake.feed(bytes);
    }
    if let Ok(message) = Message::read(bytes) {
        rewritten(&message);
    }
}

/// What was read is written so that it reads the same.
fn rewritten(message: &Message) {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, LONGEST, message.header.id, message.header.flags);
    if let Some(question) = &message.question {
        writer.question(&question.name, question.rtype, question.class).unwrap();
    }
    let sections = [
        (Section::Answer, &message.answer),
        (Section::Authority, &message.authority),
        (Section::Additional, &message.additional),
    ];
    // Decompressed, it may be longer than any message.
    let written = sections.iter().try_for_each(|(section, records)| {
        records.iter().try_for_each(|record| writer.push(*section, record))
    });
    writer.finish();
    let again = Message::read(&bytes).unwrap();
    if written.is_ok() {
        assert_eq!(again.question, message.question);
        assert_eq!(again.answer, message.answer);
        assert_eq!(again.authority, message.authority);
        assert_eq!(again.additional, message.additional);
    }
}
