//! Rounds that go as they should: timers, NOTIFY, IXFR, several primaries, freshness, restart.

use super::*;
use crate::ask::question::CONNECTION_WITH_EDNS;

#[test]
fn the_first_content_comes_by_axfr_at_once() {
    let mut world = World::new(1);
    world.edit(1, 1, 100);
    world.start();
    assert_eq!(world.refresh.state(), "PullingAxfr");
    world.run(100);
    assert_eq!(world.take_log(), ["fetched axfr", "confirmed"]);
    assert!(world.serves(1));
    let stamps = |node: &Node| node.zone().version().unwrap().stamp;
    assert_eq!(stamps(&world.secondary), stamps(&world.primaries[&address(1)].0), "told, not made up");
    let (verified, fresh, expires) = world.confirmed.unwrap();
    assert_eq!((verified, fresh), (at(1_000).utc, Some(at(1_000).mono)));
    assert_eq!(expires, at(1_000 + 1_000 * u64::from(TIMERS[2])).mono);
}

#[test]
fn a_notify_leads_to_one_delta_within_two_round_trips() {
    let mut world = World::settled(1);
    world.edit(1, 2, 11);
    world.notify(1, Some(2));
    assert_eq!(world.refresh.newer().unwrap().serial, Serial(2));
    world.run(20);
    let newer = *world.refresh.newer().unwrap();
    let published = world.primaries[&address(1)].0.zone().version().unwrap().stamp;
    assert_eq!((newer.successor, newer.learned_at), (Some(published), at(1_500).mono));
    world.run(20);
    assert_eq!(world.take_log(), ["behind 2", "behind 2", "fetched ixfr", "confirmed"]);
    assert!(world.serves(1) && world.refresh.newer().is_none());
}

#[test]
fn three_deltas_come_in_one_answer() {
    let mut world = World::settled(1);
    (2..=4).for_each(|serial| world.edit(1, serial, 10 + serial as u16));
    world.notify(1, None);
    world.run(100);
    assert_eq!(world.take_log(), ["behind 4", "fetched ixfr", "confirmed"]);
    let zone = world.secondary.zone();
    let serials: Vec<u32> = zone.history().stamps().map(|stamp| stamp.serial.0).collect();
    assert_eq!(serials, [1, 2, 3, 4]);
    assert!(zone.history().stamps().all(|stamp| stamp.published.is_some()));
    assert!(world.serves(1));
}

#[test]
fn the_refresh_timer_finds_what_no_notify_told() {
    let mut world = World::settled(1);
    world.edit(1, 2, 11);
    world.run(79_000);
    assert!(world.take_log().is_empty(), "REFRESH less its spread has not passed");
    world.run(21_100);
    assert_eq!(world.take_log(), ["behind 2", "fetched ixfr", "confirmed"]);
    world.run(100_000);
    assert_eq!(world.take_log(), ["confirmed"]);
}

#[test]
fn a_notify_of_what_is_served_ends_there() {
    let mut world = World::settled(1);
    let sent = world.sent[&address(1)];
    world.notify(1, Some(1));
    world.notify(1, Some(0));
    world.notify(9, Some(7));
    world.run(1_000);
    assert_eq!((world.sent[&address(1)], world.take_log()), (sent, vec![]));
}

#[test]
fn a_forged_notify_is_settled_by_the_primary_and_costs_few_questions() {
    let mut world = World::settled(1);
    let sent = world.sent[&address(1)];
    world.notify(1, Some(9));
    world.run(100);
    assert_eq!(
        (world.take_log(), world.refresh.newer()),
        (["behind 9", "confirmed"].map(str::to_owned).to_vec(), None)
    );
    // After 1, 2, 4 and 8 seconds, and then with REFRESH.
    world.run(70_000);
    assert_eq!(world.sent[&address(1)] - sent, 5);
}

#[test]
fn what_a_former_life_heard_of_is_known_until_the_primary_has_been_asked() {
    for published in [1, 2] {
        let mut world = World::settled(1);
        world.secondary.zone().heard_of(Serial(2), at(world.now).utc);
        let heard = at(world.now).mono;
        world.mode(1, Mode::Down);
        world.run(30_000);
        world.refresh = Refresh::new(world.refresh.config.clone(), 7);
        world.start();
        world.run(5_000);
        assert_eq!(
            world.refresh.newer().copied(),
            Some(Newer { serial: Serial(2), successor: None, learned_at: heard })
        );
        // It has that version, or knows nothing of one.
        if published == 2 {
            world.edit(1, 2, 11);
        }
        world.mode(1, Mode::Up);
        world.run(20_000);
        assert!(
            world.serves(1) && world.refresh.newer().is_none() && world.refresh.verified_until().is_some()
        );
    }
}

