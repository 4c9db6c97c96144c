//! A judge of what servers say of their staleness, who asks all of them for what they serve and shares no code with what he judges:
//! servers of five makes, with stops, crashes, cut and slow ways, lost datagrams, a primary that loses its data, and a clock that is ten
//! seconds off. One secondary has two primaries. He also has `tidemark wait` wait for every change, and looks at what is said of clocks.
//!
//! Estimates are held against the bounds beside them alone: an estimate of 0 says that nobody who was asked knew of anything newer, and how
//! far that may be from the truth is what the upper bound says.
//!
//! `TIDEMARK_JUDGE_SECONDS=600 cargo test --test peer_judge` has him sit for ten minutes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use support::await_until::await_until;
use support::hierarchy::{
    AHEAD, BEHIND_KNOT, CACHE, CHAINED, KNOT, NAMES, PRIMARY, Scene, WATCHER, ZONE, above, name,
};
use support::observer::Observer;
use support::path::Paths;
use support::truth::Served;
use support::waits::Wait;
use support::{http, seed};

/// How long the judge sits, unless he is told.
const SITTING: Duration = Duration::from_secs(40);
/// By how much a bound may miss the truth.
const TOLERANCE: Duration = Duration::from_millis(20);
/// How long after the last good poll a secondary may still say that it is current, for each secondary on the way.
const BELIEVED: Duration = Duration::from_millis(2_500);
/// What a server shows for so long is seen by who waits for it.
const SEEN: Duration = Duration::from_millis(60);
/// Looks of an observer that take longer than that.
const LOOKS: u64 = 20;
/// So many waits are none of them late.
const MANY: usize = 1_000;
/// How late the end of a wait may be.
const LATE: Duration = Duration::from_millis(100);
/// Between two looks at what a node says.
const LOOK: Duration = Duration::from_millis(50);
/// Who asks Knot how fresh it is, or asks who does.
const HEAR_KNOT: [usize; 4] = [PRIMARY, BEHIND_KNOT, WATCHER, CACHE];
/// By how much what is told by EXPIRE is taken for older than it says...
const DOUBTED: Duration = Duration::from_secs(3);
/// ...and what it is rounded to, with the time that the question took.
const ROUNDED: Duration = Duration::from_secs(1);

/// What a node said of the staleness of a server, itself or another.
#[derive(Clone)]
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

/// What a node said of the clock of the primary: by how many seconds it is ahead of its own, give or take so many.
#[derive(Clone)]
struct Offset {
    by: usize,
    seconds: f64,
    error: f64,
}

/// When Knot was back after a crash, and when it served something else than it came back with. Knot 3.2 forgets with a crash when it
/// refreshed last: until it has done so again it says by EXPIRE that its copy is fresh, and nobody who hears that can know better.
type Lapse = (Instant, Option<Instant>);

