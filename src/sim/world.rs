//! The world: hosts, the network between them, and a queue of what happens next, in virtual time.
//!
//! Everything has one order: by moment, then by when it was put in the queue; a host's timers come after what has been queued
//! for the same moment, lower hosts first.
//!
//! Long because all that can happen stands in one queue and is carried out in one place, which is what makes a seed repeatable.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::ask::exchange::Arrival;
use crate::node::event::{Event, Input};
use crate::node::status::{Ask, From, Page};
use crate::publish::job::Job;
use crate::publish::journal::group::Placed;
use crate::publish::journal::order::Task;
use crate::time::Mono;
use crate::zone::serial::Serial;

use super::check::{Oracle, Violation};
use super::content::{Content, HOSTS, apex};
use super::host::{Back, Driver, Host, Role, address};
use super::net::{Net, Weather};
use super::plan::{Action, Edit, Plan};
use super::trace::Trace;

use traffic::Connection;

/// How often everything that hosts say of themselves is checked, besides whenever something changed.
const LOOK: Duration = Duration::from_secs(5);
/// What has been the same everywhere for so long is taken to stay so.
const AGREED: Duration = Duration::from_secs(30);
/// Things that may happen in one virtual second in the wildest world; more means that some go round in circles.
const MOST_PER_SECOND: u32 = 50_000;

/// What will happen at some moment.
enum Happening {
    /// An action of the plan.
    Act(Action),
    /// A datagram arrives with a request.
    Request { to: usize, back: Back, bytes: Vec<u8> },
    /// Something arrives for an exchange.
    Arrival { back: Back, arrival: Arrival },
    /// A client's connection gets through, or is tried again.
    Connect { connection: u64, tries: u32 },
    /// A server's connection may send its next message.
    Stream { connection: u64 },
    /// A host's job is done.
    Job { host: usize, life: u32, job: Job },
    /// A large content is written down.
    Content { host: usize, life: u32, task: Box<Task> },
    /// A host's journal has synced what it wrote.
    Synced { host: usize, life: u32, tickets: Vec<u64>, placed: Vec<Placed> },
    /// Everything is looked at.
    Look,
}

/// What came of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// One number for all that happened.
    pub hash: u64,
    /// Things that happened.
    pub steps: u64,
    /// Versions published.
    pub versions: usize,
    /// Messages that arrived.
    pub messages: u64,
    /// Transfers given, whole and incremental.
    pub transfers: [u64; 2],
    /// Crashes.
    pub crashes: u64,
    /// Expiries.
    pub expiries: u64,
    /// Questions put to caches, and how many of them were answered with an old answer.
    pub answers: [u64; 2],
    /// From the last fault until everything was the same everywhere.
    pub settled: Duration,
}

/// A scenario being played.
pub struct World {
    plan: Plan,
    now: Mono,
    queue: BTreeMap<(Mono, u64), Happening>,
    sequence: u64,
    rng: StdRng,
    net: Net,
    hosts: Vec<Host>,
    connections: BTreeMap<u64, Connection>,
    file: Content,
    oracle: Oracle,
    trace: Trace,
    summary: Summary,
    /// The virtual second, and what happened in it.
    pace: (u64, u32),
    /// What a client was last told by each cache.
    told: BTreeMap<usize, u32>,
    /// Since when everything is the same everywhere.
    agreed: Option<Mono>,
}

impl World {
    /// Boots all hosts of a scenario; `keep` keeps the lines of the trace.
    pub fn new(plan: Plan, keep: bool) -> Result<World, Violation> {
        let hosts: Vec<Host> =
            plan.hosts.iter().enumerate().map(|(index, host)| Host::new(index, host.clone())).collect();
        let mut world = World {
            now: Mono(0),
            queue: BTreeMap::new(),
            sequence: 0,
            rng: StdRng::seed_from_u64(plan.seed ^ 0x5eed),
            net: Net::new(plan.seed ^ 0xaa),
            oracle: Oracle::new(hosts.len()),
            hosts,
            connections: BTreeMap::new(),
            file: plan.content.clone(),
            trace: Trace::new(keep),
            summary: Summary::default(),
            pace: (0, 0),
            told: BTreeMap::new(),
            agreed: None,
            plan,
        };
        world.write_file();
        let actions = world.plan.actions.clone();
        actions.into_iter().for_each(|(at, action)| world.schedule(at, Happening::Act(action)));
        world.schedule(Mono(0) + LOOK, Happening::Look);
        (0..world.hosts.len()).try_for_each(|host| world.boot(host))?;
        Ok(world)
    }

