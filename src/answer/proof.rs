//! Proofs of absence in the authority section: NSEC (RFC 4035 3.1.3) and NSEC3 (RFC 5155 7.2).
//!
//! | what is absent | NSEC | NSEC3 |
//! |---|---|---|
//! | type | at the name, or around an empty non-terminal | at the name; where that is opted out, closest encloser and next closer |
//! | name | around the name, around the wildcard | closest encloser, next closer, around the wildcard |
//! | name, wildcard answers | around the name | next closer |
//! | name, and the type at its wildcard | around the name, at the wildcard | closest encloser, next closer, at the wildcard |
//! | DS at a cut | as a type | as a type |
//!
//! Where a chain has holes, what is there is sent: the asker finds that it proves nothing.

use crate::wire::name::{MAX_NAME, NameRef};
use crate::wire::rtype::Rtype;
use crate::wire::writer::{Full, Section, Sections};
use crate::zone::owner::{Owner, SignedRrset};
use crate::zone::signed::{Link, Signed};

use super::view::{View, write};

/// Records of one answer that are not written twice: more than one proof takes, and a chain of names may need several.
const REMEMBERED: usize = 8;

/// The proofs of one answer.
#[derive(Default)]
pub(super) struct Proofs {
    /// Where the owners stand whose record is written; all live until the answer is done.
    written: [usize; REMEMBERED],
    count: usize,
}

impl Proofs {
    /// The name exists and lacks the type (RFC 4035 3.1.3.1, RFC 5155 7.2.3 and 7.2.4), or the cut has no DS (RFC 4035 3.1.4,
    /// RFC 5155 7.2.7).
    pub(super) fn no_data<'z, W: Sections<'z>>(
        &mut self,
        view: View<'z>,
        owner: Owner<'z>,
        writer: &mut W,
    ) -> Result<(), Full> {
        let Some(signed) = view.proofs else { return Ok(()) };
        if let Some(own) = signed.own(owner) {
            return self.write_set(owner, own, writer);
        }
        match signed.link(owner.name(), view.zone.apex()) {
            Some(link) if signed.chain() == Rtype::NSEC3 && !link.matches => {
                let name = owner.name();
                let Some(above) = name.parent() else { return Ok(()) };
                self.closest_encloser(view, signed, above, name, writer).map(|_| ())
            }
            link => self.write(view, link, writer),
        }
    }

    /// Neither the name nor a wildcard for it exists (RFC 4035 3.1.3.2, RFC 5155 7.2.2).
    pub(super) fn no_name<'z, W: Sections<'z>>(
        &mut self,
        view: View<'z>,
        name: &NameRef,
        writer: &mut W,
    ) -> Result<(), Full> {
        let Some(signed) = view.proofs else { return Ok(()) };
        let (mut encloser, next) = view.zone.closest_encloser(name);
        if signed.chain() == Rtype::NSEC3 {
            encloser = self.closest_encloser(view, signed, encloser, next, writer)?;
        } else {
            self.write(view, signed.link(name, view.zone.apex()), writer)?;
        }
        let apex = view.zone.apex();
        if encloser.as_wire().len() == apex.as_wire().len() {
            return self.write(view, signed.link_of_apex_wildcard(), writer);
        }
        let mut wire = [0; MAX_NAME];
        let Some(wildcard) = wildcard(encloser, &mut wire) else { return Ok(()) };
        self.write(view, signed.link(wildcard, apex), writer)
    }

    /// A wildcard answers for a name that does not exist (RFC 4035 3.1.3.3, RFC 5155 7.2.6).
    pub(super) fn synthesised<'z, W: Sections<'z>>(
        &mut self,
        view: View<'z>,
        name: &NameRef,
        writer: &mut W,
    ) -> Result<(), Full> {
        let Some(signed) = view.proofs else { return Ok(()) };
        let absent = match signed.chain() {
            Rtype::NSEC3 => view.zone.closest_encloser(name).1,
            _ => name,
        };
        self.write(view, signed.link(absent, view.zone.apex()), writer)
    }

