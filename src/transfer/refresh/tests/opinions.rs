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
    assert_eq!(world.take_log(), ["confirmed"]);
    assert_eq!(at_odds(&world), [], "it may be about to follow");
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
    let older = (address(1), Odd::Older { theirs: Serial(1), ours: Serial(5) });
    for told in [&[][..], &[older]] {
        world.notify(1, None);
        world.run(100);
        assert_eq!(world.take_log(), ["failed soa older", "confirmed"]);
        assert_eq!(at_odds(&world), told);
        world.run(31_000);
    }
}

#[test]
fn a_primary_that_follows_a_little_later_is_not_told_of() {
    let mut world = World::settled(2);
    let asked = |world: &mut World| {
        world.refresh_now();
        world.run(1_100);
        assert_eq!(world.take_log().first().map(String::as_str), Some("confirmed"));
    };
    let publish = |world: &mut World, serial: u32| {
        world.edit(1, serial, 10 + serial as u16);
        world.notify(1, Some(serial));
        world.run(1_100);
        world.take_log();
    };
    publish(&mut world, 5);
    // However often it is asked meanwhile.
    for _ in 0..3 {
        asked(&mut world);
        assert_eq!(at_odds(&world), []);
    }
    // It has followed, and the next version is there already.
    world.edit(2, 5, 15);
    publish(&mut world, 6);
    world.run(31_000);
    asked(&mut world);
    assert_eq!(at_odds(&world), []);
    // Now it does not follow any more.
    world.run(31_000);
    asked(&mut world);
    assert_eq!(at_odds(&world), [(address(2), Odd::Older { theirs: Serial(5), ours: Serial(6) })]);
    world.edit(2, 6, 16);
    asked(&mut world);
    assert_eq!(at_odds(&world), []);
}

/// A secondary that took serial 11 of its first primary by order, in place of serial 40, which the others have.
fn forced_back(primaries: u8) -> World {
    let mut world = apart(primaries);
    world.force();
    world.run(1_100);
    assert!(world.serves(1) && world.refresh.newer().is_none(), "{:?}", world.log);
    world.take_log();
    world
}

/// A secondary that serves what all primaries but the first have, which has an older version.
fn apart(primaries: u8) -> World {
    let mut world = World::new(primaries);
    world.edit(1, 11, 11);
    (2..=primaries).for_each(|other| world.edit(other, 40, 14));
    world.start();
    world.run(500);
    world.refresh_now();
    world.run(1_100);
    assert!(world.serves(2), "{:?}", world.log);
    world
}

#[test]
fn an_order_holds_though_what_it_brought_is_published_when_the_settings_are_others() {
    let mut world = apart(2);
    let config = world.refresh.config.clone();
    let zone = world.secondary.zone();
    let (before, counted_from) = (zone.version().unwrap(), zone.counted_from());
    world.force();
    world.run(1_100);
    // The next machine began before that was published.
    world.refresh = Refresh::new(config, 7);
    world.refresh.force_next = true;
    let stored = Stored { version: &before, counted_from, newer: None };
    let events = world.refresh.start(at(world.now), Some(stored), &mut world.out);
    world.handle(events);
    let (version, counted_from) = (zone.version().unwrap(), zone.counted_from());
    let events = world.refresh.adopt(at(world.now), &version, counted_from, &mut world.out);
    world.handle(events);
    for _ in 0..2 {
        world.run(1_100);
        world.refresh_now();
    }
    world.run(1_100);
    assert!(world.serves(1), "{:?}", world.log);
    assert_eq!(at_odds(&world).len(), 1);
}

#[test]
fn a_word_about_the_version_before_assures_nobody_of_the_next_one() {
    let mut world = World::settled(2);
    // It says itself that it does not know whether there is anything newer.
    let doubtful = &world.primaries[&address(2)].0;
    doubtful.store.configure(&apex(), Access { secondary: true, ..Access::default() });
    world.edit(2, 2, 11);
    world.refresh_now();
    world.run(2_000);
    assert_eq!(world.take_log(), ["confirmed", "behind 2", "fetched ixfr", "confirmed"]);
    assert!(world.serves(2) && world.refresh.verified_until().is_none());
}

