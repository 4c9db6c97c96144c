//! What a node says of its zone files, and what it asks before it publishes them.

use super::*;

use crate::node::roster::Changes;
use crate::node::settings::ZoneOptions;
use crate::node::status::State;
use crate::wire::message::{Request, flags};
use crate::wire::writer::{Section, Writer};
use crate::zone::fixture;
use crate::zone::serial::Serial;

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

/// The one before it may wait for the zone's other servers, or for the disk, and be published when the file is broken already.
#[test]
fn a_broken_file_stays_a_problem_when_the_one_before_it_is_published() {
    let mut node = Node::new(Arc::new(ZoneStore::new(7)), [7; 32]);
    let added = vec![ZoneConfig::new(zone(), ZoneOptions::default())];
    node.handle(NOW, Input::Zones(Changes { removed: Vec::new(), added }), &mut Effects::default());
    read(&mut node, content(1, 1));
    let problem = |node: &Node| {
        let page = node.page(NOW, Ask { from: From::Name(None), limit: 1 });
        page.zones[0].problem.as_ref().map(|problem| problem.what.clone())
    };
    let mut fx = Effects::default();
    node.handle(NOW, Input::Files(vec![(zone(), content(2, 2))]), &mut fx);
    let broken = Input::Files(vec![(zone(), Err("broken".to_owned()))]);
    node.handle(NOW, broken, &mut Effects::default());
    for job in std::mem::take(&mut fx.jobs) {
        node.handle(NOW, Input::Prepared(job.run()), &mut fx);
    }
    let commit = fx.commits.pop().unwrap();
    let written = Input::Committed { ticket: commit.ticket, result: Ok(()) };
    let events = node.handle(NOW, written, &mut Effects::default());
    assert!(matches!(events[..], [Event::Published { .. }]));
    assert_eq!(problem(&node).as_deref(), Some("broken"));
    assert!(matches!(read(&mut node, content(2, 2))[..], [Event::InOrderAgain(_)]));
    assert_eq!(problem(&node), None);
}

#[test]
fn a_zone_that_several_files_hold_is_not_up_to_date_until_one_does() {
    let mut node = Node::new(Arc::new(ZoneStore::new(7)), [7; 32]);
    let configured = |notify: Vec<SocketAddr>| {
        let options = ZoneOptions { notify, ..ZoneOptions::default() };
        Input::Zones(Changes { removed: Vec::new(), added: vec![ZoneConfig::new(zone(), options)] })
    };
    node.handle(NOW, configured(Vec::new()), &mut Effects::default());
    read(&mut node, content(1, 1));
    let contest = |node: &mut Node, what: Option<&str>| {
        let told = Input::Contested(vec![(zone(), what.map(str::to_owned))]);
        node.handle(NOW, told, &mut Effects::default())
    };
    let problem = |node: &Node| {
        let what = node.primaries().next().unwrap().2.map(|problem| problem.what.clone());
        assert_eq!(node.overview().count(State::Behind), u64::from(what.is_some()));
        what
    };
    assert!(contest(&mut node, Some("a and b")).is_empty());
    assert_eq!(problem(&node).as_deref(), Some("a and b"));
    // A new version is served, and still from one of two; other settings make no difference.
    assert!(matches!(read(&mut node, content(2, 2))[..], [Event::Published { .. }]));
    node.handle(NOW, configured(vec!["192.0.2.1:53".parse().unwrap()]), &mut Effects::default());
    assert_eq!(problem(&node).as_deref(), Some("a and b"));
    // What keeps its content from being served goes first.
    read(&mut node, Err("broken".to_owned()));
    assert_eq!(problem(&node).as_deref(), Some("broken"));
    assert!(contest(&mut node, None).is_empty());
    assert!(contest(&mut node, Some("a and c")).is_empty());
    read(&mut node, content(2, 2));
    assert_eq!(problem(&node).as_deref(), Some("a and c"));
    assert!(matches!(contest(&mut node, None)[..], [Event::InOrderAgain(_)]));
    assert_eq!(problem(&node), None);
    assert!(contest(&mut node, None).is_empty());
}

/// The answer of a server that has a zone under this serial.
fn shows(question: &[u8], serial: u32) -> Arrival {
    let request = Request::read(question).unwrap();
    let soa = &fixture::records(&request.name.to_string(), serial, [])[0];
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 512, request.header.id, flags::QR | flags::AA);
    writer.question(request.name, request.rtype, request.class).unwrap();
    writer.push(Section::Answer, soa).unwrap();
    writer.finish();
    Arrival::Message(bytes)
}

#[test]
fn none_of_very_many_zones_is_published_before_its_servers_could_answer() {
    // More than are asked about at once, several times over, of a server that takes its time.
    const ZONES: usize = 1_000;
    const ANSWER: Duration = Duration::from_secs(1);
    let server = SocketAddr::from(([192, 0, 2, 1], 53));
    let mut node = Node::new(Arc::new(ZoneStore::new(7)), [7; 32]);
    let names: Vec<Name> = (0..ZONES).map(|number| format!("z{number}.").parse().unwrap()).collect();
    let options = Arc::new(ZoneOptions { notify: vec![server], ..ZoneOptions::default() });
    let zone = |name: &Name| ZoneConfig { name: name.clone(), options: Arc::clone(&options) };
    let added = names.iter().map(zone).collect();
    let mut fx = Effects::default();
    let mut events = node.handle(NOW, Input::Zones(Changes { removed: Vec::new(), added }), &mut fx);
    let file = |name: &Name| {
        let content = fixture::hosts(&name.to_string(), 1, []).finish().unwrap().0;
        (name.clone(), Ok(ZoneFile { content, edited: None }))
    };
    events.extend(node.handle(NOW, Input::Files(names.iter().map(file).collect()), &mut fx));
    let (mut now, mut arriving) = (NOW, BTreeMap::new());
    while now.mono < NOW.mono + Duration::from_secs(20) {
        fx.out.exchanges.drain(..).for_each(|exchange| {
            arriving.insert((now.mono + ANSWER, exchange.token), shows(&exchange.message, 9));
        });
        fx.out.cancels.drain(..).for_each(|token| arriving.retain(|(_, other), _| *other != token));
        let arrival = arriving.first_key_value().map(|((when, _), _)| *when);
        let next = arrival.into_iter().chain(node.next_timeout()).min().unwrap();
        now.mono = next.max(now.mono);
        let input = match arrival.filter(|when| *when <= now.mono).and_then(|_| arriving.pop_first()) {
            Some(((_, token), arrival)) => Input::Arrival(token, arrival),
            None => Input::Timeout,
        };
        events.extend(node.handle(now, input, &mut fx));
    }
    let resumed = |event: &&Event| matches!(event, Event::Resumed { serial: Serial(9), .. });
    assert_eq!(events.iter().filter(resumed).count(), ZONES);
}
