//! The stages that every change passes, whatever it comes from.
//!
//! ```text
//! Proposal -> build -> serial -> delta -> Prepared -> stamp -> Stamped -> (the journal keeps its entries) -> ZoneStore::commit
//!             `---- prepare: any thread ----'         `- the thread that owns the zone's next version -'
//! ```
//!
//! Nothing here reads a clock or waits. A stage that refuses leaves no trace in what is served; a new stage is one more call in
//! [`prepare`].

use std::sync::Arc;

use crate::panic::Panicked;
use crate::time::{Hlc, Now, Utc};
use crate::zone::delta::Delta;
use crate::zone::diff::{TooMuch, between_at_most};
use crate::zone::digest::Digest;
use crate::zone::fault::Fault;
use crate::zone::serial::{Policy, Serial};
use crate::zone::snapshot::{ApplyError, Snapshot};
use crate::zone::stamp::Stamp;

use super::history::most_records;
use super::journal::entry::Entry;
use super::journal::floor::{Floor, Reserve};
use super::journal::log::LogError;
use super::messages::{Outside, Unreadable};
use super::proposal::{Content, Proposal, Source};
use super::transferred::NoZone;
use super::zone::{Version, Zone};
use crate::wire::name::Name;

/// Why a change was not published. What was served before is served still.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Nobody configured this zone.
    #[error("zone `{0}` is not configured here")]
    NoSuchZone(Name),
    /// Transferred records are no zone.
    #[error("the records do not make a zone: {0}")]
    NoZone(Fault),
    /// What was transferred cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Deltas do not fit what is served.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The file changed without its serial, and the policy is to refuse that.
    #[error(
        "content changed but the serial did not grow (file {file}, served {served}) and `serial = \"keep\"`: raise the serial"
    )]
    SerialKept {
        /// The serial in the file.
        file: Serial,
        /// The serial that is served.
        served: Serial,
    },
    /// The file of a signed zone changed without its serial, and another serial would break the signature over it.
    #[error(
        "content changed but the serial did not grow (file {file}, served {served}), and the zone is signed, so its SOA cannot be changed here: raise the serial and sign again"
    )]
    SignedSerialKept {
        /// The serial in the file.
        file: Serial,
        /// The serial that is served.
        served: Serial,
    },
    /// The journal lost entries, or is older than what a server shows, and only the file may raise the serial.
    #[error(
        "serials up to {above} may have been served with other content (the journal lost entries, or a server of the zone shows such a serial), and the serial in the file, {file}, is not above that: raise it (and sign again, if the zone is signed)"
    )]
    SerialDoubtful {
        /// The serial in the file.
        file: Serial,
        /// The last serial that may have been served.
        above: Serial,
    },
    /// Differences that take more work than the whole zone would, as many steps at an owner of many records do.
    #[error("the differences take more work than the whole zone")]
    TooMuchWork,
    /// A transfer ended at a serial that is not newer than what is served.
    #[error("transferred serial {found} is not newer than {served}")]
    NotNewer {
        /// The serial that is served.
        served: Serial,
        /// The serial that arrived.
        found: Serial,
    },
    /// It could not be written down.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A fault of this program.
    #[error("preparing it {0}")]
    Panicked(#[from] Panicked),
}

/// The version that a proposal is to follow: what the zone serves and remembers when it is prepared.
#[derive(Clone, Debug)]
pub struct Base {
    /// The zone.
    pub zone: Arc<Zone>,
    version: Option<Arc<Version>>,
    /// The last version that was published, served now or not.
    remembered: Option<Stamp>,
    /// What its next serial has to keep clear of.
    floor: Floor,
}

/// A change that has passed the stages which need no clock.
#[derive(Debug)]
pub struct Prepared {
    base: Base,
    snapshot: Snapshot,
    /// The versions it leads through; the last one is `snapshot`.
    steps: Vec<Step>,
    source: Source,
    /// The content is back as it was under this stamp.
    known: Option<Stamp>,
    /// The serial that its source gave it, when another took its place.
    given: Option<Serial>,
    /// What was left out of what was transferred.
    outside: Option<Outside>,
}

