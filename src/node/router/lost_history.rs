//! A primary whose history may be lost, or put back as it was at an earlier time: before it publishes for the first time, it asks the
//! servers of the zone which version they have.
//!
//! Those who pulled the zone from its former life would take nothing older than what they have, and would show other content under a
//! serial that is given out again.
//!
//! ```text
//!        a zone with other servers: nothing known of it, or a start       all have answered, or the limit,
//!                                                                         or the file holds what is served
//!  added -------------------------------------------------------> Asking ---------------------------------> the file's content is
//!                                                                     numbered, above what was shown, and published
//! ```
//!
//! Each zone's limit counts from when its servers were asked: of very many zones, whose questions leave one after the other, none is
//! published unasked. A server that has answered none of its questions is waited for from the first one to it.

use super::*;

use crate::node::asking::{Asking, Sighting};
use crate::node::seen_servers::Shown;
use crate::publish::zone::Numbering;
use crate::zone::digest::Digest;
use crate::zone::serial::{Policy, Serial};
use crate::zone::snapshot::Snapshot;
use crate::zone::stamp::Stamp;

/// How long the servers are waited for once they are asked. Those that are there answer the first question.
const LIMIT: Duration = Duration::from_secs(3);
/// The same where there is a history, which is seldom an old one: a start is not to wait for servers that are away.
const SHORT: Duration = Duration::from_millis(500);

impl Node {
    /// Has a zone's first content wait for what the zone's servers show; whether it does.
    pub(super) fn ask_others(&mut self, now: Now, name: &NameRef, events: &mut Vec<Event>) -> bool {
        let is_start = self.untold.is_some();
        let Some(member) = self.members.get_mut(name) else { return false };
        // Those that are too many to be watched are not asked.
        let is_watched = |server: &SocketAddr| member.seen.shown.get(server) != Some(&Shown::Unwatched);
        let servers: Vec<SocketAddr> =
            member.config.options.servers().into_iter().filter(is_watched).collect();
        let is_primary = matches!(member.config.options.role, Role::Primary(_));
        let has_history = member.zone.has_history();
        if !is_primary || servers.is_empty() || has_history && !is_start {
            return false;
        }
        let zone = member.config.name.clone();
        let limit = if has_history { SHORT } else { LIMIT };
        let asking = Asking::new(now.mono, servers, limit);
        if !has_history {
            events.push(Event::AskingOthers { zone: zone.clone(), servers: asking.awaited(), limit });
            member.blame(
                now,
                format!(
                    "asks its other servers for their serial before it publishes, and waits for each {limit:?} at most from then on"
                ),
            );
        }
        member.asking = Some(asking);
        self.publishing.hold(&zone);
        true
    }

    /// Takes note of what a server showed, or that it showed nothing.
    pub(super) fn others_showed(
        &mut self,
        now: Now,
        zone: &NameRef,
        server: SocketAddr,
        shown: Option<(Serial, Option<Stamp>)>,
        fx: &mut Effects,
    ) -> Vec<Event> {
        let Some(asking) = self.members.get_mut(zone).and_then(|member| member.asking.as_mut()) else {
            return Vec::new();
        };
        asking.heard(server, shown);
        self.go_on_alone(now, zone, fx)
    }

    /// Lets the content that waits be published, if all that is waited for is there.
    pub(super) fn go_on_alone(&mut self, now: Now, zone: &NameRef, fx: &mut Effects) -> Vec<Event> {
        let Some(member) = self.members.get_mut(zone) else { return Vec::new() };
        let Some(asking) = &mut member.asking else { return Vec::new() };
        let held = self.publishing.held(zone).and_then(Proposal::whole).map(Snapshot::digest);
        let served = member.zone.version().map(|version| version.stamp.digest);
        let is_unchanged = held.is_some() && held == served;
        if !is_unchanged && !asking.is_over(now.mono, |server| self.watch.asked(zone, server)) {
            return Vec::new();
        }
        let Some(content) = self.publishing.held(zone).and_then(Proposal::whole) else {
            // The file has not been read yet.
            member.asking.iter_mut().for_each(Asking::close);
            return Vec::new();
        };
        let Some(asking) = member.asking.take() else { return Vec::new() };
        let file = content.serial();
        let mut events = Vec::new();
        let has_history = member.zone.has_history();
        let known = member.zone.history().last().map(|last| last.serial);
        let may_number =
            member.config.options.role != Role::Primary(Policy::Keep) && content.signed().is_none();
        if let Some(shown) = asking.newest().filter(|_| !is_unchanged && (known.is_some() || !has_history))
            && let Some(numbering) = numbering(known, file, content.digest(), may_number, &shown)
        {
            member.zone.resume(numbering);
            let Sighting { server, serial, .. } = shown;
            if !shown.is(file, content.digest()) {
                let zone = zone.to_name();
                events.push(Event::Resumed { zone, server, serial, file, known, may_number });
            }
        }
        let outcomes = self.publishing.release(now, zone, &self.store, fx);
        events.extend(self.conclude(now, outcomes, fx));
        events
    }
}

