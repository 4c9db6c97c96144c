//! What a node says of a secondary zone by what a former life wrote down, until a primary has answered.

use super::*;

use crate::publish::journal::entry::{Entry, Replayed};
use crate::time::Hlc;
use crate::zone::stamp::Stamp;

const DAY: u64 = 86_400;

/// This many seconds after 1970, on a clock for spans that began 115 days before.
fn at(second: u64) -> Now {
    Now { mono: Mono(10_000_000_000_000), utc: Utc(second * 1_000_000) }
}

/// What is left of a zone whose EXPIRE, a day, is counted from one second, and that was known to be current at another.
fn left(counted_from: u64, current: Option<u64>) -> Arc<ZoneStore> {
    let store = ZoneStore::new(7);
    let content = fixture::hosts("example.", 5, []).finish().unwrap().0;
    let stamp =
        Stamp { serial: Serial(5), published: Some(Hlc::at(at(1).utc)), digest: content.digest(), writer: 8 };
    store.replay(&zone(), Replayed::Full(content, stamp, at(1).utc));
    store.replay(&zone(), Replayed::Verified(at(counted_from).utc, current.map(|second| at(second).utc)));
    Arc::new(store)
}

fn begin(store: &Arc<ZoneStore>, now: Now, fx: &mut Effects) -> (Node, Vec<Event>) {
    let mut node = Node::new(Arc::clone(store), [7; 32]);
    let role = Role::Secondary(vec!["192.0.2.1:53".parse().unwrap()]);
    let options = ZoneOptions { role, from_secondaries: true, ..ZoneOptions::default() };
    let added = vec![ZoneConfig::new(zone(), options)];
    let events = node.handle(now, Input::Zones(Changes { removed: Vec::new(), added }), fx);
    (node, events)
}

fn status(node: &Node, now: Now) -> ZoneStatus {
    node.page(now, Ask { from: From::Name(None), limit: 1 }).zones.remove(0)
}

#[test]
fn when_it_was_verified_is_known_and_bounds_nothing() {
    let now = at(10 * DAY + 500);
    let told = |counted_from, current| {
        let (node, _) = begin(&left(counted_from, current), now, &mut Effects::default());
        let told = status(&node, now);
        // The clock may be a few seconds past that moment though days have passed.
        (told.state, told.verified, told.staleness.unwrap().high)
    };
    let verified = 10 * DAY + 100;
    assert_eq!(told(verified, Some(verified)), (State::Unverified, Some(at(verified).utc), None));
    // Of one that has expired meanwhile, too.
    assert_eq!(told(DAY, Some(DAY)), (State::Expired, Some(at(DAY).utc), None));
    // Its primaries told nothing of their age.
    assert_eq!(told(verified, None), (State::Unverified, None, None));
}

#[test]
fn one_that_is_unverified_has_the_reason_for_its_problem() {
    let (now, mut fx) = (at(10 * DAY + 500), Effects::default());
    let (mut node, _) = begin(&left(10 * DAY, None), now, &mut fx);
    assert!(status(&node, now).problem.is_none(), "nobody has answered, and nothing has failed");
    // Its SOA, and nothing besides.
    while let Some(asked) = fx.out.exchanges.pop() {
        node.handle(now, Input::Arrival(asked.token, Arrival::Sent), &mut fx);
        node.handle(now, Input::Arrival(asked.token, shows(&asked.message, 5)), &mut fx);
    }
    let told = status(&node, now);
    let problem = told.problem.unwrap();
    assert_eq!((told.state, problem.since), (State::Unverified, now.utc));
    assert!(problem.what.starts_with("primary 192.0.2.1:53 tells neither stamps nor EXPIRE"), "{problem:?}");
}

#[test]
fn one_that_expired_by_the_clock_is_asked_for_at_once_and_the_clock_named() {
    let (now, mut fx) = (at(10 * DAY), Effects::default());
    let (node, events) = begin(&left(5 * DAY, Some(5 * DAY)), now, &mut fx);
    let told = |event: &Event| match event {
        Event::ExpiredMeanwhile { from, ago, .. } => Some((*from, ago.as_secs())),
        _ => None,
    };
    assert_eq!(events.iter().find_map(told), Some((at(5 * DAY).utc, 5 * DAY)), "{events:?}");
    assert_eq!((status(&node, now).state, fx.out.exchanges.len()), (State::Expired, 1));
    // One that has not expired is no news.
    let (_, events) = begin(&left(10 * DAY - 60, None), now, &mut Effects::default());
    assert_eq!(events.iter().find_map(told), None, "{events:?}");
}

#[test]
fn what_was_verified_in_the_future_expires_in_time_however_often_the_node_starts() {
    let (now, mut fx) = (at(10 * DAY), Effects::default());
    let store = left(12 * DAY, Some(12 * DAY));
    let is_told = |events: &[Event]| {
        let ahead =
            |event: &Event| matches!(event, Event::ClockSetBack { ahead, .. } if ahead.as_secs() == 2 * DAY);
        events.iter().any(ahead)
    };
    let (node, events) = begin(&store, now, &mut fx);
    assert!(is_told(&events), "{events:?}");
    let told = status(&node, now);
    assert_eq!((told.state, told.expires), (State::Unverified, Some(at(11 * DAY).utc)));
    // How old it is nobody knows.
    assert_eq!((told.verified, told.staleness.unwrap().high), (None, None));

    // As the journal has it, and a restart before the moment that was written down first.
    let again = left(12 * DAY, Some(12 * DAY));
    for note in std::mem::take(&mut fx.notes) {
        let Entry::Verified(_, from, current) = note else { panic!("{note:?}") };
        again.replay(&zone(), Replayed::Verified(from, current));
    }
    let later = at(11 * DAY - 100);
    let (node, events) = begin(&again, later, &mut Effects::default());
    assert!(!is_told(&events), "{events:?}");
    let told = status(&node, later);
    assert_eq!((told.state, told.expires), (State::Unverified, Some(at(11 * DAY).utc)));
}
