//! What follows from the events of a zone's refresh machine.

use super::*;

use crate::node::member::goes_on;
use crate::publish::journal::entry::Entry;
use crate::transfer::reason::Reason;
use crate::zone::serial::Serial;

impl Node {
    /// Does what a refresh machine's events ask for, and notes how the zone is then.
    pub(super) fn settle_all(
        &mut self,
        now: Now,
        zone: &NameRef,
        events: Vec<refresh::Event>,
        fx: &mut Effects,
    ) -> Vec<Event> {
        let mut settled = Vec::new();
        for event in events {
            settled.extend(self.settle(now, zone, event, fx));
        }
        if let Some(Member { zone, refresh: Some(refresh), at_odds, doubt, .. }) = self.members.get_mut(zone)
        {
            zone.verified(refresh.verified_until(), refresh.vouched_until());
            zone.hear_clocks(refresh.clocks());
            *at_odds = Problem::at_odds(refresh.at_odds());
            let why = refresh.doubt().map(|(primary, doubt)| format!("primary {primary} {doubt}"));
            *doubt = why.map(|what| goes_on(doubt.take(), now, what));
        }
        self.touched(now, zone);
        settled
    }

    fn settle(&mut self, now: Now, zone: &NameRef, event: refresh::Event, fx: &mut Effects) -> Vec<Event> {
        let Some(member) = self.members.get_mut(zone) else { return Vec::new() };
        let name = member.config.name.clone();
        match event {
            refresh::Event::Fetched { proposal, from } => {
                let mut events = vec![Event::Fetched { zone: name, from }];
                events.extend(self.submit(now, [*proposal], fx));
                events
            }
            refresh::Event::Pulled { kind, from, bytes, took } => {
                vec![Event::Pulled { zone: name, from, kind, bytes, took }]
            }
            refresh::Event::Confirmed { primary, verified_at, fresh_at, expires_at, counted_from } => {
                member.zone.confirm(verified_at, fresh_at, expires_at);
                member.zone.expires(expires_at, Some(counted_from));
                let current = fresh_at.map(|at| now.utc - now.mono.since(at));
                current.into_iter().for_each(|at| member.zone.was_current(at));
                member.problem = None;
                fx.notes.extend(taken_back(member, now));
                member.failures.clear();
                member.fell_back = None;
                if member.is_worth_noting(counted_from) {
                    // Kept for a restart.
                    fx.notes.push(Entry::Verified(name.clone(), counted_from, current));
                }
                let is_back = self.unreachable.remove(&primary);
                let back = is_back.then_some(Event::PrimaryBack(primary));
                back.into_iter().chain([Event::Confirmed { zone: name, verified_at }]).collect()
            }
            refresh::Event::Behind(newer) => {
                member.heard.get_or_insert(now);
                vec![Event::Behind(name, newer)]
            }
            refresh::Event::Failed { primary, kind, reason, because, detail } => {
                let why = reason.explained(because.as_ref(), detail.as_deref());
                member.blame_primary(now, format!("primary {primary}: {}: {why}", kind.label()));
                fx.notes.extend(taken_back(member, now));
                let told = member.refresh.as_ref().and_then(|refresh| refresh.newest_told());
                if let Some((serial, at)) = told.filter(|(serial, _)| {
                    member.zone.newer().is_none_or(|(known, _)| serial.is_newer_than(known))
                }) {
                    // Kept for a restart: what came at once needs no note.
                    fx.notes.push(heard_of(&member.zone, serial, now.utc - now.mono.since(at)));
                }
                let failure = (reason.label(), detail.clone());
                let mut is_known = member.failures.get(&(primary, kind)) == Some(&failure);
                member.failures.insert((primary, kind), failure);
                if let Reason::Unreachable(_) | Reason::Timeout = reason {
                    // One word for all zones of the primary.
                    is_known |= !self.unreachable.insert(primary);
                }
                vec![Event::PullFailed { zone: name, primary, kind, reason, because, detail, is_known }]
            }
            refresh::Event::AtOdds { primary, odd } => vec![Event::AtOdds { zone: name, primary, odd }],
            refresh::Event::LeftOut { primary, outside } => {
                vec![Event::LeftOut { zone: name, primary, outside }]
            }
            refresh::Event::NotShown { primary, announced, shown } => {
                vec![Event::NotShown { zone: name, primary, announced, shown }]
            }
            refresh::Event::Fallback { reason } => {
                let is_known = member.fell_back.replace(reason) == Some(reason);
                vec![Event::Fallback { zone: name, reason, is_known }]
            }
            refresh::Event::Expired(at) => {
                self.store.expire(zone, at);
                if member.problem.is_none() {
                    // It was being asked, and has not answered.
                    let primaries = member.config.options.primaries();
                    let primaries: Vec<String> = primaries.iter().map(ToString::to_string).collect();
                    member.blame(
                        now,
                        format!(
                            "no word from primary {} within EXPIRE that it is current",
                            primaries.join(" or ")
                        ),
                    );
                }
                vec![Event::Expired(name)]
            }
        }
    }
}

/// Forgets what was heard of where who told of it has taken that back; the note of it for the journal, where that knows of it.
fn taken_back(member: &mut Member, now: Now) -> Option<Entry> {
    if member.refresh.as_ref().is_some_and(|refresh| refresh.newer().is_some()) {
        return None;
    }
    member.heard = None;
    member.zone.newer()?;
    Some(heard_of(&member.zone, member.zone.version()?.stamp.serial, now.utc))
}

/// Notes that a version was heard of, in memory and for the journal.
fn heard_of(zone: &Zone, serial: Serial, at: Utc) -> Entry {
    zone.heard_of(serial, at);
    Entry::Newer(zone.name().clone(), serial, at)
}
