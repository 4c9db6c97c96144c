//! A host: what `server/` makes of a machine, with clocks, sockets and disk that are pretended.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::answer::context::{Client, Recursion, Served};
use crate::answer::elsewhere::Fetched;
use crate::ask::admission::Admission;
use crate::ask::exchange::{Outbox, Token};
use crate::node::effects::Effects;
use crate::node::event::{Event, Input};
use crate::node::roster::Changes;
use crate::node::router::Node;
use crate::node::settings::{self, ZoneConfig, ZoneOptions};
use crate::publish::journal::order::Order;
use crate::publish::store::ZoneStore;
use crate::publish::zone::Version;
use crate::resolve;
use crate::resolve::cache::{self, Ask, Cache};
use crate::resolve::resolver::Resolver;
use crate::resolve::settings::Reach;
use crate::resolve::special_use::SpecialUse;
use crate::time::{Mono, Now, Utc};
use crate::transfer::ixfr_loop::Stuck;
use crate::wire::cookie::{Secret, Secrets};
use crate::wire::name::NameRef;
use crate::wire::prefix::Prefix;
use crate::zone::serial::Policy;

use super::content;
use super::disk::Disk;

/// What a host's monotonic clock shows when it boots, in microseconds: far from zero, as in the daemon, so that what is dated back
/// from then still has a reading.
const BOOT: u64 = 10_000_000_000_000;
/// Civil time at the start of the world, in microseconds.
const EPOCH: u64 = 1_763_700_000_000_000;

/// What a host is for. Other hosts are named by their index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// Has the zone file.
    Primary(Policy),
    /// Pulls the zone from these.
    Secondary(Vec<usize>),
    /// Asks these: as a stub where they are authoritative, else as a forwarder.
    Cache {
        /// Whom.
        upstreams: Vec<usize>,
        /// Whether they are caches themselves.
        recursive: bool,
    },
}

/// A host's part in a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPlan {
    /// What it is for.
    pub role: Role,
    /// Whom it tells of changes (and so watches).
    pub notify: Vec<usize>,
    /// Whom it watches besides.
    pub watch: Vec<usize>,
    /// How often it asks those whom it pulls from, where REFRESH is longer.
    pub lease: Option<Duration>,
    /// By how many microseconds its civil clock is ahead.
    pub skew: i64,
    /// How long the messages of its transfers are at most.
    pub message_bytes: usize,
}

/// The address of a host.
pub fn address(index: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, index as u8 + 1], 53))
}

/// Which machines of a host an exchange belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Driver {
    /// The node.
    Node,
    /// The resolver.
    Resolver,
}

/// A machine that may crash and boot.
pub struct Host {
    /// Which one.
    pub index: usize,
    /// Its part.
    pub plan: HostPlan,
    /// Its disk.
    pub disk: Disk,
    /// How often it has booted.
    pub life: u32,
    /// When it booted last.
    booted: Mono,
    /// What runs on it.
    pub running: Option<Running>,
}

/// A process.
pub struct Running {
    /// The zones.
    pub store: Arc<ZoneStore>,
    /// What queries are answered from.
    pub served: Served,
    /// The control plane.
    pub node: Node,
    /// What it asks for.
    pub effects: Effects,
    /// Changes up to this one are of what its zone files held at its start.
    pub first: Option<u64>,
    /// Whether those have been published.
    pub is_ready: bool,
    /// Whether it answers: it does once it is ready, as the daemon.
    pub listens: bool,
    /// What the journal has not written yet.
    pub order: Order,
    /// The journal has written a group and not synced it yet.
    pub is_syncing: bool,
    /// Of a group that is written not every commit is known to the node.
    pub is_reporting: bool,
    /// Whose turn it is at the other hosts.
    pub admission: Admission,
    /// The resolver of a cache.
    pub resolver: Option<Resolver>,
    /// What it asks for.
    pub resolver_outbox: Outbox,
    /// Clients whose incremental transfers lead nowhere.
    pub stuck: Stuck,
    /// Exchanges under way.
    pub open: BTreeSet<(Driver, Token)>,
    /// Requests that wait for the resolver.
    pub waiting: BTreeMap<u64, FollowUp>,
    /// The next of them.
    pub next_waiter: u64,
}

/// A request that waits for the resolver.
pub struct FollowUp {
    /// What is asked for it now.
    pub ask: Ask,
    /// What was found for it so far.
    pub fetched: Vec<Fetched>,
    /// The request.
    pub request: Vec<u8>,
    /// Who asks.
    pub source: Client,
    /// The way back.
    pub back: Back,
}

/// Where a reply goes.
#[derive(Clone, Copy, Debug)]
pub enum Back {
    /// To a host's exchange.
    Exchange {
        /// The host.
        host: usize,
        /// Its life then.
        life: u32,
        /// Whose exchange.
        driver: Driver,
        /// Which.
        token: Token,
    },
    /// To a connection.
    Connection(u64),
    /// To a client outside of all this, that asked for a canary.
    Client(usize),
}

impl Running {
    /// When the journal writes its next group; one at a time.
    pub fn group_due(&self) -> Option<Mono> {
        self.order.due().filter(|_| !self.is_syncing).map(|due| due.max(Mono(BOOT)))
    }
}

impl Host {
    /// A host that is off.
    pub fn new(index: usize, plan: HostPlan) -> Host {
        Host { index, plan, disk: Disk::default(), life: 0, booted: Mono(0), running: None }
    }

    /// What its clocks show.
    pub fn now(&self, at: Mono) -> Now {
        let mono = Mono(BOOT + at.0.saturating_sub(self.booted.0));
        Now { mono, utc: Utc((EPOCH + at.0).saturating_add_signed(self.plan.skew)) }
    }

