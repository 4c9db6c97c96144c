use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::ask::exchange::Exchange;
use crate::time::Utc;
use crate::wire::message::{Request, flags};
use crate::wire::rtype::Rtype;
use crate::wire::writer::{Section, Writer};

use super::*;

fn at(milli: u64) -> Now {
    Now { mono: Mono(milli * 1_000), utc: Utc(milli * 1_000) }
}

fn zone() -> Name {
    "example.".parse().unwrap()
}

fn server(number: u16) -> SocketAddr {
    ([127, 0, 0, 1], number).into()
}

fn answer(exchange: &Exchange, serial: u32) -> Arrival {
    let request = Request::read(&exchange.message).unwrap();
    let mut rdata = vec![0, 0];
    [serial, 1, 1, 1, 1].iter().for_each(|number: &u32| rdata.extend_from_slice(&number.to_be_bytes()));
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 512, request.header.id, flags::QR | flags::AA);
    writer.question(request.name, request.rtype, request.class).unwrap();
    writer.record(Section::Answer, request.name, Rtype::SOA, 1, &rdata).unwrap();
    writer.finish();
    Arrival::Message(bytes)
}

/// Runs until a moment, answering every question at once with the serial that `serves` says for that time; returns when
/// questions were asked, in milliseconds.
fn run(watch: &mut Watch, out: &mut Outbox, from: u64, until: u64, serves: impl Fn(u64) -> u32) -> Vec<u64> {
    let mut asked = Vec::new();
    let mut milli = from;
    loop {
        watch.handle_timeout(at(milli), out);
        for exchange in std::mem::take(&mut out.exchanges) {
            asked.push(milli);
            let arrival = answer(&exchange, serves(milli));
            assert_eq!(watch.arrival(at(milli), exchange.token, arrival, out).len(), 1);
        }
        milli = watch.next_timeout().unwrap().0.div_ceil(1_000);
        if milli > until {
            return asked;
        }
    }
}

#[test]
fn quick_after_a_publication_and_steady_else() {
    let mut out = Outbox::default();
    let mut watch = Watch::new(Pace::default(), 1);
    assert!(watch.insert(at(0), Ask::soa(server(1), zone()), &mut out));
    let asked = run(&mut watch, &mut out, 0, 35_000, |_| u32::MAX);
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert!(asked.windows(2).all(|pair| (9_000..=10_000).contains(&(pair[1] - pair[0]))), "{asked:?}");

    watch.published(at(36_000), &zone(), Serial(0));
    let asked = run(&mut watch, &mut out, 36_000, 60_000, |milli| if milli < 37_500 { u32::MAX } else { 1 });
    assert!((36_009..=36_011).contains(&asked[0]), "{asked:?}");
    let seen = asked.iter().position(|&milli| milli >= 37_500).unwrap();
    assert!((7..=10).contains(&seen), "{asked:?}");
    assert!(asked[seen + 1] - asked[seen] >= 9_000, "{asked:?}");
}

#[test]
fn a_server_that_never_follows_is_not_asked_quickly_for_ever() {
    let mut out = Outbox::default();
    let mut watch = Watch::new(Pace::default(), 2);
    watch.insert(at(0), Ask::soa(server(1), zone()), &mut out);
    run(&mut watch, &mut out, 0, 1, |_| 1);
    watch.published(at(5), &zone(), Serial(2));
    let asked = run(&mut watch, &mut out, 5, 700_000, |_| 1);
    let longest = asked.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    let quick = asked.iter().filter(|&&milli| milli < 600_000).count();
    assert!((9_000..=10_000).contains(&longest), "{longest}");
    assert!((600..700).contains(&quick), "{quick}");
}

#[test]
fn probes_on_their_way_are_bounded() {
    let mut out = Outbox::default();
    let mut watch = Watch::new(Pace::default(), 3);
    for number in 0..400 {
        watch.insert(at(0), Ask::soa(server(number), zone()), &mut out);
    }
    watch.handle_timeout(at(0), &mut out);
    assert_eq!(out.exchanges.len(), MAX_PROBES);
    // All are silent, so their places become free after 2.1 seconds, and the others get theirs.
    let mut silent = 0;
    while silent < 400 {
        let now = Now { mono: watch.next_timeout().unwrap(), utc: Utc(0) };
        assert!(now.mono < at(6_000).mono);
        silent += watch.handle_timeout(now, &mut out).len();
    }
    for number in 0..400 {
        watch.remove(&zone(), server(number), &mut out);
    }
    assert_eq!((watch.next_timeout(), watch.probes, watch.flights.len()), (None, 0, 0));
}

#[test]
fn a_server_behind_a_bad_way_is_not_silent() {
    const ZONES: usize = 300;
    let (mut out, mut watch) = (Outbox::default(), Watch::new(Pace::default(), 4));
    for number in 0..ZONES {
        watch.insert(at(0), Ask::soa(server(1), format!("z{number}.").parse().unwrap()), &mut out);
    }
    let mut rng = StdRng::seed_from_u64(5);
    let (mut silent, mut seen, mut milli) = (0, 0, 0);
    while milli < 60_000 {
        let mut events = watch.handle_timeout(at(milli), &mut out);
        while !out.exchanges.is_empty() {
            for exchange in std::mem::take(&mut out.exchanges) {
                // Three of ten datagrams are lost in each direction.
                if rng.random_bool(0.49) {
                    let arrival = answer(&exchange, 1);
                    events.extend(watch.arrival(at(milli), exchange.token, arrival, &mut out));
                }
            }
        }
        for event in events {
            match event {
                Event::Seen(_) => seen += 1,
                Event::Silent { .. } => silent += 1,
                Event::Failed { .. } => panic!("{event:?}"),
            }
        }
        milli = watch.next_timeout().unwrap().0.div_ceil(1_000);
    }
    // Of a hundred probes thirteen come to nothing, and of ten thousand probes 23 times three in a row.
    assert!(seen > 4 * ZONES && silent < 20, "{seen} seen, {silent} silent");
}

