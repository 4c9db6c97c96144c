//! What a node says of its zones, their files and their servers, and what it asks before it publishes.

use super::*;

use crate::node::roster::Changes;
use crate::node::settings::ZoneOptions;
use crate::node::status::State;
use crate::wire::message::{Request, flags};
use crate::wire::writer::{Section, Writer};
use crate::zone::fixture;
use crate::zone::serial::Serial;

mod former_life;
mod lost_history;
mod reload;

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
        let told = node.page(NOW, Ask { from: From::Name(None), limit: 1 }).zones.remove(0);
        assert_eq!(told.staleness.is_none(), what.is_some(), "what is not published has no age");
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

/// More was published before the start than fits, and the first version of all is forgotten.
#[test]
fn after_a_restart_a_laggard_is_behind_since_the_version_after_its_own() {
    use crate::probe::{observation::Observation, observe};
    use crate::publish::journal::entry::Replayed;
    use crate::time::Hlc;
    use crate::zone::serial::Serial;
    use crate::zone::stamp::Stamp;

    const VERSIONS: u32 = 3_000;
    let at = |second: u32| Now { mono: Mono(second.into()), utc: Utc(u64::from(second) * 1_000_000) };
    let content = |serial| fixture::hosts("example.", serial, []).finish().unwrap().0;
    let stamp = |serial: u32| Stamp {
        serial: Serial(serial),
        published: Some(Hlc::at(at(serial).utc)),
        digest: content(serial).digest(),
        writer: 7,
    };
    let store = ZoneStore::new(7);
    for serial in 2..VERSIONS {
        store.replay(&zone(), Replayed::Past(None, stamp(serial)));
    }
    store.replay(&zone(), Replayed::Full(content(VERSIONS), stamp(VERSIONS), at(VERSIONS).utc));

    let mut node = Node::new(Arc::new(store), [7; 32]);
    let servers: Vec<SocketAddr> = vec!["192.0.2.1:53".parse().unwrap(), "192.0.2.2:53".parse().unwrap()];
    let options = ZoneOptions { watch: servers.clone(), ..ZoneOptions::default() };
    let added = vec![ZoneConfig::new(zone(), options)];
    let start = at(VERSIONS + 10);
    node.handle(start, Input::Zones(Changes { removed: Vec::new(), added }), &mut Effects::default());
    for (server, serial) in servers.into_iter().zip([5, 1]) {
        let seen = Observation::plain(server, zone(), Some(Serial(serial)), start);
        node.seen(start, observe::Event::Seen(seen), &mut Effects::default());
    }
    let page = node.page(at(VERSIONS + 20), Ask { from: From::Name(None), limit: 1 });
    let behind = |server: usize| page.zones[0].servers[server].staleness.unwrap().estimate.unwrap().as_secs();
    assert_eq!([behind(0), behind(1)], [6, 2].map(|next| u64::from(VERSIONS) + 20 - next));
}

#[test]
fn what_is_wrong_with_a_server_is_told_as_those_say_who_ask_it_themselves() {
    use crate::ask::exchange::Failure;
    use crate::probe::observation::Reason;
    use crate::probe::observe;
    use crate::wire::rtype::Rcode;

    let mut node = Node::new(Arc::new(ZoneStore::new(7)), [7; 32]);
    let server: SocketAddr = "192.0.2.1:53".parse().unwrap();
    let options = ZoneOptions { watch: vec![server], ..ZoneOptions::default() };
    let added = vec![ZoneConfig::new(zone(), options)];
    node.handle(NOW, Input::Zones(Changes { removed: Vec::new(), added }), &mut Effects::default());
    let told = |node: &Node| {
        let page = node.page(NOW, Ask { from: From::Name(None), limit: 1 });
        let server = &page.zones[0].servers[0];
        (server.up, server.answers, server.fault.clone())
    };
    assert_eq!(told(&node), (false, false, None));
    let failed =
        |reason| observe::Event::Failed { server, zone: zone(), sent: NOW.mono, received: NOW.mono, reason };
    let silent = observe::Event::Silent { server, zone: zone(), since: NOW.mono };
    for (event, answers, fault) in [
        (failed(Reason::Network(Failure::Refused)), false, "connection refused"),
        (failed(Reason::Rcode(Rcode::REFUSED)), true, "REFUSED"),
        (silent, false, "no answer"),
    ] {
        assert_eq!(event.fault().unwrap().to_string(), fault);
        node.seen(NOW, event, &mut Effects::default());
        assert_eq!(told(&node), (false, answers, Some(fault.to_owned())));
    }
    // Those who follow the changes hear nothing of it where a host that is away is silent now, and now unreachable.
    let change = |node: &Node| node.page(NOW, Ask { from: From::Name(None), limit: 1 }).change;
    let before = change(&node);
    node.seen(NOW, failed(Reason::Network(Failure::Refused)), &mut Effects::default());
    assert_eq!((change(&node), told(&node).2.as_deref()), (before, Some("connection refused")));
    node.seen(NOW, failed(Reason::NoSoa), &mut Effects::default());
    assert!(change(&node) > before);
}

