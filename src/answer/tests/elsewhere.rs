//! A node that is primary and cache: what the cache knows, and chains that lead out of zones served here and into them.

use super::*;

use crate::answer::context::Recursion;
use crate::answer::door::{Asked, answer_one};
use crate::answer::elsewhere::Fetched;
use crate::answer::reply::Reply;
use crate::answer::respond::complete;
use crate::resolve::cache::{self, Answer, Ask, AskFlags, Cache, Entry};
use crate::resolve::settings::{Config, Reach, Zone};
use crate::resolve::special_use::SpecialUse;

#[test]
fn the_cache_answers_what_it_knows_and_hands_on_the_rest() {
    let mut served = served();
    let cache = Arc::new(Cache::new(&cache::Config::default()));
    served.recursion = Some(Recursion {
        cache: Arc::clone(&cache),
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        special_use: SpecialUse::default(),
        reach: Reach::default(),
    });
    let asked = Ask { name: name("www.elsewhere."), rtype: Rtype::A, flags: AskFlags::default() };
    let query = Query::new("www.elsewhere.", Rtype::A).edns(1232, 0, &[]);
    let ask = |source: Client, bytes: &[u8]| {
        let mut reply = Vec::new();
        (answer(&served, at(200), bytes, source, &mut reply), reply)
    };
    assert!(matches!(ask(client(Via::Udp), &query.bytes).0, Outcome::FollowUp(ask) if ask == asked));
    let record = Record { owner: asked.name.clone(), rtype: Rtype::A, ttl: 60, rdata: [192, 0, 2, 9].into() };
    let known = Answer {
        rcode: Rcode::NOERROR,
        answer: vec![record],
        authority: Vec::new(),
        negative: None,
        rest: None,
    };
    cache.put(at(190).mono, &asked, &known);
    let (outcome, reply) = ask(client(Via::Udp), &query.bytes);
    assert!(matches!(outcome, Outcome::Reply(Path::Hit)));
    let message = Message::read(&reply).unwrap();
    assert_eq!(show(&message.answer), ["www.elsewhere. 50 A 192.0.2.9"]);
    assert!(!message.header.is_authoritative() && message.header.flags & flags::RA != 0);
    let stranger = Client { addr: "192.0.2.77:53".parse().unwrap(), via: Via::Udp };
    assert_eq!(Message::read(&ask(stranger, &query.bytes).1).unwrap().rcode(), Rcode::REFUSED);
    let mut iterative = Query::new("unknown.elsewhere.", Rtype::A).bytes;
    iterative[2] &= !1;
    assert_eq!(Message::read(&ask(client(Via::Udp), &iterative).1).unwrap().rcode(), Rcode::REFUSED);
    // Zones served here are answered from themselves, cache or not.
    assert!(query_is_authoritative(&served));
}

fn query_is_authoritative(served: &Served) -> bool {
    Query::new("www.example.", Rtype::A).ask(served).header.is_authoritative()
}

/// A node with the zones of these tests that asks others for everything else, and its cache.
fn both() -> (Served, Arc<Cache>) {
    let cache = Arc::new(Cache::new(&cache::Config::default()));
    let routes = Config { forward: vec![Zone { zone: name("."), servers: Vec::new() }], ..Config::default() };
    let recursion = Recursion {
        cache: Arc::clone(&cache),
        allow: vec!["127.0.0.0/8".parse().unwrap()],
        special_use: SpecialUse::default(),
        reach: Reach::of(&routes),
    };
    (Served { recursion: Some(recursion), ..served() }, cache)
}

#[test]
fn ds_of_a_zone_whose_parent_is_elsewhere_is_asked_for_there() {
    let (served, _) = both();
    let ds = Query::new("example.", Rtype::DS);
    let mut reply = Vec::new();
    let outcome = answer(&served, at(200), &ds.bytes, client(Via::Udp), &mut reply);
    assert!(matches!(outcome, Outcome::FollowUp(ask) if ask == question("example.", Rtype::DS)));
    // Who may have nothing but what is served here hears that it is not here (RFC 4035 3.1.4.1).
    let stranger = Client { addr: "192.0.2.77:53".parse().unwrap(), via: Via::Udp };
    answer(&served, at(200), &ds.bytes, stranger, &mut reply);
    let message = Message::read(&reply).unwrap();
    assert_eq!((message.rcode(), message.header.is_authoritative()), (Rcode::NOERROR, true));
    assert!(message.answer.is_empty());
}

fn question(of: &str, rtype: Rtype) -> Ask {
    Ask { name: name(of), rtype, flags: AskFlags::default() }
}

fn record(owner: &str, rtype: Rtype, ttl: u32, rdata: &[u8]) -> Record {
    Record { owner: name(owner), rtype, ttl, rdata: rdata.into() }
}

/// An answer of these records, whose chain goes on elsewhere if it says where.
fn known(answer: Vec<Record>, rest: Option<&str>) -> Answer {
    Answer { rcode: Rcode::NOERROR, answer, authority: Vec::new(), negative: None, rest: rest.map(name) }
}

