use proptest::prelude::*;

use super::super::admission::MAX_FLIGHTS;
use super::super::cache::{self, AskFlags};
use super::super::sample::{ask, now, record, reply};
use super::super::settings::Zone;
use super::*;
use crate::ask::exchange::{Exchange, Failure};
use crate::wire::message::{Message, Request};
use crate::wire::rtype::CLASS_IN;
use crate::wire::writer::Section;

/// A zone with the servers 192.0.2.x of these last bytes.
fn zone(name: &str, servers: &[u8]) -> Zone {
    let servers = servers.iter().map(|&last| ([192, 0, 2, last], 53).into()).collect();
    Zone { zone: name.parse().unwrap(), servers }
}

/// A waiter with this number, one of some clients.
fn client(number: u64) -> Waiter {
    Waiter { number, client: [198, 51, 100, number as u8].into() }
}

/// A resolver and the outbox it writes to.
struct World {
    resolver: Resolver,
    cache: Arc<Cache>,
    out: Outbox,
}

impl World {
    fn new() -> World {
        let config = Config {
            forward: vec![zone(".", &[1, 2])],
            stub: vec![zone("example.", &[3]), zone("lost.", &[4])],
            ..Config::default()
        };
        let cache = Arc::new(Cache::new(&cache::Config::default()));
        let resolver = Resolver::new(&config, Arc::clone(&cache), [3; 32]);
        World { resolver, cache, out: Outbox::default() }
    }

    fn ask(&mut self, millis: u64, question: &str, waiter: u64) -> Vec<Event> {
        self.resolver.ask(now(millis), ask(question), client(waiter), &mut self.out)
    }

    fn last(&self) -> Exchange {
        self.out.exchanges.last().unwrap().clone()
    }

    /// The last exchange is answered.
    fn reply(&mut self, millis: u64, rcode: Rcode, answer: &[&str]) -> Vec<Event> {
        let last = self.last();
        let bytes = reply(&last.message, rcode, 0, [answer, &[], &[]]);
        self.resolver.handle(now(millis), last.token, Arrival::Message(bytes), &mut self.out)
    }

    /// Lets time pass without a reply, up to `millis`; events with their moment.
    fn silence(&mut self, millis: u64) -> Vec<(u64, Event)> {
        let mut events = Vec::new();
        while let Some(due) = self.resolver.next_timeout().filter(|due| due.0 <= millis * 1_000) {
            let then = due.0 / 1_000;
            let new = self.resolver.handle_timeout(now(then), &mut self.out);
            events.extend(new.into_iter().map(|event| (then, event)));
        }
        events
    }

    fn assert_at_rest(&self) {
        assert_eq!((self.resolver.flights(), self.resolver.next_timeout()), (0, None));
        assert!(self.resolver.by_token.is_empty() && self.resolver.by_ask.is_empty());
        assert!(self.resolver.admission.is_empty());
        let begun = self.out.exchanges.iter().map(|exchange| exchange.token);
        assert!(begun.clone().all(|token| self.out.cancels.contains(&token)), "an exchange was left open");
    }
}

/// Waiters, records and staleness of the only event.
fn answered(events: &[Event], millis: u64) -> (Vec<u64>, Vec<Record>, bool) {
    let [Event::Answered { waiters, entry, stale, .. }] = events else { panic!("{events:?}") };
    assert_eq!(*stale, entry.is_stale());
    let records = entry.records(now(millis).mono).map(|(_, owner, rtype, ttl, rdata)| Record {
        owner: owner.to_name(),
        rtype,
        ttl,
        rdata: rdata.into(),
    });
    (waiters.clone(), records.collect(), *stale)
}

#[test]
fn a_hundred_waiters_are_one_flight() {
    let mut world = World::new();
    for waiter in 0..100 {
        let question = if waiter % 2 == 0 { "www.test. A" } else { "WWW.Test. A" };
        assert!(world.ask(waiter, question, waiter).is_empty());
    }
    assert_eq!((world.out.exchanges.len(), world.resolver.flights()), (1, 1));
    let events = world.reply(120, Rcode::NOERROR, &["www.test. 60 A 192.0.2.80"]);
    let (waiters, records, stale) = answered(&events, 120);
    assert_eq!(waiters, (0..100).collect::<Vec<_>>());
    assert_eq!((records, stale), (vec![record("www.test. 60 A 192.0.2.80")], false));
    let Event::Answered { from, took, .. } = &events[0] else { unreachable!() };
    assert_eq!((*from, *took), (Some(world.last().to), Duration::from_millis(120)));
    world.assert_at_rest();
    // From now on the cache knows.
    let (waiters, records, _) = answered(&world.ask(10_120, "www.test. A", 7), 10_120);
    assert_eq!((waiters, records[0].ttl, world.out.exchanges.len()), (vec![7], 50, 1));
}

