//! Which servers are responsible for a name, and how each has behaved: smoothed round-trip times, dead ones held down.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::ask::exchange::Outbox;
use crate::ask::question::Call;
use crate::ask::support::Support;
use crate::publish::store::ZoneStore;
use crate::time::{Mono, Now, Utc};
use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::Rtype;
use crate::zone::serial::Serial;

use super::floors::Floors;
use super::settings::Zone;

/// One question in this many goes to a server at random instead of the fastest, so that a server that was slow or dead is
/// noticed when it has become better.
const EXPLORE: u32 = 16;
/// After this many lost messages in a row a server is held down.
const HOLD_AFTER: u32 = 3;
/// How long a server is held down at first; doubled with every further loss.
const HOLD_FIRST: Duration = Duration::from_secs(1);
/// How long a server is held down at most: as long as stale answers are given out for.
const HOLD_MOST: Duration = Duration::from_secs(30);
/// A round-trip time never counts as more than this: no question lasts longer.
const RTT_MOST: Duration = Duration::from_secs(5);

/// A zone's way to its servers.
#[derive(Clone, Debug)]
pub struct Route {
    /// The zone.
    pub zone: Name,
    /// Whether its servers are asked to recurse (forwarding, RD set) or only for what they have (stub, RD clear).
    pub recursive: bool,
    /// Indexes into the table of servers.
    pub servers: Vec<usize>,
}

/// All routes and all servers of one resolver, with its source of random choices.
#[derive(Debug)]
pub struct Upstreams {
    routes: Vec<Route>,
    by_zone: HashMap<Name, usize>,
    servers: Vec<Health>,
    random: StdRng,
    /// What the servers take of EDNS.
    support: Support,
    /// The zones served here.
    here: Option<Arc<ZoneStore>>,
    floors: Arc<Floors>,
}

impl Upstreams {
    /// Takes zones and servers; only addresses that `usable` admits are ever asked. The first zone of a name counts.
    pub fn new(
        forward: &[Zone],
        stub: &[Zone],
        usable: impl Fn(&SocketAddr) -> bool,
        seed: [u8; 32],
    ) -> Upstreams {
        let mut upstreams = Upstreams {
            routes: Vec::new(),
            by_zone: HashMap::new(),
            servers: Vec::new(),
            random: StdRng::from_seed(seed),
            support: Support::default(),
            here: None,
            floors: Arc::default(),
        };
        let mut known = HashMap::new();
        let zones = stub.iter().map(|zone| (zone, false)).chain(forward.iter().map(|zone| (zone, true)));
        for (zone, recursive) in zones {
            let mut servers = Vec::new();
            for &address in zone.servers.iter().filter(|server| usable(server)) {
                let index = *known.entry(address).or_insert_with(|| {
                    upstreams.servers.push(Health::new(address));
                    upstreams.servers.len() - 1
                });
                if !servers.contains(&index) {
                    servers.push(index);
                }
            }
            upstreams.by_zone.entry(zone.zone.clone()).or_insert(upstreams.routes.len());
            upstreams.routes.push(Route { zone: zone.zone.clone(), recursive, servers });
        }
        upstreams
    }

    /// The route with the longest zone that holds `name`.
    pub fn best(&self, name: &NameRef) -> Option<usize> {
        std::iter::successors(Some(name), |name| name.parent())
            .find_map(|zone| self.by_zone.get(zone).copied())
    }

    /// The route for a question: the best for its name, but that a DS record is looked for above the cut that it speaks of,
    /// not at the servers of the zone below it (RFC 4035 3.1.4.1).
    pub fn best_for(&self, name: &NameRef, rtype: Rtype) -> Option<usize> {
        let best = self.best(name)?;
        let route = &self.routes[best];
        let parent = name.parent().filter(|_| rtype == Rtype::DS && !route.recursive && *route.zone == *name);
        Some(parent.and_then(|parent| self.best(parent)).unwrap_or(best))
    }

    /// A route by its index from [`Upstreams::best`].
    pub fn route(&self, index: usize) -> &Route {
        &self.routes[index]
    }

    /// Has these floors in common with others.
    pub fn share(&mut self, floors: Arc<Floors>) {
        self.floors = floors;
    }

    /// Has names be left to these zones, which are served here.
    pub fn beside(&mut self, zones: Arc<ZoneStore>) {
        self.here = Some(zones);
    }

    /// Whether a zone served here has the last word about a name.
    pub fn is_here(&self, name: &NameRef, rtype: Rtype) -> bool {
        self.here.as_ref().is_some_and(|zones| zones.directory().speaks_for(name, rtype))
    }

