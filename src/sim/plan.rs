//! Scenarios: by hand for a test with a name, or at random from a seed.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::time::Mono;
use crate::transfer::provide::MESSAGE_BYTES;
use crate::zone::serial::{Policy, Serial};

use super::content::{Content, HOSTS};
use super::host::{HostPlan, Role};
use super::net::Weather;

/// What happens to the world at some moment. Hosts are named by their index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The zone file is written, with another number.
    Edit(Edit),
    /// A host crashes.
    Crash(usize),
    /// A host crashes when it writes to its disk next, and boots so much later.
    CrashInWrite(usize, Duration),
    /// A host's process ends, with its power or without, and its journal is gone.
    LoseJournal(usize, bool),
    /// A frame of a host's journal goes bad that was synced: the one with so many behind it that were.
    Rot(usize, usize),
    /// A host's system writes down by itself what was written to the floors, as it does with any file sooner or later.
    WriteBack(usize),
    /// A host boots, unless it runs.
    Boot(usize),
    /// Packets from the first host do not reach the second one any more.
    Cut(usize, usize),
    /// They do again.
    Mend(usize, usize),
    /// The network behaves otherwise.
    Weather(Weather),
    /// A host's disk is full, or not any more.
    Full(usize, bool),
    /// A host's civil clock is set, by so many microseconds.
    Clock(usize, i64),
    /// A client asks a cache for a canary.
    Ask(usize, usize),
    /// All that was broken is mended.
    Calm,
}

/// How a zone file is edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// What is added to the serial in the file; nothing when it is forgotten, and something enormous when it is set back.
    pub serial: u32,
    /// The first and the number of other names that come or go.
    pub hosts: (u16, u16),
}

/// A scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What all else that is random follows from.
    pub seed: u64,
    /// The hosts; the first one is the primary.
    pub hosts: Vec<HostPlan>,
    /// The zone file at the start.
    pub content: Content,
    /// What happens, in order.
    pub actions: Vec<(Mono, Action)>,
    /// From when on nothing goes wrong and nothing is edited.
    pub quiet: Mono,
}

/// A moment in seconds.
pub fn seconds(at: f64) -> Mono {
    Mono((at * 1e6) as u64)
}

/// A host like most.
pub fn host(role: Role, notify: &[usize]) -> HostPlan {
    HostPlan {
        role,
        notify: notify.to_vec(),
        watch: Vec::new(),
        lease: None,
        skew: 0,
        message_bytes: MESSAGE_BYTES,
    }
}

impl Plan {
    /// A scenario in which nothing happens, with timers REFRESH, RETRY, EXPIRE and a TTL in seconds.
    pub fn new(seed: u64, hosts: Vec<HostPlan>, timers: [u32; 3], ttl: u32) -> Plan {
        let [refresh, retry, expire] = timers;
        let content = Content {
            number: 0,
            serial: Serial(1),
            timers: [refresh, retry, expire, ttl],
            ttl,
            hosts: (0..10).collect(),
            is_signed: false,
        };
        Plan { seed, hosts, content, actions: Vec::new(), quiet: Mono(0) }
    }

    /// Lets something happen at a moment, in seconds.
    pub fn at(mut self, at: f64, action: Action) -> Plan {
        self.actions.push((seconds(at), action));
        self
    }

    /// How long after the last fault everything is the same everywhere, at the latest.
    pub fn settling(&self) -> Duration {
        let [refresh, retry, ..] = self.content.timers;
        // Each host down a chain may sit in its longest pause when the one above it gets well.
        let hop = u64::from(refresh.max(retry)).max(60) + 10;
        Duration::from_secs(hop * self.depth() as u64 + 60)
    }

    /// How many hosts a change passes at most.
    fn depth(&self) -> usize {
        self.hosts.iter().filter(|host| matches!(host.role, Role::Secondary(_))).count().clamp(1, 4)
    }

