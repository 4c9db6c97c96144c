//! Everything that can go wrong between a secondary and its primaries.

use super::super::super::fixture::a;
use super::*;
use crate::publish::messages::Messages;

#[test]
fn lost_soa_answers_are_asked_for_again_then_over_tcp() {
    for (lost, by) in [(1, 100), (2, 300), (3, 700)] {
        let mut world = World::settled(1);
        world.mode(1, Mode::Silent(lost));
        world.notify(1, None);
        world.run(by + 2 * ONE_WAY);
        assert_eq!(world.take_log(), ["confirmed"], "{lost} lost");
        assert_eq!(world.confirmed.unwrap().0, at(1_500 + by).utc, "as of the question that was answered");
    }
}

#[test]
fn a_silent_primary_is_given_up_and_the_next_one_asked() {
    let mut world = World::settled(2);
    world.mode(1, Mode::Silent(u32::MAX));
    world.edit(2, 2, 11);
    world.notify(1, None);
    world.run(9_000);
    assert_eq!(world.take_log(), ["failed soa timeout", "behind 2", "fetched ixfr", "confirmed"]);
    assert!(world.serves(2));
}

#[test]
fn without_any_primary_the_retry_timer_runs() {
    let mut world = World::settled(2);
    world.mode(1, Mode::Down);
    world.mode(2, Mode::Code(Rcode::REFUSED));
    world.notify(1, None);
    world.run(100);
    assert_eq!(world.take_log(), ["failed soa unreachable", "failed soa refused"]);
    world.run(7_800);
    assert!(world.take_log().is_empty());
    world.mode(2, Mode::Up);
    world.run(2_200);
    assert_eq!(world.take_log(), ["failed soa unreachable", "confirmed"]);
}

/// RFC 8914: what a primary says of why it refuses is told, whatever it was asked.
#[test]
fn the_words_of_a_primary_that_refuses_are_kept() {
    let mut world = World::settled(1);
    world.mode(1, Mode::Prohibits);
    world.notify(1, None);
    world.run(100);
    assert_eq!(world.take_log(), ["failed soa refused (EDE 18 Prohibited: not for you)"]);
    let mut world = World::new(1);
    world.edit(1, 1, 10);
    world.mode(1, Mode::Prohibits);
    world.start();
    world.run(100);
    assert_eq!(world.take_log(), ["failed axfr refused (EDE 18 Prohibited: not for you)"]);
}

#[test]
fn pauses_grow_while_there_is_no_content() {
    let mut world = World::new(1);
    world.mode(1, Mode::Down);
    world.start();
    let mut starts = Vec::new();
    while starts.len() < 10 {
        world.run(10);
        if world.refresh.state() == "Idle" {
            starts.push(world.refresh.next_timeout().unwrap().since(at(world.now).mono));
            world.now = world.refresh.next_timeout().unwrap().0 / 1_000;
            world.run(1);
        }
    }
    assert!(starts[0] <= timers::FIRST_PAUSE && starts[3] > starts[2] && starts[2] > starts[1]);
    assert!(starts.iter().all(|pause| *pause <= timers::LONGEST_PAUSE), "{starts:?}");
    world.take_log();
    world.edit(1, 1, 10);
    world.mode(1, Mode::Up);
    world.notify(1, Some(1));
    world.run(100);
    assert!(world.serves(1), "a NOTIFY cuts the pause short");
}

