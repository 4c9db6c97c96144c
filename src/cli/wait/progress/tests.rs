use crate::cli::wait::file::File;
use crate::cli::wait::goal::Wanted;
use crate::probe::observation::Observation;
use crate::text::rdata::read;
use crate::time::Hlc;
use crate::wire::message::Record;
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::zone::stamp::{Stamp, Told};

use super::*;

fn at(second: u64) -> Now {
    Now { mono: Mono(second * 1_000_000), utc: Utc((1_700_000_000 + second) * 1_000_000) }
}

fn zone() -> Name {
    "example.".parse().unwrap()
}

fn server(number: u8) -> SocketAddr {
    ([192, 0, 2, number], 53).into()
}

fn seen(number: u8, serial: Option<u32>, second: u64) -> Observation {
    let seen = Observation::plain(server(number), zone(), serial.map(Serial), at(second));
    Observation { negative_ttl: Some(300), ..seen }
}

fn shown(number: u8, serial: u32, second: u64) -> Event {
    Event::Seen(seen(number, Some(serial), second))
}

fn silent(number: u8) -> Event {
    Event::Silent { server: server(number), zone: zone(), since: at(0).mono }
}

fn take(progress: &mut Progress, event: Event, second: u64) -> Vec<SocketAddr> {
    progress.take(&event, at(second))
}

#[test]
fn all_must_have_shown_the_serial_or_a_newer_one() {
    let servers = [server(1), server(2), server(1)];
    let mut progress = Progress::new(Some(Goal::serial(0)), &servers, false);
    assert_eq!(progress.len(), 2);
    assert_eq!(take(&mut progress, shown(1, u32::MAX, 1), 1), []);
    assert_eq!(take(&mut progress, shown(1, 0, 2), 2), [server(1)]);
    assert_eq!((progress.state(at(2).mono), progress.exit(at(2).mono)), (State::Waiting, Exit::Pending));
    assert_eq!(take(&mut progress, shown(2, 5, 3), 3), [server(2)]);
    assert_eq!((progress.state(at(3).mono), progress.exit(at(3).mono)), (State::Converged, Exit::Done));
    assert_eq!(
        progress.report(Duration::from_millis(1_500), at(3).mono),
        "2 servers showed serial 0 within 1.500 s\n"
    );
}

#[test]
fn without_a_goal_the_newest_of_the_first_answers_is_it() {
    let mut progress = Progress::new(None, &[server(1), server(2), server(3)], false);
    assert_eq!(take(&mut progress, shown(1, 41, 1), 1), []);
    assert_eq!(take(&mut progress, shown(2, 42, 1), 1), []);
    assert_eq!(progress.state(at(1).mono), State::Waiting);
    assert_eq!(take(&mut progress, silent(3), 2), [server(2)]);
    assert_eq!(take(&mut progress, shown(3, 43, 3), 3), [server(3)]);
    assert_eq!(take(&mut progress, shown(1, 42, 4), 4), [server(1)]);
    assert_eq!(progress.exit(at(4).mono), Exit::Done);
}

#[test]
fn who_is_missing_is_told_with_what_it_shows_since_when() {
    let mut progress = Progress::new(Some(Goal::serial(42)), &[server(1), server(2), server(3)], false);
    take(&mut progress, shown(1, 42, 1), 1);
    take(&mut progress, shown(2, 41, 1), 1);
    take(&mut progress, shown(2, 41, 9), 9);
    take(&mut progress, silent(3), 2);
    let report = progress.report(Duration::from_secs(10), at(10).mono);
    assert_eq!(
        report,
        "timed out after 10.000 s: 2 of 3 servers did not show serial 42\n  \
         192.0.2.2:53: serial 41 since 2023-11-14T22:13:21.000Z\n  \
         192.0.2.3:53: no answer since 2023-11-14T22:13:22.000Z\n"
    );
    let json = progress.json(&zone(), at(0).mono, at(10).mono);
    assert_eq!((&json["converged"], &json["goal"]), (&false.into(), &"serial 42".into()));
    assert_eq!(
        (&json["servers"][0]["converged_after"], &json["servers"][1]["shows"]),
        (&1.0.into(), &"serial 41".into())
    );
}

