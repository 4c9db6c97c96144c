//! Every way in which an answer can be bad, and that no bytes do harm.

use proptest::prelude::*;

use super::super::fixture::{a, apex, record, soa};
use super::*;
use crate::publish::messages::{Outside, Together, Unreadable};
use crate::publish::transferred::NoZone;
use crate::wire::message::flags;
use crate::wire::rtype::Rcode;
use crate::wire::writer::Section;
use crate::wire::writer::Writer;
use crate::zone::fault::Fault;

/// One response message with these records.
fn message(asked: Asked, records: &[Record]) -> Vec<u8> {
    response(asked, &apex(), flags::QR | flags::AA, records)
}

fn response(asked: Asked, zone: &Name, bits: u16, records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 65_535, 1, bits);
    let rtype = if asked == Asked::Axfr { Rtype::AXFR } else { Rtype::IXFR };
    writer.question(zone, rtype, CLASS_IN).unwrap();
    records.iter().for_each(|record| writer.push(Section::Answer, record).unwrap());
    writer.finish();
    bytes
}

fn intake(asked: Asked) -> Intake {
    Intake::new(apex(), asked, Limits::default())
}

/// What one message with these records amounts to; `None` for [`Outcome::More`].
fn reason(asked: Asked, records: &[Record]) -> Option<Reason> {
    match intake(asked).feed(message(asked, records)) {
        Outcome::Bad(reason) => Some(reason),
        Outcome::More => None,
        other => panic!("taken: {other:?}"),
    }
}

fn ns() -> Record {
    record("example.", Rtype::NS, b"\x02ns\x07example\x00")
}

const IXFR: Asked = Asked::Ixfr(Serial(1));

#[test]
fn bad_axfr_streams_are_refused() {
    let (first, other) = (soa(5), soa(6));
    let retimed = Record { ttl: 61, ..soa(5) };
    let elsewhere = Record { owner: "other.".parse().unwrap(), ..soa(5) };
    let below = Record { owner: "sub.example.".parse().unwrap(), ..soa(5) };
    let cases: [(&[Record], Reason); 8] = [
        (&[], Reason::Malformed),
        (&[ns()], Reason::Malformed),
        (&[elsewhere.clone(), ns(), elsewhere], Reason::WrongZone),
        (std::slice::from_ref(&below), Reason::WrongZone),
        (&[first.clone(), ns(), other.clone()], Reason::SoaMismatch),
        (&[first.clone(), ns(), retimed], Reason::SoaMismatch),
        (&[first.clone(), ns(), first.clone(), a("x.example.", 1)], Reason::Malformed),
        (&[first.clone(), other], Reason::SoaMismatch),
    ];
    for (records, expected) in cases {
        assert_eq!(reason(Asked::Axfr, records), Some(expected), "{records:?}");
    }
}

#[test]
fn a_soa_below_the_apex_is_told_by_name_when_the_zone_is_put_together() {
    let below = Record { owner: "sub.example.".parse().unwrap(), ..soa(5) };
    for (asked, records) in [
        (Asked::Axfr, [soa(5), below.clone(), ns(), soa(5)]),
        (Asked::Axfr, [soa(5), ns(), below.clone(), soa(5)]),
        (IXFR, [soa(5), below.clone(), ns(), soa(5)]),
    ] {
        let Outcome::Full(content, ..) = intake(asked).feed(message(asked, &records)) else {
            panic!("no content")
        };
        let stray = Fault::StraySoa("sub.example.".parse().unwrap());
        assert_eq!(content.content(None).unwrap_err(), NoZone::Faults(vec![stray]));
    }
    let s = soa;
    assert_eq!(reason(IXFR, &[s(3), s(1), s(3), below, s(3)]), Some(Reason::Malformed));
}

