//! The resolver of one worker: one flight per question, however many wait for it.
//!
//! ```text
//!              ask: no flight yet          upstream step: Done, whole answer
//!   (nothing) ─────────────────▶ in flight ─────────────────────────────────▶ Answered, kept in the cache
//!                 ask: join ──▶  │  │  ▲ └─ Done, part of a chain ─▶ the rest is asked for ─▶ in flight
//!                                │  └──┘ arrivals and timeouts
//!                                ├─ nobody answered, an old answer is at hand ─▶ Answered, stale
//!                                ├─ nobody answered ─▶ Failed, kept for a moment (RFC 9520)
//!                                └─ STALE_AFTER with an old answer at hand ─▶ Answered, stale; flies on without waiters
//! ```

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::ask::exchange::{Arrival, Outbox, Token};
use crate::publish::store::ZoneStore;
use crate::time::{Mono, Now};
use crate::wire::message::Record;
use crate::wire::rtype::{Rcode, Rtype};

use super::admission::Admission;
use super::bailiwick::Verdict;
use super::cache::{Answer, Ask, Cache, Entry};
use super::forward::{BUDGET, Forward, Step};
use super::upstream::Upstreams;

pub use super::admission::{Bound, Waiter};
pub use super::settings::Config;

/// Waiters per flight at most; the clients of a busy network behind one popular name are some hundreds in its round trip.
pub const MAX_WAITERS: usize = 1_024;
/// How often a chain of CNAMEs is continued by a question of its own.
pub const MAX_RESTARTS: u32 = 8;
/// When an old answer is at hand, how long the servers are waited for before it is given out (RFC 8767 section 5).
pub const STALE_AFTER: Duration = Duration::from_millis(1_800);
/// How long an old answer is given out at least before the servers are asked again: those that say at once that they fail, or whose
/// answer was lost. Those that say nothing are left alone for longer ([`Upstreams::chance`]).
const RECHECK: Duration = Duration::from_secs(2);

/// What the resolver has to say.
#[derive(Clone, Debug)]
pub enum Event {
    /// A question has its answer.
    Answered {
        /// The question.
        ask: Ask,
        /// Who waited, in order of arrival; nobody when they were served stale before.
        waiters: Vec<u64>,
        /// The answer.
        entry: Arc<Entry>,
        /// The server whose reply completed it; `None` when it was in the cache.
        from: Option<SocketAddr>,
        /// From the first time it was asked.
        took: Duration,
        /// Whether it is an old answer (RFC 8767).
        stale: bool,
    },
    /// A question could not be resolved.
    Failed {
        /// The question.
        ask: Ask,
        /// Who waited.
        waiters: Vec<u64>,
        /// SERVFAIL, to be written as any other answer.
        entry: Arc<Entry>,
        /// Why.
        reason: Reason,
        /// From the first time it was asked.
        took: Duration,
    },
    /// A question was turned away at a bound; the waiter gets SERVFAIL, and nothing is remembered.
    Refused {
        /// Who asked.
        waiter: u64,
        /// Which bound.
        bound: Bound,
    },
}

/// Why a question could not be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Reason {
    /// No forward or stub zone holds the name.
    #[error("no server is configured for this name")]
    NoRoute,
    /// No server gave an answer of use in time.
    #[error("no server answered in time")]
    NoAnswer,
    /// A chain of CNAMEs that is too long or a loop.
    #[error("CNAME chain too long")]
    Chain,
}

/// The resolver of one worker; all questions of one name, type and DO bit must come to the same one.
#[derive(Debug)]
pub struct Resolver {
    cache: Arc<Cache>,
    upstreams: Upstreams,
    flights: HashMap<u64, Flight>,
    by_ask: HashMap<Ask, u64>,
    by_token: HashMap<Token, u64>,
    deadlines: BTreeSet<(Mono, u64)>,
    admission: Admission,
    next: u64,
}

impl Resolver {
    /// A resolver that asks as `config` says; `seed` must be secret and its own.
    pub fn new(config: &Config, cache: Arc<Cache>, seed: [u8; 32]) -> Resolver {
        let mut upstreams =
            Upstreams::new(&config.forward, &config.stub, |server| config.usable(server), seed);
        upstreams.share(Arc::clone(cache.floors()));
        Resolver {
            cache,
            upstreams,
            flights: HashMap::new(),
            by_ask: HashMap::new(),
            by_token: HashMap::new(),
            deadlines: BTreeSet::new(),
            admission: Admission::default(),
            next: 0,
        }
    }

