//! What follows from what a watched server showed.

use super::*;

use crate::node::seen_servers::Shown;
use crate::probe::observation::Reason;
use crate::probe::observe;
use crate::zone::stamp::Told;

impl Node {
    /// Takes in what a watched server showed.
    pub(super) fn seen(&mut self, now: Now, event: observe::Event, fx: &mut Effects) -> Vec<Event> {
        let (zone, server, shown) = match &event {
            observe::Event::Seen(seen) => {
                let stamp = seen.told.as_ref().and_then(Told::served).copied();
                (seen.zone.clone(), seen.server, seen.serial.map(|serial| (serial, stamp)))
            }
            observe::Event::Failed { zone, server, .. } | observe::Event::Silent { zone, server, .. } => {
                (zone.clone(), *server, None)
            }
        };
        let (mut events, is_other) = self.see(now, event);
        let is_observed = events.iter().any(|event| matches!(event, Event::Observed { .. }));
        let is_reminded =
            shown.is_some_and(|(serial, _)| self.remind(now, &zone, server, serial, &mut fx.out));
        if is_other || is_reminded {
            self.touched(now, &zone);
        }
        events.extend(self.others_showed(now, &zone, server, shown, fx));
        if is_observed {
            events.extend(self.ahead(&zone));
        }
        events
    }

    /// The events, and whether a status tells something else than before.
    fn see(&mut self, now: Now, event: observe::Event) -> (Vec<Event>, bool) {
        let (zone, server) = match &event {
            observe::Event::Seen(seen) => (seen.zone.clone(), seen.server),
            observe::Event::Failed { zone, server, .. } | observe::Event::Silent { zone, server, .. } => {
                (zone.clone(), *server)
            }
        };
        let (seen, served) = match (self.members.get_mut(&zone), self.stubs.get_mut(&zone)) {
            (Some(member), _) => (&mut member.seen, Some(&member.zone)),
            (None, Some((seen, _))) => (seen, None),
            (None, None) => return (Vec::new(), false),
        };
        let (before, head) = (seen.ledger.serial(server), seen.ledger.head());
        let mut shown = Shown::of(&event);
        let showing = match event {
            observe::Event::Seen(showing) => seen.take_in(&showing),
            _ => None,
        };
        if seen.ledger.differs(server) && shown == Shown::Zone {
            shown = Shown::Fault(Reason::OtherContent);
        }
        let mut events = Vec::new();
        // A server that was never up yet is on its way, or not there at all; that shows in status and metrics.
        let last = seen.shown.insert(server, shown).unwrap_or_default();
        let up = shown == Shown::Zone;
        let is_fault_new = shown != last && shown == Shown::Fault(Reason::OtherContent);
        if (last == Shown::Zone) != up || is_fault_new {
            let (again, fault) = (before.is_some(), shown.fault());
            events.push(Event::Reachable { zone: zone.clone(), server, up, again, fault });
        }
        let mut is_other = last != shown;
        let Some(serial) = showing else { return (events, is_other) };
        if let Some(zone) = served.filter(|_| before != Some(serial)) {
            seen.look_up(now, serial, &zone.history());
        }
        // The others are asked at once whether they have followed: they would else pass for current, or behind, until their turn comes.
        let is_news = head.is_some_and(|head| serial.is_newer_than(head));
        if before != Some(serial) {
            let propagation = before.and_then(|_| seen.ledger.propagation(server, serial));
            events.push(Event::Observed { zone: zone.clone(), server, serial, propagation });
            self.watch.set_have(&zone, server, Some(serial));
            is_other = true;
        }
        if is_news {
            self.watch.published(now, &zone, serial);
        }
        (events, is_other)
    }
}
