//! The node: one door for all inputs of the control plane, and the loop from what was fetched to what is published.
//!
//! ```text
//!  Input ----> Refresh --Fetched--> ZoneStore::publish --> Notifier, Watch, Ledger
//!  (file, NOTIFY,   ^                      |
//!   arrival, time)  +------published-------+--> Event
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::ask::exchange::{Arrival, Outbox, Token};
use crate::lag::Sighting;
use crate::probe::observation::Ask;
use crate::probe::observe;
use crate::probe::watch::{Pace, Watch};
use crate::publish::journal::log::Log;
use crate::publish::store::{Change, Publication, PublishError, ZoneStore};
use crate::time::{Mono, Now, Utc};
use crate::transfer::intake::Limits;
use crate::transfer::notify::{self, Notifier};
use crate::transfer::refresh::{self, Refresh};
use crate::wire::name::{Name, NameRef};
use crate::zone::snapshot::Snapshot;

use super::event::{Event, Input};
use super::seen_servers::Sight;
use super::status::{Problem, Status, ZoneStatus};
use super::zone::{Member, Role, ZoneConfig};

/// Which machine an exchange belongs to.
#[derive(Clone, Debug)]
enum Route {
    Refresh(Name),
    Notifier(Name),
    Watch,
}

/// The machines of a node.
pub struct Node {
    store: Arc<ZoneStore>,
    /// In no order; what is handed out is sorted.
    members: HashMap<Name, Box<Member>>,
    /// Zones that only a cache here asks about, with their servers.
    stubs: BTreeMap<Name, (Sight, Vec<SocketAddr>)>,
    watch: Watch,
    routes: HashMap<Token, Route>,
    /// When each zone's machines want to be called.
    due: BTreeSet<(Mono, Name)>,
    rng: StdRng,
}

impl Node {
    /// A node without zones. The seed decides message ids and the spread of timers, and must be secret.
    pub fn new(store: Arc<ZoneStore>, seed: [u8; 32]) -> Node {
        let mut rng = StdRng::from_seed(seed);
        let watch = Watch::new(Pace::default(), rng.random());
        Node {
            store,
            members: HashMap::new(),
            stubs: BTreeMap::new(),
            watch,
            routes: HashMap::new(),
            due: BTreeSet::new(),
            rng,
        }
    }

    /// Makes these the zones of the node. What has not changed goes on as it is.
    pub fn configure(
        &mut self,
        now: Now,
        zones: Vec<ZoneConfig>,
        out: &mut Outbox,
        log: &mut dyn Log,
    ) -> Vec<Event> {
        let wanted = zones.iter().map(|zone| zone.name.clone()).collect();
        let mut events = self.retain(&wanted, out);
        events.extend(self.add_all(now, zones, out, log));
        events
    }

    /// Lets all other zones go.
    pub fn retain(&mut self, wanted: &HashSet<Name>, out: &mut Outbox) -> Vec<Event> {
        let mut gone: Vec<Name> =
            self.members.keys().filter(|name| !wanted.contains(*name)).cloned().collect();
        gone.sort();
        gone.iter().flat_map(|name| self.remove(name, out)).collect()
    }

    /// Takes in zones, or other configurations of some.
    pub fn add_all(
        &mut self,
        now: Now,
        zones: Vec<ZoneConfig>,
        out: &mut Outbox,
        log: &mut dyn Log,
    ) -> Vec<Event> {
        self.store.configure_all(zones.iter().map(|zone| (&*zone.name, zone.access())));
        zones.into_iter().flat_map(|zone| self.add(now, zone, out, log)).collect()
    }

