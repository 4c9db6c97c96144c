//! Transfers of primaries that contradict their SOA, are slow, or do not give differences.

use super::super::super::fixture::a;
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

/// Servers that differ behind one address, say: neither kind of transfer has what the SOA shows.
#[test]
fn a_primary_whose_transfers_do_not_follow_its_soa_is_asked_for_no_more_than_shows_that() {
    for given in [2, 1] {
        let mut world = World::settled(1);
        world.edit(1, 2, 11);
        world.notify(1, Some(2));
        world.run(100);
        assert!(world.serves(1));
        world.take_log();
        let (fresh_at, until) = (world.confirmed.unwrap().1, world.refresh.verified_until());
        world.edit(1, 3, 12);
        world.mode(1, Mode::Lags(node(given)));
        world.notify(1, Some(3));
        world.run(8 * ONE_WAY);
        // The messages of the whole zone come a second apart: this one is over with the first.
        let failed =
            ["behind 3", "behind 3", "failed ixfr not_given", "fallback not_given", "failed axfr not_given"];
        assert_eq!(world.take_log(), failed, "{given}");
        assert!(world.arriving.is_empty(), "what was on its way is not waited for");
        let newer = world.refresh.newer().map(|newer| newer.serial);
        assert_eq!((world.secondary.serial(), newer), (Some(Serial(2)), Some(Serial(3))));
        assert_eq!(world.confirmed.unwrap().1, fresh_at);
        assert!(world.refresh.verified_until() < until, "nobody says that there is nothing newer");
        // Asked for again soon, and less and less often.
        world.run(4_000);
        assert_eq!(attempts(&world.take_log()), 3, "after half a second, one and two");
        world.run(200_000);
        assert!((4..=8).contains(&attempts(&world.take_log())));
    }
}

fn attempts(log: &[String]) -> usize {
    log.iter().filter(|entry| *entry == "failed axfr not_given").count()
}

#[test]
fn a_primary_whose_transfers_follow_its_soa_within_seconds_is_pulled_from_within_seconds() {
    let mut world = lagging(2, 1);
    world.refresh_now();
    world.run(1_000);
    assert_eq!(world.secondary.serial(), Some(Serial(1)));
    world.mode(1, Mode::Up);
    world.run(1_200);
    assert!(world.serves(1), "{:?}", world.log);
    assert_eq!(world.log[world.log.len() - 2..], ["fetched ixfr", "confirmed"]);
}

#[test]
fn an_order_takes_what_the_transfers_have() {
    let mut world = lagging(2, 1);
    world.refresh_now();
    world.run(100);
    world.force();
    world.run(30_000);
    assert!(world.take_log().contains(&"fetched axfr".to_string()));
    // What the SOA showed before that is not taken back by it.
    assert_eq!(world.refresh.newer().map(|newer| newer.serial), Some(Serial(2)));
}

#[test]
fn the_whole_zone_of_a_primary_that_is_silent_to_ixfr_is_pulled_though_another_is_configured() {
    let mut world = World::settled(2);
    world.mode(1, Mode::SilentToIxfr);
    world.mode(2, Mode::Down);
    for serial in [2, 3] {
        world.edit(1, serial, 9 + serial as u16);
        world.notify(1, Some(serial));
        world.run(STALLED.as_millis() as u64 + 200);
        let log = world.take_log();
        assert_eq!(log[2..], ["failed ixfr timeout", "failed soa unreachable"], "{log:?}");
        // Within RETRY. What came lets differences be asked for again.
        world.run(10_100);
        let log = world.take_log();
        assert_eq!(log[..3], ["fallback timeout", "fetched axfr", "confirmed"], "{log:?}");
        assert!(world.serves(1));
    }
    // The whole zone does not come either: differences have their turn again.
    world.edit(1, 4, 13);
    world.notify(1, Some(4));
    world.run(STALLED.as_millis() as u64 + 200);
    world.mode(1, Mode::Stalled);
    world.run(10_100 + STALLED.as_millis() as u64);
    assert!(world.take_log().contains(&"failed axfr timeout".to_string()));
    world.mode(1, Mode::Up);
    world.run(20_000);
    let log = world.take_log();
    assert!(world.serves(1) && log.contains(&"fetched ixfr".to_string()), "{log:?}");
}

#[test]
fn how_slow_a_transfer_is_counts_from_its_first_message() {
    let mut world = World::settled(1);
    // Nothing of what follows is a matter of differences.
    let mut fresh = Node::primary();
    fresh.edit(at(world.now), 2, &hosts(20));
    world.primaries.insert(address(1), (fresh, Mode::Slow(29_900, 1_000)));
    world.notify(1, Some(2));
    world.run(70_000);
    let log = world.take_log();
    assert!(world.serves(1), "it is at work, though it began late: {log:?}");
    // Each message comes in time, and yet it would take minutes.
    world.edit(1, 3, 200);
    world.mode(1, Mode::Slow(10_000, 8_000));
    world.notify(1, Some(3));
    let first = 4 * ONE_WAY + 10_000;
    world.run(first + STALLED.as_millis() as u64 - 1);
    assert!(!world.take_log().contains(&"failed ixfr timeout".to_string()));
    world.run(2_000);
    assert!(world.take_log().contains(&"failed ixfr timeout".to_string()));
}

#[test]
fn what_is_left_by_the_soa_counts_from_when_that_was_asked_for() {
    let mut world = World::settled(1);
    world.run(79_000);
    let asked = world.now;
    world.edit(1, 2, 11);
    world.mode(1, Mode::Expiring(990));
    world.notify(1, None);
    world.mode(1, Mode::Busy);
    world.run(60_000);
    assert_eq!((world.refresh.state(), world.waiting.len()), ("PullingIxfr", 1));
    // A server that tells nothing beside transfers.
    world.mode(1, Mode::Ixfr(vec![soa(2), soa(1), soa(2), a("late.example.", 1), soa(2)]));
    world.turns_come();
    world.run(100);
    assert_eq!(world.take_log(), ["behind 2", "fetched ixfr", "confirmed"]);
    let (_, fresh_at, expires_at) = world.confirmed.unwrap();
    let age = Duration::from_secs(10) + expire::SLACK;
    assert_eq!((fresh_at, expires_at), (Some(at(asked).mono - age), at(asked + 990_000).mono));
}

#[test]
fn what_expires_while_the_same_is_being_published_is_pulled_again() {
    let mut world = World::settled(1);
    let expires = world.confirmed.unwrap().2;
    world.force();
    while let Some(((when, _), (token, arrival))) = world.arriving.pop_first() {
        world.now = when;
        let events = world.refresh.arrived(at(world.now), token, arrival, &mut world.out);
        if world.refresh.state() == "Publishing" {
            break;
        }
        world.handle(events);
    }
    world.now = expires.0.div_ceil(1_000);
    let events = world.refresh.handle_timeout(at(world.now), &mut world.out);
    world.handle(events);
    assert_eq!((world.refresh.state(), world.secondary.serial()), ("Publishing", None));
    // It was compared with what was served then.
    let events = world.refresh.published(at(world.now), &Ok(None), &mut world.out);
    world.handle(events);
    world.run(10_000);
    assert!(world.serves(1), "{:?}", world.log);
}
