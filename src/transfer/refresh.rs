//! A secondary's side of one zone: asks its primaries for their serial, pulls what is newer, and knows how fresh it is.
//!
//! ```text
//!          timer, NOTIFY, refresh_now               newer
//!   Idle -----------------------------> AskingSoa --------> PullingIxfr
//!    ^ |                                  |    |               |     | any failure (Fallback)
//!    | |  no content                      |    | content       |     v
//!    | +------------------------------->  | ---|-----------> PullingAxfr
//!    |                                    |    | differs       |     |
//!    |  current (Confirmed)               |    +--------->-----|-----+
//!    +------------------------------------+                    v
//!    +----------------------------------------------------- Publishing   (Fetched; the store's answer: published, Pulled)
//! ```
//!
//! A round asks one primary after the other until one has answered to the purpose: the one that sent the NOTIFY first, else
//! the one that served last. When that one has nothing newer, what is served is confirmed, and the others are still asked once
//! each for a second opinion: secondaries that pull from each other would else confirm an old version for ever. The next round comes
//! after REFRESH, or RETRY when every primary failed, at the latest when the lease ends; or after a growing pause while there is no
//! content. While a transfer is under way that may outlast EXPIRE, the others are asked for their SOA beside it (`refresh/aside`). A NOTIFY
//! within a round is remembered and leads to another round. Expiry (RFC 1034 4.3.5) is a flag beside all that, and so is an operator's
//! order to take what the primary has, whatever its serial: its round pulls the whole zone and asks for no SOA.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::ask::exchange::{Arrival, Outbox, Start, Token};
use crate::ask::question::{self, Call, Policy, Question, Reply};
use crate::ask::support::{Omission, Support};
use crate::publish::messages::Together;
use crate::publish::proposal::Proposal;
use crate::publish::stages::PublishError;
use crate::publish::store::Publication;
use crate::publish::zone::{Remains, Version};
use crate::time::{Mono, Now, Utc};
use crate::wire::extended_error::ExtendedError;
use crate::wire::name::Name;
use crate::zone::clocks::Clocks;
use crate::zone::digest::Digest;
use crate::zone::serial::Serial;
use crate::zone::soa::Timers;
use crate::zone::stamp::Told;

use super::intake::{Asked, Intake, Limits, Outcome};
use super::notify::Notify;
use super::query::{self, Kind, SoaAnswer};
use super::reason::Reason;
use super::timers;

pub use event::Event;
pub use known::{Doubt, Newer, Stored};
pub use odds::Odd;

use aside::Aside;
use holds::Holds;
use known::{Have, Word};
use lease::Lease;
use odds::{Comparison, Odds};
use pull::{Pull, Pulled};
use round::{Asking, Shown};
use tellings::Tellings;
use unshown::Unshown;

/// How a primary is asked for its SOA: three datagrams, then over TCP. A lost one costs no more than the way there and back takes to
/// most places; the answer to an earlier one counts when it comes.
const SOA_POLICY: Policy = Policy {
    datagrams: &[Duration::from_millis(100), Duration::from_millis(200), Duration::from_millis(400)],
    tcp: Duration::from_secs(5),
    silence_to_tcp: true,
    start: Start::InTurn,
};
/// A second opinion is worth one datagram. Its answer is waited for as long as it takes from the end of the world and back: one primary
/// would else confirm for ever what another, slow one has replaced.
const OPINION_POLICY: Policy = Policy {
    datagrams: &[Duration::from_secs(3)],
    tcp: Duration::from_secs(3),
    silence_to_tcp: false,
    start: Start::InTurn,
};
/// How a primary is asked for a transfer: over TCP, where the answer may begin late.
const PULL_POLICY: Policy =
    Policy { datagrams: &[], tcp: STALLED, silence_to_tcp: false, start: Start::InTurn };
/// A transfer that brings nothing for this long has failed.
pub const STALLED: Duration = Duration::from_secs(30);
/// A transfer that takes longer than this has failed however it trickles.
pub const LONGEST_PULL: Duration = Duration::from_secs(2 * 3_600);
/// How long a question waits for its turn at a primary while others are left to ask in this round; twice as long each time that
/// one was passed over.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often that is doubled.
const MOST_PATIENCE: u32 = 5;
/// Rounds that NOTIFYs may set off without a pause and without anything new coming of it...
const FRUITLESS_ROUNDS: u32 = 3;
/// ...before rounds begin at least this far apart: a bound on what false NOTIFYs can cost.
const ROUND_GAP: Duration = Duration::from_secs(1);

