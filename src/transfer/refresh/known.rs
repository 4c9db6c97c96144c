//! What is known of a zone's versions: by a former life, by hearsay, and by a primary's word.

use std::time::Duration;

use crate::ask::support::Omission;
use crate::publish::expire;
use crate::publish::zone::Version;
use crate::time::{Mono, Now, Utc};
use crate::wire::message::Record;
use crate::zone::digest::Digest;
use crate::zone::serial::Serial;
use crate::zone::soa::Timers;
use crate::zone::stamp::{Stamp, Told};

use super::super::timers;

/// A version that is known to exist and is not served here yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newer {
    /// The newest serial heard of.
    pub serial: Serial,
    /// The stamp of the version right after ours, if the primary told it: its publication is when ours became stale.
    pub successor: Option<Stamp>,
    /// When it was first heard of.
    pub learned_at: Mono,
}

/// What a former life left of a secondary zone.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'v> {
    /// What is served.
    pub version: &'v Version,
    /// From when on its EXPIRE counts; else it counts from when it was applied.
    pub counted_from: Option<Utc>,
    /// A version that it heard of and did not get, and when, by this machine's clock then.
    pub newer: Option<(Serial, Utc)>,
}

/// What a primary's answer says of how fresh its content is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    /// When that is known to have been the newest version.
    pub(super) current: Option<Mono>,
    /// Whether it is taken for the source of the zone, which knows of every version.
    pub(super) is_source: bool,
    /// Why it is not believed that it would know of a newer one.
    pub(super) doubt: Option<Doubt>,
}

/// Why the word of a primary says nothing of whether there is a newer version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// It pulls the zone for all that is known, and does not say how old its content is.
    #[error(
        "tells neither stamps nor EXPIRE, so how old its content is cannot be known: take out `from-secondaries` if the zone is published \
         there, or pull from a server that tells"
    )]
    Silent,
    /// By what is left of its EXPIRE.
    #[error(
        "shows by EXPIRE that its own refresh is overdue: find out why it gets no answer from its primary"
    )]
    Overdue,
    /// By its own word.
    #[error(
        "says that nobody has told it of late whether its content is current: its `tidemark status` says why"
    )]
    Unverified,
    /// It would know, it says, and so may those whom it asks; yet what they have grows older.
    #[error(
        "says that it would know of a newer version, and what it knows to be current is too old for that: is every server that it asks \
         a secondary of another, or cut off?"
    )]
    Circle,
}

impl Word {
    /// From the answer to a question that left when `asked`. One that was not asked for its age says nothing of it. Of a server that knows no
    /// stamps, `left` of EXPIRE (RFC 7314) tells the age, in whole seconds: it may be the secondary of another, and one whose refresh is
    /// overdue hears of nothing any more. One that does not know that either is taken for the source of the zone, unless it `pulls` the
    /// zone for all that is known: then it is believed for as long as one that knows stamps, and one that tells nothing, never.
    pub(super) fn of(
        told: Option<&Told>,
        asked: Now,
        omission: Omission,
        left: Option<u32>,
        timers: Timers,
        pulls: bool,
    ) -> Word {
        if let Some(told) = told {
            let doubt = (!told.is_verified).then_some(Doubt::Unverified);
            return Word { current: told.current_at(asked.mono), is_source: false, doubt };
        }
        let age = |left| Duration::from_secs(timers.expire.saturating_sub(left).into()) + expire::SLACK;
        let age = left.map(age);
        let is_overdue = age.is_some_and(|age| age > timers::overdue(timers));
        let is_source = !pulls && !is_overdue;
        let doubt = match (is_overdue, age) {
            (true, _) => Some(Doubt::Overdue),
            (false, None) if pulls => Some(Doubt::Silent),
            (false, _) => None,
        };
        let age = age.or((!pulls).then_some(Duration::ZERO));
        let current = age.map(|age| asked.mono - age).filter(|_| omission == Omission::Absent);
        Word { current, is_source, doubt }
    }
}

impl Doubt {
    /// All of them.
    pub const ALL: [Doubt; 4] = [Doubt::Silent, Doubt::Overdue, Doubt::Unverified, Doubt::Circle];
}

/// What is served here.
#[derive(Clone, Debug)]
pub(super) struct Have {
    pub(super) soa: Record,
    pub(super) digest: Digest,
}

impl Have {
    pub(super) fn timers(&self) -> Timers {
        Timers::read(&self.soa.rdata)
    }

    /// When the whole EXPIRE from `asked` on ends, and when the part that the primary said is left to it (RFC 7314 section 4).
    pub(super) fn expires(&self, asked: Now, left: Option<u32>) -> (Mono, Mono) {
        let whole = asked.mono + timers::expire(self.timers(), None);
        // No least span for what is left elsewhere: two secondaries that pull from each other would lend it to each other for ever.
        let left = left.filter(|left| *left < self.timers().expire);
        (whole, left.map_or(whole, |left| asked.mono + Duration::from_secs(u64::from(left))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primary_that_may_pull_the_zone_is_believed_for_what_it_tells() {
        let now = Now { mono: Mono(10_000_000_000), utc: Utc(0) };
        let timers = Timers { refresh: 60, retry: 10, expire: 1_000, ..Timers::default() };
        let word = |left: Option<u32>, pulls| {
            let word = Word::of(None, now, Omission::Absent, left, timers, pulls);
            (word.current.map(|at| now.mono.since(at)), word.is_source, word.doubt)
        };
        let age = |seconds| Some(Duration::from_secs(seconds) + expire::SLACK);
        // It tells nothing: the source of the zone, or somebody who may have heard of nothing for years.
        assert_eq!(word(None, false), (Some(Duration::ZERO), true, None));
        assert_eq!(word(None, true), (None, false, Some(Doubt::Silent)));
        assert_eq!(word(Some(990), false), (age(10), true, None));
        // For how long it is believed is the lease's business.
        assert_eq!(word(Some(990), true), (age(10), false, None));
        for pulls in [false, true] {
            assert_eq!(word(Some(500), pulls), (age(500), false, Some(Doubt::Overdue)));
        }
    }
}
