//! Randomness that can be had again: every run prints its seed.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// Set to the number a failed run has printed, it makes the same choices again.
const VARIABLE: &str = "TIDEMARK_SEED";

/// A generator from `TIDEMARK_SEED`, or from a fresh seed; prints which.
pub fn generator() -> StdRng {
    let seed = std::env::var(VARIABLE).map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("seed {seed}; the same choices again: {VARIABLE}={seed}");
    StdRng::seed_from_u64(seed)
}