/// What a journal has of the zone that was written anew since.
#[test]
fn a_zone_that_expired_in_a_former_life_is_expired_since_then() {
    use crate::publish::journal::entry::Replayed;

    let store = ZoneStore::new(7);
    store.replay(&zone(), Replayed::Verified(Utc(2_000_000), Some(Utc(1_000_000))));
    store.replay(&zone(), Replayed::Expired(Utc(5_000_000)));
    let mut node = Node::new(Arc::new(store), [7; 32]);
    let secondary = |primary: &str| {
        let role = Role::Secondary(vec![primary.parse().unwrap()]);
        let added = vec![ZoneConfig::new(zone(), ZoneOptions { role, ..ZoneOptions::default() })];
        Input::Zones(Changes { removed: Vec::new(), added })
    };
    let now = Now { mono: Mono(1), utc: Utc(9_000_000) };
    // With other settings too, of which it is no news.
    for (primary, is_news) in [("192.0.2.1:53", true), ("192.0.2.2:53", false)] {
        let events = node.handle(now, secondary(primary), &mut Effects::default());
        let is_told = events.iter().any(|event| matches!(event, Event::Expired(_)));
        assert_eq!(is_told, is_news, "{events:?}");
        let page = node.page(now, Ask { from: From::Name(None), limit: 1 });
        let told = &page.zones[0];
        assert_eq!(
            (told.state, told.expires, told.verified),
            (State::Expired, Some(Utc(5_000_000)), Some(Utc(1_000_000)))
        );
        let problem = told.problem.as_ref().unwrap();
        assert!(problem.what.contains("expired") && problem.since == Utc(5_000_000), "{problem:?}");
    }
    assert_eq!(node.overview().count(State::Expired), 1);
    // One that publishes it itself has simply nothing yet.
    let added = vec![ZoneConfig::new(zone(), ZoneOptions::default())];
    node.handle(now, Input::Zones(Changes { removed: Vec::new(), added }), &mut Effects::default());
    assert_eq!(node.overview().count(State::Failed), 1);
}

/// The answer of a server that has a zone under this serial.
fn shows(question: &[u8], serial: u32) -> Arrival {
    answers(question, serial, &[0])
}

/// An answer of these of the zone's records: 0 is the SOA, 1 the NS.
fn answers(question: &[u8], serial: u32, which: &[usize]) -> Arrival {
    let request = Request::read(question).unwrap();
    let records = fixture::records(&request.name.to_string(), serial, []);
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 512, request.header.id, flags::QR | flags::AA);
    writer.question(request.name, request.rtype, request.class).unwrap();
    which.iter().for_each(|at| writer.push(Section::Answer, &records[*at]).unwrap());
    writer.finish();
    Arrival::Message(bytes)
}

#[test]
fn a_transfer_that_makes_no_zone_is_a_failure_and_nothing_else() {
    let mut node = Node::new(Arc::new(ZoneStore::new(7)), [7; 32]);
    let role = Role::Secondary(vec!["192.0.2.1:53".parse().unwrap()]);
    let added = vec![ZoneConfig::new(zone(), ZoneOptions { role, ..ZoneOptions::default() })];
    let (mut now, mut fx) = (NOW, Effects::default());
    node.handle(now, Input::Zones(Changes { removed: Vec::new(), added }), &mut fx);
    let mut since = None;
    for attempt in 0..3 {
        let asked = fx.out.exchanges.pop().unwrap();
        assert!(node.handle(now, Input::Arrival(asked.token, Arrival::Sent), &mut fx).is_empty());
        // Its SOA twice is all that it has.
        let arrival = Input::Arrival(asked.token, answers(&asked.message, 1, &[0, 0]));
        let mut events = node.handle(now, arrival, &mut fx);
        for job in std::mem::take(&mut fx.jobs) {
            events.extend(node.handle(now, Input::Prepared(job.run()), &mut fx));
        }
        match &events[..] {
            [Event::Fetched { .. }, Event::PullFailed { detail: Some(detail), is_known, .. }] => {
                assert!(detail.contains("has no NS record") && *is_known == (attempt > 0), "{events:?}");
            }
            _ => panic!("{events:?}"),
        }
        let page = node.page(now, Ask { from: From::Name(None), limit: 1 });
        let problem = page.zones[0].problem.as_ref().unwrap();
        assert!(problem.what.contains("has no NS record"), "{problem:?}");
        assert_eq!(*since.get_or_insert(problem.since), problem.since, "it is the same still");
        let next = node.next_timeout().unwrap();
        now = Now { mono: next, utc: now.utc + next.since(now.mono) };
        node.handle(now, Input::Timeout, &mut fx);
    }
}

