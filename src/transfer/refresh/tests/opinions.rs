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
    assert_eq!(world.take_log(), ["confirmed"]);
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
