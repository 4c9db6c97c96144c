//! A judge of what servers say of their staleness, who asks all of them for what they serve and shares no code with what he judges:
//! servers of five makes, with stops, crashes, cut and slow ways, lost datagrams, a primary that loses its data, and a clock that is ten
//! seconds off. He also has `tidemark wait` wait for every change.
//!
//! `TIDEMARK_JUDGE_SECONDS=600 cargo test --test peer_judge` has him sit for ten minutes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, IteratorRandom};
use serde_json::Value;

use support::await_until::await_until;
use support::daemon::Daemon;
use support::observer::Observer;
use support::path::{Path, Paths, Weather};
use support::tidemark::{self, Tidemark};
use support::truth::Served;
use support::waits::{Wait, Waits};
use support::zones::{self, Zone};
use support::{bind, http, knot, nsd, ports, seed, unbound};

const ZONE: &str = "example.";
/// How long the judge sits, unless he is told.
const SITTING: Duration = Duration::from_secs(40);
/// By how much a bound may miss the truth.
const TOLERANCE: Duration = Duration::from_millis(20);
/// The lease of the secondaries: content is taken for current for one and a half of it.
const LEASE: &str = "1s";
/// How long after the last good poll a secondary may still say that it is current, for each secondary on the way.
const BELIEVED: Duration = Duration::from_millis(2_500);
/// Waits for each change.
const WAITS: usize = 3;
/// What a server shows for so long is seen by who waits for it.
const SEEN: Duration = Duration::from_millis(60);
/// Looks of an observer that take longer than that.
const LOOKS: u64 = 20;
/// So many waits are none of them late.
const MANY: usize = 1_000;
/// How late the end of a wait may be.
const LATE: Duration = Duration::from_millis(100);
/// How long after it is back a primary without data is left alone.
const RECOVERY: Duration = Duration::from_secs(2);
/// By how much the serial is raised when the primary has lost its data, and numbers on above what its file says.
const RAISED: u32 = 1_000;
/// Between two looks at what a node says.
const LOOK: Duration = Duration::from_millis(50);

/// The servers of the zone. The primary comes first; all but [`CHAINED`], [`BEHIND_KNOT`] and [`BEHIND_NSD`] pull from it.
const NAMES: [&str; 9] = [
    "primary",
    "secondary",
    "chained, clock ahead",
    "behind Knot",
    "behind NSD",
    "Knot",
    "NSD",
    "BIND",
    "Unbound",
];
const PRIMARY: usize = 0;
const SECONDARY: usize = 1;
const CHAINED: usize = 2;
const BEHIND_KNOT: usize = 3;
/// NSD tells nothing of how fresh it is.
const BEHIND_NSD: usize = 4;
const KNOT: usize = 5;
const NSD: usize = 6;
const BIND: usize = 7;
const UNBOUND: usize = 8;
/// Who only asks.
const WATCHER: usize = 9;
const CACHE: usize = 10;
/// The servers of the cache.
const ASKED: [usize; 3] = [SECONDARY, KNOT, BIND];

/// From where each server pulls.
fn above(server: usize) -> usize {
    match server {
        CHAINED => SECONDARY,
        BEHIND_KNOT => KNOT,
        BEHIND_NSD => NSD,
        _ => PRIMARY,
    }
}

/// What a node said of the staleness of a server, itself or another.
struct Said {
    by: usize,
    of: usize,
    /// When it was asked, and when it had answered.
    asked: Instant,
    answered: Instant,
    low: Duration,
    high: Option<Duration>,
    estimate: Option<Duration>,
    /// Whether it said that this is current.
    is_current: bool,
}

