//! NOTIFY in virtual time: the schedule, coalescing, supersession, answers.

use super::*;
use crate::ask::query::Level;
use crate::time::{Hlc, Utc};
use crate::wire::edns::UDP_PAYLOAD;
use crate::wire::message::{Request, flags};
use crate::wire::writer::Writer;
use crate::zone::digest::Digest;

const TARGET: &str = "127.0.0.2:53";

/// Writes the response to a NOTIFY (RFC 1996 section 4.7): NOERROR where it is heard, else NOTAUTH or REFUSED.
fn acknowledge(request: &Request<'_>, rcode: Rcode, reply: &mut Vec<u8>) {
    let mut writer = Writer::new(reply, usize::from(UDP_PAYLOAD), request.header.id, flags::QR | flags::AA);
    writer.set_flags(u16::from(Opcode::NOTIFY.0) << 11);
    // A question and an empty OPT record are far below the limit.
    let _ = writer.question(request.name, request.rtype, request.class);
    writer.set_rcode(rcode);
    if request.opt.is_some() {
        let _ = writer.opt(UDP_PAYLOAD, rcode, false, &[]);
    }
    writer.finish();
}

fn at(millis: u64) -> Now {
    Now { mono: Mono(millis * 1_000), utc: Utc(millis * 1_000) }
}

fn zone() -> Name {
    "Example.".parse().unwrap()
}

fn soa(serial: u32) -> Record {
    let mut rdata = b"\x02ns\x07Example\x00\x05admin\x07Example\x00".to_vec();
    for number in [serial, 3_600, 600, u32::MAX, 60] {
        rdata.extend_from_slice(&number.to_be_bytes());
    }
    Record { owner: zone(), rtype: Rtype::SOA, ttl: 60, rdata: rdata.into() }
}

fn news(serial: u32) -> News {
    News { soa: soa(serial), stamps: Vec::new() }
}

fn notifier() -> Notifier {
    Notifier::new(zone(), vec![TARGET.parse().unwrap()], 7)
}

/// Runs timers until nothing is due; when what was sent, and what came of it.
fn run_out(notifier: &mut Notifier, out: &mut Outbox) -> (Vec<u64>, Vec<Event>) {
    let (mut sent, mut events) = (Vec::new(), Vec::new());
    while let Some(due) = notifier.next_timeout() {
        events.extend(notifier.handle_timeout(Now { mono: due, utc: Utc(due.0) }, out));
        sent.extend(out.exchanges.drain(..).map(|_| due.0 / 1_000));
    }
    (sent, events)
}

fn reply(request: &[u8], rcode: Rcode) -> Arrival {
    let mut reply = Vec::new();
    acknowledge(&Request::read(request).unwrap(), rcode, &mut reply);
    Arrival::Message(reply)
}

#[test]
fn unanswered_notifies_follow_the_schedule_and_end() {
    let (mut notifier, mut out) = (notifier(), Outbox::default());
    notifier.publish(at(1_000), news(5), &mut out);
    assert_eq!(out.exchanges.drain(..).count(), 1);
    let (sent, events) = run_out(&mut notifier, &mut out);
    assert_eq!(sent, [1_100, 1_300, 1_500, 1_900, 2_700, 4_300, 7_500, 13_900]);
    assert_eq!(events, [Event::Unanswered { target: TARGET.parse().unwrap(), serial: Serial(5) }]);
    assert_eq!(out.cancels.len(), POLICY.datagrams.len());
}

#[test]
fn the_request_is_read_back_and_any_of_its_copies_may_be_answered() {
    let (mut notifier, mut out) = (notifier(), Outbox::default());
    notifier.publish(at(1_000), news(5), &mut out);
    notifier.handle_timeout(at(1_100), &mut out);
    let first = out.exchanges[0].clone();
    assert_ne!(first.message, out.exchanges[1].message, "each copy has an id of its own");
    assert_eq!(
        read_notify(&first.message),
        Some(Notify { zone: zone(), serial: Some(Serial(5)), stamps: Vec::new() })
    );
    let whole = Message::read(&first.message).unwrap();
    assert_eq!(whole.answer, [soa(5)]);
    assert!(
        notifier.arrived(at(1_150), Token(99), &reply(&first.message, Rcode::NOERROR), &mut out).is_empty()
    );
    assert!(
        notifier
            .arrived(at(1_150), first.token, &Arrival::Message(first.message.clone()), &mut out)
            .is_empty()
    );
    assert!(notifier.arrived(at(1_150), first.token, &Arrival::Message(vec![1; 40]), &mut out).is_empty());
    let events = notifier.arrived(at(1_150), first.token, &reply(&first.message, Rcode::NOERROR), &mut out);
    let (target, serial) = (first.to, Serial(5));
    assert_eq!(events, [Event::Acknowledged { target, serial, took: Duration::from_millis(150) }]);
    assert_eq!((notifier.next_timeout(), out.cancels.len()), (None, 2));
}

