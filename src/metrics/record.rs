//! Which event counts into which metric.

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
            Event::Observed { propagation: Some(propagation), .. } => {
                self.propagated(Hop::PublishToObserved, propagation.best().as_secs_f64());
            }
            Event::Reachable { zone, fault: Some(Reason::OtherContent), .. } => self.mismatched(now, zone),
            Event::Added(_)
            | Event::Observed { propagation: None, .. }
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
