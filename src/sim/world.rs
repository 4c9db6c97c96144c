//! The world: hosts, the network between them, and a queue of what happens next, in virtual time.
//!
//! Everything has one order: by moment, then by when it was put in the queue; a host's timers come after what has been queued
//! for the same moment, lower hosts first.

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
use crate::publish::proposal::ZoneFile;
use crate::time::Mono;
use crate::wire::name::Name;
use crate::zone::serial::Serial;

use super::check::{Oracle, Violation};
use super::content::{Content, HOSTS, SIDES, apex, side};
use super::disk::{Moment, Place};
use super::host::{Back, Driver, Host, Role, address};
use super::net::{Net, Weather};
use super::plan::{Action, Edit, Plan};
use super::trace::Trace;

use traffic::Connection;

/// How often everything that hosts say of themselves is checked, besides whenever something changed.
const LOOK: Duration = Duration::from_secs(5);
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
                self.kill(host, true);
                Ok(())
            }
            Action::LoseJournal(host, with_power) => {
                self.kill(host, with_power);
                self.hosts[host].disk.lose(Place::Journal);
                self.oracle.lost_journal(host);
                Ok(())
            }
            Action::CrashInWrite(host, later) => {
                if self.hosts[host].running.is_some() {
                    let point = self.rng.random_range(0..Moment::ALL.len());
                    self.hosts[host].disk.armed = Some(Moment::ALL[point]);
                    // Boots again also when it never wrote anything: then this changes nothing.
                    self.schedule(self.now + later, Happening::Act(Action::Boot(host)));
                }
                Ok(())
            }
            Action::Rot(host, behind) => {
                self.hosts[host].disk.rot(behind);
                Ok(())
            }
            Action::WriteBack(host) => {
                (0..2).for_each(|copy| self.hosts[host].disk.write_back(Place::Floors(copy)));
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
                self.oracle.full_disk(host, full);
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
                    self.oracle.full_disk(host, false);
                    self.hosts[host].disk.armed = None;
                    self.boot(host)?;
                }
                self.agreed = None;
                self.compare();
                Ok(())
            }
        }
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
        let input = Some(Input::Files(self.files())).filter(|_| self.hosts[host].is_primary());
        events.extend(self.hand(host, Some(input.unwrap_or(Input::Timeout))));
        self.settle(host, events)
    }

    /// Ends a host's process, with its power or without.
    fn kill(&mut self, host: usize, with_power: bool) {
        let Some(running) = self.hosts[host].running.take() else { return };
        self.summary.crashes += 1;
        self.trace.note(self.now, || format!("host {host} crashes"));
        let keeps_serials = self.hosts[host].is_primary() && !self.plan.numbers_on();
        if with_power && keeps_serials && (running.is_syncing || self.hosts[host].disk.crashed) {
            self.oracle.tore_write(host);
        }
        let (rng, disk) = (&mut self.rng, &mut self.hosts[host].disk);
        if with_power {
            disk.crash(|unsynced| rng.random_range(0..=unsynced));
        } else {
            disk.kill();
        }
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
        (0..self.hosts.len()).try_for_each(|host| self.read_files(host))
    }

    fn write_file(&mut self) {
        if let Some(snapshot) = self.file.snapshot() {
            let sides = (0..SIDES).filter_map(|index| self.file.side(index));
            self.oracle.written([snapshot].into_iter().chain(sides), &self.file);
        }
    }

    /// Has a host read the files that it has, one by one.
    fn read_files(&mut self, host: usize) -> Result<(), Violation> {
        if self.hosts[host].is_primary() {
            let files = self.files();
            files.into_iter().try_for_each(|file| self.tell(host, Input::Files(vec![file])))?;
        }
        Ok(())
    }

    /// What the zone files say.
    fn files(&self) -> Vec<(Name, Result<ZoneFile, String>)> {
        let sides = (0..SIDES).map(|index| (side(index), self.file.side(index)));
        let files = [(apex(), self.file.snapshot())].into_iter().chain(sides);
        let read = |content| ZoneFile { content, edited: None };
        files.map(|(zone, content)| (zone, content.map(read).ok_or_else(|| "no zone".to_owned()))).collect()
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
        let (mut changed, mut confirmed) = (false, false);
        if let Some(running) = self.hosts[host].running.as_mut().filter(|running| running.is_ready) {
            changed = !std::mem::replace(&mut running.listens, true);
        }
        if changed {
            // Of nothing but what others are told.
            self.hand(host, Some(Input::Listening));
        }
        for event in &events {
            self.trace.note(at, || format!("host {host}: {event:?}"));
            match event {
                Event::Confirmed { .. } => {
                    if let Role::Secondary(upstreams) = &self.plan.hosts[host].role {
                        let hosts = &self.hosts;
                        let is_primary = |upstream: usize| hosts[upstream].is_primary();
                        self.oracle.inherits(at, host, upstreams, is_primary);
                    }
                    confirmed = true;
                }
                Event::Fetched { from, .. } => {
                    if let Some(upstream) = self.hosts.iter().find(|other| address(other.index) == *from) {
                        self.oracle.pulled(at, host, upstream.index, upstream.is_primary());
                    }
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
        // By what is served from now on.
        if confirmed {
            self.freshness(host)?;
        }
        self.carry_out(host, Driver::Node);
        self.hosts[host].tidy();
        Ok(())
    }
}

/// All that a host says of itself.
fn everything() -> Ask {
    Ask { from: From::Name(None), limit: 100 }
}

mod judge;
mod resolving;
mod storage;
mod traffic;
