//! The node: one door for all inputs of the control plane, and the loop from what was fetched to what is published.
//!
//! ```text
//!  Input ----> Refresh --Fetched--> Publishing --job, commit--> the world
//!  (file, NOTIFY,   ^                  |   ^                        |
//!   arrival, time)  |                  |   +--Prepared, Committed---+
//!                   +----published-----+--> Notifier, Watch, Ledger, Event
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::ask::exchange::{Arrival, Outbox, Token};
use crate::probe::observation::Ask;
use crate::probe::watch::{Pace, Watch};
use crate::publish::proposal::Proposal;
use crate::publish::stages::PublishError;
use crate::publish::store::{Publication, ZoneStore};
use crate::time::{Mono, Now, Utc};
use crate::transfer::intake::Limits;
use crate::transfer::notify::{self, Notifier};
use crate::transfer::refresh::{self, Refresh};
use crate::wire::name::{Name, NameRef};
use crate::zone::snapshot::Snapshot;

use super::effects::Effects;
use super::event::{Event, Input};
use super::member::{Member, Role, ZoneConfig};
use super::publishing::{Outcome, Publishing, Submission};
use super::seen_servers::Sight;
use super::status::{Problem, Status, ZoneStatus};

/// What could not be written down is tried again after so long.
const RETRY: Duration = Duration::from_secs(5);

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
    publishing: Publishing,
    watch: Watch,
    routes: HashMap<Token, Route>,
    /// When each zone's machines want to be called.
    due: BTreeSet<(Mono, Name)>,
    /// How many members there have been.
    lives: u64,
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
            publishing: Publishing::default(),
            watch,
            routes: HashMap::new(),
            due: BTreeSet::new(),
            lives: 0,
            rng,
        }
    }

    /// Makes these the zones of the node. What has not changed goes on as it is.
    pub fn configure(&mut self, now: Now, zones: Vec<ZoneConfig>, fx: &mut Effects) -> Vec<Event> {
        let wanted = zones.iter().map(|zone| zone.name.clone()).collect();
        let mut events = self.retain(&wanted, fx);
        events.extend(self.add_all(now, zones, fx));
        events
    }

    /// Lets all other zones go.
    pub fn retain(&mut self, wanted: &HashSet<Name>, fx: &mut Effects) -> Vec<Event> {
        let mut gone: Vec<Name> =
            self.members.keys().filter(|name| !wanted.contains(*name)).cloned().collect();
        gone.sort();
        gone.iter().flat_map(|name| self.remove(name, fx)).collect()
    }

    /// Takes in zones, or other configurations of some.
    pub fn add_all(&mut self, now: Now, zones: Vec<ZoneConfig>, fx: &mut Effects) -> Vec<Event> {
        self.store.configure_all(zones.iter().map(|zone| (&*zone.name, zone.access())));
        zones.into_iter().flat_map(|zone| self.add(now, zone, fx)).collect()
    }

    /// Takes in a zone, or another configuration of one.
    pub fn add(&mut self, now: Now, config: ZoneConfig, fx: &mut Effects) -> Vec<Event> {
        let name = config.name.clone();
        let mut events = Vec::new();
        let known = match self.members.get(&name) {
            Some(member) if member.config == config => return events,
            Some(_) => self.withdraw(&name, fx),
            None => {
                events.push(Event::Added(name.clone()));
                None
            }
        };
        let zone = self.store.configure(&name, config.access());
        for server in config.servers() {
            let mut ask = Ask::soa(server, name.clone());
            ask.have = zone.version().map(|version| version.stamp.serial);
            self.routed(&mut fx.out, &Route::Watch, |node, out| node.watch.insert(now, ask, out));
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
        self.lives += 1;
        let mut member = Member {
            config,
            life: self.lives,
            zone,
            refresh,
            notifier,
            sight,
            problem: None,
            heard: None,
            retry: None,
            due: None,
        };
        let version = member.zone.version();
        if let Some(version) = &version {
            member.sight.ledger.told(now.mono, None, std::slice::from_ref(&version.stamp));
        }
        self.members.insert(name.clone(), Box::new(member));
        if let Some(version) = &version {
            // A node that stopped between a publication and its NOTIFY still owes it.
            let soa = version.snapshot.soa_record();
            self.with_notifier(&name, &mut fx.out, |notifier, out| {
                notifier.publish(now, soa, out);
                Vec::new()
            });
        }
        let found = self.with_refresh(&name, &mut fx.out, |refresh, counted_from, out| {
            refresh.start(now, version.as_deref().map(|version| (version, counted_from)), out)
        });
        if let Some(Member { zone, refresh: Some(refresh), .. }) =
            self.members.get(&name).map(|member| &**member)
            && let Some(at) = refresh.expires_at()
        {
            // Those who ask before the first poll has an answer are told what is left, too.
            zone.expires(at, None);
        }
        events.extend(self.settle_all(now, &name, found, fx));
        events
    }

    /// Lets a zone go.
    pub fn remove(&mut self, name: &NameRef, fx: &mut Effects) -> Vec<Event> {
        let removed = self.withdraw(name, fx).map(|_| Event::Removed(name.to_name()));
        self.store.remove(name);
        removed.into_iter().collect()
    }

    fn withdraw(&mut self, name: &NameRef, fx: &mut Effects) -> Option<Member> {
        let member = self.members.remove(name)?;
        member.config.servers().into_iter().for_each(|server| self.watch.remove(name, server, &mut fx.out));
        if let Some(due) = member.due {
            self.due.remove(&(due, name.to_name()));
        }
        let mine =
            |route: &Route| matches!(route, Route::Refresh(zone) | Route::Notifier(zone) if **zone == *name);
        self.routes.retain(|token, route| {
            let mine = mine(route);
            if mine {
                fx.out.cancel(*token);
            }
            !mine
        });
        Some(*member)
    }

    /// Watches the servers that a cache asks about a zone, so that it can say which version they show.
    pub fn watch_stub(&mut self, now: Now, zone: &Name, servers: &[SocketAddr], fx: &mut Effects) {
        if self.members.contains_key(zone) {
            return;
        }
        for server in servers {
            let ask = Ask::soa(*server, zone.clone());
            self.routed(&mut fx.out, &Route::Watch, |node, out| node.watch.insert(now, ask, out));
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

    /// How many changes have been submitted so far: files and transfers that were to be published.
    pub fn submitted(&self) -> u64 {
        self.publishing.submitted()
    }

    /// Whether the first so many of these changes have been published, found to change nothing, or refused.
    pub fn is_settled(&self, first: u64) -> bool {
        self.publishing.is_settled(first)
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
    pub fn handle(&mut self, now: Now, input: Input, fx: &mut Effects) -> Vec<Event> {
        match input {
            Input::Arrival(token, arrival) => self.arrival(now, token, arrival, fx),
            Input::Notified { zone, from, serial } => {
                // Which port a NOTIFY comes from says nothing (RFC 1996 3.3); only its address is known to be a primary's.
                let sender = SocketAddr::new(from, 0);
                let found = self.with_refresh(&zone, &mut fx.out, |refresh, _, out| {
                    refresh.notified(now, sender, serial, out)
                });
                let heard = Event::Heard { zone: zone.clone(), from, serial };
                [heard].into_iter().chain(self.settle_all(now, &zone, found, fx)).collect()
            }
            Input::Files(files) => self.files(now, files, fx),
            Input::Refresh { zone } => {
                let found =
                    self.with_refresh(&zone, &mut fx.out, |refresh, _, out| refresh.refresh_now(now, out));
                self.settle_all(now, &zone, found, fx)
            }
            Input::Prepared(done) => {
                let outcomes = self.publishing.prepared(now, done, &self.store, fx);
                self.conclude(now, outcomes, fx)
            }
            Input::Committed { ticket, result } => {
                let outcomes = self.publishing.committed(now, ticket, &result, &self.store, fx);
                self.conclude(now, outcomes, fx)
            }
            Input::Timeout => self.timeout(now, fx),
        }
    }

    fn arrival(&mut self, now: Now, token: Token, arrival: Arrival, fx: &mut Effects) -> Vec<Event> {
        let route = match arrival {
            Arrival::Message(_) => self.routes.get(&token).cloned(),
            Arrival::Failed(_) => self.routes.remove(&token),
        };
        match route {
            None => Vec::new(),
            Some(Route::Refresh(zone)) => {
                let found = self.with_refresh(&zone, &mut fx.out, |refresh, _, out| {
                    refresh.arrived(now, token, &arrival, out)
                });
                self.settle_all(now, &zone, found, fx)
            }
            Some(Route::Notifier(zone)) => {
                let found = self.with_notifier(&zone, &mut fx.out, |notifier, out| {
                    notifier.arrived(now, token, &arrival, out)
                });
                self.book(&zone);
                found.into_iter().map(|event| Event::Notify(zone.clone(), event)).collect()
            }
            Some(Route::Watch) => {
                let seen = self.routed(&mut fx.out, &Route::Watch, |node, out| {
                    node.watch.arrival(now, token, arrival, out)
                });
                seen.into_iter().flat_map(|event| self.seen(event)).collect()
            }
        }
    }

    fn timeout(&mut self, now: Now, fx: &mut Effects) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some((due, zone)) = self.due.first().cloned().filter(|(due, _)| *due <= now.mono) {
            self.due.remove(&(due, zone.clone()));
            if let Some(member) = self.members.get_mut(&zone) {
                member.due = None;
                if let Some((_, proposal)) = member.retry.take_if(|(at, _)| *at <= now.mono) {
                    events.extend(self.submit(now, [proposal], fx));
                }
            }
            let found =
                self.with_notifier(&zone, &mut fx.out, |notifier, out| notifier.handle_timeout(now, out));
            events.extend(found.into_iter().map(|event| Event::Notify(zone.clone(), event)));
            let found =
                self.with_refresh(&zone, &mut fx.out, |refresh, _, out| refresh.handle_timeout(now, out));
            events.extend(self.settle_all(now, &zone, found, fx));
        }
        let seen = self.routed(&mut fx.out, &Route::Watch, |node, out| node.watch.handle_timeout(now, out));
        events.extend(seen.into_iter().flat_map(|event| self.seen(event)).collect::<Vec<_>>());
        events
    }

    fn files(
        &mut self,
        now: Now,
        files: Vec<(Name, Result<Snapshot, String>)>,
        fx: &mut Effects,
    ) -> Vec<Event> {
        let (mut events, mut proposals) = (Vec::new(), Vec::new());
        for (name, content) in files {
            let Some(member) = self.members.get_mut(&name) else { continue };
            let Role::Primary(policy) = member.config.role else { continue };
            member.retry = None;
            match content {
                Ok(content) => proposals.push(Proposal::file(content, policy)),
                Err(why) => {
                    member.blame(now, why.clone());
                    events.push(Event::NotPublished { zone: name, why });
                }
            }
        }
        events.extend(self.submit(now, proposals, fx));
        events
    }

    /// Has changes published.
    fn submit(
        &mut self,
        now: Now,
        proposals: impl IntoIterator<Item = Proposal>,
        fx: &mut Effects,
    ) -> Vec<Event> {
        let members = &self.members;
        let submissions = proposals.into_iter().map(|proposal| {
            let by = members.get(&proposal.zone).map_or(0, |member| member.life);
            Submission { by, proposal }
        });
        let outcomes = self.publishing.submit(now, submissions, &self.store, fx);
        self.conclude(now, outcomes, fx)
    }

    /// Sets going what follows from changes that have been published or refused.
    fn conclude(&mut self, now: Now, outcomes: Vec<Outcome>, fx: &mut Effects) -> Vec<Event> {
        let mut events = Vec::new();
        for Outcome { zone, by, result, again } in outcomes {
            if let Err(error) = &result {
                let why = error.to_string();
                events.push(match error {
                    PublishError::Log(_) => Event::NotKept { zone: zone.clone(), why },
                    _ => Event::NotPublished { zone: zone.clone(), why },
                });
            }
            // A member that has been configured anew has not asked for this.
            let member = self.members.get_mut(&zone).filter(|member| member.life == by);
            let mut follow = Vec::new();
            if let Some(member) = member {
                match &result {
                    Err(error) => {
                        member.blame(now, error.to_string());
                        member.retry = again.map(|proposal| (now.mono + RETRY, proposal));
                    }
                    Ok(_) if member.refresh.is_none() => member.problem = None,
                    Ok(_) => {}
                }
                follow = self
                    .with_refresh(&zone, &mut fx.out, |refresh, _, out| refresh.published(now, &result, out));
            }
            if let Ok(Some(publication)) = result {
                events.push(self.announce(now, publication, fx));
            }
            events.extend(self.settle_all(now, &zone, follow, fx));
        }
        events
    }

    /// Sets going all that follows a publication.
    fn announce(&mut self, now: Now, publication: Publication, fx: &mut Effects) -> Event {
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
            self.with_notifier(&zone, &mut fx.out, |notifier, out| {
                notifier.publish(now, soa, out);
                Vec::new()
            });
        }
        self.watch.published(now, &zone, publication.stamp.serial);
        Event::Published { publication, heard, now }
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

mod pulled;
mod seen;
