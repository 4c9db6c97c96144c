use proptest::prelude::*;

use crate::zone::digest::Digest;

use super::server::MAX_STEPS;
use super::versions::MAX_VERSIONS;
use super::*;

fn at(second: u64) -> Now {
    Now { mono: Mono(second * 1_000_000), utc: Utc((1_700_000_000 + second) * 1_000_000) }
}

fn server(number: u8) -> SocketAddr {
    ([127, 0, 0, number], 53).into()
}

fn stamp(serial: u32, now: Now) -> Stamp {
    let digest = Digest::from_bytes([0; 32]);
    Stamp { serial: Serial(serial), published: Some(Hlc::at(now.utc)), digest, writer: 1 }
}

/// An answer that took two seconds, one each way.
fn sighting(number: u8, serial: u32, second: u64) -> Sighting {
    Sighting {
        server: server(number),
        serial: Serial(serial),
        sent: at(second - 1).mono,
        received: at(second + 1).mono,
        sent_utc: at(second - 1).utc,
        asked: None,
        told: None,
        unconfirmed: None,
    }
}

fn seconds(low: u64, high: Option<u64>, estimate: Option<u64>) -> Interval {
    let [high, estimate] = [high, estimate].map(|bound| bound.map(Duration::from_secs));
    Interval { low: Duration::from_secs(low), high, estimate }
}

#[test]
fn a_secondary_about_itself() {
    let successor = Some(Duration::from_secs(5));
    assert_eq!(
        own_staleness(at(100).mono, Some(at(90).mono), true, None, None),
        seconds(0, Some(10), Some(0))
    );
    assert_eq!(own_staleness(at(100).mono, Some(at(90).mono), false, None, None), seconds(0, Some(10), None));
    assert_eq!(
        own_staleness(at(100).mono, Some(at(90).mono), true, Some(at(97).mono), successor),
        seconds(3, Some(10), Some(5))
    );
    // A primary whose clock is wrong by a minute shifts the estimate to a bound and no further.
    let skewed = Some(Duration::from_secs(65));
    assert_eq!(
        own_staleness(at(100).mono, Some(at(90).mono), true, Some(at(97).mono), skewed),
        seconds(3, Some(10), Some(10))
    );
    assert_eq!(own_staleness(at(100).mono, None, true, Some(at(97).mono), None), seconds(3, None, None));
}

#[test]
fn servers_that_say_nothing_give_a_lower_bound() {
    let mut ledger = Ledger::default();
    ledger.observe(&sighting(1, 7, 10));
    ledger.observe(&sighting(2, 8, 20));
    assert_eq!(ledger.head(), Some(Serial(8)));
    assert_eq!(ledger.staleness(server(1), at(30)), Some(seconds(9, None, None)));
    assert_eq!(ledger.staleness(server(2), at(30)), Some(seconds(0, None, Some(0))));
    assert_eq!(ledger.staleness(server(3), at(30)), None);
    assert_eq!(ledger.laggards(Serial(8)).collect::<Vec<_>>(), [(server(1), Some(Serial(7)))]);
    assert_eq!(ledger.versions_after(Serial(7)), None);
}

#[test]
fn a_watched_source_bounds_both_ways() {
    let mut ledger = Ledger::default();
    ledger.source(server(1));
    ledger.observe(&sighting(1, 7, 10));
    ledger.observe(&sighting(2, 7, 11));
    ledger.observe(&sighting(1, 8, 20));
    assert_eq!(ledger.staleness(server(2), at(30)), Some(seconds(9, Some(21), None)));
    ledger.observe(&sighting(2, 7, 25));
    ledger.observe(&sighting(2, 9, 40));
    assert_eq!(ledger.propagation(server(2), Serial(8)), Some(seconds(3, Some(32), None)));
    assert_eq!(ledger.propagation(server(1), Serial(9)), None);
}

