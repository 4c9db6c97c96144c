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
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::ask::exchange::{Arrival, Outbox, Token};
use crate::probe::observation;
use crate::probe::watch::{Pace, Watch};
use crate::publish::messages::Together;
use crate::publish::proposal::{Proposal, ZoneFile};
use crate::publish::stages::PublishError;
use crate::publish::store::{Publication, ZoneStore};
use crate::publish::zone::Zone;
use crate::time::{Mono, Now, Utc};
use crate::transfer::intake::Limits;
use crate::transfer::notify::{self, Notifier};
use crate::transfer::refresh::{self, Refresh};
use crate::wire::name::{Name, NameRef};

use super::board::{Board, Overview};
use super::effects::Effects;
use super::event::{Event, Input};
use super::member::Member;
use super::members::Members;
use super::publishing::{Outcome, Publishing, Submission};
use super::seen_servers::SeenServers;
use super::settings::{Role, ZoneConfig};
use super::status::{Ask, From, Page, Problem, ZoneStatus};

/// What could not be written down is tried again after so long.
const RETRY: Duration = Duration::from_secs(5);
/// So many zones are called in one [`Input::Timeout`]: those that were taken in together are due together, and nothing else is to wait for
/// all of them.
const CALLED_AT_ONCE: usize = 256;

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
    members: Members,
    /// Zones that only a cache here asks about, with their servers.
    stubs: BTreeMap<Name, (SeenServers, Vec<SocketAddr>)>,
    publishing: Publishing,
    board: Board,
    watch: Watch,
    routes: HashMap<Token, Route>,
    /// What their transfers keep.
    together: Together,
    /// How many zones are pulled from each primary.
    pulled_from: HashMap<SocketAddr, usize>,
    /// Primaries that could not be reached when they were asked last, which has been told.
    unreachable: HashSet<SocketAddr>,
    /// When each zone's machines want to be called.
    due: BTreeSet<(Mono, Name)>,
    /// The zones of which others are to be told once this node listens; `None` when it does.
    untold: Option<BTreeSet<Name>>,
    /// How many servers of zones are not watched, because they are too many.
    unwatched: usize,
    /// How many epochs of members there have been.
    epochs: u64,
    rng: StdRng,
}

impl Node {
    /// A node without zones. The seed decides message ids and the spread of timers, and must be secret.
    pub fn new(store: Arc<ZoneStore>, seed: [u8; 32]) -> Node {
        let mut rng = StdRng::from_seed(seed);
        let watch = Watch::new(Pace::default(), rng.random());
        Node {
            store,
            members: Members::default(),
            board: Board::default(),
            stubs: BTreeMap::new(),
            publishing: Publishing::default(),
            watch,
            routes: HashMap::new(),
            together: Together::default(),
            pulled_from: HashMap::new(),
            unreachable: HashSet::new(),
            due: BTreeSet::new(),
            untold: Some(BTreeSet::new()),
            unwatched: 0,
            epochs: 0,
            rng,
        }
    }

    /// When [`Input::Timeout`] is due: at once after one that had too much to do.
    pub fn next_timeout(&self) -> Option<Mono> {
        let zones = self.due.first().map(|(due, _)| *due);
        zones.into_iter().chain(self.watch.next_timeout()).min()
    }

