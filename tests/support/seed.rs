//! Randomness that can be had again: every run prints its seed.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// Set to the number a failed run has printed, it makes the same choices again.
const VARIABLE: &str = "TIDEMARK_SEED";

/// A generator from `TIDEMARK_SEED`, or from a fresh seed; prints which.
pub fn generator() -> StdRng {
    from(rand::random)
}

/// A generator from `TIDEMARK_SEED`, or from this seed; prints which.
pub fn generator_or(seed: u64) -> StdRng {
    from(|| seed)
}

/// A generator from `TIDEMARK_SEED`, or one from each of these seeds; prints which, as its turn comes.
pub fn each_or(seeds: &[u64]) -> impl Iterator<Item = StdRng> {
    let count = if std::env::var_os(VARIABLE).is_some() { 1 } else { seeds.len() };
    seeds[..count].iter().map(|seed| generator_or(*seed))
}

fn from(default: impl FnOnce() -> u64) -> StdRng {
    let seed = std::env::var(VARIABLE).map_or_else(|_| default(), |seed| seed.parse().unwrap());
    println!("seed {seed}; the same choices again: {VARIABLE}={seed}");
    StdRng::seed_from_u64(seed)
}