#[test]
fn what_is_said_of_staleness_contains_the_truth() {
    let sitting = std::env::var("TIDEMARK_JUDGE_SECONDS")
        .map_or(SITTING, |seconds| Duration::from_secs(seconds.parse().unwrap()));
    let mut rng = seed::generator();
    let paths = Paths::new();
    let mut scene = Scene::build(&paths);
    let nodes = scene.nodes().into_iter().chain([(WATCHER, scene.watcher.http), (CACHE, scene.cache.http)]);
    let observers = scene.addresses.map(|addr| Observer::watch(addr, ZONE));
    let known: BTreeMap<SocketAddr, usize> = scene.known();
    let is_over = AtomicBool::new(false);
    let (said, waits): (Vec<Said>, Vec<Wait>) = thread::scope(|scope| {
        let (known, is_over) = (&known, &is_over);
        let listeners: Vec<_> = nodes.map(|node| scope.spawn(move || listen(node, known, is_over))).collect();
        let waits = scene.trouble(&mut rng, sitting).ended();
        // What those who waited saw, the observers see too.
        let polls = observers.each_ref().map(Observer::polls);
        await_until("the observers to look again", SITTING, || {
            observers.iter().zip(polls).all(|(observer, before)| observer.polls() >= before + LOOKS)
        });
        is_over.store(true, Ordering::Relaxed);
        (listeners.into_iter().flat_map(|listener| listener.join().unwrap()).collect(), waits)
    });
    let served = observers.each_ref().map(Served::by);
    judge_waits(&served, &waits);
    judge(&served, &said);
}

/// Holds the ends of waits against what was served.
fn judge_waits(served: &[Served; NAMES.len()], waits: &[Wait]) {
    let mut late: Vec<(Duration, &Wait)> = Vec::new();
    for wait in waits {
        let Wait { serial, servers, ended, output, .. } = wait;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "a wait for {serial} at {servers:?}: {said}");
        let shown: Vec<_> = servers.iter().filter_map(|who| served[*who].shows(*serial, SEEN)).collect();
        let after = shown.iter().map(|(after, _)| *after).max().unwrap();
        assert!(
            shown.len() == servers.len() && *ended > after,
            "a wait for {serial} at {servers:?} ended {:?} early",
            after - *ended
        );
        let by = shown.iter().map(|(_, by)| *by).max().unwrap().max(wait.began);
        late.push((ended.saturating_duration_since(by), wait));
    }
    late.sort_by_key(|(late, _)| *late);
    let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize].0;
    let (most, Wait { serial, servers, .. }) = late.last().unwrap();
    println!(
        "{} waits, none early; late: median {:?}, p99 {:?}, most {most:?} (serial {serial} at {servers:?})",
        late.len(),
        at(0.5),
        at(0.99)
    );
    assert!(at(0.99) <= LATE, "waits end late");
    // What else the host does may hold up one of a few.
    assert!(late.len() < MANY || *most <= LATE, "a wait ended late");
}

/// Writes down what a node says until it is over.
fn listen(node: (usize, SocketAddr), known: &BTreeMap<SocketAddr, usize>, is_over: &AtomicBool) -> Vec<Said> {
    let (by, http) = node;
    let mut said = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let asked = Instant::now();
        if let Ok(page) = http::get(http, "/api/v1/zones") {
            let answered = Instant::now();
            let page: Value = serde_json::from_str(&page.body).unwrap();
            let zone = &page["zones"][0];
            let mut note = |of: usize, staleness: &Value, is_current: bool| {
                if staleness.is_null() {
                    return;
                }
                let span = |key: &str| staleness[key].as_f64().map(Duration::from_secs_f64);
                let (low, high, estimate) = (span("low").unwrap(), span("high"), span("estimate"));
                said.push(Said { by, of, asked, answered, low, high, estimate, is_current });
            };
            if by < NAMES.len() {
                note(by, &zone["staleness"], zone["state"] == "current");
            }
            for server in zone["servers"].as_array().into_iter().flatten() {
                let Some(&of) = known.get(&server["server"].as_str().unwrap().parse().unwrap()) else {
                    continue;
                };
                note(of, &server["staleness"], false);
            }
        }
        thread::sleep(LOOK.saturating_sub(asked.elapsed()));
    }
    said
}

