//! Counters and histograms that grow with events.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use crate::time::Utc;
use crate::wire::name::{Name, NameRef};
use crate::wire::rtype::Rcode;

use super::tally::Tally;

/// Buckets of propagation and transfer times, in seconds: from a local network's milliseconds to a day without a refresh.
const SECONDS: [f64; 20] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
    3600.0, 14400.0, 86400.0,
];

/// The way a change went, for `tidemark_propagation_duration_seconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// From the change of a zone file until its content is served here.
    EditToPublished,
    /// From publication at the primary until it is served here.
    PublishToApplied,
    /// From publication at the primary until this node heard of it.
    PublishToNotified,
    /// From hearing of it until it is served here.
    NotifiedToApplied,
    /// From publication here until another server was seen to serve it.
    PublishToObserved,
}

impl Hop {
    const ALL: [Hop; 5] = [
        Hop::EditToPublished,
        Hop::PublishToApplied,
        Hop::PublishToNotified,
        Hop::NotifiedToApplied,
        Hop::PublishToObserved,
    ];

    fn label(self) -> &'static str {
        match self {
            Hop::EditToPublished => "edit_to_published",
            Hop::PublishToApplied => "publish_to_applied",
            Hop::PublishToNotified => "publish_to_notified",
            Hop::NotifiedToApplied => "notified_to_applied",
            Hop::PublishToObserved => "publish_to_observed",
        }
    }
}

/// All metrics that are counted as things happen.
pub struct Metrics {
    pub(super) registry: Registry,
    pub(super) tallies: Mutex<Vec<Arc<Tally>>>,
    propagation: HistogramVec,
    /// What would make the sum of `propagation` fall, which a rate takes for a restart.
    backwards: IntCounterVec,
    notifies: IntCounterVec,
    pub(super) transfers: IntCounterVec,
    /// SOA answers of the workers that are in `transfers` already.
    pub(super) soas_known: AtomicU64,
    transfer_bytes: IntCounterVec,
    transfer_duration: HistogramVec,
    fallbacks: IntCounterVec,
    /// Zones of which something was counted; the others' series are made when they are shown.
    pub(super) troubles: Mutex<BTreeMap<Name, Troubles>>,
    stale_answers: IntCounter,
    reload_ok: IntGauge,
}

impl Metrics {
    /// Registers all of them, at zero.
    pub fn new() -> Result<Metrics, prometheus::Error> {
        let registry = Registry::new();
        let metrics = Metrics {
            propagation: histogram(
                &registry,
                "tidemark_propagation_duration_seconds",
                "Time a change took, by hop",
                &["hop"],
            )?,
            backwards: counter(
                &registry,
                "tidemark_propagation_backwards_total",
                "Changes that seem to have taken less than no time, by hop, as two clocks disagree; they are not in the histogram",
                &["hop"],
            )?,
            notifies: counter(
                &registry,
                "tidemark_notifies_total",
                "NOTIFY messages",
                &["direction", "result"],
            )?,
            soas_known: AtomicU64::new(0),
            transfers: counter(
                &registry,
                "tidemark_transfers_total",
                "Zone transfers and SOA polls",
                &["direction", "kind", "result"],
            )?,
            transfer_bytes: counter(
                &registry,
                "tidemark_transfer_bytes_total",
                "Bytes of DNS messages in zone transfers",
                &["direction", "kind"],
            )?,
            transfer_duration: histogram(
                &registry,
                "tidemark_transfer_duration_seconds",
                "Time a transfer took, from its request to its last message",
                &["direction", "kind"],
            )?,
            fallbacks: counter(
                &registry,
                "tidemark_ixfr_fallbacks_total",
                "Incremental transfers that gave way to full ones",
                &["reason"],
            )?,
            troubles: Mutex::default(),
            stale_answers: registered(
                &registry,
                IntCounter::new(
                    "tidemark_cache_stale_answers_total",
                    "Answers given out past their TTL because no server could be reached (RFC 8767)",
                )?,
            )?,
            reload_ok: registered(
                &registry,
                IntGauge::new(
                    "tidemark_config_last_reload_ok",
                    "1, or 0 from a reload that was refused to the next that is not, or until what it could not read can be read",
                )?,
            )?,
            tallies: Mutex::default(),
            registry,
        };
        metrics.registry.register(Box::new(ProcessCollector::for_self()))?;
        metrics.begin_at_zero();
        metrics.reloaded(true);
        Ok(metrics)
    }