/// What a secondary zone is configured with.
#[derive(Clone, Debug)]
pub struct Config {
    /// The zone.
    pub zone: Name,
    /// Where it is pulled from, the preferred one first.
    pub primaries: Vec<SocketAddr>,
    /// What one transfer may bring.
    pub limits: Limits,
    /// What the transfers of all zones keep.
    pub together: Together,
    /// The longest time between two polls, where REFRESH is longer; `None` for REFRESH alone.
    pub lease: Option<Duration>,
    /// Whether the primaries pull the zone themselves. Else one that tells nothing of that is taken for its source.
    pub from_secondaries: bool,
    /// Who takes to pieces what is left of transfers that are of no use; else it is let go of where that shows.
    pub remains: Option<mpsc::Sender<Remains>>,
}

/// The machine of one zone.
#[derive(Debug)]
pub struct Refresh {
    config: Config,
    rng: StdRng,
    state: State,
    have: Option<Have>,
    /// Primaries not yet tried in this round.
    untried: VecDeque<SocketAddr>,
    /// How often in this round a primary was passed over because no turn came.
    passed_over: u32,
    /// The primary that confirmed what is served, while the others are asked for a second opinion.
    confirmed_by: Option<SocketAddr>,
    /// When the next round begins; only while Idle.
    due: Option<Mono>,
    last_began: Option<Mono>,
    fruitless: u32,
    failed_rounds: u32,
    last_good: usize,
    /// The primary that gave no answer, of those that were asked for their SOA last.
    silent: Option<SocketAddr>,
    /// What the primaries take of EDNS.
    support: Support,
    /// What the primary that is being dealt with answered to the question for its SOA.
    shown: Shown,
    holds: Holds,
    odds: Odds,
    announced: Option<Announced>,
    unshown: Option<Unshown>,
    newer: Option<Newer>,
    /// Whether its successor is known from a NOTIFY alone, which anybody may send.
    is_hearsay: bool,
    /// Who told of it, and of other versions newer than what is served.
    tellings: Tellings,
    /// When what is served, or was before it expired, is known to have been the newest version.
    fresh_at: Option<Mono>,
    /// Which version that is.
    last: Option<(Serial, Digest)>,
    /// The clocks of who publishes the zone.
    clocks: Clocks,
    lease: Lease,
    expires_at: Option<Mono>,
    /// Versions that were pulled anew because a digest differed.
    repairs: Holds,
    /// Whether the next round is to bring the zone whatever its serial, and whether this one is.
    force_next: bool,
    forcing: bool,
}

/// A NOTIFY that came within a round.
#[derive(Clone, Copy, Debug)]
struct Announced {
    from: Option<IpAddr>,
    serial: Option<Serial>,
}

#[derive(Debug)]
enum State {
    Idle,
    AskingSoa(Box<Asking>),
    Pulling(Box<Pull>),
    Publishing(Pulled),
}

/// What one call has at hand.
struct Step<'a> {
    now: Now,
    out: &'a mut Outbox,
    events: Vec<Event>,
}

impl Refresh {
    /// A machine that does nothing until [`Refresh::start`]. The seed decides message ids and the spread of timers.
    pub fn new(config: Config, seed: u64) -> Refresh {
        Refresh {
            lease: Lease::new(config.lease),
            config,
            rng: StdRng::seed_from_u64(seed),
            state: State::Idle,
            have: None,
            untried: VecDeque::new(),
            passed_over: 0,
            confirmed_by: None,
            due: None,
            last_began: None,
            fruitless: 0,
            failed_rounds: 0,
            last_good: 0,
            silent: None,
            support: Support::default(),
            shown: Shown::default(),
            holds: Holds::default(),
            odds: Odds::default(),
            announced: None,
            unshown: None,
            newer: None,
            is_hearsay: false,
            tellings: Tellings::default(),
            fresh_at: None,
            last: None,
            clocks: Clocks::default(),
            expires_at: None,
            repairs: Holds::default(),
            force_next: false,
            forcing: false,
        }
    }

    /// Takes over the orders that the machine of the same zone was given while it had other settings, and who was at odds then.
    pub fn take_over(&mut self, known: Refresh) {
        self.force_next = known.force_next || known.forcing;
        self.odds.take_over(known.odds, &known.config.primaries, &self.config.primaries);
    }

    /// Begins, with what is stored if there is anything: it is served at once, unless it has expired meanwhile, and asked about at once.
    pub fn start(&mut self, now: Now, stored: Option<Stored<'_>>, out: &mut Outbox) -> Vec<Event> {
        self.step(now, out, |this, step| {
            if let Some(Stored { version, counted_from, newer }) = stored {
                if let Some((serial, at)) = newer {
                    let learned_at = now.mono - now.utc.since(at);
                    let newer = Newer { serial, successor: None, learned_at };
                    this.newer = Some(newer);
                    this.tellings.heard(&this.config.primaries, serial, None);
                    step.events.push(Event::Behind(newer));
                }
                this.take_stored(step, version, counted_from);
            }
            this.begin_round(step, None);
        })
    }