/// Holds what was said against what was served.
fn judge(served: &[Served; NAMES.len()], said: &[Said]) {
    let mut wrong: BTreeMap<(usize, usize, &str), Vec<String>> = BTreeMap::new();
    let mut misses: BTreeMap<(usize, usize), Vec<Duration>> = BTreeMap::new();
    let first = said.iter().map(|said| said.asked).min().unwrap();
    for said in said {
        let Some(truth) = served[said.of].staleness(&served[PRIMARY], said.asked, said.answered) else {
            continue;
        };
        let mut blame = |what| {
            let after = (said.answered - first).as_secs_f64();
            let Said { low, high, estimate, .. } = said;
            let text = format!("after {after:.3} s: {low:?}..{high:?} ({estimate:?}), true {truth:?}");
            wrong.entry((said.by, said.of, what)).or_default().push(text);
        };
        if said.low > *truth.end() + TOLERANCE {
            blame("less than the lower bound");
        }
        if said.high.is_some_and(|high| high + TOLERANCE < *truth.start()) {
            blame("more than the upper bound");
        }
        if said.is_current
            && said.by != PRIMARY
            && said.by != BEHIND_KNOT
            && said.high.is_none_or(|high| high > BELIEVED * if above(said.by) == PRIMARY { 1 } else { 2 })
        {
            blame("current, and not known to be");
        }
        if let Some(estimate) = said.estimate {
            let miss = estimate.saturating_sub(*truth.end()).max(truth.start().saturating_sub(estimate));
            misses.entry((said.by, said.of)).or_default().push(miss);
        }
    }
    let name = |who: usize| match who {
        WATCHER => "watcher",
        CACHE => "cache",
        _ => NAMES[who],
    };
    println!("{} statements; how far the estimates were off:", said.len());
    for ((by, of), mut misses) in misses {
        misses.sort();
        let at = |share: f64| misses[((misses.len() - 1) as f64 * share) as usize];
        println!(
            "  {} of {}: {} times, median {:?}, p99 {:?}, most {:?}",
            name(by),
            name(of),
            misses.len(),
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
    for ((by, of, what), times) in &wrong {
        println!(
            "{} of {}: {what}, {} times, such as {}",
            name(*by),
            name(*of),
            times.len(),
            times[times.len() / 2]
        );
    }
    assert!(wrong.is_empty(), "{} kinds of statements were wrong", wrong.len());
}

/// A hierarchy with a way between each two that talk to each other.
struct Scene<'p> {
    addresses: [SocketAddr; NAMES.len()],
    tidemarks: Vec<Tidemark>,
    others: Vec<Daemon>,
    watcher: Tidemark,
    cache: Tidemark,
    /// To what each server pulls from, by the server's number less one; then to where it is told of changes; then from the watcher, and
    /// from the cache.
    pulling: Vec<Path>,
    telling: Vec<Path>,
    watching: Vec<Path>,
    asking: Vec<Path>,
    _paths: &'p Paths,
}

/// Something that goes wrong for a while.
#[derive(Debug)]
enum Trouble {
    Way(Kind, usize),
    Stopped(usize),
    Dead(usize),
    /// The primary comes back without its data.
    Lost,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Pulling,
    Telling,
    Watching,
    Asking,
}

impl<'p> Scene<'p> {
    fn build(paths: &'p Paths) -> Scene<'p> {
        let addresses: [SocketAddr; NAMES.len()] = ports::reserve_many();
        let below = 1..NAMES.len();
        let pulling: Vec<Path> = below.clone().map(|server| paths.to(addresses[above(server)])).collect();
        let telling: Vec<Path> = below.clone().map(|server| paths.to(addresses[server])).collect();
        let watching: Vec<Path> = addresses.iter().map(|addr| paths.to(*addr)).collect();
        let told_by = |who: usize| -> Vec<SocketAddr> {
            let told = below.clone().filter(|server| above(*server) == who);
            told.map(|server| telling[server - 1].addr).collect()
        };
        let secondary =
            |who: usize| Zone::secondary(ZONE, &[pulling[who - 1].addr]).lease(LEASE).notify(&told_by(who));
        let head = Zone::primary(ZONE, text(1)).notify(&told_by(PRIMARY));
        let start = |who: usize| tidemark::start(addresses[who], &[secondary(who)]);
        let behind_nsd = secondary(BEHIND_NSD).behind_secondaries();
        let head = tidemark::start(addresses[PRIMARY], &[head]);
        let secondary_node = start(SECONDARY);
        let ahead = tidemark::start_ahead(addresses[CHAINED], &[secondary(CHAINED)], 10);
        let others = vec![
            knot::start(addresses[KNOT], &[secondary(KNOT)]),
            nsd::start(addresses[NSD], &[secondary(NSD)]),
            bind::start(addresses[BIND], &[secondary(BIND)]),
            unbound::start(addresses[UNBOUND], &[secondary(UNBOUND)]),
        ];
        let behind_nsd = tidemark::start(addresses[BEHIND_NSD], &[behind_nsd]);
        let tidemarks = vec![head, secondary_node, ahead, start(BEHIND_KNOT), behind_nsd];
        let servers: Vec<String> = watching.iter().map(|way| format!("\"{}\"", way.addr)).collect();
        let watch = format!("watch = [{}]\n", servers.join(", "));
        let watched = Zone::secondary(ZONE, &[watching[PRIMARY].addr]).lease(LEASE);
        let watcher = tidemark::start_with(ports::reserve(), &[watched], &watch);
        let asking: Vec<Path> = ASKED.map(|server| paths.to(addresses[server])).into();
        let servers: Vec<SocketAddr> = asking.iter().map(|way| way.addr).collect();
        let cache = tidemark::start_cache(ports::reserve(), &[(ZONE, &servers)]);
        Scene {
            addresses,
            tidemarks,
            others,
            watcher,
            cache,
            pulling,
            telling,
            watching,
            asking,
            _paths: paths,
        }
    }

    /// The nodes that can be asked what they say.
    fn nodes(&self) -> Vec<(usize, SocketAddr)> {
        self.tidemarks.iter().map(|node| node.http).enumerate().collect()
    }

    /// Which server is behind which way.
    fn known(&self) -> BTreeMap<SocketAddr, usize> {
        let told = self.telling.iter().map(|way| way.addr).zip(1..);
        let asked = self.asking.iter().map(|way| way.addr).zip(ASKED);
        told.chain(self.watching.iter().map(|way| way.addr).zip(0..)).chain(asked).collect()
    }

    fn daemon(&mut self, server: usize) -> &mut Daemon {
        match server.checked_sub(self.tidemarks.len()) {
            None => &mut self.tidemarks[server].daemon,
            Some(other) => &mut self.others[other],
        }
    }

    fn way(&self, kind: Kind, number: usize) -> &Path {
        match kind {
            Kind::Pulling => &self.pulling[number],
            Kind::Telling => &self.telling[number],
            Kind::Watching => &self.watching[number],
            Kind::Asking => &self.asking[number % self.asking.len()],
        }
    }

    /// Edits the zone for so long, with up to three things going wrong at a time, and has every change waited for.
    fn trouble(&mut self, rng: &mut StdRng, sitting: Duration) -> Waits {
        let began = Instant::now();
        let until = began + sitting;
        let (mut serial, mut waits) = (1, Waits::default());
        let mut going_on: Vec<(Instant, Trouble)> = Vec::new();
        let (mut edit, mut next) = (Instant::now(), Instant::now() + Duration::from_secs(2));
        loop {
            let now = Instant::now();
            let (over, rest) = going_on.into_iter().partition(|(end, _)| *end <= now || until <= now);
            going_on = rest;
            let over: Vec<(Instant, Trouble)> = over;
            over.into_iter().for_each(|(_, trouble)| self.mend(trouble));
            if until <= now {
                return waits;
            }
            if edit <= now {
                serial += 1;
                for _ in 0..WAITS {
                    let count = rng.random_range(1..4);
                    let servers = (0..NAMES.len()).zip(self.addresses).sample(rng, count);
                    waits.begin(ZONE, serial, &servers);
                }
                self.tidemarks[PRIMARY].daemon.publish(ZONE, &text(serial));
                edit = now + Duration::from_millis(rng.random_range(200..2_500));
            }
            if next <= now {
                if going_on.len() < 3
                    && let Some(trouble) = self.begin(rng, &going_on)
                {
                    let span = Duration::from_millis(rng.random_range(500..6_000));
                    println!("after {:?}, for {span:?}: {trouble:?}", now - began);
                    serial += if matches!(trouble, Trouble::Lost) { RAISED } else { 0 };
                    going_on.push((now + span, trouble));
                }
                next = now + Duration::from_millis(rng.random_range(200..2_000));
                // Who lost its data has to find somebody who knows what it had published.
                let lost = going_on.iter().find(|(_, trouble)| matches!(trouble, Trouble::Lost));
                next = lost.map_or(next, |(end, _)| next.max(*end + RECOVERY));
            }
            let wake = going_on.iter().map(|(end, _)| *end).chain([edit, next, until]).min().unwrap();
            thread::sleep(wake.saturating_duration_since(Instant::now()));
        }
    }

    fn begin(&mut self, rng: &mut StdRng, going_on: &[(Instant, Trouble)]) -> Option<Trouble> {
        let is_free = |server: usize| {
            !going_on.iter().any(|(_, trouble)| match trouble {
                Trouble::Stopped(other) | Trouble::Dead(other) => *other == server,
                Trouble::Lost => server == PRIMARY,
                Trouble::Way(..) => false,
            })
        };
        if going_on.is_empty() && rng.random_bool(0.2) {
            let primary = &mut self.tidemarks[PRIMARY];
            primary.daemon.kill();
            fs::remove_dir_all(primary.data_dir()).unwrap();
            return Some(Trouble::Lost);
        }
        match rng.random_range(0..10) {
            0..=5 => {
                let kind = *[Kind::Pulling, Kind::Telling, Kind::Watching, Kind::Asking].choose(rng).unwrap();
                let number = rng.random_range(0..self.telling.len());
                let fair = Weather::default();
                let weather = *[
                    Weather { is_cut: true, ..fair },
                    Weather { loss: 0.3, ..fair },
                    Weather { delay: Duration::from_millis(rng.random_range(50..1_500)), ..fair },
                ]
                .choose(rng)
                .unwrap();
                self.way(kind, number).set(weather);
                Some(Trouble::Way(kind, number))
            }
            // NSD is several processes.
            6..=7 => {
                let server =
                    *[PRIMARY, SECONDARY, CHAINED, BEHIND_KNOT, KNOT, BIND, UNBOUND].choose(rng).unwrap();
                is_free(server).then(|| {
                    self.daemon(server).process().signal(libc::SIGSTOP);
                    Trouble::Stopped(server)
                })
            }
            // Knot forgets with a crash when it refreshed last: it says by EXPIRE that its copy is fresh, and who is behind it believes that.
            _ => {
                let server = *[PRIMARY, SECONDARY, CHAINED, BEHIND_KNOT, BIND].choose(rng).unwrap();
                is_free(server).then(|| {
                    self.daemon(server).kill();
                    Trouble::Dead(server)
                })
            }
        }
    }

    fn mend(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Way(kind, number) => self.way(kind, number).set(Weather::default()),
            Trouble::Stopped(server) => self.daemon(server).process().signal(libc::SIGCONT),
            Trouble::Dead(server) => self.daemon(server).launch(),
            Trouble::Lost => self.daemon(PRIMARY).launch(),
        }
    }
}

fn text(serial: u32) -> String {
    zones::text(ZONE, serial, &[&format!("www A 192.0.2.{}", serial % 250 + 1)])
}
