//! Which event counts into which metric.

use crate::lag::Interval;
use crate::node::event::Event;
use crate::probe::observation::Reason;
use crate::time::{Now, Utc};
use crate::transfer::{notify, reason};

use super::registry::{Hop, Metrics};

impl Metrics {
    /// Counts an event of the node that happened now.
    pub fn record(&self, now: Utc, event: &Event) {
        match event {
            Event::Removed(removal) => self.zone_removed(&removal.zone),
            Event::Published { publication, heard, publisher, now: applied } => {
                // What was there before the start was not edited now.
                if let Some(edited) = publication.edited.filter(|_| publication.leads_forward()) {
                    let seconds = publication.applied.as_secs_f64() - edited.as_secs_f64();
                    self.propagated(Hop::EditToPublished, seconds);
                }
                // A first copy says when it arrived, and a primary's own version is there at once: neither is a change's way.
                let Some(heard) = heard.filter(|_| publication.leads_forward()) else { return };
                self.propagated(Hop::NotifiedToApplied, applied.mono.since(heard.mono).as_secs_f64());
                if let Some(published) = publication.stamp.published {
                    // By the clock that the stamp is a reading of.
                    let since_published = |at: Now| {
                        let at = publisher.map_or(at.utc, |clock| clock.shows(at.mono));
                        at.as_secs_f64() - published.utc().as_secs_f64()
                    };
                    self.propagated(Hop::PublishToNotified, since_published(heard));
                    self.propagated(Hop::PublishToApplied, since_published(*applied));
                }
            }
            Event::NotPublished { zone, .. } | Event::NotKept { zone, .. } => self.load_failed(zone),
            Event::Confirmed { .. } => self.polled(),
            Event::Heard { .. } => self.notified("in", "ok"),
            Event::Pulled { kind, bytes, took, .. } => {
                self.transferred("in", kind.label(), "ok", *bytes, *took)
            }
            Event::PullFailed { zone, kind, reason, .. } => {
                if *reason == reason::Reason::DigestMismatch {
                    self.mismatched(now, zone);
                }
                self.transferred("in", kind.label(), reason.label(), 0, std::time::Duration::ZERO);
            }
            Event::Fallback { zone, reason, .. } => {
                if *reason == reason::Reason::DigestMismatch {
                    self.mismatched(now, zone);
                }
                self.fell_back(reason.label())
            }
            Event::Notify(_, notify::Event::Acknowledged { .. }) => self.notified("out", "ok"),
            Event::Notify(_, notify::Event::Refused { .. }) => self.notified("out", "refused"),
            Event::Notify(_, notify::Event::Unanswered { .. }) => self.notified("out", "timeout"),
            // Bounds alone are no measure: the lower one is mostly 0.
            Event::Observed { propagation: Some(Interval { estimate: Some(took), .. }), .. } => {
                self.propagated(Hop::PublishToObserved, took.as_secs_f64());
            }
            Event::Reachable { zone, fault: Some(Reason::OtherContent), .. } => self.mismatched(now, zone),
            Event::Added(_)
            | Event::Observed { .. }
            | Event::Behind(..)
            | Event::Fetched { .. }
            | Event::Expired(_)
            | Event::ExpiredMeanwhile { .. }
            | Event::ClockSetBack { .. }
            | Event::Reachable { .. }
            | Event::InOrderAgain(_)
            | Event::AskingOthers { .. }
            | Event::Ahead { .. }
            | Event::AtOdds { .. }
            | Event::LeftOut { .. }
            | Event::NotShown { .. }
            | Event::PrimaryBack(_)
            | Event::Resumed { .. }
            | Event::SerialLowered { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::render::Gauges;
    use crate::zone::serial::Serial;

    #[test]
    fn what_is_only_known_within_bounds_is_not_in_the_histogram() {
        let metrics = Metrics::new().unwrap();
        let (zone, server) = ("example.".parse().unwrap(), ([192, 0, 2, 1], 53).into());
        let seen = |estimate| Event::Observed {
            zone: Clone::clone(&zone),
            server,
            serial: Serial(2),
            propagation: Some(Interval {
                high: Some(Duration::from_secs(80)),
                estimate,
                ..Interval::default()
            }),
        };
        let count = || {
            let text = metrics.render(&Gauges::default()).unwrap();
            let series = "tidemark_propagation_duration_seconds_count{hop=\"publish_to_observed\"} ";
            text.lines().find_map(|line| line.strip_prefix(series)).unwrap().to_owned()
        };
        metrics.record(Utc(0), &seen(None));
        assert_eq!(count(), "0");
        metrics.record(Utc(0), &seen(Some(Duration::from_millis(212))));
        assert_eq!(count(), "1");
    }
}