#[test]
fn what_cannot_be_written_down_is_told_once() {
    use crate::publish::journal::log::LogError;
    use crate::transfer::reason::Reason;

    for primaries in [vec![], vec!["192.0.2.1:53".parse().unwrap()]] {
        let is_secondary = !primaries.is_empty();
        let role = if is_secondary { Role::Secondary(primaries) } else { Role::default() };
        let (mut node, mut fx) = (Node::new(Arc::new(ZoneStore::new(7)), [7; 32]), Effects::default());
        let added = vec![ZoneConfig::new(zone(), ZoneOptions { role, ..ZoneOptions::default() })];
        node.handle(NOW, Input::Zones(Changes { removed: Vec::new(), added }), &mut fx);
        if is_secondary {
            let asked = fx.out.exchanges.pop().unwrap();
            node.handle(NOW, Input::Arrival(asked.token, Arrival::Sent), &mut fx);
            let transfer = answers(&asked.message, 1, &[0, 1, 0]);
            node.handle(NOW, Input::Arrival(asked.token, transfer), &mut fx);
        } else {
            node.handle(NOW, Input::Files(vec![(zone(), content(1, 1))]), &mut fx);
        }
        let job = fx.jobs.pop().unwrap();
        node.handle(NOW, Input::Prepared(job.run()), &mut fx);
        let ticket = fx.commits.pop().unwrap().ticket;
        let result = Err(LogError("disk full".to_owned()));
        let events = node.handle(NOW, Input::Committed { ticket, result }, &mut fx);
        match (&events[..], is_secondary) {
            ([Event::NotKept { why, .. }], false)
            | ([Event::PullFailed { reason: Reason::NotStored, detail: Some(why), .. }], true) => {
                assert_eq!(why, "journal: disk full");
            }
            _ => panic!("{events:?}"),
        }
    }
}

#[test]
fn a_failure_is_told_again_once_something_else_is_wrong_and_not_for_other_serials() {
    use crate::transfer::query::Kind;
    use crate::transfer::reason::Reason;

    let mut node = Node::new(Arc::new(ZoneStore::new(7)), [7; 32]);
    let primary: SocketAddr = "192.0.2.1:53".parse().unwrap();
    let role = Role::Secondary(vec![primary]);
    let added = vec![ZoneConfig::new(zone(), ZoneOptions { role, ..ZoneOptions::default() })];
    node.handle(NOW, Input::Zones(Changes { removed: Vec::new(), added }), &mut Effects::default());
    let mut is_told = |reason, detail: Option<&str>| {
        let (kind, detail) = (Kind::Axfr, detail.map(str::to_owned));
        let failed = refresh::Event::Failed { primary, kind, reason, because: None, detail };
        match node.settle_all(NOW, &zone(), vec![failed], &mut Effects::default())[..] {
            [Event::PullFailed { is_known, .. }] => !is_known,
            ref events => panic!("{events:?}"),
        }
    };
    for detail in ["`a.example.` has a CNAME beside other data", "`example.` has no NS record"] {
        assert!(is_told(Reason::InvalidZone, Some(detail)));
        assert!(!is_told(Reason::InvalidZone, Some(detail)));
    }
    for shown in 2..100 {
        let reason = Reason::NotGiven { shown: Serial(shown), given: Serial(1) };
        assert_eq!(is_told(reason, None), shown == 2);
    }
    assert_eq!(node.members.get(&zone()).unwrap().failures.len(), 1);
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

/// They are due together, and what comes in meanwhile is not to wait for all of them.
#[test]
fn others_come_between_very_many_zones_that_are_due() {
    const ZONES: usize = 3 * CALLED_AT_ONCE;
    let mut node = Node::new(Arc::new(ZoneStore::new(7)), [7; 32]);
    let watch = vec![SocketAddr::from(([192, 0, 2, 1], 53))];
    let options = Arc::new(ZoneOptions { watch, ..ZoneOptions::default() });
    let names: Vec<Name> = (0..ZONES).map(|number| format!("z{number}.").parse().unwrap()).collect();
    let zone = |name: &Name| ZoneConfig { name: name.clone(), options: Arc::clone(&options) };
    let added = names.iter().map(zone).collect();
    node.handle(NOW, Input::Zones(Changes { removed: Vec::new(), added }), &mut Effects::default());
    let now = Now { mono: node.due.first().unwrap().0, utc: NOW.utc };
    let due = |node: &Node| node.due.iter().filter(|(due, _)| *due <= now.mono).count();
    for left in (0..=2).rev() {
        assert_eq!(due(&node), (left + 1) * CALLED_AT_ONCE);
        node.handle(now, Input::Timeout, &mut Effects::default());
        assert_eq!(due(&node), left * CALLED_AT_ONCE);
        assert!(left == 0 || node.next_timeout().unwrap() <= now.mono, "the others are due still");
    }
    assert_eq!(node.due.len(), ZONES, "each waits for its server, which has not been asked yet");
}
