//! A schedule of probes: many servers, many zones, each asked at its own pace.
//!
//! ```text
//!            published: the server's serial is not the new one
//!   Steady ------------------------------------------------------> Quick: 10 ms, 20 ms, 40 ms ... 1 s
//!  every 10 s <---------------------------------------------------
//!            it shows that serial or a newer one, or ten minutes have passed
//! ```
//!
//! A server is asked about a zone once at a time. How many questions are on their way in all is bounded; what is due
//! beyond that waits a little. A server that says nothing is asked about one of its zones at a time, every few seconds: the others
//! would keep those that answer waiting, and are as silent as that one. When it answers, it is asked about all of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::ask::exchange::{Arrival, Outbox, Token};
use crate::ask::question::Call;
use crate::ask::support::Support;
use crate::time::{Mono, Now};
use crate::wire::name::{Name, NameRef};
use crate::zone::serial::Serial;

use super::observation::Ask;
use super::observe::{Event, PATIENCE, Probe};

/// Pairs of server and zone at most: with ten seconds between questions these are 6,600 questions a second.
pub const MAX_TARGETS: usize = 65_536;
/// Probes on their way at once; each has at most one socket per datagram or connection.
const MAX_PROBES: usize = 256;
/// How long a probe that is due waits when there are that many.
const CROWDED: Duration = Duration::from_millis(20);
/// For how long a server is asked quickly after a publication. One that has not followed by then is broken or far behind,
/// and the steady pace finds out when it recovers.
const QUICK_FOR: Duration = Duration::from_secs(600);

/// The first pause after a server has said nothing...
const SILENT: Duration = Duration::from_secs(1);
/// ...and each one after that: one question costs little, and who comes back is to be seen soon.
const STILL_SILENT: Duration = Duration::from_secs(2);

/// Probes about one zone that may come to nothing in a row while the server answers those about others, before that is told of.
const LOST: u32 = 2;

/// How often to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two questions to a server about a zone, less a jitter of up to a tenth.
    pub interval: Duration,
    /// From a publication to the first question; each pause after it is twice as long.
    pub quick: Duration,
    /// The longest pause until the new serial is seen.
    pub quick_most: Duration,
    /// How long an answer is waited for after each sending.
    pub patience: &'static [Duration],
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            interval: Duration::from_secs(10),
            quick: Duration::from_millis(10),
            quick_most: Duration::from_secs(1),
            patience: PATIENCE,
        }
    }
}

/// Probes of many servers.
#[derive(Debug)]
pub struct Watch {
    pace: Pace,
    rng: StdRng,
    support: Support,
    next_key: u64,
    targets: HashMap<u64, Target>,
    /// The targets by zone: there may be very many zones, with a few servers each.
    keys: HashMap<Name, BTreeMap<SocketAddr, u64>>,
    servers: HashMap<SocketAddr, Server>,
    flights: HashMap<Token, u64>,
    /// One deadline per target: that of its probe, or of its next one.
    due: BTreeSet<(Mono, u64)>,
    probes: usize,
}

#[derive(Debug)]
struct Target {
    ask: Ask,
    due: Mono,
    probe: Option<Probe>,
    /// When the last probe began; before the first one, when this began to be watched.
    began: Mono,
    /// When the first probe began.
    asked: Option<Mono>,
    /// How many probes in a row came to nothing while the server answered others.
    lost: u32,
    shown: Option<Serial>,
    quick: Option<Quick>,
}

/// What is asked of one server.
#[derive(Debug, Default)]
struct Server {
    keys: BTreeSet<u64>,
    /// When it was asked first, about any of them.
    asked: Option<Mono>,
    /// When it said anything last.
    answered: Option<Mono>,
    silence: Option<Silence>,
}

/// A server said nothing when it was asked last.
#[derive(Clone, Copy, Debug)]
struct Silence {
    /// When it may be asked again.
    until: Mono,
    /// About which zone it is being asked.
    probe: Option<u64>,
}

impl Target {
    /// Whether the server has shown this version or a newer one.
    fn has(&self, serial: Serial) -> bool {
        self.shown.is_some_and(|shown| shown.covers(serial))
    }
}

/// A publication that a server has not shown yet.
#[derive(Clone, Copy, Debug)]
struct Quick {
    serial: Serial,
    pause: Duration,
    until: Mono,
}

impl Watch {
    /// Watches nothing yet. `seed`: of message ids and jitter.
    pub fn new(pace: Pace, seed: u64) -> Watch {
        Watch {
            pace,
            rng: StdRng::seed_from_u64(seed),
            support: Support::default(),
            next_key: 0,
            targets: HashMap::new(),
            keys: HashMap::new(),
            servers: HashMap::new(),
            flights: HashMap::new(),
            due: BTreeSet::new(),
            probes: 0,
        }
    }

