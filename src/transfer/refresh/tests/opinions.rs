//! Several primaries that do not know the same, and secondaries that pull from each other.

use super::*;
use crate::publish::access::Access;

#[test]
fn a_primary_with_nothing_newer_does_not_hide_one_that_has() {
    let mut world = World::settled(2);
    world.edit(2, 5, 15);
    world.run(101_000);
    assert_eq!(world.take_log(), ["confirmed", "behind 5", "fetched ixfr", "confirmed"]);
    assert!(world.serves(2));
    // The old one is now a laggard, and no reason to go back.
    world.run(101_000);
    assert_eq!(world.take_log(), ["confirmed", "at odds Older { theirs: Serial(1), ours: Serial(5) }"]);
    assert!(world.serves(2));
}

/// Who is at odds with what is served.
fn at_odds(world: &World) -> Vec<(SocketAddr, Odd)> {
    world.refresh.at_odds().map(|(primary, odd, _)| (primary, odd)).collect()
}

#[test]
fn a_second_opinion_that_is_older_or_other_is_told_of_for_as_long_as_it_holds() {
    let mut world = World::settled(2);
    world.edit(1, 5, 15);
    world.notify(1, Some(5));
    world.run(100);
    world.take_log();
    assert_eq!(at_odds(&world), [], "it may have followed meanwhile");
    let older = Odd::Older { theirs: Serial(1), ours: Serial(5) };
    world.run(101_000);
    assert_eq!(world.take_log(), ["confirmed".to_string(), format!("at odds {older:?}")]);
    let since: Vec<Utc> = world.refresh.at_odds().map(|(_, _, since)| since).collect();
    // It is told once, fails nothing, and stays though the other one confirms what is served, and this one is away.
    for mode in [Mode::Up, Mode::Down] {
        world.mode(2, mode);
        world.run(101_000);
        assert_eq!(world.take_log(), ["confirmed"]);
        assert_eq!(at_odds(&world), [(address(2), older)]);
        assert!(world.refresh.at_odds().map(|(_, _, since)| since).eq(since.iter().copied()));
        assert!(world.refresh.verified_until().is_some());
    }
    world.mode(2, Mode::Up);
    world.edit(2, 5, 15);
    world.run(101_000);
    assert_eq!(world.take_log(), ["confirmed", "confirmed"]);
    assert_eq!(at_odds(&world), []);

    world.edit(1, 6, 20);
    world.edit(2, 6, 21);
    world.notify(1, Some(6));
    world.run(100);
    world.take_log();
    world.run(101_000);
    assert_eq!(world.take_log(), ["confirmed", "at odds OtherContent(Serial(6))"]);
    assert_eq!(at_odds(&world), [(address(2), Odd::OtherContent(Serial(6)))]);
    assert!(world.serves(1));
    // What it has next is newer than what is served.
    world.edit(2, 7, 22);
    world.notify(2, Some(7));
    world.run(100);
    assert!(world.serves(2));
    assert_eq!(at_odds(&world), []);
}

#[test]
fn an_older_serial_of_the_primary_that_is_asked_first_is_not_forgotten_when_another_confirms() {
    let mut world = World::settled(2);
    world.edit(2, 5, 15);
    world.notify(2, Some(5));
    world.run(100);
    world.take_log();
    world.notify(1, None);
    world.run(100);
    assert_eq!(world.take_log(), ["failed soa older", "confirmed"]);
    assert_eq!(at_odds(&world), [(address(1), Odd::Older { theirs: Serial(1), ours: Serial(5) })]);
}

/// A secondary that took serial 11 of its first primary by order, in place of serial 40, which the second one has.
fn forced_back() -> World {
    let mut world = World::new(2);
    world.edit(1, 11, 11);
    world.edit(2, 40, 14);
    world.start();
    world.run(500);
    world.refresh_now();
    world.run(1_100);
    assert!(world.serves(2), "{:?}", world.log);
    world.force();
    world.run(1_100);
    assert!(world.serves(1) && world.refresh.newer().is_none(), "{:?}", world.log);
    world.take_log();
    world
}

#[test]
fn what_was_left_by_order_is_not_taken_again_from_those_who_still_have_it() {
    let mut world = forced_back();
    let left = |ours| Odd::LeftBehind { theirs: Serial(40), ours: Serial(ours) };
    world.refresh_now();
    world.run(1_100);
    assert_eq!(world.take_log(), ["confirmed".to_string(), format!("at odds {:?}", left(11))]);
    assert_eq!(at_odds(&world), [(address(2), left(11))]);
    // Whatever it announces, and when it is asked first.
    world.notify(2, Some(40));
    world.tell(2);
    world.run(1_100);
    assert!(world.take_log().is_empty());
    world.notify(2, None);
    world.run(1_100);
    assert_eq!(world.take_log(), ["confirmed"]);
    assert!(world.serves(1) && world.refresh.newer().is_none());
    // Nor once the other one has gone on from there.
    world.edit(1, 12, 12);
    world.notify(1, Some(12));
    world.run(1_100);
    world.refresh_now();
    world.run(1_100);
    assert!(world.serves(1));
    assert_eq!(at_odds(&world), [(address(2), left(12))]);
    // What was made after the order is news.
    world.edit(2, 41, 15);
    world.notify(2, Some(41));
    world.run(1_100);
    assert!(world.serves(2));
    assert_eq!(at_odds(&world), []);
}