    /// Goes on from what is served now, and was brought by the machine that the same zone had with other settings: it was being published
    /// when this one began. What has been asked about the content before says nothing of it.
    pub fn adopt(
        &mut self,
        now: Now,
        version: &Version,
        counted_from: Option<Utc>,
        out: &mut Outbox,
    ) -> Vec<Event> {
        self.step(now, out, |this, step| {
            let before = this.take_stored(step, version, counted_from);
            if let Some(first) = this.config.primaries.first().filter(|_| this.forcing || this.force_next) {
                // It may be what the order that was taken over has brought.
                this.odds.ordered(*first, (before, version.stamp.serial), &this.config.primaries);
            }
            // The store's answer to what this one has pulled itself comes yet.
            if !matches!(this.state, State::Publishing(_)) {
                this.stop(step.out);
                this.force_next |= this.forcing;
                this.begin_round(step, None);
            }
        })
    }

    /// Hears of a NOTIFY. One from an address that is no primary's changes nothing.
    pub fn notified(&mut self, now: Now, from: SocketAddr, notify: &Notify, out: &mut Outbox) -> Vec<Event> {
        // Other content under the serial that is served here is a matter for a poll.
        let serial = notify.serial.filter(|serial| !self.differs(*serial, &notify.stamps));
        self.step(now, out, |this, step| {
            let is_sender = |primary: &&SocketAddr| primary.ip() == from.ip();
            let senders: Vec<SocketAddr> = this.config.primaries.iter().filter(is_sender).copied().collect();
            let Some(primary) = senders.first().copied() else { return };
            let is_left = serial
                .is_some_and(|serial| senders.iter().all(|primary| this.odds.sets_aside(*primary, serial)));
            if serial.is_some_and(|serial| this.is_known(serial)) || is_left && this.have.is_some() {
                return;
            }
            // What an order went back from is no news, and the last resort where nothing is served.
            let serial = serial.filter(|_| !is_left);
            if let Some(serial) = serial {
                let own = this.have.as_ref().map(|have| have.timers().serial);
                let successor = own.and_then(|own| notify.successor_of(own)).copied();
                this.is_hearsay |=
                    successor.is_some() && this.newer.is_none_or(|newer| newer.successor.is_none());
                this.learn(step, &senders, serial, successor);
                this.unshown = Some(Unshown::announced(this.unshown.take(), primary, serial));
            }
            this.announce(step, Announced { from: Some(from.ip()), serial });
        })
    }

    /// Asks now, whatever the timers say.
    pub fn refresh_now(&mut self, now: Now, out: &mut Outbox) -> Vec<Event> {
        self.step(now, out, |this, step| {
            this.repairs.lift(step.now.mono);
            this.give_up_if_slow(step);
            this.announce(step, Announced { from: None, serial: None });
        })
    }

    /// Pulls the whole zone from the first primary that has it, whatever its serial: what is served may have another history. Primaries
    /// that still show what is served until then do not bring it back.
    pub fn force(&mut self, now: Now, out: &mut Outbox) -> Vec<Event> {
        self.force_next = true;
        self.refresh_now(now, out)
    }

    /// Takes in what arrived; tokens of others are left alone.
    pub fn arrived(&mut self, now: Now, token: Token, arrival: Arrival, out: &mut Outbox) -> Vec<Event> {
        self.step(now, out, |this, step| {
            let call = &mut Call { now, rng: &mut this.rng, support: &mut this.support, out: &mut *step.out };
            match &mut this.state {
                State::AskingSoa(asking) => {
                    let event = asking.question.arrived(token, &arrival, call);
                    this.soa_event(step, event);
                }
                State::Pulling(pull) => {
                    if let Some(question) = pull.aside.question(token) {
                        let event = question.arrived(token, &arrival, call);
                        return this.aside_event(step, event);
                    }
                    let event = pull.question.arrived(token, &arrival, call);
                    let message = if let Arrival::Message(message) = arrival { message } else { Vec::new() };
                    this.pull_event(step, event, message);
                }
                State::Idle | State::Publishing(_) => {}
            }
        })
    }

    /// Ends what is under way: the zone is not pulled any more.
    pub fn stop(&mut self, out: &mut Outbox) {
        match &mut self.state {
            State::AskingSoa(asking) => asking.question.stop(out),
            State::Pulling(pull) => {
                pull.question.stop(out);
                pull.aside.stop(out);
            }
            State::Idle | State::Publishing(_) => {}
        }
        self.state = State::Idle;
    }