#[test]
fn stamps_give_the_figure_and_the_count() {
    let mut ledger = Ledger::default();
    ledger.observe(&sighting(2, 7, 10));
    let head = Sighting {
        asked: Some(Serial(7)),
        told: Some(Told {
            age: Duration::ZERO,
            is_verified: true,
            stamps: vec![stamp(9, at(17)), stamp(8, at(12)), stamp(9, at(17))],
            ..Told::default()
        }),
        ..sighting(1, 9, 20)
    };
    ledger.observe(&head);
    let stale = ledger.staleness(server(2), at(30)).unwrap();
    assert_eq!((stale.estimate, stale.high), (Some(Duration::from_secs(18)), None));
    assert_eq!(ledger.versions_after(Serial(7)), Some(2));
    assert_eq!(ledger.staleness_of(Serial(8), at(30)).estimate, Some(Duration::from_secs(13)));
}

#[test]
fn stamps_are_compared_with_the_clock_that_they_are_readings_of() {
    for ahead in [0, 600] {
        // All that is told of times is by a clock that is ten minutes ahead; what is known of it is good to a second.
        let theirs = |second: u64| at(second + ahead);
        let mut ledger = Ledger::default();
        ledger.observe(&sighting(2, 7, 10));
        let stamps = vec![stamp(8, theirs(17)), stamp(8, theirs(17))];
        let clock = Some((theirs(20).utc, Duration::ZERO));
        let told = Some(Told { clock, stamps, ..Told::default() });
        ledger.observe(&Sighting { asked: Some(Serial(7)), told, ..sighting(1, 8, 20) });
        assert_eq!(ledger.staleness(server(2), at(30)).unwrap().estimate, Some(Duration::from_secs(13)));
        ledger.observe(&sighting(2, 8, 40));
        let took = ledger.propagation(server(2), Serial(8)).unwrap();
        assert_eq!(took.estimate, Some(Duration::from_secs(23)));
        let offset = ledger.clocks().offset(at(41)).unwrap();
        assert!((offset.seconds - ahead as f64).abs() < offset.error && offset.error < 1.1, "{offset:?}");
        // Of its own stamps a node needs nobody to tell the time.
        let mut ledger = Ledger::default();
        ledger.kept_by(1);
        ledger.published(at(50), &stamp(9, at(50)), Some(Serial(8)));
        let told = Some(Told { clock, stamps: vec![stamp(9, at(50))], ..Told::default() });
        ledger.observe(&Sighting { told, ..sighting(1, 9, 52) });
        assert_eq!(ledger.clocks().offset(at(53)), None);
    }
}

#[test]
fn a_server_with_other_content_is_told_from_those_with_the_published_one() {
    let holding = |number: u8, serial: u32, content: u8, second: u64| {
        let digest = Digest::from_bytes([content; 32]);
        let stamps = vec![Stamp { digest, ..stamp(serial, at(1)) }];
        let told = Some(Told { age: Duration::ZERO, is_verified: true, stamps, ..Told::default() });
        Sighting { told, ..sighting(number, serial, second) }
    };
    let mut ledger = Ledger::default();
    ledger.observe(&holding(1, 7, 1, 10));
    ledger.observe(&holding(2, 7, 1, 11));
    ledger.observe(&sighting(4, 7, 11));
    assert!(!ledger.differs(server(1)) && !ledger.differs(server(2)));
    // While nobody knows which content is right, none of them counts; who tells no digest is believed.
    ledger.observe(&holding(3, 7, 2, 12));
    for number in 1..=3 {
        assert!(ledger.differs(server(number)));
        assert_eq!(ledger.staleness(server(number), at(20)), Some(Interval::default()));
    }
    assert!(!ledger.differs(server(4)));
    // What is served here decides.
    let here = Stamp { digest: Digest::from_bytes([1; 32]), ..stamp(7, at(1)) };
    ledger.holds(at(13).mono, &here);
    assert_eq!([1, 2, 3].map(|number| ledger.differs(server(number))), [false, false, true]);
    // Another serial has a content of its own.
    ledger.observe(&holding(3, 8, 3, 14));
    assert!(!ledger.differs(server(3)));
}

