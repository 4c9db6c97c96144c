//! What files say of the zones they claim, and which of them goes on with one.

use crate::zone::digest::Digest;
use crate::zone::serial::Serial;

/// What counts of a zone's content where several files hold the zone: its serial, and its digest without that.
pub type Content = (Serial, Digest);

/// How the name of a file stands to the zone that it claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the zone's, or the file was named by itself: nobody who looks for the zone would take another for it.
    Namesake,
    /// It is not, and no file has that name.
    Alone,
    /// It is not, and another file has that name.
    Behind,
}

/// A file that says it holds a zone which it does not hold yet.
#[derive(Clone, Debug)]
pub(super) struct Claim<F> {
    pub(super) file: F,
    /// The index of the folder it was found in.
    pub(super) folder: Option<usize>,
    pub(super) standing: Standing,
    /// Nothing when the content cannot be served.
    pub(super) content: Option<Content>,
    /// The group at whose end that is decided; `None` once it was, and the file left out.
    pub(super) group: Option<u64>,
}

/// Whether no other file can have a better claim: this one is named like the zone, or has what was published last while no other is named
/// so. `is_first_come` says that where nothing was published, the first file is as good as any. Others wait until all files were read
/// that may hold the zone.
pub(super) fn is_beyond_doubt(
    standing: Standing,
    content: Option<Content>,
    published: Option<Digest>,
    is_first_come: bool,
) -> bool {
    match standing {
        Standing::Namesake => true,
        Standing::Alone if published.is_none() => is_first_come,
        Standing::Alone => is_same(content, published),
        Standing::Behind => false,
    }
}

/// Whether this is what was published last.
fn is_same(content: Option<Content>, published: Option<Digest>) -> bool {
    published.is_some() && content.map(|(_, digest)| digest) == published
}

/// Which of these files holds a zone. One that is named like the zone goes before all others: those may be copies of it. Then the one
/// with the content that was published last, as before this node was started again; else the one with the newest serial (RFC 1982 3.2);
/// else the first.
pub(super) fn best<F>(claims: &[Claim<F>], published: Option<Digest>) -> usize {
    let is_namesake = |claim: &Claim<F>| claim.standing == Standing::Namesake;
    let has_namesake = claims.iter().any(is_namesake);
    let first = (0..claims.len()).filter(|at| !has_namesake || is_namesake(&claims[*at]));
    first.clone().find(|at| is_same(claims[*at].content, published)).unwrap_or_else(|| {
        let newer = |best: usize, at: usize| match (claims[best].content, claims[at].content) {
            (Some((best_serial, _)), Some((serial, _))) if serial.is_newer_than(best_serial) => at,
            (None, Some(_)) => at,
            _ => best,
        };
        first.reduce(newer).unwrap_or_default()
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
        Claim { file: (), folder: None, standing: Standing::Alone, content: None, group: None }
    }

    fn namesake(claim: Claim<()>) -> Claim<()> {
        Claim { standing: Standing::Namesake, ..claim }
    }

    fn digest(claim: &Claim<()>) -> Option<Digest> {
        claim.content.map(|(_, digest)| digest)
    }

    #[test]
    fn what_was_published_last_goes_on_whatever_the_serials() {
        let claims = [claim(9, 1), claim(3, 2), unreadable()];
        let published = digest(&claims[1]);
        assert_eq!(best(&claims, published), 1);
        let is_beyond_doubt =
            |index: usize| is_beyond_doubt(Standing::Alone, claims[index].content, published, true);
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
    }

    #[test]
    fn the_file_named_like_the_zone_goes_before_all_others() {
        let claims = [claim(12, 1), namesake(claim(11, 2)), claim(13, 3)];
        assert_eq!(best(&claims, None), 1);
        assert_eq!(best(&claims, digest(&claims[0])), 1, "a copy has what was published last");
        // A mistake in it does not bring a copy back.
        assert_eq!(best(&[claim(12, 1), namesake(unreadable())], None), 1);
        // With and without the last dot.
        assert_eq!(best(&[claim(9, 0), namesake(claim(1, 1)), namesake(claim(2, 2))], None), 2);
    }

    #[test]
    fn only_a_better_claim_is_waited_for() {
        let (content, other) = (claim(1, 1).content, Some(Digest::from_bytes([9; 32])));
        let same = content.map(|(_, digest)| digest);
        let is_sure = |standing, published| {
            [true, false].map(|is_first_come| is_beyond_doubt(standing, content, published, is_first_come))
        };
        for published in [None, same, other] {
            assert_eq!(is_sure(Standing::Namesake, published), [true, true]);
            assert_eq!(is_sure(Standing::Behind, published), [false, false]);
        }
        assert_eq!(
            [None, same, other].map(|it| is_sure(Standing::Alone, it)),
            [[true, false], [true, true], [false, false]]
        );
    }
}