    /// Takes in a zone, or another configuration of one.
    pub fn add(&mut self, now: Now, config: ZoneConfig, out: &mut Outbox, log: &mut dyn Log) -> Vec<Event> {
        let name = config.name.clone();
        let mut events = Vec::new();
        let known = match self.members.get(&name) {
            Some(member) if member.config == config => return events,
            Some(_) => self.withdraw(&name, out),
            None => {
                events.push(Event::Added(name.clone()));
                None
            }
        };
        let zone = self.store.configure(&name, config.access());
        for server in config.servers() {
            let mut ask = Ask::soa(server, name.clone());
            ask.have = zone.version().map(|version| version.stamp.serial);
            self.routed(out, &Route::Watch, |node, out| node.watch.insert(now, ask, out));
        }
        let seed = self.rng.random();
        let notifier = (!config.notify.is_empty())
            .then(|| Box::new(Notifier::new(name.clone(), config.notify.clone(), seed)));
        let refresh = match &config.role {
            Role::Primary(_) => None,
            Role::Secondary(primaries) => {
                let primaries = primaries.clone();
                let config = refresh::Config { zone: name.clone(), primaries, limits: Limits::default() };
                Some(Box::new(Refresh::new(config, self.rng.random())))
            }
        };
        let sight = Sight {
            ledger: known.map(|member| member.sight.ledger).unwrap_or_default(),
            up: BTreeMap::new(),
        };
        let mut member =
            Member { config, zone, refresh, notifier, sight, problem: None, heard: None, due: None };
        let version = member.zone.version();
        if let Some(version) = &version {
            member.sight.ledger.told(now.mono, None, std::slice::from_ref(&version.stamp));
        }
        self.members.insert(name.clone(), Box::new(member));
        if let Some(version) = &version {
            // A node that stopped between a publication and its NOTIFY still owes it.
            let soa = version.snapshot.soa_record();
            self.with_notifier(&name, out, |notifier, out| {
                notifier.publish(now, soa, out);
                Vec::new()
            });
        }
        let found = self.with_refresh(&name, out, |refresh, counted_from, out| {
            refresh.start(now, version.as_deref().map(|version| (version, counted_from)), out)
        });
        if let Some(Member { zone, refresh: Some(refresh), .. }) =
            self.members.get(&name).map(|member| &**member)
            && let Some(at) = refresh.expires_at()
        {
            // Those who ask before the first poll has an answer are told what is left, too.
            zone.expires(at, None);
        }
        events.extend(self.settle_all(now, &name, found, out, log));
        events
    }

    /// Lets a zone go.
    pub fn remove(&mut self, name: &NameRef, out: &mut Outbox) -> Vec<Event> {
        let removed = self.withdraw(name, out).map(|_| Event::Removed(name.to_name()));
        self.store.remove(name);
        removed.into_iter().collect()
    }

    fn withdraw(&mut self, name: &NameRef, out: &mut Outbox) -> Option<Member> {
        let member = self.members.remove(name)?;
        member.config.servers().into_iter().for_each(|server| self.watch.remove(name, server, out));
        if let Some(due) = member.due {
            self.due.remove(&(due, name.to_name()));
        }
        let mine =
            |route: &Route| matches!(route, Route::Refresh(zone) | Route::Notifier(zone) if **zone == *name);
        self.routes.retain(|token, route| {
            let mine = mine(route);
            if mine {
                out.cancel(*token);
            }
            !mine
        });
        Some(*member)
    }

    /// Watches the servers that a cache asks about a zone, so that it can say which version they show.
    pub fn watch_stub(&mut self, now: Now, zone: &Name, servers: &[SocketAddr], out: &mut Outbox) {
        if self.members.contains_key(zone) {
            return;
        }
        for server in servers {
            let ask = Ask::soa(*server, zone.clone());
            self.routed(out, &Route::Watch, |node, out| node.watch.insert(now, ask, out));
        }
        self.stubs.insert(zone.clone(), (Sight::default(), servers.to_vec()));
    }

    /// Whether this is a primary zone here.
    pub fn is_primary(&self, zone: &NameRef) -> bool {
        self.members.get(zone).is_some_and(|member| member.refresh.is_none())
    }

    /// The primary zones, each with what keeps it from being up to date.
    pub fn primaries(&self) -> Vec<(&Name, Option<&Problem>)> {
        let primaries = self.members.values().filter(|member| member.refresh.is_none());
        let mut all: Vec<_> =
            primaries.map(|member| (&member.config.name, member.problem.as_ref())).collect();
        all.sort_by_key(|(name, _)| *name);
        all
    }

    /// The secondary zones.
    pub fn secondaries(&self) -> Vec<Name> {
        let secondaries = self.members.values().filter(|member| member.refresh.is_some());
        let mut names: Vec<Name> = secondaries.map(|member| member.config.name.clone()).collect();
        names.sort();
        names
    }

    /// How everything is.
    pub fn status(&self, now: Now) -> Status {
        let mut zones: Vec<ZoneStatus> = self.members.values().map(|member| member.status(now)).collect();
        zones.sort_by(|a, b| a.zone.cmp(&b.zone));
        zones.extend(self.stubs.iter().map(|(zone, (sight, servers))| sight.stub(now, zone, servers)));
        Status { zones }
    }

