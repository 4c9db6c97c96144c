//! NOTIFY (RFC 1996): announcing a new version until it is acknowledged, and hearing of one.
//!
//! ```text
//!                publish                  response
//!   Silent ------------------> Announcing ---------> Silent   (Acknowledged, Refused)
//!                              |   ^   |   schedule at its end
//!                              +---+   +-----------> Silent   (Unanswered)
//!                        publish: from the start
//! ```
//!
//! The first change goes out at once; changes that follow within [`COALESCE`] go out together at its end. What is never answered
//! is found at the secondary's next REFRESH (RFC 1996 section 5).

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::op::{Message as NotifyMessage, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::SOA;
use hickory_proto::rr::{Name as LibraryName, RData, Record as LibraryRecord, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::ask::exchange::{Arrival, Outbox, Token, Transport};
use crate::time::{Mono, Now};
use crate::wire::edns::UDP_PAYLOAD;
use crate::wire::message::{Message, Opcode, Record, Request, flags};
use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::{CLASS_IN, Rcode, Rtype};
use crate::wire::writer::Writer;
use crate::zone::serial::Serial;
use crate::zone::soa::Timers;

/// When a NOTIFY goes out, counted from the first time, until it is acknowledged: fast enough that with every third datagram lost,
/// 99 of 100 secondaries hear of a change within 1.5 seconds.
pub const SCHEDULE: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_millis(600),
    Duration::from_millis(1_400),
    Duration::from_millis(3_000),
    Duration::from_millis(6_200),
    Duration::from_millis(12_600),
];
/// When the last one has waited long enough, counted as above.
pub const GIVE_UP: Duration = Duration::from_millis(25_400);
/// Changes of a zone within this time after one was announced are announced together.
pub const COALESCE: Duration = Duration::from_millis(100);

/// What became of an announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The target has heard of it.
    Acknowledged {
        /// Who.
        target: SocketAddr,
        /// The serial announced.
        serial: Serial,
        /// From the publication to the acknowledgement.
        took: Duration,
    },
    /// The target does not want to hear it.
    Refused {
        /// Who.
        target: SocketAddr,
        /// The serial announced.
        serial: Serial,
        /// Its answer.
        rcode: Rcode,
    },
    /// The target never answered.
    Unanswered {
        /// Who.
        target: SocketAddr,
        /// The serial announced.
        serial: Serial,
    },
}

/// Announces the versions of one zone.
#[derive(Debug)]
pub struct Notifier {
    zone: Name,
    rng: StdRng,
    targets: Vec<Target>,
    last_began: Option<Mono>,
    /// A change that came too soon after the last announcement, and when it goes out.
    held: Option<(Change, Mono)>,
}

#[derive(Clone, Debug)]
struct Change {
    soa: Record,
    published: Mono,
}

#[derive(Debug)]
struct Target {
    address: SocketAddr,
    state: State,
}

#[derive(Debug)]
enum State {
    Silent,
    Announcing(Announcing),
}

#[derive(Debug)]
struct Announcing {
    change: Change,
    began: Mono,
    /// One for each time it went out; any of them may be answered.
    tokens: Vec<Token>,
}

impl Announcing {
    fn serial(&self) -> Serial {
        Timers::read(&self.change.soa.rdata).serial
    }

    fn due(&self) -> Mono {
        self.began + SCHEDULE.get(self.tokens.len()).copied().unwrap_or(GIVE_UP)
    }
}

impl Notifier {
    /// Announces a zone to these targets. The seed decides message ids.
    pub fn new(zone: Name, targets: Vec<SocketAddr>, seed: u64) -> Notifier {
        let silent = |address| Target { address, state: State::Silent };
        Notifier {
            zone,
            rng: StdRng::seed_from_u64(seed),
            targets: targets.into_iter().map(silent).collect(),
            last_began: None,
            held: None,
        }
    }

    /// Announces the version with this SOA, published just now, in place of whatever was being announced.
    pub fn publish(&mut self, now: Now, soa: Record, out: &mut Outbox) {
        let change = Change { soa, published: now.mono };
        match self.last_began.map(|last| last + COALESCE) {
            Some(open) if now.mono < open => self.held = Some((change, open)),
            _ => self.announce(now, change, out),
        }
    }

    /// Takes in what arrived; tokens of others are left alone.
    pub fn arrived(&mut self, now: Now, token: Token, arrival: &Arrival, out: &mut Outbox) -> Vec<Event> {
        // What cannot be delivered now may be at the next time.
        let Arrival::Message(message) = arrival else { return Vec::new() };
        let Some(rcode) = read_response(message) else { return Vec::new() };
        for target in &mut self.targets {
            let State::Announcing(announcing) = &target.state else { continue };
            if !announcing.tokens.contains(&token) {
                continue;
            }
            let (serial, took) = (announcing.serial(), now.mono.since(announcing.change.published));
            target.silence(out);
            let target = target.address;
            return vec![match rcode {
                Rcode::NOERROR => Event::Acknowledged { target, serial, took },
                rcode => Event::Refused { target, serial, rcode },
            }];
        }
        Vec::new()
    }

