//! Events as log lines: what an operator wants to read, at the level at which it matters.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tracing::{debug, error, info, warn};

use crate::lag::Interval;
use crate::node::event::Event;
use crate::node::roster::Removal;
use crate::probe::observation;
use crate::text::file::diagnostic::{Diagnostic, Severity};
use crate::transfer::notify;
use crate::transfer::reason::Reason;
use crate::wire::name::Name;
use crate::wire::rtype::Rcode;
use crate::zone::serial::Serial;

/// Zones that begin to be served at once and are each told of.
const FEW: usize = 100;
/// Zones that are named where many are told of in one line. As many that go at once are each told of.
const NAMED: usize = 3;

/// Logs events of the node.
pub(super) fn events(events: &[Event]) {
    let is_first =
        |event: &&Event| matches!(event, Event::Published { publication, .. } if publication.from.is_none());
    let first = events.iter().filter(is_first).count();
    if first > FEW {
        info!(zones = first, "serving many zones");
    }
    let (gone, others): (Vec<&Event>, Vec<&Event>) =
        events.iter().partition(|event| matches!(event, Event::Removed(_)));
    if gone.len() <= NAMED {
        gone.into_iter().for_each(event);
    } else {
        let (lost, dropped) = many_gone(gone.into_iter().filter_map(removal));
        lost.into_iter().for_each(|lost| warn!("{lost}"));
        dropped.into_iter().for_each(|dropped| info!("{dropped}"));
    }
    clock_doubts(events).into_iter().for_each(|doubt| warn!("{doubt}"));
    others.into_iter().filter(|event| first <= FEW || !is_first(event)).for_each(event);
}

/// What is said of zones about which this machine's clock and what a former life wrote down by it do not tell the same story.
fn clock_doubts(events: &[Event]) -> Vec<String> {
    let (mut expired, mut ahead) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            Event::ExpiredMeanwhile { zone, from, ago } => {
                expired.push(format!("{zone}: {} ago, at {from}", roughly(*ago)));
            }
            Event::ClockSetBack { zone, ahead: by } => ahead.push(format!("{zone}: {}", roughly(*by))),
            _ => {}
        }
    }
    let expired = (!expired.is_empty()).then(|| {
        format!(
            "the content of some zones expired while this node was not running, by when it was last verified ({}): {}; they are asked for \
             now, and served again once a primary has answered. Where that cannot be, the clock was set meanwhile: check it (`timedatectl`)",
            expired.len(),
            first_few(&expired)
        )
    });
    let ahead = (!ahead.is_empty()).then(|| {
        format!(
            "some zones were verified at a time that is still to come by this machine's clock, which was set back since ({}): {} ahead; \
             their EXPIRE is counted from now on, and how old their content is is known once a primary has answered. Check the clock \
             (`timedatectl`)",
            ahead.len(),
            first_few(&ahead)
        )
    });
    expired.into_iter().chain(ahead).collect()
}

