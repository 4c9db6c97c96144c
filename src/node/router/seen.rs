//! What follows from what a watched server showed.

use super::*;

use crate::lag::Sighting;
use crate::node::seen_servers::Shown;
use crate::probe::observe;
use crate::zone::serial::Serial;
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
        let is_reminded =
            shown.is_some_and(|(serial, _)| self.remind(now, &zone, server, serial, &mut fx.out));
        if is_other || is_reminded {
            self.touched(now, &zone);
        }
        events.extend(self.others_showed(now, &zone, server, shown, fx));
        events
    }

    /// Has a server that showed an older serial than is served here told of that again; whether it is older.
    fn remind(
        &mut self,
        now: Now,
        zone: &Name,
        server: SocketAddr,
        serial: Serial,
        out: &mut Outbox,
    ) -> bool {
        let served = self.members.get(zone).and_then(|member| member.zone.version());
        let Some(version) = served.filter(|version| version.stamp.serial.is_newer_than(serial)) else {
            return false;
        };
        self.with_notifier(zone, out, |notifier, out| {
            notifier.remind(now, server, &version.snapshot.soa_record(), out);
            Vec::new()
        });
        true
    }

    /// The events, and whether a status tells something else than before.
    fn see(&mut self, now: Now, event: observe::Event) -> (Vec<Event>, bool) {
        let (zone, server) = match &event {
            observe::Event::Seen(seen) => (seen.zone.clone(), seen.server),
            observe::Event::Failed { zone, server, .. } | observe::Event::Silent { zone, server, .. } => {
                (zone.clone(), *server)
            }
        };
        let shown = Shown::of(&event);
        let served = self.members.get_mut(&zone).map(|member| &mut member.seen);
        let Some(seen) = served.or(self.stubs.get_mut(&zone).map(|(seen, _)| seen)) else {
            return (Vec::new(), false);
        };
        let mut events = Vec::new();
        // A server that was never up yet is on its way, or not there at all; that shows in status and metrics.
        let before = seen.shown.insert(server, shown).unwrap_or_default();
        let up = shown == Shown::Zone;
        if (before == Shown::Zone) != up {
            let (again, fault) = (seen.ledger.serial(server).is_some(), shown.fault());
            events.push(Event::Reachable { zone: zone.clone(), server, up, again, fault });
        }
        let mut is_other = before != shown;
        let observe::Event::Seen(showing) = event else { return (events, is_other) };
        let Some(serial) = showing.serial else { return (events, is_other) };
        let (before, head) = (seen.ledger.serial(server), seen.ledger.head());
        seen.ledger.observe(&Sighting {
            server,
            serial,
            sent: showing.sent,
            received: showing.received,
            sent_utc: showing.sent_utc,
            asked: showing.asked,
            told: showing.told,
        });
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
