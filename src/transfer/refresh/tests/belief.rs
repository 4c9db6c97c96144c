//! A secondary of another make that may be cut off itself, and what is told behind it.

use super::*;
use crate::publish::access::Access;
use crate::zone::stamp::Told;

/// What the secondary tells of itself.
fn tells(world: &World) -> Told {
    let zone = world.secondary.zone();
    let told = told(&zone, &zone.version().unwrap(), at(world.now), None, 1);
    assert_eq!(Told::read(&told.write()).map(|read| read.is_belief), Some(told.is_belief));
    told
}

/// Has the primary be asked, which confirms what is served.
fn asks(world: &mut World) {
    world.refresh_now();
    world.run(1_100);
    assert_eq!(world.take_log(), ["confirmed"]);
}

#[test]
fn what_is_verified_by_a_secondary_without_stamps_is_told_to_be_belief_and_passed_on() {
    let whole = TIMERS[2];
    for (left, is_belief) in [(whole, false), (whole - 40, true)] {
        let mut world = World::settled(1);
        world.mode(1, Mode::Stampless(left));
        asks(&mut world);
        let told = tells(&world);
        assert_eq!((told.is_verified, told.is_belief), (true, is_belief));
        // Whoever pulls from there.
        let mut tail = World::settled(1);
        assert!(tells(&tail).vouches());
        let middle = &mut tail.primaries.get_mut(&address(1)).unwrap().0;
        middle.store.configure(&apex(), Access { secondary: true, ..Access::default() });
        let now = at(tail.now);
        let until = now.mono + Duration::from_secs(100);
        middle.zone().confirm(now.utc, Some(now.mono), until);
        middle.zone().verified(Some(until), Some(until).filter(|_| told.vouches()));
        asks(&mut tail);
        let told = tells(&tail);
        assert_eq!((told.is_verified, told.is_belief), (true, is_belief));
    }
}

#[test]
fn a_belief_that_is_over_is_none() {
    let mut world = World::settled(1);
    world.mode(1, Mode::Stampless(TIMERS[2] - 40));
    asks(&mut world);
    world.mode(1, Mode::Down);
    world.run(u64::from(TIMERS[0]) * 2_000);
    let told = tells(&world);
    assert_eq!((told.is_verified, told.is_belief), (false, false));
}