#[derive(Debug)]
struct Step {
    /// `None` when the version follows from nothing.
    delta: Option<Arc<Delta>>,
    serial: Serial,
    digest: Digest,
}

/// A change that is served once the journal has its entries.
#[derive(Debug)]
pub struct Stamped {
    pub(super) zone: Arc<Zone>,
    pub(super) from: Option<Serial>,
    pub(super) snapshot: Snapshot,
    pub(super) versions: Vec<(Option<Arc<Delta>>, Stamp)>,
    pub(super) stamp: Stamp,
    /// The serial that its source gave it, when another took its place.
    pub(super) given: Option<Serial>,
    pub(super) mismatch: Option<Digest>,
    /// What was left out of what was transferred.
    pub(super) outside: Option<Outside>,
    /// What has to be reserved before.
    pub(super) reserve: Option<Reserve>,
    pub(super) source: Source,
}

impl Base {
    /// What a zone serves now.
    pub fn of(zone: Arc<Zone>) -> Base {
        let (remembered, floor) = {
            let history = zone.history();
            (history.last().copied(), history.floor())
        };
        Base { version: zone.version(), remembered, floor, zone }
    }

    fn serial(&self) -> Option<Serial> {
        self.version.as_ref().map(|version| version.stamp.serial)
    }
}

/// Takes a proposal through the stages up to its stamp. `Ok(None)` when it changes nothing. `utc` numbers versions by date.
pub fn prepare(base: Base, proposal: Proposal, utc: Utc) -> Result<Option<Prepared>, PublishError> {
    let (content, outside) = build(&base, proposal.content)?;
    let numbered = match proposal.source {
        Source::File { policy, .. } => number(&base, content, policy, utc)?,
        Source::Transfer { is_forced, .. } => follow(&base, content, is_forced)?,
    };
    let Some(numbered) = numbered else { return Ok(None) };
    let Some((snapshot, steps)) = delta(&base, numbered.content)? else { return Ok(None) };
    let (known, given) = (numbered.known, numbered.given);
    Ok(Some(Prepared { base, snapshot, steps, source: proposal.source, known, given, outside }))
}

/// Content that the stages can look at.
enum Built {
    /// A whole zone.
    Whole(Snapshot),
    /// The steps from what is served, oldest first.
    Differences(Vec<Delta>),
}

/// Content with the serial that it will be published under.
struct Numbered {
    content: Built,
    known: Option<Stamp>,
    given: Option<Serial>,
}

impl Numbered {
    fn as_it_is(content: Built) -> Option<Numbered> {
        Some(Numbered { content, known: None, given: None })
    }
}

/// Reads what was transferred. A whole zone shares with what is served: one that is transferred again and again has its memory stay where
/// it is, near to those who answer. The second part is what was left out of it.
fn build(base: &Base, content: Content) -> Result<(Built, Option<Outside>), PublishError> {
    let no_zone = |why| match why {
        NoZone::Unreadable(why) => PublishError::Unreadable(why),
        NoZone::Faults(faults) => {
            PublishError::NoZone(faults.into_iter().next().unwrap_or(Fault::NoSoa(Name::root())))
        }
    };
    Ok(match content {
        Content::Whole(snapshot) => (Built::Whole(snapshot), None),
        Content::Records(records) => {
            let before = base.version.as_ref().map(|version| version.snapshot.clone());
            let (whole, outside) = records.content(before).map_err(no_zone)?;
            (Built::Whole(whole), outside)
        }
        Content::Differences(differences) => {
            let (deltas, outside) = differences.deltas()?;
            (Built::Differences(deltas), outside)
        }
    })
}

/// What a chain of differences may touch in all: the records of an owner count each time that a step is about it.
const MOST_TOUCHED: u64 = 1_000_000;