#[test]
fn bad_ixfr_sequences_are_refused() {
    let [one, two, three, four] = [1, 2, 3, 4].map(soa);
    let retimed = Record { ttl: 61, ..soa(3) };
    let host = || a("x.example.", 1);
    let s = |soa: &Record| soa.clone();
    let cases: [(&[Record], Reason); 8] = [
        // Does not begin at what we have.
        (&[s(&three), s(&two), s(&three), s(&three)], Reason::OutOfSequence),
        // The second delta does not follow the first.
        (&[s(&four), s(&one), s(&two), host(), s(&three), s(&four), s(&four)], Reason::OutOfSequence),
        // Ends before the announced serial.
        (&[s(&three), s(&one), s(&two), host(), s(&three)], Reason::OutOfSequence),
        // Goes backwards.
        (&[s(&three), s(&one), host(), s(&one), s(&three)], Reason::OutOfSequence),
        // Ends at another SOA than the announced one.
        (&[s(&three), s(&one), s(&three), host(), s(&four)], Reason::SoaMismatch),
        (&[s(&three), s(&one), s(&three), host(), retimed.clone()], Reason::SoaMismatch),
        (&[s(&three), s(&one), retimed, host(), s(&three)], Reason::SoaMismatch),
        // Goes on behind its end.
        (&[s(&three), s(&one), s(&three), host(), s(&three), host()], Reason::Malformed),
    ];
    for (records, expected) in cases {
        assert_eq!(reason(IXFR, records), Some(expected), "{records:?}");
    }
}

#[test]
fn bad_messages_are_refused() {
    let whole = [soa(5), ns(), soa(5)];
    let good = message(Asked::Axfr, &whole);
    let outcome = |bytes: &[u8]| match intake(Asked::Axfr).feed(bytes) {
        Outcome::Bad(reason) => reason,
        other => panic!("taken: {other:?}"),
    };
    assert_eq!(outcome(&good[..good.len() - 1]), Reason::Malformed);
    // Bytes behind a whole message are left alone.
    let with_more = intake(Asked::Axfr).feed([&good[..], &[0; 5]].concat());
    assert!(matches!(with_more, Outcome::Full(..)), "{with_more:?}");
    let changed = |bits: u16| response(Asked::Axfr, &apex(), bits, &whole);
    assert_eq!(outcome(&changed(flags::AA)), Reason::Malformed, "a request");
    assert_eq!(outcome(&changed(flags::QR | 4 << 11)), Reason::Malformed, "a NOTIFY");
    assert_eq!(outcome(&changed(flags::QR | flags::TC)), Reason::Truncated);
    for (rcode, expected, label) in [
        (5, Reason::Refused, "refused"),
        (9, Reason::NotAuth, "notauth"),
        (2, Reason::Rcode(Rcode::SERVFAIL), "rcode_servfail"),
        (13, Reason::Rcode(Rcode(13)), "rcode_other"),
    ] {
        assert_eq!(outcome(&changed(flags::QR | rcode)), expected);
        assert_eq!(expected.label(), label);
    }
    let other = response(Asked::Axfr, &"other.".parse().unwrap(), flags::QR, &whole);
    assert_eq!(outcome(&other), Reason::WrongZone);
    assert_eq!(outcome(&message(IXFR, &whole)), Reason::Malformed, "an answer to another question");
}

#[test]
fn nothing_is_taken_after_the_end() {
    let whole = message(Asked::Axfr, &[soa(5), ns(), soa(5)]);
    let mut intake = intake(Asked::Axfr);
    assert!(matches!(intake.feed(&whole), Outcome::Full(..)));
    assert!(matches!(intake.feed(&whole), Outcome::Bad(Reason::Malformed)));
}

