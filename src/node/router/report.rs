//! What a node tells of its zones, without going through all of them.

use super::*;

use crate::zone::serial::Serial;

impl Node {
    /// Whether this is a primary zone here.
    pub fn is_primary(&self, zone: &NameRef) -> bool {
        self.members.get(zone).is_some_and(|member| member.refresh.is_none())
    }

    /// Which servers of a primary zone show a newer serial than is served here. Nothing while a change is under way, which may be above
    /// theirs: its end is when to look again.
    pub(super) fn ahead(&self, zone: &NameRef) -> Vec<Event> {
        let is_settled = |member: &&Member| member.refresh.is_none() && !self.publishing.is_underway(zone);
        let Some(member) = self.members.get(zone).filter(is_settled) else { return Vec::new() };
        let Some(own) = member.zone.version().map(|version| version.stamp.serial) else { return Vec::new() };
        let servers = member.config.options.servers().into_iter();
        let shown = servers.filter_map(|server| Some((server, member.seen.ledger.serial(server)?)));
        let newer = shown.filter(|(_, theirs)| theirs.is_newer_than(own));
        newer.map(|(server, theirs)| Event::Ahead { zone: zone.to_name(), server, theirs, own }).collect()
    }

    /// The primary zones, each with the serial that is served and with what keeps it from being up to date.
    pub fn primaries(&self) -> impl Iterator<Item = (&Name, Option<Serial>, Option<&Problem>)> {
        let primaries = self.members.iter().filter(|member| member.refresh.is_none());
        let serial = |member: &Member| member.zone.version().map(|version| version.stamp.serial);
        primaries.map(move |member| (&member.config.name, serial(member), member.problem()))
    }

    /// The secondary zones.
    pub fn secondaries(&self) -> Vec<Name> {
        let secondaries = self.members.iter().filter(|member| member.refresh.is_some());
        secondaries.map(|member| member.config.name.clone()).collect()
    }

    /// How many changes have been submitted so far: files and transfers that were to be published.
    pub fn submitted(&self) -> u64 {
        self.publishing.submitted()
    }

    /// Whether the first so many of these changes have been published, found to change nothing, or refused.
    pub fn is_settled(&self, first: u64) -> bool {
        self.publishing.is_settled(first)
    }

    /// All zones together.
    pub fn overview(&self) -> Overview {
        self.board.overview(self.unwatched)
    }

    /// The number of the latest change of any zone.
    pub fn change(&self) -> u64 {
        self.board.change()
    }

    /// How some zones are.
    pub fn page(&self, now: Now, ask: Ask) -> Page {
        let mut page = Page { change: self.board.change(), ..Page::default() };
        match ask.from {
            From::Name(after) => {
                let behind = (after.as_ref().map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
                // As many of each as the page could hold, and one more that shows whether there are more.
                let members = self.members.behind(after.as_deref()).map(|member| member.status(now));
                page.zones.extend(members.take(ask.limit + 1));
                let stubs = self
                    .stubs
                    .range::<Name, _>(behind)
                    .map(|(zone, (seen, servers))| seen.stub(now, zone, servers));
                page.zones.extend(stubs.take(ask.limit + 1));
                page.zones.sort_by(|a, b| a.zone.cmp(&b.zone));
                if page.zones.len() > ask.limit {
                    page.zones.truncate(ask.limit);
                    page.next = page.zones.last().map(|zone| zone.zone.clone());
                }
            }
            From::Change(since) => {
                for (change, zone) in self.board.changed_since(since).take(ask.limit) {
                    page.change = change;
                    match self.members.get(zone) {
                        Some(member) => page.zones.push(member.status(now)),
                        None => page.removed.push(zone.clone()),
                    }
                }
            }
            From::These(zones) => page.zones = self.these(now, zones.iter(), ask.limit),
            From::Troubled => {
                page.zones = self.these(now, self.stubs.keys().chain(self.board.troubled()), ask.limit);
            }
        }
        page
    }

    /// How the first of these zones are.
    fn these<'z>(&self, now: Now, zones: impl Iterator<Item = &'z Name>, limit: usize) -> Vec<ZoneStatus> {
        let known = |zone: &Name| {
            let stub = || self.stubs.get(zone).map(|(seen, servers)| seen.stub(now, zone, servers));
            self.members.get(zone).map(|member| member.status(now)).or_else(stub)
        };
        zones.take(limit).filter_map(known).collect()
    }
}