#[test]
fn what_was_left_by_order_is_not_taken_again_from_those_who_still_have_it() {
    let mut world = forced_back(2);
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
    let mut world = forced_back(2);
    world.primaries.get_mut(&address(2)).unwrap().0 = Node::primary();
    world.edit(2, 11, 11);
    world.refresh_now();
    world.run(1_100);
    assert_eq!(world.take_log(), ["confirmed", "confirmed"]);
    world.edit(2, 40, 14);
    world.refresh_now();
    world.run(1_100);
    assert!(world.serves(2));

    let mut world = forced_back(2);
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

/// Has a primary follow to the version that was taken by order: its content is transferred there anew.
fn follow(world: &mut World, primary: u8) {
    world.primaries.get_mut(&address(primary)).unwrap().0 = Node::primary();
    world.edit(primary, 11, 11);
}

#[test]
fn an_order_sets_nothing_aside_of_a_primary_that_has_followed() {
    let mut world = forced_back(3);
    follow(&mut world, 2);
    world.refresh_now();
    world.run(1_100);
    let left = |ours| Odd::LeftBehind { theirs: Serial(40), ours: Serial(ours) };
    assert_eq!(
        world.take_log(),
        ["confirmed".to_string(), "confirmed".to_string(), format!("at odds {:?}", left(11))]
    );
    // The one whose version was taken gives the next one to this one alone, and is gone.
    (1..=2).for_each(|primary| world.edit(primary, 12, 12));
    world.mode(1, Mode::Down);
    world.notify(2, Some(12));
    world.run(1_100);
    assert!(world.serves(2) && world.secondary.serial() == Some(Serial(12)), "{:?}", world.log);
    world.notify(3, Some(40));
    world.refresh_now();
    world.run(1_100);
    assert!(world.serves(2));
    assert_eq!(at_odds(&world), [(address(3), left(12))]);
}

#[test]
fn other_settings_do_not_hide_who_is_at_odds() {
    let mut world = World::settled(3);
    world.edit(1, 5, 15);
    world.notify(1, Some(5));
    world.run(100);
    for _ in 0..2 {
        world.run(31_000);
        world.refresh_now();
        world.run(1_100);
    }
    let told = |world: &World| world.refresh.at_odds().collect::<Vec<_>>();
    let before = told(&world);
    assert_eq!(before.len(), 2, "{:?}", world.log);
    world.take_log();
    // Since then, and it is not told anew.
    reconfigure(&mut world, &[1, 2]);
    assert_eq!(told(&world), before[..1]);
    assert!(world.take_log().iter().all(|entry| entry == "confirmed"));
    world.edit(2, 5, 15);
    world.refresh_now();
    world.run(1_100);
    assert_eq!(told(&world), []);
}

/// Configures other primaries, as a reload does.
fn reconfigure(world: &mut World, primaries: &[u8]) {
    let primaries = primaries.iter().map(|primary| address(*primary)).collect();
    let config = Config { primaries, ..world.refresh.config.clone() };
    let known = std::mem::replace(&mut world.refresh, Refresh::new(config, 7));
    world.refresh.take_over(known);
    world.start();
    world.run(1_100);
    world.refresh_now();
    world.run(1_100);
}

#[test]
fn an_order_outlives_other_settings_as_long_as_somebody_is_left_who_followed_it() {
    let mut world = forced_back(2);
    let newcomer = (address(3), (Node::primary(), Mode::Up));
    world.primaries.extend([newcomer]);
    world.edit(3, 40, 14);
    for primaries in [&[1, 2][..], &[2, 3, 1]] {
        reconfigure(&mut world, primaries);
        assert!(world.serves(1), "{:?}", world.log);
        assert_eq!(at_odds(&world).len(), primaries.len() - 1);
    }
    // There is nothing else to follow.
    reconfigure(&mut world, &[3, 2]);
    assert!(world.serves(2), "{:?}", world.log);
}

#[test]
fn a_zone_that_expires_after_an_order_is_taken_from_whoever_has_it() {
    let mut world = forced_back(2);
    let expire = |world: &mut World| {
        (1..=2).for_each(|primary| world.mode(primary, Mode::Down));
        world.run(u64::from(TIMERS[2]) * 1_000 + 1_000);
        assert_eq!(world.secondary.serial(), None);
    };
    expire(&mut world);
    (1..=2).for_each(|primary| world.mode(primary, Mode::Up));
    world.notify(2, Some(40));
    world.run(1_100);
    world.refresh_now();
    world.run(1_100);
    assert!(world.serves(1), "the order holds as long as it can: {:?}", world.log);
    assert!(world.refresh.newer().is_none(), "what was left is nothing newer");
    expire(&mut world);
    world.mode(2, Mode::Up);
    world.notify(2, Some(40));
    world.run(1_100);
    assert!(world.serves(2), "{:?}", world.log);
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
        world.run(3_001);
        assert_eq!((world.refresh.state(), world.sent[&address(2)]), ("Idle", before));
        assert!(world.take_log().is_empty());
        // REFRESH follows and not RETRY.
        world.run(76_000);
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

#[test]
fn who_knows_of_a_newer_version_does_not_assure_others_by_a_primary_that_does_not() {
    let mut world = World::settled(2);
    let assures = |world: &World| {
        let zone = world.secondary.zone();
        super::told(&zone, &zone.version().unwrap(), at(world.now), None, 1).is_verified
    };
    assert!(assures(&world));
    world.mode(1, Mode::Down);
    world.notify(1, Some(2));
    assert!(!assures(&world), "nor while it asks");
    world.run(100);
    assert_eq!(world.take_log(), ["behind 2", "failed soa unreachable", "confirmed"]);
    assert!(!assures(&world) && world.refresh.lease.ends().is_none());
    world.edit(1, 2, 11);
    world.mode(1, Mode::Up);
    world.notify(1, Some(2));
    world.run(100);
    assert!(world.serves(1) && assures(&world), "{:?}", world.log);
}

#[test]
fn what_comes_in_place_of_a_version_that_expired_is_as_fresh_as_that_only_where_it_is_the_same() {
    for (serial, count, is_same) in [(3, 13, false), (5, 15, true)] {
        let mut world = World::new(2);
        world.edit(1, 5, 15);
        world.edit(2, serial, count);
        // It does not know how old that is.
        let other = &world.primaries[&address(2)].0;
        other.store.configure(&apex(), Access { secondary: true, ..Access::default() });
        world.start();
        world.run(500);
        let known = world.confirmed.unwrap().1;
        assert!(world.serves(1) && known.is_some());
        (1..=2).for_each(|primary| world.mode(primary, Mode::Down));
        world.run(u64::from(TIMERS[2]) * 1_000 + 1_000);
        assert_eq!(world.secondary.serial(), None);
        world.mode(2, Mode::Up);
        world.notify(2, Some(serial));
        world.run(1_100);
        assert!(world.serves(2), "{:?}", world.log);
        assert_eq!(world.confirmed.unwrap().1, known.filter(|_| is_same));
    }
}