#[test]
fn records_outside_the_zone_are_left_out() {
    let records = [soa(5), ns(), a("x.test.", 1), a("xexample.", 1), a("x.example.", 1), soa(5)];
    let mut axfr = intake(Asked::Axfr);
    let Outcome::Full(taken, None) = axfr.feed(message(Asked::Axfr, &records)) else { panic!("refused") };
    let outside = |records| Some(Outside { records, first: "x.test.".parse().unwrap() });
    let (content, left_out) = taken.content(None).unwrap();
    assert_eq!((content.records(), left_out), (3, outside(2)));
    let records = [soa(5), soa(1), a("x.test.", 1), soa(5), a("x.example.", 1), soa(5)];
    let mut ixfr = intake(IXFR);
    let Outcome::Differences(taken, None) = ixfr.feed(message(IXFR, &records)) else { panic!("refused") };
    let (deltas, left_out) = taken.deltas().unwrap();
    assert_eq!((deltas.len(), deltas[0].len(), left_out), (1, 3, outside(1)));
    // Messages of nothing else count too, wherever they stand.
    let mut axfr = intake(Asked::Axfr);
    assert!(matches!(axfr.feed(message(Asked::Axfr, &[soa(5)])), Outcome::More));
    assert!(matches!(axfr.feed(message(Asked::Axfr, &[a("x.test.", 1)])), Outcome::More));
    let Outcome::Full(taken, None) = axfr.feed(message(Asked::Axfr, &[ns(), soa(5)])) else {
        panic!("refused")
    };
    assert_eq!(taken.content(None).unwrap().1, outside(1));
}

/// The same, with every address record of class CH.
fn of_class_ch(mut message: Vec<u8>) -> Vec<u8> {
    // A, IN and the TTL.
    let head = [0, 1, 0, 1, 0, 0, 0, 60];
    while let Some(at) = message.windows(head.len()).position(|bytes| bytes == head) {
        message[at + 3] = 3;
    }
    message
}

#[test]
fn a_record_of_another_class_is_refused_by_name() {
    let strange = |record| Unreadable::OtherClass { record, owner: "x.example.".parse().unwrap(), class: 3 };
    let x = || a("x.example.", 1);
    for (records, number) in [
        (vec![soa(5), ns(), x(), soa(5)], 3),
        (vec![soa(5), x(), ns(), soa(5)], 2),
        (vec![soa(5), ns(), soa(5), x()], 4),
        (vec![x(), soa(5), ns(), soa(5)], 1),
    ] {
        let message = of_class_ch(message(Asked::Axfr, &records));
        let Outcome::Full(taken, None) = intake(Asked::Axfr).feed(message) else { panic!("{records:?}") };
        assert_eq!(taken.content(None).unwrap_err(), NoZone::Unreadable(strange(number)));
    }
    let records = [soa(5), soa(1), x(), soa(5), soa(5)];
    let Outcome::Differences(taken, None) = intake(IXFR).feed(of_class_ch(message(IXFR, &records))) else {
        panic!("no differences")
    };
    assert_eq!(taken.deltas().unwrap_err(), strange(3));
    // A message by itself between the SOA and what follows it.
    let mut axfr = intake(Asked::Axfr);
    assert!(matches!(axfr.feed(message(Asked::Axfr, &[soa(5)])), Outcome::More));
    assert!(matches!(axfr.feed(of_class_ch(message(Asked::Axfr, &[x()]))), Outcome::More));
    let Outcome::Full(taken, None) = axfr.feed(message(Asked::Axfr, &[ns(), soa(5)])) else {
        panic!("refused")
    };
    assert_eq!(taken.content(None).unwrap_err(), NoZone::Unreadable(strange(2)));
}

#[test]
fn what_is_not_the_zones_counts() {
    let hosts: Vec<Record> = (0..20).map(|at| a(&format!("h{at}.example."), 1)).collect();
    let strange = of_class_ch(message(Asked::Axfr, &hosts));
    let (begin, end) = (message(Asked::Axfr, &[soa(5), ns()]), message(Asked::Axfr, &[soa(5)]));
    let transfer = |records| {
        let mut intake = Intake::new(apex(), Asked::Axfr, Limits { bytes: 1 << 20, records });
        assert!(matches!(intake.feed(&begin), Outcome::More));
        match intake.feed(&strange) {
            Outcome::More => intake.feed(&end),
            outcome => outcome,
        }
    };
    assert!(matches!(transfer(21), Outcome::Bad(Reason::TooLarge)));
    let Outcome::Full(content, ..) = transfer(23) else { panic!("refused") };
    assert!(matches!(
        content.content(None),
        Err(NoZone::Unreadable(Unreadable::OtherClass { record: 3, .. }))
    ));
}

