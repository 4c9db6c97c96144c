//! What is held against the oracle: whatever a host serves and says, after each change and every few seconds, and how a scenario
//! ends.

use super::*;

use crate::ask::support::KEPT;
use crate::node::status::{Problem, State, ZoneStatus};
use crate::transfer::refresh::Doubt;
use crate::zone::serial::Policy;

/// What has been the same everywhere for so long is taken to stay so.
const AGREED: Duration = Duration::from_secs(30);

impl World {
    /// Plays the plan to its end, and judges how it ended.
    pub(super) fn finish(&mut self) -> Result<(), Violation> {
        let quiet = self.plan.quiet;
        let latest = quiet + self.plan.settling();
        self.run(quiet)?;
        while self.now < latest && self.agreed.is_none_or(|since| self.now.since(since) < AGREED) {
            self.run(self.now + LOOK)?;
        }
        self.converged()?;
        self.summary.settled = self.agreed.unwrap_or(self.now).since(quiet);
        self.rest()?;
        self.assured()?;
        // Nothing that a cache holds is older than its TTL now, through two caches and with what a question takes.
        let caches: Vec<usize> = self.caches().collect();
        for canary in [traffic::LARGE, 0] {
            for &cache in &caches {
                self.told.remove(&cache);
                self.act(Action::Ask(cache, canary))?;
            }
            self.run(self.now + LOOK)?;
            for &cache in &caches {
                let (told, newest) = (self.told(cache), self.newest());
                if told != newest {
                    let what = format!("answers {told:?} long after {newest:?} was everywhere");
                    return Err(Violation { at: self.now, host: cache, what });
                }
            }
        }
        self.converged()
    }

    /// Everybody serves what the primary published last.
    fn converged(&self) -> Result<(), Violation> {
        let wanted = self.oracle.head().map(|head| (head.serial, head.digest));
        if wanted.is_none() {
            return Err(Violation { at: self.now, host: 0, what: "nothing was ever published".to_owned() });
        }
        for host in self.hosts.iter().filter(|host| host.is_authoritative()) {
            let shown = host.version().map(|it| (it.stamp.serial, it.snapshot.digest()));
            if shown != wanted {
                let what = format!("did not converge: serves {shown:?}, the primary published {wanted:?}");
                return Err(Violation { at: self.now, host: host.index, what });
            }
        }
        // Where only the file may raise a serial, an edit may have been refused.
        for index in (0..SIDES).filter(|_| self.plan.hosts[0].role != Role::Primary(Policy::Keep)) {
            let zone = side(index);
            let shown = self.hosts[0].version_of(&zone).map(|version| version.snapshot.digest());
            let wanted = self.file.side(index).map(|snapshot| snapshot.digest());
            if shown != wanted {
                let what = format!("zone {zone} is not what its file says long after the last edit");
                return Err(Violation { at: self.now, host: 0, what });
            }
        }
        Ok(())
    }

    /// Every secondary knows that what it serves is current; an edit that a primary refused keeps it waiting for another.
    fn assured(&mut self) -> Result<(), Violation> {
        let is_doubt = |problem: Problem| Doubt::ALL.iter().any(|it| problem.what.ends_with(&it.to_string()));
        if self.unsure().is_some_and(|(_, problem)| problem.is_none_or(is_doubt)) {
            // Its primary answers and seemed to take no EDNS: it cannot say that it would know of more until that is forgotten.
            self.run(self.now + KEPT + AGREED)?;
        }
        self.unsure().map_or(Ok(()), |(violation, _)| Err(violation))
    }

    /// A secondary that does not know it, and what it says stands in the way.
    fn unsure(&self) -> Option<(Violation, Option<Problem>)> {
        self.hosts.iter().filter(|host| host.is_authoritative() && !host.is_primary()).find_map(|host| {
            let page = host.running.as_ref()?.node.page(host.now(self.now), everything());
            let unsure = page.zones.into_iter().find(|zone| zone.state != State::Current)?;
            let ZoneStatus { zone, state, problem, .. } = unsure;
            let what = format!("says that {zone} is {} long after all went well: {problem:?}", state.word());
            Some((Violation { at: self.now, host: host.index, what }, problem))
        })
    }

