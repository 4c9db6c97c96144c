//! Primaries that show something else than what is served here and are not followed, so that somebody who looks at this node hears of
//! it: of primaries at odds the one that was asked first is followed, or the one whose version an order took.

use std::net::SocketAddr;
use std::time::Duration;

use crate::time::{Now, Utc};
use crate::zone::serial::Serial;

use super::Refresh;

/// Primaries do not follow an edit in one moment: one whose serial is older is told of once it has shown that for so long.
const LASTING: Duration = Duration::from_secs(30);

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
    since: Now,
    /// Whether that is to be told, and has been.
    is_told: bool,
}

/// How what a primary shows compares with what is served here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comparison {
    pub(super) theirs: Serial,
    pub(super) ours: Serial,
    /// Whether it is other content under the same serial.
    pub(super) differs: bool,
}

/// A version that was left for an older one by order. It is not taken again from a primary that has not followed, nor is anything older,
/// until what is served is past it or nobody holds out any more.
///
/// A restart forgets this: from then on the newest serial counts again, whoever shows it. Until then `status` tells which primaries are to
/// be mended; after it the order can be given again. A zone that has expired is taken from whoever has it.
#[derive(Debug)]
struct Left {
    /// The version that was left, the newest one if it was more than once.
    serial: Serial,
    /// The version that was taken.
    taken: Serial,
    /// The primaries that may show what was left: all but the one whose version was taken, until they show that too.
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
            taken,
            holdouts: primaries.iter().copied().filter(|primary| *primary != followed).collect(),
        });
    }

    /// Takes over what is known from when the zone had other settings, with these primaries `before`: what those show that are still
    /// configured, and what was left by order. Of new ones nobody knows what they show. Where none is left that followed, what was left is
    /// all that there is.
    pub(super) fn take_over(&mut self, known: Odds, before: &[SocketAddr], primaries: &[SocketAddr]) {
        let was_in_force = known.left.is_some();
        self.left = known.left.and_then(|left| {
            let may_show = |it: &SocketAddr| left.holdouts.contains(it) || !before.contains(it);
            let holdouts: Vec<SocketAddr> = primaries.iter().copied().filter(may_show).collect();
            let is_in_force = !holdouts.is_empty() && holdouts.len() < primaries.len();
            is_in_force.then_some(Left { holdouts, ..left })
        });
        // Who was set aside by an order that is over is at odds with nothing.
        if self.left.is_some() == was_in_force {
            self.showings = known.showings;
            self.showings.retain(|showing| primaries.contains(&showing.primary));
        }
    }

    /// Takes note that nothing is served any more that somebody could be at odds with.
    pub(super) fn expired(&mut self) {
        self.showings.clear();
    }

    /// Whether a primary may still show what was left by order.
    pub(super) fn holds_out(&self, primary: SocketAddr) -> bool {
        self.left.as_ref().is_some_and(|left| left.holdouts.contains(&primary))
    }

    /// Whether what a primary shows is no reason to go there: it was left by order, or is older than what was, and this primary has not
    /// followed.
    pub(super) fn sets_aside(&self, primary: SocketAddr, theirs: Serial) -> bool {
        let left = self.left.as_ref().filter(|_| self.holds_out(primary));
        left.is_some_and(|left| !theirs.is_newer_than(left.serial))
    }

    /// Takes note of what a primary shows, which may be set aside; whether that is at odds with what is served here, and is to be told now.
    pub(super) fn shown(
        &mut self,
        now: Now,
        primary: SocketAddr,
        shown: Comparison,
        is_set_aside: bool,
    ) -> bool {
        let Comparison { theirs, ours, differs } = shown;
        let has_followed = |left: &Left| {
            let is_between = theirs.covers(left.taken) && ours.covers(theirs) && !differs;
            is_between || theirs.is_newer_than(left.serial)
        };
        if let Some(left) = self.left.as_mut().filter(|left| has_followed(left)) {
            left.holdouts.retain(|holdout| *holdout != primary);
        }
        self.left.take_if(|left| left.holdouts.is_empty());
        let is_odd = is_set_aside || !theirs.is_newer_than(ours) && (theirs != ours || differs);
        if !is_odd {
            self.showings.retain(|showing| showing.primary != primary);
            return false;
        }
        let known = self.showings.iter().position(|showing| showing.primary == primary);
        let known = known.unwrap_or_else(|| {
            self.showings.push(Showing { primary, serial: theirs, since: now, is_told: false });
            self.showings.len() - 1
        });
        let showing = &mut self.showings[known];
        if !showing.is_told && showing.serial != theirs {
            // It has got on meanwhile, and so it does follow.
            showing.since = now;
        }
        showing.serial = theirs;
        let may_pass = matches!(Odd::of(theirs, ours), Odd::Older { .. });
        let is_due = !may_pass || now.mono.since(showing.since.mono) >= LASTING;
        is_due && !std::mem::replace(&mut showing.is_told, true)
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
        let told = self.showings.iter().filter(|showing| showing.is_told);
        told.map(move |showing| (showing.primary, Odd::of(showing.serial, ours), showing.since.utc))
    }
}

impl Refresh {
    /// The primaries that show something else than what is served and are not followed: what they show, and since when they are at odds.
    pub fn at_odds(&self) -> impl Iterator<Item = (SocketAddr, Odd, Utc)> {
        let own = self.have.as_ref().map(|have| have.timers().serial);
        own.into_iter().flat_map(|own| self.odds.against(own))
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