    /// Begins to ask a server about a zone, at once; an older question for the same pair is replaced. `false` when there
    /// are [`MAX_TARGETS`] already.
    pub fn insert(&mut self, now: Now, ask: Ask, out: &mut Outbox) -> bool {
        self.remove(&ask.zone, ask.server, out);
        if self.targets.len() >= MAX_TARGETS {
            return false;
        }
        let key = self.next_key;
        self.next_key += 1;
        self.keys.entry(ask.zone.clone()).or_default().insert(ask.server, key);
        self.servers.entry(ask.server).or_default().keys.insert(key);
        self.due.insert((now.mono, key));
        let target = Target {
            ask,
            due: now.mono,
            probe: None,
            began: now.mono,
            asked: None,
            lost: 0,
            shown: None,
            quick: None,
        };
        self.targets.insert(key, target);
        true
    }

    /// Ends asking a server about a zone.
    pub fn remove(&mut self, zone: &NameRef, server: SocketAddr, out: &mut Outbox) {
        let Some(servers) = self.keys.get_mut(zone) else { return };
        let Some(key) = servers.remove(&server) else { return };
        if servers.is_empty() {
            self.keys.remove(zone);
        }
        self.land(key, out);
        if let Some(target) = self.targets.remove(&key) {
            self.due.remove(&(target.due, key));
        }
        if let Some(known) = self.servers.get_mut(&server) {
            known.keys.remove(&key);
            if let Some(silence) = &mut known.silence {
                silence.probe = silence.probe.filter(|probe| *probe != key);
            }
            if known.keys.is_empty() {
                self.servers.remove(&server);
            }
        }
    }

    /// Since when a server's answer about a zone has been waited for; `None` while it is still to be asked. One that answers nothing is as
    /// silent about the zones that it has not been asked about yet.
    pub fn asked(&self, zone: &NameRef, server: SocketAddr) -> Option<Mono> {
        let target = self.keys.get(zone).and_then(|servers| self.targets.get(servers.get(&server)?))?;
        target.asked.or_else(|| {
            let server = self.servers.get(&server)?;
            let is_away = server.silence.is_some() || server.answered.is_none();
            server.asked.filter(|_| is_away).map(|asked| asked.max(target.began))
        })
    }

    /// The pairs that are watched, in no order.
    pub fn asks(&self) -> impl Iterator<Item = &Ask> {
        self.targets.values().map(|target| &target.ask)
    }

    /// Sets another pace, from the next question to each server on.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// Changes whose successors' stamps a server is asked for.
    pub fn set_have(&mut self, zone: &NameRef, server: SocketAddr, have: Option<Serial>) {
        let key = self.keys.get(zone).and_then(|servers| servers.get(&server));
        if let Some(target) = key.and_then(|key| self.targets.get_mut(key)) {
            target.ask.have = have;
        }
    }

    /// A version of a zone was published: its servers are asked quickly until they show it.
    pub fn published(&mut self, now: Now, zone: &NameRef, serial: Serial) {
        let Some(servers) = self.keys.get(zone) else { return };
        let keys: Vec<u64> = servers.values().copied().collect();
        for key in keys {
            if self.targets.get(&key).is_none_or(|target| target.has(serial)) {
                continue;
            }
            let pause = self.jittered(self.pace.quick);
            let Some(target) = self.targets.get_mut(&key) else { continue };
            target.quick = Some(Quick { serial, pause: self.pace.quick, until: now.mono + QUICK_FOR });
            if target.probe.is_none() {
                let due = target.due.min(now.mono + pause);
                self.schedule(key, due);
            }
        }
    }

    /// Takes in what came back; tokens of others are ignored.
    pub fn arrival(&mut self, now: Now, token: Token, arrival: Arrival, out: &mut Outbox) -> Vec<Event> {
        let Some(&key) = self.flights.get(&token) else { return Vec::new() };
        let Some(probe) = self.targets.get_mut(&key).and_then(|target| target.probe.as_mut()) else {
            return Vec::new();
        };
        let call = &mut Call { now, rng: &mut self.rng, support: &mut self.support, out };
        let event = probe.arrived(token, &arrival, call);
        self.after(now, key, event, out)
    }

