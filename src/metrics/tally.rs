//! Counters of the data plane: plain atomics, one set per worker so that workers do not share cache lines, summed when they
//! are scraped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets of query durations, in microseconds; one more takes the rest.
pub(super) const BUCKETS: [u64; 14] =
    [5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 25_000, 100_000, 500_000, 2_000_000, 5_000_000];
/// Response codes counted by themselves; the last slot takes all others.
pub(super) const RCODES: usize = 24;

/// How a query was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// From a zone, or without data.
    Zone = 0,
    /// From the cache.
    Hit = 1,
    /// By asking elsewhere.
    Miss = 2,
}

/// The counters of one worker.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Tally {
    /// By transport (UDP, TCP) and family (IPv4, IPv6).
    pub(super) queries: [[AtomicU64; 2]; 2],
    pub(super) responses: [AtomicU64; RCODES],
    pub(super) durations: [Durations; 3],
    /// Requests that were not answered: no DNS, responses, or more than could be handed on.
    pub(super) dropped: AtomicU64,
}

/// A histogram of durations.
#[derive(Debug, Default)]
pub(super) struct Durations {
    pub(super) buckets: [AtomicU64; BUCKETS.len() + 1],
    pub(super) micros: AtomicU64,
}

impl Tally {
    /// Counts a request.
    pub fn query(&self, stream: bool, ipv6: bool) {
        bump(&self.queries[usize::from(stream)][usize::from(ipv6)]);
    }

    /// Counts a request that gets no reply.
    pub fn unanswered(&self) {
        bump(&self.dropped);
    }

    /// Counts a reply by the response code in its header.
    pub fn response(&self, reply: &[u8], path: Path, took: Duration) {
        let rcode = usize::from(reply.get(3).copied().unwrap_or_default() & 0xf);
        bump(&self.responses[rcode.min(RCODES - 1)]);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let durations = &self.durations[path as usize];
        bump(&durations.buckets[BUCKETS.partition_point(|&bound| bound < micros)]);
        durations.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

fn bump(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
