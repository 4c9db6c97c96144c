//! Telling the servers of a zone what is served: not before it can be had from here. Who is told asks at once, and who then finds nobody
//! may not ask again until its own RETRY.

use super::*;

use crate::transfer::notify::News;
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
        let Some(news) = member.zone.version().map(|version| News::of(&member.zone, &version)) else {
            return;
        };
        self.with_notifier(zone, out, |notifier, out| {
            notifier.publish(now, news, out);
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
        let Some(member) = self.members.get(zone) else { return false };
        let served = member.zone.version();
        let Some(version) = served.filter(|version| version.stamp.serial.is_newer_than(serial)) else {
            return false;
        };
        if self.untold.is_none() && member.notifier.is_some() {
            let news = News::of(&member.zone, &version);
            self.with_notifier(zone, out, |notifier, out| {
                notifier.remind(now, server, &news, out);
                Vec::new()
            });
        }
        true
    }
}