    /// Series that dashboards and alerts count on exist before the first event.
    fn begin_at_zero(&self) {
        for hop in Hop::ALL {
            self.propagation.with_label_values(&[hop.label()]);
            self.backwards.with_label_values(&[hop.label()]);
        }
        for direction in ["in", "out"] {
            self.notifies.with_label_values(&[direction, "ok"]);
            for kind in ["axfr", "ixfr", "soa"] {
                self.transfers.with_label_values(&[direction, kind, "ok"]);
                self.transfer_bytes.with_label_values(&[direction, kind]);
            }
        }
        // A rate over a series that begins with its first failure would not show that failure.
        for (direction, result) in
            [("in", "refused"), ("in", "notauth"), ("out", "refused"), ("out", "timeout")]
        {
            self.notifies.with_label_values(&[direction, result]);
        }
        self.fallbacks.with_label_values(&["refused"]);
    }

    /// A new set of counters for a worker, summed with the others when scraped.
    pub fn tally(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&tally));
        tally
    }

    /// A change took so many seconds on this hop; fewer than none when the two clocks disagree.
    pub fn propagated(&self, hop: Hop, seconds: f64) {
        match seconds < 0.0 {
            true => self.backwards.with_label_values(&[hop.label()]).inc(),
            false => self.propagation.with_label_values(&[hop.label()]).observe(seconds),
        }
    }

    /// A NOTIFY was sent (or received) with this result.
    pub fn notified(&self, direction: &str, result: &str) {
        self.notifies.with_label_values(&[direction, result]).inc();
    }

    /// A NOTIFY was received and not listened to.
    pub fn unheard(&self, rcode: Rcode) {
        self.notified("in", if rcode == Rcode::NOTAUTH { "notauth" } else { "refused" });
    }

    /// A transfer or poll ended.
    pub fn transferred(&self, direction: &str, kind: &str, result: &str, bytes: u64, took: Duration) {
        self.transfers.with_label_values(&[direction, kind, result]).inc();
        self.transfer_bytes.with_label_values(&[direction, kind]).inc_by(bytes);
        if result == "ok" {
            self.transfer_duration.with_label_values(&[direction, kind]).observe(took.as_secs_f64());
        }
    }

    /// A poll found a zone current.
    pub fn polled(&self) {
        self.transfers.with_label_values(&["in", "soa", "ok"]).inc();
    }

    /// An IXFR gave way to an AXFR.
    pub fn fell_back(&self, reason: &str) {
        self.fallbacks.with_label_values(&[reason]).inc();
    }

    /// The configuration was read again, and is in force or refused.
    pub fn reloaded(&self, is_in_force: bool) {
        self.reload_ok.set(is_in_force.into());
    }

    /// A version's digest was not the primary's.
    pub fn mismatched(&self, now: Utc, zone: &NameRef) {
        self.trouble(zone, |troubles| {
            troubles.mismatches += 1;
            troubles.mismatched = Some(now);
        });
    }

    /// A zone file could not be published.
    pub fn load_failed(&self, zone: &NameRef) {
        self.trouble(zone, |troubles| troubles.load_failures += 1);
    }

    fn trouble(&self, zone: &NameRef, count: impl FnOnce(&mut Troubles)) {
        let mut all = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        count(all.entry(zone.to_name()).or_default());
    }

    /// Old answers were given out.
    pub fn stale_answers(&self, count: u64) {
        self.stale_answers.inc_by(count);
    }

    /// A zone is not configured any more: its series end.
    pub fn zone_removed(&self, zone: &NameRef) {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner).remove(zone);
    }
}

/// What went wrong with a zone, and how often.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Troubles {
    pub(super) mismatches: u64,
    /// When that was the last time.
    pub(super) mismatched: Option<Utc>,
    pub(super) load_failures: u64,
}

fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    registered(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<HistogramVec, prometheus::Error> {
    registered(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels)?)
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
