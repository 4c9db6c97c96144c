//! Which zones a node has: taking them in, with other configurations too, and letting them go.

use super::*;

use std::collections::hash_map::Entry;

use crate::publish::access::Access;
use crate::publish::journal::entry;
use crate::publish::zone::Version;
use crate::transfer::refresh::Stored;
use crate::zone::serial::Serial;
use crate::zone::stamp::Stamp;

use super::super::roster::{Changes, Removal};
use super::super::seen_servers::Shown;

impl Node {
    /// Lets zones go and takes others in; what is to be had as before goes on as it is.
    pub(super) fn take_in(
        &mut self,
        now: Now,
        Changes { removed, added }: Changes,
        fx: &mut Effects,
    ) -> Vec<Event> {
        let mut events: Vec<Event> =
            removed.into_iter().filter_map(|removal| self.remove(removal, fx)).collect();
        if added.is_empty() {
            return events;
        }
        // All zones of a folder have the same options, and those of a long list often alike ones: they share an access list.
        let (mut of, mut access) = (None, Arc::<Access>::default());
        let lists = added.iter().map(|ZoneConfig { name, options }| {
            if of.replace(Arc::as_ptr(options)) != Some(Arc::as_ptr(options)) {
                let other = options.access();
                if other != *access {
                    access = Arc::new(other);
                }
            }
            (name, Arc::clone(&access))
        });
        let served = self.store.configure_all(lists);
        events.reserve(added.len());
        for (config, zone) in added.into_iter().zip(served) {
            self.add(now, config, zone, &mut events, fx);
        }
        events
    }

    fn add(
        &mut self,
        now: Now,
        config: ZoneConfig,
        zone: Arc<Zone>,
        events: &mut Vec<Event>,
        fx: &mut Effects,
    ) {
        let name = config.name.clone();
        let known = match self.members.get(&name) {
            Some(member) if member.config == config => return,
            Some(_) => self.withdraw(&name, fx),
            None => {
                events.push(Event::Added(name.clone()));
                None
            }
        };
        let is_secondary = config.options.is_secondary();
        if known.as_ref().is_some_and(|member| member.config.options.is_secondary() != is_secondary) {
            // A file's content has no place in what is pulled from now on, nor what was pulled in what has a file.
            self.publishing.withdraw(&name);
        }
        let version = zone.version();
        let have = version.as_ref().map(|version| version.stamp.serial);
        let unwatched = self.watch_all(now, &name, &config.options.servers(), have, fx);
        let is_new = known.is_none();
        let mut member = self.member(config, zone, known);
        member.seen.shown.extend(unwatched);
        if let Some(version) = &version {
            if !member.config.options.servers().is_empty() {
                // What a former life published: who is behind is so since then, and not since the start.
                let history: Vec<Stamp> = member.zone.history().stamps().copied().collect();
                member.seen.ledger.told(now.mono, None, &history);
            }
            member.seen.ledger.holds(now.mono, &version.stamp);
            member.seen.ledger.served_since(now.mono, version.stamp.serial, version.applied);
        }
        if let Some(at) = member.expired_at() {
            // With other settings that is no news.
            events.extend(is_new.then(|| Event::Expired(name.clone())));
            let what = "it expired: no primary confirmed it within the SOA's EXPIRE".to_owned();
            member.problem = Some(Problem { what, since: at });
        }
        self.members.insert(member);
        if !self.ask_others(now, &name, events) {
            // With other settings it may have had to ask.
            let outcomes = self.publishing.release(now, &name, &self.store, fx);
            events.extend(self.conclude(now, outcomes, fx));
        }
        events.extend(self.begin(now, &name, version.as_deref(), fx));
    }