#[test]
fn a_bad_ixfr_answer_is_followed_by_axfr_with_the_reason() {
    let host = || a("x.example.", 1);
    let cases: [(Vec<Record>, &str); 6] = [
        (vec![soa(2), soa(1), soa(2), host()], "truncated"),
        (vec![soa(2), soa(0), soa(2), soa(2)], "out_of_sequence"),
        (vec![Record { owner: "test.".parse().unwrap(), ..soa(2) }, soa(1)], "wrong_zone"),
        (vec![soa(2), soa(1), soa(2), host(), soa(3)], "soa_mismatch"),
        (vec![], "malformed"),
        // Well-formed, and removes what is not there.
        (vec![soa(2), soa(1), host(), soa(2), soa(2)], "does_not_apply"),
    ];
    for (records, reason) in cases {
        let mut world = World::settled(1);
        let before = world.secondary.zone().version().unwrap();
        world.edit(1, 2, 11);
        world.mode(1, Mode::Ixfr(records));
        world.notify(1, Some(2));
        world.run(45);
        assert_eq!(world.secondary.serial(), Some(before.stamp.serial), "the old data stays");
        world.run(100);
        let log = world.take_log();
        assert!(log.contains(&format!("failed ixfr {reason}")), "{reason}: {log:?}");
        assert!(log.contains(&format!("fallback {reason}")), "{log:?}");
        assert_eq!(log[log.len() - 2..], ["fetched axfr", "confirmed"]);
        assert!(world.serves(1));
        // The first copy and this one; what was taken for differences until they did not fit is none.
        assert_eq!((world.pulled, world.detail.is_some()), (2, reason == "does_not_apply"), "{reason}");
    }
}

#[test]
fn the_whole_zone_in_place_of_differences_is_counted() {
    let mut world = World::settled(1);
    let mut fresh = Node::primary();
    fresh.edit(at(2_000), 9, &hosts(12));
    world.primaries.insert(address(1), (fresh, Mode::Up));
    world.notify(1, Some(9));
    world.run(100);
    assert_eq!(world.take_log(), ["behind 9", "fallback axfr_style", "fetched axfr", "confirmed"]);
    assert!(world.serves(1));
}

#[test]
fn transfers_cut_or_stalled_leave_the_old_data() {
    for (mode, wait, reason) in [(Mode::Cut, 100, "truncated"), (Mode::Stalled, 61_000, "timeout")] {
        let mut world = World::settled(1);
        world.edit(1, 2, 30);
        world.mode(1, mode);
        world.notify(1, Some(2));
        world.run(wait);
        let failed = |kind| format!("failed {kind} {reason}");
        let expected =
            ["behind 2", "behind 2", &failed("ixfr"), &format!("fallback {reason}"), &failed("axfr")];
        assert_eq!(world.take_log(), expected);
        assert_eq!(world.secondary.serial(), Some(Serial(1)));
        world.mode(1, Mode::Up);
        world.run(10_000);
        assert!(world.serves(1), "RETRY brings it");
    }
}

#[test]
fn a_primary_whose_transfers_lack_what_its_soa_shows_confirms_nothing() {
    let mut world = World::settled(1);
    world.edit(1, 2, 30);
    let old = world.secondary.zone().version().unwrap().snapshot.soa_record();
    world.mode(1, Mode::Ixfr(vec![old]));
    world.notify(1, Some(2));
    world.run(200);
    // What is asked for as a whole comes from elsewhere and is new.
    assert_eq!(
        world.take_log(),
        ["behind 2", "behind 2", "failed ixfr not_given", "fallback not_given", "fetched axfr", "confirmed"]
    );
    assert!(world.serves(1));
}

#[test]
fn a_primary_that_stops_in_mid_transfer_is_left_for_the_next() {
    let mut world = World::settled(2);
    (1..=2).for_each(|primary| world.edit(primary, 2, 30));
    world.mode(1, Mode::Stalled);
    world.notify(1, Some(2));
    world.run(STALLED.as_millis() as u64 + 200);
    let log = world.take_log();
    assert_eq!(log[2..], ["failed ixfr timeout", "fetched ixfr", "confirmed"], "{log:?}");
    assert!(world.serves(2));
}

#[test]
fn an_order_ends_a_transfer_that_does_not_move() {
    let mut world = World::settled(1);
    world.edit(1, 2, 30);
    world.mode(1, Mode::Stalled);
    world.notify(1, Some(2));
    world.run(2_000);
    world.mode(1, Mode::Up);
    let order = |world: &mut World| {
        let events = world.refresh.refresh_now(at(world.now), &mut world.out);
        world.handle(events);
        world.run(200);
        world.take_log()
    };
    assert_eq!(order(&mut world), ["behind 2", "behind 2"], "it may go on");
    world.run(4_000);
    let log = order(&mut world);
    assert_eq!(log[0], "failed ixfr slow", "{log:?}");
    assert!(world.serves(1), "{log:?}");
}

