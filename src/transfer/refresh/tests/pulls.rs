//! Transfers of primaries that contradict their SOA, are slow, or do not give differences.

use super::*;

/// A server whose versions have one host more each, the first one ten, up to this serial.
fn node(serial: u32) -> Node {
    let mut node = Node::primary();
    (1..=serial).for_each(|serial| node.edit(at(1_000), serial, &hosts(9 + serial as u16)));
    node
}

/// A secondary of serial 1, whose primary shows the last serial and gives what this one has.
fn lagging(shown: u32, given: u32) -> World {
    let mut world = World::settled(1);
    (2..=shown).for_each(|serial| world.edit(1, serial, 9 + serial as u16));
    world.mode(1, Mode::Lags(node(given)));
    world
}

#[test]
fn a_transfer_that_ends_short_of_what_the_soa_shows_takes_nothing_back() {
    let mut world = lagging(3, 2);
    let fresh_at = world.confirmed.unwrap().1;
    world.refresh_now();
    world.run(5_000);
    assert_eq!(world.take_log(), ["behind 3", "fetched ixfr", "confirmed", "behind 3"]);
    assert_eq!(world.secondary.serial(), Some(Serial(2)));
    assert_eq!(world.refresh.newer().map(|newer| newer.serial), Some(Serial(3)));
    assert_eq!(world.confirmed.unwrap().1, fresh_at, "it was not the newest when it was asked for");
    world.mode(1, Mode::Up);
    world.run(10_000);
    assert!(world.serves(1) && world.refresh.newer().is_none(), "RETRY follows and not REFRESH");
    assert!(world.confirmed.unwrap().1 > fresh_at);
}