#[test]
fn what_is_said_of_staleness_contains_the_truth() {
    let sitting = std::env::var("TIDEMARK_JUDGE_SECONDS")
        .map_or(SITTING, |seconds| Duration::from_secs(seconds.parse().unwrap()));
    let mut rng = seed::generator();
    let paths = Paths::new();
    let mut scene = Scene::build(&paths);
    let nodes = scene.nodes();
    let observers = scene.addresses.map(|addr| Observer::watch(addr, ZONE));
    let known: BTreeMap<SocketAddr, usize> = scene.known();
    let is_over = AtomicBool::new(false);
    let (heard, waits): (Vec<(Vec<Said>, Vec<Offset>)>, Vec<Wait>) = thread::scope(|scope| {
        let (known, is_over) = (&known, &is_over);
        let listen = |node| scope.spawn(move || listen(node, known, is_over));
        let listeners: Vec<_> = nodes.into_iter().map(listen).collect();
        let waits = scene.trouble(&mut rng, sitting).ended();
        // What those who waited saw, the observers see too.
        let polls = observers.each_ref().map(Observer::polls);
        await_until("the observers to look again", SITTING, || {
            observers.iter().zip(polls).all(|(observer, before)| observer.polls() >= before + LOOKS)
        });
        is_over.store(true, Ordering::Relaxed);
        (listeners.into_iter().map(|listener| listener.join().unwrap()).collect(), waits)
    });
    let (said, offsets): (Vec<_>, Vec<_>) = heard.into_iter().unzip();
    let served = observers.each_ref().map(Served::by);
    let lapses: Vec<Lapse> = scene.crashes.iter().filter_map(|at| served[KNOT].came_back(*at)).collect();
    println!("Knot was killed {} times and came back {} times", scene.crashes.len(), lapses.len());
    judge_waits(&served, &waits);
    judge_clocks(&offsets.concat());
    judge(&served, &said.concat(), &lapses);
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
fn listen(
    node: (usize, SocketAddr),
    known: &BTreeMap<SocketAddr, usize>,
    is_over: &AtomicBool,
) -> (Vec<Said>, Vec<Offset>) {
    let (by, http) = node;
    let (mut said, mut offsets) = (Vec::new(), Vec::new());
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
            let offset = |key: &str| zone["clock_offset"][key].as_f64();
            if let (Some(seconds), Some(error)) = (offset("seconds"), offset("error")) {
                offsets.push(Offset { by, seconds, error });
            }
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
    (said, offsets)
}

/// Holds what was said of the primary's clock against how the clocks were set.
fn judge_clocks(offsets: &[Offset]) {
    assert!(
        offsets.iter().any(|said| said.by == CHAINED),
        "nobody said anything of a clock that is not its own"
    );
    let (mut wrong, mut most, mut widest) = (Vec::new(), 0.0_f64, 0.0_f64);
    for Offset { by, seconds, error } in offsets {
        let ahead = if *by == CHAINED { -f64::from(AHEAD) } else { 0.0 };
        let miss = (seconds - ahead).abs();
        (most, widest) = (most.max(miss), widest.max(*error));
        if miss > error + TOLERANCE.as_secs_f64() {
            wrong.push(format!("{}: {seconds} s, give or take {error} s, true {ahead} s", name(*by)));
        }
    }
    println!(
        "{} statements of clocks, off by {most:.6} s at most, of {widest:.6} s allowed for at most",
        offsets.len()
    );
    assert!(wrong.is_empty(), "{} statements of clocks were wrong, such as {}", wrong.len(), wrong[0]);
}

/// Whether an upper bound comes of what Knot said in a lapse: it reaches back to when Knot was asked, or, lifted to the lower bound, to when
/// the node had heard of something newer, though Knot said later that there was nothing.
fn is_misled(said: &Said, high: Duration, lapses: &[Lapse]) -> bool {
    let is_lifted = said.low == high || said.estimate == Some(high);
    HEAR_KNOT.contains(&said.by)
        && lapses.iter().any(|(back, changed)| {
            // With the bound taken off, when Knot was asked, if this is its word.
            let (from, to) = (said.asked + DOUBTED, said.answered + DOUBTED);
            said.answered >= *back
                && (is_lifted || to + ROUNDED >= *back + high)
                && changed.is_none_or(|changed| from <= changed + ROUNDED + high)
        })
}

/// Holds what was said against what was served.
fn judge(served: &[Served; NAMES.len()], said: &[Said], lapses: &[Lapse]) {
    let mut misled = 0;
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
        if let Some(high) = said.high.filter(|high| *high + TOLERANCE < *truth.start()) {
            if is_misled(said, high, lapses) {
                misled += 1;
            } else {
                blame("more than the upper bound");
            }
        }
        if said
            .estimate
            .is_some_and(|estimate| estimate < said.low || said.high.is_some_and(|high| estimate > high))
        {
            blame("an estimate beyond its bounds");
        }
        if said.is_current
            && said.by != PRIMARY
            && said.by != BEHIND_KNOT
            && said.high.is_none_or(|high| high > BELIEVED * if above(said.by) == [PRIMARY] { 1 } else { 2 })
        {
            blame("current, and not known to be");
        }
        if let Some(estimate) = said.estimate {
            let miss = estimate.saturating_sub(*truth.end()).max(truth.start().saturating_sub(estimate));
            misses.entry((said.by, said.of)).or_default().push(miss);
        }
    }
    println!(
        "{} statements, {misled} of them misled by Knot after a crash; how far the estimates were off:",
        said.len()
    );
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
