//! Counters of the data plane: plain atomics, one set per worker so that workers do not share cache lines, summed when they
//! are scraped.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::wire::via::Via;

/// Upper bounds of the buckets of query durations, in microseconds; one more takes the rest.
pub(super) const BUCKETS: [u64; 14] =
    [5, 10, 25, 50, 100, 250, 500, 1_000, 5_000, 25_000, 100_000, 500_000, 2_000_000, 5_000_000];
/// Response codes that a header can hold.
pub(super) const RCODES: usize = 16;

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
    /// By [`Via`] and family (IPv4, IPv6).
    pub(super) queries: [[AtomicU64; 2]; Via::ALL.len()],
    pub(super) responses: [AtomicU64; RCODES],
    pub(super) durations: [Durations; 3],
    /// Answers with the SOA of a zone, asked for by its type: polls of secondaries, as far as anybody can tell.
    pub(super) soas: AtomicU64,
    /// Requests that were not answered: no DNS, responses, or more than could be handed on.
    pub(super) dropped: AtomicU64,
}

/// A histogram of durations.
#[derive(Debug, Default)]
pub(super) struct Durations {
    pub(super) buckets: [AtomicU64; BUCKETS.len() + 1],
    pub(super) micros: AtomicU64,
}

/// What happened to a batch of requests that arrived together, before it is added to a [`Tally`].
#[derive(Debug, Default)]
pub struct Batch {
    responses: [u32; RCODES],
    paths: [u32; 3],
    dropped: u32,
}

impl Batch {
    /// Counts a request that gets no reply, or none now.
    pub fn unanswered(&mut self) {
        self.dropped += 1;
    }

    /// Counts a reply by the response code in its header.
    pub fn response(&mut self, reply: &[u8], path: Path) {
        self.responses[rcode(reply)] += 1;
        self.paths[path as usize] += 1;
    }
}

impl Tally {
    /// Counts a request.
    pub fn query(&self, via: Via, ipv6: bool) {
        self.queries(via, ipv6, 1);
    }

    /// Counts requests.
    pub fn queries(&self, via: Via, ipv6: bool, count: u64) {
        add(&self.queries[via as usize][usize::from(ipv6)], count);
    }

    /// Counts a request that gets no reply.
    pub fn unanswered(&self) {
        add(&self.dropped, 1);
    }

    /// Counts a reply by the response code in its header.
    pub fn response(&self, reply: &[u8], path: Path, took: Duration) {
        add(&self.responses[rcode(reply)], 1);
        self.took(path, took, 1);
    }

    /// Counts the reply to a question for a SOA, if it has one.
    pub fn soa(&self, reply: &[u8]) {
        add(&self.soas, u64::from(has_answer(reply)));
    }

    /// Counts a batch, every reply of which took so long.
    pub fn batch(&self, batch: &Batch, took: Duration) {
        let counters = self.responses.iter().chain([&self.dropped]);
        for (counter, &count) in counters.zip(batch.responses.iter().chain([&batch.dropped])) {
            if count > 0 {
                add(counter, u64::from(count));
            }
        }
        for (path, count) in [Path::Zone, Path::Hit, Path::Miss].into_iter().zip(batch.paths) {
            if count > 0 {
                self.took(path, took, u64::from(count));
            }
        }
    }

    fn took(&self, path: Path, took: Duration, count: u64) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let durations = &self.durations[path as usize];
        add(&durations.buckets[BUCKETS.partition_point(|&bound| bound < micros)], count);
        add(&durations.micros, micros.saturating_mul(count));
    }
}

/// Whether a reply has authority and a record in its answer section.
fn has_answer(reply: &[u8]) -> bool {
    matches!(reply, [_, _, high, _, _, _, a, b, ..] if high & 0x04 != 0 && (*a, *b) != (0, 0))
}

/// The response code as far as the header holds it.
fn rcode(reply: &[u8]) -> usize {
    usize::from(reply.get(3).copied().unwrap_or_default() & 0xf)
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