#[test]
fn a_large_transfer_that_finds_no_room_beside_others_is_asked_for_again_soon() {
    let mut world = World::settled(1);
    let config = world.refresh.config.clone();
    let mut others = Messages::among(config.together.clone(), None);
    others.keep(vec![0; 8 << 20]);
    let limits = Limits { bytes: 8 << 20, ..Limits::default() };
    world.refresh = Refresh::new(Config { limits, ..config }, 42);
    world.start();
    world.run(500);
    world.take_log();
    world.edit(1, 2, 11);
    world.notify(1, Some(2));
    world.run(1_100);
    assert!(world.serves(1), "a small one has room: {:?}", world.log);
    world.take_log();
    // Some two megabytes.
    world.edit(1, 3, 30_000);
    world.notify(1, Some(3));
    world.run(100);
    // The whole zone would find none either.
    assert_eq!(world.take_log(), ["behind 3", "behind 3", "failed ixfr no_room"]);
    drop(others);
    world.run(1_100);
    assert!(world.serves(1));
}

/// A zone of eleven records is all that is taken, and a primary with more is polled every second.
fn polling() -> World {
    let mut world = World::new(1);
    let limits = Limits { records: 11, ..Limits::default() };
    let lease = Some(Duration::from_secs(1));
    let config = world.refresh.config.clone();
    world.refresh = Refresh::new(Config { limits, lease, ..config }, 42);
    world.edit(1, 1, 5);
    world.start();
    world.run(500);
    assert_eq!(world.take_log().last().map(String::as_str), Some("confirmed"));
    world.sent.clear();
    world
}

fn attempts(log: &[String]) -> usize {
    log.iter().filter(|entry| entry.starts_with("failed axfr")).count()
}

#[test]
fn what_cannot_be_used_is_pulled_with_retry_and_polled_with_the_lease() {
    let mut world = polling();
    world.edit(1, 2, 100);
    world.notify(1, Some(2));
    world.run(60_000);
    let log = world.take_log();
    assert!((6..=9).contains(&attempts(&log)), "RETRY is 10 s: {log:?}");
    assert!(world.sent[&address(1)] > 60 + 2 * 6, "{:?}", world.sent);
    assert_eq!(world.secondary.serial(), Some(Serial(1)));
    assert!(world.refresh.verified_until().is_none(), "a newer version is known to exist");
    world.edit(1, 3, 6);
    world.run(1_100);
    assert!(world.serves(1), "another version is worth a try at once");
}

#[test]
fn a_transfer_that_is_turned_away_is_asked_for_soon_and_then_less_and_less_often() {
    let mut world = polling();
    world.edit(1, 2, 6);
    world.mode(1, Mode::Cut);
    world.notify(1, Some(2));
    world.run(2_000);
    assert!(attempts(&world.take_log()) >= 3);
    world.run(118_000);
    let log = world.take_log();
    assert!((4..=6).contains(&attempts(&log)), "{log:?}");
    world.refresh_now();
    // Rounds are a second apart when nothing has come of the last ones.
    world.run(1_100);
    assert_eq!(attempts(&world.take_log()), 1, "by order");
    world.mode(1, Mode::Up);
    world.run(61_000);
    assert!(world.serves(1));
}

#[test]
fn an_older_serial_is_not_taken_and_other_primaries_are_asked() {
    let mut world = World::settled(2);
    world.edit(2, 5, 20);
    world.notify(2, Some(5));
    world.run(100);
    world.take_log();
    world.mode(2, Mode::Down);
    world.notify(1, None);
    world.run(100);
    assert_eq!(world.take_log(), ["failed soa older", "failed soa unreachable"]);
    assert_eq!(world.secondary.serial(), Some(Serial(5)));
}

