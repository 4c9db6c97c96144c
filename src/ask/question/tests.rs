//! One question before servers of every kind, each a script over virtual time: a message takes 10 ms either way.

use std::collections::{BTreeMap, VecDeque};

use rand::SeedableRng;

use super::super::query::Edns;
use super::*;
use crate::time::Utc;
use crate::wire::edns::{self, push_option};
use crate::wire::message::{Header, Opcode, Record, Request, flags};
use crate::wire::name::Name;
use crate::wire::rtype::Rtype;
use crate::wire::writer::{Section, Writer};

const ONE_WAY: u64 = 10;
const POLICY: Policy = Policy {
    datagrams: &[Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400)],
    tcp: Duration::from_millis(5_000),
    silence_to_tcp: false,
    start: Start::AtOnce,
};
const TRANSFER: Policy =
    Policy { datagrams: &[], tcp: Duration::from_secs(30), silence_to_tcp: false, start: Start::AtOnce };

fn at(millis: u64) -> Now {
    Now { mono: Mono(millis * 1_000), utc: Utc(millis * 1_000) }
}

fn server() -> SocketAddr {
    ([192, 0, 2, 1], 53).into()
}

fn zone() -> Name {
    "example.".parse().unwrap()
}

fn query(rtype: Rtype) -> Query {
    let mut options = Vec::new();
    push_option(&mut options, edns::NSID, &[]);
    Query { edns: Some(Edns { dnssec_ok: true, options }), ..Query::new(zone(), rtype) }
}