impl Sighting {
    /// The stamp of the version that is shown; that of a server which tells of another one says nothing of it.
    fn own_stamp(&self) -> Option<Stamp> {
        self.stamp.filter(|stamp| stamp.serial == self.serial)
    }

    /// Whether it is known to be this version.
    fn is(&self, serial: Serial, digest: Digest) -> bool {
        self.serial == serial && self.own_stamp().is_some_and(|stamp| stamp.digest == digest)
    }
}

/// From where versions are numbered on, where a server shows one that was given out and is not known here. `known` is the last that is;
/// `file` and `digest` are of the content that is to be published.
fn numbering(
    known: Option<Serial>,
    file: Serial,
    digest: Digest,
    may_number: bool,
    shown: &Sighting,
) -> Option<Numbering> {
    let serial = shown.serial;
    let above = Some(Numbering::Above(serial));
    // Without a stamp nothing tells whether it is one content under one serial.
    let has_same = serial == file && shown.own_stamp().is_none();
    match (known, shown.own_stamp()) {
        (Some(known), _) if !serial.is_newer_than(known) || shown.is(file, digest) => None,
        (Some(_), _) => above.filter(|_| may_number || !has_same),
        (None, _) if file.is_newer_than(serial) => None,
        (None, Some(stamp)) => Some(Numbering::From(stamp)),
        (None, None) => above.filter(|_| may_number && !has_same),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::name::NameRef;
    use crate::wire::rtype::Rtype;

    fn content(host: u8) -> Digest {
        Digest::of(NameRef::ROOT, Rtype::A, 60, &[192, 0, 2, host])
    }

    fn shown(serial: u32, digest: Option<u8>) -> Sighting {
        let serial = Serial(serial);
        let stamp =
            digest.map(|digest| Stamp { serial, published: None, digest: content(digest), writer: 1 });
        Sighting { server: SocketAddr::from(([192, 0, 2, 1], 53)), serial, stamp }
    }

    /// From where the content 1 is numbered on that has serial 5 in the file.
    fn found(known: Option<u32>, may_number: bool, shown: &Sighting) -> Option<(bool, u32)> {
        let numbering = numbering(known.map(Serial), Serial(5), content(1), may_number, shown);
        numbering.map(|numbering| match numbering {
            Numbering::From(stamp) => (false, stamp.serial.0),
            Numbering::Above(serial) => (true, serial.0),
        })
    }

    #[test]
    fn a_server_with_the_very_version_of_the_file_changes_nothing() {
        assert_eq!(found(Some(4), true, &shown(5, Some(1))), None);
        assert!(shown(5, Some(1)).is(Serial(5), content(1)));
        // Other content, and content of which nothing is known.
        assert_eq!(found(Some(4), true, &shown(5, Some(2))), Some((true, 5)));
        assert_eq!(found(Some(4), true, &shown(5, None)), Some((true, 5)));
        // Only the file may raise the serial, and it has been raised.
        assert_eq!(found(Some(4), false, &shown(5, None)), None);
        assert_eq!(found(Some(4), false, &shown(9, None)), Some((true, 9)));
    }

    #[test]
    fn what_is_known_here_is_no_news() {
        assert_eq!(found(Some(4), true, &shown(4, None)), None);
        assert_eq!(found(Some(4), true, &shown(3, Some(2))), None);
    }

    #[test]
    fn without_a_history_the_version_of_a_server_is_taken_for_the_last() {
        assert_eq!(found(None, true, &shown(5, Some(1))), Some((false, 5)));
        assert_eq!(found(None, true, &shown(9, Some(2))), Some((false, 9)));
        assert_eq!(found(None, true, &shown(9, None)), Some((true, 9)));
        assert_eq!(found(None, true, &shown(5, None)), None);
        assert_eq!(found(None, true, &shown(4, Some(2))), None);
        assert_eq!(found(None, false, &shown(9, None)), None);
    }
}