#[test]
fn an_order_is_over_when_all_have_followed_or_its_primary_is_past_what_was_left() {
    let mut world = forced_back();
    world.primaries.get_mut(&address(2)).unwrap().0 = Node::primary();
    world.edit(2, 11, 11);
    world.refresh_now();
    world.run(1_100);
    assert_eq!(world.take_log(), ["confirmed", "confirmed"]);
    world.edit(2, 40, 14);
    world.refresh_now();
    world.run(1_100);
    assert!(world.serves(2));

    let mut world = forced_back();
    world.edit(1, 39, 12);
    world.edit(2, 45, 15);
    world.mode(2, Mode::Down);
    world.notify(1, Some(39));
    world.run(1_100);
    world.edit(1, 41, 13);
    world.notify(1, Some(41));
    world.run(1_100);
    assert!(world.serves(1));
    world.mode(2, Mode::Up);
    world.refresh_now();
    world.run(1_100);
    assert!(world.serves(2));
}

#[test]
fn a_dead_second_primary_neither_delays_nor_fails_anything() {
    for dead in [Mode::Down, Mode::Silent(u32::MAX)] {
        let mut world = World::settled(2);
        world.mode(2, dead);
        let events = world.refresh.refresh_now(at(world.now), &mut world.out);
        world.handle(events);
        world.run(2 * ONE_WAY);
        assert_eq!(world.take_log(), ["confirmed"]);
        let before = world.sent[&address(2)];
        world.run(501);
        assert_eq!((world.refresh.state(), world.sent[&address(2)]), ("Idle", before));
        assert!(world.take_log().is_empty());
        // REFRESH follows and not RETRY.
        world.run(79_000);
        assert!(world.take_log().is_empty());
    }
}

#[test]
fn news_does_not_wait_for_a_second_opinion() {
    let mut world = World::settled(2);
    world.mode(2, Mode::Silent(u32::MAX));
    let events = world.refresh.refresh_now(at(world.now), &mut world.out);
    world.handle(events);
    world.run(100);
    assert_eq!((world.take_log().len(), world.refresh.state()), (1, "AskingSoa"));
    world.edit(1, 2, 11);
    world.notify(1, Some(2));
    world.run(4 * ONE_WAY);
    assert_eq!(world.take_log(), ["behind 2", "behind 2", "fetched ixfr", "confirmed"]);
}

/// Lets two secondaries that are each other's first primary go on for some seconds.
fn run_loop(one: &mut World, other: &mut World, seconds: u64) {
    fn turn(asking: &mut World, asked: &mut World) {
        let peer = address(1);
        std::mem::swap(&mut asking.primaries.get_mut(&peer).unwrap().0, &mut asked.secondary);
        asking.run(100);
        std::mem::swap(&mut asking.primaries.get_mut(&peer).unwrap().0, &mut asked.secondary);
    }
    for _ in 0..seconds * 10 {
        turn(one, other);
        turn(other, one);
    }
}

#[test]
fn a_loop_without_a_source_expires_for_good() {
    let mut pair = [World::settled(2), World::settled(2)];
    for world in &mut pair {
        world.secondary.store.configure(&apex(), Access { secondary: true, ..Access::default() });
    }
    let [one, other] = &mut pair;
    run_loop(one, other, 200);
    assert!(one.secondary.serial().is_some() && other.secondary.serial().is_some());
    // The source has a newer version, which each asks for although the other confirms the old one.
    [&mut *one, &mut *other].into_iter().for_each(|world| world.edit(2, 2, 12));
    run_loop(one, other, 200);
    assert!(one.serves(2) && other.serves(2));

    [&mut *one, &mut *other].into_iter().for_each(|world| world.mode(2, Mode::Down));
    // Of its newest version each knows in time that nobody would know of a newer one, whatever the other says.
    run_loop(one, other, 4 * u64::from(TIMERS[0]));
    assert!(
        one.serves(2)
            && other.serves(2)
            && one.refresh.verified_until().is_none()
            && other.refresh.verified_until().is_none()
    );
    run_loop(one, other, u64::from(TIMERS[2]) + 1);
    for _ in 0..10 {
        assert_eq!((one.secondary.serial(), other.secondary.serial()), (None, None));
        assert!([&*one, &*other].iter().all(|world| world.secondary.zone().expired_at().is_some()));
        run_loop(one, other, 50);
    }
}

#[test]
fn content_with_nothing_left_of_its_time_is_not_taken() {
    let mut world = World::settled(1);
    world.edit(1, 2, 11);
    world.mode(1, Mode::Expiring(0));
    let peer = &mut world.primaries.get_mut(&address(1)).unwrap().0;
    peer.store.configure(&apex(), Access { secondary: true, ..Access::default() });
    let now = at(world.now);
    peer.zone().confirm(now.utc, None, now.mono);
    world.notify(1, Some(2));
    world.run(100);
    assert!(world.take_log().contains(&"failed ixfr notauth".to_string()));
    assert_eq!(world.secondary.serial(), Some(Serial(1)));
}