/// A span in the unit that suits it.
fn roughly(span: Duration) -> String {
    match span.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7_200 => format!("{} minutes", seconds / 60),
        seconds @ ..172_800 => format!("{} hours", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

fn removal(event: &Event) -> Option<&Removal> {
    match event {
        Event::Removed(removal) => Some(removal),
        _ => None,
    }
}

/// What is said of zones that go at once: of those that are still configured, and of those that are not.
fn many_gone<'e>(gone: impl Iterator<Item = &'e Removal>) -> (Option<String>, Option<String>) {
    let (mut lost, mut dropped) = (Vec::new(), Vec::new());
    for Removal { zone, why } in gone {
        match why {
            Some(why) => lost.push(format!("{zone}: {why}")),
            None => dropped.push(zone.to_string()),
        }
    }
    let several = |what: &str, zones: &[String]| {
        (!zones.is_empty()).then(|| format!("{} zones {what}: {}", zones.len(), first_few(zones)))
    };
    (
        several("are not served any more until files hold them", &lost),
        several("are no longer configured, and not served any more", &dropped),
    )
}

/// The first of many, and how many there are besides.
fn first_few(all: &[String]) -> String {
    let named = all[..all.len().min(NAMED)].join("; ");
    match all.len().checked_sub(NAMED).filter(|more| *more > 0) {
        Some(more) => format!("{named}; and {more} more"),
        None => named,
    }
}

/// Logs what a reload came to. The zones that it left as they were have each been told of when that came to light, which may be long ago.
pub(super) fn reloaded(
    [added, removed]: [usize; 2],
    failed: &BTreeMap<Name, String>,
    refused: &[String],
    asked: usize,
) {
    if !refused.is_empty() {
        error!("reloaded, but files are left out ({}): {}", refused.len(), first_few(refused));
    }
    if failed.is_empty() {
        if refused.is_empty() {
            info!(added, removed, "reloaded");
        }
        return;
    }
    error!(
        "reloaded, but {} of {asked} primary zones are not up to date: {}",
        failed.len(),
        first_few(&failed.iter().map(|(zone, error)| format!("{zone}: {error}")).collect::<Vec<_>>())
    );
}

fn event(event: &Event) {
    match event {
        Event::Added(zone) => debug!(%zone, "configured"),
        Event::Removed(Removal { zone, why: None }) => {
            info!(%zone, "no longer configured; not served any more")
        }
        Event::Removed(Removal { zone, why: Some(why) }) => {
            warn!(%zone, "{why}; not served any more until a file holds it")
        }
        Event::Published { publication, .. } => {
            let zone = &publication.zone;
            let (serial, records) = (publication.stamp.serial, publication.records);
            match publication.from {
                Some(from) => info!(%zone, %serial, %from, records, "serving a new version"),
                None => info!(%zone, %serial, records, "serving"),
            }
            if let Some(file) = publication.renumbered {
                info!(%zone, "serial counted up: {serial}, where the file says {file}");
            }
            if let Some(theirs) = &publication.mismatch {
                let ours = publication.stamp.digest;
                error!(%zone, %serial, %ours, %theirs, "content differs from the primary's under the same serial");
            }
        }
        Event::NotPublished { zone, why } => {
            error!(%zone, "not published; what was served before, if anything, still is: {why}")
        }
        Event::NotKept { zone, why } => {
            error!(%zone, "not published, because it cannot be written down: {why}")
        }
        Event::AskingOthers { zone, servers, limit } => {
            info!(%zone, servers, "nothing is known here of what was served before: its other servers are asked for their serial first, and each is waited for {limit:?} at most from then on");
        }
        Event::Resumed { zone, server, serial, file, known, may_number } => {
            warn!(%zone, %server, "{}", resumed(*serial, *file, *known, *may_number));
        }
        Event::Ahead { zone, server, theirs, own } => {
            error!(
                %zone, %server,
                "serves serial {theirs}, which is newer than {own} here, and takes nothing older: raise the serial in the zone file above it \
                 (was the data folder lost, or is there another primary?)"
            );
        }
        Event::InOrderAgain(zone) => info!(%zone, "the zone file is in order again"),
        Event::Confirmed { zone, .. } => debug!(%zone, "current"),
        Event::Heard { zone, from, serial } => debug!(%zone, %from, ?serial, "NOTIFY received"),
        Event::SerialLowered { zone, file, before, served } => {
            warn!(
                %zone,
                "the serial in its file went back from {before} to {file}, and nothing else changed; {served} is served as before, \
                 because secondaries take no older serial: with the next change, raise it above {served}"
            );
        }
        Event::Behind(zone, newer) => debug!(%zone, serial = %newer.serial, "a newer version exists"),
        Event::Fetched { zone, from } => debug!(%zone, %from, "a transfer has come to its end"),
        Event::Pulled { zone, from, kind, bytes, took } => {
            info!(%zone, %from, kind = kind.label(), bytes, ?took, "transferred");
        }
        Event::PullFailed { zone, primary, kind, reason, because, detail, is_known } => {
            let why = reason.explained(because.as_ref(), detail.as_deref());
            match is_known {
                false => warn!(%zone, %primary, "{} failed: {why}", kind.label()),
                true => debug!(%zone, %primary, "{} failed again: {why}", kind.label()),
            }
        }
        Event::AtOdds { zone, primary, odd } => warn!(%zone, "primary {primary} {odd}"),
        Event::LeftOut { zone, primary, outside } => warn!(
            %zone, %primary, records = outside.records, first = %outside.first,
            "records outside the zone are left out of what was transferred; take them out of the zone there"
        ),
        Event::NotShown { zone, primary, announced, shown } => warn!(
            %zone, %primary, %announced, %shown,
            "the primary announced a serial by NOTIFY and shows an older one since; compare them by `dig SOA` there: does a cache or \
             another server answer at its address, or did somebody else send the NOTIFY?"
        ),
        Event::PrimaryBack(primary) => info!(%primary, "the primary answers again"),
        Event::Fallback { is_known: true, .. } => {}
        Event::Fallback { zone, reason: Reason::AxfrStyle, .. } => {
            info!(%zone, "the primary sent the whole zone instead of what changed")
        }
        Event::Fallback { zone, reason, .. } => {
            warn!(%zone, "no incremental transfer ({reason}); pulling the whole zone")
        }
        Event::Expired(zone) => {
            error!(%zone, "expired: no primary confirmed it within the SOA's EXPIRE; not served any more")
        }
        // Those of many zones are told together.
        Event::ExpiredMeanwhile { .. } | Event::ClockSetBack { .. } => {}
        Event::Notify(zone, event) => notified(zone, event),
        Event::Observed { zone, server, serial, propagation } => {
            info!(%zone, %server, %serial, "observed{}", propagation.map_or_else(String::new, after_publication))
        }
        Event::Reachable { zone, server, up, again, fault } => reachable(zone, server, *up, *again, *fault),
    }
}

/// How long after its publication a version was seen. Where no stamp tells when that was, it is as far back as somebody last knew the version
/// before to be the newest, which bounds it and is no measure of it.
fn after_publication(took: Interval) -> String {
    match took {
        Interval { estimate: Some(estimate), .. } => {
            format!(", {} after it was published", seconds(estimate))
        }
        Interval { low, high: Some(high), .. } if low.is_zero() => {
            format!(", {} after it was published at most", seconds(high))
        }
        Interval { low, high: Some(high), .. } => {
            format!(", {} to {} after it was published", seconds(low), seconds(high))
        }
        Interval { low, .. } if !low.is_zero() => {
            format!(", {} after it was published at least", seconds(low))
        }
        Interval { .. } => String::new(),
    }
}

/// A span to the millisecond.
fn seconds(span: Duration) -> String {
    let millis = (span.as_micros() + 500) / 1_000;
    format!("{} s", millis as f64 / 1e3)
}

/// A NOTIFY went out, and this came of it.
fn notified(zone: &Name, event: &notify::Event) {
    match event {
        notify::Event::Acknowledged { target, serial, took } => {
            debug!(%zone, %target, %serial, ?took, "NOTIFY acknowledged");
        }
        notify::Event::Refused { target, serial, rcode } => {
            warn!(%zone, %target, %serial, %rcode, "NOTIFY refused: {}", after_refusal(*rcode))
        }
        notify::Event::Unanswered { target, serial } => {
            warn!(%zone, %target, %serial, "NOTIFY never answered")
        }
    }
}

/// A watched server shows its zone, or does so no longer.
fn reachable(zone: &Name, server: &SocketAddr, up: bool, again: bool, fault: Option<observation::Reason>) {
    match fault {
        _ if up && again => info!(%zone, %server, "answers for this zone again"),
        _ if up => debug!(%zone, %server, "answers"),
        Some(observation::Reason::OtherContent) => warn!(
            %zone, %server,
            "shows other content than is served here, under the same serial; compare the two by `dig AXFR`, and raise the serial \
             where the right one is published"
        ),
        Some(reason) if reason.is_answer() => {
            warn!(%zone, %server, "does not show this zone any more, it answers: {reason}")
        }
        Some(observation::Reason::Network(failure)) => {
            warn!(%zone, %server, "does not answer for this zone any more: {failure}")
        }
        _ => warn!(%zone, %server, "does not answer for this zone any more"),
    }
}

/// What it means that a NOTIFY is answered with `rcode`, and what to do about it.
fn after_refusal(rcode: Rcode) -> &'static str {
    match rcode {
        Rcode::NOTAUTH => {
            "the target does not have this zone as a secondary; configure it there with this server as its primary, \
             or take the target out of `notify`"
        }
        Rcode::REFUSED => {
            "the target does not take it from this server's address; allow that there \
             (`primaries` at tidemark, allow-notify at BIND and NSD, an acl at Knot)"
        }
        _ => "the log of the target should say why; until then it follows by its refresh timer",
    }
}