#[test]
fn who_lacks_a_version_or_two_is_told_since_when() {
    let stamp = |serial: u32| Stamp {
        serial: Serial(serial),
        published: Some(Hlc::at(at(u64::from(serial)).utc)),
        digest: Digest::from_bytes([serial as u8; 32]),
        writer: 1,
    };
    let (mut notifier, mut out) = (notifier(), Outbox::default());
    let stamps: Vec<Stamp> = (3..=6).rev().map(stamp).collect();
    notifier.publish(at(1_000), News { stamps: stamps.clone(), ..news(6) }, &mut out);
    let heard = read_notify(&out.exchanges[0].message).unwrap();
    assert_eq!((heard.serial, &heard.stamps), (Some(Serial(6)), &stamps));
    for (have, next) in [(2, None), (3, Some(4)), (5, Some(6)), (6, None)] {
        assert_eq!(heard.successor_of(Serial(have)).copied(), next.map(stamp), "after {have}");
    }
    // A target that takes no options hears of it without.
    let answer = reply(&out.exchanges[0].message, Rcode::FORMERR);
    assert!(notifier.arrived(at(1_010), out.exchanges[0].token, &answer, &mut out).is_empty());
    let plain = read_notify(&out.exchanges[1].message).unwrap();
    assert_eq!((plain.serial, plain.stamps), (Some(Serial(6)), Vec::new()));
}

#[test]
fn a_refusal_ends_it_too() {
    let (mut notifier, mut out) = (notifier(), Outbox::default());
    notifier.publish(at(1_000), news(5), &mut out);
    let first = out.exchanges.remove(0);
    let events = notifier.arrived(at(1_001), first.token, &reply(&first.message, Rcode::NOTAUTH), &mut out);
    assert_eq!(events, [Event::Refused { target: first.to, serial: Serial(5), rcode: Rcode::NOTAUTH }]);
    assert_eq!(notifier.next_timeout(), None);
}

#[test]
fn answers_with_bytes_behind_count_and_those_to_others_do_not() {
    let (mut notifier, mut out) = (notifier(), Outbox::default());
    notifier.publish(at(1_000), news(5), &mut out);
    let first = out.exchanges.remove(0);
    let Arrival::Message(good) = reply(&first.message, Rcode::NOERROR) else { panic!("not a message") };
    let mut wrong_id = good.clone();
    wrong_id[0] ^= 1;
    let mut wrong_question = good.clone();
    wrong_question[14] ^= 1;
    for bytes in [wrong_id, wrong_question] {
        assert!(notifier.arrived(at(1_001), first.token, &Arrival::Message(bytes), &mut out).is_empty());
    }
    // What cannot be delivered now may be at the next time.
    let gone = Arrival::Failed(crate::ask::exchange::Failure::Refused);
    assert!(notifier.arrived(at(1_002), first.token, &gone, &mut out).is_empty());
    notifier.handle_timeout(at(1_100), &mut out);
    let second = out.exchanges.remove(0);
    let Arrival::Message(mut bytes) = reply(&second.message, Rcode::NOERROR) else { panic!("not a message") };
    bytes.extend_from_slice(&[0; 5]);
    let events = notifier.arrived(at(1_110), second.token, &Arrival::Message(bytes), &mut out);
    assert!(matches!(events[..], [Event::Acknowledged { .. }]), "{events:?}");
}