/// Gives content that is published here its serial: the file's where it is newer than the last one, else by the policy.
fn number(base: &Base, content: Built, policy: Policy, utc: Utc) -> Result<Option<Numbered>, PublishError> {
    let Built::Whole(content) = content else { return Ok(Numbered::as_it_is(content)) };
    let file = content.serial();
    let last = base.version.as_ref().map(|version| version.stamp).or(base.remembered);
    let above = base.floor.above(last.map(|last| last.serial));
    let Some(above) = above.filter(|above| !file.is_newer_than(*above)) else {
        return Ok(Numbered::as_it_is(Built::Whole(content)));
    };
    let served = last.map_or(above, |last| last.serial);
    let is_lost = base.version.is_none() && above != served;
    if let Some(last) = last.filter(|last| content.digest() == last.digest && !is_lost) {
        // Content that was withdrawn, or lost and known, is the version that it was.
        let content = Built::Whole(content.with_serial(last.serial));
        let back = Numbered { content, known: Some(last), given: Some(file) };
        return Ok(Some(back).filter(|_| base.version.is_none()));
    }
    let is_signed = content.signed().is_some();
    let next = if is_signed { None } else { policy.next(above, utc) };
    let next = next.ok_or(match is_signed {
        _ if above != served => PublishError::SerialDoubtful { file, above },
        true => PublishError::SignedSerialKept { file, served },
        false => PublishError::SerialKept { file, served },
    })?;
    let content = Built::Whole(content.with_serial(next));
    Ok(Some(Numbered { content, known: None, given: Some(file) }))
}

/// Holds content that was published elsewhere to lead forward, unless it is forced.
fn follow(base: &Base, content: Built, is_forced: bool) -> Result<Option<Numbered>, PublishError> {
    let (Some(version), Built::Whole(whole)) = (&base.version, &content) else {
        return Ok(Numbered::as_it_is(content));
    };
    let (served, found) = (version.stamp.serial, whole.serial());
    if served == found && whole.digest() == version.snapshot.digest() {
        return Ok(None);
    }
    // The same serial with other content is a repair, asked for after a digest told of divergence.
    if served != found && !found.is_newer_than(served) && !is_forced {
        return Err(PublishError::NotNewer { served, found });
    }
    Ok(Numbered::as_it_is(content))
}

/// Works out what changes. A whole zone is served as it was built; what shares with the version before does so from its reading on.
fn delta(base: &Base, content: Built) -> Result<Option<(Snapshot, Vec<Step>)>, PublishError> {
    let current = base.version.as_ref().map(|version| &version.snapshot);
    let deltas = match content {
        Built::Whole(whole) => {
            // A delta of more records than the history keeps would be asked for by nobody and cost the journal more than the content.
            let most = most_records(whole.records());
            // Nothing leads back to an older serial, and nobody is to be taken there by differences.
            let follows = current.filter(|current| whole.serial().is_newer_than(current.serial()));
            let delta = match follows.map(|current| between_at_most(current, &whole, most)) {
                Some(Ok(None)) => return Ok(None),
                Some(Ok(Some(delta))) => Some(Arc::new(delta)),
                None | Some(Err(TooMuch)) => None,
            };
            let step = Step { delta, serial: whole.serial(), digest: whole.digest() };
            return Ok(Some((whole, vec![step])));
        }
        Built::Differences(deltas) => deltas,
    };
    let found = deltas.first().map(Delta::from).unwrap_or_default();
    let mut snapshot = current.cloned().ok_or(ApplyError::WrongSerial { have: Serial(0), found })?;
    let mut steps = Vec::with_capacity(deltas.len());
    let (most, mut touched) = (MOST_TOUCHED.max(2 * snapshot.records()), 0);
    for delta in deltas {
        let (served, found) = (delta.from(), delta.to());
        if !found.is_newer_than(served) {
            return Err(PublishError::NotNewer { served, found });
        }
        touched += snapshot.touched_by(&delta);
        if touched > most {
            return Err(PublishError::TooMuchWork);
        }
        snapshot = snapshot.apply(&delta)?;
        steps.push(Step { delta: Some(Arc::new(delta)), serial: found, digest: snapshot.digest() });
    }
    Ok(if steps.is_empty() { None } else { Some((snapshot, steps)) })
}

impl Prepared {
    /// The zone.
    pub fn zone(&self) -> &Arc<Zone> {
        &self.base.zone
    }