    /// Has names be left to these zones, which are served here.
    pub fn beside(mut self, zones: Arc<ZoneStore>) -> Resolver {
        self.upstreams.beside(zones);
        self
    }

    /// Asks on behalf of a client.
    pub fn ask(&mut self, now: Now, ask: Ask, waiter: Waiter, out: &mut Outbox) -> Vec<Event> {
        let now = now.mono;
        let refused = |bound| vec![Event::Refused { waiter: waiter.number, bound }];
        if ask.rtype.is_meta() && ask.rtype != Rtype::ANY {
            return refused(Bound::Type);
        }
        let known = self.cache.get(now, &ask.name, ask.rtype, ask.flags);
        let old = known.is_some();
        if let Some(entry) = known.filter(|entry| entry.is_fresh(now)) {
            let (took, stale) = (Duration::ZERO, entry.is_stale());
            return vec![Event::Answered {
                ask,
                waiters: vec![waiter.number],
                entry,
                from: None,
                took,
                stale,
            }];
        }
        if let Some(&id) = self.by_ask.get(&ask) {
            return self.join(now, id, waiter);
        }
        let (id, until) = (self.next, now + BUDGET);
        let Some(route) = self.upstreams.best_for(&ask.name, ask.rtype) else {
            self.admission.waits(waiter.client);
            return self.fail(now, Flight::new(now, ask, waiter, None, old), Reason::NoRoute);
        };
        if let Err(bound) = self.admission.may_fly(route, waiter.client) {
            return refused(bound);
        }
        self.next += 1;
        self.admission.begins(route);
        self.admission.waits(waiter.client);
        let before = Mark::of(out);
        let (forward, step) = Forward::start(now, ask.clone(), route, until, &mut self.upstreams, out);
        self.by_ask.insert(ask.clone(), id);
        self.flights.insert(id, Flight::new(now, ask, waiter, Some((route, forward)), old));
        self.after(now, id, step, before, out)
    }

    /// Takes what came in for one of the resolver's exchanges; others are ignored.
    pub fn handle(&mut self, now: Now, token: Token, arrival: Arrival, out: &mut Outbox) -> Vec<Event> {
        let Some(&id) = self.by_token.get(&token) else { return Vec::new() };
        if matches!(arrival, Arrival::Failed(_)) {
            self.by_token.remove(&token);
        }
        let before = Mark::of(out);
        let Some(forward) = self.flights.get_mut(&id).and_then(|flight| flight.forward.as_mut()) else {
            return Vec::new();
        };
        let step = forward.handle(now.mono, token, arrival, &mut self.upstreams, out);
        self.after(now.mono, id, step, before, out)
    }

    /// When [`Resolver::handle_timeout`] is due; `None` when nothing is in flight.
    pub fn next_timeout(&self) -> Option<Mono> {
        self.deadlines.first().map(|&(due, _)| due)
    }

    /// Sends again, serves stale, or gives up, wherever the time has come.
    pub fn handle_timeout(&mut self, now: Now, out: &mut Outbox) -> Vec<Event> {
        let now = now.mono;
        let mut events = Vec::new();
        while let Some(&(due, id)) = self.deadlines.first().filter(|&&(due, _)| due <= now) {
            let before = Mark::of(out);
            let Some(flight) = self.flights.get_mut(&id) else {
                self.deadlines.remove(&(due, id));
                continue;
            };
            events.extend(flight.serve_stale(now, &self.cache, &mut self.admission));
            let step = match &mut flight.forward {
                Some(forward) => forward.handle_timeout(now, &mut self.upstreams, out),
                None => Step::Exhausted,
            };
            events.extend(self.after(now, id, step, before, out));
        }
        events
    }

    /// How many questions are in flight.
    pub fn flights(&self) -> usize {
        self.flights.len()
    }

