//! Name compression (RFC 1035 4.1.4), as far as all who write messages share it.

use super::name::NameRef;

/// The first two bits of a pointer.
pub(super) const POINTER: u16 = 0xc000;

/// A name whose first `literal` bytes stand at `at`, the rest by a pointer.
#[derive(Clone, Copy)]
pub(super) struct Known<'r> {
    pub(super) name: &'r NameRef,
    pub(super) at: u16,
    pub(super) literal: u8,
}

impl Known<'_> {
    /// Where `name` stands in this one, if it begins at one of the labels that were written out.
    #[inline]
    pub(super) fn find(&self, name: &NameRef) -> Option<u16> {
        if std::ptr::eq(self.name, name) {
            return Some(self.at);
        }
        let wire = self.name.as_wire();
        let skip = wire.len().checked_sub(name.as_wire().len())?;
        if skip >= usize::from(self.literal) {
            return None;
        }
        let suffix = self.name.suffix(skip as u8);
        (begin_alike(suffix, name) && suffix == name && self.name.has_label_at(skip))
            .then(|| self.at + skip as u16)
    }
}

/// Whether two names other than the root begin alike: most that differ do not, and are told apart by that.
#[inline]
pub(super) fn begin_alike(one: &NameRef, other: &NameRef) -> bool {
    let (one, other) = (one.as_wire(), other.as_wire());
    one[0] == other[0] && (one[1] ^ other[1]) & !0x20 == 0
}