    /// Stamps the versions: with the present and this node where they are published here, else as their primary told.
    pub fn stamp(self, now: Now, writer: u64) -> Stamped {
        let last = self.base.zone.history().last().and_then(|stamp| stamp.published);
        let own: Hlc = last.unwrap_or_default().next(now.utc);
        let told: &[Stamp] = match &self.source {
            Source::File { .. } => &[],
            Source::Transfer { told, .. } => told,
        };
        let mut mismatch = None;
        let mut versions = Vec::with_capacity(self.steps.len());
        for Step { delta, serial, digest } in self.steps {
            let told = told.iter().find(|stamp| stamp.serial == serial);
            mismatch = told.map(|stamp| stamp.digest).filter(|theirs| *theirs != digest);
            let stamp = match (self.known, &self.source) {
                (Some(known), _) => known,
                (None, Source::File { .. }) => Stamp { serial, published: Some(own), digest, writer },
                // Time and writer as told, the digest always our own.
                (None, Source::Transfer { .. }) => Stamp {
                    serial,
                    published: told.and_then(|stamp| stamp.published),
                    digest,
                    writer: told.map_or(0, |stamp| stamp.writer),
                },
            };
            versions.push((delta, stamp));
        }
        let unnamed = Stamp {
            serial: self.snapshot.serial(),
            published: None,
            digest: self.snapshot.digest(),
            writer: 0,
        };
        let stamp = versions.last().map_or(unnamed, |(_, stamp)| *stamp);
        let reserve = match &self.source {
            Source::File { .. } if self.base.zone.history().floor().covers(stamp.serial) => None,
            Source::File { policy, .. } => {
                let is_signed = self.snapshot.signed().is_some();
                let policy = if is_signed { Policy::Keep } else { *policy };
                Some(Reserve::ahead(stamp.serial, stamp.digest, policy))
            }
            Source::Transfer { .. } => None,
        };
        Stamped {
            from: self.base.serial(),
            zone: self.base.zone,
            snapshot: self.snapshot,
            stamp,
            reserve,
            versions,
            given: self.given,
            mismatch,
            outside: self.outside,
            source: self.source,
        }
    }
}

impl Stamped {
    /// The zone.
    pub fn zone(&self) -> &Arc<Zone> {
        &self.zone
    }

    /// What has to be written down before this is served.
    pub fn entries(&self, applied: Utc) -> Vec<Entry> {
        let name = &self.zone.name;
        let entry = |(delta, stamp): &(Option<Arc<Delta>>, Stamp)| match delta {
            Some(delta) => Entry::Change(name.clone(), Arc::clone(delta), *stamp, applied),
            None => Entry::Full(self.snapshot.clone(), *stamp, applied),
        };
        let reserve = self.reserve.map(|reserve| Entry::Reserve(name.clone(), reserve));
        let counted_from = match &self.source {
            Source::Transfer { counted_from, .. } => {
                counted_from.map(|at| Entry::Verified(name.clone(), at, None))
            }
            Source::File { .. } => None,
        };
        reserve.into_iter().chain(self.versions.iter().map(entry)).chain(counted_from).collect()
    }

    /// Whether its file stands for the content until that is written down: a crash before costs the differences to what was
    /// served, and no more, as long as the stamp is kept. A policy that may refuse the file after a restart does not allow it.
    pub fn may_be_written_later(&self) -> bool {
        self.from.is_none()
            && matches!(&self.source, Source::File { policy, .. } if *policy != Policy::Keep)
            && matches!(self.versions[..], [(None, _)])
            && self.snapshot.signed().is_none()
    }

    /// Proposes the same again as its source gave it, after it could not be written down; `None` for what came from elsewhere and
    /// can be had there again.
    pub fn again(self) -> Option<Proposal> {
        match self.source {
            Source::File { policy, edited } => {
                let given = self.given.map(|serial| self.snapshot.with_serial(serial));
                Some(Proposal::file(given.unwrap_or(self.snapshot), policy).edited(edited))
            }
            Source::Transfer { .. } => None,
        }
    }
}