    /// Takes in what the store said to the last [`Event::Fetched`].
    pub fn published(
        &mut self,
        now: Now,
        result: &Result<Option<Publication>, PublishError>,
        out: &mut Outbox,
    ) -> Vec<Event> {
        self.step(now, out, |this, step| {
            match std::mem::replace(&mut this.state, State::Idle) {
                State::Publishing(pulled) => this.conclude(step, pulled, result),
                other => this.state = other,
            };
        })
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now, out: &mut Outbox) -> Vec<Event> {
        self.step(now, out, |this, step| {
            this.check_expiry(step);
            this.lease.check(step.now.mono);
            let passed = |at: Mono| at <= now.mono;
            if this.patience_ends().is_some_and(passed) {
                return this.pass_over(step);
            }
            if this.gives_way_at().is_some_and(passed) && this.prefer_others(step) {
                return;
            }
            let call = &mut Call { now, rng: &mut this.rng, support: &mut this.support, out: &mut *step.out };
            match &mut this.state {
                State::Idle if this.due.is_some_and(passed) => {
                    let from = this.announced.take().and_then(|announced| announced.from);
                    this.begin_round(step, from);
                }
                State::AskingSoa(asking) => {
                    let event = asking.question.handle_timeout(call);
                    this.soa_event(step, event);
                }
                State::Pulling(pull) => {
                    if pull.aside.next_timeout().is_some_and(passed) {
                        return this.aside_due(step);
                    }
                    let stalled = !pull.question.is_waiting() && passed(pull.stalled_at());
                    match pull.question.handle_timeout(call) {
                        None if stalled => this.pull_failed(step, Reason::Timeout, None),
                        event => this.pull_event(step, event, Vec::new()),
                    }
                }
                State::Idle | State::Publishing(_) => {}
            }
        })
    }

    /// When [`Refresh::handle_timeout`] is to be called next.
    pub fn next_timeout(&self) -> Option<Mono> {
        let own = match &self.state {
            State::Idle => self.due,
            State::AskingSoa(asking) => asking.question.next_timeout(),
            State::Pulling(pull) => {
                let stalled_at = (!pull.question.is_waiting()).then(|| pull.stalled_at());
                let aside = pull.aside.next_timeout();
                [pull.question.next_timeout(), stalled_at, aside].into_iter().flatten().min()
            }
            State::Publishing(_) => None,
        };
        let expires_at = self.expires_at.filter(|_| self.have.is_some());
        let turns = self.patience_ends().into_iter().chain(self.gives_way_at());
        turns.chain(own).chain(expires_at).chain(self.lease.ends()).min()
    }

    /// The zone.
    pub fn zone(&self) -> &Name {
        &self.config.zone
    }

    /// The clocks of who publishes the zone, as far as primaries tell them.
    pub fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// Until when the word holds of a primary that would know of a newer version: that there was none. None holds while one is known, or
    /// those who pull from here would call current what is not.
    pub fn verified_until(&self) -> Option<Mono> {
        self.lease.ends().filter(|_| self.newer.is_none())
    }

    /// The same of one whose word rests on nobody's that is merely believed: it holds for other servers of the zone too.
    pub fn vouched_until(&self) -> Option<Mono> {
        self.lease.vouched().filter(|_| self.newer.is_none())
    }

    /// Takes note of how many zones are pulled from the primary of this one that has the most: it is polled the less often for each.
    pub fn shared_by(&mut self, zones: usize) {
        self.lease.shared_by(zones);
    }

    /// When what is served expires; `None` while nothing is.
    pub fn expires_at(&self) -> Option<Mono> {
        self.expires_at.filter(|_| self.have.is_some())
    }

    /// The state's name, as in the diagram.
    pub fn state(&self) -> &'static str {
        match self.state {
            State::Idle => "Idle",
            State::AskingSoa(_) => "AskingSoa",
            State::Pulling(ref pull) if pull.kind == Kind::Ixfr => "PullingIxfr",
            State::Pulling(_) => "PullingAxfr",
            State::Publishing(_) => "Publishing",
        }
    }

    fn step(
        &mut self,
        now: Now,
        out: &mut Outbox,
        act: impl FnOnce(&mut Refresh, &mut Step<'_>),
    ) -> Vec<Event> {
        let mut step = Step { now, out, events: Vec::new() };
        act(self, &mut step);
        step.events
    }
}

mod aside;
mod event;
mod expiry;
mod holds;
mod known;
mod lease;
mod odds;
mod pull;
mod round;
mod tellings;
mod unshown;

#[cfg(test)]
mod tests;
