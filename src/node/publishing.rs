//! The changes on their way through the door, at most one of a zone at a time.
//!
//! ```text
//!           another is under way,
//!           or the zone is held
//! submit ----------------------------> Waiting      a newer proposal takes its place
//!    |                                    |
//!    v            changes something       v
//! Preparing (a job) ----------> Committing (the journal) ----> Outcome
//!    |                                                           ^
//!    +---------- changes nothing, or is refused -----------------+
//! ```

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::publish::job::{Change, Done, Job};
use crate::publish::journal::log::LogError;
use crate::publish::proposal::Proposal;
use crate::publish::stages::{Base, PublishError, Stamped};
use crate::publish::store::{Publication, ZoneStore};
use crate::publish::zone::Zone;
use crate::time::Now;
use crate::wire::name::{Name, NameRef};

use super::effects::{Commit, Effects};

/// Small proposals in one job: what they change is written down together.
const TOGETHER: usize = 512;

/// The changes under way.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    zones: HashMap<Name, Underway>,
    /// Zones whose changes wait for a word of the node, each with its newest.
    held: HashMap<Name, Option<(u64, Submission)>>,
    /// What the journal is writing down.
    commits: HashMap<u64, Vec<Stamped>>,
    next_ticket: u64,
    /// How many changes have been submitted.
    submitted: u64,
    /// The numbers of those that have no outcome yet.
    open: BTreeSet<u64>,
}

#[derive(Debug)]
struct Underway {
    number: u64,
    by: u64,
    /// Whether it is to end without being written down.
    is_withdrawn: bool,
    waiting: Option<(u64, Submission)>,
}

/// A proposal, and in which epoch of a member it was made.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) by: u64,
    pub(super) proposal: Proposal,
}

/// What came of a change.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) zone: Name,
    pub(super) by: u64,
    /// `None` when it changed nothing, or when the zone was taken out meanwhile, or gets its content from elsewhere.
    pub(super) result: Result<Option<Publication>, PublishError>,
    /// The same once more, when it could not be written down and nobody else has it.
    pub(super) again: Option<Proposal>,
}

/// A change that is not under way any more.
struct Ended {
    zone: Arc<Zone>,
    result: Result<Option<Publication>, PublishError>,
    again: Option<Proposal>,
}

impl Publishing {
    /// Takes changes in. A zone of which one is under way waits for that, with its newest proposal.
    pub(super) fn submit(
        &mut self,
        now: Now,
        submissions: impl IntoIterator<Item = Submission>,
        store: &ZoneStore,
        fx: &mut Effects,
    ) -> Vec<Outcome> {
        let mut started = Vec::new();
        for submission in submissions {
            let number = self.submitted;
            self.submitted += 1;
            self.open.insert(number);
            let zone = &submission.proposal.zone;
            let underway = self.zones.get_mut(zone).map(|underway| &mut underway.waiting);
            match self.held.get_mut(zone).or(underway) {
                Some(waiting) => {
                    if let Some((replaced, _)) = waiting.replace((number, submission)) {
                        self.open.remove(&replaced);
                    }
                }
                None => started.push((number, submission)),
            }
        }
        self.start(now, started, store, fx)
    }

    /// Has the changes of a zone wait until [`Publishing::release`].
    pub(super) fn hold(&mut self, zone: &Name) {
        self.held.entry(zone.clone()).or_default();
    }

    /// The change that waits so.
    pub(super) fn held(&self, zone: &NameRef) -> Option<&Proposal> {
        Some(&self.held.get(zone)?.as_ref()?.1.proposal)
    }

    /// Whether a change of this zone has not come to its end, or none can begin yet.
    pub(super) fn is_underway(&self, zone: &NameRef) -> bool {
        self.held.contains_key(zone) || self.zones.contains_key(zone)
    }

    /// Lets it go on.
    pub(super) fn release(
        &mut self,
        now: Now,
        zone: &NameRef,
        store: &ZoneStore,
        fx: &mut Effects,
    ) -> Vec<Outcome> {
        let held = self.held.remove(zone).flatten();
        self.start(now, held.into_iter().collect(), store, fx)
    }

    /// Drops the changes of a zone that is configured no more, or gets its content from elsewhere. What the journal is writing down goes
    /// on: a restart would find it there.
    pub(super) fn withdraw(&mut self, zone: &NameRef) {
        let held = self.held.remove(zone).flatten();
        let waiting = self.zones.get_mut(zone).and_then(|underway| {
            underway.is_withdrawn = true;
            underway.waiting.take()
        });
        for (number, _) in held.into_iter().chain(waiting) {
            self.open.remove(&number);
        }
    }

    /// Asks for changes to be prepared: large ones each by itself, so that no zone waits for another.
    fn start(
        &mut self,
        now: Now,
        submissions: Vec<(u64, Submission)>,
        store: &ZoneStore,
        fx: &mut Effects,
    ) -> Vec<Outcome> {
        let (mut outcomes, mut small) = (Vec::new(), Vec::new());
        for (number, Submission { by, proposal }) in submissions {
            let zone = proposal.zone.clone();
            match store.base(&zone) {
                Ok(base) => {
                    self.zones.insert(zone, Underway { number, by, is_withdrawn: false, waiting: None });
                    if proposal.is_large() {
                        self.job(now, vec![(base, proposal)], fx);
                    } else {
                        small.push((base, proposal));
                    }
                }
                Err(error) => {
                    self.open.remove(&number);
                    outcomes.push(Outcome { zone, by, result: Err(error), again: None });
                }
            }
            if small.len() == TOGETHER {
                self.job(now, std::mem::take(&mut small), fx);
            }
        }
        if !small.is_empty() {
            self.job(now, small, fx);
        }
        outcomes
    }