    /// Plays a whole scenario, through the quiet at its end until everything must have settled.
    pub fn play(plan: Plan, keep: bool) -> (Trace, Result<Summary, Violation>) {
        let mut world = match World::new(plan, keep) {
            Ok(world) => world,
            Err(violation) => return (Trace::new(false), Err(violation)),
        };
        let result = world.finish();
        let summary = Summary { hash: world.trace.hash(), ..world.summary.clone() };
        (world.trace, result.map(|()| summary))
    }

    /// Goes on until a moment, in seconds from the start.
    pub fn run_until(&mut self, at: f64) -> Result<(), Violation> {
        self.run(super::plan::seconds(at))
    }

    /// The serial that a host serves.
    pub fn serial(&self, host: usize) -> Option<Serial> {
        self.hosts[host].version().map(|version| version.stamp.serial)
    }

    /// What a host says of itself; `None` while it is down.
    pub fn status(&self, host: usize) -> Option<Page> {
        let host = &self.hosts[host];
        host.running.as_ref().map(|running| running.node.page(host.now(self.now), everything()))
    }

    /// What a client was told last by a cache.
    pub fn told(&self, cache: usize) -> Option<u32> {
        self.told.get(&cache).copied()
    }

    /// What the canaries of the newest version hold.
    pub fn newest(&self) -> Option<u32> {
        self.oracle.head().map(|head| head.number)
    }

    /// What came of it until now.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Does something now.
    pub fn act(&mut self, action: Action) -> Result<(), Violation> {
        self.trace.note(self.now, || format!("{action:?}"));
        match action {
            Action::Edit(edit) => self.edit(edit),
            Action::Crash(host) => {
                self.kill(host);
                Ok(())
            }
            Action::CrashInWrite(host, later) => {
                if self.hosts[host].running.is_some() {
                    self.hosts[host].disk.armed = true;
                    // Boots again also when it never wrote anything: then this changes nothing.
                    self.schedule(self.now + later, Happening::Act(Action::Boot(host)));
                }
                Ok(())
            }
            Action::Boot(host) => self.boot(host),
            Action::Cut(from, to) => {
                self.net.cut(from, to);
                Ok(())
            }
            Action::Mend(from, to) => {
                self.net.mend(from, to);
                Ok(())
            }
            Action::Weather(weather) => {
                self.net.set_weather(weather);
                Ok(())
            }
            Action::Full(host, full) => {
                self.hosts[host].disk.full = full;
                Ok(())
            }
            Action::Clock(host, step) => {
                self.hosts[host].plan.skew += step;
                self.oracle.lost_time();
                Ok(())
            }
            Action::Ask(cache, canary) => self.ask(cache, canary),
            Action::Calm => {
                self.net.mend_all();
                self.net.set_weather(Weather::CALM);
                for host in 0..self.hosts.len() {
                    self.hosts[host].disk.full = false;
                    self.hosts[host].disk.armed = false;
                    self.boot(host)?;
                }
                self.agreed = None;
                self.compare();
                Ok(())
            }
        }
    }

    /// Plays the plan to its end, and judges how it ended.
    fn finish(&mut self) -> Result<(), Violation> {
        let quiet = self.plan.quiet;
        let latest = quiet + self.plan.settling();
        self.run(quiet)?;
        while self.now < latest && self.agreed.is_none_or(|since| self.now.since(since) < AGREED) {
            self.run(self.now + LOOK)?;
        }
        self.converged()?;
        self.summary.settled = self.agreed.unwrap_or(self.now).since(quiet);
        self.rest()?;
        // Nothing that a cache holds is older than its TTL now, through two caches and with what a question takes.
        let caches: Vec<usize> = self.caches().collect();
        for &cache in &caches {
            self.act(Action::Ask(cache, 0))?;
        }
        self.run(self.now + LOOK)?;
        for cache in caches {
            let (told, newest) = (self.told(cache), self.newest());
            if told != newest {
                let what = format!("answers {told:?} long after {newest:?} was everywhere");
                return Err(Violation { at: self.now, host: cache, what });
            }
        }
        self.converged()
    }