    /// A random scenario.
    pub fn random(seed: u64) -> Plan {
        let mut rng = StdRng::seed_from_u64(seed);
        let hosts = hosts(&mut rng);
        let (refresh, retry) = (rng.random_range(3..40), rng.random_range(1..10));
        let expire = refresh + retry + rng.random_range(5..200);
        let ttl = rng.random_range(1..20);
        let start = match rng.random_range(0..3) {
            0 => u32::MAX - rng.random_range(0..6),
            1 => 0x7fff_ffff - rng.random_range(0..3),
            _ => rng.random_range(0..1_000),
        };
        let mut plan = Plan::new(seed, hosts, [refresh, retry, expire], ttl);
        plan.content.serial = Serial(start);
        let names = rng.random_range(0..HOSTS / 4);
        plan.content.hosts = (0..names).map(|_| rng.random_range(0..HOSTS)).collect();
        plan.content.is_signed = rng.random_ratio(1, 6);
        plan.quiet = seconds(rng.random_range(60.0..240.0));
        plan.edits(&mut rng);
        plan.faults(&mut rng);
        plan.losses(&mut rng);
        plan.questions(&mut rng);
        plan.actions.push((plan.quiet, Action::Calm));
        plan.actions.sort_by_key(|(at, _)| *at);
        plan
    }

    fn edits(&mut self, rng: &mut StdRng) {
        let mut at = 1.0;
        // Large steps of the serial must not add up to 2^31, beyond which serials have no order.
        let mut leaps = 0;
        loop {
            at += rng.random_range(0.5..25.0);
            let burst = if rng.random_range(0..5) == 0 { rng.random_range(2..20) } else { 1 };
            for _ in 0..burst {
                at += if burst > 1 { rng.random_range(0.0..0.2) } else { 0.0 };
                if seconds(at) >= self.quiet {
                    return;
                }
                let serial = match rng.random_range(0..20) {
                    0..3 => 0,
                    3 => u32::MAX - rng.random_range(0..50),
                    4 if leaps < 3 => {
                        leaps += 1;
                        rng.random_range(1..1 << 20)
                    }
                    _ => rng.random_range(1..4),
                };
                let many = if rng.random_range(0..6) == 0 {
                    rng.random_range(0..HOSTS)
                } else {
                    rng.random_range(0..6)
                };
                let edit = Edit { serial, hosts: (rng.random_range(0..HOSTS), many) };
                self.actions.push((seconds(at), Action::Edit(edit)));
            }
        }
    }

    fn faults(&mut self, rng: &mut StdRng) {
        let end = self.quiet.0 as f64 / 1e6;
        let count = self.hosts.len();
        // Some worlds are calm, some are wild.
        let faults = [0, 3, 10, 30][rng.random_range(0..4)];
        let clocks = rng.random_range(0..4) == 0;
        for _ in 0..faults {
            let at = rng.random_range(0.0..end);
            let lasts = if rng.random_range(0..3) == 0 { 90.0 } else { 15.0 } * rng.random_range(0.01..1.0);
            let (one, other) = (rng.random_range(0..count), rng.random_range(0..count));
            let mut add = |at: f64, action| self.actions.push((seconds(at), action));
            match rng.random_range(0..8) {
                0 => {
                    add(at, Action::Crash(one));
                    add(at + lasts, Action::Boot(one));
                }
                1 => add(at, Action::CrashInWrite(one, Duration::from_secs_f64(lasts))),
                2 => {
                    add(at, Action::Cut(one, other));
                    add(at + lasts, Action::Mend(one, other));
                }
                3 => {
                    for (from, to) in [(one, other), (other, one)] {
                        add(at, Action::Cut(from, to));
                        add(at + lasts, Action::Mend(from, to));
                    }
                }
                4 => {
                    for others in (0..count).filter(|&others| others != one) {
                        for (from, to) in [(one, others), (others, one)] {
                            add(at, Action::Cut(from, to));
                            add(at + lasts, Action::Mend(from, to));
                        }
                    }
                }
                5 => {
                    add(at, Action::Full(one, true));
                    add(at + lasts, Action::Full(one, false));
                }
                6 if clocks => add(at, Action::Clock(one, rng.random_range(-60_000_000..60_000_000))),
                _ => {
                    add(at, Action::Weather(weather(rng)));
                    add(at + lasts, Action::Weather(Weather::CALM));
                }
            }
        }
        // What ends after the quiet began has been ended by it; `Calm` comes after all of it.
        self.actions.retain(|(at, _)| *at < self.quiet);
    }