#[test]
fn nobody_answered_is_told_apart_from_a_wrong_answer() {
    let failed = |reason| Event::Failed {
        server: server(1),
        zone: zone(),
        sent: at(1).mono,
        received: at(1).mono,
        reason,
    };
    let mut progress = Progress::new(None, &[server(1)], false);
    take(&mut progress, silent(1), 1);
    take(&mut progress, failed(Reason::Network(crate::ask::exchange::Failure::Refused)), 2);
    assert_eq!(progress.exit(at(2).mono), Exit::Unreachable);
    take(&mut progress, failed(Reason::Rcode(Rcode::REFUSED)), 3);
    assert_eq!(progress.exit(at(3).mono), Exit::Pending);
}

#[test]
fn a_record_is_visible_when_the_set_holds_it() {
    let wanted = Wanted::parse("www MX 10 Mail.example.", &zone()).unwrap();
    let record = |data: &str| Record {
        owner: wanted.name.clone(),
        rtype: Rtype::MX,
        ttl: 60,
        rdata: read::parse(Rtype::MX, data, None).unwrap().into(),
    };
    let mut progress = Progress::new(Some(Goal::Record(wanted.clone())), &[server(1)], true);
    take(&mut progress, Event::Seen(seen(1, None, 1)), 1);
    assert_eq!(progress.shows(server(1)), "no MX record");
    let old = Observation { records: vec![record("20 mail.example.")], ..seen(1, None, 2) };
    take(&mut progress, Event::Seen(old), 2);
    assert_eq!(progress.shows(server(1)), "MX 20 mail.example.");
    let records = vec![record("20 mail.example."), record("10 mail.example.")];
    let new = Observation { records, ..seen(1, None, 3) };
    assert_eq!(take(&mut progress, Event::Seen(new), 3), [server(1)]);
    // The negative answer was seen with 300 seconds, the longest of all.
    assert_eq!(progress.state(at(303).mono), State::Settling(at(304).mono));
    assert_eq!(progress.exit(at(303).mono), Exit::Pending);
    assert_eq!(progress.state(at(304).mono), State::Converged);
}

#[test]
fn records_are_read_as_in_zone_files() {
    let parse = |text| Wanted::parse(text, &zone());
    let expected = parse("www.example. A 192.0.2.80").unwrap();
    assert_eq!(expected.rdata, [192, 0, 2, 80]);
    for text in ["www.example A 192.0.2.80", "www  a\t192.0.2.80", "WWW A \\# 4 c0000250"] {
        assert_eq!(parse(text).unwrap(), expected);
    }
    assert_eq!(parse("@ TXT \"a b\" c").unwrap().name, zone());
    for (text, part) in [
        ("www.other. A 192.0.2.80", "not in example."),
        ("www BOGUS 1", "not a record type"),
        ("www AXFR 1", "not a type of records"),
        ("www A 192.0.2", "A 192.0.2`"),
        ("www A", "NAME TYPE RDATA"),
        ("", "NAME TYPE RDATA"),
    ] {
        let told = parse(text).unwrap_err().to_string();
        assert!(told.contains(part), "{told}");
    }
}

fn digest_of(content: u8) -> Digest {
    Digest::of(&zone(), Rtype::A, 60, &[content])
}

/// A version that a node serves, with the digest of its content.
fn told(number: u8, serial: u32, content: u8, second: u64) -> Event {
    let stamp = Stamp { serial: Serial(serial), published: None, digest: digest_of(content), writer: 0 };
    let told = Told { stamps: vec![stamp], ..Told::default() };
    Event::Seen(Observation { told: Some(told), ..seen(number, Some(serial), second) })
}

/// The content that is waited for.
const WANTED: u8 = 7;

fn file() -> Goal {
    Goal::File(File::new("example.zone".to_owned(), Serial(9), digest_of(WANTED)))
}

#[test]
fn a_file_whose_serial_is_not_raised_is_told_so_in_vain() {
    for (served, is_told) in [(8, false), (9, true), (10, true)] {
        let mut progress = Progress::new(Some(file()), &[server(1)], false);
        take(&mut progress, told(1, served, 6, 1), 1);
        let report = progress.report(Duration::ZERO, Mono::default());
        let part = format!("serial 9, which is not above {served}");
        assert_eq!(report.contains(&part), is_told, "{report}");
    }
}

#[test]
fn caches_may_follow_a_delegation_that_hid_the_record_for_its_ttl() {
    let goal = Wanted::parse("www.sub.example. A 192.0.2.1", &zone()).unwrap();
    let mut progress = Progress::new(Some(Goal::Record(goal)), &[server(1)], true);
    let referral = Event::Failed {
        server: server(1),
        zone: zone(),
        sent: at(1).mono,
        received: at(1).mono,
        reason: Reason::Delegated(90),
    };
    take(&mut progress, referral, 1);
    assert_eq!((progress.ttl, progress.saw_old), (90, true));
}

