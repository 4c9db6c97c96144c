//! What is provided, read back by the intake of the other side.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::fixture::{Node, address, apex, at, hosts, record, records, snapshot, soa};
use super::super::intake::{Asked, Intake, Limits, Outcome};
use super::super::query;
use super::super::tests::{Given, given, served};
use super::*;
use crate::answer::context::{Client, Outcome as Outcomes};
use crate::answer::respond;
use crate::ask::query::Level;
use crate::publish::access::Access;
use crate::publish::proposal::Proposal;
use crate::publish::transferred::Transferred;
use crate::wire::edns::{STAMP, UDP_PAYLOAD};
use crate::wire::via::Via;
use crate::zone::serial::Policy;
use crate::zone::soa::Timers;

/// A primary that published serials 1 to `last`, the version with serial n having 10 n hosts.
fn primary(last: u16) -> Node {
    let mut node = Node::primary();
    (1..=last)
        .for_each(|serial| node.edit(at(u64::from(serial) * 100), u32::from(serial), &hosts(10 * serial)));
    node
}

fn ask(node: &Node, message: &[u8], stuck: &mut Stuck) -> Given {
    given(node, message, at(60_000), address(2), stuck)
}

fn take(asked: Asked, messages: impl Iterator<Item = Vec<u8>>) -> Outcome {
    let mut intake = Intake::new(apex(), asked, Limits::default());
    let mut last = Outcome::More;
    for message in messages {
        assert!(matches!(last, Outcome::More), "messages behind the end");
        last = intake.feed(&message);
    }
    last
}

fn full(
    asked: Asked,
    messages: impl Iterator<Item = Vec<u8>>,
) -> (crate::zone::snapshot::Snapshot, Option<Told>) {
    match take(asked, messages) {
        Outcome::Full(content, told) => (content.content(None).unwrap().0, told),
        other => panic!("not the whole zone: {other:?}"),
    }
}

fn ixfr_from(serial: u32) -> Vec<u8> {
    query::ixfr(&soa(serial)).write(9, Level::Options)
}

#[test]
fn axfr_brings_the_zone_and_its_stamp() {
    let node = primary(2);
    let provided = ask(&node, &query::axfr(&apex(), None).write(9, Level::Options), &mut Stuck::default());
    assert_eq!(provided.transfer.kind(), Ok(Kind::Axfr));
    let (snapshot, told) = full(Asked::Axfr, provided);
    let version = node.zone().version().unwrap();
    assert_eq!((snapshot.digest(), snapshot.serial()), (version.snapshot.digest(), version.stamp.serial));
    let clock = told.as_ref().and_then(|told| told.clock);
    assert_eq!(clock.map(|(_, error)| error), Some(Duration::ZERO), "its own");
    let stamps = vec![version.stamp];
    assert_eq!(told, Some(Told { is_verified: true, clock, stamps, ..Told::default() }));
}

#[test]
fn only_the_first_message_has_a_question_and_tells_of_versions() {
    let node = primary(9);
    let request = query::axfr(&apex(), None).write(9, Level::Options);
    let provided = ask(&node, &request, &mut Stuck::default()).with_message_bytes(300);
    let messages: Vec<Message> = provided.map(|bytes| Message::read(&bytes).unwrap()).collect();
    assert!(messages.len() > 10);
    for (at, message) in messages.iter().enumerate() {
        let tells = message.opt.as_ref().map(|opt| opt.get().option(STAMP).is_some());
        assert_eq!((message.question.is_some(), tells), (at == 0, Some(at == 0)));
        assert!(message.header.id == 9 && message.header.is_authoritative());
    }
    let (first, last) = (&messages[0].answer[0], messages.last().unwrap().answer.last().unwrap());
    assert_eq!((first, first.rtype), (last, Rtype::SOA));
    let plain =
        ask(&node, &query::axfr(&apex(), None).write(9, Level::Plain), &mut Stuck::default()).next().unwrap();
    assert!(Message::read(&plain).unwrap().opt.is_none());
}

#[test]
fn names_keep_their_case() {
    let node = primary(1);
    let (snapshot, _) = full(
        Asked::Axfr,
        ask(&node, &query::axfr(&apex(), None).write(9, Level::Options), &mut Stuck::default()),
    );
    assert!(snapshot.owners().any(|owner| owner.name().to_string() == "h1.Sub3.example."));
}