    /// Takes in what happened and does what is due.
    pub fn handle(&mut self, now: Now, input: Input, fx: &mut Effects) -> Vec<Event> {
        match input {
            Input::Arrival(token, arrival) => self.arrival(now, token, arrival, fx),
            Input::Notified { from, notify } => {
                // Which port a NOTIFY comes from says nothing (RFC 1996 3.3); only its address is known to be a primary's.
                let sender = SocketAddr::new(from, 0);
                let found = self.with_refresh(&notify.zone, &mut fx.out, |refresh, _, out| {
                    refresh.notified(now, sender, &notify, out)
                });
                let notify::Notify { zone, serial, .. } = notify;
                let heard = Event::Heard { zone: zone.clone(), from, serial };
                [heard].into_iter().chain(self.settle_all(now, &zone, found, fx)).collect()
            }
            Input::Zones(changes) => self.take_in(now, changes, fx),
            Input::Contested(zones) => self.contested(now, zones),
            Input::Files(files) => self.files(now, files, fx),
            Input::Refresh { zone, is_forced } => {
                let found = self.with_refresh(&zone, &mut fx.out, |refresh, _, out| match is_forced {
                    true => refresh.force(now, out),
                    false => refresh.refresh_now(now, out),
                });
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
            Input::Shown { zone, serial } => {
                let known = self.stubs.get(&zone).and_then(|(seen, _)| seen.ledger.head());
                if known.is_none_or(|head| serial.is_newer_than(head)) {
                    // All are asked at once: that one for what it told its client, the others whether they have followed.
                    self.watch.published(now, &zone, serial);
                }
                Vec::new()
            }
            Input::Listening => {
                self.listening(now, fx);
                Vec::new()
            }
            Input::Timeout => self.timeout(now, fx),
        }
    }

    fn arrival(&mut self, now: Now, token: Token, arrival: Arrival, fx: &mut Effects) -> Vec<Event> {
        let route = match arrival {
            Arrival::Sent | Arrival::Message(_) => self.routes.get(&token).cloned(),
            Arrival::Failed(_) => self.routes.remove(&token),
        };
        match route {
            None => Vec::new(),
            Some(Route::Refresh(zone)) => {
                let found = self.with_refresh(&zone, &mut fx.out, |refresh, _, out| {
                    refresh.arrived(now, token, arrival, out)
                });
                self.settle_all(now, &zone, found, fx)
            }
            Some(Route::Notifier(zone)) => {
                let found = self.with_notifier(&zone, &mut fx.out, |notifier, out| {
                    notifier.arrived(now, token, &arrival, out)
                });
                self.touched(now, &zone);
                found.into_iter().map(|event| Event::Notify(zone.clone(), event)).collect()
            }
            Some(Route::Watch) => {
                let seen = self.routed(&mut fx.out, &Route::Watch, |node, out| {
                    node.watch.arrival(now, token, arrival, out)
                });
                seen.into_iter().flat_map(|event| self.seen(now, event, fx)).collect()
            }
        }
    }

    fn timeout(&mut self, now: Now, fx: &mut Effects) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..CALLED_AT_ONCE {
            let is_due = self.due.first().is_some_and(|(due, _)| *due <= now.mono);
            let Some((_, zone)) = is_due.then(|| self.due.pop_first()).flatten() else { break };
            if let Some(member) = self.members.get_mut(&zone) {
                member.due = None;
                if let Some((_, proposal)) = member.retry.take_if(|(at, _)| *at <= now.mono) {
                    events.extend(self.submit(now, [*proposal], fx));
                }
            }
            events.extend(self.go_on_alone(now, &zone, fx));
            let found =
                self.with_notifier(&zone, &mut fx.out, |notifier, out| notifier.handle_timeout(now, out));
            events.extend(found.into_iter().map(|event| Event::Notify(zone.clone(), event)));
            let found =
                self.with_refresh(&zone, &mut fx.out, |refresh, _, out| refresh.handle_timeout(now, out));
            events.extend(self.settle_all(now, &zone, found, fx));
        }
        let seen = self.routed(&mut fx.out, &Route::Watch, |node, out| node.watch.handle_timeout(now, out));
        for event in seen {
            events.extend(self.seen(now, event, fx));
        }
        events
    }

    fn files(
        &mut self,
        now: Now,
        files: Vec<(Name, Result<ZoneFile, String>)>,
        fx: &mut Effects,
    ) -> Vec<Event> {
        let (mut events, mut proposals) = (Vec::new(), Vec::new());
        for (name, content) in files {
            let Some(member) = self.members.get_mut(&name) else { continue };
            let Role::Primary(policy) = member.config.options.role else { continue };
            member.retry = None;
            self.epochs += 1;
            member.epoch = self.epochs;
            match content {
                Ok(ZoneFile { content, edited }) => {
                    if let Some((before, served)) = member.lowered(&content) {
                        let file = content.serial();
                        events.push(Event::SerialLowered { zone: name, file, before, served });
                    }
                    proposals.push(Proposal::file(content, policy).edited(edited));
                }
                Err(why) => {
                    member.blame(now, why.clone());
                    member.is_refused = true;
                    self.touched(now, &name);
                    events.push(Event::NotPublished { zone: name, why });
                }
            }
        }
        let zones: Vec<Name> = proposals.iter().map(|proposal| proposal.zone.clone()).collect();
        events.extend(self.submit(now, proposals, fx));
        for zone in zones {
            events.extend(self.go_on_alone(now, &zone, fx));
        }
        events
    }

