//! What a node says of its zone files.

use super::*;

use crate::node::roster::Changes;
use crate::node::settings::ZoneOptions;
use crate::zone::fixture;

const NOW: Now = Now { mono: Mono(1), utc: Utc(1) };

fn zone() -> Name {
    "example.".parse().unwrap()
}

fn content(serial: u32, host: u8) -> Result<ZoneFile, String> {
    let content = fixture::hosts("example.", serial, [(0, [192, 0, 2, host])]).finish().unwrap().0;
    Ok(ZoneFile { content, edited: None })
}

/// What is said of a file that was read, until nothing more comes of it.
fn read(node: &mut Node, file: Result<ZoneFile, String>) -> Vec<Event> {
    let mut fx = Effects::default();
    let mut events = node.handle(NOW, Input::Files(vec![(zone(), file)]), &mut fx);
    for job in std::mem::take(&mut fx.jobs) {
        events.extend(node.handle(NOW, Input::Prepared(job.run()), &mut fx));
    }
    for commit in std::mem::take(&mut fx.commits) {
        let written = Input::Committed { ticket: commit.ticket, result: Ok(()) };
        events.extend(node.handle(NOW, written, &mut fx));
    }
    events
}

#[test]
fn a_file_that_was_refused_is_told_to_be_in_order_again_unless_a_new_version_says_so() {
    let mut node = Node::new(Arc::new(ZoneStore::new(7)), [7; 32]);
    let added = vec![ZoneConfig::new(zone(), ZoneOptions::default())];
    node.handle(NOW, Input::Zones(Changes { removed: Vec::new(), added }), &mut Effects::default());
    assert!(matches!(read(&mut node, content(1, 1))[..], [Event::Published { .. }]));
    assert!(read(&mut node, content(1, 1)).is_empty());
    for _ in 0..2 {
        assert!(matches!(read(&mut node, Err("broken".to_owned()))[..], [Event::NotPublished { .. }]));
    }
    assert!(matches!(&read(&mut node, content(1, 1))[..], [Event::InOrderAgain(told)] if *told == zone()));
    assert!(read(&mut node, content(1, 1)).is_empty());
    read(&mut node, Err("broken".to_owned()));
    assert!(matches!(read(&mut node, content(2, 2))[..], [Event::Published { .. }]));
    assert!(read(&mut node, content(2, 2)).is_empty());
}