#[test]
fn differing_questions_are_flights_of_their_own() {
    let mut world = World::new();
    for (waiter, question) in ["a.test. A", "a.test. AAAA", "a.test. A do", "b.test. A"].iter().enumerate() {
        assert!(world.ask(0, question, waiter as u64).is_empty());
    }
    assert_eq!(world.resolver.flights(), 4);
}

#[test]
fn stub_servers_hear_no_wish_for_recursion() {
    let mut world = World::new();
    world.ask(0, "www.example. A", 1);
    let last = world.last();
    assert_eq!((last.to.to_string().as_str(), last.message[2]), ("192.0.2.3:53", 0));
}

#[test]
fn failure_is_servfail_at_last_and_remembered_for_a_moment() {
    let mut world = World::new();
    world.ask(0, "www.lost. A", 1);
    world.ask(100, "www.lost. A", 2);
    let events = world.silence(60_000);
    let [(4_500, Event::Failed { waiters, entry, reason, .. })] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&waiters[..], entry.rcode(), *reason), (&[1, 2][..], Rcode::SERVFAIL, Reason::NoAnswer));
    world.assert_at_rest();
    let sent = world.out.exchanges.len();
    assert_eq!(answered(&world.ask(6_000, "www.lost. A", 3), 6_000).0, [3]);
    assert_eq!(world.out.exchanges.len(), sent);
    assert!(world.ask(6_500, "www.lost. A", 4).is_empty());
}

#[test]
fn a_family_that_is_off_is_never_asked() {
    let [four, six]: [SocketAddr; 2] = ["192.0.2.1:53", "[2001:db8::1]:53"].map(|text| text.parse().unwrap());
    for (ipv4, expected) in [(true, four), (false, six)] {
        // The first of the two would be asked if both could be.
        let servers = if ipv4 { vec![six, four] } else { vec![four, six] };
        let root = Zone { zone: ".".parse().unwrap(), servers };
        let config = Config { forward: vec![root], ipv4, ipv6: !ipv4, ..Config::default() };
        let cache = Arc::new(Cache::new(&cache::Config::default()));
        let (mut resolver, mut out) = (Resolver::new(&config, cache, [0; 32]), Outbox::default());
        assert!(resolver.ask(now(0), ask("www.test. A"), client(1), &mut out).is_empty());
        assert!(resolver.handle_timeout(now(400), &mut out).is_empty());
        let asked: Vec<SocketAddr> = out.exchanges.iter().map(|exchange| exchange.to).collect();
        assert_eq!(asked, [expected, expected]);
    }
}

#[test]
fn a_name_without_servers_fails_at_once() {
    let cache = Arc::new(Cache::new(&cache::Config::default()));
    let mut resolver = Resolver::new(&Config::default(), cache, [0; 32]);
    let events = resolver.ask(now(0), ask("www.test. A"), client(1), &mut Outbox::default());
    assert!(matches!(&events[..], [Event::Failed { reason: Reason::NoRoute, .. }]), "{events:?}");
}

#[test]
fn an_old_answer_is_served_while_the_servers_are_dead_and_refreshed_afterwards() {
    let mut world = World::new();
    world.ask(0, "www.example. A", 1);
    world.reply(10, Rcode::NOERROR, &["www.example. 60 A 192.0.2.80"]);

    // The TTL has run out and the server is dead: the waiter is not kept until the budget is spent.
    assert!(world.ask(100_000, "www.example. A", 2).is_empty());
    let events = world.silence(101_900);
    let [(101_800, event)] = &events[..] else { panic!("{events:?}") };
    let (waiters, records, stale) = answered(std::slice::from_ref(event), 101_800);
    assert_eq!((waiters, stale), (vec![2], true));
    assert_eq!(records, [record("www.example. 2 A 192.0.2.80")]);
    // The flight goes on for the cache's sake; meanwhile the stale answer stands.
    assert_eq!(world.resolver.flights(), 1);
    assert!(answered(&world.ask(102_000, "www.example. A", 3), 102_000).2);
    assert!(world.silence(110_000).is_empty());
    world.assert_at_rest();
    // The server is left alone for as long as it is held down, and whoever keeps the answer asks again no sooner.
    let sent = world.out.exchanges.len();
    let (_, records, _) = answered(&world.ask(104_600, "www.example. A", 4), 104_600);
    assert_eq!(records, [record("www.example. 2 A 192.0.2.80")]);
    assert!(answered(&world.ask(106_400, "www.example. A", 4), 106_400).2);
    assert_eq!(world.out.exchanges.len(), sent);

    // The server is back.
    assert!(world.ask(135_000, "www.example. A", 5).is_empty());
    let (waiters, records, stale) =
        answered(&world.reply(135_010, Rcode::NOERROR, &["www.example. 60 A 192.0.2.81"]), 135_010);
    assert_eq!((waiters, stale), (vec![5], false));
    assert_eq!(records, [record("www.example. 60 A 192.0.2.81")]);
    assert!(!answered(&world.ask(136_000, "www.example. A", 6), 136_000).2);
    world.assert_at_rest();
}

