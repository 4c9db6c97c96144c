//! What files say of the zones they claim, and which of them goes on with one.

use crate::zone::digest::Digest;
use crate::zone::serial::Serial;

/// What counts of a zone's content where several files hold the zone: its serial, and its digest without that.
pub type Content = (Serial, Digest);

/// A file that says it holds a zone which it does not hold yet.
#[derive(Clone, Debug)]
pub(super) struct Claim<F> {
    pub(super) file: F,
    /// The index of the folder it was found in.
    pub(super) folder: Option<usize>,
    /// Nothing when the content cannot be served.
    pub(super) content: Option<Content>,
    /// The group at whose end that is decided; `None` once it was, and the file left out.
    pub(super) group: Option<u64>,
}

/// Whether no other file can have a better claim: this one has what was published last, or nothing was. Others wait until all files
/// were read that may hold the zone.
pub(super) fn is_beyond_doubt(content: Option<Content>, published: Option<Digest>) -> bool {
    published.is_none() || content.map(|(_, digest)| digest) == published
}

/// Which of these files holds a zone: the one with the content that was published last, as before this node was started again; else
/// the one with the newest serial (RFC 1982 3.2); else the first.
pub(super) fn best<F>(claims: &[Claim<F>], published: Option<Digest>) -> usize {
    let is_same = |claim: &Claim<F>| published.is_some() && is_beyond_doubt(claim.content, published);
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

    fn claim(serial: u32, content: u8) -> Claim<()> {
        let content = Some((Serial(serial), Digest::from_bytes([content; 32])));
        Claim { content, ..unreadable() }
    }

    fn unreadable() -> Claim<()> {
        Claim { file: (), folder: None, content: None, group: None }
    }

    fn digest(claim: &Claim<()>) -> Option<Digest> {
        claim.content.map(|(_, digest)| digest)
    }

    #[test]
    fn what_was_published_last_goes_on_whatever_the_serials() {
        let claims = [claim(9, 1), claim(3, 2), unreadable()];
        let published = digest(&claims[1]);
        assert_eq!(best(&claims, published), 1);
        let is_beyond_doubt = |index: usize| is_beyond_doubt(claims[index].content, published);
        assert_eq!([0, 1, 2].map(is_beyond_doubt), [false, true, false]);
    }

    #[test]
    fn else_the_newest_serial_goes_and_the_first_of_equals() {
        let around = [claim(u32::MAX, 1), claim(2, 2), claim(1, 3)];
        assert_eq!(best(&around, None), 1, "2 follows 4294967295");
        assert_eq!(best(&around, Some(Digest::from_bytes([9; 32]))), 1, "nobody has what was published");
        assert_eq!(best(&[claim(5, 1), claim(5, 2)], None), 0);
        // A file that cannot be served claims its zone only where no other does.
        assert_eq!(best(&[unreadable(), claim(1, 1)], None), 1);
        assert_eq!(best(&[unreadable(), unreadable()], None), 0);
        assert!(is_beyond_doubt(None, None));
    }
}