/// What is said of a server that has a version, `serial`, which is not known here, before anything is published.
fn resumed(serial: Serial, file: Serial, known: Option<Serial>, may_number: bool) -> String {
    let known = match known {
        None => "nothing is known here of what was served before: was the data folder lost?".to_owned(),
        Some(known) => format!(
            "{known} is the last that is known here: was an older copy of the data folder put back, or is there another primary?"
        ),
    };
    let stands = match file == serial {
        true => "The zone file has the same serial, perhaps for other content".to_owned(),
        false if file.is_newer_than(serial) => {
            return format!(
                "it has serial {serial}, and {known} The zone file has {file}, which is above it"
            );
        }
        false => format!("The zone file has {file}, which is not above it"),
    };
    let next = if may_number { "numbering goes on from there" } else { "raise the serial in the zone file" };
    format!("it has serial {serial}, and {known} {stands}: {next}")
}

/// Lines logged about one zone file; a mistake in a template repeats itself.
const MAX_TOLD: usize = 10;

/// Logs what is odd about a zone file that is served.
pub(super) fn warnings(zone: &Name, warnings: &[Diagnostic]) {
    warnings.iter().take(MAX_TOLD).for_each(|warning| warn!(%zone, "{warning}"));
    if let Some(more) = warnings.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
        warn!(%zone, "and {more} more like these; `tidemark check` shows them");
    }
}