    /// Asks whom it is time to ask.
    pub fn handle_timeout(&mut self, now: Now, out: &mut Outbox) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(&(due, key)) = self.due.first() {
            if due > now.mono {
                break;
            }
            let Some(target) = self.targets.get_mut(&key) else { break };
            let call = &mut Call { now, rng: &mut self.rng, support: &mut self.support, out };
            match &mut target.probe {
                Some(probe) => {
                    let event = probe.handle_timeout(call);
                    events.extend(self.after(now, key, event, out));
                }
                None if self.probes >= MAX_PROBES => self.schedule(key, now.mono + CROWDED),
                None => {
                    let server = self.servers.entry(target.ask.server).or_default();
                    if let Some(silence) = &mut server.silence {
                        if silence.probe.is_some() || silence.until > now.mono {
                            let due = silence.until.max(now.mono + SILENT.min(self.pace.interval));
                            self.schedule(key, due);
                            continue;
                        }
                        silence.probe = Some(key);
                    }
                    server.asked.get_or_insert(now.mono);
                    target.asked.get_or_insert(now.mono);
                    target.began = now.mono;
                    let ask = target.ask.clone();
                    target.probe = Some(Probe::start(ask, self.pace.patience, call));
                    self.probes += 1;
                    self.after(now, key, None, out);
                }
            }
        }
        events
    }

    /// When [`Watch::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<Mono> {
        self.due.first().map(|&(due, _)| due)
    }

    /// Books what a step of a probe changed: its open exchanges, and when it or the next one is due.
    fn after(&mut self, now: Now, key: u64, event: Option<Event>, out: &mut Outbox) -> Vec<Event> {
        let Some(target) = self.targets.get_mut(&key) else { return Vec::new() };
        let Some(event) = event else {
            let Some(probe) = target.probe.as_ref() else { return Vec::new() };
            // A probe without an event has a wait left.
            let due = probe.next_timeout().unwrap_or(now.mono + self.pace.interval);
            // An objection to EDNS replaces the open exchanges; a token that stays behind leads nowhere and goes with the probe.
            self.flights.extend(probe.tokens().map(|token| (token, key)));
            self.schedule(key, due);
            return Vec::new();
        };
        if let Event::Seen(observation) = &event
            && let Some(serial) = observation.serial
        {
            target.shown = Some(serial);
        }
        let began = target.began;
        if self.is_lost(key, &event) {
            self.land(key, out);
            self.schedule(key, now.mono + SILENT.min(self.pace.interval));
            return Vec::new();
        }
        let Some(target) = self.targets.get_mut(&key) else { return Vec::new() };
        let due = match &mut target.quick {
            Some(quick)
                if target.shown.is_some_and(|shown| shown.covers(quick.serial))
                    || quick.until <= now.mono =>
            {
                target.quick = None;
                None
            }
            Some(quick) => {
                let pause = quick.pause;
                quick.pause = (pause * 2).min(self.pace.quick_most);
                Some(pause)
            }
            None => None,
        };
        let pause = due.unwrap_or(self.pace.interval).min(self.pace.interval);
        let due = (began + self.jittered(pause)).max(now.mono + Duration::from_millis(1));
        self.land(key, out);
        self.schedule(key, due);
        let others = self.heard(now, key, &event);
        [event].into_iter().chain(others).collect()
    }

    /// Whether a probe that nothing came of says of its datagrams that they were lost, and not of the server that it is silent: that has
    /// answered others since. A few times in a row.
    fn is_lost(&mut self, key: u64, event: &Event) -> bool {
        let Some(target) = self.targets.get_mut(&key) else { return false };
        let answered = self.servers.get(&target.ask.server).and_then(|server| server.answered);
        let is_lost = event.is_silence() && answered >= Some(target.began) && target.lost < LOST;
        target.lost = if is_lost { target.lost + 1 } else { 0 };
        is_lost
    }

    /// Takes note of whether a server said anything when it was asked about one of its zones; what follows for the others.
    fn heard(&mut self, now: Now, key: u64, event: &Event) -> Vec<Event> {
        let Some(target) = self.targets.get(&key) else { return Vec::new() };
        let (address, began) = (target.ask.server, target.began);
        let Some(server) = self.servers.get_mut(&address) else { return Vec::new() };
        if !event.is_silence() {
            server.answered = Some(now.mono);
            if server.silence.take().is_some() {
                self.support.forget_silence(address);
                let others: Vec<u64> = server.keys.iter().copied().filter(|other| *other != key).collect();
                for other in others {
                    if self.targets.get(&other).is_some_and(|target| target.probe.is_none()) {
                        self.schedule(other, now.mono);
                    }
                }
            }
            return Vec::new();
        }
        if server.answered >= Some(began) {
            // About this zone alone.
            return Vec::new();
        }
        let longest = self.pace.interval;
        match &mut server.silence {
            // Others were on their way already.
            Some(silence) if silence.probe != Some(key) => Vec::new(),
            Some(silence) => {
                (silence.until, silence.probe) = (now.mono + STILL_SILENT.min(longest), None);
                let until = silence.until;
                self.schedule(key, until);
                Vec::new()
            }
            silence => {
                let until = now.mono + SILENT.min(longest);
                *silence = Some(Silence { until, probe: None });
                let others = server.keys.iter().filter(|other| **other != key);
                let asks = others.filter_map(|other| self.targets.get(other)).map(|target| &target.ask);
                let events = asks.map(|ask| event.about(&ask.zone)).collect();
                self.schedule(key, until);
                events
            }
        }
    }

    /// Ends a target's probe and its exchanges.
    fn land(&mut self, key: u64, out: &mut Outbox) {
        let Some(mut probe) = self.targets.get_mut(&key).and_then(|target| target.probe.take()) else {
            return;
        };
        probe.stop(out);
        self.probes -= 1;
        self.flights.retain(|_, flight| *flight != key);
    }

    fn schedule(&mut self, key: u64, due: Mono) {
        let Some(target) = self.targets.get_mut(&key) else { return };
        self.due.remove(&(target.due, key));
        target.due = due;
        self.due.insert((due, key));
    }

    /// Up to a tenth less, so that many targets do not stay in step.
    fn jittered(&mut self, pause: Duration) -> Duration {
        pause.mul_f64(self.rng.random_range(0.9..=1.0))
    }
}

#[cfg(test)]
mod tests;