    /// A zone's machines, none of which has begun; `known` is the zone as it was with other settings.
    fn member(&mut self, config: ZoneConfig, zone: Arc<Zone>, mut known: Option<Member>) -> Member {
        let (name, seed) = (config.name.clone(), self.rng.random());
        let notify = &config.options.notify;
        let notifier =
            (!notify.is_empty()).then(|| Box::new(Notifier::new(name.clone(), notify.clone(), seed)));
        let refresh = match &config.options.role {
            Role::Primary(_) => None,
            Role::Secondary(primaries) => {
                for primary in primaries {
                    *self.pulled_from.entry(*primary).or_default() += 1;
                }
                let (lease, from_secondaries) = (config.options.lease, config.options.from_secondaries);
                let (primaries, limits) = (primaries.clone(), Limits::default());
                let config = refresh::Config {
                    zone: name,
                    primaries,
                    limits,
                    together: self.together.clone(),
                    lease,
                    from_secondaries,
                    remains: self.store.remains(),
                };
                let mut refresh = Box::new(Refresh::new(config, self.rng.random()));
                let known = known.as_mut().and_then(|member| member.refresh.take());
                known.into_iter().for_each(|known| refresh.take_over(*known));
                Some(refresh)
            }
        };
        let (ledger, contest) = known.map(|member| (member.seen.ledger, member.contest)).unzip();
        let mut ledger = ledger.unwrap_or_default();
        ledger.kept_by(self.store.writer());
        let seen = SeenServers { ledger, shown: BTreeMap::new() };
        self.epochs += 1;
        Member {
            config,
            epoch: self.epochs,
            zone,
            refresh,
            notifier,
            seen,
            problem: None,
            contest: contest.flatten(),
            at_odds: None,
            doubt: None,
            failures: BTreeMap::new(),
            fell_back: None,
            noted: None,
            is_refused: false,
            filed: None,
            heard: None,
            retry: None,
            asking: None,
            due: None,
            mark: None,
        }
    }

    /// Has a zone's machines begin; `version` is what it serves from the life before.
    fn begin(&mut self, now: Now, name: &Name, version: Option<&Version>, fx: &mut Effects) -> Vec<Event> {
        // A node that stopped between a publication and its NOTIFY still owes it.
        self.tell(now, name, &mut fx.out);
        let mut events = self.take_clock(now, name, fx);
        let mut from = version.map(|version| version.applied);
        let found = self.with_refresh(name, &mut fx.out, |refresh, zone, out| {
            let (counted_from, newer) = (zone.counted_from(), zone.newer());
            from = counted_from.or(from);
            refresh.start(now, version.map(|version| Stored { version, counted_from, newer }), out)
        });
        self.tell_expiry(name);
        if found.iter().any(|event| matches!(event, refresh::Event::Expired(_)))
            && let Some(from) = from
        {
            events.push(Event::ExpiredMeanwhile { zone: name.clone(), from, ago: now.utc.since(from) });
        }
        events.extend(self.settle_all(now, name, found, fx));
        events
    }

    /// Has the machine of a zone that was configured anew go by what the one before it pulled: it was being written down then, and is served
    /// now.
    pub(super) fn adopt(&mut self, now: Now, name: &NameRef, fx: &mut Effects) -> Vec<refresh::Event> {
        let notes = &mut fx.notes;
        let found = self.with_refresh(name, &mut fx.out, |refresh, zone, out| {
            let Some(version) = zone.version() else { return Vec::new() };
            let from = zone.counted_from().unwrap_or(version.applied);
            // What was noted of the version before while this one was being written down stands behind it in the journal.
            let current = zone.verified_at().unwrap_or_default();
            notes.push(entry::Entry::Verified(zone.name().clone(), from, Some(current)));
            refresh.adopt(now, &version, Some(from), out)
        });
        self.tell_expiry(name);
        found
    }

    /// Has those who ask before the first poll has an answer told what is left of EXPIRE, too.
    fn tell_expiry(&self, name: &NameRef) {
        if let Some(Member { zone, refresh: Some(refresh), .. }) = self.members.get(name)
            && let Some(at) = refresh.expires_at()
        {
            zone.expires(at, None);
        }
    }

    /// Takes note where the clock was set back since a former life wrote down a secondary's moments.
    fn take_clock(&self, now: Now, name: &Name, fx: &mut Effects) -> Vec<Event> {
        let Some(Member { zone, refresh: Some(_), .. }) = self.members.get(name) else { return Vec::new() };
        let Some((ahead, kept)) = zone.not_after(now.utc) else { return Vec::new() };
        fx.notes.extend(kept);
        vec![Event::ClockSetBack { zone: name.clone(), ahead }]
    }

