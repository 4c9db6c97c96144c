//! How long a change takes where the network loses datagrams.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::time::{Duration, Instant};

use support::observer::Observer;
use support::path::{Paths, Weather};
use support::waits::Waits;
use support::zones::{self, Zone};
use support::{ports, tidemark};

const LIMIT: Duration = Duration::from_secs(60);
const ZONES: u32 = 20;
/// Of each zone. With 800 in all, chance alone fails the test once in a thousand runs.
const CHANGES: u32 = 40;
/// Datagrams lost in each direction, of NOTIFY, of what is asked, and of who waits for a change.
const LOSS: f64 = 0.3;
/// Within so long 99 of 100 changes are to be at the secondary.
const PROMISE: Duration = Duration::from_millis(1_500);

/// By how much half of the waits may be late: a server is asked every 20 ms, and every second question is answered.
const LATE: Duration = Duration::from_millis(70);

#[test]
fn with_thirty_of_a_hundred_datagrams_lost_a_change_arrives_soon() {
    let paths = Paths::new();
    let [primary, secondary] = ports::reserve_many();
    let (pulling, telling, asking) = (paths.to(primary), paths.to(secondary), paths.to(secondary));
    let names: Vec<String> = (0..ZONES).map(|number| format!("z{number}.")).collect();
    let above =
        names.iter().map(|name| Zone::primary(name, zones::text(name, 1, &[])).notify(&[telling.addr]));
    let below = names.iter().map(|name| Zone::secondary(name, &[pulling.addr]));
    let head = tidemark::start(primary, &above.collect::<Vec<_>>());
    let _node = tidemark::start(secondary, &below.collect::<Vec<_>>());
    let observers: Vec<Observer> = names.iter().map(|name| Observer::watch(secondary, name)).collect();
    for observer in &observers {
        observer.await_serial(1, LIMIT);
    }
    [&pulling, &telling, &asking]
        .into_iter()
        .for_each(|way| way.set(Weather { loss: LOSS, ..Weather::default() }));
    let mut took: Vec<Duration> = Vec::new();
    let mut late: Vec<Duration> = Vec::new();
    for serial in 2..2 + CHANGES {
        let mut waits = Waits::default();
        waits.begin(&names[0], serial, &[(0, asking.addr)]);
        let edited: Vec<Instant> = names
            .iter()
            .map(|name| {
                let at = Instant::now();
                head.daemon.publish(name, &zones::text(name, serial, &[]));
                at
            })
            .collect();
        let arrived: Vec<Instant> =
            observers.iter().map(|observer| observer.await_serial(serial, LIMIT).at).collect();
        let ended = waits.ended().pop().unwrap().ended;
        late.push(ended.saturating_duration_since(arrived[0]));
        let arrived = arrived.into_iter();
        took.extend(arrived.zip(edited).map(|(arrived, edited)| arrived.saturating_duration_since(edited)));
    }
    late.sort();
    println!("waits ended late: median {:?}, most {:?}", late[late.len() / 2], late.last().unwrap());
    assert!(late[late.len() / 2] <= LATE, "half of the waits ended later than {:?}", late[late.len() / 2]);
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    println!(
        "{} changes: median {:?}, p90 {:?}, p99 {:?}, most {:?}",
        took.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    assert!(at(0.99) <= PROMISE, "99 of 100 changes took up to {:?}", at(0.99));
}