    /// Whether the primary may give its versions serials of its own.
    pub fn numbers_on(&self) -> bool {
        self.hosts[0].role != Role::Primary(Policy::Keep) && !self.content.is_signed
    }

    /// The primary's journal may be lost, once: where it may number on by itself, it has to be above all that it ever served.
    fn losses(&mut self, rng: &mut StdRng) {
        if self.numbers_on() && rng.random_ratio(1, 6) {
            let (at, lasts) = (rng.random_range(0.0..self.quiet.0 as f64 / 1e6), rng.random_range(0.01..5.0));
            self.actions.push((seconds(at), Action::LoseJournal(0, rng.random())));
            self.actions.push((seconds(at + lasts), Action::Boot(0)));
            self.actions.retain(|(at, _)| *at < self.quiet);
        }
    }

    fn questions(&mut self, rng: &mut StdRng) {
        for (index, host) in self.hosts.iter().enumerate() {
            if !matches!(host.role, Role::Cache { .. }) {
                continue;
            }
            let mut at = rng.random_range(0.0..3.0);
            while seconds(at) < self.quiet {
                self.actions.push((seconds(at), Action::Ask(index, rng.random_range(0..3))));
                at += rng.random_range(0.1..4.0);
            }
        }
    }
}

/// A primary, a tree of secondaries (some with two primaries), and caches behind some of them.
fn hosts(rng: &mut StdRng) -> Vec<HostPlan> {
    let policy = [Policy::Increment, Policy::Unixtime, Policy::Date, Policy::Keep][rng.random_range(0..4)];
    let secondaries = rng.random_range(2..=6);
    let mut hosts = vec![host(Role::Primary(policy), &[])];
    for index in 1..=secondaries {
        let chained = index > 1 && rng.random_range(0..2) == 0;
        let first = if chained { rng.random_range(1..index) } else { 0 };
        let mut from = vec![first];
        if rng.random_range(0..4) == 0 {
            let second = rng.random_range(0..index);
            if second != first {
                from.push(second);
            }
        }
        for &upstream in &from {
            hosts[upstream].notify.push(index);
        }
        hosts.push(host(Role::Secondary(from), &[]));
    }
    // Somebody may watch all of them from one place: the primary mostly, as it knows the truth first.
    let watcher = rng.random_range(0..3).min(secondaries) * rng.random_range(0..2);
    hosts[watcher].watch = (0..=secondaries).filter(|&other| other != watcher).collect();
    for index in 0..rng.random_range(1..=2) {
        let behind_cache = index > 0 && rng.random_range(0..3) == 0;
        let role = if behind_cache {
            Role::Cache { upstreams: vec![secondaries + 1], recursive: true }
        } else {
            let upstreams: BTreeSet<usize> =
                (0..rng.random_range(1..4)).map(|_| rng.random_range(0..=secondaries)).collect();
            Role::Cache { upstreams: upstreams.into_iter().collect(), recursive: false }
        };
        hosts.push(host(role, &[]));
    }
    for host in &mut hosts {
        host.skew = if rng.random_range(0..2) == 0 { 0 } else { rng.random_range(-10_000_000..10_000_000) };
        host.message_bytes = [300, 1_500, MESSAGE_BYTES][rng.random_range(0..3)];
        host.lease =
            [None, Some(Duration::from_secs(1)), Some(Duration::from_secs(10))][rng.random_range(0..3)];
    }
    hosts
}

fn weather(rng: &mut StdRng) -> Weather {
    let mut share = |most: u32| if rng.random_range(0..2) == 0 { 0 } else { rng.random_range(0..most) };
    let (loss, duplicated, straggling) = (share(600), share(300), share(300));
    let (broken, silent) = (share(200), share(1_000));
    Weather {
        fastest: Duration::from_micros(rng.random_range(100..100_000)),
        jitter: Duration::from_micros(rng.random_range(100..200_000)),
        loss,
        duplicated,
        straggling,
        broken,
        silent,
    }
}
