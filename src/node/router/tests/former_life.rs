//! What a node says of a secondary zone by what a former life wrote down, until a primary has answered.

use super::*;

use crate::publish::journal::entry::Replayed;
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
fn how_stale_it_is_at_most_is_known_from_when_it_was_verified() {
    let now = at(10 * DAY + 500);
    let told = |counted_from, current| {
        let (node, _) = begin(&left(counted_from, current), now, &mut Effects::default());
        let told = status(&node, now);
        (told.state, told.verified, told.staleness.unwrap().high.map(|high| high.as_secs()))
    };
    let verified = 10 * DAY + 100;
    assert_eq!(told(verified, Some(verified)), (State::Unverified, Some(at(verified).utc), Some(400)));
    // Of one that has expired meanwhile, too.
    assert_eq!(told(DAY, Some(DAY)), (State::Expired, Some(at(DAY).utc), Some(9 * DAY + 500)));
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
