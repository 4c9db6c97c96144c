//! Who told of newer versions, and who takes that back.

use super::*;

/// The second primary, at the first one's address.
fn other_port() -> SocketAddr {
    SocketAddr::new(address(1).ip(), address(1).port() + 1)
}

/// A secondary with two primaries at one address, of which the second one has had serial 2, and the first one only ever serial 1.
fn one_address() -> World {
    let mut world = World::new(1);
    let mut config = world.refresh.config.clone();
    config.primaries.push(other_port());
    world.refresh = Refresh::new(config, 42);
    world.edit(1, 1, 10);
    let mut other = Node::primary();
    (1..=2).for_each(|serial| other.edit(at(world.now), serial, &hosts(9 + serial as u16)));
    world.primaries.insert(other_port(), (other, Mode::Up));
    world.start();
    world.run(500);
    world.refresh_now();
    world.run(1_100);
    world
}

fn newer(world: &World) -> Option<Serial> {
    world.refresh.newer().map(|newer| newer.serial)
}

#[test]
fn of_two_primaries_at_one_address_none_takes_back_what_the_other_showed() {
    let mut world = one_address();
    assert_eq!(world.secondary.serial(), Some(Serial(2)), "{:?}", world.log);
    let now = at(world.now);
    let (other, mode) = world.primaries.get_mut(&other_port()).unwrap();
    other.edit(now, 3, &hosts(12));
    *mode = Mode::Cut;
    world.edit(1, 2, 11);
    world.refresh_now();
    world.run(1_500);
    assert_eq!(
        (world.secondary.serial(), newer(&world)),
        (Some(Serial(2)), Some(Serial(3))),
        "{:?}",
        world.log
    );
    assert_eq!(world.refresh.verified_until(), None);
}

#[test]
fn what_the_address_of_two_primaries_announced_is_taken_back_when_both_have_been_asked() {
    let mut world = one_address();
    world.mode(1, Mode::Down);
    world.notify(1, Some(9));
    world.run(1_500);
    assert_eq!(newer(&world), Some(Serial(9)), "the other one may have it");
    world.mode(1, Mode::Up);
    world.run(20_000);
    assert_eq!(newer(&world), None, "{:?}", world.log);
}

#[test]
fn a_forged_notify_from_the_address_of_two_primaries_is_settled_though_one_is_dead() {
    let mut world = one_address();
    world.mode(1, Mode::Down);
    world.notify(1, Some(9));
    world.run(30_000);
    assert_eq!(newer(&world), None, "{:?}", world.log);
    assert!(world.take_log().contains(&"not shown 9 2".to_string()));
}

#[test]
fn a_forged_notify_of_a_primary_that_lags_is_settled_by_its_older_serial() {
    let mut world = World::settled(2);
    (2..=3).for_each(|serial| world.edit(2, serial, 9 + serial as u16));
    world.notify(2, Some(3));
    world.run(1_500);
    assert!(world.serves(2));
    world.notify(1, Some(9));
    assert_eq!(newer(&world), Some(Serial(9)));
    world.run(500);
    assert_eq!(newer(&world), None, "{:?}", world.log);
}

#[test]
fn what_one_primary_takes_back_another_may_know() {
    let mut world = World::settled(3);
    world.mode(2, Mode::Down);
    world.notify(3, Some(9));
    assert_eq!(newer(&world), Some(Serial(9)));
    let told = at(world.now).mono;
    world.mode(3, Mode::Down);
    world.run(1_000);
    world.notify(2, Some(5));
    world.mode(3, Mode::Up);
    world.run(20_000);
    assert_eq!(newer(&world), Some(Serial(5)), "{:?}", world.log);
    // Since when was the other one's word.
    assert!(world.refresh.newer().unwrap().learned_at > told);
}

#[test]
fn a_primary_that_announces_and_does_not_answer_costs_its_timeouts_once() {
    let mut world = World::settled(2);
    world.mode(1, Mode::Silent(u32::MAX));
    world.notify(1, Some(2));
    world.run(10_000);
    world.take_log();
    world.notify(1, Some(3));
    world.run(100);
    assert_eq!(world.take_log(), ["behind 3", "confirmed"]);
    // One that is back is asked by way of a second opinion.
    world.edit(1, 4, 12);
    world.mode(1, Mode::Up);
    world.run(1_000);
    world.notify(1, Some(4));
    world.run(1_500);
    assert!(world.serves(1), "{:?}", world.log);
}