#[test]
fn a_file_is_known_by_its_digest_and_then_by_its_serial() {
    let servers = [server(1), server(2), server(3)];
    let mut progress = Progress::new(Some(file()), &servers, false);
    assert_eq!(take(&mut progress, shown(3, 9, 1), 1), []);
    assert_eq!(take(&mut progress, told(1, 9, 6, 1), 1), []);
    assert_eq!(take(&mut progress, told(2, 9, 6, 1), 1), []);
    assert_eq!(progress.floor(), Some(Serial(9)));
    assert_eq!(take(&mut progress, told(1, 10, WANTED, 2), 2), [server(1)]);
    assert_eq!(take(&mut progress, shown(3, 10, 2), 2), [server(3)]);
    // Each is told of once.
    assert_eq!(take(&mut progress, told(2, 9, 6, 2), 2), []);
    assert_eq!(take(&mut progress, told(2, 11, 8, 3), 3), [server(2)]);
    assert_eq!(
        progress.report(Duration::from_secs(1), at(3).mono),
        "3 servers showed example.zone (serial 10) within 1.000 s\n"
    );
}

#[test]
fn what_was_published_and_replaced_between_two_looks_was_published() {
    let mut progress = Progress::new(Some(file()), &[server(1), server(2)], false);
    assert_eq!(take(&mut progress, told(1, 5, 6, 1), 1), []);
    assert_eq!(take(&mut progress, shown(2, 5, 1), 1), []);
    let stamp = |serial, content| Stamp {
        serial: Serial(serial),
        published: None,
        digest: digest_of(content),
        writer: 0,
    };
    let told = Told { stamps: vec![stamp(7, 9), stamp(6, WANTED), stamp(7, 9)], ..Told::default() };
    let later = Event::Seen(Observation { told: Some(told), ..seen(1, Some(7), 2) });
    assert_eq!(take(&mut progress, later, 2), [server(1)]);
    assert_eq!(take(&mut progress, shown(2, 6, 3), 3), [server(2)]);
}

#[test]
fn what_a_zone_once_held_is_not_what_is_published_now() {
    // The edit goes back to what a server that did not follow still has.
    let servers = [server(1), server(2)];
    for first in [told(1, 1, WANTED, 1), told(2, 2, 6, 1)] {
        let mut progress = Progress::new(Some(file()), &servers, false);
        take(&mut progress, first, 1);
        assert_eq!(take(&mut progress, told(1, 1, WANTED, 1), 1), []);
        assert_eq!(take(&mut progress, told(2, 2, 6, 1), 1), []);
        assert_eq!(take(&mut progress, told(1, 1, WANTED, 2), 2), []);
        assert_eq!(take(&mut progress, told(2, 3, WANTED, 3), 3), [server(2)]);
        assert_eq!(take(&mut progress, told(1, 3, WANTED, 4), 4), [server(1)]);
    }
    // The one that has followed is heard of late: what was believed is taken back.
    let mut progress = Progress::new(Some(file()), &servers, false);
    take(&mut progress, silent(2), 1);
    assert_eq!(take(&mut progress, told(1, 1, WANTED, 1), 1), [server(1)]);
    assert_eq!(take(&mut progress, told(2, 2, 6, 2), 2), []);
    assert_eq!((progress.reopened(), progress.converged()), (vec![server(1)], 0));
    assert_eq!(take(&mut progress, told(2, 3, WANTED, 3), 3), [server(2)]);
    assert_eq!(take(&mut progress, told(1, 3, WANTED, 3), 3), [server(1)]);
}

#[test]
fn where_nobody_tells_a_digest_a_file_cannot_be_waited_for() {
    let mut progress = Progress::new(Some(file()), &[server(1), server(2)], false);
    take(&mut progress, shown(1, 5, 1), 1);
    take(&mut progress, silent(2), 1);
    assert!(!progress.cannot_tell(), "the silent one may tell");
    assert_eq!(take(&mut progress, shown(2, 6, 2), 2), []);
    assert!(progress.cannot_tell());
    let mut progress = Progress::new(Some(Goal::serial(5)), &[server(1)], false);
    take(&mut progress, shown(1, 4, 1), 1);
    assert!(!progress.cannot_tell());
}

