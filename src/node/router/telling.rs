//! Telling the servers of a zone what is served: not before it can be had from here. Who is told asks at once, and who then finds nobody
//! may not ask again until its own RETRY.

use super::*;

use crate::zone::serial::Serial;

impl Node {
    /// The node answers queries and transfers from now on.
    pub(super) fn listening(&mut self, now: Now, fx: &mut Effects) {
        for zone in self.untold.take().into_iter().flatten() {
            self.tell(now, &zone, &mut fx.out);
            self.touched(now, &zone);
        }
    }

    /// Has a zone's targets told of what it serves.
    pub(super) fn tell(&mut self, now: Now, zone: &NameRef, out: &mut Outbox) {
        let Some(member) = self.members.get(zone).filter(|member| member.notifier.is_some()) else { return };
        if let Some(untold) = &mut self.untold {
            untold.insert(zone.to_name());
            return;
        }
        let Some(soa) = member.zone.version().map(|version| version.snapshot.soa_record()) else { return };
        self.with_notifier(zone, out, |notifier, out| {
            notifier.publish(now, soa, out);
            Vec::new()
        });
    }

    /// Has a server that showed an older serial than is served here told of that again; whether it is older.
    pub(super) fn remind(
        &mut self,
        now: Now,
        zone: &NameRef,
        server: SocketAddr,
        serial: Serial,
        out: &mut Outbox,
    ) -> bool {
        let served = self.members.get(zone).and_then(|member| member.zone.version());
        let Some(version) = served.filter(|version| version.stamp.serial.is_newer_than(serial)) else {
            return false;
        };
        if self.untold.is_none() {
            self.with_notifier(zone, out, |notifier, out| {
                notifier.remind(now, server, &version.snapshot.soa_record(), out);
                Vec::new()
            });
        }
        true
    }
}