    fn join(&mut self, now: Mono, id: u64, waiter: Waiter) -> Vec<Event> {
        let Some(flight) = self.flights.get_mut(&id) else { return Vec::new() };
        let room = if flight.waiters.len() < MAX_WAITERS {
            self.admission.may_wait(waiter.client)
        } else {
            Err(Bound::Waiters)
        };
        if let Err(bound) = room {
            return vec![Event::Refused { waiter: waiter.number, bound }];
        }
        flight.waiters.push(waiter);
        self.admission.waits(waiter.client);
        let served = flight.serve_stale(now, &self.cache, &mut self.admission);
        self.schedule(id);
        served.into_iter().collect()
    }

    /// Follows up on an upstream step of a flight: books new exchanges and the next deadline, or ends the flight.
    fn after(&mut self, now: Mono, id: u64, step: Step, before: Mark, out: &mut Outbox) -> Vec<Event> {
        let mut step = step;
        loop {
            self.book(id, &before, out);
            let (verdict, from) = match step {
                Step::Wait => {
                    self.schedule(id);
                    return Vec::new();
                }
                Step::Exhausted => return self.land(now, id, out, Err(Reason::NoAnswer)),
                Step::Done { verdict, from } => (verdict, from),
            };
            let Some(flight) = self.flights.get_mut(&id) else { return Vec::new() };
            match verdict {
                Verdict::Answer(answer) => {
                    let whole = flight.whole(answer);
                    return self.land(now, id, out, Ok((whole, from)));
                }
                Verdict::Continue { answer, authority, target } => {
                    flight.answer.extend(answer);
                    flight.authority.extend(authority);
                    flight.restarts += 1;
                    if flight.restarts > MAX_RESTARTS {
                        return self.land(now, id, out, Err(Reason::Chain));
                    }
                    let is_here = self.upstreams.is_here(&target, flight.ask.rtype);
                    let route = self.upstreams.best_for(&target, flight.ask.rtype).filter(|_| !is_here);
                    let Some(route) = route else {
                        // Nobody to ask: the chain as far as it goes. A zone here may have the rest, or the client follows it by itself.
                        let whole = flight.whole(Answer {
                            rcode: Rcode::NOERROR,
                            answer: Vec::new(),
                            authority: Vec::new(),
                            negative: None,
                            rest: Some(target),
                        });
                        return self.land(now, id, out, Ok((whole, from)));
                    };
                    let (ask, until) = (Ask { name: target, ..flight.ask.clone() }, flight.started + BUDGET);
                    if let Some(done) = flight.forward.take() {
                        done.finish(out);
                    }
                    let (forward, next) = Forward::start(now, ask, route, until, &mut self.upstreams, out);
                    self.admission.begins(route);
                    self.admission.ends(flight.route.replace(route));
                    flight.forward = Some(forward);
                    step = next;
                }
                Verdict::Useless => return self.land(now, id, out, Err(Reason::NoAnswer)),
            }
        }
    }

    /// Takes note of the exchanges that have begun and ended since the mark. Nothing is drained between the two, so booking
    /// the same ones again changes nothing.
    fn book(&mut self, id: u64, since: &Mark, out: &Outbox) {
        let begun = out.exchanges.iter().skip(since.exchanges);
        self.by_token.extend(begun.map(|exchange| (exchange.token, id)));
        for token in out.cancels.iter().skip(since.cancels) {
            self.by_token.remove(token);
        }
    }

    /// Ends a flight.
    fn land(
        &mut self,
        now: Mono,
        id: u64,
        out: &mut Outbox,
        result: Result<(Answer, SocketAddr), Reason>,
    ) -> Vec<Event> {
        let Some(mut flight) = self.flights.remove(&id) else { return Vec::new() };
        self.by_ask.remove(&flight.ask);
        self.deadlines.remove(&(flight.due, id));
        self.admission.ends(flight.route);
        if let Some(forward) = flight.forward.take() {
            let before = Mark::of(out);
            forward.finish(out);
            self.book(id, &before, out);
        }
        match result {
            Ok((answer, from)) => {
                let entry = self.cache.put(now, &flight.ask, &answer);
                let took = now.since(flight.started);
                let Flight { ask, waiters, .. } = flight;
                let waiters = self.admission.release(waiters);
                vec![Event::Answered { ask, waiters, entry, from: Some(from), took, stale: false }]
            }
            Err(reason) => self.fail(now, flight, reason),
        }
    }