    fn contested(&mut self, now: Now, zones: Vec<(Name, Option<String>)>) -> Vec<Event> {
        let mut events = Vec::new();
        for (zone, what) in zones {
            let Some(member) = self.members.get_mut(&zone) else { continue };
            let is_well = member.contested(now, what);
            self.touched(now, &zone);
            events.extend(is_well.then_some(Event::InOrderAgain(zone)));
        }
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
            let by = members.get(&proposal.zone).map_or(0, |member| member.epoch);
            Submission { by, proposal }
        });
        let outcomes = self.publishing.submit(now, submissions, &self.store, fx);
        self.conclude(now, outcomes, fx)
    }

    /// Sets going what follows from changes that have been published or refused.
    fn conclude(&mut self, now: Now, outcomes: Vec<Outcome>, fx: &mut Effects) -> Vec<Event> {
        let mut events = Vec::new();
        for Outcome { zone, by, result, again } in outcomes {
            // What fails of a transfer is told by who asked for it, with the primary that it came from.
            let is_told_here = self.members.get(&zone).is_some_and(|member| member.refresh.is_none());
            if let Some(error) = result.as_ref().err().filter(|_| is_told_here) {
                let why = error.to_string();
                events.push(match error {
                    PublishError::Log(_) => Event::NotKept { zone: zone.clone(), why },
                    _ => Event::NotPublished { zone: zone.clone(), why },
                });
            }
            // A member that has been configured anew has not asked for this; of one that has read another file since, it says nothing:
            // that file has its own outcome, or could not be read.
            let member = self.members.get_mut(&zone).filter(|member| member.epoch == by);
            let mut follow = Vec::new();
            if let Some(member) = member {
                match &result {
                    // Its machine says what that means.
                    _ if member.refresh.is_some() => {}
                    Err(error) => {
                        member.blame(now, error.to_string());
                        member.is_refused |= !matches!(error, PublishError::Log(_));
                        member.retry = again.map(|proposal| (now.mono + RETRY, Box::new(proposal)));
                    }
                    Ok(publication) => {
                        member.problem = None;
                        // A new version says so itself.
                        if std::mem::take(&mut member.is_refused) && publication.is_none() {
                            events.push(Event::InOrderAgain(zone.clone()));
                        }
                    }
                }
                follow = self
                    .with_refresh(&zone, &mut fx.out, |refresh, _, out| refresh.published(now, &result, out));
            } else if let Ok(Some(_)) = &result {
                follow = self.adopt(now, &zone, fx);
            }
            if let Ok(Some(publication)) = result {
                events.push(self.announce(now, publication, fx));
            }
            events.extend(self.settle_all(now, &zone, follow, fx));
            // Whichever comes first, what is published here or what is seen there.
            events.extend(self.ahead(&zone));
        }
        events
    }

    /// Sets going all that follows a publication.
    fn announce(&mut self, now: Now, publication: Publication, fx: &mut Effects) -> Event {
        let zone = publication.zone.clone();
        let (mut heard, mut publisher) = (None, None);
        if let Some(member) = self.members.get_mut(&zone) {
            heard = member.heard.take();
            publisher = member.clocks().and_then(|clocks| clocks.of(publication.stamp.writer));
            let options = &member.config.options;
            match options.role {
                // Nobody else shows a version of a zone without other servers.
                Role::Primary(_) if options.notify.is_empty() && options.watch.is_empty() => {}
                Role::Primary(_) => member.seen.ledger.published(now, &publication.stamp, publication.from),
                Role::Secondary(_) => {
                    // A transfer may bring many versions at once; each followed the one before.
                    let history = member.zone.history();
                    let after = publication.from.and_then(|from| history.after(from));
                    let after: Vec<_> = after.into_iter().flatten().copied().collect();
                    member.seen.ledger.told(now.mono, publication.from, &after);
                    member.seen.ledger.holds(now.mono, &publication.stamp);
                }
            }
        }
        self.tell(now, &zone, &mut fx.out);
        self.watch.published(now, &zone, publication.stamp.serial);
        Event::Published { publication, heard, publisher, now }
    }

    fn with_refresh(
        &mut self,
        zone: &NameRef,
        out: &mut Outbox,
        act: impl FnOnce(&mut Refresh, &Zone, &mut Outbox) -> Vec<refresh::Event>,
    ) -> Vec<refresh::Event> {
        if self.members.get(zone).is_none_or(|member| member.refresh.is_none()) {
            return Vec::new();
        }
        self.routed(out, &Route::Refresh(zone.to_name()), |node, out| match node.members.get_mut(zone) {
            Some(Member { refresh: Some(refresh), zone, config, .. }) => {
                let zones = config.options.primaries().iter().filter_map(|it| node.pulled_from.get(it)).max();
                refresh.shared_by(zones.copied().unwrap_or(1));
                act(refresh, zone, out)
            }
            _ => Vec::new(),
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

    /// Notes how a zone is after something happened to it, and books when it wants to be called next.
    fn touched(&mut self, now: Now, zone: &NameRef) {
        let Some(member) = self.members.get_mut(zone) else { return };
        let (state, look) = (member.state(now.mono), (member.look(), member.is_troubled()));
        self.board.note(now.mono, &member.config.name, &mut member.mark, state, look);
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

mod configure;
mod lost_history;
mod pulled;
mod report;
mod seen;
mod telling;

#[cfg(test)]
mod tests;