    /// Everybody serves what the primary published last.
    fn converged(&self) -> Result<(), Violation> {
        let wanted = self.oracle.head().map(|head| (head.serial, head.digest));
        if wanted.is_none() {
            return Err(Violation { at: self.now, host: 0, what: "nothing was ever published".to_owned() });
        }
        for host in self.hosts.iter().filter(|host| host.is_authoritative()) {
            let shown = host.version().map(|it| (it.stamp.serial, it.snapshot.digest()));
            if shown != wanted {
                let what = format!("did not converge: serves {shown:?}, the primary published {wanted:?}");
                return Err(Violation { at: self.now, host: host.index, what });
            }
        }
        Ok(())
    }

    /// Where nothing changes, little is said: a bound on messages in a while of rest.
    fn rest(&mut self) -> Result<(), Violation> {
        let before = self.summary.messages;
        let span = 60 + 2 * u64::from(self.plan.content.ttl);
        self.run(self.now + Duration::from_secs(span))?;
        let messages = self.summary.messages - before;
        let pairs: usize = self
            .plan
            .hosts
            .iter()
            .map(|host| {
                let pulls = if let Role::Secondary(from) = &host.role { from.len() } else { 0 };
                host.notify.len() + host.watch.len() + pulls
            })
            .sum();
        // A question and an answer for each pair, every two seconds at the shortest.
        let most = (pairs as u64 + 1) * (span + 10);
        if messages > most {
            let what =
                format!("{messages} messages in {span} quiet seconds between {pairs} pairs of servers");
            return Err(Violation { at: self.now, host: 0, what });
        }
        for host in &self.hosts {
            let open = host.running.as_ref().map_or(0, |running| running.open.len());
            if open > 2 * self.plan.hosts.len() {
                let what = format!("{open} exchanges are open in a time of rest");
                return Err(Violation { at: self.now, host: host.index, what });
            }
        }
        Ok(())
    }

    fn caches(&self) -> impl Iterator<Item = usize> {
        self.hosts.iter().filter(|host| !host.is_authoritative()).map(|host| host.index)
    }

    fn run(&mut self, until: Mono) -> Result<(), Violation> {
        while self.step(until)? {}
        self.now = until;
        Ok(())
    }

    /// Lets the next thing happen; `false` when it comes after `until`.
    fn step(&mut self, until: Mono) -> Result<bool, Violation> {
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        let timer =
            self.hosts.iter().filter_map(|host| Some((host.next_timeout()?.max(self.now), host.index))).min();
        let at = match (queued, timer) {
            (Some(queued), Some((timer, _))) => queued.min(timer),
            (queued, timer) => match queued.or(timer.map(|(at, _)| at)) {
                Some(at) => at,
                None => return Ok(false),
            },
        };
        if at > until {
            return Ok(false);
        }
        self.now = at;
        self.summary.steps += 1;
        self.keep_pace()?;
        if queued == Some(at) {
            if let Some((_, happening)) = self.queue.pop_first() {
                self.happen(happening)?;
            }
        } else if let Some((_, host)) = timer {
            self.trace.mix(self.now, &[1, host as u64], &[]);
            self.timeout(host)?;
        }
        Ok(true)
    }

    fn keep_pace(&mut self) -> Result<(), Violation> {
        let second = self.now.0 / 1_000_000;
        self.pace = if self.pace.0 == second { (second, self.pace.1 + 1) } else { (second, 1) };
        if self.pace.1 > MOST_PER_SECOND {
            let what = format!("more than {MOST_PER_SECOND} things happened within one second");
            return Err(Violation { at: self.now, host: 0, what });
        }
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        match happening {
            Happening::Act(action) => self.act(action),
            Happening::Request { to, back, bytes } => self.request(to, back, &bytes),
            Happening::Arrival { back, arrival } => self.arrival(back, arrival),
            Happening::Connect { connection, tries } => self.connect(connection, tries),
            Happening::Stream { connection } => self.stream(connection),
            Happening::Job { host, life, job } if self.lives(host, life) => {
                self.tell(host, Input::Prepared(job.run()))
            }
            Happening::Content { host, life, task } if self.lives(host, life) => self.content(host, *task),
            Happening::Synced { host, life, tickets, placed } if self.lives(host, life) => {
                self.synced(host, tickets, placed)
            }
            Happening::Job { .. } | Happening::Content { .. } | Happening::Synced { .. } => Ok(()),
            Happening::Look => {
                self.schedule(self.now + LOOK, Happening::Look);
                (0..self.hosts.len()).try_for_each(|host| self.look(host))
            }
        }
    }

