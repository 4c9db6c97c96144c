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
        let last = member.zone.history().last().map(|last| last.serial);
        if let Some(Sighting { server, serial, .. }) = asking.newest()
            && last.is_some_and(|last| serial.is_newer_than(last))
            && !is_unchanged
        {
            // What is known here is from before versions that were given out.
            member.zone.resume(Numbering::Above(serial));
            events.push(Event::Resumed { zone: zone.to_name(), server, serial, file });
        } else if let Some(Sighting { server, serial, stamp }) = asking.newest()
            && !has_history
            && !file.is_newer_than(serial)
        {
            let may_number =
                member.config.options.role != Role::Primary(Policy::Keep) && content.signed().is_none();
            let resumed = match stamp.filter(|stamp| stamp.serial == serial) {
                Some(stamp) => Some(Numbering::From(stamp)),
                // Under one serial it may be one content: nothing tells.
                None => Some(Numbering::Above(serial)).filter(|_| serial != file && may_number),
            };
            if let Some(numbering) = resumed {
                member.zone.resume(numbering);
                events.push(Event::Resumed { zone: zone.to_name(), server, serial, file });
            }
        }
        let outcomes = self.publishing.release(now, zone, &self.store, fx);
        events.extend(self.conclude(now, outcomes, fx));
        events
    }
}
