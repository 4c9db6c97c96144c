//! What a primary says of servers that have versions it does not know, and when.

use super::*;

use crate::publish::journal::entry::Replayed;
use crate::zone::stamp::Stamp;

const SERVER: ([u8; 4], u16) = ([192, 0, 2, 1], 53);

/// A primary whose journal ends with version 4, and the question that it asks its server at the start.
fn begin(fx: &mut Effects) -> Node {
    let store = ZoneStore::new(7);
    let known = fixture::hosts("example.", 4, []).finish().unwrap().0;
    let stamp = Stamp { serial: Serial(4), published: None, digest: known.digest(), writer: 7 };
    store.replay(&zone(), Replayed::Full(known, stamp, NOW.utc));
    let mut node = Node::new(Arc::new(store), [7; 32]);
    let options = ZoneOptions { notify: vec![SERVER.into()], ..ZoneOptions::default() };
    let added = vec![ZoneConfig::new(zone(), options)];
    node.handle(NOW, Input::Zones(Changes { removed: Vec::new(), added }), fx);
    node
}

/// Its server shows this serial.
fn see(node: &mut Node, serial: u32, fx: &mut Effects) -> Vec<Event> {
    let (mut now, mut events) = (NOW, Vec::new());
    // It is asked as soon as its turn comes.
    while fx.out.exchanges.is_empty() {
        let next = node.next_timeout().unwrap();
        now = Now { mono: next, utc: now.utc + next.since(now.mono) };
        events.extend(node.handle(now, Input::Timeout, fx));
    }
    let asked = fx.out.exchanges.pop().unwrap();
    node.handle(now, Input::Arrival(asked.token, Arrival::Sent), fx);
    events.extend(node.handle(now, Input::Arrival(asked.token, shows(&asked.message, serial)), fx));
    events
}

/// What follows, until nothing is under way.
fn finish(node: &mut Node, fx: &mut Effects) -> Vec<Event> {
    let mut events = Vec::new();
    for job in std::mem::take(&mut fx.jobs) {
        events.extend(node.handle(NOW, Input::Prepared(job.run()), fx));
    }
    for commit in std::mem::take(&mut fx.commits) {
        let written = Input::Committed { ticket: commit.ticket, result: Ok(()) };
        events.extend(node.handle(NOW, written, fx));
    }
    events
}

fn ahead(events: &[Event]) -> Vec<(Serial, Serial)> {
    let ahead = events.iter().filter_map(|event| match event {
        Event::Ahead { theirs, own, .. } => Some((*theirs, *own)),
        _ => None,
    });
    ahead.collect()
}

#[test]
fn a_serial_that_was_raised_is_not_asked_to_be_raised() {
    for (file, shown) in [(5, 5), (10, 9), (5, 9)] {
        let mut fx = Effects::default();
        let mut node = begin(&mut fx);
        let mut events = node.handle(NOW, Input::Files(vec![(zone(), content(file, 1))]), &mut fx);
        events.extend(see(&mut node, shown, &mut fx));
        events.extend(finish(&mut node, &mut fx));
        let is_resumed = |event: &Event| matches!(event, Event::Resumed { serial, known: Some(Serial(4)), .. } if *serial == Serial(shown));
        assert!(events.iter().any(is_resumed), "{events:?}");
        let published = events.iter().any(|event| {
            matches!(event, Event::Published { publication, .. }
            if publication.stamp.serial.is_newer_than(Serial(shown)))
        });
        assert!(published && ahead(&events).is_empty(), "{file} {shown}: {events:?}");
    }
}

#[test]
fn a_server_that_is_ahead_is_told_of_once_nothing_is_under_way() {
    let mut fx = Effects::default();
    let mut node = begin(&mut fx);
    // The file has not been read yet.
    assert_eq!(ahead(&see(&mut node, 9, &mut fx)), []);
    let unchanged = fixture::hosts("example.", 4, []).finish().unwrap().0;
    let file = vec![(zone(), Ok(ZoneFile { content: unchanged, edited: None }))];
    let mut events = node.handle(NOW, Input::Files(file), &mut fx);
    events.extend(finish(&mut node, &mut fx));
    assert_eq!(ahead(&events), [(Serial(9), Serial(4))], "{events:?}");
}
