//! NOTIFY (RFC 1996): announcing a new version until it is acknowledged, and hearing of one.
//!
//! ```text
//!                publish                  response
//!   Silent ------------------> Announcing ---------> Silent   (Acknowledged, Refused)
//!                              |   ^   |   schedule at its end
//!                              +---+   +-----------> Silent   (Unanswered)
//!                        publish: from the start
//!
//!   Silent, and the target is seen to be up and behind: Announcing again (remind)
//! ```
//!
//! The first change goes out at once; changes that follow within [`COALESCE`] go out together at its end. What is never answered
//! is announced again once the target is seen to be there, or found at its next REFRESH (RFC 1996 section 5).

use std::net::SocketAddr;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::ask::exchange::{Arrival, Outbox, Start, Token};
use crate::ask::query::Query;
use crate::ask::question::{self, Call, Policy, Question};
use crate::ask::support::Support;
use crate::time::{Mono, Now};
use crate::wire::message::{Message, Opcode, Record, flags};
use crate::wire::name::Name;
use crate::wire::rtype::{CLASS_IN, Rcode, Rtype};
use crate::wire::writer::Section;
use crate::zone::serial::Serial;
use crate::zone::soa::Timers;

/// How long each NOTIFY is waited for before the next goes out, until one is acknowledged: fast enough that with 30 of 100 datagrams
/// lost, 99 of 100 secondaries hear of a change within a second.
const POLICY: Policy = Policy {
    datagrams: &[
        Duration::from_millis(100),
        Duration::from_millis(200),
        Duration::from_millis(200),
        Duration::from_millis(400),
        Duration::from_millis(800),
        Duration::from_millis(1_600),
        Duration::from_millis(3_200),
        Duration::from_millis(6_400),
        Duration::from_millis(12_800),
    ],
    tcp: Duration::from_secs(5),
    silence_to_tcp: false,
    start: Start::AtOnce,
};
/// Changes of a zone within this time after one was announced are announced together.
pub const COALESCE: Duration = Duration::from_millis(100);
/// A target that is seen to be behind is reminded this long after it was told last, and each time after twice as long: it may well know
/// and not get the zone.
const REMIND: Duration = Duration::from_secs(5);
/// How often that is doubled.
const MOST_DOUBLED: u32 = 6;

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
    support: Support,
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
    /// What is being announced; `None` while Silent.
    announcing: Option<Box<Announcing>>,
    /// When it was told last, and how often it was reminded of that.
    told: Option<Mono>,
    reminders: u32,
}

#[derive(Debug)]
struct Announcing {
    serial: Serial,
    published: Mono,
    question: Question,
}

impl Notifier {
    /// Announces a zone to these targets. The seed decides message ids.
    pub fn new(zone: Name, targets: Vec<SocketAddr>, seed: u64) -> Notifier {
        let silent = |address| Target { address, announcing: None, told: None, reminders: 0 };
        Notifier {
            zone,
            rng: StdRng::seed_from_u64(seed),
            support: Support::default(),
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

    /// Tells a target again of the version with this SOA, which it was seen not to serve; does nothing while it is being told, or was not
    /// long ago.
    pub fn remind(&mut self, now: Now, target: SocketAddr, soa: &Record, out: &mut Outbox) {
        let Some(target) = self.targets.iter_mut().find(|known| known.address == target) else { return };
        let pause = REMIND * (1 << target.reminders.min(MOST_DOUBLED));
        if target.announcing.is_some() || target.told.is_some_and(|told| now.mono < told + pause) {
            return;
        }
        target.reminders += 1;
        let call = &mut Call { now, rng: &mut self.rng, support: &mut self.support, out };
        target.tell(&self.zone, soa, now.mono, call);
    }

    /// Takes in what arrived; tokens of others are left alone.
    pub fn arrived(&mut self, now: Now, token: Token, arrival: &Arrival, out: &mut Outbox) -> Vec<Event> {
        let call = &mut Call { now, rng: &mut self.rng, support: &mut self.support, out };
        for target in &mut self.targets {
            let Some(announcing) = &mut target.announcing else { continue };
            // What cannot be delivered now may be at the next time.
            if let Some(question::Event::Answered(reply)) = announcing.question.arrived(token, arrival, call)
            {
                let (serial, took) = (announcing.serial, now.mono.since(announcing.published));
                target.announcing = None;
                let target = target.address;
                return vec![match reply.message.rcode() {
                    Rcode::NOERROR => Event::Acknowledged { target, serial, took },
                    rcode => Event::Refused { target, serial, rcode },
                }];
            }
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
            let Some(announcing) = &mut target.announcing else { continue };
            let call = &mut Call { now, rng: &mut self.rng, support: &mut self.support, out: &mut *out };
            if announcing.question.handle_timeout(call).is_some() {
                events.push(Event::Unanswered { target: target.address, serial: announcing.serial });
                target.silence(out);
            }
        }
        events
    }

    /// Announces nothing any more.
    pub fn stop(&mut self, out: &mut Outbox) {
        self.held = None;
        self.targets.iter_mut().for_each(|target| target.silence(out));
    }

    /// When [`Notifier::handle_timeout`] is to be called next.
    pub fn next_timeout(&self) -> Option<Mono> {
        let due = |target: &Target| target.announcing.as_ref()?.question.next_timeout();
        let held = self.held.as_ref().map(|(_, open)| *open);
        self.targets.iter().filter_map(due).chain(held).min()
    }

    fn announce(&mut self, now: Now, change: Change, out: &mut Outbox) {
        self.last_began = Some(now.mono);
        self.held = None;
        for target in &mut self.targets {
            target.silence(out);
            target.reminders = 0;
            let call = &mut Call { now, rng: &mut self.rng, support: &mut self.support, out: &mut *out };
            target.tell(&self.zone, &change.soa, change.published, call);
        }
    }
}

impl Target {
    fn tell(&mut self, zone: &Name, soa: &Record, published: Mono, call: &mut Call<'_>) {
        self.told = Some(call.now.mono);
        let serial = Timers::read(&soa.rdata).serial;
        let question = Question::start(self.address, query(zone, soa), POLICY, call);
        self.announcing = Some(Box::new(Announcing { serial, published, question }));
    }

    fn silence(&mut self, out: &mut Outbox) {
        if let Some(mut announcing) = self.announcing.take() {
            announcing.question.stop(out);
        }
    }
}

/// A NOTIFY with the new SOA in the answer section (RFC 1996 3.7). Without EDNS: nothing of it is of use here.
fn query(zone: &Name, soa: &Record) -> Query {
    Query {
        opcode: Opcode::NOTIFY,
        flags: flags::AA,
        record: Some((Section::Answer, soa.clone())),
        ..Query::new(zone.clone(), Rtype::SOA)
    }
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

#[cfg(test)]
mod tests;