#[test]
fn a_silent_server_is_asked_about_one_zone_at_a_time_and_keeps_no_other_waiting() {
    const ZONES: usize = 300;
    let (mut out, mut watch) = (Outbox::default(), Watch::new(Pace::default(), 4));
    let zone = |number: usize| -> Name { format!("z{number}.").parse().unwrap() };
    for number in 0..ZONES {
        for port in [1, 2] {
            watch.insert(at(0), Ask::soa(server(port), zone(number)), &mut out);
        }
    }
    // The second one is silent until 60 seconds have passed.
    let (mut asked, mut silent) = (BTreeMap::<u64, usize>::new(), 0);
    let mut back = BTreeSet::new();
    let mut milli = 0;
    while milli < 70_000 {
        let mut events = watch.handle_timeout(at(milli), &mut out);
        while !out.exchanges.is_empty() {
            for exchange in std::mem::take(&mut out.exchanges) {
                let is_silent = exchange.to == server(2) && milli < 60_000;
                *asked
                    .entry(if exchange.to == server(2) { milli / 10_000 } else { u64::MAX })
                    .or_default() += 1;
                if !is_silent {
                    let arrival = answer(&exchange, 1);
                    events.extend(watch.arrival(at(milli), exchange.token, arrival, &mut out));
                }
            }
        }
        for event in events {
            match event {
                Event::Seen(seen) if seen.server == server(2) => drop(back.insert((seen.zone, milli))),
                Event::Silent { .. } => silent += usize::from(milli < 10_000),
                Event::Seen(_) => {}
                Event::Failed { .. } => panic!("{event:?}"),
            }
        }
        milli = watch.next_timeout().unwrap().0.div_ceil(1_000);
    }
    assert!(silent >= ZONES, "{silent} are known to be silent");
    // A probe is three datagrams and takes 2.1 seconds, then it rests for two.
    assert!((1..=5).all(|ten| asked[&ten] <= 12), "{asked:?}");
    assert!(asked[&u64::MAX] >= 7 * ZONES, "{asked:?}");
    let seen: BTreeSet<&Name> = back.iter().filter(|(_, at)| *at < 65_000).map(|(zone, _)| zone).collect();
    assert_eq!(seen.len(), ZONES, "all are asked about when it is back");
}

#[test]
fn the_same_seed_asks_at_the_same_moments() {
    let trace = |seed| {
        let mut out = Outbox::default();
        let mut watch = Watch::new(Pace::default(), seed);
        for number in 0..5 {
            watch.insert(at(0), Ask::soa(server(number), zone()), &mut out);
        }
        watch.published(at(0), &zone(), Serial(9));
        run(&mut watch, &mut out, 0, 60_000, |milli| if milli < 3_000 { 1 } else { 9 })
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}

#[test]
fn only_servers_of_the_published_zone_are_asked_quickly() {
    let mut out = Outbox::default();
    let mut watch = Watch::new(Pace::default(), 4);
    let other: Name = "other.".parse().unwrap();
    for number in 1..=3 {
        assert!(watch.insert(at(0), Ask::soa(server(number), zone()), &mut out));
        assert!(watch.insert(at(0), Ask::soa(server(number), other.clone()), &mut out));
    }
    watch.remove(&zone(), server(2), &mut out);
    run(&mut watch, &mut out, 0, 5, |_| 1);
    // In other letters it is the same zone.
    watch.published(at(10), &"EXAMPLE.".parse::<Name>().unwrap(), Serial(2));
    assert_eq!(run(&mut watch, &mut out, 10, 25, |_| 2).len(), 2);
    for number in [1, 3] {
        watch.remove(&zone(), server(number), &mut out);
    }
    watch.published(at(30), &zone(), Serial(3));
    assert!(run(&mut watch, &mut out, 30, 1_000, |_| 2).is_empty());
    assert_eq!(watch.asks().count(), 3);
}

#[test]
fn a_zone_is_asked_about_from_when_its_question_leaves() {
    let numbered = |number: usize| format!("z{number}.").parse::<Name>().unwrap();
    let (mut out, mut watch) = (Outbox::default(), Watch::new(Pace::default(), 8));
    (0..=MAX_PROBES + 1).for_each(|number| {
        watch.insert(at(0), Ask::soa(server(1), numbered(number)), &mut out);
    });
    let asked = |watch: &Watch, number| watch.asked(&numbered(number), server(1));
    assert_eq!(asked(&watch, 0), None);
    watch.handle_timeout(at(5), &mut out);
    assert_eq!(asked(&watch, 0), Some(at(5).mono));
    // A server that has said nothing yet may be away for all its zones.
    assert_eq!(asked(&watch, MAX_PROBES), Some(at(5).mono));
    let first = out.exchanges.remove(0);
    assert_eq!(watch.arrival(at(10), first.token, answer(&first, 1), &mut out).len(), 1);
    assert_eq!(asked(&watch, 0), Some(at(5).mono));
    assert_eq!(asked(&watch, MAX_PROBES), None);
    // One place is free.
    watch.handle_timeout(at(25), &mut out);
    assert_eq!(asked(&watch, MAX_PROBES), Some(at(25).mono));
    assert_eq!(asked(&watch, MAX_PROBES + 1), None);
    assert_eq!(watch.asked(&zone(), server(1)), None, "not watched");
}