#[test]
fn of_two_contents_under_one_serial_none_counts() {
    let holding = |number, serial, content, second| {
        let digest = Digest::from_bytes([content; 32]);
        let stamp = Stamp { serial: Serial(serial), published: None, digest, writer: 1 };
        let told =
            Some(Told { age: Duration::ZERO, is_verified: true, stamps: vec![stamp], ..Told::default() });
        Event::Seen(Observation { told, ..seen(number, Some(serial), second) })
    };
    let servers = [server(1), server(2), server(3)];
    let mut progress = Progress::new(Some(Goal::serial(5)), &servers, false);
    assert_eq!(take(&mut progress, holding(1, 5, 1, 1), 1), [server(1)]);
    assert_eq!(take(&mut progress, shown(3, 5, 1), 1), [server(3)]);
    assert_eq!(take(&mut progress, holding(2, 5, 2, 2), 2), []);
    assert_eq!(progress.reopened(), [server(1)]);
    assert_eq!(progress.reopened(), []);
    assert_eq!((progress.converged(), progress.state(at(2).mono)), (1, State::Waiting));
    let report = progress.report(Duration::from_secs(2), at(2).mono);
    assert!(report.contains("192.0.2.1:53: serial 5 with other content than 192.0.2.2:53"), "{report}");
    // The second is repaired.
    assert_eq!(take(&mut progress, holding(2, 5, 1, 3), 3), [server(2)]);
    assert_eq!(take(&mut progress, holding(1, 5, 1, 4), 4), [server(1)]);
    assert_eq!(progress.state(at(4).mono), State::Converged);

    // Without a goal all that showed the newest serial are compared at once.
    let mut progress = Progress::new(None, &servers[..2], false);
    assert_eq!(take(&mut progress, holding(1, 5, 1, 1), 1), []);
    assert_eq!(take(&mut progress, holding(2, 5, 2, 1), 1), []);
    assert_eq!(take(&mut progress, holding(1, 5, 2, 2), 2), [server(1)]);
    assert_eq!(take(&mut progress, holding(2, 5, 2, 2), 2), [server(2)]);
}

/// A version that a secondary tells, published by then.
fn pulled(number: u8, serial: u32, published: Option<u64>, second: u64) -> Event {
    let stamp =
        Stamp { serial: Serial(serial), published: published.map(Hlc), digest: digest_of(1), writer: 1 };
    let told = Told { age: Duration::from_secs(3), stamps: vec![stamp], ..Told::default() };
    Event::Seen(Observation { told: Some(told), ..seen(number, Some(serial), second) })
}

fn for_serial(serial: u32, servers: u8) -> Progress {
    let servers: Vec<SocketAddr> = (1..=servers).map(server).collect();
    Progress::new(Some(Goal::serial(serial)), &servers, false)
}

fn report(progress: &Progress) -> String {
    progress.report(Duration::from_secs(9), at(9).mono)
}

#[test]
fn a_newer_serial_that_the_publisher_does_not_have_does_not_count() {
    let mut progress = for_serial(12, 3);
    // Nobody says yet which of them is right.
    assert_eq!(take(&mut progress, pulled(2, 100, Some(5), 1), 1), []);
    assert_eq!(take(&mut progress, told(1, 12, 1, 1), 1), [server(1)]);
    assert_eq!(take(&mut progress, shown(3, 13, 2), 2), []);
    // It is asked on, as it may have by now what the others show, and that once.
    assert_eq!(progress.reopened(), [server(1)]);
    assert_eq!(take(&mut progress, shown(3, 13, 3), 3), []);
    assert_eq!(progress.reopened(), []);
    assert_eq!(take(&mut progress, told(1, 13, 2, 3), 3), [server(3)]);
    // What it said once is not forgotten.
    assert_eq!(take(&mut progress, silent(1), 4), []);
    assert_eq!(take(&mut progress, pulled(2, 100, Some(5), 4), 4), []);
    assert_eq!((progress.state(at(4).mono), progress.exit(at(4).mono)), (State::Waiting, Exit::Pending));
    let report = report(&progress);
    assert!(
        report.contains("192.0.2.2:53: serial 100 since ")
            && report.contains(", which 192.0.2.1:53, where the zone is published, does not have\n"),
        "{report}"
    );
    // It was made to follow.
    assert_eq!(take(&mut progress, pulled(2, 13, Some(9), 5), 5), [server(2)]);
    assert_eq!(progress.exit(at(5).mono), Exit::Done);
}

