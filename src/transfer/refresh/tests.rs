//! A secondary before primaries of every behaviour, in virtual time over a network with a round trip of 20 ms.

use std::collections::{BTreeMap, HashMap};

use super::super::fixture::{Node, TIMERS, address, apex, at, hosts, soa};
use super::super::ixfr_loop::Stuck;
use super::super::notify::News;
use super::super::provide::told;
use super::super::tests::given;
use super::*;
use crate::ask::exchange::{Exchange, Failure, Start, Transport};
use crate::publish::expire;
use crate::publish::proposal::Content;
use crate::wire::edns;
use crate::wire::message::Record;
use crate::wire::message::{Request, flags};
use crate::wire::rtype::{Rcode, Rtype};
use crate::wire::writer::{Section, Writer, error_response};
use crate::zone::stamp::{MAX_IN_DATAGRAM, Stamp, asked};

const ONE_WAY: u64 = 10;

/// How a primary answers.
enum Mode {
    /// As it should.
    Up,
    /// Nothing listens.
    Down,
    /// Nothing comes back, of so many exchanges.
    Silent(u32),
    /// With a code.
    Code(Rcode),
    /// SOA queries as it should, IXFR with these records in one message, after which it closes.
    Ixfr(Vec<Record>),
    /// SOA queries as it should, transfers of a server that lags behind, in short messages a second apart.
    Lags(Node),
    /// Transfers in short messages: the first one after so many milliseconds, the others so many apart.
    Slow(u64, u64),
    /// Transfers cut after the first message, which is short.
    Cut,
    /// Transfers that never go on after the first message.
    Stalled,
    /// REFUSED, and it says why.
    Prohibits,
    /// As it should, with this many seconds of EXPIRE left.
    Expiring(u32),
    /// SOA queries as a server does that knows no stamps, with this many seconds of EXPIRE left.
    Stampless(u32),
    /// Without EDNS: this code to every request that has it.
    Objects(Rcode),
    /// Nothing comes back for requests with EDNS.
    SilentToEdns,
    /// Nothing comes back for IXFR.
    SilentToIxfr,
    /// As it should, with bytes behind every message.
    BytesBehind,
    /// Busy with other zones: no exchange's turn comes.
    Busy,
}

struct World {
    now: u64,
    /// How long a message is under way.
    one_way: u64,
    /// Which serial the first primary published when: what freshness is checked against.
    published: Vec<(Mono, Serial)>,
    primaries: BTreeMap<SocketAddr, (Node, Mode)>,
    secondary: Node,
    refresh: Refresh,
    out: Outbox,
    /// What is under way, by the millisecond at which it arrives.
    arriving: BTreeMap<(u64, u64), (Token, Arrival)>,
    /// What waits for its turn at a primary that is busy.
    waiting: Vec<Exchange>,
    sequence: u64,
    stuck: Stuck,
    log: Vec<String>,
    sent: HashMap<SocketAddr, usize>,
    confirmed: Option<(Utc, Option<Mono>, Mono)>,
    /// How many transfers were of use.
    pulled: usize,
    /// What exactly was wrong with what did not serve the purpose last.
    detail: Option<String>,
}

impl World {
    fn new(primaries: u8) -> World {
        let addresses: Vec<SocketAddr> = (1..=primaries).map(address).collect();
        let config = Config {
            zone: apex(),
            primaries: addresses.clone(),
            limits: Limits::default(),
            together: Together::default(),
            lease: None,
            from_secondaries: false,
            remains: None,
        };
        World {
            now: 1_000,
            one_way: ONE_WAY,
            published: Vec::new(),
            primaries: addresses.into_iter().map(|it| (it, (Node::primary(), Mode::Up))).collect(),
            secondary: Node::secondary(),
            refresh: Refresh::new(config, 42),
            out: Outbox::default(),
            arriving: BTreeMap::new(),
            waiting: Vec::new(),
            sequence: 0,
            stuck: Stuck::default(),
            log: Vec::new(),
            sent: HashMap::new(),
            confirmed: None,
            pulled: 0,
            detail: None,
        }
    }

