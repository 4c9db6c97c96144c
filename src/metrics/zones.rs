//! The series of zones and of the servers watched, as text. There may be hundreds of thousands of them, and what they have in common is
//! made once: by way of the library's own data they took three times as long.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::node::board::Overview;
use crate::node::status::{ServerStatus, State, ZoneStatus};
use crate::time::Utc;
use crate::wire::name::Name;

use super::registry::Troubles;

/// What `/metrics` shows besides what was counted.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// All zones together.
    pub overview: Overview,
    /// The zones that have series of their own.
    pub zones: Vec<ZoneStatus>,
    /// Entries in the cache, when there is one.
    pub cache_entries: Option<u64>,
    /// In which ways addresses of the configuration are not served, and how many.
    pub not_listening: Vec<(&'static str, usize)>,
    /// What the configuration names and cannot be read, by kind, and how many.
    pub not_read: Vec<(&'static str, usize)>,
}

/// Appends all of them, in Prometheus' text format.
pub(super) fn write(gauges: &Gauges, troubles: &BTreeMap<Name, Troubles>, text: &mut String) {
    let states = State::ALL
        .map(|state| (format!("{{state=\"{}\"}}", state.word()), gauges.overview.count(state) as f64));
    let states = states.iter().map(|(labels, count)| (&**labels, *count));
    family(text, "gauge", "tidemark_zones", "Zones by state", states);
    family(
        text,
        "gauge",
        "tidemark_observed_unwatched",
        "Servers of zones that are not watched, because they are too many",
        [("", gauges.overview.unwatched as f64)].into_iter(),
    );
    lacks(gauges, text);
    let shown: Vec<Labelled<'_>> = gauges.zones.iter().map(|zone| Labelled::of(zone, troubles)).collect();
    zones(&shown, text);
    counters(&shown, text);
    servers(&shown, text);
}

/// What the node does without.
fn lacks(gauges: &Gauges, text: &mut String) {
    let mut each = |name: &str, help: &str, label: &str, counts: &[(&str, usize)]| {
        let counts = counts.iter().map(|(word, count)| (format!("{{{label}=\"{word}\"}}"), *count as f64));
        let counts: Vec<(String, f64)> = counts.collect();
        family(text, "gauge", name, help, counts.iter().map(|(labels, count)| (&**labels, *count)));
    };
    each(
        "tidemark_not_listening",
        "Addresses of the configuration that are not served: unbound, closed without a certificate, absent from this machine, lost",
        "state",
        &gauges.not_listening,
    );
    each(
        "tidemark_not_read",
        "What the configuration names and cannot be read, or not any more: folders of zones, certificates, cookie secrets",
        "what",
        &gauges.not_read,
    );
}

/// A zone with the labels of its series.
struct Labelled<'z> {
    zone: &'z ZoneStatus,
    labels: String,
    servers: Vec<(&'z ServerStatus, String)>,
    troubles: Troubles,
}

impl Labelled<'_> {
    fn of<'z>(zone: &'z ZoneStatus, troubles: &BTreeMap<Name, Troubles>) -> Labelled<'z> {
        let name = escaped(&zone.zone.to_string());
        let watched = zone.servers.iter().filter(|server| server.watched);
        let labels = |server: &ServerStatus| format!("{{zone=\"{name}\",server=\"{}\"}}", server.server);
        Labelled {
            zone,
            labels: format!("{{zone=\"{name}\"}}"),
            servers: watched.map(|server| (server, labels(server))).collect(),
            troubles: troubles.get(&zone.zone).copied().unwrap_or_default(),
        }
    }
}