#[test]
fn content_that_a_laggard_gave_is_stale_since_something_newer_than_it_was_told_of() {
    let mut world = World::settled(2);
    world.mode(1, Mode::Down);
    world.notify(1, Some(2));
    world.run(5_000);
    let told = world.now;
    world.notify(1, Some(3));
    world.run(5_000);
    // Nor does it say of serial 3, which a restart may leave it with, what it knew of serial 2.
    assert_eq!(world.refresh.newest_told(), Some((Serial(3), at(told).mono)));
    assert!(world.refresh.newer().unwrap().learned_at < at(told).mono);
    world.edit(2, 2, 11);
    world.run(12_000);
    assert_eq!(world.secondary.serial(), Some(Serial(2)));
    let newer = world.refresh.newer().unwrap();
    // Of serial 2 it knew long before, but that is what it has now.
    assert_eq!((newer.serial, newer.learned_at), (Serial(3), at(told).mono));
}

#[test]
fn content_expires_and_comes_back() {
    let mut world = World::settled(1);
    let expires = world.confirmed.unwrap().2;
    world.mode(1, Mode::Down);
    assert!(world.refresh.verified_until().is_some());
    world.run(u64::from(TIMERS[0]) * 1_000);
    assert!(world.refresh.verified_until().is_none(), "nobody was there to be asked");
    world.run(expires.0 / 1_000 - world.now - 1);
    assert_eq!(world.secondary.serial(), Some(Serial(1)), "served until the end");
    assert!(world.take_log().iter().all(|entry| entry == "failed soa unreachable"));
    world.run(1);
    assert!(world.take_log().contains(&"expired".to_string()));
    assert_eq!((world.secondary.serial(), world.secondary.zone().expired_at().is_some()), (None, true));
    world.edit(1, 2, 11);
    world.mode(1, Mode::Up);
    world.run(61_000);
    assert!(
        world.serves(1)
            && world.secondary.zone().expired_at().is_none()
            && world.refresh.verified_until().is_some()
    );
    assert!(!world.take_log().contains(&"expired".to_string()));
}

#[test]
fn divergence_is_repaired_once_per_serial_and_retry() {
    let mut world = World::settled(1);
    let mut other = Node::primary();
    other.edit(at(2_000), 1, &hosts(12));
    world.primaries.insert(address(1), (other, Mode::Up));
    world.notify(1, None);
    world.run(100);
    assert_eq!(world.take_log(), ["fallback digest_mismatch", "fetched axfr", "confirmed"]);
    assert!(world.serves(1));
    let mut third = Node::primary();
    third.edit(at(3_000), 1, &hosts(13));
    world.primaries.insert(address(1), (third, Mode::Up));
    world.notify(1, None);
    world.run(2_000);
    assert_eq!(world.take_log(), ["failed soa digest_mismatch"], "lest it go on for ever");
    assert!(world.refresh.verified_until().is_none(), "what is served is not what the primary has");
    world.run(20_000);
    assert!(world.take_log().contains(&"fallback digest_mismatch".to_string()));
    assert!(world.serves(1));
}

#[test]
fn what_cannot_be_stored_is_tried_again_later() {
    let mut world = World::settled(2);
    world.edit(1, 2, 11);
    world.secondary.journal.full = true;
    world.notify(1, Some(2));
    world.run(100);
    let log = world.take_log();
    assert_eq!(log[log.len() - 2..], ["fetched ixfr", "failed ixfr not_stored"]);
    assert!(world.pulled == 1 && world.detail.is_some(), "nothing came of it");
    assert_eq!(world.secondary.serial(), Some(Serial(1)));
    world.secondary.journal.full = false;
    world.run(10_100);
    assert!(world.serves(1));
}