/// What is made of a question, with what has been fetched for it.
fn go_on(served: &Served, query: &[u8], fetched: &[Fetched]) -> Result<Message, Ask> {
    let mut reply = Vec::new();
    match complete(served, at(200), query, client(Via::Udp), fetched, &mut reply) {
        Outcome::FollowUp(ask) => {
            assert!(reply.is_empty());
            Err(ask)
        }
        outcome => {
            assert!(matches!(outcome, Outcome::Reply(_)), "{outcome:?}");
            Ok(Message::read(&reply).unwrap())
        }
    }
}

#[test]
fn an_alias_out_of_a_zone_is_followed_for_those_who_may_recurse() {
    let (served, cache) = both();
    let text = "$ORIGIN corp.\n@ 60 SOA ns h 1 1 1 1 1\n@ 60 NS ns\nns 60 A 192.0.2.1\next 60 CNAME web.other.\n\
                *.wild 60 CNAME ext\n";
    publish(&served.store, text, Access::default());
    for owner in ["ext.corp.", "a.wild.corp."] {
        let query = Query::new(owner, Rtype::A).bytes;
        let ask = question("web.other.", Rtype::A);
        assert_eq!(go_on(&served, &query, &[]).unwrap_err(), ask);
        // An answer for this request counts although it may not be kept.
        let brief =
            cache.put(at(200).mono, &ask, &known(vec![record("web.other.", Rtype::A, 0, &[9; 4])], None));
        let reply = go_on(&served, &query, &[(ask.clone(), brief)]).unwrap();
        let expected = ["ext.corp. 60 CNAME web.other.", "web.other. 0 A 9.9.9.9"];
        assert!(show(&reply.answer).ends_with(&expected.map(str::to_owned)), "{:?}", reply.answer);
        assert!(reply.header.is_authoritative() && reply.rcode() == Rcode::NOERROR);
        // A chain without its end is none.
        let failed = cache.put_failure(at(200).mono, &ask);
        let reply = go_on(&served, &query, &[(ask, failed)]).unwrap();
        assert_eq!((reply.rcode(), reply.answer.len()), (Rcode::SERVFAIL, 0));
        assert!(!reply.header.is_authoritative());
        cache.flush_all();
    }
    let bare = |owner: &str, change: fn(&mut Vec<u8>), from: [u8; 4]| {
        let mut query = Query::new(owner, Rtype::A).bytes;
        change(&mut query);
        let from = Client { addr: (from, 5_000).into(), via: Via::Udp };
        let mut reply = Vec::new();
        let outcome = answer(&served, at(200), &query, from, &mut reply);
        assert!(matches!(outcome, Outcome::Reply(_)), "{outcome:?}");
        show(&Message::read(&reply).unwrap().answer)
    };
    let alone = ["ext.corp. 60 CNAME web.other."];
    assert_eq!(bare("ext.corp.", |query| query[2] &= !1, [127, 0, 0, 1]), alone, "without RD");
    assert_eq!(bare("ext.corp.", |_| {}, [192, 0, 2, 9]), alone, "who may not recurse");
}

/// RFC 6761 6.3: where `localhost` is needs nobody to be asked, whatever leads there.
#[test]
fn an_alias_to_a_special_use_name_is_followed_to_what_every_cache_has_for_it() {
    let (served, cache) = both();
    let text = "$ORIGIN corp.\n@ 60 SOA ns h 1 1 1 1 1\n@ 60 NS ns\nns 60 A 192.0.2.1\nlo 60 CNAME localhost.\n\
                gone 60 CNAME x.onion.\n";
    publish(&served.store, text, Access::default());
    let ask = |owner: &str, rtype| go_on(&served, &Query::new(owner, rtype).bytes, &[]).unwrap();
    let alias = "lo.corp. 60 CNAME localhost.";
    assert_eq!(show(&ask("lo.corp.", Rtype::A).answer), [alias, "localhost. 10800 A 127.0.0.1"]);
    let ipv6 = ask("lo.corp.", Rtype::AAAA);
    assert_eq!((ipv6.answer.len(), &ipv6.answer[1].rdata[15..]), (2, &[1][..]));
    assert!(ipv6.header.is_authoritative());
    for (owner, rtype, rcode) in
        [("lo.corp.", Rtype::MX, Rcode::NOERROR), ("gone.corp.", Rtype::A, Rcode::NXDOMAIN)]
    {
        let reply = ask(owner, rtype);
        assert_eq!((reply.rcode(), reply.answer.len()), (rcode, 1), "{owner}");
        assert_eq!(reply.authority[0].rtype, Rtype::SOA, "{owner}");
    }
    // Who may not recurse has the alias alone.
    let mut iterative = Query::new("lo.corp.", Rtype::A).bytes;
    iterative[2] &= !1;
    assert_eq!(show(&go_on(&served, &iterative, &[]).unwrap().answer), [alias]);
    // And so is one that the cache knows.
    let open =
        known(vec![record("lo.other.", Rtype::CNAME, 60, name("localhost.").as_wire())], Some("localhost."));
    cache.put(at(200).mono, &question("lo.other.", Rtype::A), &open);
    assert_eq!(ask("lo.other.", Rtype::A).answer.len(), 2);
}

