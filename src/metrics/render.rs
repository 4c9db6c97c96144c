//! The text of `/metrics`: what was counted, and gauges made afresh from the node's status, so that a zone which is gone
//! leaves no series behind.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::wire::rtype::Rcode;
use crate::wire::via::Via;

use super::registry::Metrics;
use super::tally::{BUCKETS, Path, RCODES, Tally};
use super::zones;

pub use zones::Gauges;

impl Metrics {
    /// Everything, in the text format of Prometheus.
    pub fn render(&self, gauges: &Gauges) -> Result<String, prometheus::Error> {
        // Answers to polls are counted where they are given, many at a time.
        let soas = self.soas();
        let known = self.soas_known.fetch_max(soas, Ordering::Relaxed);
        self.transfers.with_label_values(&["out", "soa", "ok"]).inc_by(soas.saturating_sub(known));
        let mut families = self.registry.gather();
        families.extend(self.data_plane(gauges));
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner).clone();
        families.retain(|family| !family.get_metric().is_empty());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = TextEncoder::new().encode_to_string(&families)?;
        zones::write(gauges, &troubles, &mut text);
        Ok(text)
    }

    /// SOA answers given out by all workers.
    fn soas(&self) -> u64 {
        let tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.iter().map(|tally| tally.soas.load(Ordering::Relaxed)).sum()
    }

    fn data_plane(&self, gauges: &Gauges) -> Vec<MetricFamily> {
        let tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = |counter: &dyn Fn(&Tally) -> &AtomicU64| -> u64 {
            tallies.iter().map(|tally| counter(tally).load(Ordering::Relaxed)).sum()
        };
        let mut queries = Vec::new();
        for via in Via::ALL {
            for (f, family) in ["ipv4", "ipv6"].into_iter().enumerate() {
                let labels = [("transport", via.name()), ("family", family)];
                queries.push(counter(&labels, sum(&|tally| &tally.queries[via as usize][f])));
            }
        }
        let responses = (0..RCODES).filter_map(|rcode| {
            let count = sum(&|tally| &tally.responses[rcode]);
            let common = [Rcode::NOERROR, Rcode::SERVFAIL, Rcode::NXDOMAIN, Rcode::REFUSED]
                .contains(&Rcode(rcode as u16));
            (count > 0 || common).then(|| counter(&[("rcode", &Rcode(rcode as u16).to_string())], count))
        });
        let paths = [(Path::Zone, "zone"), (Path::Hit, "hit"), (Path::Miss, "miss")];
        let durations = paths.map(|(path, label)| histogram(label, path, &sum));
        let mut families = vec![
            family(
                "tidemark_build_info",
                "The version that runs",
                MetricType::GAUGE,
                vec![gauge(&[("version", env!("CARGO_PKG_VERSION"))], 1.0)],
            ),
            family("tidemark_queries_total", "Requests received", MetricType::COUNTER, queries),
            family("tidemark_responses_total", "Replies sent", MetricType::COUNTER, responses.collect()),
            family(
                "tidemark_dropped_total",
                "Requests left without a reply",
                MetricType::COUNTER,
                vec![counter(&[], sum(&|tally| &tally.dropped))],
            ),
            family(
                "tidemark_query_duration_seconds",
                "Time from receiving a request to sending its reply, by where the answer came from",
                MetricType::HISTOGRAM,
                durations.to_vec(),
            ),
        ];
        if let Some(entries) = gauges.cache_entries {
            let of = |path: Path| -> u64 {
                (0..=BUCKETS.len())
                    .map(|bucket| sum(&|tally| &tally.durations[path as usize].buckets[bucket]))
                    .sum()
            };
            let plain =
                |name, help, value| family(name, help, MetricType::COUNTER, vec![counter(&[], value)]);
            families.push(plain(
                "tidemark_cache_hits_total",
                "Questions answered from the cache",
                of(Path::Hit),
            ));
            families.push(plain(
                "tidemark_cache_misses_total",
                "Questions that had to be asked elsewhere",
                of(Path::Miss),
            ));
            families.push(family(
                "tidemark_cache_entries",
                "Answers in the cache",
                MetricType::GAUGE,
                vec![gauge(&[], entries as f64)],
            ));
        }
        families
    }
}

/// Adds one counter up over all workers.
type Sum<'s> = &'s dyn Fn(&dyn Fn(&Tally) -> &AtomicU64) -> u64;

fn histogram(label: &str, path: Path, sum: Sum<'_>) -> Metric {
    let mut cumulative = 0;
    let mut buckets = Vec::with_capacity(BUCKETS.len());
    for (index, bound) in BUCKETS.iter().enumerate() {
        cumulative += sum(&|tally| &tally.durations[path as usize].buckets[index]);
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(*bound as f64 / 1e6);
        bucket.set_cumulative_count(cumulative);
        buckets.push(bucket);
    }
    cumulative += sum(&|tally| &tally.durations[path as usize].buckets[BUCKETS.len()]);
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(cumulative);
    histogram.set_sample_sum(sum(&|tally| &tally.durations[path as usize].micros) as f64 / 1e6);
    let mut metric = Metric::default();
    metric.set_label(labels(&[("path", label)]));
    metric.set_histogram(histogram);
    metric
}

fn gauge(with: &[(&str, &str)], value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::default();
    metric.set_label(labels(with));
    metric.set_gauge(gauge);
    metric
}

fn counter(with: &[(&str, &str)], value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = Metric::default();
    metric.set_label(labels(with));
    metric.set_counter(counter);
    metric
}

fn labels(with: &[(&str, &str)]) -> Vec<LabelPair> {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    with.iter().map(pair).collect()
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}