    /// A world with one primary whose serial 1 the secondary serves, nothing under way, and an empty log.
    fn settled(primaries: u8) -> World {
        let mut world = World::new(primaries);
        (1..=primaries).for_each(|primary| world.edit(primary, 1, 10));
        world.start();
        world.run(500);
        assert_eq!(world.take_log().last().map(String::as_str), Some("confirmed"));
        world
    }

    fn start(&mut self) {
        let zone = self.secondary.zone();
        let (version, counted_from, newer) = (zone.version(), zone.counted_from(), zone.newer());
        let stored = version.as_deref().map(|version| Stored { version, counted_from, newer });
        let events = self.refresh.start(at(self.now), stored, &mut self.out);
        self.handle(events);
    }

    fn edit(&mut self, primary: u8, serial: u32, count: u16) {
        let now = at(self.now);
        if primary == 1 {
            self.published.push((now.mono, Serial(serial)));
        }
        self.primaries.get_mut(&address(primary)).unwrap().0.edit(now, serial, &hosts(count));
    }

    fn mode(&mut self, primary: u8, mode: Mode) {
        self.primaries.get_mut(&address(primary)).unwrap().1 = mode;
    }

    /// A NOTIFY from a server that tells no stamps.
    fn notify(&mut self, primary: u8, serial: Option<u32>) {
        self.hear(primary, serial, Vec::new());
    }

    /// A NOTIFY of a primary about what it serves.
    fn tell(&mut self, primary: u8) {
        let zone = self.primaries[&address(primary)].0.zone();
        let version = zone.version().unwrap();
        self.hear(primary, Some(version.stamp.serial.0), News::of(&zone, &version).stamps);
    }

    fn refresh_now(&mut self) {
        let events = self.refresh.refresh_now(at(self.now), &mut self.out);
        self.handle(events);
    }

    fn force(&mut self) {
        let events = self.refresh.force(at(self.now), &mut self.out);
        self.handle(events);
    }

    fn hear(&mut self, primary: u8, serial: Option<u32>, stamps: Vec<Stamp>) {
        let from = SocketAddr::new(address(primary).ip(), 40_000);
        let notify = Notify { zone: apex(), serial: serial.map(Serial), stamps };
        let events = self.refresh.notified(at(self.now), from, &notify, &mut self.out);
        self.handle(events);
    }

    fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    fn serves(&self, primary: u8) -> bool {
        let digest = |node: &Node| node.zone().version().map(|it| (it.stamp.serial, it.snapshot.digest()));
        digest(&self.secondary) == digest(&self.primaries[&address(primary)].0)
    }

    fn run(&mut self, millis: u64) {
        let end = self.now + millis;
        for _ in 0..100_000 {
            let arrival = self.arriving.first_key_value().map(|((when, _), _)| *when);
            let timeout = self.refresh.next_timeout().map(|due| due.0.div_ceil(1_000).max(self.now));
            let next = [arrival, timeout].into_iter().flatten().min().filter(|next| *next <= end);
            let Some(next) = next else {
                self.now = end;
                return;
            };
            self.now = next;
            let events = if arrival == Some(next) {
                let (_, (token, arrival)) = self.arriving.pop_first().unwrap();
                self.refresh.arrived(at(self.now), token, arrival, &mut self.out)
            } else {
                self.refresh.handle_timeout(at(self.now), &mut self.out)
            };
            self.handle(events);
        }
        panic!("no rest within {millis} ms");
    }

