//! What becomes of a transfer that is being published while its zone's options are reloaded.

use super::*;

use crate::publish::journal::entry::Entry;
use crate::publish::zone::Version;
use crate::wire::edns;
use crate::wire::rtype::{Rcode, Rtype};
use crate::zone::stamp::Told;

const EXPIRE: Duration = Duration::from_secs(86_400);

fn configured(lease: u64) -> Input {
    let role = Role::Secondary(vec!["192.0.2.1:53".parse().unwrap()]);
    let options = ZoneOptions { role, lease: Some(Duration::from_secs(lease)), ..ZoneOptions::default() };
    Input::Zones(Changes { removed: Vec::new(), added: vec![ZoneConfig::new(zone(), options)] })
}

/// A node that serves the first version of a zone: its options are others since that was pulled.
fn reloaded(fx: &mut Effects) -> Node {
    let mut node = Node::new(Arc::new(ZoneStore::new(8)), [7; 32]);
    node.handle(NOW, configured(60), fx);
    let asked = fx.out.exchanges.pop().unwrap();
    node.handle(NOW, Input::Arrival(asked.token, Arrival::Sent), fx);
    node.handle(NOW, Input::Arrival(asked.token, answers(&asked.message, 1, &[0, 1, 0])), fx);
    let job = fx.jobs.pop().unwrap();
    node.handle(NOW, configured(61), fx);
    node.handle(NOW, Input::Prepared(job.run()), fx);
    let ticket = fx.commits.pop().unwrap().ticket;
    let events = node.handle(NOW, Input::Committed { ticket, result: Ok(()) }, fx);
    assert!(matches!(events[..], [Event::Published { .. }]), "{events:?}");
    node
}

fn status(node: &Node, now: Now) -> ZoneStatus {
    node.page(now, Ask { from: From::Name(None), limit: 1 }).zones.remove(0)
}

/// The SOA of a version, with its stamp.
fn tells(question: &[u8], version: &Version) -> Arrival {
    let request = Request::read(question).unwrap();
    assert_eq!(request.rtype, Rtype::SOA);
    let (age, stamps) = (Duration::ZERO, vec![version.stamp]);
    let told = Told { age, is_verified: true, stamps, ..Told::default() };
    let mut options = Vec::new();
    edns::push_option(&mut options, edns::STAMP, &told.write());
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 512, request.header.id, flags::QR | flags::AA);
    writer.question(request.name, request.rtype, request.class).unwrap();
    writer.push(Section::Answer, &version.snapshot.soa_record()).unwrap();
    writer.opt(1_232, Rcode::NOERROR, false, &options).unwrap();
    writer.finish();
    Arrival::Message(bytes)
}

#[test]
fn it_is_what_the_primary_is_compared_with() {
    let mut fx = Effects::default();
    let mut node = reloaded(&mut fx);
    let version = node.store.get(&zone()).unwrap().version().unwrap();
    let asked = fx.out.exchanges.pop().unwrap();
    fx.out.exchanges.clear();
    node.handle(NOW, Input::Arrival(asked.token, Arrival::Sent), &mut fx);
    let told = Input::Arrival(asked.token, tells(&asked.message, &version));
    let events = node.handle(NOW, told, &mut fx);
    assert!(matches!(events[..], [Event::Confirmed { .. }]), "{events:?}");
    assert!(fx.out.exchanges.is_empty(), "nothing is pulled that is here");
    assert_eq!(status(&node, NOW).state, State::Current);
}

#[test]
fn it_expires_though_the_primary_is_dead() {
    let mut fx = Effects::default();
    let mut node = reloaded(&mut fx);
    let told = status(&node, NOW);
    assert_eq!((told.serial, told.expires), (Some(Serial(1)), Some(NOW.utc + EXPIRE)));
    // A restart goes by the same.
    let noted = |note: &Entry| matches!(note, Entry::Verified(_, from, _) if *from == NOW.utc);
    assert!(fx.notes.iter().any(noted), "{:?}", fx.notes);
    let end = Now { mono: NOW.mono + EXPIRE, utc: NOW.utc + EXPIRE };
    let events = node.handle(end, Input::Timeout, &mut fx);
    assert!(events.iter().any(|event| matches!(event, Event::Expired(_))), "{events:?}");
    assert_eq!(status(&node, end).state, State::Expired);
}
