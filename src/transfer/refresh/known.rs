//! What is known of a zone's versions: by a former life, by hearsay, and by a primary's word.

use std::net::SocketAddr;
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
use super::{Event, Refresh, Step};

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
    /// Whether it rests on belief in a secondary that knows no stamps: that would go on for as long while it is cut off itself.
    pub(super) is_belief: bool,
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
    /// zone for all that is known: then it is believed for as long as one that knows stamps, and one that tells nothing, never. The word of
    /// one whose EXPIRE has begun to pass, or that pulls the zone, rests on belief, as does that of one that says so itself.
    fn of(
        told: Option<&Told>,
        asked: Now,
        omission: Omission,
        left: Option<u32>,
        timers: Timers,
        pulls: bool,
    ) -> Word {
        if let Some(told) = told {
            let doubt = (!told.is_verified).then_some(Doubt::Unverified);
            let current = told.current_at(asked.mono);
            return Word { current, is_source: false, is_belief: told.is_belief, doubt };
        }
        let is_belief = pulls || left.is_some_and(|left| left < timers.expire);
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
        Word { current, is_source, is_belief, doubt }
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

impl Refresh {
    /// Serves what is stored, unless it has expired meanwhile; the serial until now.
    pub(super) fn take_stored(
        &mut self,
        step: &mut Step<'_>,
        version: &Version,
        counted_from: Option<Utc>,
    ) -> Option<Serial> {
        let have = Have { soa: version.snapshot.soa_record(), digest: version.stamp.digest };
        let serial = have.timers().serial;
        let from = counted_from.unwrap_or(version.applied);
        let whole = timers::expire(have.timers(), None);
        let left = whole.saturating_sub(step.now.utc.since(from));
        self.expires_at = Some(step.now.mono + left);
        let before = self.serves(have);
        self.tellings.served(serial);
        self.settle_newer();
        if left.is_zero() {
            self.expire(step, from + whole);
        }
        before
    }

    /// Notes what is served from now on; the serial until now. When the last version was the newest one is known of a later one too, and of
    /// the same after it has expired, but of nothing else: what came after that is older than the last one.
    pub(super) fn serves(&mut self, have: Have) -> Option<Serial> {
        let (serial, digest) = (have.timers().serial, have.digest);
        let last = self.last.replace((serial, digest)).filter(|last| *last != (serial, digest));
        if let Some((last, _)) = last {
            // That there was nothing newer was said of another version.
            self.lease.forget();
            self.fresh_at = self.fresh_at.filter(|_| serial.is_newer_than(last));
        }
        self.have.replace(have).map(|before| before.timers().serial)
    }

    /// What a primary's answer to a question that left when `asked` says of how fresh its content is.
    pub(super) fn word(
        &self,
        told: Option<&Told>,
        (asked, omission): (Now, Omission),
        left: Option<u32>,
        timers: Timers,
    ) -> Word {
        Word::of(told, asked, omission, left, timers, self.config.from_secondaries)
    }

    /// Whether stamps tell of other content than is served here under this serial.
    pub(super) fn differs(&self, serial: Serial, stamps: &[Stamp]) -> bool {
        let own = self.have.as_ref().filter(|have| have.timers().serial == serial);
        let theirs = stamps.iter().find(|stamp| stamp.serial == serial);
        own.zip(theirs).is_some_and(|(own, theirs)| own.digest != theirs.digest)
    }

    /// Whether a serial is served here, or older than what is.
    pub(super) fn is_known(&self, serial: Serial) -> bool {
        self.have.as_ref().is_some_and(|have| !serial.is_newer_than(have.timers().serial))
    }

    /// The newer version that is known to exist, while it is not served here.
    pub fn newer(&self) -> Option<&Newer> {
        self.newer.as_ref()
    }

    /// The newest version that is known to exist and is not served here, and a moment by which it was published: when it was told of last.
    /// [`Newer::learned_at`] may be about an older one between the two.
    pub fn newest_told(&self) -> Option<(Serial, Mono)> {
        let newer = self.newer?;
        let told_at = self.tellings.newest().and_then(|(_, at)| at);
        Some((newer.serial, told_at.unwrap_or(newer.learned_at)))
    }

    /// Notes a version newer than what is served, which one of these primaries told of.
    pub(super) fn learn(
        &mut self,
        step: &mut Step<'_>,
        from: &[SocketAddr],
        serial: Serial,
        successor: Option<Stamp>,
    ) {
        if self.is_known(serial) {
            return;
        }
        let before = self.newer;
        self.tellings.heard(from, serial, Some(step.now.mono));
        let known = self.newer.get_or_insert(Newer { serial, successor: None, learned_at: step.now.mono });
        if serial.is_newer_than(known.serial) {
            known.serial = serial;
        }
        known.successor = known.successor.or(successor);
        let known = *known;
        if before != Some(known) {
            step.events.push(Event::Behind(known));
        }
    }

    /// Takes note that a primary showed nothing newer than this serial, which is served, to a question that left when `asked`.
    pub(super) fn nothing_newer(&mut self, primary: SocketAddr, asked: Mono, serial: Serial) {
        self.tellings.served(serial);
        self.tellings.taken_back(primary, asked);
        self.settle_newer();
    }

    /// Takes note that a version which was announced has been asked for in vain, though one who may have announced it answers.
    pub(super) fn not_shown(&mut self, serial: Serial) {
        self.tellings.not_shown(serial);
        self.settle_newer();
    }

    /// Forgets the newer version when nobody tells of it any more: it is served, or has been taken back.
    fn settle_newer(&mut self) {
        let left = self.newer.zip(self.tellings.newest());
        self.newer = left.map(|(newer, (serial, at))| match serial == newer.serial {
            true => newer,
            // Since when, and by which stamp, was the word of who has taken it back.
            false => Newer { serial, successor: None, learned_at: at.unwrap_or(newer.learned_at) },
        });
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

    #[test]
    fn the_word_of_a_secondary_that_knows_no_stamps_rests_on_belief_and_so_does_one_that_rests_on_it() {
        let now = Now { mono: Mono(10_000_000_000), utc: Utc(0) };
        let timers = Timers { refresh: 60, retry: 10, expire: 1_000, ..Timers::default() };
        let is_belief = |told: Option<&Told>, left, pulls| {
            Word::of(told, now, Omission::Absent, left, timers, pulls).is_belief
        };
        // Where the zone is published EXPIRE does not pass, or is not told.
        for (left, pulls, expected) in [
            (None, false, false),
            (Some(1_000), false, false),
            (Some(999), false, true),
            (Some(1_000), true, true),
            (Some(999), true, true),
        ] {
            assert_eq!(is_belief(None, left, pulls), expected, "{left:?} {pulls}");
        }
        // What a server that knows stamps says of itself goes before that.
        for belief in [false, true] {
            let told = Told { is_verified: true, is_belief: belief, ..Told::default() };
            assert_eq!(is_belief(Some(&told), Some(999), true), belief);
        }
    }
}
