//! Whatever happens by chance between a secondary and two primaries of the same content: it never goes back, never claims to be
//! fresher than it is, and catches up once all is quiet.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    /// Both primaries publish a version with so many hosts.
    Edit(u16),
    /// A NOTIFY from one of them, with the true serial or without any.
    Notify(u8, bool),
    /// A NOTIFY with a serial that nobody has.
    Lie(u8),
    /// One of them behaves in this way from now on.
    Become(u8, u8),
    /// Time passes, in milliseconds.
    Wait(u64),
    /// The secondary restarts from what it stored.
    Restart,
    /// The secondary's disk is full, or is not any more.
    Disk(bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0u16..60).prop_map(Act::Edit),
        3 => (1u8..3, any::<bool>()).prop_map(|(from, serial)| Act::Notify(from, serial)),
        1 => (1u8..3).prop_map(Act::Lie),
        2 => (1u8..3, 0u8..10).prop_map(|(primary, mode)| Act::Become(primary, mode)),
        4 => (0u64..300).prop_map(Act::Wait),
        2 => (0u64..40_000).prop_map(Act::Wait),
        1 => Just(Act::Restart),
        1 => any::<bool>().prop_map(Act::Disk),
    ]
}

fn mode(number: u8) -> Mode {
    match number {
        0 => Mode::Down,
        1 => Mode::Silent(u32::MAX),
        2 => Mode::Silent(2),
        3 => Mode::Code(Rcode::SERVFAIL),
        4 => Mode::Cut,
        5 => Mode::Stalled,
        6 => Mode::Objects(Rcode::FORMERR),
        7 => Mode::SilentToEdns,
        8 => Mode::BytesBehind,
        _ => Mode::Up,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn it_never_goes_back_and_catches_up(acts in proptest::collection::vec(act(), 1..40), one_way in 1u64..1_200) {
        let mut world = World::new(2);
        world.one_way = one_way;
        let mut serial = 1;
        (1..=2).for_each(|primary| world.edit(primary, serial, 10));
        world.start();
        let mut reached = 0;
        for act in acts {
            match act {
                Act::Edit(count) => {
                    serial += 1;
                    (1..=2).for_each(|primary| world.edit(primary, serial, count));
                }
                Act::Notify(from, told) => world.notify(from, told.then_some(serial)),
                Act::Lie(from) => world.notify(from, Some(serial + 1_000)),
                Act::Become(primary, number) => world.mode(primary, mode(number)),
                Act::Wait(millis) => world.run(millis),
                Act::Restart => {
                    world.arriving.clear();
                    world.refresh = Refresh::new(world.refresh.config.clone(), u64::from(serial));
                    world.start();
                }
                Act::Disk(full) => world.secondary.journal.full = full,
            }
            let served = world.secondary.serial().map_or(reached, |serial| serial.0);
            prop_assert!(served >= reached, "from {reached} back to {served}");
            reached = served;
        }
        world.secondary.journal.full = false;
        (1..=2).for_each(|primary| world.mode(primary, Mode::Up));
        // Two stalled transfers, then REFRESH at the latest.
        world.run(300_000);
        prop_assert!(world.serves(1), "serial {:?} of {serial}; {:?}", world.secondary.serial(), world.log);
        prop_assert!(world.refresh.newer().is_none_or(|newer| newer.serial.0 > serial));
    }
}
