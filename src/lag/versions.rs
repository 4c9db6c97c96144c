//! The versions of a zone that are known, in the order in which they were published.

use std::collections::VecDeque;

use crate::time::{Mono, Utc};
use crate::zone::digest::Digest;
use crate::zone::serial::Serial;
use crate::zone::stamp::Stamp;

/// Versions kept per zone. The oldest go first, but for those that servers show and those that followed these: since when a server is
/// behind, and by how many versions, stays known.
pub(super) const MAX_VERSIONS: usize = 1_024;

/// One version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) serial: Serial,
    /// It had been published by then.
    pub(super) by: Mono,
    /// It was still the newest version then.
    pub(super) head_at: Option<Mono>,
    /// When its primary says that it published it.
    pub(super) stamp: Option<Stamp>,
    /// When this node began to serve it, in a former life perhaps.
    pub(super) served: Option<Utc>,
    /// The version before it, of those that are kept...
    pub(super) follows: Option<Serial>,
    /// ...and how many were published between the two.
    skipped: usize,
    /// A newer version, and how many there are from this one to that, as somebody told.
    pub(super) later: Option<(Serial, usize)>,
    /// Its content, by who serves it here or publishes it.
    pub(super) digest: Option<Digest>,
    /// When a server showed it last, or it was heard of first.
    pub(super) shown: Mono,
}

/// Those that are kept, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Versions {
    kept: VecDeque<Known>,
}

impl Versions {
    /// Takes in a version that has been published by now, and what else is known of it. One older than all that fit is not kept, unless a
    /// server shows it or lacks it.
    pub(super) fn learn(
        &mut self,
        serial: Serial,
        by: Mono,
        is_shown: impl Fn(Serial) -> bool,
        note: impl FnOnce(&mut Known),
    ) {
        let older = self.kept.iter().rposition(|known| !known.serial.is_newer_than(serial));
        if let Some(known) = older.map(|at| &mut self.kept[at]).filter(|known| known.serial == serial) {
            known.by = known.by.min(by);
            return note(known);
        }
        let mut known = Known::new(serial, by);
        note(&mut known);
        let mut at = older.map_or(0, |older| older + 1);
        if self.kept.len() >= MAX_VERSIONS {
            let spare = self.spare(&is_shown);
            let before = older.map(|older| self.kept[older].serial);
            if at <= spare && is_spare(&known, before, &is_shown) {
                return;
            }
            at -= usize::from(at > spare);
            self.drop(spare);
        }
        self.kept.insert(at, known);
    }

    /// The newest version.
    pub(super) fn head(&self) -> Option<&Known> {
        self.kept.back()
    }

    /// Keeps only some.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&Known) -> bool) {
        self.kept.retain(is_kept);
    }

    pub(super) fn find(&self, serial: Serial) -> Option<&Known> {
        self.kept.iter().rev().find(|known| known.serial == serial)
    }

    pub(super) fn newer(&self, serial: Serial) -> impl Iterator<Item = &Known> {
        self.kept.iter().filter(move |known| known.serial.is_newer_than(serial))
    }

    /// The version that was published next after this one.
    pub(super) fn successor(&self, serial: Serial) -> Option<&Known> {
        self.kept.iter().find(|known| known.follows == Some(serial) && known.skipped == 0)
    }

    /// How many versions lead from one to another, all of which are known.
    pub(super) fn counted(&self, serial: Serial, head: Serial) -> Option<usize> {
        let mut at = head;
        let (mut count, mut steps) = (0, 0);
        while at != serial {
            let known = self.find(at)?;
            at = known.follows?;
            count += 1 + known.skipped;
            steps += 1;
            if steps > self.kept.len() {
                return None;
            }
        }
        Some(count)
    }

    /// A moment at which nothing newer than this serial had been published.
    pub(super) fn unpublished_until(&self, serial: Serial) -> Option<Mono> {
        self.find(serial).and_then(|known| known.head_at).max(self.unpublished_until_before(serial))
    }

    /// A moment at which this serial had not been published. Who shows an older one as the newest when this one is known already has had its
    /// serial go back: that says nothing of versions from before.
    pub(super) fn unpublished_until_before(&self, serial: Serial) -> Option<Mono> {
        let by = self.find(serial).map(|known| known.by);
        let older = self.kept.iter().filter(|known| serial.is_newer_than(known.serial));
        older.filter_map(|known| known.head_at).filter(|at| by.is_none_or(|by| *at <= by)).max()
    }

    /// The oldest version that says nothing of a server.
    fn spare(&self, is_shown: impl Fn(Serial) -> bool) -> usize {
        let before = |at: usize| Some(self.kept[at.checked_sub(1)?].serial);
        let mut kept = self.kept.iter().enumerate();
        let found = kept.find(|(at, known)| is_spare(known, before(*at), &is_shown));
        found.map_or(0, |(at, _)| at)
    }

    /// Forgets a version; it is known that there was one, and that those before it had been published by then.
    fn drop(&mut self, at: usize) {
        let Some(gone) = self.kept.remove(at) else { return };
        if let Some(before) = at.checked_sub(1).and_then(|before| self.kept.get_mut(before)) {
            before.by = before.by.min(gone.by);
        }
        if let Some(next) = self.kept.iter_mut().skip(at).find(|known| known.follows == Some(gone.serial)) {
            next.follows = gone.follows;
            // How many there were since nobody knows which is of no use.
            next.skipped = gone.follows.map_or(0, |_| next.skipped + 1 + gone.skipped);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
}

/// Whether a version that is kept behind another, in the order of their serials, says nothing of a server: none shows it, and none is behind
/// since it was published, as far as is known.
fn is_spare(known: &Known, before: Option<Serial>, is_shown: impl Fn(Serial) -> bool) -> bool {
    ![Some(known.serial), known.follows, before].into_iter().flatten().any(is_shown)
}

impl Known {
    fn new(serial: Serial, by: Mono) -> Known {
        Known {
            serial,
            by,
            head_at: None,
            stamp: None,
            served: None,
            follows: None,
            skipped: 0,
            later: None,
            digest: None,
            shown: by,
        }
    }

    /// Notes when its primary says that it published it.
    pub(super) fn stamped(&mut self, stamp: &Stamp) {
        self.stamp = Some(*stamp).filter(|stamp| stamp.published.is_some()).or(self.stamp);
    }

    /// A version is told to be the one before; what was there between them before it was forgotten is not taken back.
    pub(super) fn follow(&mut self, previous: Option<Serial>) {
        if previous.is_some() && self.skipped == 0 {
            self.follows = previous;
        }
    }
}