#[test]
fn a_soa_alone_over_tcp_may_be_the_beginning_of_more() {
    let mut intake = intake(IXFR);
    assert!(matches!(intake.feed(message(IXFR, &[soa(5)])), Outcome::More));
    assert!(matches!(intake.feed(message(IXFR, &[soa(1), soa(5)])), Outcome::More));
    assert!(matches!(intake.feed(message(IXFR, &[soa(5)])), Outcome::Differences(..)));
    assert_eq!(reason(Asked::Axfr, &[soa(5), ns()]), None, "and a closing SOA must still come");
}

#[test]
fn the_whole_zone_may_answer_a_question_for_differences() {
    let records = [soa(5), ns(), a("x.example.", 1), soa(5)];
    assert!(matches!(intake(IXFR).feed(message(IXFR, &records)), Outcome::Full(..)));
    // Not ours, not newer: the server's own state is all there is to say.
    let asked = Asked::Ixfr(Serial(9));
    assert!(matches!(intake(asked).feed(message(asked, &records)), Outcome::UpToDate(Serial(5))));
}

#[test]
fn limits_hold() {
    let host = |at: usize| a(&format!("h{at}.example."), 1);
    let records: Vec<Record> = [soa(5), ns()].into_iter().chain((0..20).map(host)).chain([soa(5)]).collect();
    for (limits, fits) in [
        (Limits { bytes: 1 << 20, records: 23 }, true),
        (Limits { bytes: 1 << 20, records: 22 }, false),
        (Limits { bytes: 600, records: 100 }, false),
    ] {
        let mut intake = Intake::new(apex(), Asked::Axfr, limits);
        match intake.feed(message(Asked::Axfr, &records)) {
            Outcome::Full(content, _) => match content.content(None) {
                Ok(_) => assert!(fits),
                Err(error) => assert_eq!((error, fits), (NoZone::Unreadable(Unreadable::TooMuch), false)),
            },
            Outcome::Bad(reason) => assert_eq!((reason, fits), (Reason::TooLarge, false)),
            other => panic!("{other:?}"),
        }
    }
    let mut endless = Intake::new(apex(), Asked::Axfr, Limits { bytes: 1_000, records: 10 });
    let empty = message(Asked::Axfr, &[]);
    assert!(matches!(endless.feed(message(Asked::Axfr, &[soa(5)])), Outcome::More));
    let taken = (0..100).take_while(|_| matches!(endless.feed(&empty), Outcome::More)).count();
    assert!(taken < 40, "empty messages count too");
}

#[test]
fn transfers_under_way_share_what_they_may_keep_and_small_ones_have_room() {
    let together = Together::default();
    let most = 4 * SHARE;
    let limits = Limits { bytes: most, ..Limits::default() };
    let begin = |asked| Intake::new(apex(), asked, limits).keeping(Messages::among(together.clone(), None));
    let text = record("t.example.", Rtype::TXT, &[&[200][..], &[0; 200]].concat());
    let [first, more, last] =
        [vec![soa(5), ns()], vec![text; 250], vec![soa(5)]].map(|records| message(Asked::Axfr, &records));
    let transfer = |count: u64| {
        let mut intake = begin(Asked::Axfr);
        assert!(matches!(intake.feed(&first), Outcome::More));
        // The one that goes beyond the share is taken in: there was room before it.
        (0..count).for_each(|_| assert!(matches!(intake.feed(&more), Outcome::More)));
        intake.feed(&last)
    };
    let beyond_share = SHARE / more.len() as u64 + 1;
    let mut others = Messages::among(together.clone(), None);
    others.keep(vec![0; most as usize]);
    assert!(matches!(transfer(beyond_share), Outcome::Bad(Reason::NoRoom { most: 4_194_304 })));
    assert!(matches!(transfer(1), Outcome::Full(..)));
    others.keep(vec![0; most as usize]);
    assert!(matches!(begin(Asked::Axfr).feed(&first), Outcome::Bad(Reason::NoRoom { .. })));
    // Nothing is kept of what tells that there is nothing new.
    let current = begin(Asked::Ixfr(Serial(5))).feed(message(Asked::Ixfr(Serial(5)), &[soa(5)]));
    assert!(matches!(current, Outcome::UpToDate(Serial(5))));
    drop(others);
    assert!(matches!(transfer(beyond_share), Outcome::Full(..)));
}