#[test]
fn an_age_that_fills_its_field_says_nothing() {
    let mut ledger = Ledger::default();
    let told = Told {
        age: Duration::from_millis(5),
        is_verified: true,
        stamps: vec![stamp(7, at(1))],
        ..Told::default()
    };
    ledger.observe(&Sighting { told: Some(told), ..sighting(1, 7, 10) });
    assert_eq!(ledger.staleness(server(1), at(10)).unwrap().high, Some(Duration::from_millis(1_005)));
    let told = Told {
        age: Duration::from_millis(u64::from(u32::MAX)),
        is_verified: true,
        stamps: vec![stamp(8, at(1))],
        ..Told::default()
    };
    ledger.observe(&Sighting { told: Some(told), ..sighting(1, 8, 20) });
    assert_eq!(ledger.staleness(server(1), at(20)).unwrap().high, Some(Duration::from_millis(11_005)));
}

#[test]
fn what_is_left_of_expire_bounds_the_staleness_of_a_server_that_tells_nothing_else() {
    let mut ledger = Ledger::default();
    ledger.observe(&Sighting { unconfirmed: Some(Duration::from_secs(6)), ..sighting(1, 7, 20) });
    assert_eq!(ledger.staleness(server(1), at(30)), Some(seconds(0, Some(17), Some(0))));
    // More than the clock has counted.
    ledger.observe(&Sighting { unconfirmed: Some(Duration::MAX), ..sighting(2, 8, 21) });
    assert_eq!(ledger.staleness(server(2), at(30)).unwrap().high, Some(Duration::from_secs(17)));
}

#[test]
fn an_age_from_before_the_clock_began_bounds_nothing() {
    let mut ledger = Ledger::default();
    let told = |age| {
        Some(Told {
            age: Duration::from_secs(age),
            is_verified: true,
            stamps: vec![stamp(7, at(0))],
            ..Told::default()
        })
    };
    ledger.observe(&Sighting { told: told(100), ..sighting(1, 7, 10) });
    assert_eq!(ledger.staleness(server(1), at(30)), Some(seconds(0, None, Some(0))));
    ledger.observe(&Sighting { told: told(3), ..sighting(1, 7, 20) });
    let high = ledger.staleness(server(1), at(30)).unwrap().high;
    assert_eq!(high, Some(Duration::from_secs(14)));
}

#[test]
fn what_is_published_here_is_known_exactly() {
    let mut ledger = Ledger::default();
    ledger.published(at(10), &stamp(u32::MAX, at(10)), None);
    ledger.published(at(20), &stamp(0, at(20)), Some(Serial(u32::MAX)));
    assert_eq!(ledger.staleness_of(Serial(u32::MAX), at(50)), seconds(30, Some(30), Some(30)));
    ledger.observe(&sighting(2, u32::MAX, 21));
    ledger.observe(&sighting(2, 0, 23));
    assert_eq!(ledger.propagation(server(2), Serial(0)).unwrap().high, Some(Duration::from_secs(4)));
}

#[test]
fn memory_is_bounded() {
    let mut ledger = Ledger::default();
    for serial in 0..3_000 {
        ledger.observe(&sighting(1, serial, 2 + u64::from(serial)));
    }
    for number in 0..2_000_u16 {
        let server = SocketAddr::from(([10, 0, 0, 1], number));
        ledger.observe(&Sighting { server, ..sighting(1, 0, 4_000) });
    }
    assert_eq!((ledger.versions.len(), ledger.servers.len()), (MAX_VERSIONS, MAX_SERVERS));
    assert_eq!((ledger.head(), ledger.servers[&server(1)].steps.len()), (Some(Serial(2_999)), MAX_STEPS));
    assert_eq!(ledger.propagation(server(1), Serial(5)), None);
    assert!(ledger.propagation(server(1), Serial(2_990)).is_some());
}