#[test]
fn a_stale_answer_needs_no_wait_when_the_servers_say_that_they_fail() {
    let mut world = World::new();
    world.ask(0, "www.example. A", 1);
    world.reply(10, Rcode::NOERROR, &["www.example. 60 A 192.0.2.80"]);
    world.ask(100_000, "www.example. A", 2);
    let (waiters, _, stale) = answered(&world.reply(100_010, Rcode::SERVFAIL, &[]), 100_010);
    assert_eq!((waiters, stale), (vec![2], true));
    world.assert_at_rest();
}

#[test]
fn what_was_flushed_is_not_served_stale() {
    let mut world = World::new();
    world.ask(0, "www.example. A", 1);
    world.reply(10, Rcode::NOERROR, &["www.example. 60 A 192.0.2.80"]);
    world.ask(100_000, "www.example. A", 2);
    world.cache.flush_all();
    let events = world.silence(110_000);
    assert!(matches!(&events[..], [(104_500, Event::Failed { .. })]), "{events:?}");
    world.assert_at_rest();
}

#[test]
fn a_chain_is_followed_to_the_servers_that_are_responsible() {
    let mut world = World::new();
    world.ask(0, "www.example. A", 1);
    // The stub's server may not speak for other zones, whatever it adds.
    let alias = &["www.example. 300 CNAME www.test.", "www.test. 300 A 192.0.2.66"];
    assert!(world.reply(10, Rcode::NOERROR, alias).is_empty());
    let next = world.last();
    assert_ne!(next.to.to_string(), "192.0.2.3:53");
    assert_eq!(Request::read(&next.message).unwrap().name.to_string(), "www.test.");
    let (_, records, _) = answered(&world.reply(20, Rcode::NOERROR, &["www.test. 60 A 192.0.2.80"]), 20);
    assert_eq!(records, [record("www.example. 300 CNAME www.test."), record("www.test. 60 A 192.0.2.80")]);
    world.assert_at_rest();
    let entry = world
        .cache
        .get(now(59_000).mono, &ask("www.example. A").name, Rtype::A, AskFlags::default())
        .unwrap();
    assert_eq!(entry.fresh_until(), now(60_020).mono);
}

#[test]
fn a_chain_without_end_fails() {
    let mut world = World::new();
    world.ask(0, "n0.test. A", 1);
    for link in 0..MAX_RESTARTS {
        let alias = format!("n{link}.test. 300 CNAME n{}.test.", link + 1);
        assert!(world.reply(10, Rcode::NOERROR, &[&alias]).is_empty());
    }
    let alias = format!("n{MAX_RESTARTS}.test. 300 CNAME n0.test.");
    let events = world.reply(10, Rcode::NOERROR, &[&alias]);
    assert!(matches!(&events[..], [Event::Failed { reason: Reason::Chain, .. }]), "{events:?}");
    world.assert_at_rest();
}

#[test]
fn what_a_reply_adds_is_not_known_afterwards() {
    let mut world = World::new();
    world.ask(0, "www.test. A", 1);
    let last = world.last();
    let sections: [&[&str]; 3] = [
        &["www.test. 60 A 192.0.2.80", "bank.test. 600 A 192.0.2.66"],
        &["test. 600 NS ns.evil.test."],
        &["ns.evil.test. 600 A 192.0.2.66"],
    ];
    let bytes = reply(&last.message, Rcode::NOERROR, 0, sections);
    let events = world.resolver.handle(now(1), last.token, Arrival::Message(bytes), &mut world.out);
    assert_eq!(answered(&events, 1).1, [record("www.test. 60 A 192.0.2.80")]);
    for (question, waiter) in [("bank.test. A", 2), ("test. NS", 3), ("ns.evil.test. A", 4)] {
        assert!(world.ask(2, question, waiter).is_empty());
    }
}