    /// Whether the servers of this route may be believed about `name`: no others are responsible for it, and no zone here is.
    pub fn may_tell(&self, route: usize, name: &NameRef, rtype: Rtype) -> bool {
        self.best(name).is_none_or(|best| best == route) && !self.is_here(name, rtype)
    }

    /// A server's address.
    pub fn address(&self, server: usize) -> SocketAddr {
        self.servers[server].address
    }

    /// What a call into a question needs.
    pub fn call<'a>(&'a mut self, now: Mono, out: &'a mut Outbox) -> Call<'a> {
        let now = Now { mono: now, utc: Utc::default() };
        Call { now, rng: &mut self.random, support: &mut self.support, out }
    }

    /// Which of the candidates to ask, given as server and how often it was asked this question already, `None` for one that
    /// is out: those not held down first, then those asked least, then the fastest; a server never heard of counts as
    /// fast, so that it is tried. Returns the position.
    pub fn pick(&mut self, now: Mono, candidates: &[Option<(usize, u32)>]) -> Option<usize> {
        let first = candidates.iter().flatten().all(|&(_, asked)| asked == 0);
        if first && self.random.random_range(0..EXPLORE) == 0 {
            let up: Vec<usize> = (0..candidates.len())
                .filter(|&at| {
                    candidates[at].is_some_and(|(server, _)| now >= self.servers[server].held_until)
                })
                .collect();
            if !up.is_empty() {
                return Some(up[self.random.random_range(0..up.len())]);
            }
        }
        (0..candidates.len())
            .filter_map(|at| candidates[at].map(|(server, asked)| (at, &self.servers[server], asked)))
            .min_by_key(|&(_, health, asked)| (now < health.held_until, asked, health.rtt))
            .map(|(at, ..)| at)
    }

    /// Takes note of the version that a server answered from. Whether it is not older than all that were seen.
    pub fn shows(&self, route: usize, serial: Serial) -> bool {
        self.floors.shows(&self.routes[route].zone, serial)
    }

    /// No server answers from a newer version than this any more: the zone's serial went back, or who had it is gone.
    pub fn steps_back(&self, route: usize, serial: Serial) {
        self.floors.steps_back(&self.routes[route].zone, serial);
    }

    /// Whether a server is left alone for now.
    pub fn is_held_down(&self, now: Mono, server: usize) -> bool {
        now < self.servers[server].held_until
    }

    /// When one of a route's servers may be asked: those that are held down are left alone until then.
    pub fn chance(&self, route: usize) -> Mono {
        let servers = self.routes[route].servers.iter();
        servers.map(|server| self.servers[*server].held_until).min().unwrap_or_default()
    }

    /// A reply came; `rtt` when it measures the way and not a connection.
    pub fn replied(&mut self, server: usize, rtt: Option<Duration>) {
        let health = &mut self.servers[server];
        if let Some(rtt) = rtt.map(|rtt| rtt.min(RTT_MOST)) {
            // The usual smoothing (RFC 6298 2.3), begun afresh when the last measure is from before an outage.
            let fresh = health.losses > 0 || health.rtt.is_zero();
            health.rtt = if fresh { rtt } else { health.rtt * 7 / 8 + rtt / 8 };
        }
        health.losses = 0;
        health.held_until = Mono::default();
    }

    /// No reply came in `waited`.
    pub fn lost(&mut self, now: Mono, server: usize, waited: Duration) {
        let health = &mut self.servers[server];
        if now - waited < health.lost_at {
            // It left before another one was given up, and says nothing that this has not said: else many questions at once would have a
            // server that is away for a moment left alone for half a minute.
            return;
        }
        health.lost_at = now;
        health.rtt = (health.rtt * 2).max(waited).min(RTT_MOST);
        health.losses = health.losses.saturating_add(1);
        health.hold(now);
    }

    /// There is no way to the server, or nobody there.
    pub fn unreachable(&mut self, now: Mono, server: usize) {
        let health = &mut self.servers[server];
        health.losses = health.losses.saturating_add(1).max(HOLD_AFTER);
        health.hold(now);
    }
}

#[derive(Debug)]
struct Health {
    address: SocketAddr,
    /// Smoothed; zero when never measured.
    rtt: Duration,
    /// Messages lost in a row; those that were under way together count as one.
    losses: u32,
    /// When the last of them was given up.
    lost_at: Mono,
    held_until: Mono,
}

impl Health {
    fn new(address: SocketAddr) -> Health {
        Health {
            address,
            rtt: Duration::ZERO,
            losses: 0,
            lost_at: Mono::default(),
            held_until: Mono::default(),
        }
    }