    fn remove(&mut self, removal: Removal, fx: &mut Effects) -> Option<Event> {
        let known = self.withdraw(&removal.zone, fx);
        self.publishing.withdraw(&removal.zone);
        self.store.remove(&removal.zone);
        known.map(|_| Event::Removed(removal))
    }

    fn withdraw(&mut self, name: &NameRef, fx: &mut Effects) -> Option<Member> {
        let mut member = self.members.remove(name)?;
        let Member { config, refresh, notifier, .. } = &mut member;
        // Nothing begins here, and so nothing takes this route.
        self.routed(&mut fx.out, &Route::Watch, |node, out| {
            config.options.servers().into_iter().for_each(|server| node.watch.remove(name, server, out));
            refresh.iter_mut().for_each(|refresh| refresh.stop(out));
            notifier.iter_mut().for_each(|notifier| notifier.stop(out));
        });
        self.unwatched -= member.seen.unwatched();
        for primary in member.config.options.primaries() {
            if let Entry::Occupied(mut zones) = self.pulled_from.entry(*primary) {
                *zones.get_mut() -= 1;
                if *zones.get() == 0 {
                    zones.remove();
                    self.unreachable.remove(primary);
                }
            }
        }
        if let Some(due) = member.due {
            self.due.remove(&(due, name.to_name()));
        }
        self.board.remove(&member.config.name, member.mark);
        Some(member)
    }

    /// Watches the servers that a cache asks about a zone, so that it can say which version they show.
    pub fn watch_stub(&mut self, now: Now, zone: &Name, servers: &[SocketAddr], fx: &mut Effects) {
        if self.members.contains(zone) {
            return;
        }
        let unwatched = self.watch_all(now, zone, servers, None, fx);
        let mut seen = SeenServers::default();
        seen.shown.extend(unwatched);
        self.stubs.insert(zone.clone(), (seen, servers.to_vec()));
    }