#[test]
fn what_is_below_a_delegation_is_fetched_for_them_too() {
    let (served, cache) = both();
    let query = Query::new("x.sub.example.", Rtype::A);
    let ask = question("x.sub.example.", Rtype::A);
    // By whichever path the request goes.
    let mut replies = [Reply::default()];
    let asked = Asked { bytes: &query.bytes, from: client(Via::Udp) };
    let outcome = answer_one(&served, at(200), asked, &mut replies[0]);
    assert!(matches!(&outcome, Outcome::FollowUp(found) if *found == ask), "{outcome:?}");
    let answer = known(vec![record("x.sub.example.", Rtype::A, 60, &[8; 4])], None);
    let entry = cache.put(at(200).mono, &ask, &answer);
    let reply = go_on(&served, &query.bytes, &[(ask, entry)]).unwrap();
    assert_eq!(show(&reply.answer), ["x.sub.example. 60 A 8.8.8.8"]);
    assert!(!reply.header.is_authoritative() && reply.authority.is_empty());
    let mut iterative = query.bytes;
    iterative[2] &= !1;
    let referral = go_on(&served, &iterative, &[]).unwrap();
    assert_eq!((referral.answer.len(), referral.authority.len()), (0, 2));
}

#[test]
fn a_chain_of_the_cache_takes_what_a_zone_here_has() {
    let (served, cache) = both();
    let ask = question("to.other.", Rtype::A);
    let target = name("www.example.");
    let open = known(vec![record("to.other.", Rtype::CNAME, 60, target.as_wire())], Some("www.example."));
    let entry: Arc<Entry> = cache.put(at(200).mono, &ask, &open);
    assert!(entry.rest().is_some());
    let query = Query::new("to.other.", Rtype::A);
    let mut reply = Reply::default();
    // The second time it is ready for the fast path, which must leave it.
    for _ in 0..2 {
        let asked = Asked { bytes: &query.bytes, from: client(Via::Udp) };
        let outcome = answer_one(&served, at(201), asked, &mut reply);
        assert!(matches!(outcome, Outcome::Reply(Path::Hit)), "{outcome:?}");
        let message = Message::read(reply.as_bytes()).unwrap();
        let expected = ["to.other. 59 CNAME www.example.", "www.example. 60 A 192.0.2.80"];
        assert_eq!(show(&message.answer), expected);
        assert!(!message.header.is_authoritative());
    }
    // And out again: example has an alias to a name of another zone, that one to nobody's.
    let far = known(
        vec![record("far.other.", Rtype::CNAME, 60, name("out.example.").as_wire())],
        Some("out.example."),
    );
    cache.put(at(200).mono, &question("far.other.", Rtype::A), &far);
    let reply = go_on(&served, &Query::new("far.other.", Rtype::A).bytes, &[]).unwrap();
    let owners: Vec<String> = reply.answer.iter().map(|record| record.owner.to_string()).collect();
    assert_eq!(owners, ["far.other.", "out.example.", "host.test."]);
    // A loop through both ends.
    let text =
        "$ORIGIN corp.\n@ 60 SOA ns h 1 1 1 1 1\n@ 60 NS ns\nns 60 A 192.0.2.1\nloop 60 CNAME loop.other.\n";
    publish(&served.store, text, Access::default());
    let back = known(
        vec![record("loop.other.", Rtype::CNAME, 60, name("loop.corp.").as_wire())],
        Some("loop.corp."),
    );
    cache.put(at(200).mono, &question("loop.other.", Rtype::A), &back);
    let reply = go_on(&served, &Query::new("loop.corp.", Rtype::A).bytes, &[]).unwrap();
    assert_eq!((reply.rcode(), reply.answer.len()), (Rcode::NOERROR, 2));
    // What was fetched for another name of a chain, whose zone has gone meanwhile, is no answer to the question.
    let other = (
        question("web.other.", Rtype::A),
        cache.put_failure(at(200).mono, &question("web.other.", Rtype::A)),
    );
    let query = Query::new("ext.gone.", Rtype::A).bytes;
    assert_eq!(go_on(&served, &query, &[other]).unwrap_err(), question("ext.gone.", Rtype::A));
    // An old answer is told as such.
    let stale = cache.revive(at(200).mono, &ask, std::time::Duration::MAX).unwrap();
    let query = Query::new("to.other.", Rtype::A).edns(1232, 0, &[]);
    let reply = go_on(&served, &query.bytes, &[(ask, stale)]).unwrap();
    assert_eq!(reply.option(EDE), Some(&[0, 3][..]));
}
