//! tidemark, BIND, Knot and NSD answer the same questions about the same generated zones; every difference is explained.
//!
//! The zones and the questions are drawn anew in every run; a failure prints the seed to repeat it with.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on may end")]

mod answers;
mod support;

use std::collections::BTreeMap;
use std::time::Instant;

use answers::compare::Case;
use answers::world::{Make, World};
use answers::generate::{self, Zone};
use answers::{ask, explained, sign};
use rand::rngs::StdRng;
use support::seed;

/// Where the different ones are shown, so many of each kind.
const SHOWN: usize = 2;

#[test]
fn plain_zones() {
    let mut random = seed::generator();
    let zones = generate::zones(&mut random, false, 60);
    compare(&mut random, zones);
}

#[test]
fn signed_zones() {
    let mut random = seed::generator();
    let mut zones = generate::zones(&mut random, false, 60);
    sign::sign(&mut random, &mut zones);
    compare(&mut random, zones);
}

/// Serves the zones, asks about them, and judges the answers.
fn compare(random: &mut StdRng, zones: Vec<Zone>) {
    let questions = ask::questions(random, &zones);
    let world = World::start(zones, &[Make::Bind, Make::Knot, Make::Nsd]);
    let begun = Instant::now();
    let cases = world.ask(questions);
    println!("{} questions at four servers in {:?}", cases.len(), begun.elapsed());
    judge(&world, &cases);
}

/// Fails when there is a difference that is not explained; prints how many there are of each explained class.
fn judge(world: &World, cases: &[Case]) {
    let mut explained: BTreeMap<(&str, Make), usize> = BTreeMap::new();
    let mut unexplained: BTreeMap<String, Vec<&Case>> = BTreeMap::new();
    for case in cases {
        for fault in case.faults() {
            let kind = fault.split(':').next().unwrap_or_default();
            unexplained.entry(format!("faults of tidemark's: {kind}")).or_default().push(case);
        }
        let mut open = Vec::new();
        for (make, part) in case.differences() {
            match explained::class(&world.zones, case, make, part) {
                Some(class) => *explained.entry((class.name, make)).or_default() += 1,
                None => open.push((make, part)),
            }
        }
        if !open.is_empty() {
            unexplained.entry(format!("{open:?}")).or_default().push(case);
        }
    }
    for ((name, make), count) in &explained {
        println!("{count:6} {make:?}: {name}");
    }
    let mut text = String::new();
    let mut groups: Vec<_> = unexplained.into_iter().collect();
    groups.sort_by_key(|(_, cases)| std::cmp::Reverse(cases.len()));
    for (parts, cases) in &groups {
        text += &format!("{} times {parts}\n", cases.len());
        for case in cases.iter().take(SHOWN) {
            text += &case.text();
            text += &world.lines(&case.name());
        }
    }
    assert!(groups.is_empty(), "not explained:\n{text}");
}
