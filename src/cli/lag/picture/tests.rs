use std::num::NonZeroU32;

use crate::time::{Hlc, Mono, Utc};
use crate::zone::digest::Digest;
use crate::zone::stamp::{self, Stamp};

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

fn seen(number: u8, serial: u32, second: u64) -> Observation {
    let seen = Observation::plain(server(number), zone(), Some(Serial(serial)), at(second));
    Observation { soa_expire: Some(604_800), ..seen }
}

/// What a primary tells that published serial n at second n.
fn told(serials: &[u32]) -> Option<stamp::Told> {
    let digest = Digest::from_bytes([0; 32]);
    let stamp = |&serial: &u32| Stamp {
        serial: Serial(serial),
        published: Some(Hlc::at(at(serial.into()).utc)),
        digest,
        writer: 1,
    };
    Some(stamp::Told {
        age: Duration::ZERO,
        is_verified: true,
        stamps: serials.iter().map(stamp).collect(),
        ..Default::default()
    })
}

fn picture(servers: u8) -> Picture {
    let mut picture = Picture::default();
    (1..=servers).for_each(|number| picture.expect(&zone(), server(number)));
    picture
}

fn plain(picture: &Picture, now: Now, bounds: bool) -> String {
    console::strip_ansi_codes(&picture.table(now, bounds).render(None)).into_owned()
}

#[test]
fn a_server_at_the_head_is_asked_what_a_laggard_lacks() {
    let mut picture = picture(3);
    picture.take(&Event::Seen(Observation {
        told: told(&[42]),
        nsid: Some(b"ams1".into()),
        ..seen(1, 42, 50)
    }));
    assert!(picture.is_waiting());
    picture.take(&Event::Seen(Observation { expire: Some(604_788), ..seen(2, 40, 50) }));
    picture.take(&Event::Silent { server: server(3), zone: zone(), since: at(48).mono });
    assert!(!picture.is_waiting() && picture.is_anybody_there());
    assert_eq!(picture.questions(), [(zone(), server(1), Serial(40))]);
    assert_eq!(picture.changes(at(120), false).len(), 2);
    // Two stamps, as servers tell them over UDP, of a hundred versions.
    let told = told(&[42, 41]).map(|told| stamp::Told { later: NonZeroU32::new(100), ..told });
    picture.take(&Event::Seen(Observation { asked: Some(Serial(40)), told, ..seen(1, 42, 51) }));
    picture.take(&Event::Seen(Observation { expire: Some(604_788), ..seen(2, 40, 52) }));
    assert_eq!(picture.changes(at(120), false).len(), 1);
    assert_eq!(picture.questions(), []);
    assert_eq!(
        plain(&picture, at(120), false),
        "\
ZONE      SERVER           SERIAL  BEHIND  STALE  EXPIRE  VERIFIED  NSID
example.  192.0.2.1:53         42       0     0s       -        0s
example.  192.0.2.2:53         40     100  1m19s   6d23h     12.0s
example.  192.0.2.3:53  no answer       -      -       -         -
"
    );
}

#[test]
fn without_stamps_there_is_a_lower_bound() {
    let mut picture = picture(2);
    picture.take(&Event::Seen(seen(1, 42, 50)));
    picture.take(&Event::Seen(seen(2, 41, 50)));
    assert_eq!(picture.questions(), []);
    let laggard = |bounds| plain(&picture, at(62), bounds).lines().nth(2).unwrap().to_owned();
    assert!(laggard(true).contains(">= 12.0s"), "{}", laggard(true));
    assert!(!laggard(false).contains("12.0s"), "{}", laggard(false));
    let json = picture.json(at(62));
    let stale = &json["zones"][0]["servers"][1]["staleness"];
    assert_eq!(stale, &json!({ "estimate": null, "low": 12.0, "high": null }));
    assert_eq!(json["zones"][0]["head"], 42);
}

/// Two that each take themselves for the source of the zone.
#[test]
fn a_word_that_nothing_is_newer_holds_against_no_version_that_is() {
    let mut picture = picture(2);
    picture.take(&Event::Seen(Observation { told: told(&[7]), ..seen(1, 7, 100) }));
    picture.take(&Event::Seen(Observation { told: told(&[8]), ..seen(2, 8, 100) }));
    let json = picture.json(at(100));
    let stale = |server: usize| &json["zones"][0]["servers"][server]["staleness"];
    assert_eq!((&stale(0)["high"], &stale(0)["estimate"]), (&Value::Null, &json!(92.0)));
    assert_eq!(stale(1)["high"], 0.0);
    let late = picture.late(Duration::from_secs(60), at(100));
    assert!(
        late.len() == 1 && late[0].contains("192.0.2.1:53: it lacks a change that is 1m32s old"),
        "{late:?}"
    );
}

#[test]
fn a_line_is_printed_when_something_changed() {
    let mut picture = picture(2);
    picture.take(&Event::Seen(seen(1, 41, 50)));
    assert_eq!(
        picture.changes(at(50), false),
        ["2023-11-14T22:14:10.000Z example. 192.0.2.1:53 serial 41, stale 0s"]
    );
    picture.take(&Event::Seen(seen(1, 41, 51)));
    assert_eq!(picture.changes(at(51), false), [""; 0]);
    picture.take(&Event::Seen(seen(2, 42, 52)));
    assert_eq!(picture.new_heads(), [(zone(), Serial(42))]);
    assert_eq!(picture.new_heads(), []);
    // The other one may have followed: it is spoken of once it was asked again.
    assert_eq!(picture.changes(at(53), false).len(), 1);
    picture.take(&Event::Seen(seen(1, 41, 53)));
    let lines = picture.changes(at(53), false);
    assert!(lines[0].ends_with("192.0.2.1:53 serial 41, stale >= 1.0s"), "{lines:?}");
    assert_eq!(lines.len(), 1);
    picture.take(&Event::Seen(seen(1, 42, 54)));
    let lines = picture.changes(at(54), false);
    assert!(lines.len() == 1 && lines[0].ends_with("serial 41 -> 42, stale 0s"), "{lines:?}");
    picture.take(&Event::Silent { server: server(1), zone: zone(), since: at(55).mono });
    let line: Value = serde_json::from_str(&picture.changes(at(57), true)[0]).unwrap();
    assert_eq!(
        (&line["fault"], &line["serial"], &line["head"]),
        (&json!("no answer"), &Value::Null, &json!(42))
    );
}