    /// When [`Input::Timeout`] is due.
    pub fn next_timeout(&self) -> Option<Mono> {
        let zones = self.due.first().map(|(due, _)| *due);
        zones.into_iter().chain(self.watch.next_timeout()).min()
    }

    /// Takes in what happened and does what is due.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Outbox, log: &mut dyn Log) -> Vec<Event> {
        match input {
            Input::Arrival(token, arrival) => self.arrival(now, token, arrival, out, log),
            Input::Notified { zone, from, serial } => {
                // Which port a NOTIFY comes from says nothing (RFC 1996 3.3); only its address is known to be a primary's.
                let sender = SocketAddr::new(from, 0);
                let found = self
                    .with_refresh(&zone, out, |refresh, _, out| refresh.notified(now, sender, serial, out));
                let heard = Event::Heard { zone: zone.clone(), from, serial };
                [heard].into_iter().chain(self.settle_all(now, &zone, found, out, log)).collect()
            }
            Input::File { zone, content } => self.files(now, vec![(zone, content)], out, log),
            Input::Files(files) => self.files(now, files, out, log),
            Input::Refresh { zone } => {
                let found = self.with_refresh(&zone, out, |refresh, _, out| refresh.refresh_now(now, out));
                self.settle_all(now, &zone, found, out, log)
            }
            Input::Timeout => self.timeout(now, out, log),
        }
    }

    fn arrival(
        &mut self,
        now: Now,
        token: Token,
        arrival: Arrival,
        out: &mut Outbox,
        log: &mut dyn Log,
    ) -> Vec<Event> {
        let route = match arrival {
            Arrival::Message(_) => self.routes.get(&token).cloned(),
            Arrival::Failed(_) => self.routes.remove(&token),
        };
        match route {
            None => Vec::new(),
            Some(Route::Refresh(zone)) => {
                let found = self
                    .with_refresh(&zone, out, |refresh, _, out| refresh.arrived(now, token, &arrival, out));
                self.settle_all(now, &zone, found, out, log)
            }
            Some(Route::Notifier(zone)) => {
                let found = self
                    .with_notifier(&zone, out, |notifier, out| notifier.arrived(now, token, &arrival, out));
                self.book(&zone);
                found.into_iter().map(|event| Event::Notify(zone.clone(), event)).collect()
            }
            Some(Route::Watch) => {
                let seen =
                    self.routed(out, &Route::Watch, |node, out| node.watch.arrival(now, token, arrival, out));
                seen.into_iter().flat_map(|event| self.seen(event)).collect()
            }
        }
    }

    fn timeout(&mut self, now: Now, out: &mut Outbox, log: &mut dyn Log) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some((due, zone)) = self.due.first().cloned().filter(|(due, _)| *due <= now.mono) {
            self.due.remove(&(due, zone.clone()));
            if let Some(member) = self.members.get_mut(&zone) {
                member.due = None;
            }
            let found = self.with_notifier(&zone, out, |notifier, out| notifier.handle_timeout(now, out));
            events.extend(found.into_iter().map(|event| Event::Notify(zone.clone(), event)));
            let found = self.with_refresh(&zone, out, |refresh, _, out| refresh.handle_timeout(now, out));
            events.extend(self.settle_all(now, &zone, found, out, log));
        }
        let seen = self.routed(out, &Route::Watch, |node, out| node.watch.handle_timeout(now, out));
        events.extend(seen.into_iter().flat_map(|event| self.seen(event)).collect::<Vec<_>>());
        events
    }

    fn files(
        &mut self,
        now: Now,
        files: Vec<(Name, Result<Snapshot, String>)>,
        out: &mut Outbox,
        log: &mut dyn Log,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let (mut names, mut changes) = (Vec::new(), Vec::new());
        for (name, content) in files {
            let Some(member) = self.members.get_mut(&name) else { continue };
            let Role::Primary(policy) = member.config.role else { continue };
            match content {
                Err(why) => {
                    member.blame(now, why.clone());
                    events.push(Event::NotPublished { zone: name, why });
                }
                Ok(content) => {
                    names.push(name.clone());
                    changes.push((name, Change::File(content, policy)));
                }
            }
        }
        let published = self.store.publish_all(now, changes, log);
        for (name, published) in names.into_iter().zip(published) {
            let Some(member) = self.members.get_mut(&name) else { continue };
            match published {
                Ok(publication) => {
                    member.problem = None;
                    events.extend(publication.map(|publication| self.announce(now, publication, out)));
                }
                Err(error) => {
                    let why = error.to_string();
                    member.blame(now, why.clone());
                    events.push(match error {
                        PublishError::Log(_) => Event::NotKept { zone: name, why },
                        _ => Event::NotPublished { zone: name, why },
                    });
                }
            }
        }
        events
    }

    /// Sets going all that follows a publication.
    fn announce(&mut self, now: Now, publication: Publication, out: &mut Outbox) -> Event {
        let zone = publication.zone.clone();
        let mut heard = None;
        if let Some(member) = self.members.get_mut(&zone) {
            heard = member.heard.take();
            match member.config.role {
                // Nobody else shows a version of a zone without other servers.
                Role::Primary(_) if member.config.notify.is_empty() && member.config.watch.is_empty() => {}
                Role::Primary(_) => member.sight.ledger.published(now, &publication.stamp, publication.from),
                Role::Secondary(_) => {
                    // A transfer may bring many versions at once; each followed the one before.
                    let history = member.zone.history();
                    let after = publication.from.and_then(|from| history.after(from));
                    let after: Vec<_> = after.into_iter().flatten().copied().collect();
                    member.sight.ledger.told(now.mono, publication.from, &after);
                    member.sight.ledger.told(now.mono, None, std::slice::from_ref(&publication.stamp));
                }
            }
        }
        let told = self.members.get(&zone).filter(|member| member.notifier.is_some());
        let soa = told.and_then(|member| member.zone.version()).map(|version| version.snapshot.soa_record());
        if let Some(soa) = soa {
            self.with_notifier(&zone, out, |notifier, out| {
                notifier.publish(now, soa, out);
                Vec::new()
            });
        }
        self.watch.published(now, &zone, publication.stamp.serial);
        self.book(&zone);
        Event::Published { publication, heard, now }
    }

    fn settle_all(
        &mut self,
        now: Now,
        zone: &NameRef,
        events: Vec<refresh::Event>,
        out: &mut Outbox,
        log: &mut dyn Log,
    ) -> Vec<Event> {
        let mut settled = Vec::new();
        for event in events {
            settled.extend(self.settle(now, zone, event, out, log));
        }
        self.book(zone);
        settled
    }

    /// Does what a refresh machine's event asks for.
    fn settle(
        &mut self,
        now: Now,
        zone: &NameRef,
        event: refresh::Event,
        out: &mut Outbox,
        log: &mut dyn Log,
    ) -> Vec<Event> {
        let Some(member) = self.members.get_mut(zone) else { return Vec::new() };
        let name = member.config.name.clone();
        match event {
            refresh::Event::Fetched { change, kind, from, bytes, took } => {
                let mut events = vec![Event::Pulled { zone: name.clone(), from, kind, bytes, took }];
                let result = self.store.publish(now, zone, change, log);
                if let Err(error) = &result {
                    member.blame(now, error.to_string());
                    let why = error.to_string();
                    events.push(match error {
                        PublishError::Log(_) => Event::NotKept { zone: name.clone(), why },
                        _ => Event::NotPublished { zone: name.clone(), why },
                    });
                }
                let follow =
                    self.with_refresh(zone, out, |refresh, _, out| refresh.published(now, &result, out));
                if let Ok(Some(publication)) = result {
                    events.push(self.announce(now, publication, out));
                }
                for event in follow {
                    events.extend(self.settle(now, zone, event, out, log));
                }
                events
            }
            refresh::Event::Confirmed { verified_at, fresh_at, expires_at, counted_from } => {
                member.zone.confirm(verified_at, fresh_at, expires_at);
                member.zone.expires(expires_at, Some(counted_from));
                member.problem = None;
                member.heard = member
                    .heard
                    .filter(|_| member.refresh.as_ref().is_some_and(|refresh| refresh.newer().is_some()));
                vec![Event::Confirmed { zone: name, verified_at, counted_from }]
            }
            refresh::Event::Behind(newer) => {
                member.heard.get_or_insert(now);
                vec![Event::Behind(name, newer)]
            }
            refresh::Event::Failed { primary, kind, reason } => {
                member.blame(now, format!("primary {primary}: {}: {reason}", kind.label()));
                vec![Event::PullFailed { zone: name, primary, kind, reason }]
            }
            refresh::Event::Fallback { reason } => vec![Event::Fallback(name, reason)],
            refresh::Event::Expired => {
                self.store.expire(zone);
                vec![Event::Expired(name)]
            }
        }
    }

    /// Takes in what a watched server showed.
    fn seen(&mut self, event: observe::Event) -> Vec<Event> {
        let (zone, server, up) = match &event {
            observe::Event::Seen(seen) => (seen.zone.clone(), seen.server, true),
            observe::Event::Failed { zone, server, .. } | observe::Event::Silent { zone, server, .. } => {
                (zone.clone(), *server, false)
            }
        };
        let served = self.members.get_mut(&zone).map(|member| &mut member.sight);
        let Some(sight) = served.or(self.stubs.get_mut(&zone).map(|(sight, _)| sight)) else {
            return Vec::new();
        };
        let mut events = Vec::new();
        // A server that was never up yet is on its way, or not there at all; that shows in status and metrics.
        let before = sight.up.insert(server, up).unwrap_or(false);
        if before != up {
            events.push(Event::Reachable { zone: zone.clone(), server, up });
        }
        let observe::Event::Seen(seen) = event else { return events };
        let Some(serial) = seen.serial else { return events };
        let before = sight.ledger.serial(server);
        sight.ledger.observe(&Sighting {
            server,
            serial,
            sent: seen.sent,
            received: seen.received,
            sent_utc: seen.sent_utc,
            asked: seen.asked,
            told: seen.told,
        });
        if before != Some(serial) {
            let propagation = before.and_then(|_| sight.ledger.propagation(server, serial));
            events.push(Event::Observed { zone: zone.clone(), server, serial, propagation });
            self.watch.set_have(&zone, server, Some(serial));
        }
        events
    }

    fn with_refresh(
        &mut self,
        zone: &NameRef,
        out: &mut Outbox,
        act: impl FnOnce(&mut Refresh, Option<Utc>, &mut Outbox) -> Vec<refresh::Event>,
    ) -> Vec<refresh::Event> {
        if self.members.get(zone).is_none_or(|member| member.refresh.is_none()) {
            return Vec::new();
        }
        self.routed(out, &Route::Refresh(zone.to_name()), |node, out| {
            match node.members.get_mut(zone).map(|member| &mut **member) {
                Some(Member { refresh: Some(refresh), zone, .. }) => act(refresh, zone.counted_from(), out),
                _ => Vec::new(),
            }
        })
    }

    fn with_notifier(
        &mut self,
        zone: &NameRef,
        out: &mut Outbox,
        act: impl FnOnce(&mut Notifier, &mut Outbox) -> Vec<notify::Event>,
    ) -> Vec<notify::Event> {
        if self.members.get(zone).is_none_or(|member| member.notifier.is_none()) {
            return Vec::new();
        }
        self.routed(out, &Route::Notifier(zone.to_name()), |node, out| {
            let notifier = node.members.get_mut(zone).and_then(|member| member.notifier.as_mut());
            notifier.map(|notifier| act(notifier, out)).unwrap_or_default()
        })
    }

    /// Calls a machine, and books the exchanges that it begins and ends.
    fn routed<T>(
        &mut self,
        out: &mut Outbox,
        route: &Route,
        act: impl FnOnce(&mut Node, &mut Outbox) -> T,
    ) -> T {
        let (begun, ended) = (out.exchanges.len(), out.cancels.len());
        let result = act(self, out);
        for exchange in &out.exchanges[begun..] {
            self.routes.insert(exchange.token, route.clone());
        }
        for token in &out.cancels[ended..] {
            self.routes.remove(token);
        }
        result
    }

    /// Books when a zone wants to be called next.
    fn book(&mut self, zone: &NameRef) {
        let Some(member) = self.members.get_mut(zone) else { return };
        let due = member.next_timeout();
        if due == member.due {
            return;
        }
        let name = member.config.name.clone();
        if let Some(old) = std::mem::replace(&mut member.due, due) {
            self.due.remove(&(old, name.clone()));
        }
        if let Some(new) = due {
            self.due.insert((new, name));
        }
    }
}