    /// Begins to watch servers of a zone; those that are too many.
    fn watch_all(
        &mut self,
        now: Now,
        zone: &Name,
        servers: &[SocketAddr],
        have: Option<Serial>,
        fx: &mut Effects,
    ) -> Vec<(SocketAddr, Shown)> {
        let mut unwatched = Vec::new();
        for &server in servers {
            let ask = observation::Ask { have, ..observation::Ask::soa(server, zone.clone()) };
            if !self.routed(&mut fx.out, &Route::Watch, |node, out| node.watch.insert(now, ask, out)) {
                unwatched.push((server, Shown::Unwatched));
            }
        }
        self.unwatched += unwatched.len();
        unwatched
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::settings::ZoneOptions;
    use super::*;
    use crate::probe::watch::MAX_TARGETS;
    use crate::zone::fixture;
    use crate::zone::serial::Policy;

    #[test]
    fn zones_that_go_leave_no_exchange_behind() {
        let mut node = Node::new(Arc::new(ZoneStore::new(7)), [7; 32]);
        let mut fx = Effects::default();
        let servers = vec![SocketAddr::from(([192, 0, 2, 1], 53))];
        let (primary, secondary): (Name, Name) = ("one.".parse().unwrap(), "two.".parse().unwrap());
        let watched = ZoneOptions {
            role: Role::Primary(Policy::Keep),
            notify: servers.clone(),
            ..ZoneOptions::default()
        };
        let pulled = ZoneOptions { role: Role::Secondary(servers), ..ZoneOptions::default() };
        let added =
            vec![ZoneConfig::new(primary.clone(), watched), ZoneConfig::new(secondary.clone(), pulled)];
        let now = Now { mono: Mono(1), utc: Utc(1) };
        node.handle(now, Input::Zones(Changes { removed: Vec::new(), added }), &mut fx);
        use crate::transfer::notify::News;
        let soa = fixture::hosts("one.", 1, []).finish().unwrap().0.soa_record();
        node.with_notifier(&primary, &mut fx.out, |notifier, out| {
            notifier.publish(now, News { soa, stamps: Vec::new() }, out);
            Vec::new()
        });
        node.handle(now, Input::Timeout, &mut fx);
        let kinds: BTreeSet<_> = node.routes.values().map(|route| format!("{route:?}")).collect();
        assert_eq!(kinds.len(), 3, "{kinds:?}");
        let open: BTreeSet<Token> = node.routes.keys().copied().collect();
        let removed = [primary, secondary].map(|zone| Removal { zone, why: None }).into();
        node.handle(now, Input::Zones(Changes { removed, added: Vec::new() }), &mut fx);
        assert!(node.routes.is_empty(), "{:?}", node.routes);
        assert_eq!(fx.out.cancels.into_iter().collect::<BTreeSet<_>>(), open);
    }

    /// Whether it waits for the zone's servers, is being prepared, or waits for the one before it.
    #[test]
    fn a_file_is_not_published_in_a_zone_that_has_become_a_secondary_meanwhile() {
        use crate::publish::proposal::ZoneFile;

        let now = Now { mono: Mono(1), utc: Utc(1) };
        let zone: Name = "example.".parse().unwrap();
        let server = SocketAddr::from(([192, 0, 2, 1], 53));
        let configured = |options| {
            let added = vec![ZoneConfig::new(zone.clone(), options)];
            Input::Zones(Changes { removed: Vec::new(), added })
        };
        let file = |serial| {
            let content = fixture::hosts("example.", serial, []).finish().unwrap().0;
            Input::Files(vec![(zone.clone(), Ok(ZoneFile { content, edited: None }))])
        };
        for (notify, files, jobs) in [(vec![server], 1, 0), (Vec::new(), 1, 1), (Vec::new(), 2, 1)] {
            let store = Arc::new(ZoneStore::new(7));
            let (mut node, mut fx) = (Node::new(Arc::clone(&store), [7; 32]), Effects::default());
            node.handle(now, configured(ZoneOptions { notify, ..ZoneOptions::default() }), &mut fx);
            for serial in 1..=files {
                node.handle(now, file(serial), &mut fx);
            }
            let secondary = ZoneOptions { role: Role::Secondary(vec![server]), ..ZoneOptions::default() };
            node.handle(now, configured(secondary), &mut fx);
            assert_eq!(fx.jobs.len(), jobs);
            for job in std::mem::take(&mut fx.jobs) {
                node.handle(now, Input::Prepared(job.run()), &mut fx);
            }
            assert!(fx.jobs.is_empty() && fx.commits.is_empty(), "{:?}", fx.commits);
            // Nobody waits for it either, and the next one goes its way.
            assert!(node.is_settled(node.submitted()));
            node.handle(now, configured(ZoneOptions::default()), &mut fx);
            node.handle(now, file(3), &mut fx);
            assert_eq!(fx.jobs.len(), 1);
        }
    }

    #[test]
    fn servers_that_are_too_many_are_told_not_to_be_watched() {
        let mut node = Node::new(Arc::new(ZoneStore::new(7)), [7; 32]);
        let mut fx = Effects::default();
        let now = Now { mono: Mono(1), utc: Utc(1) };
        let servers = |from: usize, to: usize| {
            (from..to).map(|it| SocketAddr::from(([127, 0, (it >> 8) as u8, it as u8], 53))).collect()
        };
        let zone = |name: &str, watch| {
            let role = Role::Primary(Policy::Increment);
            ZoneConfig::new(name.parse().unwrap(), ZoneOptions { role, watch, ..ZoneOptions::default() })
        };
        let added = vec![zone("all.", servers(0, MAX_TARGETS)), zone("more.", servers(0, 3))];
        node.handle(now, Input::Zones(Changes { removed: Vec::new(), added }), &mut fx);
        assert_eq!(node.overview().unwatched, 3);
        let page = node.page(now, Ask { from: From::Name(None), limit: 10 });
        let watched = |of: usize| page.zones[of].servers.iter().filter(|server| server.watched).count();
        assert_eq!((watched(0), watched(1)), (MAX_TARGETS, 0));
        let removed = vec![Removal { zone: "more.".parse().unwrap(), why: None }];
        node.handle(now, Input::Zones(Changes { removed, added: Vec::new() }), &mut fx);
        assert_eq!(node.overview().unwatched, 0);
    }
}