/// Logs what is wrong with a zone file besides the first error, which is told with what came of it.
pub(super) fn diagnostics(zone: &Name, diagnostics: &[Diagnostic]) {
    let first = diagnostics.iter().position(|diagnostic| diagnostic.severity == Severity::Error);
    for (index, diagnostic) in diagnostics.iter().enumerate() {
        match diagnostic.severity {
            Severity::Error if Some(index) == first => {}
            Severity::Error => error!(%zone, "{diagnostic}"),
            Severity::Warning => warn!(%zone, "{diagnostic}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Utc;

    #[test]
    fn what_a_stamp_tells_counts_for_more_than_when_a_server_was_last_known_to_be_current() {
        let [zero, tenths, long] = [0, 212, 79_900].map(Duration::from_millis);
        let told = |low, high, estimate| after_publication(Interval { low, high, estimate });
        assert_eq!(told(zero, Some(long), Some(tenths)), ", 0.212 s after it was published");
        assert_eq!(told(zero, Some(zero), Some(Duration::from_nanos(300))), ", 0 s after it was published");
        assert_eq!(told(zero, Some(long), None), ", 79.9 s after it was published at most");
        assert_eq!(told(tenths, Some(long), None), ", 0.212 s to 79.9 s after it was published");
        assert_eq!(told(tenths, None, None), ", 0.212 s after it was published at least");
        assert_eq!(told(zero, None, None), "");
    }

    fn gone(zones: usize, why: Option<&str>) -> Vec<Removal> {
        let zone = |number| format!("z{number}.").parse().unwrap();
        (0..zones).map(|number| Removal { zone: zone(number), why: why.map(str::to_owned) }).collect()
    }

    #[test]
    fn a_version_that_others_have_is_told_with_what_is_known_here() {
        let told = |serial, file, known: Option<u32>, may_number| {
            resumed(Serial(serial), Serial(file), known.map(Serial), may_number)
        };
        let lost = told(9, 5, None, true);
        assert!(
            lost.starts_with("it has serial 9, and nothing is known here of what was served before"),
            "{lost}"
        );
        assert!(
            lost.ends_with("The zone file has 5, which is not above it: numbering goes on from there"),
            "{lost}"
        );
        let older = told(9, 5, Some(4), false);
        assert!(older.starts_with("it has serial 9, and 4 is the last that is known here"), "{older}");
        assert!(older.ends_with(": raise the serial in the zone file"), "{older}");
        // Nobody is told to do what has been done.
        let raised = told(9, 10, Some(4), true);
        assert!(
            raised.ends_with("The zone file has 10, which is above it") && !raised.contains("nothing"),
            "{raised}"
        );
        assert!(
            told(5, 5, Some(4), true)
                .contains("has the same serial, perhaps for other content: numbering goes on")
        );
    }

    #[test]
    fn what_the_clock_makes_doubtful_is_a_line_for_all_zones() {
        let hour = Duration::from_secs(3_600);
        let zone = |number| format!("z{number}.").parse().unwrap();
        let expired = |number| Event::ExpiredMeanwhile { zone: zone(number), from: Utc(0), ago: 120 * hour };
        let back = |number| Event::ClockSetBack { zone: zone(number), ahead: 47 * hour };
        let events: Vec<Event> = (0..5).map(expired).chain((5..6).map(back)).collect();
        let told = clock_doubts(&events);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("(5): z0.: 5 days ago, at 1970-01-01T00:00:00.000Z; z1."), "{told:?}");
        assert!(told[0].contains("and 2 more; they are asked for now"), "{told:?}");
        assert!(
            told[1].contains("(1): z5.: 47 hours ahead; their EXPIRE is counted from now on"),
            "{told:?}"
        );
        assert!(clock_doubts(&[]).is_empty());
    }

    #[test]
    fn many_zones_that_go_are_one_line() {
        let (lost, dropped) = (gone(100, Some("its file is gone")), gone(3, None));
        let (lost, dropped) = many_gone(lost.iter().chain(&dropped));
        let named = "z0.: its file is gone; z1.: its file is gone; z2.: its file is gone; and 97 more";
        assert_eq!(
            lost.unwrap(),
            format!("100 zones are not served any more until files hold them: {named}")
        );
        assert_eq!(
            dropped.unwrap(),
            "3 zones are no longer configured, and not served any more: z0.; z1.; z2."
        );
        assert_eq!(many_gone([].iter()), (None, None));
    }
}
