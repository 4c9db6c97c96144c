//! A primary without history: before it publishes for the first time, it asks the servers of the zone which version they have.
//!
//! Its data folder may have been lost. Those who pulled the zone from its former life would take nothing older than what they have, and
//! would show other content under a serial that is given out again.
//!
//! ```text
//!        a zone with other servers, and nothing known of it       all have answered, or LIMIT
//!  added ----------------------------------------------> Asking ------------------------------> the file's content is numbered, above
//!                                                                                               what was shown, and published
//! ```

use super::*;

use crate::node::asking::{Asking, Sighting};
use crate::publish::zone::Numbering;
use crate::zone::serial::{Policy, Serial};
use crate::zone::stamp::Stamp;

/// How long the servers are waited for. Those that are there answer the first question.
const LIMIT: Duration = Duration::from_secs(3);

impl Node {
    /// Has a zone's first content wait for what the zone's servers show, if nothing else tells what was served before.
    pub(super) fn ask_others(&mut self, now: Now, name: &NameRef) -> Vec<Event> {
        let Some(member) = self.members.get_mut(name) else { return Vec::new() };
        let servers = member.config.options.servers();
        let is_primary = matches!(member.config.options.role, Role::Primary(_));
        if !is_primary || servers.is_empty() || member.zone.has_history() {
            return Vec::new();
        }
        let (zone, asking) = (member.config.name.clone(), Asking::new(servers, now.mono + LIMIT));
        let event = Event::AskingOthers { zone: zone.clone(), servers: asking.awaited(), limit: LIMIT };
        member.asking = Some(asking);
        member.blame(
            now,
            format!("asks its other servers for their serial before it publishes, for {LIMIT:?} at most"),
        );
        self.publishing.hold(&zone);
        vec![event]
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
        if !member.asking.as_ref().is_some_and(|asking| asking.is_over(now.mono)) {
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
        if let Some(Sighting { server, serial, stamp }) = asking.newest()
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