#[test]
fn however_many_versions_a_server_misses_it_is_behind_since_the_first_of_them() {
    const MISSED: u32 = 5_000;
    let mut ledger = Ledger::default();
    ledger.source(server(1));
    ledger.observe(&sighting(1, 7, 2));
    ledger.observe(&sighting(2, 7, 3));
    for missed in 1..=MISSED {
        let now = at(10 + u64::from(missed));
        ledger.published(now, &stamp(7 + missed, now), Some(Serial(6 + missed)));
    }
    let now = at(11 + u64::from(MISSED));
    assert_eq!(ledger.versions.len(), MAX_VERSIONS);
    assert_eq!(ledger.versions_after(Serial(7)), Some(MISSED as usize));
    let behind = Duration::from_secs(u64::from(MISSED));
    let staleness = ledger.staleness(server(2), now).unwrap();
    assert_eq!((staleness.low, staleness.estimate), (behind, Some(behind)));
    assert!(staleness.high.is_some_and(|high| high >= behind && high < behind + Duration::from_secs(10)));
    // Of one that nobody showed, only the number is forgotten in part.
    assert_eq!(ledger.successor_of(Serial(7)), Some(Serial(8)));
    assert_eq!(ledger.versions_after(Serial(6 + MISSED)), Some(1));
}

#[test]
fn a_server_of_a_primary_that_tells_nothing_is_behind_since_the_first_version_that_it_misses() {
    let mut ledger = Ledger::default();
    ledger.observe(&sighting(1, 7, 10));
    ledger.observe(&sighting(2, 7, 11));
    let mut longest = Duration::ZERO;
    for missed in 1..=3_000 {
        let second = 10 + u64::from(missed);
        ledger.observe(&sighting(1, 7 + missed, second));
        let low = ledger.staleness(server(2), at(second + 1)).unwrap().low;
        assert!(low >= longest, "{low:?} after {longest:?}");
        longest = low;
    }
    assert_eq!((longest, ledger.versions.len()), (Duration::from_secs(2_999), MAX_VERSIONS));
    // One that is further behind is so since the oldest version that is kept, and stays so.
    ledger.observe(&sighting(3, 3, 3_100));
    let low = ledger.staleness(server(3), at(3_200)).unwrap().low;
    assert!(low >= Duration::from_secs(3_180), "{low:?}");
}

#[test]
fn what_a_former_life_published_is_taken_in_late_and_kept() {
    const VERSIONS: u32 = 3_000;
    let published = |serial: u32| stamp(serial, at(serial.into()));
    let stamps: Vec<Stamp> = (2..=VERSIONS).map(published).collect();
    let start = u64::from(VERSIONS) + 10;
    let mut ledger = Ledger::default();
    ledger.told(at(start).mono, None, &stamps);
    // These are none of the versions that fit.
    for (number, serial) in [(1, 5), (2, 1)] {
        ledger.observe(&sighting(number, serial, start + 2));
        assert_eq!(ledger.successor_of(Serial(serial)), None);
    }
    let now = at(start + 5);
    // Of what is still known the oldest counts.
    let kept = Duration::from_secs(start + 5 - u64::from(VERSIONS) + MAX_VERSIONS as u64 - 10);
    assert!(ledger.behind_for(Serial(5), now) >= Some(kept));
    ledger.told(now.mono, Some(Serial(5)), &[published(6)]);
    ledger.told(now.mono, None, &[published(2)]);
    for serial in VERSIONS + 1..=2 * VERSIONS {
        ledger.published(at(serial.into()), &published(serial), Some(Serial(serial - 1)));
    }
    let now = at(2 * u64::from(VERSIONS));
    assert_eq!(ledger.versions.len(), MAX_VERSIONS);
    let since = |serial: u32| Duration::from_secs(2 * u64::from(VERSIONS) - u64::from(serial));
    assert_eq!(ledger.staleness(server(1), now).unwrap().estimate, Some(since(6)));
    assert_eq!(ledger.behind_for(Serial(1), now), Some(since(2)));
    assert_eq!(ledger.behind_for(Serial(2 * VERSIONS), now), None);
    // A version that tells no stamp was served here at least.
    let mut ledger = Ledger::default();
    ledger.observe(&sighting(1, 5, 100));
    ledger.served_since(at(101).mono, Serial(9), at(40).utc);
    assert_eq!(ledger.behind_for(Serial(5), at(110)), Some(Duration::from_secs(70)));
}

/// One question over the network: the pause before it, and the way there and back, in microseconds.
type Trip = (u64, u64, u64);

