//! Transfers that are slow while others are left to ask.

use super::*;

/// A secondary without content whose primaries have the same, in hundreds of messages.
fn fresh() -> World {
    let mut world = World::new(2);
    (1..=2).for_each(|primary| world.edit(primary, 1, 3_000));
    world
}

#[test]
fn a_transfer_that_trickles_gives_way_to_a_primary_that_has_not_been_tried() {
    let mut world = fresh();
    world.mode(1, Mode::Slow(0, 150));
    world.start();
    world.run(STALLED.as_millis() as u64 - 100);
    assert_eq!((world.refresh.state(), world.take_log()), ("PullingAxfr", vec![]));
    world.run(1_000);
    assert!(world.serves(2));
    assert_eq!(world.take_log(), ["failed axfr slow", "fetched axfr", "confirmed"]);
}

#[test]
fn where_all_are_slow_the_zone_comes_all_the_same() {
    let mut world = fresh();
    (1..=2).for_each(|primary| world.mode(primary, Mode::Slow(0, 150)));
    world.start();
    world.run(1_000_000);
    let log = world.take_log();
    let fetched = log.iter().position(|entry| entry == "fetched axfr");
    assert!(fetched.is_some_and(|after| after <= 4), "{log:?}");
}

#[test]
fn a_primary_that_nobody_can_replace_may_be_slow() {
    let mut world = fresh();
    world.mode(1, Mode::Slow(0, 150));
    world.mode(2, Mode::Down);
    world.start();
    world.run(300_000);
    assert_eq!(
        world.take_log(),
        ["failed axfr slow", "failed axfr unreachable", "fetched axfr", "confirmed"]
    );
}

#[test]
fn who_asks_for_a_refresh_has_a_slow_transfer_give_way_at_once() {
    let mut world = fresh();
    world.mode(1, Mode::Slow(0, 150));
    world.start();
    world.run(4_000);
    world.refresh_now();
    world.run(500);
    assert_eq!(world.secondary.serial(), None, "it has just begun");
    world.run(2_000);
    world.refresh_now();
    world.run(500);
    assert!(world.serves(2), "{:?}", world.log);
}

#[test]
fn who_asks_for_a_refresh_ends_no_slow_transfer_that_nobody_can_replace() {
    let mut world = World::new(1);
    world.edit(1, 1, 3_000);
    world.mode(1, Mode::Slow(0, 150));
    world.start();
    for _ in 0..30 {
        world.run(10_000);
        world.refresh_now();
    }
    assert!(world.serves(1), "{:?}", world.log);
}

/// An order for the first primary, which is slow, while the second one has a newer version.
fn ordered() -> World {
    let mut world = World::settled(2);
    (1..=2).for_each(|primary| world.edit(primary, 2, 6_000));
    world.mode(1, Mode::Slow(0, 150));
    world.force();
    world
}

#[test]
fn an_order_that_is_slow_lets_nothing_expire_that_another_primary_has() {
    let mut world = ordered();
    let expires = world.confirmed.unwrap().2;
    world.mode(2, Mode::Down);
    world.mode(1, Mode::Slow(0, 10_000));
    world.run(1_000);
    world.force();
    world.run(expires.0 / 1_000 - world.now - 20_000);
    world.take_log();
    world.mode(1, Mode::Slow(0, 150));
    world.mode(2, Mode::Up);
    world.run(30_000);
    let log = world.take_log();
    assert!(world.secondary.serial() == Some(Serial(2)) && !log.contains(&"expired".to_string()), "{log:?}");
}

#[test]
fn an_order_that_is_slow_gives_way_to_a_refresh_and_stands() {
    let mut world = ordered();
    world.run(40_000);
    assert_eq!((world.refresh.state(), world.take_log()), ("PullingAxfr", vec![]));
    // The same order again asks for what is on its way.
    world.force();
    world.run(100);
    assert_eq!((world.refresh.state(), world.take_log()), ("PullingAxfr", vec![]));
    world.refresh.force_next = false;
    world.refresh_now();
    world.run(200);
    let log = world.take_log();
    assert_eq!(log[0], "failed axfr slow");
    assert!(world.serves(2) && (world.refresh.force_next || world.refresh.forcing), "{log:?}");
}

#[test]
fn an_order_waits_for_its_turn_at_the_first_primary() {
    let mut world = World::settled(2);
    world.edit(1, 2, 12);
    world.mode(1, Mode::Busy);
    world.force();
    world.run(60_000);
    assert_eq!((world.refresh.state(), world.waiting.len(), world.take_log()), ("PullingAxfr", 1, vec![]));
    world.mode(1, Mode::Up);
    world.turns_come();
    world.run(1_000);
    assert!(world.serves(1), "{:?}", world.log);
}

#[test]
fn an_order_in_line_lets_nothing_expire_that_another_primary_has() {
    let mut world = World::settled(2);
    (1..=2).for_each(|primary| world.edit(primary, 2, 30));
    world.mode(1, Mode::Busy);
    world.force();
    let expires = world.confirmed.unwrap().2;
    world.run(expires.0 / 1_000 - world.now + 1_000);
    let log = world.take_log();
    assert!(world.serves(2) && !log.contains(&"expired".to_string()), "{log:?}");
}

#[test]
fn a_second_opinion_whose_transfer_has_no_turn_ends_the_round() {
    let mut world = World::settled(2);
    world.edit(2, 2, 30);
    world.refresh_now();
    // Its SOA comes, and then it is busy.
    world.run(3 * ONE_WAY);
    world.mode(2, Mode::Busy);
    world.run(5_000);
    assert_eq!((world.refresh.state(), world.waiting.len()), ("Idle", 0), "{:?}", world.log);
}