#[test]
fn changes_close_together_go_out_together() {
    let (mut notifier, mut out) = (notifier(), Outbox::default());
    for (millis, serial) in [(1_000, 5), (1_010, 6), (1_099, 7)] {
        notifier.publish(at(millis), news(serial), &mut out);
    }
    assert_eq!(out.exchanges.drain(..).count(), 1, "the first goes out at once");
    assert_eq!(notifier.next_timeout(), Some(at(1_100).mono));
    notifier.handle_timeout(at(1_100), &mut out);
    let second = out.exchanges.remove(0);
    assert_eq!(read_notify(&second.message).unwrap().serial, Some(Serial(7)));
    let events = notifier.arrived(at(1_105), second.token, &reply(&second.message, Rcode::NOERROR), &mut out);
    assert!(matches!(events[..], [Event::Acknowledged { took, .. }] if took == Duration::from_millis(6)));
    notifier.publish(at(1_200), news(8), &mut out);
    assert_eq!(out.exchanges.len(), 1, "long enough after the last");
}

#[test]
fn a_newer_version_takes_the_place_of_an_older_one() {
    let (mut notifier, mut out) = (notifier(), Outbox::default());
    notifier.publish(at(1_000), news(5), &mut out);
    let old = out.exchanges.remove(0);
    notifier.publish(at(3_000), news(6), &mut out);
    out.exchanges.clear();
    assert!(
        notifier.arrived(at(3_001), old.token, &reply(&old.message, Rcode::NOERROR), &mut out).is_empty()
    );
    let (sent, events) = run_out(&mut notifier, &mut out);
    assert_eq!(sent, [3_100, 3_300, 3_500, 3_900, 4_700, 6_300, 9_500, 15_900]);
    assert_eq!(events, [Event::Unanswered { target: old.to, serial: Serial(6) }]);
}

#[test]
fn what_is_no_notify_is_not_read_as_one() {
    let query = Writer::query(1, 0, &zone(), Rtype::SOA, &[]);
    assert_eq!(read_notify(&query), None);
    let bare = Query { record: None, ..super::query(&zone(), &news(1)) }.write(1, Level::Plain);
    assert_eq!(read_notify(&bare), Some(Notify { zone: zone(), serial: None, stamps: Vec::new() }));
    let Arrival::Message(response) = reply(&bare, Rcode::NOERROR) else { panic!("not a message") };
    assert_eq!(read_notify(&response), None);
    for cut in 0..bare.len() {
        assert_eq!(read_notify(&bare[..cut]), None);
    }
}

#[test]
fn a_target_that_is_seen_to_be_behind_is_told_again_ever_more_seldom() {
    let (mut notifier, mut out) = (notifier(), Outbox::default());
    let target: SocketAddr = TARGET.parse().unwrap();
    notifier.publish(at(1_000), news(5), &mut out);
    notifier.remind(at(1_500), target, &news(5), &mut out);
    assert_eq!(out.exchanges.drain(..).count(), 1, "it is being told");
    let (_, events) = run_out(&mut notifier, &mut out);
    assert_eq!(events.len(), 1);
    // Seen every second from then on, and always behind.
    let mut told = Vec::new();
    for second in 30..400 {
        notifier.remind(at(second * 1_000), target, &news(5), &mut out);
        for exchange in out.exchanges.drain(..).collect::<Vec<_>>() {
            assert_eq!(
                read_notify(&exchange.message),
                Some(Notify { zone: zone(), serial: Some(Serial(5)), stamps: Vec::new() })
            );
            told.push(second);
            notifier.arrived(
                at(second * 1_000),
                exchange.token,
                &reply(&exchange.message, Rcode::NOERROR),
                &mut out,
            );
        }
    }
    assert_eq!(told, [30, 40, 60, 100, 180, 340]);
    notifier.remind(at(500_000), "127.0.0.9:53".parse().unwrap(), &news(5), &mut out);
    assert!(out.exchanges.is_empty(), "it is not among the targets");
    // A new version begins from the start.
    notifier.publish(at(600_000), news(6), &mut out);
    let (_, events) = run_out(&mut notifier, &mut out);
    assert_eq!(events.len(), 1);
    out.exchanges.clear();
    notifier.remind(at(630_000), target, &news(6), &mut out);
    assert_eq!(out.exchanges.len(), 1);
}