#[test]
fn who_denies_what_a_former_life_heard_of_is_noted_once() {
    let mut world = World::settled(2);
    world.secondary.zone().heard_of(Serial(2), at(world.now).utc);
    world.mode(2, Mode::Down);
    world.refresh = Refresh::new(world.refresh.config.clone(), 7);
    world.start();
    world.run(100_000);
    let confirmed = world.take_log().iter().filter(|entry| *entry == "confirmed").count();
    assert!(confirmed > 2, "{confirmed}");
    let newer = world.refresh.newer().map(|newer| newer.serial);
    assert_eq!(newer, Some(Serial(2)), "it may have been the other one that told of it");
    assert_eq!(world.refresh.tellings.len(), 1);
}

#[test]
fn what_was_announced_and_is_not_shown_yet_is_asked_for_again_soon() {
    let mut world = World::settled(1);
    world.notify(1, Some(2));
    world.run(2_500);
    assert_eq!(world.secondary.serial(), Some(Serial(1)));
    world.edit(1, 2, 11);
    world.run(1_000);
    assert!(world.serves(1), "asked again after three seconds");
}

#[test]
fn what_was_announced_and_is_never_shown_is_told_once() {
    let mut world = World::settled(2);
    let told = |world: &mut World| {
        let mut log = world.take_log();
        log.retain(|entry| entry.starts_with("not shown"));
        log
    };
    world.notify(2, Some(9));
    world.run(14_000);
    assert!(told(&mut world).is_empty(), "it is still asked for");
    world.run(7_000);
    assert_eq!(told(&mut world), ["not shown 9 1"]);
    // The same announcement again, and the polls after it.
    world.notify(2, Some(9));
    world.run(200_000);
    assert!(told(&mut world).is_empty());
    // Another one is another matter, and so is the other primary's.
    for (primary, serial) in [(2, 8), (1, 8)] {
        world.notify(primary, Some(serial));
        world.run(21_000);
        assert_eq!(told(&mut world), [format!("not shown {serial} 1")]);
    }
    // One that comes in the end is none of these.
    world.notify(1, Some(2));
    world.run(5_000);
    world.edit(1, 2, 11);
    world.run(200_000);
    assert!(world.serves(1) && told(&mut world).is_empty());
}

#[test]
fn what_is_shown_and_cannot_be_had_is_not_called_unshown() {
    let mut world = World::settled(2);
    world.edit(1, 2, 30);
    world.mode(1, Mode::Cut);
    world.notify(1, Some(2));
    world.run(100_000);
    assert!(!world.take_log().iter().any(|entry| entry.starts_with("not shown")));
}

#[test]
fn a_notify_within_a_round_leads_to_another_right_after() {
    let mut world = World::settled(1);
    world.edit(1, 2, 11);
    world.notify(1, Some(2));
    world.run(30);
    assert_eq!(world.refresh.state(), "PullingIxfr");
    // The answer with serial 2 is under way already.
    world.edit(1, 3, 12);
    world.notify(1, Some(3));
    world.run(10);
    let newer = world.refresh.newer().unwrap();
    assert_eq!((world.secondary.serial(), newer.serial), (Some(Serial(2)), Serial(3)));
    assert_eq!(newer.learned_at, at(1_530).mono, "as long as serial 3 is known to exist");
    world.run(40);
    assert!(world.serves(1));
    assert_eq!(world.take_log().iter().filter(|entry| *entry == "fetched ixfr").count(), 2);
}

#[test]
fn a_storm_of_false_notifies_costs_few_questions() {
    let mut world = World::settled(1);
    let before = world.sent[&address(1)];
    for _ in 0..1_000 {
        world.notify(1, Some(77));
        world.notify(1, None);
        world.run(10);
    }
    let asked = world.sent[&address(1)] - before;
    assert!((10..=45).contains(&asked), "{asked} questions in ten seconds");
    assert!(world.refresh.newer().is_none_or(|newer| newer.serial == Serial(77)));
    world.edit(1, 2, 11);
    world.notify(1, Some(2));
    world.run(1_100);
    assert!(world.serves(1), "what is true is found all the same");
}

#[test]
fn refresh_now_asks_now() {
    let mut world = World::settled(1);
    world.run(5_000);
    let events = world.refresh.refresh_now(at(world.now), &mut world.out);
    world.handle(events);
    world.run(100);
    assert_eq!(world.take_log(), ["confirmed"]);
    assert_eq!(world.confirmed.unwrap().0, at(6_500).utc, "when the question was asked");
}

#[test]
fn the_primary_that_notified_is_asked_first() {
    let mut world = World::settled(3);
    world.edit(3, 2, 11);
    let before = world.sent.clone();
    world.notify(3, Some(2));
    world.run(100);
    assert_eq!(world.take_log().last().unwrap(), "confirmed");
    assert!(world.serves(3));
    assert_eq!(world.sent[&address(1)], before[&address(1)]);
    // The one that served last is asked first from now on: the others, asked before it, would be blamed for being down.
    [1, 2].into_iter().for_each(|other| world.mode(other, Mode::Down));
    world.run(100_000);
    assert_eq!(world.take_log(), ["confirmed"]);
    assert_eq!(world.sent[&address(1)], before[&address(1)] + 1, "for a second opinion");
}