#[test]
fn ixfr_brings_one_delta_and_three() {
    let node = primary(5);
    for (from, steps) in [(4, 1), (2, 3)] {
        let provided = ask(&node, &ixfr_from(from), &mut Stuck::default());
        assert_eq!(provided.transfer.kind(), Ok(Kind::Ixfr));
        let Outcome::Differences(differences, Some(told)) = take(Asked::Ixfr(Serial(from)), provided) else {
            panic!("no differences")
        };
        let deltas = differences.deltas().unwrap().0;
        assert_eq!(deltas.len(), steps);
        let mut old = snapshot(from, &hosts(10 * from as u16));
        deltas.iter().for_each(|delta| old = old.apply(delta).unwrap());
        let version = node.zone().version().unwrap();
        assert_eq!((old.digest(), old.serial()), (version.snapshot.digest(), Serial(5)));
        let serials: Vec<u32> = told.stamps.iter().map(|stamp| stamp.serial.0).collect();
        assert_eq!(serials, [vec![5], (from + 1..=5).collect()].concat());
        assert_eq!(told.served(), Some(&version.stamp));
    }
}

#[test]
fn without_a_journal_the_whole_zone_comes() {
    let node = primary(3);
    let (snapshot, _) = full(Asked::Ixfr(Serial(0)), ask(&node, &ixfr_from(0), &mut Stuck::default()));
    assert_eq!(snapshot.serial(), Serial(3));
}

#[test]
fn who_is_up_to_date_or_ahead_gets_the_soa() {
    let node = primary(3);
    for have in [3, 4] {
        let provided = ask(&node, &ixfr_from(have), &mut Stuck::default());
        assert_eq!(provided.transfer.kind(), Ok(Kind::Soa));
        let outcome = take(Asked::Ixfr(Serial(have)), provided);
        assert!(matches!(outcome, Outcome::UpToDate(Serial(3))), "{outcome:?}");
    }
}

#[test]
fn who_asks_for_the_same_three_times_gets_the_whole_zone() {
    let node = primary(3);
    let mut stuck = Stuck::default();
    let kinds = [0, 5_000, 10_000, 15_000].map(|millis| {
        let request = ixfr_from(2);
        given(&node, &request, at(millis), address(2), &mut stuck).transfer.kind()
    });
    assert_eq!(kinds, [Kind::Ixfr, Kind::Ixfr, Kind::Axfr, Kind::Ixfr].map(Ok));
}

#[test]
fn short_is_what_takes_about_one_message() {
    let mut node = primary(2);
    let is_short =
        |node: &Node, message: &[u8]| ask(node, message, &mut Stuck::default()).transfer.is_short();
    assert!(is_short(&node, &ixfr_from(1)) && is_short(&node, &ixfr_from(2)));
    assert!(!is_short(&node, &query::axfr(&apex(), None).write(9, Level::Options)));
    node.edit(at(300), 3, &hosts(300));
    assert!(!is_short(&node, &ixfr_from(2)), "280 records are not few");
    node.edit(at(400), 4, &hosts(301));
    assert!(is_short(&node, &ixfr_from(3)) && !is_short(&node, &ixfr_from(2)));
    let mut builder = records(5, &hosts(301));
    for number in 0..3 {
        let long = record(&format!("long{number}.example."), Rtype::TXT, &[0; 8_000]);
        builder.add(&long.owner, long.rtype, long.ttl, &long.rdata);
    }
    let proposal = Proposal::file(builder.finish().unwrap().0, Policy::Keep);
    node.store.publish(at(500), proposal, |entries| node.journal.append(entries)).unwrap();
    assert!(!is_short(&node, &ixfr_from(4)), "three long records are not one message");
}

#[test]
fn what_is_published_meanwhile_does_not_mix_in() {
    let mut node = primary(4);
    for (asked, request) in [
        (Asked::Axfr, query::axfr(&apex(), None).write(9, Level::Options)),
        (Asked::Ixfr(Serial(1)), ixfr_from(1)),
    ] {
        let serial = node.serial().unwrap();
        let mut provided = ask(&node, &request, &mut Stuck::default()).with_message_bytes(100);
        let mut messages = vec![provided.next().unwrap()];
        node.edit(at(9_000), serial.0 + 1, &hosts(2));
        messages.extend(provided);
        let reached = match take(asked, messages.into_iter()) {
            Outcome::Full(content, _) => Timers::read(&content.soa.rdata).serial,
            Outcome::Differences(differences, _) => Timers::read(&differences.soa.rdata).serial,
            other => panic!("{other:?}"),
        };
        assert_eq!(reached, serial);
    }
}

#[test]
fn errors_are_codes() {
    let node = Node::primary();
    let axfr = query::axfr(&apex(), None).write(9, Level::Options);
    let mut expired = ask(&node, &axfr, &mut Stuck::default());
    assert_eq!(expired.transfer.kind(), Err(Rcode::SERVFAIL));
    assert_eq!(Message::read(&expired.next().unwrap()).unwrap().rcode(), Rcode::SERVFAIL);
    assert_eq!(expired.next(), None);
    let node = primary(1);
    let bare = Writer::query(9, 0, &apex(), Rtype::IXFR, &[]);
    assert_eq!(ask(&node, &bare, &mut Stuck::default()).transfer.kind(), Err(Rcode::FORMERR));
}