#[test]
fn what_stands_behind_the_answers_counts_for_the_memory_that_it_came_in() {
    let together = Together::default();
    let mut intake = intake(Asked::Axfr).keeping(Messages::among(together.clone(), None));
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 65_535, 1, flags::QR | flags::AA);
    writer.push(Section::Answer, &soa(5)).unwrap();
    let text = record("t.example.", Rtype::TXT, &[&[200][..], &[0; 200]].concat());
    (0..250).for_each(|_| writer.push(Section::Additional, &text).unwrap());
    writer.finish();
    let length = bytes.len() as u64;
    assert!(length > 50_000);
    assert!(matches!(intake.feed(bytes), Outcome::More));
    let kept = Messages::among(together, None).together();
    assert!(kept >= length, "{kept} of {length}");
}

proptest! {
    #[test]
    fn any_bytes_are_survived(messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..5)) {
        for asked in [Asked::Axfr, IXFR] {
            let mut intake = intake(asked);
            for message in &messages {
                let _ = intake.feed(message);
            }
        }
    }

    #[test]
    fn any_changed_byte_is_survived(place: prop::sample::Index, byte: u8, ixfr: bool) {
        let asked = if ixfr { IXFR } else { Asked::Axfr };
        let middle = if ixfr { vec![soa(1), a("x.example.", 1), soa(5), a("x.example.", 2)] } else { vec![ns()] };
        let records = [vec![soa(5)], middle, vec![soa(5)]].concat();
        let mut bytes = message(asked, &records);
        let at = place.index(bytes.len());
        bytes[at] = byte;
        let mut intake = intake(asked);
        let _ = intake.feed(&bytes);
        let _ = intake.feed(&bytes);
    }

    #[test]
    fn messages_may_be_cut_between_any_records(cuts in proptest::collection::btree_set(1usize..9, 0..8), ixfr: bool) {
        let asked = if ixfr { IXFR } else { Asked::Axfr };
        let hosts = |range: std::ops::Range<u8>| range.map(|at| a("x.example.", at)).collect::<Vec<_>>();
        let middle = match ixfr {
            true => [vec![soa(1)], hosts(0..2), vec![soa(2), soa(2)], hosts(2..3), vec![soa(5)]].concat(),
            false => [vec![ns()], hosts(0..6)].concat(),
        };
        let records = [vec![soa(5)], middle, vec![soa(5)]].concat();
        let mut intake = intake(asked);
        let mut from = 0;
        for cut in cuts.into_iter().chain([records.len()]) {
            let outcome = intake.feed(message(asked, &records[from..cut]));
            let done = match outcome {
                Outcome::More => false,
                Outcome::Full(content, ..) => content.records == 7,
                Outcome::Differences(differences, _) => {
                    let deltas = differences.deltas().unwrap().0;
                    deltas.len() == 2 && deltas[1].to() == Serial(5) && deltas[1].len() == 3
                },
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            prop_assert_eq!(done, cut == records.len());
            from = cut;
        }
    }
}
