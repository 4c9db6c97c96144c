//! The text of `/metrics`: what was counted, and gauges made afresh from the node's status, so that a zone which is gone
//! leaves no series behind.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};

use crate::node::board::Overview;
use crate::node::status::{ServerStatus, State, ZoneStatus};
use crate::time::Utc;
use crate::wire::name::Name;
use crate::wire::rtype::Rcode;
use crate::wire::via::Via;

use super::registry::{Metrics, Troubles};
use super::tally::{BUCKETS, Path, RCODES, Tally};

/// What `/metrics` shows besides what was counted.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// All zones together.
    pub overview: Overview,
    /// The zones that have series of their own.
    pub zones: Vec<ZoneStatus>,
    /// Entries in the cache, when there is one.
    pub cache_entries: Option<u64>,
}

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
        families.extend(zones(gauges, &troubles));
        families.retain(|family| !family.get_metric().is_empty());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
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

/// What is told of the zones and of the servers watched.
fn zones(gauges: &Gauges, troubles: &BTreeMap<Name, Troubles>) -> Vec<MetricFamily> {
    let states =
        State::ALL.map(|state| gauge(&[("state", state.word())], gauges.overview.count(state) as f64));
    let mut families = vec![family("tidemark_zones", "Zones by state", MetricType::GAUGE, states.to_vec())];
    families.push(family(
        "tidemark_observed_unwatched",
        "Servers of zones that are not watched, because they are too many",
        MetricType::GAUGE,
        vec![gauge(&[], gauges.overview.unwatched as f64)],
    ));
    let shown = &gauges.zones;
    let mut each = |name: &str, help: &str, value: &dyn Fn(&ZoneStatus) -> Option<f64>| {
        let metrics =
            shown.iter().filter_map(|zone| Some(gauge(&[("zone", &zone.zone.to_string())], value(zone)?)));
        families.push(family(name, help, MetricType::GAUGE, metrics.collect()));
    };
    each("tidemark_zone_serial", "SOA serial served", &|zone| zone.serial.map(|serial| f64::from(serial.0)));
    each("tidemark_zone_records", "Records served", &|zone| zone.records.map(|records| records as f64));
    each(
        "tidemark_zone_published_timestamp_seconds",
        "When the primary published what is served here",
        &|zone| zone.published.map(Utc::as_secs_f64),
    );
    each("tidemark_zone_applied_timestamp_seconds", "When this node began to serve it", &|zone| {
        zone.applied.map(Utc::as_secs_f64)
    });
    each("tidemark_zone_verified_timestamp_seconds", "When it is last known to have been current", &|zone| {
        zone.verified.map(Utc::as_secs_f64)
    });
    each(
        "tidemark_zone_expire_timestamp_seconds",
        "When a secondary stops serving it unless it is confirmed",
        &|zone| zone.expires.map(Utc::as_secs_f64),
    );
    each(
        "tidemark_zone_staleness_seconds",
        "0 when current, else age of the oldest version not yet served",
        &|zone| (zone.serial.is_some() || zone.staleness.is_some()).then(|| staleness(zone)),
    );
    each(
        "tidemark_zone_staleness_max_seconds",
        "The longest that it can have been out of date: since it is known to have been current; infinite when that is not known",
        &longest,
    );
    each(
        "tidemark_zone_file_ok",
        "1, or 0 for as long as what a zone file holds cannot be served",
        &|zone| (zone.role == "primary").then(|| f64::from(u8::from(zone.problem.is_none()))),
    );
    each(
        "tidemark_zone_digest_mismatch_timestamp_seconds",
        "When content last differed from the primary's, or a watched server's from that here, under the same serial; 0 if it has not",
        &|zone| {
            let at = troubles.get(&zone.zone).and_then(|troubles| troubles.mismatched);
            (zone.role != "stub").then(|| at.map_or(0.0, Utc::as_secs_f64))
        },
    );
    families.extend(troubled(shown, troubles));
    families.extend(observed(shown));
    families
}

/// Counters of what went wrong with zones.
fn troubled(shown: &[ZoneStatus], troubles: &BTreeMap<Name, Troubles>) -> [MetricFamily; 2] {
    let counted = |name: &str, help: &str, count: &dyn Fn(&Troubles) -> u64| {
        let own = shown.iter().filter(|zone| zone.role != "stub");
        let metrics = own.map(|zone| {
            let count = troubles.get(&zone.zone).map_or(0, count);
            counter(&[("zone", &zone.zone.to_string())], count)
        });
        family(name, help, MetricType::COUNTER, metrics.collect())
    };
    [
        counted(
            "tidemark_zone_digest_mismatches_total",
            "Versions whose content differed from the primary's, or a watched server's from that here, under the same serial",
            &|troubles| troubles.mismatches,
        ),
        counted(
            "tidemark_zone_load_failures_total",
            "Zone files, or changes of them, that could not be published",
            &|troubles| troubles.load_failures,
        ),
    ]
}

/// Gauges of the servers watched.
fn observed(shown: &[ZoneStatus]) -> Vec<MetricFamily> {
    let mut families = Vec::new();
    let mut observed = |name: &str, help: &str, value: &dyn Fn(&ServerStatus) -> Option<f64>| {
        let metrics = shown.iter().flat_map(|zone| {
            zone.servers.iter().filter(|server| server.watched).filter_map(|server| {
                let labels = [("zone", zone.zone.to_string()), ("server", server.server.to_string())];
                let labels = labels.each_ref().map(|(name, value)| (*name, value.as_str()));
                Some(gauge(&labels, value(server)?))
            })
        });
        families.push(family(name, help, MetricType::GAUGE, metrics.collect()));
    };
    observed("tidemark_observed_serial", "SOA serial that a watched server shows", &|server| {
        server.serial.map(|serial| f64::from(serial.0))
    });
    observed(
        "tidemark_observed_up",
        "Whether a watched server answered the last probe with what it serves",
        &|server| Some(f64::from(u8::from(server.up))),
    );
    observed(
        "tidemark_observed_staleness_seconds",
        "How long a watched server has been out of date, 0 when nothing newer is known",
        &|server| server.staleness.map(|staleness| staleness.best().as_secs_f64()),
    );
    observed(
        "tidemark_observed_staleness_max_seconds",
        "The longest that a watched server can have been out of date; infinite when that is not known",
        &|server| {
            let high = server.staleness?.high;
            Some(high.map_or(f64::INFINITY, |high| high.as_secs_f64()))
        },
    );
    families
}

/// Servers of a stub zone that do not tell are no trouble of this node's.
fn longest(zone: &ZoneStatus) -> Option<f64> {
    let high = zone.staleness?.high.map(|high| high.as_secs_f64());
    high.or((zone.role != "stub").then_some(f64::INFINITY))
}

fn staleness(zone: &ZoneStatus) -> f64 {
    zone.staleness.map_or(0.0, |staleness| staleness.best().as_secs_f64())
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
