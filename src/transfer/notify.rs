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
use crate::ask::query::{Edns, Query};
use crate::ask::question::{self, Call, Policy, Question};
use crate::ask::support::Support;
use crate::publish::zone::{Version, Zone};
use crate::time::{Mono, Now};
use crate::wire::edns::{STAMP, push_option};
use crate::wire::message::{Message, Opcode, Record, flags};
use crate::wire::name::Name;
use crate::wire::rtype::{CLASS_IN, Rcode, Rtype};
use crate::wire::writer::Section;
use crate::zone::serial::Serial;
use crate::zone::soa::Timers;
use crate::zone::stamp::{Stamp, Told};

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
/// Stamps that a NOTIFY tells: who lacks less than so many versions knows by it since when.
const STAMPS: usize = 4;

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

/// What is announced.
#[derive(Clone, Debug)]
pub struct News {
    /// The SOA of the new version.
    pub soa: Record,
    /// Its stamp and those of the versions before it, newest first: of some of them, or of none.
    pub stamps: Vec<Stamp>,
}

impl News {
    /// Of a version of a zone.
    pub fn of(zone: &Zone, version: &Version) -> News {
        let serial = version.stamp.serial;
        let history = zone.history();
        let stamps = history.stamps().rev().skip_while(|stamp| stamp.serial != serial).take(STAMPS).copied();
        News { soa: version.snapshot.soa_record(), stamps: stamps.collect() }
    }
}

#[derive(Clone, Debug)]
struct Change {
    news: News,
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

    /// Announces a version published just now, in place of whatever was being announced.
    pub fn publish(&mut self, now: Now, news: News, out: &mut Outbox) {
        let change = Change { news, published: now.mono };
        match self.last_began.map(|last| last + COALESCE) {
            Some(open) if now.mono < open => self.held = Some((change, open)),
            _ => self.announce(now, change, out),
        }
    }

    /// Tells a target again of a version that it was seen not to serve; does nothing while it is being told, or was not long ago.
    pub fn remind(&mut self, now: Now, target: SocketAddr, news: &News, out: &mut Outbox) {
        let Some(target) = self.targets.iter_mut().find(|known| known.address == target) else { return };
        let pause = REMIND * (1 << target.reminders.min(MOST_DOUBLED));
        if target.announcing.is_some() || target.told.is_some_and(|told| now.mono < told + pause) {
            return;
        }
        target.reminders += 1;
        let call = &mut Call { now, rng: &mut self.rng, support: &mut self.support, out };
        target.tell(&self.zone, news, now.mono, call);
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
            target.tell(&self.zone, &change.news, change.published, call);
        }
    }
}

impl Target {
    fn tell(&mut self, zone: &Name, news: &News, published: Mono, call: &mut Call<'_>) {
        self.told = Some(call.now.mono);
        let serial = Timers::read(&news.soa.rdata).serial;
        let question = Question::start(self.address, query(zone, news), POLICY, call);
        self.announcing = Some(Box::new(Announcing { serial, published, question }));
    }

    fn silence(&mut self, out: &mut Outbox) {
        if let Some(mut announcing) = self.announcing.take() {
            announcing.question.stop(out);
        }
    }
}

/// A NOTIFY with the new SOA in the answer section (RFC 1996 3.7), and its stamps, so that who cannot ask at once knows for how long it has
/// been behind.
fn query(zone: &Name, News { soa, stamps }: &News) -> Query {
    let mut options = Vec::new();
    if !stamps.is_empty() {
        let told = Told { is_verified: true, stamps: stamps.clone(), ..Told::default() };
        push_option(&mut options, STAMP, &told.write());
    }
    Query {
        opcode: Opcode::NOTIFY,
        flags: flags::AA,
        record: Some((Section::Answer, soa.clone())),
        edns: (!options.is_empty()).then_some(Edns { dnssec_ok: false, options }),
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
    /// The stamps of that version and of those before it, newest first, from a sender that tells them.
    pub stamps: Vec<Stamp>,
}

impl Notify {
    /// The stamp of the version that followed this one.
    pub fn successor_of(&self, serial: Serial) -> Option<&Stamp> {
        let mut pairs = self.stamps.iter().zip(self.stamps.iter().skip(1));
        pairs.find(|(_, before)| before.serial == serial).map(|(stamp, _)| stamp)
    }
}

/// Reads a NOTIFY request; `None` when the message is not one about a zone's SOA.
pub fn read_notify(bytes: &[u8]) -> Option<Notify> {
    let message = Message::read(bytes).ok()?;
    let question = message.question.as_ref()?;
    let fits = !message.header.is_response()
        && message.header.opcode() == Opcode::NOTIFY
        && question.rtype == Rtype::SOA
        && question.class == CLASS_IN;
    let soa = message.answer.iter().find(|it| it.rtype == Rtype::SOA && it.owner == question.name);
    let serial = soa.map(|soa| Timers::read(&soa.rdata).serial);
    let told = message.option(STAMP).and_then(Told::read).unwrap_or_default();
    // Room for no more than these.
    let stamps = told.stamps.iter().take(STAMPS).copied().collect();
    fits.then(|| Notify { zone: question.name.clone(), serial, stamps })
}

#[cfg(test)]
mod tests;