/// A secondary that polls the primary; a poll may only learn (no transfer follows).
struct Follower {
    /// Per step: since when, version served, known current as of, first learned of a newer one at.
    steps: Vec<(u64, usize, u64, Option<u64>)>,
}

impl Follower {
    fn run(published: &[u64], polls: &[(Trip, bool)]) -> Follower {
        let mut steps = vec![(0, 0, 0, None)];
        let mut clock = 0;
        for &((pause, there, back), transfers) in polls {
            let asked = clock + pause;
            let seen = published.partition_point(|&time| time <= asked + there) - 1;
            clock = asked + there + back;
            let &(_, served, fresh, learned) = steps.last().unwrap();
            steps.push(match (seen == served, transfers) {
                (true, _) | (false, true) => (clock, seen, asked, None),
                (false, false) => (clock, served, fresh, learned.or(Some(clock))),
            });
        }
        Follower { steps }
    }

    fn at(&self, time: u64) -> (u64, usize, u64, Option<u64>) {
        self.steps[self.steps.partition_point(|step| step.0 <= time) - 1]
    }

    fn applied(&self, version: usize) -> Option<u64> {
        self.steps.iter().find(|step| step.1 >= version).map(|step| step.0)
    }
}

fn staleness(published: &[u64], version: usize, now: u64) -> Duration {
    let successor = published.get(version + 1).filter(|&&time| time <= now);
    Duration::from_micros(successor.map_or(0, |time| now - time))
}