#[test]
fn stored_content_is_asked_about_and_caught_up_with_by_ixfr() {
    let mut world = World::settled(1);
    world.run(10_000);
    world.edit(1, 2, 11);
    world.refresh = Refresh::new(world.refresh.config.clone(), 43);
    world.start();
    assert_eq!(world.refresh.state(), "AskingSoa");
    // Unverified for ten and a half seconds: so much is gone of EXPIRE.
    assert_eq!(world.refresh.expires_at, Some(at(1_000 + 1_000 * u64::from(TIMERS[2])).mono));
    world.run(100);
    assert_eq!(world.take_log(), ["behind 2", "fetched ixfr", "confirmed"]);
    assert!(world.serves(1));
}

#[test]
fn content_that_expired_meanwhile_is_not_served() {
    let mut world = World::settled(1);
    let ended = world.secondary.zone().counted_from().unwrap() + Duration::from_secs(TIMERS[2].into());
    world.now += 2_000 * u64::from(TIMERS[2]);
    world.refresh = Refresh::new(world.refresh.config.clone(), 43);
    world.start();
    // Since then, however much later it is noticed.
    assert_eq!((world.secondary.serial(), world.secondary.zone().expired_at()), (None, Some(ended)));
    world.run(100);
    assert_eq!(world.take_log(), ["expired", "fetched axfr", "confirmed"]);
    assert!(world.serves(1) && world.secondary.zone().expired_at().is_none());
}

#[test]
fn a_chained_secondary_inherits_age_and_expiry() {
    let mut world = World::settled(1);
    // The upstream is a secondary itself, last verified 40 s ago, with 25 s left.
    let upstream = world.primaries.get_mut(&address(1)).unwrap();
    let zone = upstream.0.zone();
    let access = crate::publish::access::Access { secondary: true, ..Default::default() };
    upstream.0.store.configure(&apex(), access);
    world.run(60_000);
    zone.confirm(at(21_500).utc, Some(at(21_500).mono), at(86_500).mono);
    world.mode(1, Mode::Expiring(25));
    let events = world.refresh.refresh_now(at(world.now), &mut world.out);
    world.handle(events);
    world.run(100);
    let (_, fresh, expires) = world.confirmed.unwrap();
    // The answer was written 10 ms after the question; its age counts from then, which errs to the safe side.
    assert_eq!(fresh, Some(at(21_490).mono));
    assert_eq!(expires, at(1_001_000).mono, "what is left upstream does not shorten what is left here");
    world.edit(1, 2, 11);
    world.notify(1, Some(2));
    world.run(40);
    // New content comes with what is left of its time upstream, in whole seconds, from the transfer's question on.
    assert_eq!(world.confirmed.unwrap().2, at(61_620 + 24_000).mono);
    // REFRESH is 100 s, but by then nothing would be served any more.
    world.take_log();
    world.run(13_000);
    assert_eq!(world.take_log(), ["confirmed"]);
}

#[test]
fn a_primary_that_is_busy_is_passed_over_and_has_not_failed() {
    let mut world = World::new(2);
    (1..=2).for_each(|primary| world.edit(primary, 1, 10));
    world.mode(1, Mode::Busy);
    world.start();
    world.run(PATIENCE.as_millis() as u64 - 1);
    assert!(world.take_log().is_empty());
    world.run(100);
    assert_eq!(world.take_log(), ["fetched axfr", "confirmed"]);
    // Nor is the second opinion of one that is busy worth waiting for.
    world.run(120_000);
    assert_eq!(world.take_log(), ["confirmed"]);
    assert_eq!(world.sent.get(&address(1)), None);
}

#[test]
fn the_only_primary_is_waited_for_until_the_turn_comes() {
    let mut world = World::new(1);
    world.edit(1, 1, 10);
    world.mode(1, Mode::Busy);
    world.start();
    world.run(3_600_000);
    assert_eq!((world.take_log(), world.refresh.next_timeout()), (vec![], None));
    world.mode(1, Mode::Up);
    // The first exchange of the machine, and of this outbox.
    let events = world.refresh.arrived(at(world.now), Token(0), Arrival::Sent, &mut world.out);
    assert!(events.is_empty());
    // A server that says nothing may be one that says nothing to EDNS.
    let first = at(world.now).mono + CONNECTION_WITH_EDNS;
    assert_eq!(world.refresh.next_timeout(), Some(first), "time counts from now");
}

#[test]
fn a_second_opinion_from_far_away_counts() {
    let mut world = World::settled(2);
    world.edit(2, 2, 11);
    world.one_way = 700;
    world.refresh_now();
    world.run(15_000);
    assert!(world.serves(2), "{:?}", world.log);
}
