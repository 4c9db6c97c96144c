//! tidemark, BIND, Knot and NSD answer the same questions about the same generated zones; every difference is explained, and
//! every answer of tidemark's is what the RFCs want, whoever differs from it.
//!
//! The zones and the questions are drawn with fixed seeds, so that every run asks the same. `TIDEMARK_SEED=n` draws others: there
//! may be differences among them that no class explains yet.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod answers;
mod support;

use std::collections::BTreeMap;
use std::time::Instant;

use answers::compare::Case;
use answers::expected;
use answers::explained::{self, Class};
use answers::generate::{self, Plan};
use answers::loaded::Loaded;
use answers::world::{Make, World};
use answers::{ask, sign, tally};
use support::seed;

/// The seeds unless `TIDEMARK_SEED` gives another: among their differences are some of every class.
const SEEDS: &[u64] = &[2, 16, 21];
/// Where the different ones are shown, so many of each kind.
const SHOWN: usize = 2;

/// Everybody else.
const PEERS: &[Make] = &[Make::Bind, Make::Knot, Make::Nsd];

#[test]
fn plain_zones() {
    compare(Plan::default(), false, PEERS);
}

#[test]
fn signed_zones() {
    compare(Plan::default(), true, PEERS);
}

#[test]
fn below_the_root() {
    compare(Plan { root: true, ..Plan::default() }, false, PEERS);
}

#[test]
fn cuts_at_wildcards() {
    compare(Plan { wildcard_cuts: true, ..Plan::default() }, false, &[Make::Knot, Make::Nsd]);
}

/// Draws zones, signed or not, serves them, asks about them, and judges the answers.
fn compare(plan: Plan, signed: bool, peers: &[Make]) {
    for mut random in seed::each_or(SEEDS) {
        let mut zones = generate::zones(&mut random, plan);
        if signed {
            sign::sign(&mut random, &mut zones);
        }
        let questions = ask::questions(&mut random, &zones);
        let mut world = World::start(zones, peers);
        let begun = Instant::now();
        let cases = world.ask(questions);
        println!("{} questions to tidemark and {peers:?} in {:?}", cases.len(), begun.elapsed());
        judge(&world, &cases);
        tally::check(&cases, peers, plan, &world.zones);
    }
}

/// Fails when there is a difference that is not explained; prints how many there are of each explained class.
fn judge(world: &World, cases: &[Case]) {
    let mut explained: BTreeMap<(&str, Make), (usize, &Class)> = BTreeMap::new();
    let mut unexplained: BTreeMap<String, Vec<(String, &Case)>> = BTreeMap::new();
    let loaded: Vec<Loaded> = world.zones.iter().map(Loaded::new).collect();
    for case in cases {
        for fault in case.faults().into_iter().chain(expected::faults(&loaded, case)) {
            let kind = fault.split(':').next().unwrap_or_default();
            let kind = format!("faults of tidemark's: {kind}");
            unexplained.entry(kind).or_default().push((fault, case));
        }
        let mut open = Vec::new();
        for (make, part) in case.differences() {
            match explained::class((&world.zones, &loaded), case, make, part) {
                Some(class) => explained.entry((class.name, make)).or_insert((0, class)).0 += 1,
                None => open.push((make, part)),
            }
        }
        if !open.is_empty() {
            unexplained.entry(format!("{open:?}")).or_default().push((String::new(), case));
        }
    }
    for ((name, make), (count, class)) in &explained {
        println!("{count:6} {make:?}: {name} ({}): {}", class.decides, class.why);
    }
    let mut text = String::new();
    let mut groups: Vec<_> = unexplained.into_iter().collect();
    groups.sort_by_key(|(_, cases)| std::cmp::Reverse(cases.len()));
    for (parts, cases) in &groups {
        text += &format!("{} times {parts}\n", cases.len());
        for (fault, case) in cases.iter().take(SHOWN) {
            text += &format!("  {fault}\n");
            text += &case.text();
            text += &world.lines(&case.name());
        }
    }
    assert!(groups.is_empty(), "not explained:\n{text}");
}