#[test]
fn spans_are_short() {
    let spans = [0, 3, 250, 12_345, 312_000, 11_100_000, 604_788_000];
    let shown = spans.map(|milli| human(Duration::from_millis(milli)));
    assert_eq!(shown, ["0s", "0.01s", "0.25s", "12.3s", "5m12s", "3h05m", "6d23h"]);
}

#[test]
fn a_server_that_has_not_asked_for_long_is_not_said_to_be_current() {
    let left = |number, used: u32, second| {
        Event::Seen(Observation { expire: Some(604_800 - used), ..seen(number, 7, second) })
    };
    let mut picture = picture(1);
    picture.take(&left(1, 17, 100));
    assert!(plain(&picture, at(100), false).contains("<= 20.0s"), "{}", plain(&picture, at(100), false));
    let late = picture.late(Duration::from_secs(5), at(100));
    let since = "example. at 192.0.2.1:53: it is not verified since 2023-11-14T22:14:40.000Z, 20.0s ago";
    assert!(late.len() == 1 && late[0].starts_with(since), "{late:?}");
    // Its primary shows the same.
    picture.expect(&zone(), server(2));
    picture.take(&left(2, 0, 100));
    assert!(!plain(&picture, at(100), false).contains("<="), "{}", plain(&picture, at(100), false));
    assert_eq!(picture.late(Duration::from_secs(5), at(100)), [""; 0]);
    picture.take(&Event::Silent { server: server(2), zone: zone(), since: at(101).mono });
    let late = picture.late(Duration::from_secs(5), at(103));
    assert!(late.len() == 2 && late[1].starts_with("example. at 192.0.2.2:53: no answer; "), "{late:?}");
}

#[test]
fn servers_that_tell_nothing_do_not_vouch_for_each_other() {
    let mut picture = picture(2);
    let within =
        |picture: &Picture, seconds, now| picture.late(Duration::from_secs(seconds), at(now)).is_empty();
    (1..=2).for_each(|number| picture.take(&Event::Seen(seen(number, 42, 100))));
    assert!(!within(&picture, 3_600, 100));
    let late = picture.late(Duration::from_secs(3_600), at(100));
    assert!(late.len() == 2 && late[0].contains("nothing tells since when it is current"), "{late:?}");
    // One that tells stamps speaks for those that show the same, and tells since when the others are late.
    picture.expect(&zone(), server(3));
    let asked = Some(Serial(40));
    picture.take(&Event::Seen(Observation { asked, told: told(&[42, 41]), ..seen(3, 42, 100) }));
    assert!(within(&picture, 1, 101));
    picture.take(&Event::Seen(seen(2, 40, 101)));
    assert!(within(&picture, 80, 120) && !within(&picture, 78, 120));
}

#[test]
fn other_content_is_told_in_the_words_of_status_and_with_its_serial() {
    let mut picture = picture(2);
    let other = told(&[42]).map(|mut told| {
        told.stamps[0].digest = Digest::from_bytes([1; 32]);
        told
    });
    picture.take(&Event::Seen(Observation { told: told(&[42]), ..seen(1, 42, 50) }));
    picture.take(&Event::Seen(Observation { told: other, ..seen(2, 42, 50) }));
    let table = plain(&picture, at(50), false);
    assert_eq!(table.matches("42, other content under the same serial").count(), 2, "{table}");
    let server = &picture.json(at(50))["zones"][0]["servers"][1];
    assert_eq!((&server["fault"], &server["serial"]), (&json!(Reason::OtherContent.to_string()), &json!(42)));
}

#[test]
fn a_serial_that_went_back_where_the_zone_is_published_bounds_nothing_and_is_told() {
    let mut picture = picture(2);
    // It serves what was published at second 42, is cut off since second 60, and the other one lost its data folder.
    let age = Duration::from_secs(40);
    let cut_off = told(&[42]).map(|told| stamp::Told { age, is_verified: false, ..told });
    picture.take(&Event::Seen(Observation { told: cut_off, ..seen(1, 42, 100) }));
    picture.take(&Event::Seen(Observation { told: told(&[4]), ..seen(2, 4, 103) }));
    let shown = plain(&picture, at(104), false);
    assert!(shown.contains("<= 44.0s") && !shown.contains("<= 1.0s"), "{shown}");
    let note = picture.notes(at(104));
    assert!(note.contains("192.0.2.2:53 publishes it and shows serial 4, while others have 42"), "{note}");
    let late = picture.late(Duration::from_secs(10), at(104));
    assert!(late.iter().any(|line| line.contains("192.0.2.1")), "{late:?}");
}

#[test]
fn a_publisher_that_was_asked_right_before_its_change_did_not_go_back() {
    let mut picture = picture(2);
    picture.take(&Event::Seen(Observation { told: told(&[98]), ..seen(2, 98, 100) }));
    picture.take(&Event::Seen(Observation { told: told(&[100]), ..seen(1, 100, 101) }));
    assert_eq!(picture.notes(at(101)), "");
}