#[test]
fn a_publisher_that_is_cut_off_after_it_showed_the_goal_keeps_nobody_waiting() {
    let late = |second: u64| at(second).mono + SILENCE;
    // One that showed an older version before has followed the zone.
    let mut progress = for_serial(12, 3);
    assert_eq!(take(&mut progress, told(1, 12, 1, 1), 1), [server(1)]);
    assert_eq!(take(&mut progress, shown(2, 11, 1), 1), []);
    assert_eq!(take(&mut progress, shown(3, 100, 1), 1), []);
    assert_eq!(take(&mut progress, shown(2, 13, 2), 2), []);
    assert_eq!((progress.silence(), progress.pass(at(1).mono)), (Some(late(1)), vec![]));
    assert_eq!(progress.pass(late(1)), [server(2)]);
    assert_eq!((progress.silence(), progress.pass(late(2))), (None, vec![]));
    // One that did not may serve what is left from another history.
    assert_eq!(progress.state(late(9)), State::Waiting);
    // Once it answers again its word counts. Between its answer and the next question it is not silent, nor within twice the time that it
    // needs.
    progress.set_interval(Duration::from_millis(500));
    assert_eq!(take(&mut progress, told(1, 12, 1, 3), 3), []);
    assert_eq!(progress.reopened(), [server(1), server(2)]);
    assert_eq!(progress.silence(), Some(late(3) + Duration::from_millis(500)));
    let Event::Seen(mut slow) = told(1, 12, 1, 4) else { unreachable!() };
    slow.sent = at(3).mono;
    take(&mut progress, Event::Seen(slow), 4);
    assert_eq!(progress.silence(), Some(at(6).mono + Duration::from_millis(500)));
    // One that says that it does not have the zone any more says nothing about what others show.
    let refused = Event::Failed {
        server: server(1),
        zone: zone(),
        sent: at(5).mono,
        received: at(5).mono,
        reason: Reason::Rcode(Rcode::REFUSED),
    };
    assert_eq!(take(&mut progress, refused, 5), []);
    assert_eq!(take(&mut progress, shown(2, 13, 7), 7), []);
    assert_eq!(progress.pass(at(7).mono), [server(2)]);

    // A stamp tells what was published later.
    let mut progress = for_serial(12, 3);
    let publisher = pulled(1, 12, Some(50), 1);
    let Event::Seen(mut publisher) = publisher else { unreachable!() };
    publisher.told.iter_mut().for_each(|told| told.age = Duration::ZERO);
    assert_eq!(take(&mut progress, Event::Seen(publisher), 1), [server(1)]);
    assert_eq!(take(&mut progress, pulled(2, 100, Some(5), 1), 1), []);
    assert_eq!(take(&mut progress, pulled(3, 13, Some(60), 1), 1), []);
    assert_eq!(progress.pass(late(1)), [server(3)]);
    assert_eq!(progress.state(late(9)), State::Waiting);
}

#[test]
fn without_the_publisher_those_that_tell_stamps_are_believed() {
    // What was published before what another has is not a later version of that.
    let mut progress = for_serial(12, 2);
    assert_eq!(take(&mut progress, pulled(1, 12, Some(50), 1), 1), [server(1)]);
    assert_eq!(take(&mut progress, pulled(2, 100, Some(5), 1), 1), []);
    let told = report(&progress);
    assert!(told.contains(", but what 192.0.2.1:53 has was published later\n"), "{told}");
    // What was published after it is.
    assert_eq!(take(&mut progress, pulled(2, 100, Some(60), 2), 2), [server(2)]);

    // A secondary that may be the slower one, or be cut off now, keeps nobody waiting for the next version.
    let mut progress = for_serial(12, 2);
    assert_eq!(take(&mut progress, pulled(1, 12, None, 1), 1), [server(1)]);
    assert_eq!(take(&mut progress, shown(2, 13, 1), 1), [server(2)]);

    // Where nobody tells anything all newer ones are later versions, as are the only server's.
    let mut progress = for_serial(12, 2);
    assert_eq!(take(&mut progress, shown(1, 12, 1), 1), [server(1)]);
    assert_eq!(take(&mut progress, shown(2, 100, 1), 1), [server(2)]);
    assert_eq!(take(&mut for_serial(12, 1), pulled(1, 100, Some(5), 1), 1), [server(1)]);
    // Nor is a serial doubted that was not named.
    let mut progress = Progress::new(Some(Goal::Next(None)), &[server(1), server(2)], false);
    for (serial, second) in [(12, 1), (13, 2)] {
        take(&mut progress, pulled(1, serial, Some(50), second), second);
        take(&mut progress, pulled(2, serial, Some(50), second), second);
    }
    assert_eq!(progress.exit(at(2).mono), Exit::Done);
}