/// Gauges of the zones.
fn zones(shown: &[Labelled<'_>], text: &mut String) {
    let mut each = |name: &str, help: &str, value: &dyn Fn(&ZoneStatus) -> Option<f64>| {
        let samples = shown.iter().filter_map(|it| Some((&*it.labels, value(it.zone)?)));
        family(text, "gauge", name, help, samples);
    };
    each("tidemark_zone_applied_timestamp_seconds", "When this node began to serve it", &|zone| {
        zone.applied.map(Utc::as_secs_f64)
    });
    each(
        "tidemark_zone_clock_offset_error_seconds",
        "How wrong tidemark_zone_clock_offset_seconds may be",
        &|zone| zone.clock_offset.map(|offset| offset.error),
    );
    each(
        "tidemark_zone_clock_offset_seconds",
        "How far the clock of the node that publishes it is ahead of this node's",
        &|zone| zone.clock_offset.map(|offset| offset.seconds),
    );
    each(
        "tidemark_zone_expire_timestamp_seconds",
        "When a secondary stops serving it unless it is confirmed",
        &|zone| zone.expires.map(Utc::as_secs_f64),
    );
    each(
        "tidemark_zone_file_ok",
        "1, or 0 for as long as what a zone file holds cannot be served, or several files hold the zone",
        &|zone| (zone.role == "primary").then(|| f64::from(u8::from(zone.problem.is_none()))),
    );
    each(
        "tidemark_zone_published_timestamp_seconds",
        "When the primary published what is served here",
        &|zone| zone.published.map(Utc::as_secs_f64),
    );
    each("tidemark_zone_records", "Records served", &|zone| zone.records.map(|records| records as f64));
    each("tidemark_zone_serial", "SOA serial served", &|zone| zone.serial.map(|serial| f64::from(serial.0)));
    each(
        "tidemark_zone_staleness_max_seconds",
        "The longest that it can have been out of date: since it is known to have been current; infinite when that is not known",
        &longest,
    );
    each(
        "tidemark_zone_staleness_seconds",
        "0 when nothing newer is known, else age of the oldest version not yet served",
        &|zone| zone.staleness.map(|staleness| staleness.best().as_secs_f64()),
    );
    each("tidemark_zone_verified_timestamp_seconds", "When it is last known to have been current", &|zone| {
        zone.verified.map(Utc::as_secs_f64)
    });
}

/// What went wrong with zones.
fn counters(shown: &[Labelled<'_>], text: &mut String) {
    let mut each = |kind: &str, name: &str, help: &str, value: &dyn Fn(&Troubles) -> f64| {
        let own = shown.iter().filter(|it| it.zone.role != "stub");
        family(text, kind, name, help, own.map(|it| (&*it.labels, value(&it.troubles))));
    };
    each(
        "counter",
        "tidemark_zone_digest_mismatches_total",
        "Versions whose content differed from the primary's, or a watched server's from that here, under the same serial",
        &|troubles| troubles.mismatches as f64,
    );
    each(
        "gauge",
        "tidemark_zone_digest_mismatch_timestamp_seconds",
        "When content last differed from the primary's, or a watched server's from that here, under the same serial; 0 if it has not",
        &|troubles| troubles.mismatched.map_or(0.0, Utc::as_secs_f64),
    );
    each(
        "counter",
        "tidemark_zone_load_failures_total",
        "Zone files, or changes of them, that could not be published",
        &|troubles| troubles.load_failures as f64,
    );
}

/// Gauges of the servers watched.
fn servers(shown: &[Labelled<'_>], text: &mut String) {
    let mut each = |name: &str, help: &str, value: &dyn Fn(&ServerStatus) -> Option<f64>| {
        let servers = shown.iter().flat_map(|it| &it.servers);
        let samples = servers.filter_map(|(server, labels)| Some((&**labels, value(server)?)));
        family(text, "gauge", name, help, samples);
    };
    each("tidemark_observed_serial", "SOA serial that a watched server shows", &|server| {
        server.serial.map(|serial| f64::from(serial.0))
    });
    each(
        "tidemark_observed_up",
        "Whether a watched server answered the last probe with what it serves",
        &|server| Some(f64::from(u8::from(server.up))),
    );
    each(
        "tidemark_observed_staleness_seconds",
        "How long a watched server has been out of date, 0 when nothing newer is known",
        &|server| server.staleness.map(|staleness| staleness.best().as_secs_f64()),
    );
    each(
        "tidemark_observed_staleness_max_seconds",
        "The longest that a watched server can have been out of date; infinite when that is not known",
        &|server| {
            let high = server.staleness?.high;
            Some(high.map_or(f64::INFINITY, |high| high.as_secs_f64()))
        },
    );
}

/// Servers of a stub zone that do not tell are no trouble of this node's. What a primary serves is the newest that is published, whatever its
/// file holds.
fn longest(zone: &ZoneStatus) -> Option<f64> {
    let high = zone.staleness?.high.map(|high| high.as_secs_f64());
    high.or((zone.role != "stub").then_some(f64::INFINITY))
}

/// Appends a metric with its samples, which are labels and values; nothing where there are none.
fn family<'l>(
    text: &mut String,
    kind: &str,
    name: &str,
    help: &str,
    samples: impl Iterator<Item = (&'l str, f64)>,
) {
    let mut samples = samples.peekable();
    // Writing to a string cannot fail.
    if samples.peek().is_some() {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }
    for (labels, value) in samples {
        text.push_str(name);
        text.push_str(labels);
        let _ = match value == f64::INFINITY {
            true => writeln!(text, " +Inf"),
            false => writeln!(text, " {value}"),
        };
    }
}

/// A label's value as it stands between quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_does_without_is_counted_by_kind() {
        let gauges = Gauges {
            not_listening: vec![("unbound", 2), ("absent", 0)],
            not_read: vec![("folder", 1)],
            ..Gauges::default()
        };
        let mut text = String::new();
        lacks(&gauges, &mut text);
        let samples: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let listening = "tidemark_not_listening{state=";
        assert_eq!(
            samples,
            [
                &*format!("{listening}\"unbound\"}} 2"),
                &*format!("{listening}\"absent\"}} 0"),
                "tidemark_not_read{what=\"folder\"} 1"
            ]
        );
    }

    #[test]
    fn samples_stand_below_what_they_are_about() {
        let mut text = String::new();
        family(&mut text, "gauge", "a_b", "Why", [("{x=\"1\"}", 1.5), ("", f64::INFINITY)].into_iter());
        family(&mut text, "counter", "none", "Nothing", std::iter::empty());
        assert_eq!(text, "# HELP a_b Why\n# TYPE a_b gauge\na_b{x=\"1\"} 1.5\na_b +Inf\n");
        assert_eq!(escaped(r#"a\"b."#), r#"a\\\"b."#);
    }
}