/// What a server sends back for a request: messages, and whether it closes the connection then.
type Script = Box<dyn FnMut(&Request<'_>, Transport) -> Vec<Vec<u8>>>;

/// A question and the server that it is put to.
struct Pair {
    now: u64,
    question: Option<Question>,
    rng: StdRng,
    support: Support,
    out: Outbox,
    server: Script,
    /// Whether the server closes connections after what it sends.
    closes: bool,
    arriving: BTreeMap<(u64, u64), (Token, Arrival)>,
    /// Each sending: when, over what, with how much of EDNS.
    sent: Vec<(u64, Transport, Level)>,
    sequence: u64,
    events: VecDeque<Event>,
}

impl Pair {
    fn new(server: impl FnMut(&Request<'_>, Transport) -> Vec<Vec<u8>> + 'static) -> Pair {
        Pair {
            now: 0,
            question: None,
            rng: StdRng::seed_from_u64(1),
            support: Support::default(),
            out: Outbox::default(),
            server: Box::new(server),
            closes: false,
            arriving: BTreeMap::new(),
            sent: Vec::new(),
            sequence: 0,
            events: VecDeque::new(),
        }
    }

    /// Asks, and goes on until the question has come to an end of some kind.
    fn ask(&mut self, query: Query, policy: Policy) -> Event {
        self.sent.clear();
        let began = self.now;
        let question = self.call(|call, _| Question::start(server(), query, policy, call));
        self.question = Some(question);
        self.deliver(began);
        self.run(began)
    }

    /// Goes on until the next event; `began`: what times in `sent` count from.
    fn run(&mut self, began: u64) -> Event {
        loop {
            if let Some(event) = self.events.pop_front() {
                return event;
            }
            let due = self.question.as_ref().and_then(Question::next_timeout).map(|due| due.0 / 1_000);
            let arrival = self.arriving.first_key_value().map(|((at, _), _)| *at);
            let event = match (arrival, due) {
                (Some(arrival), due) if due.is_none_or(|due| arrival <= due) => {
                    self.now = arrival;
                    let (_, (token, arrival)) = self.arriving.pop_first().unwrap();
                    self.call(|call, question| question.as_mut().unwrap().arrived(token, &arrival, call))
                }
                (_, Some(due)) => {
                    self.now = due;
                    self.call(|call, question| question.as_mut().unwrap().handle_timeout(call))
                }
                _ => panic!("nothing to wait for; sent {:?}", self.sent),
            };
            self.events.extend(event);
            self.deliver(began);
        }
    }

    fn call<T>(&mut self, act: impl FnOnce(&mut Call<'_>, &mut Option<Question>) -> T) -> T {
        let now = at(self.now);
        let call = &mut Call { now, rng: &mut self.rng, support: &mut self.support, out: &mut self.out };
        act(call, &mut self.question)
    }

    fn deliver(&mut self, began: u64) {
        for exchange in std::mem::take(&mut self.out.exchanges) {
            let request = Request::read(&exchange.message).unwrap();
            let level = match request.opt {
                None => Level::Plain,
                Some(opt) if opt.options.is_empty() => Level::Edns,
                Some(_) => Level::Options,
            };
            self.sent.push((self.now - began, exchange.transport, level));
            let arrivals = (self.server)(&request, exchange.transport).into_iter().map(Arrival::Message);
            let closes = self.closes && exchange.transport == Transport::Tcp;
            let end = closes.then_some(Arrival::Failed(Failure::Closed));
            for arrival in arrivals.chain(end) {
                self.sequence += 1;
                self.arriving.insert((self.now + 2 * ONE_WAY, self.sequence), (exchange.token, arrival));
            }
        }
        for token in std::mem::take(&mut self.out.cancels) {
            self.arriving.retain(|_, (other, _)| *other != token);
        }
    }

    fn levels(&self) -> Vec<Level> {
        self.sent.iter().map(|(_, _, level)| *level).collect()
    }
}

fn has_options(request: &Request<'_>) -> bool {
    request.opt.is_some_and(|opt| !opt.options.is_empty())
}

/// A reply with one SOA record where the code is NOERROR.
fn reply(request: &Request<'_>, rcode: Rcode, extra: u16, opt: bool) -> Vec<u8> {
    reply_with(request, rcode, extra, opt.then_some(&[]))
}

/// A reply with these options in an OPT record, or without one.
fn reply_with(request: &Request<'_>, rcode: Rcode, extra: u16, opt: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes, 65_535, request.header.id, flags::QR | flags::AA | extra);
    writer.set_flags(u16::from(request.header.opcode().0) << 11);
    writer.question(request.name, request.rtype, request.class).unwrap();
    if rcode == Rcode::NOERROR {
        writer.record(Section::Answer, &zone(), Rtype::SOA, 900, &[0; 22]).unwrap();
    }
    writer.set_rcode(rcode);
    if let Some(options) = opt {
        writer.opt(1_232, rcode, false, options).unwrap();
    }
    writer.finish();
    bytes
}

fn good(request: &Request<'_>) -> Vec<u8> {
    reply(request, Rcode::NOERROR, 0, request.opt.is_some())
}

/// Header alone, as very old servers have it.
fn bare(request: &Request<'_>, rcode: Rcode) -> Vec<u8> {
    let mut bytes = request.header.id.to_be_bytes().to_vec();
    bytes.extend_from_slice(&(flags::QR | rcode.0).to_be_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes
}

fn code(event: &Event) -> Rcode {
    match event {
        Event::Answered(reply) => reply.message.rcode(),
        other => panic!("{other:?}"),
    }
}

use Level::{Edns as Bare, Options, Plain};
use Transport::{Tcp, Udp};

#[test]
fn the_answer_dates_from_the_sending_that_it_answers() {
    let mut lost = 1;
    let mut pair = Pair::new(move |request, _| {
        lost -= 1;
        if lost < 0 { vec![good(request)] } else { vec![] }
    });
    let Event::Answered(reply) = pair.ask(query(Rtype::SOA), POLICY) else { panic!("no answer") };
    assert_eq!((reply.asked.mono, pair.now, reply.omission), (at(100).mono, 120, Omission::Absent));
    assert_eq!(pair.question.unwrap().tokens().count(), 0, "an answer ends it");
}

#[test]
fn a_late_answer_to_the_first_datagram_counts() {
    let mut pair = Pair::new(|_, _| vec![]);
    let question = pair.call(|call, _| Question::start(server(), query(Rtype::SOA), POLICY, call));
    pair.question = Some(question);
    let first = pair.out.exchanges[0].clone();
    pair.now = 100;
    assert!(pair.call(|call, question| question.as_mut().unwrap().handle_timeout(call)).is_none());
    pair.now = 150;
    let late = Arrival::Message(good(&Request::read(&first.message).unwrap()));
    let event = pair.call(|call, question| question.as_mut().unwrap().arrived(first.token, &late, call));
    assert!(matches!(event, Some(Event::Answered(reply)) if reply.asked.mono == at(0).mono));
    assert_eq!(pair.out.cancels.len(), 2);
}

#[test]
fn a_server_that_only_closes_connections_has_failed() {
    let mut pair = Pair::new(|_, _| vec![]);
    pair.closes = true;
    let event = pair.ask(query(Rtype::AXFR), TRANSFER);
    let closed = Fault::Network(Failure::Closed);
    assert!(matches!(event, Event::Failed { fault, .. } if fault == closed), "{event:?}");
    assert_eq!(pair.levels(), [Options, Plain]);
}

#[test]
fn silence_of_every_kind_ends() {
    let mut pair = Pair::new(|_, _| vec![]);
    assert!(matches!(pair.ask(query(Rtype::SOA), POLICY), Event::Silent));
    assert_eq!(pair.sent, [(0, Udp, Options), (100, Udp, Options), (300, Udp, Plain)]);
    assert_eq!((pair.now, pair.question.as_ref().unwrap().tokens().count()), (700, 3), "late answers count");
    let mut pair = Pair::new(|_, _| vec![]);
    assert!(matches!(pair.ask(query(Rtype::SOA), Policy { silence_to_tcp: true, ..POLICY }), Event::Silent));
    assert_eq!((pair.sent.len(), pair.sent[3], pair.now), (5, (700, Tcp, Options), 5_700));
    let mut pair = Pair::new(|_, _| vec![]);
    assert!(matches!(pair.ask(query(Rtype::AXFR), TRANSFER), Event::Silent));
    assert_eq!(pair.now, 30_000);
}

#[test]
fn a_cut_answer_is_asked_for_over_tcp() {
    let mut pair = Pair::new(|request, transport| {
        let cut = if transport == Udp { flags::TC } else { 0 };
        vec![reply(request, Rcode::NOERROR, cut, true)]
    });
    assert_eq!(code(&pair.ask(query(Rtype::SOA), POLICY)), Rcode::NOERROR);
    assert_eq!(pair.sent, [(0, Udp, Options), (20, Tcp, Options)]);

    // The connection brings nothing: closed, or silent, or bytes that are no message.
    for (closes, garbage) in [(true, None), (false, None), (false, Some(vec![])), (false, Some(vec![7; 30]))]
    {
        let answers = garbage.is_some();
        let mut pair = Pair::new(move |request, transport| match transport {
            Udp => vec![reply(request, Rcode::NOERROR, flags::TC, true)],
            Tcp => garbage.clone().into_iter().collect(),
        });
        pair.closes = closes;
        let event = pair.ask(query(Rtype::SOA), POLICY);
        match event {
            Event::Failed { fault: Fault::Network(Failure::Closed), .. } if closes => {
                assert_eq!(pair.now, 40)
            }
            Event::Failed { fault: Fault::Malformed, .. } if answers => assert_eq!(pair.now, 40),
            Event::Silent if !closes && !answers => assert_eq!(pair.now, 5_020),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_is_no_answer_is_passed_over() {
    type Change = fn(&mut Vec<u8>);
    let changes: [(&str, Change); 7] = [
        ("another id", |bytes| bytes[1] ^= 1),
        ("a query", |bytes| bytes[2] &= 0x7f),
        ("another opcode", |bytes| bytes[2] |= 0x20),
        ("another name", |bytes| bytes[14] ^= 1),
        ("another type", |bytes| bytes[22] = 1),
        ("no question", |bytes| bytes[5] = 0),
        ("cut off", |bytes| bytes.truncate(bytes.len() - 12)),
    ];
    for (what, change) in changes {
        let mut pair = Pair::new(move |request, _| {
            let mut wrong = good(request);
            change(&mut wrong);
            vec![wrong, good(request)]
        });
        let mut plain = query(Rtype::SOA);
        plain.edns = None;
        assert_eq!(code(&pair.ask(plain.clone(), POLICY)), Rcode::NOERROR, "{what}");
        // And alone it is not an answer either.
        let mut pair = Pair::new(move |request, _| {
            let mut wrong = good(request);
            change(&mut wrong);
            vec![wrong]
        });
        let event = pair.ask(plain, POLICY);
        match event {
            Event::Silent => assert_ne!(what, "cut off"),
            Event::Failed { fault: Fault::Malformed, .. } => assert_eq!(what, "cut off"),
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(pair.now, 700, "{what}");
    }
}

#[test]
fn bytes_behind_a_reply_are_left_alone() {
    for rtype in [Rtype::SOA, Rtype::AXFR] {
        let mut pair = Pair::new(|request, _| vec![[good(request), vec![0; 5]].concat()]);
        let policy = if rtype == Rtype::SOA { POLICY } else { TRANSFER };
        let event = pair.ask(query(rtype), policy);
        assert!(matches!(event, Event::Answered(_) | Event::Transfer { .. }), "{event:?}");
        assert_eq!((pair.now, pair.sent.len()), (20, 1));
    }
}

#[test]
fn somebody_who_guesses_ends_the_question() {
    let mut pair = Pair::new(|request, _| vec![vec![request.header.id as u8; 40]; 17]);
    let event = pair.ask(query(Rtype::SOA), POLICY);
    assert!(matches!(event, Event::Failed { fault: Fault::Strange, .. }), "{event:?}");
    assert_eq!(pair.now, 20);
}

#[test]
fn every_message_of_a_transfer_is_handed_on_and_its_end_is_told() {
    let mut pair = Pair::new(|request, _| {
        let mut rest = good(request);
        // Later messages may leave the question out (RFC 5936 2.2); whoever reads the transfer judges them.
        rest[5] = 0;
        vec![good(request), rest, vec![9; 20]]
    });
    pair.closes = true;
    assert!(
        matches!(pair.ask(query(Rtype::AXFR), TRANSFER), Event::Transfer { asked, .. } if asked.mono == at(0).mono)
    );
    assert_eq!(pair.question.as_ref().unwrap().next_timeout(), None);
    for _ in 0..2 {
        assert!(matches!(pair.run(0), Event::Transfer { .. }));
    }
    let end = pair.run(0);
    assert!(matches!(end, Event::Failed { fault: Fault::Network(Failure::Closed), .. }), "{end:?}");
}

#[test]
fn a_notify_says_what_it_announces() {
    let soa = Record { owner: zone(), rtype: Rtype::SOA, ttl: 1, rdata: vec![0; 22].into() };
    let notify = Query {
        opcode: Opcode::NOTIFY,
        flags: flags::AA,
        record: Some((Section::Answer, soa)),
        ..Query::new(zone(), Rtype::SOA)
    };
    let mut pair = Pair::new(|request, _| {
        assert_eq!(request.header.opcode(), Opcode::NOTIFY);
        assert_eq!((request.header.counts, request.opt.is_none()), ([1, 1, 0, 0], true));
        vec![reply(request, Rcode::NOTAUTH, 0, false)]
    });
    assert_eq!(code(&pair.ask(notify, POLICY)), Rcode::NOTAUTH);
}

#[test]
fn ids_come_from_the_callers_seed() {
    let ids = |seed| {
        let mut pair = Pair::new(|_, _| vec![]);
        pair.rng = StdRng::seed_from_u64(seed);
        let question = pair.call(|call, _| Question::start(server(), query(Rtype::SOA), POLICY, call));
        pair.question = Some(question);
        for due in [100, 300] {
            pair.now = due;
            pair.call(|call, question| question.as_mut().unwrap().handle_timeout(call));
        }
        let id = |exchange: &super::super::exchange::Exchange| Header::read(&exchange.message).unwrap().id;
        pair.out.exchanges.iter().map(id).collect::<Vec<_>>()
    };
    assert_eq!(ids(1), ids(1));
    assert_ne!(ids(1), ids(2));
    assert!(ids(1).windows(2).all(|pair| pair[0] != pair[1]), "each sending has one of its own");
}

mod objections;