    /// A wildcard speaks for a name and lacks the type (RFC 4035 3.1.3.4, RFC 5155 7.2.5).
    pub(super) fn wildcard_no_data<'z, W: Sections<'z>>(
        &mut self,
        view: View<'z>,
        name: &NameRef,
        wildcard: Owner<'z>,
        writer: &mut W,
    ) -> Result<(), Full> {
        let Some(signed) = view.proofs else { return Ok(()) };
        if signed.chain() == Rtype::NSEC3 {
            let (encloser, next) = view.zone.closest_encloser(name);
            self.closest_encloser(view, signed, encloser, next, writer)?;
        } else {
            self.write(view, signed.link(name, view.zone.apex()), writer)?;
        }
        match signed.own(wildcard) {
            Some(own) => self.write_set(wildcard, own, writer),
            None => self.write(view, signed.link(wildcard.name(), view.zone.apex()), writer),
        }
    }

    /// Writes the NSEC3 of the closest encloser that can be proved, `encloser` or a name above it (with opt-out some names have
    /// none, RFC 5155 7.2.1), and that which covers the name below it on the way to the absent one. `next` stands right below
    /// `encloser`. Returns the name proved.
    fn closest_encloser<'z, 'n, W: Sections<'z>>(
        &mut self,
        view: View<'z>,
        signed: &'z Signed,
        mut encloser: &'n NameRef,
        mut next: &'n NameRef,
        writer: &mut W,
    ) -> Result<&'n NameRef, Full> {
        let apex = view.zone.apex();
        loop {
            let link = signed.link(encloser, apex);
            let above = encloser.parent().filter(|_| *encloser != **apex);
            match (link, above) {
                (Some(link), Some(above)) if !link.matches => (next, encloser) = (encloser, above),
                (link, _) => {
                    self.write(view, link, writer)?;
                    self.write(view, signed.link(next, apex), writer)?;
                    return Ok(encloser);
                }
            }
        }
    }

    fn write<'z, W: Sections<'z>>(
        &mut self,
        view: View<'z>,
        link: Option<Link<'z>>,
        writer: &mut W,
    ) -> Result<(), Full> {
        let (Some(signed), Some(Link { owner, proof, .. })) = (view.proofs, link) else { return Ok(()) };
        if self.has(owner) {
            return Ok(());
        }
        if let Some(written) = proof.and_then(|proof| writer.rendered(Section::Authority, proof)) {
            self.note(owner);
            return written;
        }
        match owner.signed_rrset(signed.chain()) {
            Some(set) => self.write_set(owner, set, writer),
            None => Ok(()),
        }
    }

    fn write_set<'z, W: Sections<'z>>(
        &mut self,
        owner: Owner<'z>,
        set: SignedRrset<'z>,
        writer: &mut W,
    ) -> Result<(), Full> {
        if self.has(owner) {
            return Ok(());
        }
        self.note(owner);
        write(writer, Section::Authority, owner.name(), set)
    }

    fn has(&self, owner: Owner<'_>) -> bool {
        self.written[..self.count].contains(&place(owner))
    }

    fn note(&mut self, owner: Owner<'_>) {
        if let Some(free) = self.written.get_mut(self.count) {
            *free = place(owner);
            self.count += 1;
        }
    }
}

/// Where an owner's name stands in memory.
fn place(owner: Owner<'_>) -> usize {
    owner.name().as_wire().as_ptr().addr()
}

/// The wildcard below a name; `None` when it would be too long.
fn wildcard<'w>(encloser: &NameRef, wire: &'w mut [u8; MAX_NAME]) -> Option<&'w NameRef> {
    let encloser = encloser.as_wire();
    let wire = wire.get_mut(..2 + encloser.len())?;
    wire[..2].copy_from_slice(b"\x01*");
    wire[2..].copy_from_slice(encloser);
    NameRef::read(wire).ok()
}