    /// Sends what is due, and gives up where all was in vain.
    pub fn handle_timeout(&mut self, now: Now, out: &mut Outbox) -> Vec<Event> {
        if let Some((change, _)) = self.held.take_if(|(_, open)| *open <= now.mono) {
            self.announce(now, change, out);
        }
        let mut events = Vec::new();
        for target in &mut self.targets {
            let State::Announcing(announcing) = &mut target.state else { continue };
            if announcing.due() > now.mono {
                continue;
            }
            if announcing.tokens.len() == SCHEDULE.len() {
                events.push(Event::Unanswered { target: target.address, serial: announcing.serial() });
                target.silence(out);
            } else {
                let message = request(self.rng.random(), &self.zone, &announcing.change.soa);
                announcing.tokens.push(out.send(target.address, Transport::Udp, message));
            }
        }
        events
    }

    /// When [`Notifier::handle_timeout`] is to be called next.
    pub fn next_timeout(&self) -> Option<Mono> {
        let due = |target: &Target| match &target.state {
            State::Announcing(announcing) => Some(announcing.due()),
            State::Silent => None,
        };
        let held = self.held.as_ref().map(|(_, open)| *open);
        self.targets.iter().filter_map(due).chain(held).min()
    }

    fn announce(&mut self, now: Now, change: Change, out: &mut Outbox) {
        self.last_began = Some(now.mono);
        self.held = None;
        for target in &mut self.targets {
            target.silence(out);
            let message = request(self.rng.random(), &self.zone, &change.soa);
            let tokens = vec![out.send(target.address, Transport::Udp, message)];
            target.state = State::Announcing(Announcing { change: change.clone(), began: now.mono, tokens });
        }
    }
}

impl Target {
    fn silence(&mut self, out: &mut Outbox) {
        if let State::Announcing(announcing) = &self.state {
            announcing.tokens.iter().for_each(|token| out.cancel(*token));
        }
        self.state = State::Silent;
    }
}

/// A NOTIFY with the new SOA in the answer section (RFC 1996 3.7).
fn request(id: u16, zone: &NameRef, soa: &Record) -> Vec<u8> {
    let mut message = NotifyMessage::new(id, MessageType::Query, OpCode::Notify);
    message.metadata.authoritative = true;
    if let Some(name) = library_name(zone) {
        message.add_query(Query::query(name.clone(), RecordType::SOA));
        if let Some(data) = library_soa(&soa.rdata) {
            message.add_answer(LibraryRecord::from_rdata(name, soa.ttl, RData::SOA(data)));
        }
    }
    // A name and a SOA always fit; an empty message would be answered with FORMERR, so it is seen.
    message.to_vec().unwrap_or_default()
}

fn library_name(name: &NameRef) -> Option<LibraryName> {
    LibraryName::read(&mut BinDecoder::new(name.as_wire())).ok()
}

fn library_soa(rdata: &[u8]) -> Option<SOA> {
    let mut names = BinDecoder::new(rdata);
    let (mname, rname) = (LibraryName::read(&mut names).ok()?, LibraryName::read(&mut names).ok()?);
    let timers = Timers::read(rdata);
    // The library keeps these three as signed numbers of the same 32 bits.
    let signed = |seconds: u32| seconds as i32;
    let (refresh, retry, expire) = (signed(timers.refresh), signed(timers.retry), signed(timers.expire));
    Some(SOA::new(mname, rname, timers.serial.0, refresh, retry, expire, timers.minimum))
}

/// The code of a response to a NOTIFY; `None` when it is not one.
fn read_response(bytes: &[u8]) -> Option<Rcode> {
    let metadata = NotifyMessage::from_vec(bytes).ok()?.metadata;
    let fits = metadata.message_type == MessageType::Response && metadata.op_code == OpCode::Notify;
    fits.then(|| Rcode(metadata.response_code.into()))
}

/// A NOTIFY as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// The zone that changed.
    pub zone: Name,
    /// The serial it changed to, if the sender says: a hint (RFC 1996 3.7).
    pub serial: Option<Serial>,
}

/// Reads a NOTIFY request; `None` when the message is not one about a zone's SOA.
pub fn read_notify(bytes: &[u8]) -> Option<Notify> {
    let message = Message::read(bytes).ok()?;
    let question = message.question?;
    let fits = !message.header.is_response()
        && message.header.opcode() == Opcode::NOTIFY
        && question.rtype == Rtype::SOA
        && question.class == CLASS_IN;
    let soa = message.answer.iter().find(|it| it.rtype == Rtype::SOA && it.owner == question.name);
    let serial = soa.map(|soa| Timers::read(&soa.rdata).serial);
    fits.then_some(Notify { zone: question.name, serial })
}

/// Writes the response to a NOTIFY (RFC 1996 section 4.7): NOERROR where it is heard, else NOTAUTH or REFUSED.
pub fn acknowledge(request: &Request<'_>, rcode: Rcode, reply: &mut Vec<u8>) {
    let mut writer = Writer::new(reply, usize::from(UDP_PAYLOAD), request.header.id, flags::QR | flags::AA);
    writer.set_flags(u16::from(Opcode::NOTIFY.0) << 11);
    // A question and an empty OPT record are far below the limit.
    let _ = writer.question(request.name, request.rtype, request.class);
    writer.set_rcode(rcode);
    if request.opt.is_some() {
        let _ = writer.opt(UDP_PAYLOAD, rcode, false, &[]);
    }
    writer.finish();
}

#[cfg(test)]
mod tests;