    fn schedule(&mut self, at: Mono, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), happening);
    }

    fn timeout(&mut self, host: usize) -> Result<(), Violation> {
        let now = self.hosts[host].now(self.now);
        let Some(running) = self.hosts[host].running.as_mut() else { return Ok(()) };
        if running.group_due().is_some_and(|due| due <= now.mono) {
            return self.write(host);
        }
        if running.node.next_timeout().is_some_and(|due| due <= now.mono) {
            return self.tell(host, Input::Timeout);
        }
        if running.admission.next_timeout().is_some_and(|due| due <= now.mono) {
            self.carry_out(host, Driver::Node);
            return Ok(());
        }
        let Some(resolver) = &mut running.resolver else { return Ok(()) };
        let events = resolver.handle_timeout(now, &mut running.resolver_outbox);
        self.resolved(host, events)
    }

    fn boot(&mut self, host: usize) -> Result<(), Violation> {
        if self.hosts[host].running.is_some() {
            return Ok(());
        }
        let mut events = self.hosts[host].boot(self.now, self.plan.seed);
        self.trace.note(self.now, || format!("host {host} boots"));
        if let Some(version) = self.hosts[host].version().filter(|_| self.hosts[host].is_primary()) {
            // A version that was written before a crash is in the history, and makes those before it obsolete, though it may
            // never be served: the file may hold another by now.
            self.oracle.serves(self.now, host, true, Some(&version))?;
        }
        // A node reads its files before it listens.
        let input = self.file_input(host).unwrap_or(Input::Timeout);
        events.extend(self.hand(host, Some(input)));
        self.settle(host, events)
    }

    fn kill(&mut self, host: usize) {
        if self.hosts[host].running.take().is_none() {
            return;
        }
        self.summary.crashes += 1;
        self.trace.note(self.now, || format!("host {host} crashes"));
        let rng = &mut self.rng;
        self.hosts[host].disk.crash(|unsynced| rng.random_range(0..=unsynced));
        self.oracle.down(self.now, host);
        self.sever(host);
    }

    fn edit(&mut self, edit: Edit) -> Result<(), Violation> {
        self.file.number += 1;
        self.file.serial = Serial(self.file.serial.0.wrapping_add(edit.serial));
        let (first, many) = edit.hosts;
        for host in (first..first.saturating_add(many)).map(|host| host % HOSTS) {
            if !self.file.hosts.remove(&host) {
                self.file.hosts.insert(host);
            }
        }
        self.write_file();
        (0..self.hosts.len()).try_for_each(|host| self.read_file(host))
    }

    fn write_file(&mut self) {
        if let Some(snapshot) = self.file.snapshot() {
            self.oracle.written(&snapshot, self.file.number);
        }
    }

    fn read_file(&mut self, host: usize) -> Result<(), Violation> {
        match self.file_input(host) {
            Some(input) => self.tell(host, input),
            None => Ok(()),
        }
    }

    /// What the zone file says, for a host that has it.
    fn file_input(&self, host: usize) -> Option<Input> {
        let content = || self.file.snapshot().ok_or_else(|| "no zone".to_owned());
        self.hosts[host].is_primary().then(|| Input::Files(vec![(apex(), content())]))
    }

    fn lives(&self, host: usize, life: u32) -> bool {
        self.hosts[host].life == life && self.hosts[host].running.is_some()
    }

    /// Hands something to a host's node.
    fn tell(&mut self, host: usize, input: Input) -> Result<(), Violation> {
        if self.hosts[host].running.is_none() {
            return Ok(());
        }
        let events = self.hand(host, Some(input));
        self.settle(host, events)
    }

    fn hand(&mut self, host: usize, input: Option<Input>) -> Vec<Event> {
        let now = self.hosts[host].now(self.now);
        let Some(running) = &mut self.hosts[host].running else { return Vec::new() };
        let events =
            input.into_iter().flat_map(|input| running.node.handle(now, input, &mut running.effects));
        let events = events.collect();
        let first = *running.first.get_or_insert(running.node.submitted());
        running.is_ready |= running.node.is_settled(first);
        events
    }

    /// Does what the daemon does with a node's events, and checks what they say.
    fn settle(&mut self, host: usize, events: Vec<Event>) -> Result<(), Violation> {
        let at = self.now;
        let mut changed = false;
        if let Some(running) = self.hosts[host].running.as_mut().filter(|running| running.is_ready) {
            changed = !std::mem::replace(&mut running.listens, true);
        }
        for event in &events {
            self.trace.note(at, || format!("host {host}: {event:?}"));
            match event {
                Event::Confirmed { .. } => {
                    if let Role::Secondary(upstreams) = &self.plan.hosts[host].role {
                        self.oracle.inherits(host, upstreams);
                    }
                    self.freshness(host)?;
                }
                Event::Expired(_) => {
                    self.summary.expiries += 1;
                    self.oracle.expired(host);
                    changed = true;
                }
                Event::Published { .. } | Event::Added(_) | Event::Behind(..) => changed = true,
                Event::Observed { server, serial, propagation: Some(claimed), .. } => {
                    let seen = (0..self.hosts.len()).find(|&other| address(other) == *server);
                    let seen = seen.unwrap_or(usize::MAX);
                    self.oracle.propagation(at, host, seen, *serial, claimed)?;
                }
                _ => {}
            }
        }
        if changed {
            self.served(host)?;
            self.look(host)?;
        }
        self.carry_out(host, Driver::Node);
        self.hosts[host].tidy();
        Ok(())
    }

    /// Notes what a host serves now.
    fn served(&mut self, host: usize) -> Result<(), Violation> {
        if self.hosts[host].running.as_ref().is_none_or(|running| !running.listens) {
            return Ok(());
        }
        let version = self.hosts[host].version();
        if let Some(version) = &version {
            let digest = version.stamp.digest.to_bytes();
            self.trace.mix(self.now, &[2, host as u64, u64::from(version.stamp.serial.0)], &digest);
        }
        // A primary has nothing to serve until it has read its file for the first time.
        let primary = self.hosts[host].is_primary();
        let known = self.oracle.published().len();
        self.oracle.serves(self.now, host, primary, version.as_deref())?;
        self.compare();
        self.summary.versions = self.oracle.published().len();
        if self.summary.versions > known {
            let number = self.newest();
            self.trace.note(self.now, || format!("host {host} published content {number:?}"));
            // Everybody's lag is another from now on.
            (0..self.hosts.len()).try_for_each(|host| self.look(host))?;
        }
        Ok(())
    }

    /// Notes since when all serve the same.
    fn compare(&mut self) {
        let head = self.oracle.head().map(|head| head.serial);
        let served = |host: &Host| host.version().map(|version| version.stamp.serial);
        let same = self.hosts.iter().filter(|host| host.is_authoritative()).all(|host| served(host) == head);
        self.agreed = if same { self.agreed.or(Some(self.now)) } else { None };
    }

    /// Checks what a host answers and what it says of itself.
    fn look(&mut self, host: usize) -> Result<(), Violation> {
        let now = self.hosts[host].now(self.now);
        let Some(running) = self.hosts[host].running.as_ref().filter(|running| running.listens) else {
            return Ok(());
        };
        if !self.hosts[host].is_authoritative() {
            return Ok(());
        }
        let status = running.node.page(now, everything());
        self.oracle.canaries(self.now, host, &running.served, now)?;
        self.oracle.stranger(self.now, host, &running.served, now)?;
        self.oracle.status(self.now, host, &status)?;
        self.freshness(host)
    }

    /// Checks that a host serves nothing beyond EXPIRE.
    fn freshness(&mut self, host: usize) -> Result<(), Violation> {
        let now = self.hosts[host].now(self.now);
        let Some(running) = self.hosts[host].running.as_ref().filter(|running| running.listens) else {
            return Ok(());
        };
        let Some(zone) = running.store.get(&apex()).filter(|_| !self.hosts[host].is_primary()) else {
            return Ok(());
        };
        let fresh = zone.fresh_at().and_then(|fresh| self.hosts[host].world_time(fresh));
        let is_behind = running.node.page(now, everything()).zones.iter().any(|zone| zone.newer.is_some());
        let expire = Duration::from_secs(u64::from(self.plan.content.timers[2]));
        let serves = zone.version().is_some() && !is_behind;
        self.oracle.freshness(self.now, host, serves, fresh, expire)
    }
}

/// All that a host says of itself.
fn everything() -> Ask {
    Ask { from: From::Name(None), limit: 100 }
}

mod storage;
mod traffic;
