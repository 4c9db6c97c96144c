//! Which zones a node has when several sources name one: the rules alone, for whoever looks at the sources.
//!
//! ```text
//! named in the configuration (by its primaries or its file)   first
//! a file in a folder that holds it and is there               next
//! another file that says it holds it                          only when that one has gone
//! ```
//!
//! Of files that claim a zone at the same time, [`best`] takes the one that keeps serials and content together over a restart.

use crate::zone::digest::Digest;
use crate::zone::serial::Serial;

/// What a zone comes from already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Other servers: the configuration makes it a secondary.
    Primaries,
    /// A file that the configuration names.
    Named,
    /// A file that was found in a folder.
    Found {
        /// Whether it is still there.
        is_there: bool,
    },
}

/// What a file that claims a zone says of its content; nothing when that cannot be served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// The serial, and the digest without it.
    pub content: Option<(Serial, Digest)>,
}

/// What becomes of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The file holds the zone.
    Holds,
    /// The file holds the zone from now on, in the place of one that has gone.
    TakesOver,
    /// It is left out: the configuration has the zone from other servers.
    IsElsewhere,
    /// It is left out: another file holds the zone.
    IsHeld,
}

/// Decides a file's claim to a zone.
pub fn decide(holder: Option<Holder>) -> Verdict {
    match holder {
        None => Verdict::Holds,
        Some(Holder::Found { is_there: false }) => Verdict::TakesOver,
        Some(Holder::Primaries) => Verdict::IsElsewhere,
        Some(Holder::Named | Holder::Found { is_there: true }) => Verdict::IsHeld,
    }
}

impl Claim {
    /// Whether no other file can have a better claim: it has what was published last, or nothing was. Others wait until all files
    /// were read that may hold the zone.
    pub fn is_beyond_doubt(self, published: Option<Digest>) -> bool {
        published.is_none() || self.digest() == published
    }

    fn digest(self) -> Option<Digest> {
        self.content.map(|(_, digest)| digest)
    }
}

/// Which of these files holds a zone: the one with the content that was published last, as before this node was started again; else
/// the one with the newest serial (RFC 1982 3.2); else the first.
pub fn best(claims: &[Claim], published: Option<Digest>) -> usize {
    let is_same = |claim: &Claim| published.is_some() && claim.digest() == published;
    claims.iter().position(is_same).unwrap_or_else(|| {
        let newer = |best: usize, at: usize| match (claims[best].content, claims[at].content) {
            (Some((best_serial, _)), Some((serial, _))) if serial.is_newer_than(best_serial) => at,
            (None, Some(_)) => at,
            _ => best,
        };
        (0..claims.len()).reduce(newer).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(serial: u32, content: u8) -> Claim {
        Claim { content: Some((Serial(serial), Digest::from_bytes([content; 32]))) }
    }

    #[test]
    fn a_file_gets_what_nobody_has_and_what_has_gone() {
        assert_eq!(decide(None), Verdict::Holds);
        assert_eq!(decide(Some(Holder::Found { is_there: false })), Verdict::TakesOver);
        assert_eq!(decide(Some(Holder::Found { is_there: true })), Verdict::IsHeld);
    }

    #[test]
    fn the_configuration_comes_before_folders() {
        assert_eq!(decide(Some(Holder::Primaries)), Verdict::IsElsewhere);
        // Even while its file is missing: whoever names a file means that one.
        assert_eq!(decide(Some(Holder::Named)), Verdict::IsHeld);
    }

    #[test]
    fn what_was_published_last_goes_on_whatever_the_serials() {
        let claims = [claim(9, 1), claim(3, 2), Claim::default()];
        let published = claims[1].digest();
        assert_eq!(best(&claims, published), 1);
        assert!(claims[1].is_beyond_doubt(published) && !claims[0].is_beyond_doubt(published));
        assert!(!Claim::default().is_beyond_doubt(published));
    }

    #[test]
    fn else_the_newest_serial_goes_and_the_first_of_equals() {
        let around = [claim(u32::MAX, 1), claim(2, 2), claim(1, 3)];
        assert_eq!(best(&around, None), 1, "2 follows 4294967295");
        assert_eq!(best(&around, Some(Digest::from_bytes([9; 32]))), 1, "nobody has what was published");
        assert_eq!(best(&[claim(5, 1), claim(5, 2)], None), 0);
        // A file that cannot be served claims its zone only where no other does.
        assert_eq!(best(&[Claim::default(), claim(1, 1)], None), 1);
        assert_eq!(best(&[Claim::default(), Claim::default()], None), 0);
        assert!(Claim::default().is_beyond_doubt(None));
    }
}