    /// When its monotonic clock shows this; `None` before the world began.
    pub fn world_time(&self, mono: Mono) -> Option<Mono> {
        (self.booted.0 + mono.0).checked_sub(BOOT).map(Mono)
    }

    /// Whether it has the zone's file.
    pub fn is_primary(&self) -> bool {
        matches!(self.plan.role, Role::Primary(_))
    }

    /// Whether it serves the zone by itself.
    pub fn is_authoritative(&self) -> bool {
        !matches!(self.plan.role, Role::Cache { .. })
    }

    /// What it serves.
    pub fn version(&self) -> Option<Arc<Version>> {
        self.version_of(&content::apex())
    }

    /// What it serves of a zone.
    pub fn version_of(&self, zone: &NameRef) -> Option<Arc<Version>> {
        self.running.as_ref()?.store.get(zone)?.version()
    }

    /// When one of its machines wants to be called.
    pub fn next_timeout(&self) -> Option<Mono> {
        let running = self.running.as_ref()?;
        let resolver = running.resolver.as_ref().and_then(Resolver::next_timeout);
        let machines = running.node.next_timeout().into_iter().chain(resolver);
        let local = machines.chain(running.admission.next_timeout()).chain(running.group_due()).min()?;
        self.world_time(local)
    }

    /// Starts the process: what the journal holds is taken back, then the zones are configured.
    pub fn boot(&mut self, at: Mono, seed: u64) -> Vec<Event> {
        self.life += 1;
        self.booted = at;
        let now = self.now(at);
        let mut rng = StdRng::seed_from_u64(seed ^ (u64::from(self.life) << 32) ^ self.index as u64);
        let store = Arc::new(ZoneStore::new(self.index as u64 + 1));
        let config = self.config();
        config.iter().for_each(|config| drop(store.configure(&config.name, config.options.access())));
        let recovered = self.disk.replay(|zone, happened| store.replay(&zone, happened));
        if recovered.is_doubtful {
            store.doubt(recovered.is_boundless);
        }
        let mut recursion = None;
        let mut resolver = None;
        if let Role::Cache { upstreams, recursive } = &self.plan.role {
            let cache = Arc::new(Cache::new(&cache::Config { max_entries: 1_000, ..Default::default() }));
            let servers = upstreams.iter().map(|&upstream| address(upstream)).collect();
            let zone = vec![resolve::settings::Zone { zone: content::apex(), servers }];
            let (forward, stub) = if *recursive { (zone, Vec::new()) } else { (Vec::new(), zone) };
            let routes = resolve::settings::Config { forward, stub, ..Default::default() };
            let (special_use, reach) = (SpecialUse::beside(&routes), Reach::of(&routes));
            let beside = Resolver::new(&routes, Arc::clone(&cache), rng.random()).beside(Arc::clone(&store));
            resolver = Some(beside);
            recursion = Some(Recursion { cache, allow: everyone(), special_use, reach });
        }
        // Nothing is random here that the seed does not decide.
        let cookies = Arc::new(Secrets::new(Secret::new([0; 16]), Vec::new()));
        let served = Served { store: Arc::clone(&store), recursion, nsid: None, cookies };
        let mut node = Node::new(Arc::clone(&store), rng.random());
        let mut effects = Effects::default();
        let zones = Changes { added: config, ..Changes::default() };
        let events = node.handle(now, Input::Zones(zones), &mut effects);
        self.running = Some(Running {
            store,
            served,
            node,
            effects,
            first: None,
            is_ready: false,
            listens: false,
            order: Order::default(),
            is_syncing: false,
            is_reporting: false,
            admission: Admission::default(),
            resolver,
            resolver_outbox: Outbox::default(),
            stuck: Stuck::default(),
            open: BTreeSet::new(),
            waiting: BTreeMap::new(),
            next_waiter: 0,
        });
        events
    }

    /// Writes a new journal where the old one has grown too long.
    pub fn tidy(&mut self) {
        let Some(running) = self.running.as_ref().filter(|_| self.disk.is_overgrown()) else { return };
        // What is under way, or written and not served yet, would not be in the new one.
        if running.is_syncing || running.is_reporting || !running.order.is_idle() {
            return;
        }
        let zones = running.store.zones();
        self.disk.compact(|each| zones.iter().for_each(|zone| zone.checkpoint(each)));
    }

    /// The zone, and at the primary those beside it, which nobody pulls.
    fn config(&self) -> Vec<ZoneConfig> {
        let role = match &self.plan.role {
            Role::Primary(policy) => settings::Role::Primary(*policy),
            Role::Secondary(from) => {
                settings::Role::Secondary(from.iter().map(|&from| address(from)).collect())
            }
            Role::Cache { .. } => return Vec::new(),
        };
        let addresses = |hosts: &[usize]| hosts.iter().map(|&host| address(host)).collect();
        let options = ZoneOptions {
            role,
            notify: addresses(&self.plan.notify),
            allow_transfer: vec![Prefix { addr: IpAddr::from([10, 0, 0, 0]), length: 8 }],
            watch: addresses(&self.plan.watch),
            lease: self.plan.lease,
            from_secondaries: false,
        };
        let alone = ZoneOptions {
            notify: Vec::new(),
            watch: Vec::new(),
            allow_transfer: Vec::new(),
            ..options.clone()
        };
        let side = |index| ZoneConfig::new(content::side(index), alone.clone());
        let sides = (0..content::SIDES).filter(|_| self.is_primary()).map(side);
        sides.chain([ZoneConfig::new(content::apex(), options)]).collect()
    }
}

fn everyone() -> Vec<Prefix> {
    vec![Prefix { addr: IpAddr::from([0, 0, 0, 0]), length: 0 }]
}
