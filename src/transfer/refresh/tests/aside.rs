//! What is asked beside a transfer that outlasts EXPIRE.

use super::*;

/// A secondary with so many primaries, none of which has answered until so many milliseconds before the zone expires, when the first one has
/// a newer version.
fn expiring(primaries: u8, left: u64) -> World {
    let mut world = World::settled(primaries);
    (1..=primaries).for_each(|primary| world.mode(primary, Mode::Down));
    let expires = world.confirmed.unwrap().2;
    world.run(expires.0 / 1_000 - world.now - left);
    world.edit(1, 2, 30);
    world.take_log();
    world
}

/// A transfer that stalls for longer than is left of EXPIRE, 20 seconds, with other primaries that have what is served.
fn outlasting<const OTHERS: usize>(others: [Mode; OTHERS]) -> World {
    let mut world = expiring(OTHERS as u8 + 1, 20_000);
    world.mode(1, Mode::Stalled);
    (2..).zip(others).for_each(|(primary, mode)| world.mode(primary, mode));
    world.notify(1, Some(2));
    world.run(25_000);
    world
}

#[test]
fn another_primary_confirms_what_would_expire_while_a_transfer_is_under_way() {
    let mut world = outlasting([Mode::Up]);
    assert_eq!(world.take_log(), ["behind 2", "behind 2", "confirmed"], "asked once");
    assert_eq!(world.refresh.state(), "PullingIxfr");
    assert_eq!(world.secondary.serial(), Some(Serial(1)));
    assert!(world.confirmed.unwrap().2 > at(world.now + 900_000).mono);
    assert_eq!(world.refresh.newer().map(|newer| newer.serial), Some(Serial(2)), "which it cannot recant");
    world.mode(1, Mode::Up);
    world.run(20_000);
    assert!(world.serves(1));
}

#[test]
fn a_transfer_that_hangs_while_the_zone_expires_gives_way_and_is_come_back_to() {
    for (other, failure) in [(Mode::Down, "unreachable"), (Mode::Code(Rcode::REFUSED), "refused")] {
        let mut world = outlasting([other]);
        let failed = format!("failed axfr {failure}");
        let log = world.take_log();
        assert_eq!(log, ["behind 2", "behind 2", "expired", "failed ixfr slow", &failed], "{log:?}");
        world.mode(1, Mode::Up);
        world.run(30_000);
        assert!(world.serves(1), "{:?}", world.log);
    }
}

#[test]
fn a_transfer_that_moves_goes_on_though_the_zone_expires() {
    let mut world = expiring(2, 10_000);
    world.edit(1, 3, 40_000);
    world.mode(1, Mode::Slow(0, 2));
    world.notify(1, Some(3));
    world.run(11_000);
    assert_eq!(world.take_log(), ["behind 3", "behind 3", "expired"]);
    assert_eq!(world.refresh.state(), "PullingIxfr");
}

#[test]
fn one_that_has_the_newer_version_is_asked_for_it_in_place_of_a_transfer_that_hangs() {
    let mut world = expiring(2, 20_000);
    world.edit(2, 2, 30);
    world.mode(1, Mode::Stalled);
    world.mode(2, Mode::Up);
    world.notify(1, Some(2));
    world.run(20_000);
    assert_eq!(world.take_log(), ["behind 2", "behind 2", "failed ixfr slow", "fetched ixfr", "confirmed"]);
    assert!(world.serves(2));
}

#[test]
fn one_whose_turn_does_not_come_beside_a_transfer_keeps_no_other_from_being_asked() {
    let mut world = outlasting([Mode::Busy, Mode::Up]);
    assert_eq!(world.take_log(), ["behind 2", "behind 2", "confirmed"]);
    // It is waited for where nobody else is left.
    let mut world = expiring(3, 20_000);
    [Mode::Stalled, Mode::Busy, Mode::Down].into_iter().zip(1..).for_each(|(mode, it)| world.mode(it, mode));
    world.notify(1, Some(2));
    world.run(19_900);
    assert_eq!((world.refresh.state(), world.waiting.len()), ("PullingIxfr", 1));
}

#[test]
fn others_are_asked_beside_a_transfer_that_waits_for_its_turn() {
    let mut world = expiring(2, 3_000);
    world.mode(1, Mode::Up);
    world.notify(1, Some(2));
    world.mode(1, Mode::Busy);
    world.mode(2, Mode::Up);
    // Half of what is left has passed, and the patience of the transfer not yet.
    world.run(1_600);
    assert_eq!((world.refresh.state(), world.waiting.len()), ("PullingIxfr", 1));
    assert_eq!(world.take_log(), ["behind 2", "behind 2", "confirmed"]);
}