    fn handle(&mut self, events: Vec<Event>) {
        for event in events {
            self.log.push(match &event {
                Event::Fetched { proposal, .. } => match proposal.content {
                    Content::Differences(_) => "fetched ixfr".into(),
                    _ => "fetched axfr".into(),
                },
                Event::Pulled { bytes, .. } => {
                    assert!(*bytes > 0);
                    self.pulled += 1;
                    continue;
                }
                Event::Confirmed { .. } => "confirmed".into(),
                Event::Behind(newer) => format!("behind {}", newer.serial),
                Event::Failed { kind, reason, because, .. } => {
                    let because = because.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
                    format!("failed {} {}{because}", kind.label(), reason.label())
                }
                Event::AtOdds { odd, .. } => format!("at odds {odd:?}"),
                Event::LeftOut { outside, .. } => format!("left out {} {}", outside.records, outside.first),
                Event::NotShown { announced, shown, .. } => format!("not shown {announced} {shown}"),
                Event::Fallback { reason } => format!("fallback {}", reason.label()),
                Event::Expired(_) => "expired".into(),
            });
            match event {
                Event::Failed { detail, .. } => self.detail = detail,
                Event::Fetched { proposal, .. } => {
                    let now = at(self.now);
                    let secondary = &mut self.secondary;
                    let journal = &mut secondary.journal;
                    let result = secondary.store.publish(now, *proposal, |entries| journal.append(entries));
                    let events = self.refresh.published(now, &result, &mut self.out);
                    self.handle(events);
                }
                Event::Confirmed { verified_at, fresh_at, expires_at, .. } => {
                    self.check_freshness(fresh_at);
                    self.confirmed = Some((verified_at, fresh_at, expires_at));
                    self.secondary.zone().confirm(verified_at, fresh_at, expires_at);
                }
                Event::Expired(at) => assert!(self.secondary.store.expire(&apex(), at)),
                _ => {}
            }
        }
        let (verified, vouched) = (self.refresh.verified_until(), self.refresh.vouched_until());
        self.secondary.zone().verified(verified, vouched);
        self.out.complete.clear();
        for exchange in std::mem::take(&mut self.out.exchanges) {
            match exchange.start {
                Start::InTurn if matches!(self.primaries[&exchange.to].1, Mode::Busy) => {
                    self.waiting.push(exchange);
                }
                Start::InTurn => self.turn_comes(exchange),
                Start::AtOnce => self.leave(exchange),
            }
        }
        for token in std::mem::take(&mut self.out.cancels) {
            self.arriving.retain(|_, (other, _)| *other != token);
            self.waiting.retain(|exchange| exchange.token != token);
        }
    }

    /// The turn of all that waits for one comes.
    fn turns_come(&mut self) {
        for exchange in std::mem::take(&mut self.waiting) {
            self.turn_comes(exchange);
        }
    }

    fn turn_comes(&mut self, exchange: Exchange) {
        let events = self.refresh.arrived(at(self.now), exchange.token, Arrival::Sent, &mut self.out);
        assert!(events.is_empty() && self.out.exchanges.is_empty());
        self.leave(exchange);
    }

    fn leave(&mut self, exchange: Exchange) {
        *self.sent.entry(exchange.to).or_default() += 1;
        self.deliver(exchange);
    }

    /// What is said to have been current at a moment must have been the newest version then, or newer still.
    fn check_freshness(&self, fresh_at: Option<Mono>) {
        let head = self.published.iter().rev().find(|(when, _)| Some(*when) < fresh_at);
        let (Some((_, head)), Some(served)) = (head, self.secondary.serial()) else { return };
        assert!(
            !head.is_newer_than(served),
            "serial {served} is called fresh, {head} was out; log {:?}",
            self.log
        );
    }

