//! Primaries that show something else than what is served here and are not followed, so that somebody who looks at this node hears of
//! it: of primaries at odds the one that was asked first is followed, or the one whose version an order took.

use std::net::{IpAddr, SocketAddr};

use crate::time::Utc;
use crate::zone::serial::Serial;

/// How what a primary shows is at odds with what is served here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Odd {
    /// An older version.
    #[error(
        "shows serial {theirs}, which is older than {ours}, served here: find out why it does not follow, or take it out of `primaries`"
    )]
    Older {
        /// What it shows.
        theirs: Serial,
        /// What is served here.
        ours: Serial,
    },
    /// One serial, two contents.
    #[error(
        "has other content than is served here under the same serial, {0}: find out which is right, and raise the serial at that primary"
    )]
    OtherContent(Serial),
    /// A newer version, which an order went back from.
    #[error(
        "shows serial {theirs} still, while {ours} was taken by order (`tidemark refresh --force`) from another primary, which is followed: \
         have it take that over, or take it out of `primaries`"
    )]
    LeftBehind {
        /// What it shows.
        theirs: Serial,
        /// What is served here.
        ours: Serial,
    },
}

/// What the primaries of a zone show that are not followed.
#[derive(Debug, Default)]
pub(super) struct Odds {
    showings: Vec<Showing>,
    left: Option<Left>,
}

/// What a primary showed last.
#[derive(Debug)]
struct Showing {
    primary: SocketAddr,
    serial: Serial,
    /// Since when it has been at odds.
    since: Utc,
}

/// A version that was left for an older one by order. It is not taken again from another primary, nor is anything older, until the one
/// that is followed is past it or nobody else shows it any more.
///
/// A restart, other settings of the zone, and its expiry forget this: from then on the newest serial counts again, whoever shows it. Until
/// then `status` tells which primaries are to be mended; after it the order can be given again.
#[derive(Debug)]
struct Left {
    /// The version that was left, the newest one if it was more than once.
    serial: Serial,
    /// The primary whose version was taken.
    followed: SocketAddr,
    /// The others, as long as they may show it.
    holdouts: Vec<SocketAddr>,
}

impl Odds {
    /// Takes note that a version was taken by order from one of the primaries, in place of another.
    pub(super) fn ordered(
        &mut self,
        followed: SocketAddr,
        (before, taken): (Option<Serial>, Serial),
        primaries: &[SocketAddr],
    ) {
        let known = self.left.take().map(|left| left.serial);
        let newest = |a: Serial, b: Serial| if b.is_newer_than(a) { b } else { a };
        let left = known.into_iter().chain(before).reduce(newest);
        self.left = left.filter(|left| left.is_newer_than(taken)).map(|serial| Left {
            serial,
            followed,
            holdouts: primaries.iter().copied().filter(|primary| *primary != followed).collect(),
        });
    }

    /// Whether what a primary shows is no reason to go there: it was left by order, or is older than what was.
    pub(super) fn sets_aside(&self, primary: SocketAddr, theirs: Serial) -> bool {
        self.left.as_ref().is_some_and(|left| left.followed != primary && !theirs.is_newer_than(left.serial))
    }

    /// The same of what is announced from an address.
    pub(super) fn ignores(&self, from: IpAddr, announced: Serial) -> bool {
        self.left
            .as_ref()
            .is_some_and(|left| left.followed.ip() != from && !announced.is_newer_than(left.serial))
    }

    /// Takes note of what a primary shows; whether that is at odds with what is served here, as nothing was that it showed before.
    pub(super) fn shown(
        &mut self,
        now: Utc,
        primary: SocketAddr,
        theirs: Serial,
        (is_odd, is_set_aside): (bool, bool),
    ) -> bool {
        if let Some(left) = &mut self.left {
            left.holdouts.retain(|holdout| *holdout != primary);
            if is_set_aside {
                left.holdouts.push(primary);
            }
        }
        self.left.take_if(|left| left.holdouts.is_empty());
        let known = self.showings.iter().position(|showing| showing.primary == primary);
        match (known, is_odd) {
            (Some(known), true) => self.showings[known].serial = theirs,
            (Some(known), false) => {
                self.showings.remove(known);
            }
            (None, true) => self.showings.push(Showing { primary, serial: theirs, since: now }),
            (None, false) => {}
        }
        known.is_none() && is_odd
    }

    /// Takes note that a primary's version is served in place of another one.
    pub(super) fn replaced(&mut self, from: SocketAddr, (before, served): (Option<Serial>, Serial)) {
        self.left.take_if(|left| !left.serial.is_newer_than(served));
        let mut showings = std::mem::take(&mut self.showings);
        showings.retain(|showing| {
            let Showing { primary, serial, .. } = *showing;
            // Who had other content under the serial from before may have followed, and who showed this one now agrees.
            let is_comparable = before == Some(served) || before != Some(serial) && serial != served;
            let is_followed = serial.is_newer_than(served) && !self.sets_aside(primary, serial);
            primary != from && is_comparable && !is_followed
        });
        self.showings = showings;
    }

    /// Who is at odds with the serial that is served, how, and since when.
    pub(super) fn against(&self, ours: Serial) -> impl Iterator<Item = (SocketAddr, Odd, Utc)> {
        self.showings
            .iter()
            .map(move |showing| (showing.primary, Odd::of(showing.serial, ours), showing.since))
    }
}

impl Odd {
    /// What it is that a primary which is at odds shows this serial.
    pub(super) fn of(theirs: Serial, ours: Serial) -> Odd {
        if theirs == ours {
            Odd::OtherContent(ours)
        } else if theirs.is_newer_than(ours) {
            Odd::LeftBehind { theirs, ours }
        } else {
            Odd::Older { theirs, ours }
        }
    }
}