fn trip() -> impl Strategy<Value = Trip> {
    (0_u64..4_000_000, 0_u64..900_000, 0_u64..900_000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_interval_contains_the_truth(
        first_serial: u32,
        pauses in prop::collection::vec((1_u64..5_000_000, 1_u32..100_000), 0..8),
        polls in prop::collection::vec(prop::collection::vec((trip(), any::<bool>()), 0..12), 3),
        questions in prop::collection::vec((trip(), 0_usize..4, any::<bool>()), 1..40),
        // Which servers tell stamps: the primary, and the secondaries.
        tells: [bool; 4],
        source: bool,
        skew in -10_000_000_i64..10_000_000,
    ) {
        let mut published = vec![0];
        let mut serials = vec![Serial(first_serial)];
        for (pause, jump) in pauses {
            published.push(published.last().unwrap() + pause);
            serials.push(Serial(serials.last().unwrap().0.wrapping_add(jump)));
        }
        let base = 1_700_000_000_000_000_u64;
        let stamps: Vec<Stamp> = (published.iter().zip(&serials))
            .map(|(&time, &serial)| Stamp {
                published: Some(Hlc::at(Utc((base + time).wrapping_add_signed(skew)))),
                ..stamp(serial.0, at(0))
            })
            .collect();
        let followers: Vec<Follower> = polls.iter().map(|polls| Follower::run(&published, polls)).collect();
        // The clock of the observer starts at an hour, so that ages reach back before the first question.
        let start = 3_600_000_000;
        let mono = |time: u64| Mono(start + time);
        let mut ledger = Ledger::default();
        if source {
            ledger.source(server(0));
        }
        let mut clock = 0;
        for ((pause, there, back), which, asks) in questions {
            let sent = clock + pause;
            let there_at = sent + there;
            let received = there_at + back;
            clock = sent;
            let (version, age) = match which.checked_sub(1) {
                None => (published.partition_point(|&time| time <= there_at) - 1, 0),
                Some(follower) => {
                    let (_, version, fresh, _) = followers[follower].at(there_at);
                    (version, there_at - fresh)
                }
            };
            let asked = ledger.serial(server(which as u8)).filter(|_| asks);
            let later = asked.and_then(|asked| serials[..version].iter().position(|&serial| serial == asked));
            let later = later.map_or(&[][..], |asked| &stamps[asked + 1..=version]);
            let told = Told {
                age: Duration::from_millis(age / 1_000),
                is_verified: true,
                stamps: [&stamps[version..=version], later].concat(),
                ..Told::default()
            };
            ledger.observe(&Sighting {
                server: server(which as u8),
                serial: serials[version],
                sent: mono(sent),
                received: mono(received),
                sent_utc: Utc(base + sent),
                asked,
                unconfirmed: None,
                told: tells[which].then_some(told),
            });
            // The next question may leave before this answer is here; nothing is claimed about the time before it.
            let now = Now { mono: mono(received), utc: Utc(base + received) };
            clock = clock.max(received.saturating_sub(500_000));
            for number in 0..4 {
                let Some(shown) = ledger.serial(server(number)) else { continue };
                let version = serials.iter().position(|&serial| serial == shown).unwrap();
                let interval = ledger.staleness(server(number), now).unwrap();
                let truth = staleness(&published, version, received);
                prop_assert!(interval.contains(truth), "{truth:?} of {shown} is not within {interval:?}");
                prop_assert!(interval.estimate.is_none_or(|estimate| interval.contains(estimate)));
                for (version, &serial) in serials.iter().enumerate() {
                    let Some(interval) = ledger.propagation(server(number), serial) else { continue };
                    let applied = match usize::from(number).checked_sub(1) {
                        None => published[version],
                        Some(follower) => followers[follower].applied(version).unwrap(),
                    };
                    let truth = Duration::from_micros(applied - published[version]);
                    prop_assert!(interval.contains(truth), "{truth:?} to {number} is not within {interval:?}");
                }
            }
        }
    }

    #[test]
    fn a_secondary_does_not_deceive_itself(
        pauses in prop::collection::vec(1_u64..5_000_000, 0..8),
        polls in prop::collection::vec((trip(), any::<bool>()), 0..12),
        looks in prop::collection::vec(0_u64..40_000_000, 1..20),
        skew in -10_000_000_i64..10_000_000,
    ) {
        let mut published = vec![0];
        for pause in pauses {
            published.push(published.last().unwrap() + pause);
        }
        let follower = Follower::run(&published, &polls);
        for look in looks {
            let (_, version, fresh, learned) = follower.at(look);
            let successor = published
                .get(version + 1)
                .filter(|_| learned.is_some())
                .map(|&time| Duration::from_micros(look.saturating_sub(time).saturating_add_signed(skew)));
            let interval = own_staleness(Mono(look), Some(Mono(fresh)), true, learned.map(Mono), successor);
            let truth = staleness(&published, version, look);
            prop_assert!(interval.contains(truth), "{truth:?} is not within {interval:?}");
        }
    }
}

#[test]
fn versions_that_were_taken_back_are_forgotten_once_nobody_has_shown_them_for_a_while() {
    let mut ledger = Ledger::default();
    ledger.holds(at(1).mono, &stamp(5, at(1)));
    ledger.observe(&sighting(1, 112, 10));
    ledger.observe(&sighting(2, 112, 10));
    // One was taken back by order; the other one has the version still.
    ledger.observe(&sighting(1, 5, 20));
    ledger.observe(&sighting(1, 5, 200));
    assert!(ledger.staleness(server(1), at(201)).unwrap().low > Duration::ZERO);
    // A balancer shows now one server and now another.
    ledger.observe(&sighting(2, 5, 210));
    ledger.observe(&sighting(2, 112, 215));
    ledger.observe(&sighting(2, 5, 220));
    ledger.observe(&sighting(1, 5, 270));
    assert!(ledger.staleness(server(1), at(271)).unwrap().low > Duration::ZERO);
    ledger.observe(&sighting(1, 5, 280));
    for number in [1, 2] {
        assert_eq!(ledger.staleness(server(number), at(281)).unwrap().estimate, Some(Duration::ZERO));
    }
    assert_eq!(ledger.head(), Some(Serial(5)));
    // What is published from there on counts as ever.
    ledger.published(at(300), &stamp(6, at(300)), Some(Serial(5)));
    ledger.observe(&sighting(1, 6, 303));
    assert_eq!(ledger.propagation(server(1), Serial(6)).unwrap().low, Duration::ZERO);
    assert!(ledger.staleness(server(2), at(310)).unwrap().low >= Duration::from_secs(9));
}

mod cut_off;
