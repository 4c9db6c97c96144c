//! The end of an answer from a zone: what follows the answer section (RFC 1034 4.3.2 steps 3b, 3c and 6).

use crate::wire::name::NameRef;
use crate::wire::rtype::Rcode;
use crate::wire::writer::{Full, Sections};
use crate::zone::owner::{Owner, Rrset};

use super::proof::Proofs;
use super::view::View;
use super::{additional, referral};

/// What remains to be written behind the answer section.
pub(super) struct End<'z> {
    /// The response code.
    pub(super) rcode: Rcode,
    /// The authority section.
    pub(super) authority: Authority<'z>,
    /// The RRset whose hosts go into the additional section.
    pub(super) additional: Option<Rrset<'z>>,
}

/// What the authority section has to say.
pub(super) enum Authority<'z> {
    Nothing,
    /// The proof that a wildcard may speak for the name.
    Synthesised,
    /// No data of the type at the name.
    NoData(Owner<'z>),
    /// None at the wildcard that speaks for the name.
    WildcardNoData(Owner<'z>),
    NoName,
    Referral(Owner<'z>),
}

impl<'z> Authority<'z> {
    /// For `owner`, found at the name or as the wildcard that speaks for it.
    pub(super) fn no_data(owner: Owner<'z>, is_wildcard: bool) -> Authority<'z> {
        if is_wildcard { Authority::WildcardNoData(owner) } else { Authority::NoData(owner) }
    }
}

impl<'z> End<'z> {
    /// Writes authority and additional section for `name`, with the proofs that `more` adds.
    #[inline]
    pub(super) fn write<W: Sections<'z>>(
        self,
        view: View<'z>,
        name: &NameRef,
        more: impl FnOnce(&mut Proofs, &mut W) -> Result<(), Full>,
        writer: &mut W,
    ) -> Result<(), Full> {
        let mut proofs = Proofs::default();
        match self.authority {
            Authority::Nothing => {}
            Authority::Synthesised => proofs.synthesised(view, name, writer)?,
            Authority::NoData(owner) => {
                view.write_soa(writer)?;
                proofs.no_data(view, owner, writer)?;
            }
            Authority::WildcardNoData(wildcard) => {
                view.write_soa(writer)?;
                proofs.wildcard_no_data(view, name, wildcard, writer)?;
            }
            Authority::NoName => {
                view.write_soa(writer)?;
                proofs.no_name(view, name, writer)?;
            }
            Authority::Referral(cut) => referral::authority(view, cut, &mut proofs, writer)?,
        }
        more(&mut proofs, writer)?;
        if let Authority::Referral(cut) = self.authority {
            referral::glue(view, cut, writer)?;
        }
        if let Some(set) = self.additional.filter(|set| additional::names_hosts(set.rtype)) {
            // Useful, but never worth a truncated answer.
            let _ = additional::of(view, name, set, writer);
        }
        Ok(())
    }
}