#[test]
fn datagrams_hold_the_whole_or_the_soa() {
    let mut node = primary(6);
    node.edit(at(1_000), 7, &hosts(61));
    let transfer = vec!["127.0.0.0/8".parse().unwrap()];
    node.store.configure(&apex(), Access { transfer, ..Access::default() });
    let answer = |have: u32| {
        let request = ixfr_from(have);
        let mut reply = Vec::new();
        let from = Client { addr: address(2), via: Via::Udp };
        let outcome = respond::answer(&served(&node), at(2_000), &request, from, &mut reply);
        assert!(matches!(outcome, Outcomes::Reply(_)) && reply.len() <= usize::from(UDP_PAYLOAD));
        let reply = Message::read(&reply).unwrap();
        assert!(reply.option(STAMP).is_some() && reply.header.is_authoritative());
        reply.answer.len()
    };
    assert_eq!(answer(7), 1);
    assert_eq!(answer(6), 6);
    assert_eq!(answer(1), 1, "fifty hosts with long texts do not fit");
    assert_eq!(answer(0), 1);
}

#[test]
fn a_record_of_any_length_that_fits_a_message_travels() {
    for (length, whole) in [(60_000, true), (65_500, false)] {
        let mut node = Node::primary();
        let mut builder = crate::zone::builder::Builder::new(apex());
        let long = record("long.example.", Rtype(65_280), &vec![1; length]);
        [soa(1), record("example.", Rtype::NS, b"\x02ns\x00"), long].iter().for_each(|it| builder.push(it));
        let proposal = Proposal::file(builder.finish().unwrap().0, Policy::Keep);
        node.store.publish(at(1), proposal, |entries| node.journal.append(entries)).unwrap();
        let provided =
            ask(&node, &query::axfr(&apex(), None).write(9, Level::Options), &mut Stuck::default());
        assert_eq!(matches!(take(Asked::Axfr, provided), Outcome::Full(..)), whole);
    }
}

#[test]
fn a_secondary_tells_the_age_of_its_knowledge() {
    let mut node = Node::secondary();
    let ns = record("example.", Rtype::NS, b"\x02ns\x07example\x00");
    let mut publish = |serial| {
        let proposal = Proposal::axfr(Transferred::of(&[soa(serial), ns.clone()]), None);
        node.store.publish(at(1), proposal, |entries| node.journal.append(entries)).unwrap();
        node.zone().version().unwrap()
    };
    let (old, new) = (publish(1), publish(2));
    let age = |version: &Version, millis| told(&node.zone(), version, at(millis), None, 9).age;
    assert_eq!(age(&new, 5_000), Duration::MAX);
    node.zone().confirm(at(2_000).utc, None, at(9_000).mono);
    assert_eq!(age(&new, 5_000), Duration::MAX, "asking somebody who does not know makes nothing known");
    node.zone().confirm(at(2_000).utc, Some(at(1_500).mono), at(9_000).mono);
    assert_eq!(age(&new, 5_000), Duration::from_millis(3_500));
    assert_eq!(
        age(&old, 5_000),
        Duration::MAX,
        "what is known of the new version says nothing of the old one"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn axfr_is_the_same_whatever_the_message_size(
        names in proptest::collection::btree_set(0u16..400, 0..200),
        message_bytes in 12usize..20_000,
    ) {
        let mut node = Node::primary();
        node.edit(at(1), 1, &names);
        let request = query::axfr(&apex(), None).write(9, Level::Options);
        let provided = ask(&node, &request, &mut Stuck::default()).with_message_bytes(message_bytes);
        let (snapshot, _) = full(Asked::Axfr, provided);
        let version = node.zone().version().unwrap();
        prop_assert_eq!(snapshot.digest(), version.snapshot.digest());
        prop_assert_eq!(snapshot.records(), version.snapshot.records());
    }

    #[test]
    fn ixfr_leads_to_the_same_whatever_the_message_size(
        versions in proptest::collection::vec(proptest::collection::btree_set(0u16..60, 0..30), 2..6),
        message_bytes in 12usize..2_000,
    ) {
        let mut node = Node::primary();
        for (serial, names) in (1..).zip(&versions) {
            node.edit(at(u64::from(serial)), serial, names);
        }
        let provided = ask(&node, &ixfr_from(1), &mut Stuck::default()).with_message_bytes(message_bytes);
        let Outcome::Differences(differences, _) = take(Asked::Ixfr(Serial(1)), provided) else {
            return Err(TestCaseError::fail("no differences"));
        };
        let empty = BTreeSet::new();
        let mut old = snapshot(1, versions.first().unwrap_or(&empty));
        for delta in &differences.deltas().unwrap().0 {
            old = old.apply(delta).unwrap();
        }
        prop_assert_eq!(old.digest(), node.zone().version().unwrap().snapshot.digest());
    }
}