    fn deliver(&mut self, exchange: Exchange) {
        let request = Request::read(&exchange.message).unwrap();
        let now = at(self.now + self.one_way);
        let (node, mode) = self.primaries.get_mut(&exchange.to).unwrap();
        let messages: Vec<Vec<u8>> = match mode {
            Mode::Busy => unreachable!("its turn has not come"),
            Mode::Down => return self.arrive(exchange.token, Arrival::Failed(Failure::Refused), 0),
            Mode::Silent(0) => vec![],
            Mode::Silent(left) => {
                *left -= 1;
                return;
            }
            Mode::Code(rcode) => vec![code(&exchange.message, *rcode)],
            Mode::Prohibits => vec![prohibition(&request)],
            Mode::Objects(rcode) if request.opt.is_some() => vec![code(&exchange.message, *rcode)],
            Mode::SilentToEdns if request.opt.is_some() => return,
            Mode::SilentToIxfr if request.rtype == Rtype::IXFR => return,
            Mode::Ixfr(records) if request.rtype == Rtype::IXFR => vec![answer(&request, records, &[])],
            _ if request.rtype == Rtype::SOA => vec![soa_answer(node, mode, &request, now)],
            Mode::Cut | Mode::Stalled => {
                let provided = given(node, &exchange.message, now, exchange.to, &mut self.stuck);
                provided.with_message_bytes(200).take(1).collect()
            }
            Mode::Slow(..) => {
                let provided = given(node, &exchange.message, now, exchange.to, &mut self.stuck);
                provided.with_message_bytes(200).collect()
            }
            Mode::Lags(behind) => {
                let provided = given(behind, &exchange.message, now, exchange.to, &mut self.stuck);
                provided.with_message_bytes(200).collect()
            }
            _ => given(node, &exchange.message, now, exchange.to, &mut self.stuck).collect(),
        };
        let silent = matches!(mode, Mode::Silent(_) | Mode::Stalled);
        if matches!(mode, Mode::Silent(0)) {
            *mode = Mode::Up;
            return self.deliver(exchange);
        }
        let behind: &[u8] = if matches!(mode, Mode::BytesBehind) { &[0; 5] } else { &[] };
        let (mut after, apart) = match mode {
            Mode::Slow(first, apart) if request.rtype != Rtype::SOA => (*first, *apart),
            Mode::Lags(_) => (0, 1_000),
            _ => (0, 0),
        };
        for message in messages {
            self.arrive(exchange.token, Arrival::Message([&message[..], behind].concat()), after);
            after += apart;
        }
        if exchange.transport == Transport::Tcp && !silent {
            self.arrive(exchange.token, Arrival::Failed(Failure::Closed), after);
        }
    }

    /// Has something arrive so many milliseconds after the way there and back.
    fn arrive(&mut self, token: Token, arrival: Arrival, after: u64) {
        self.sequence += 1;
        self.arriving.insert((self.now + 2 * self.one_way + after, self.sequence), (token, arrival));
    }
}

fn code(request: &[u8], rcode: Rcode) -> Vec<u8> {
    let mut reply = Vec::new();
    error_response(request, rcode, &mut reply);
    reply
}

fn answer(request: &Request<'_>, records: &[Record], options: &[u8]) -> Vec<u8> {
    let mut reply = Vec::new();
    let mut writer = Writer::new(&mut reply, 65_535, request.header.id, flags::QR | flags::AA);
    writer.question(request.name, request.rtype, request.class).unwrap();
    records.iter().for_each(|record| writer.push(Section::Answer, record).unwrap());
    if request.opt.is_some() {
        writer.opt(1_232, Rcode::NOERROR, false, options).unwrap();
    }
    writer.finish();
    reply
}

fn prohibition(request: &Request<'_>) -> Vec<u8> {
    let mut options = Vec::new();
    edns::push_option(&mut options, edns::EDE, b"\0\x12not for you");
    let mut reply = Vec::new();
    let mut writer = Writer::new(&mut reply, 65_535, request.header.id, flags::QR);
    writer.question(request.name, request.rtype, request.class).unwrap();
    writer.set_rcode(Rcode::REFUSED);
    writer.opt(1_232, Rcode::REFUSED, false, &options).unwrap();
    writer.finish();
    reply
}

fn soa_answer(node: &Node, mode: &Mode, request: &Request<'_>, now: Now) -> Vec<u8> {
    let Some(version) = node.zone().version() else { return code(request.bytes, Rcode::SERVFAIL) };
    let mut options = Vec::new();
    let asks = request.opt.and_then(|opt| opt.option(edns::STAMP));
    if let Some(value) = asks.filter(|_| !matches!(mode, Mode::Stampless(_))) {
        let told = told(&node.zone(), &version, now, asked(value), MAX_IN_DATAGRAM);
        edns::push_option(&mut options, edns::STAMP, &told.write());
    }
    if let Mode::Expiring(left) | Mode::Stampless(left) = mode {
        edns::push_option(&mut options, edns::EXPIRE, &left.to_be_bytes());
    } else if let Some(left) = expire::left(&node.zone(), &version, now.mono) {
        edns::push_option(&mut options, edns::EXPIRE, &left.to_be_bytes());
    }
    answer(request, &[version.snapshot.soa_record()], &options)
}

mod aside;
mod belief;
mod chance;
mod faults;
mod opinions;
mod pulls;
mod rounds;
mod slow;
mod tellings;
