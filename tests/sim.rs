//! The pretend world: hundreds of random scenarios, and a few with a name.
//!
//! `TIDEMARK_SIM_SEEDS=3000` plays that many, `TIDEMARK_SIM_SEED=7` plays one and prints what happened.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tidemark::sim::plan::Plan;
use tidemark::sim::world::World;

/// Scenarios in a usual run.
const SEEDS: u64 = 300;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn random_worlds_hold_what_must_hold() {
    if let Some(seed) = number("TIDEMARK_SIM_SEED") {
        let (trace, result) = World::play(Plan::random(seed), true);
        trace.lines().iter().for_each(|line| eprintln!("{line}"));
        eprintln!("{result:#?}");
        result.unwrap();
        return;
    }
    let seeds = number("TIDEMARK_SIM_SEEDS").unwrap_or(SEEDS);
    let (next, began) = (AtomicU64::new(0), Instant::now());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut summaries = Vec::new();
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return (summaries, failed);
            }
            match World::play(Plan::random(seed), false).1 {
                Ok(summary) => summaries.push(summary),
                Err(violation) => failed.push((seed, violation)),
            }
        }
    };
    let done: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let summaries: Vec<_> = done.iter().flat_map(|(summaries, _)| summaries).collect();
    let failed: Vec<_> = done.iter().flat_map(|(_, failed)| failed).collect();
    let sum = |of: fn(&tidemark::sim::world::Summary) -> u64| summaries.iter().map(|it| of(it)).sum::<u64>();
    eprintln!(
        "{seeds} worlds in {:.1} s: {} versions, {} messages, {} AXFR, {} IXFR, {} crashes, {} expiries, {} answers of caches, {} stale; settled after {:?} at most",
        began.elapsed().as_secs_f64(),
        sum(|it| it.versions as u64),
        sum(|it| it.messages),
        sum(|it| it.transfers[0]),
        sum(|it| it.transfers[1]),
        sum(|it| it.crashes),
        sum(|it| it.expiries),
        sum(|it| it.answers[0]),
        sum(|it| it.answers[1]),
        summaries.iter().map(|it| it.settled).max().unwrap_or_default(),
    );
    let mut failed = failed;
    failed.sort_by_key(|(seed, _)| *seed);
    for (seed, violation) in &failed {
        eprintln!("seed {seed}: {violation}");
        eprintln!("  TIDEMARK_SIM_SEED={seed} cargo test --test sim random_worlds -- --nocapture");
    }
    assert!(failed.is_empty(), "{} of {seeds} worlds failed", failed.len());
}

#[test]
fn one_seed_is_one_world() {
    for seed in 0..5 {
        let play = || World::play(Plan::random(seed), false).1.map(|summary| (summary.hash, summary.steps));
        assert_eq!(play(), play());
    }
}
