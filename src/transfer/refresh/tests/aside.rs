//! What is asked beside a transfer that outlasts EXPIRE.

use super::*;

/// A transfer that stalls for longer than is left of EXPIRE, 20 seconds, with another primary that has what is served.
fn outlasting(other: Mode) -> World {
    let mut world = World::settled(2);
    (1..=2).for_each(|primary| world.mode(primary, Mode::Down));
    let expires = world.confirmed.unwrap().2;
    world.run(expires.0 / 1_000 - world.now - 20_000);
    world.edit(1, 2, 30);
    world.mode(1, Mode::Stalled);
    world.mode(2, other);
    world.take_log();
    world.notify(1, Some(2));
    world.run(25_000);
    assert_eq!(world.refresh.state(), "PullingIxfr", "{:?}", world.log);
    world
}

#[test]
fn another_primary_confirms_what_would_expire_while_a_transfer_is_under_way() {
    let mut world = outlasting(Mode::Up);
    assert_eq!(world.take_log(), ["behind 2", "behind 2", "confirmed"], "asked once");
    assert_eq!(world.secondary.serial(), Some(Serial(1)));
    assert!(world.confirmed.unwrap().2 > at(world.now + 900_000).mono);
    assert_eq!(world.refresh.newer().map(|newer| newer.serial), Some(Serial(2)), "which it cannot recant");
    world.mode(1, Mode::Up);
    world.run(20_000);
    assert!(world.serves(1));
}

#[test]
fn a_transfer_goes_on_though_nobody_confirms_what_expires_meanwhile() {
    for other in [Mode::Down, Mode::Silent(u32::MAX), Mode::Code(Rcode::REFUSED)] {
        let mut world = outlasting(other);
        assert_eq!(world.take_log(), ["behind 2", "behind 2", "expired"]);
    }
}