#[test]
fn waiters_and_flights_are_bounded() {
    let mut world = World::new();
    let mut events = Vec::new();
    for waiter in 0..=MAX_WAITERS as u64 {
        events.extend(world.ask(0, "www.test. A", waiter));
    }
    assert!(matches!(&events[..], [Event::Refused { waiter: 1_024, bound: Bound::Waiters }]), "{events:?}");
    events.clear();
    for waiter in 0..MAX_FLIGHTS as u64 {
        events.extend(world.ask(0, &format!("n{waiter}.test. A"), waiter));
    }
    let turned_away =
        |event: &Event| matches!(event, Event::Refused { bound: Bound::Flights | Bound::Client, .. });
    assert!(events.iter().all(turned_away), "{events:?}");
    // Half of the flights, or a little less where the clients have to leave some to each other.
    let flights = world.resolver.flights();
    assert!((MAX_FLIGHTS / 2 - 32..=MAX_FLIGHTS / 2).contains(&flights), "{flights}");
    assert_eq!(events.len() + flights, MAX_FLIGHTS + 1);
    // The servers of another zone are asked all the same.
    assert!(world.ask(0, "www.example. A", 1).is_empty());
    let events = world.ask(0, "www.test. AXFR", 1);
    assert!(matches!(&events[..], [Event::Refused { bound: Bound::Type, .. }]), "{events:?}");
    // All of them end in time, each waiter with an event of its own.
    let ended = world.silence(4_500);
    assert_eq!(ended.len(), flights + 1);
    assert!(world.resolver.admission.is_empty());
    assert_eq!((world.resolver.flights(), world.resolver.by_token.len()), (0, 0));
}

#[test]
fn spare_and_late_calls_change_nothing() {
    let mut world = World::new();
    assert!(world.resolver.handle_timeout(now(0), &mut world.out).is_empty());
    world.ask(0, "www.test. A", 1);
    let first = world.last();
    assert!(world.resolver.handle_timeout(now(399), &mut world.out).is_empty());
    assert!(
        world.resolver.handle(now(1), Token(99), Arrival::Failed(Failure::Closed), &mut world.out).is_empty()
    );
    assert_eq!(world.out.exchanges.len(), 1);
    world.reply(5, Rcode::NOERROR, &["www.test. 60 A 192.0.2.80"]);
    let late = reply(&first.message, Rcode::NOERROR, 0, [&["www.test. 60 A 192.0.2.66"], &[], &[]]);
    assert!(world.resolver.handle(now(6), first.token, Arrival::Message(late), &mut world.out).is_empty());
    assert_eq!(answered(&world.ask(5, "www.test. A", 2), 5).1, [record("www.test. 60 A 192.0.2.80")]);
}

/// Whether an answer to `www.test. A` comes of these bytes although they ask another question or their records do not begin
/// at that name.
fn strays(bytes: Vec<u8>) -> bool {
    let mut world = World::new();
    world.ask(0, "www.test. A", 1);
    let last = world.last();
    let asked = Message::read(&bytes).ok().and_then(|message| message.question);
    let events = world.resolver.handle(now(1), last.token, Arrival::Message(bytes), &mut world.out);
    let Some(Event::Answered { entry, .. }) = events.first() else { return false };
    let ask = ask("www.test. A");
    let first = entry.records(now(1).mono).find(|(section, ..)| *section == Section::Answer);
    // A DNAME stands above the name.
    first.is_some_and(|(_, owner, ..)| !ask.name.is_in(owner))
        || asked
            .is_none_or(|asked| asked.name != ask.name || asked.rtype != ask.rtype || asked.class != CLASS_IN)
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(!strays(bytes));
    }

    #[test]
    fn any_changed_bytes_are_survived(changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6)) {
        let mut world = World::new();
        world.ask(0, "www.test. A", 1);
        let sections: [&[&str]; 3] = [
            &["www.test. 60 CNAME a.test.", "a.test. 60 A 192.0.2.80", "test. 60 DNAME x.test."],
            &["test. 60 SOA 60"],
            &["b.test. 60 A 192.0.2.1"],
        ];
        let mut bytes = reply(&world.last().message, Rcode::NOERROR, 0, sections);
        for (at, byte) in changes {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        prop_assert!(!strays(bytes));
    }
}