#[test]
fn for_what_a_node_published_it_is_the_node_that_knows() {
    let published =
        |serial, content| Published { serial: Serial(serial), digest: Some(digest_of(content).to_string()) };
    let mut progress = for_serial(12, 2);
    progress.set_published(published(12, 1), at(0).mono);
    assert_eq!(take(&mut progress, pulled(1, 100, Some(5), 1), 1), []);
    assert!(progress.is_to_ask_publisher());
    progress.ask_publisher();
    progress.set_published(published(12, 1), at(0).mono);
    assert!(!progress.is_to_ask_publisher());
    assert_eq!(progress.state(at(1).mono), State::Waiting);
    // It has published another one meanwhile.
    assert_eq!(take(&mut progress, shown(2, 13, 2), 2), []);
    // What it said before it was asked about that says nothing of it.
    progress.set_published(published(12, 1), at(0).mono);
    assert!(progress.is_to_ask_publisher());
    progress.ask_publisher();
    progress.set_published(published(13, 1), at(0).mono);
    assert_eq!((progress.converged(), progress.state(at(2).mono)), (1, State::Refuted));
    assert_eq!(progress.exit(at(2).mono), Exit::Pending);
    let told = report(&progress);
    assert!(
        told.starts_with(
            "given up after 9.000 s: 1 of 2 servers did not show serial 12\n  \
             192.0.2.1:53 shows serial 100, which was never published here\na server that shows what was never published takes nothing older"
        ),
        "{told}"
    );
    let json = progress.json(&zone(), at(0).mono, at(2).mono);
    assert_eq!(json["servers"][0]["shows"], "serial 100, which was never published here");

    // The same serial with other content may be repaired.
    let mut progress = for_serial(12, 1);
    progress.set_published(published(12, 2), at(0).mono);
    assert_eq!(take(&mut progress, pulled(1, 12, Some(5), 1), 1), []);
    assert!(!progress.is_to_ask_publisher());
    assert_eq!(progress.state(at(1).mono), State::Waiting);
    assert!(
        report(&progress).contains("with other content than was published here"),
        "{}",
        report(&progress)
    );
    progress.set_published(published(12, 1), at(0).mono);
    assert_eq!(take(&mut progress, pulled(1, 12, Some(5), 2), 2), [server(1)]);
}

#[test]
fn an_order_that_surprises_is_told() {
    let order = |goal, serial| {
        let mut progress = for_serial(goal, 1);
        take(&mut progress, shown(1, serial, 1), 1);
        let report = report(&progress);
        let hint = report.lines().find_map(|line| line.strip_prefix("by serial arithmetic (RFC 1982) "));
        (progress.converged(), hint.map(str::to_owned))
    };
    assert_eq!(order(u32::MAX, 10), (1, Some("4294967295 is older than 10".to_owned())));
    assert_eq!(order(10, u32::MAX), (0, Some("10 is newer than 4294967295".to_owned())));
    let neither = "2147483658 is neither older nor newer than 10";
    assert_eq!(order((1 << 31) + 10, 10), (0, Some(neither.to_owned())));
    assert_eq!(order(10, 11), (1, None));
    assert_eq!(order((1 << 30) + 10, 10), (0, None));
}

#[test]
fn who_refuses_is_told_of_with_the_next_step() {
    let refused = |reason| {
        let (sent, received) = (at(1).mono, at(1).mono);
        Event::Failed { server: server(1), zone: zone(), sent, received, reason }
    };
    for reason in [Reason::Rcode(Rcode::REFUSED), Reason::NotAuthoritative] {
        let mut progress = for_serial(12, 1);
        take(&mut progress, refused(reason), 1);
        let told = report(&progress);
        assert!(told.contains(&format!("{reason} since ")), "{told}");
        assert!(told.contains("(a cache? give --scope caches; else"), "{told}");
        progress.set_caches();
        assert!(!report(&progress).contains("--scope"), "{}", report(&progress));
    }
    let mut progress = for_serial(12, 1);
    take(&mut progress, refused(Reason::Rcode(Rcode::SERVFAIL)), 1);
    assert!(!report(&progress).contains("--scope"), "{}", report(&progress));
}