#[test]
fn a_primary_that_objects_to_edns_is_asked_without() {
    // One that has taken EDNS before refuses for another reason; these codes speak of the question itself.
    for rcode in [Rcode::FORMERR, Rcode::NOTIMP] {
        let mut world = World::settled(1);
        world.edit(1, 2, 11);
        world.mode(1, Mode::Objects(rcode));
        world.notify(1, Some(2));
        world.run(200);
        assert!(world.serves(1), "{rcode}: {:?}", world.take_log());
    }
    for rcode in [Rcode::FORMERR, Rcode::NOTIMP, Rcode::REFUSED, Rcode::SERVFAIL] {
        let mut world = World::new(1);
        world.edit(1, 1, 11);
        world.mode(1, Mode::Objects(rcode));
        world.start();
        world.run(200);
        assert_eq!(world.take_log(), ["fetched axfr", "confirmed"], "{rcode}");
        assert!(world.confirmed.unwrap().1.is_some(), "{rcode}: it has no ages to tell");
        world.edit(1, 2, 12);
        world.notify(1, Some(2));
        world.run(100);
        assert!(world.serves(1), "{rcode}: {:?}", world.take_log());
    }
}

#[test]
fn a_primary_that_is_silent_to_edns_is_found_out_once() {
    let mut world = World::new(1);
    world.edit(1, 1, 11);
    world.mode(1, Mode::SilentToEdns);
    world.start();
    // Two connections of two seconds each: the first answer without EDNS might be due to the network.
    world.run(4_100);
    assert_eq!(world.take_log(), ["fetched axfr", "confirmed"]);
    world.edit(1, 2, 12);
    world.notify(1, Some(2));
    world.run(4 * ONE_WAY);
    assert!(world.serves(1), "what was found out is remembered: {:?}", world.take_log());
    // Datagrams may have been lost, and the primary a secondary whose word is old: nothing says how fresh this is.
    assert_eq!(world.confirmed.unwrap().1, None);

    let mut world = World::settled(1);
    world.mode(1, Mode::SilentToEdns);
    world.notify(1, None);
    world.run(8_600);
    assert_eq!(world.take_log(), ["failed soa timeout"], "it is known to take options, and may just be down");
}

#[test]
fn bytes_behind_messages_change_nothing() {
    let mut world = World::new(1);
    world.edit(1, 1, 100);
    world.mode(1, Mode::BytesBehind);
    world.start();
    world.run(100);
    world.edit(1, 2, 101);
    world.notify(1, Some(2));
    world.run(100);
    let log = ["fetched axfr", "confirmed", "behind 2", "behind 2", "fetched ixfr", "confirmed"];
    assert_eq!(world.take_log(), log);
    assert!(world.serves(1));
}

#[test]
fn what_one_primary_announced_another_cannot_recant() {
    let mut world = World::settled(2);
    world.run(1_000);
    world.mode(2, Mode::Down);
    world.notify(2, Some(2));
    world.run(100);
    assert_eq!(world.take_log(), ["behind 2", "failed soa unreachable", "confirmed"]);
    let (verified, fresh, _) = world.confirmed.unwrap();
    assert!(verified > at(2_000).utc && fresh < Some(at(2_000).mono), "verified, yet not known to be fresh");
    assert_eq!(world.refresh.newer().map(|newer| newer.serial), Some(Serial(2)));
    world.edit(2, 2, 11);
    world.mode(2, Mode::Up);
    world.notify(2, Some(2));
    world.run(100);
    assert!(world.serves(2) && world.refresh.newer().is_none());
}

#[test]
fn spare_calls_change_nothing() {
    let mut world = World::settled(1);
    let before = world.refresh.next_timeout();
    let mut events = world.refresh.handle_timeout(at(world.now), &mut world.out);
    events.extend(world.refresh.arrived(
        at(world.now),
        Token(9),
        Arrival::Message(vec![0; 30]),
        &mut world.out,
    ));
    events.extend(world.refresh.published(at(world.now), &Ok(None), &mut world.out));
    assert!(events.is_empty() && world.out.exchanges.is_empty());
    assert_eq!((world.refresh.next_timeout(), world.refresh.state()), (before, "Idle"));
}

#[test]
fn a_notify_tells_since_when_content_is_old_though_its_sender_answers_nothing() {
    let mut world = World::settled(1);
    world.edit(1, 2, 12);
    world.edit(1, 3, 14);
    world.mode(1, Mode::Silent(u32::MAX));
    world.tell(1);
    let newer = world.refresh.newer().unwrap();
    assert_eq!((newer.serial, newer.successor.map(|stamp| stamp.serial)), (Serial(3), Some(Serial(2))));
}