    /// Where nothing changes, little is said: a bound on messages in a while of rest.
    fn rest(&mut self) -> Result<(), Violation> {
        let before = self.summary.messages;
        let span = 60 + 2 * u64::from(self.plan.content.ttl);
        self.run(self.now + Duration::from_secs(span))?;
        let messages = self.summary.messages - before;
        let pairs: usize = self
            .plan
            .hosts
            .iter()
            .map(|host| {
                let pulls = if let Role::Secondary(from) = &host.role { from.len() } else { 0 };
                host.notify.len() + host.watch.len() + pulls
            })
            .sum();
        // A question and an answer for each pair, every two seconds at the shortest.
        let most = (pairs as u64 + 1) * (span + 10);
        if messages > most {
            let what =
                format!("{messages} messages in {span} quiet seconds between {pairs} pairs of servers");
            return Err(Violation { at: self.now, host: 0, what });
        }
        for host in &self.hosts {
            let open = host.running.as_ref().map_or(0, |running| running.open.len());
            if open > 2 * self.plan.hosts.len() {
                let what = format!("{open} exchanges are open in a time of rest");
                return Err(Violation { at: self.now, host: host.index, what });
            }
        }
        Ok(())
    }

    fn caches(&self) -> impl Iterator<Item = usize> {
        self.hosts.iter().filter(|host| !host.is_authoritative()).map(|host| host.index)
    }

    /// Notes what a host serves now.
    pub(super) fn served(&mut self, host: usize) -> Result<(), Violation> {
        let Some(running) = &self.hosts[host].running else { return Ok(()) };
        let version = self.hosts[host].version();
        if !running.listens {
            // What a primary publishes before others can have it from there is published all the same.
            return match &version {
                Some(version) if self.hosts[host].is_primary() => {
                    self.oracle.serves(self.now, host, true, Some(version))
                }
                _ => Ok(()),
            };
        }
        if let Some(version) = &version {
            let digest = version.stamp.digest.to_bytes();
            self.trace.mix(self.now, &[2, host as u64, u64::from(version.stamp.serial.0)], &digest);
        }
        // A primary has nothing to serve until it has read its file for the first time.
        let primary = self.hosts[host].is_primary();
        let known = self.oracle.published().len();
        self.oracle.serves(self.now, host, primary, version.as_deref())?;
        for index in (0..SIDES).filter(|_| primary) {
            let version = self.hosts[host].version_of(&side(index));
            self.oracle.side(self.now, index, version.as_deref())?;
        }
        self.compare();
        self.summary.versions = self.oracle.published().len();
        if self.summary.versions > known {
            let number = self.newest();
            self.trace.note(self.now, || format!("host {host} published content {number:?}"));
            // Everybody's lag is another from now on.
            (0..self.hosts.len()).try_for_each(|host| self.look(host))?;
        }
        Ok(())
    }

    /// Notes since when all serve the same.
    pub(super) fn compare(&mut self) {
        let head = self.oracle.head().map(|head| head.serial);
        let served = |host: &Host| host.version().map(|version| version.stamp.serial);
        let same = self.hosts.iter().filter(|host| host.is_authoritative()).all(|host| served(host) == head);
        self.agreed = if same { self.agreed.or(Some(self.now)) } else { None };
    }

    /// Checks what a host answers and what it says of itself.
    pub(super) fn look(&mut self, host: usize) -> Result<(), Violation> {
        let now = self.hosts[host].now(self.now);
        let Some(running) = self.hosts[host].running.as_ref().filter(|running| running.listens) else {
            return Ok(());
        };
        if !self.hosts[host].is_authoritative() {
            return Ok(());
        }
        let status = running.node.page(now, everything());
        self.oracle.canaries(self.now, host, &running.served, now)?;
        self.oracle.stranger(self.now, host, &running.served, now)?;
        self.oracle.status(self.now, host, &status)?;
        self.freshness(host)
    }

    /// Checks that a host serves nothing beyond EXPIRE.
    pub(super) fn freshness(&mut self, host: usize) -> Result<(), Violation> {
        let now = self.hosts[host].now(self.now);
        let Some(running) = self.hosts[host].running.as_ref().filter(|running| running.listens) else {
            return Ok(());
        };
        let Some(zone) = running.store.get(&apex()).filter(|_| !self.hosts[host].is_primary()) else {
            return Ok(());
        };
        let fresh = zone.fresh_at().and_then(|fresh| self.hosts[host].world_time(fresh));
        let is_behind = running.node.page(now, everything()).zones.iter().any(|zone| zone.newer.is_some());
        let expire = Duration::from_secs(u64::from(self.plan.content.timers[2]));
        let serves = zone.version().is_some() && !is_behind;
        self.oracle.freshness(self.now, host, serves, fresh, expire)
    }
}