    fn job(&mut self, now: Now, proposals: Vec<(Base, Proposal)>, fx: &mut Effects) {
        fx.jobs.push(Job::new(self.ticket(), now.utc, proposals));
    }

    fn ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// Stamps what a job has prepared and asks for it to be written down.
    pub(super) fn prepared(
        &mut self,
        now: Now,
        done: Done,
        store: &ZoneStore,
        fx: &mut Effects,
    ) -> Vec<Outcome> {
        let (mut stamped, mut ended) = (Vec::new(), Vec::new());
        for Change { zone, prepared } in done.changes {
            let is_withdrawn = self.zones.get(zone.name()).is_some_and(|underway| underway.is_withdrawn);
            match prepared {
                _ if is_withdrawn => ended.push(Ended { zone, result: Ok(None), again: None }),
                Ok(Some(prepared)) => stamped.push(store.stamp(now, prepared)),
                Ok(None) => ended.push(Ended { zone, result: Ok(None), again: None }),
                Err(error) => ended.push(Ended { zone, result: Err(error), again: None }),
            }
        }
        if !stamped.is_empty() {
            let ticket = self.ticket();
            let entries = stamped.iter().flat_map(|stamped| stamped.entries(now.utc)).collect();
            let may_be_later = stamped.iter().all(Stamped::may_be_written_later);
            fx.commits.push(Commit { ticket, entries, may_be_later });
            self.commits.insert(ticket, stamped);
        }
        self.end(now, ended, store, fx)
    }

    /// Serves what has been written down.
    pub(super) fn committed(
        &mut self,
        now: Now,
        ticket: u64,
        result: &Result<(), LogError>,
        store: &ZoneStore,
        fx: &mut Effects,
    ) -> Vec<Outcome> {
        let stamped = self.commits.remove(&ticket).unwrap_or_default();
        let ended = stamped.into_iter().map(|stamped| {
            let zone = Arc::clone(stamped.zone());
            match result {
                Ok(()) => Ended { zone, result: Ok(store.commit(now.utc, stamped)), again: None },
                Err(error) => {
                    let result = Err(PublishError::Log(error.clone()));
                    Ended { zone, result, again: stamped.again() }
                }
            }
        });
        let ended = ended.collect();
        self.end(now, ended, store, fx)
    }

    /// Ends changes, and begins those that waited for them.
    fn end(&mut self, now: Now, ended: Vec<Ended>, store: &ZoneStore, fx: &mut Effects) -> Vec<Outcome> {
        let (mut outcomes, mut next) = (Vec::with_capacity(ended.len()), Vec::new());
        for Ended { zone, result, again } in ended {
            let zone = zone.name().clone();
            let Some(Underway { number, by, waiting, .. }) = self.zones.remove(&zone) else { continue };
            self.open.remove(&number);
            // What has waited is newer: the old content must not come back after it.
            let again = again.filter(|_| waiting.is_none());
            next.extend(waiting);
            outcomes.push(Outcome { zone, by, result, again });
        }
        outcomes.extend(self.start(now, next, store, fx));
        outcomes
    }

    /// How many changes have been submitted until now.
    pub(super) fn submitted(&self) -> u64 {
        self.submitted
    }

    /// Whether the first so many changes all have an outcome.
    pub(super) fn is_settled(&self, first: u64) -> bool {
        self.open.first().is_none_or(|oldest| *oldest >= first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::access::Access;
    use crate::time::{Mono, Utc};
    use crate::zone::fixture;
    use crate::zone::serial::Policy;

    const NOW: Now = Now { mono: Mono(1), utc: Utc(1) };

    fn file(serial: u32) -> Submission {
        let content =
            fixture::hosts("example.", serial, [(0, [192, 0, 2, serial as u8])]).finish().unwrap().0;
        Submission { by: 1, proposal: Proposal::file(content, Policy::Keep) }
    }

    /// Does the jobs; the ticket of the commit that follows.
    fn work(publishing: &mut Publishing, store: &ZoneStore, fx: &mut Effects) -> u64 {
        for job in std::mem::take(&mut fx.jobs) {
            assert!(publishing.prepared(NOW, job.run(), store, fx).is_empty());
        }
        fx.commits.pop().unwrap().ticket
    }

    #[test]
    fn what_could_not_be_written_down_is_proposed_again_unless_something_newer_waits() {
        let store = ZoneStore::new(7);
        store.configure(&"example.".parse().unwrap(), Access::default());
        let failed = Err(LogError("disk full".to_owned()));
        for newer in [None, Some(file(2))] {
            let is_replaced = newer.is_some();
            let (mut publishing, mut fx) = (Publishing::default(), Effects::default());
            publishing.submit(NOW, [file(1)], &store, &mut fx);
            let ticket = work(&mut publishing, &store, &mut fx);
            publishing.submit(NOW, newer, &store, &mut fx);
            let outcomes = publishing.committed(NOW, ticket, &failed, &store, &mut fx);
            assert!(
                matches!(&outcomes[..], [outcome] if outcome.again.is_none() == is_replaced),
                "{outcomes:?}"
            );
            if is_replaced {
                let ticket = work(&mut publishing, &store, &mut fx);
                let outcomes = publishing.committed(NOW, ticket, &Ok(()), &store, &mut fx);
                assert!(matches!(&outcomes[..], [Outcome { result: Ok(Some(_)), .. }]), "{outcomes:?}");
            }
        }
    }
}