    fn hold(&mut self, now: Mono) {
        if let Some(further) = self.losses.checked_sub(HOLD_AFTER) {
            self.held_until = now + (HOLD_FIRST * (1 << further.min(10))).min(HOLD_MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str, servers: &[&str]) -> Zone {
        let servers = servers.iter().map(|text| text.parse().unwrap()).collect();
        Zone { zone: name.parse().unwrap(), servers }
    }

    fn two_servers() -> Upstreams {
        Upstreams::new(&[zone(".", &["192.0.2.1:53", "192.0.2.2:53"])], &[], |_| true, [1; 32])
    }

    /// How often the second server is picked in 1,000 questions.
    fn second(upstreams: &mut Upstreams, now: Mono) -> usize {
        (0..1_000).filter(|_| upstreams.pick(now, &[Some((0, 0)), Some((1, 0))]) == Some(1)).count()
    }

    #[test]
    fn the_longest_zone_wins_and_a_stub_before_a_forward() {
        let upstreams = Upstreams::new(
            &[zone(".", &["192.0.2.1:53"]), zone("a.example.", &["192.0.2.3:53"])],
            &[zone("example.", &["192.0.2.2:53"]), zone("a.example.", &["192.0.2.4:53"])],
            |_| true,
            [0; 32],
        );
        let best = |name: &str| {
            let route = upstreams.route(upstreams.best(&name.parse::<Name>().unwrap()).unwrap());
            (upstreams.address(route.servers[0]).ip().to_string(), route.recursive)
        };
        assert_eq!(best("www.test."), ("192.0.2.1".to_owned(), true));
        assert_eq!(best("EXAMPLE."), ("192.0.2.2".to_owned(), false));
        assert_eq!(best("x.a.example."), ("192.0.2.4".to_owned(), false));
        let for_ds = |name: &str| upstreams.best_for(&name.parse::<Name>().unwrap(), Rtype::DS).unwrap();
        assert!(upstreams.route(for_ds("example.")).recursive);
        assert!(!upstreams.route(for_ds("b.example.")).recursive);
        assert_eq!(for_ds("a.example."), for_ds("b.example."));
    }

    #[test]
    fn the_fastest_is_asked_and_the_others_now_and_then() {
        let mut upstreams = two_servers();
        upstreams.replied(0, Some(Duration::from_millis(10)));
        upstreams.replied(1, Some(Duration::from_millis(90)));
        let explored = second(&mut upstreams, Mono(0));
        assert!((5..=80).contains(&explored), "{explored}");
        for _ in 0..40 {
            upstreams.replied(0, Some(Duration::from_millis(500)));
        }
        assert!(second(&mut upstreams, Mono(0)) > 900);
    }

    #[test]
    fn a_dead_server_is_held_down_and_comes_back() {
        let mut upstreams = two_servers();
        upstreams.replied(0, Some(Duration::from_millis(90)));
        upstreams.replied(1, Some(Duration::from_millis(10)));
        let wait = Duration::from_millis(400);
        let at = |waits: u32| Mono(0) + wait * waits;
        for waits in 1..=HOLD_AFTER {
            assert!(!upstreams.is_held_down(at(waits), 1));
            // Of many questions that are lost at a time.
            (0..20).for_each(|_| upstreams.lost(at(waits), 1, wait));
        }
        let held_until = at(HOLD_AFTER) + HOLD_FIRST;
        assert_eq!(second(&mut upstreams, held_until - Duration::from_micros(1)), 0);
        assert!(second(&mut upstreams, held_until) > 0);
        upstreams.replied(1, Some(Duration::from_millis(10)));
        assert!(second(&mut upstreams, held_until) > 900);
        upstreams.unreachable(Mono(9_000_000), 1);
        assert_eq!(second(&mut upstreams, Mono(9_000_001)), 0);
    }

    #[test]
    fn only_losses_in_a_row_hold_a_server_down() {
        let mut upstreams = two_servers();
        upstreams.replied(1, Some(Duration::from_secs(4)));
        for _ in 0..HOLD_AFTER {
            upstreams.replied(0, Some(Duration::from_millis(10)));
            upstreams.lost(Mono(0), 0, Duration::from_millis(400));
        }
        assert!(second(&mut upstreams, Mono(1)) < 100);
    }

    #[test]
    fn when_all_are_held_down_one_is_asked_all_the_same() {
        let mut upstreams = two_servers();
        upstreams.unreachable(Mono(0), 0);
        upstreams.unreachable(Mono(0), 1);
        assert_eq!(upstreams.pick(Mono(1), &[Some((0, 1)), Some((1, 0))]), Some(1));
        assert_eq!(upstreams.pick(Mono(1), &[None, None]), None);
    }
}
