//! Negative caching (RFC 2308).

use std::sync::{Arc, OnceLock};

use crate::wire::name::NameRef;
use crate::wire::rendered::Rendered;
use crate::wire::rtype::Rtype;

use super::owner::{Owner, Rrset};

/// For how long an answer that denies a name or a type may be believed: the lower of the SOA record's own TTL and its MINIMUM
/// field (section 5). The SOA record goes out with it (section 3).
pub fn ttl(soa_ttl: u32, soa: &[u8]) -> u32 {
    // MINIMUM is the last field; data that is no SOA is believed for no time.
    let minimum = soa.last_chunk::<4>().map_or(0, |minimum| u32::from_be_bytes(*minimum));
    soa_ttl.min(minimum)
}

/// The SOA record of a version's negative answers, without signatures. It is rendered for the first of them: most zones of a
/// server with very many are never asked for what they do not have.
#[derive(Clone, Debug, Default)]
pub(super) struct Soa(OnceLock<Option<Arc<Rendered>>>);

impl Soa {
    /// That of this apex, the same each time; `None` where it cannot be rendered.
    #[inline]
    pub(super) fn of<'z>(&self, apex: impl FnOnce() -> Owner<'z>) -> Option<&Rendered> {
        let render = || {
            let apex = apex();
            let soa = apex.rrset(Rtype::SOA)?;
            render(apex.name(), apex.name(), [soa.with_ttl(ttl(soa.ttl, soa.first()))]).map(Arc::new)
        };
        self.0.get_or_init(render).as_deref()
    }
}

/// Renders RRsets of one owner in the zone `apex`.
pub(super) fn render<'z>(
    apex: &NameRef,
    owner: &NameRef,
    sets: impl IntoIterator<Item = Rrset<'z>>,
) -> Option<Rendered> {
    let mut rendered = Rendered::new(apex);
    for set in sets {
        set.rdatas().try_for_each(|rdata| rendered.push(owner, set.rtype, set.ttl, rdata))?;
    }
    Some(rendered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_of_ttl_and_minimum() {
        let mut soa = [0; 22];
        soa[18..].copy_from_slice(&300_u32.to_be_bytes());
        assert_eq!((ttl(900, &soa), ttl(60, &soa), ttl(900, &[1, 2])), (300, 60, 0));
    }
}