    /// Gives the waiters of a failed flight the old answer, if there is one, or else SERVFAIL.
    fn fail(&mut self, now: Mono, mut flight: Flight, reason: Reason) -> Vec<Event> {
        // Again also when it has been served before: the servers are left alone from now on (RFC 8767 section 5), until one of them may be
        // asked.
        let chance = flight.route.map(|route| self.upstreams.chance(route).since(now).max(RECHECK));
        let spell = chance.unwrap_or(Duration::MAX);
        if let Some(entry) = self.cache.revive(now, &flight.ask, spell) {
            return flight.answer_stale(now, entry, &mut self.admission).into_iter().collect();
        }
        let entry = self.cache.put_failure(now, &flight.ask);
        let took = now.since(flight.started);
        let Flight { ask, waiters, .. } = flight;
        let waiters = self.admission.release(waiters);
        vec![Event::Failed { ask, waiters, entry, reason, took }]
    }

    /// Brings the flight's place among the deadlines up to date.
    fn schedule(&mut self, id: u64) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        let Some(forward) = &flight.forward else { return };
        let stale = flight.stale_due().unwrap_or(Mono(u64::MAX));
        let due = forward.next_timeout().min(stale);
        self.deadlines.remove(&(flight.due, id));
        self.deadlines.insert((due, id));
        flight.due = due;
    }
}

/// How much an outbox held at some moment.
struct Mark {
    exchanges: usize,
    cancels: usize,
}

impl Mark {
    fn of(out: &Outbox) -> Mark {
        Mark { exchanges: out.exchanges.len(), cancels: out.cancels.len() }
    }
}

/// A question on its way.
#[derive(Debug)]
struct Flight {
    ask: Ask,
    waiters: Vec<Waiter>,
    started: Mono,
    /// The route that it is counted for.
    route: Option<usize>,
    /// The strategy at work.
    forward: Option<Forward>,
    /// The chain so far, when it is being continued.
    answer: Vec<Record>,
    authority: Vec<Record>,
    restarts: u32,
    /// Whether the cache holds an answer whose TTL has run out. It stays there, so that a flush takes it away.
    old: bool,
    /// As it stands among the deadlines.
    due: Mono,
}

impl Flight {
    fn new(now: Mono, ask: Ask, waiter: Waiter, way: Option<(usize, Forward)>, old: bool) -> Flight {
        let (route, forward) = way.unzip();
        Flight {
            ask,
            waiters: vec![waiter],
            started: now,
            route,
            forward,
            answer: Vec::new(),
            authority: Vec::new(),
            restarts: 0,
            old,
            due: now,
        }
    }

    /// The chain so far with its last part.
    fn whole(&mut self, last: Answer) -> Answer {
        let mut answer = std::mem::take(&mut self.answer);
        let mut authority = std::mem::take(&mut self.authority);
        answer.extend(last.answer);
        authority.extend(last.authority);
        Answer { answer, authority, ..last }
    }

    /// When the waiters get the old answer.
    fn stale_due(&self) -> Option<Mono> {
        (self.old && !self.waiters.is_empty()).then(|| self.started + STALE_AFTER)
    }

    /// Gives the waiters the old answer when its time has come.
    fn serve_stale(&mut self, now: Mono, cache: &Cache, admission: &mut Admission) -> Option<Event> {
        self.stale_due().filter(|&due| due <= now)?;
        // The flight goes on, and says soon how long it is to be.
        let entry = cache.revive(now, &self.ask, RECHECK);
        self.old = entry.is_some();
        self.answer_stale(now, entry?, admission)
    }

    fn answer_stale(&mut self, now: Mono, entry: Arc<Entry>, admission: &mut Admission) -> Option<Event> {
        let waiters = admission.release(std::mem::take(&mut self.waiters));
        let (ask, took) = (self.ask.clone(), now.since(self.started));
        (!waiters.is_empty()).then_some(Event::Answered {
            ask,
            waiters,
            entry,
            from: None,
            took,
            stale: true,
        })
    }
}

#[cfg(test)]
mod tests;
