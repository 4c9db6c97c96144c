//! Domain names in uncompressed wire form (RFC 1035 3.1), case kept, compared without case (RFC 4343).
//!
//! [`Name`] owns, [`NameRef`] borrows, as `String` and `str` do. Both always hold a whole valid name: labels of 1 to 63
//! bytes, the root label last, at most 255 bytes in all.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use super::escape::unescape;

/// The longest name in wire form (RFC 1035 2.3.4).
pub const MAX_NAME: usize = 255;
/// The longest label (RFC 1035 2.3.4).
pub const MAX_LABEL: usize = 63;

/// An owned domain name; `clone` is cheap and shares.
#[derive(Clone)]
pub struct Name(Arc<[u8]>);

/// A borrowed domain name.
#[repr(transparent)]
pub struct NameRef([u8]);

/// Why some text or bytes are not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Two dots in a row, or a dot at the start.
    #[error("empty label")]
    EmptyLabel,
    /// A label of more than 63 bytes.
    #[error("label longer than 63 bytes")]
    LongLabel,
    /// More than 255 bytes in wire form.
    #[error("name longer than 255 bytes")]
    LongName,
    /// `\` not followed by a character or by three digits up to 255.
    #[error("bad escape: `\\` takes three digits up to 255 or one other character")]
    BadEscape,
    /// The text does not end in a dot and there is no origin to add.
    #[error("name is not fully qualified (no final dot)")]
    Relative,
    /// The bytes end inside the name.
    #[error("name runs past the end")]
    Truncated,
    /// A compression pointer where there may be none, or one that does not point backwards.
    #[error("bad compression pointer")]
    BadPointer,
}

impl NameRef {
    /// The root name, `.`.
    pub const ROOT: &'static NameRef = NameRef::wrap(&[0]);

    /// Takes bytes that are known to be one whole name.
    pub(super) const fn wrap(wire: &[u8]) -> &NameRef {
        // SAFETY: NameRef is a transparent wrapper around [u8], so the two references have one layout.
        unsafe { &*(wire as *const [u8] as *const NameRef) }
    }

    /// The uncompressed name at the start of `bytes`; what follows it is left alone.
    pub fn read(bytes: &[u8]) -> Result<&NameRef, NameError> {
        let mut at = 0;
        loop {
            let length = usize::from(*bytes.get(at).ok_or(NameError::Truncated)?);
            if length > MAX_LABEL {
                return Err(NameError::BadPointer);
            }
            at += 1 + length;
            if at > MAX_NAME {
                return Err(NameError::LongName);
            }
            if length == 0 {
                return Ok(NameRef::wrap(&bytes[..at]));
            }
        }
    }

    /// The name at the start of bytes that this crate wrote itself and so need no check (a zone's own data).
    ///
    /// Ends at the slice's end if the bytes are not a name after all.
    pub(crate) fn read_trusted(bytes: &[u8]) -> &NameRef {
        let mut at = 0;
        while let Some(&length) = bytes.get(at) {
            at += 1 + usize::from(length);
            if length == 0 {
                break;
            }
        }
        NameRef::wrap(&bytes[..at.min(bytes.len())])
    }

    /// The name that bytes are which this crate wrote itself, to their end; the root if there are none.
    #[inline]
    pub(crate) fn wrap_trusted(bytes: &[u8]) -> &NameRef {
        if bytes.is_empty() { NameRef::ROOT } else { NameRef::wrap(bytes) }
    }

    /// The wire form, uncompressed, with the root label.
    pub fn as_wire(&self) -> &[u8] {
        &self.0
    }

    /// The name as an owned one.
    pub fn to_name(&self) -> Name {
        Name(self.0.into())
    }

    /// Labels from the leftmost to the one below the root, without length bytes.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let mut rest = &self.0;
        std::iter::from_fn(move || {
            let length = usize::from(*rest.first()?);
            if length == 0 {
                return None;
            }
            let label = rest.get(1..=length)?;
            rest = &rest[1 + length..];
            Some(label)
        })
    }

    /// The leftmost label without its length byte; empty for the root.
    pub fn first_label(&self) -> &[u8] {
        // A name holds as many bytes as its first length byte says.
        &self.0[1..][..usize::from(self.0[0])]
    }

    /// How many labels, the root not counted.
    pub fn label_count(&self) -> usize {
        iter::successors(self.parent(), |name| name.parent()).count()
    }

    /// Whether this is `.`.
    pub fn is_root(&self) -> bool {
        self.0.len() == 1
    }

    /// Whether the leftmost label is `*` (RFC 4592 2.1.1).
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(b"\x01*")
    }

    /// The name without its leftmost label; `None` for the root.
    pub fn parent(&self) -> Option<&NameRef> {
        let length = usize::from(self.0[0]);
        (length != 0).then(|| NameRef::wrap(&self.0[1 + length..]))
    }

    /// Whether `self` is `zone` or below it.
    pub fn is_in(&self, zone: &NameRef) -> bool {
        let Some(skip) = self.0.len().checked_sub(zone.0.len()) else { return false };
        // Most names that are not in the zone end otherwise, and show it in a byte; only for the others it matters where labels begin.
        self.0[skip] == zone.0[0] && *self.suffix(skip as u8) == *zone && self.has_label_at(skip)
    }

    /// Whether a label (or the root) begins at `place`.
    pub(super) fn has_label_at(&self, place: usize) -> bool {
        let mut at = 0;
        while at < place {
            at += 1 + usize::from(self.0[at]);
        }
        at == place
    }

    /// `label` put in front of `self`.
    pub fn child(&self, label: &[u8]) -> Result<Name, NameError> {
        if label.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        if label.len() > MAX_LABEL {
            return Err(NameError::LongLabel);
        }
        if self.0.len() + 1 + label.len() > MAX_NAME {
            return Err(NameError::LongName);
        }
        let mut wire = Vec::with_capacity(self.0.len() + 1 + label.len());
        wire.push(label.len() as u8);
        wire.extend_from_slice(label);
        wire.extend_from_slice(&self.0);
        Ok(Name(wire.into()))
    }

    /// The name in lower case: its canonical form (RFC 4034 6.2).
    pub fn to_lowercase(&self) -> Name {
        Name(self.0.to_ascii_lowercase().into())
    }

    /// Where each label's length byte stands, leftmost first, the root label left out.
    pub fn label_starts(&self) -> LabelStarts {
        let mut starts = LabelStarts { at: [0; 128], len: 0 };
        let mut at = 0;
        while at + 1 < self.0.len() && starts.len < starts.at.len() {
            starts.at[starts.len] = at as u8;
            starts.len += 1;
            at += 1 + usize::from(self.0[at]);
        }
        starts
    }

    /// The part of the name that begins at `start`, which must be one of its [`NameRef::label_starts`].
    pub fn suffix(&self, start: u8) -> &NameRef {
        NameRef::wrap(&self.0[usize::from(start)..])
    }
}

/// Offsets of a name's labels; see [`NameRef::label_starts`].
pub struct LabelStarts {
    at: [u8; 128],
    len: usize,
}

impl Deref for LabelStarts {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.at[..self.len]
    }
}

impl Name {
    /// The root name, `.`.
    pub fn root() -> Name {
        NameRef::ROOT.to_name()
    }

    /// Reads presentation form (RFC 1035 5.1): relative text gets `origin` appended, `@` is the origin itself.
    pub fn parse(text: &[u8], origin: Option<&NameRef>) -> Result<Name, NameError> {
        match text {
            b"@" => return origin.map(NameRef::to_name).ok_or(NameError::Relative),
            b"." => return Ok(Name::root()),
            b"" => return Err(NameError::EmptyLabel),
            _ => {}
        }
        let mut wire: Vec<u8> =
            Vec::with_capacity(text.len() + 2 + origin.map_or(0, |origin| origin.0.len()));
        let mut label_start = 0;
        wire.push(0);
        let mut at = 0;
        let mut absolute = false;
        while at < text.len() {
            let byte = text[at];
            at += 1;
            let value = match byte {
                b'.' => {
                    if wire.len() - label_start == 1 {
                        return Err(NameError::EmptyLabel);
                    }
                    label_start = wire.len();
                    wire.push(0);
                    absolute = at == text.len();
                    continue;
                }
                b'\\' => {
                    let (value, taken) = unescape(&text[at..]).ok_or(NameError::BadEscape)?;
                    at += taken;
                    value
                }
                plain => plain,
            };
            wire.push(value);
            let length = wire.len() - label_start - 1;
            if length > MAX_LABEL {
                return Err(NameError::LongLabel);
            }
            wire[label_start] = length as u8;
        }
        if !absolute {
            wire.extend_from_slice(&origin.ok_or(NameError::Relative)?.0);
        }
        if wire.len() > MAX_NAME { Err(NameError::LongName) } else { Ok(Name(wire.into())) }
    }

    /// Takes bytes that are one whole uncompressed name.
    pub fn from_wire(wire: &[u8]) -> Result<Name, NameError> {
        let name = NameRef::read(wire)?;
        if name.0.len() == wire.len() { Ok(name.to_name()) } else { Err(NameError::LongName) }
    }

    /// Reads the name at `*at` of a message, following compression pointers (RFC 1035 4.1.4), and moves `*at` behind it.
    ///
    /// Each pointer must point before the place where the name (or the part reached by the last pointer) began, so a
    /// loop is impossible.
    pub fn read_compressed(message: &[u8], at: &mut usize) -> Result<Name, NameError> {
        let mut wire = [0; MAX_NAME];
        let length = decompress(message, at, &mut wire)?;
        Ok(Name(wire[..length].into()))
    }
}

/// Copies the possibly compressed name at `*at` into `wire`, moves `*at` behind it, and returns the length in `wire`.
pub fn decompress(message: &[u8], at: &mut usize, wire: &mut [u8; MAX_NAME]) -> Result<usize, NameError> {
    let mut written = 0;
    let mut from = *at;
    let mut fence = *at;
    let mut end = None;
    loop {
        let length = usize::from(*message.get(from).ok_or(NameError::Truncated)?);
        match length {
            0 => {
                *wire.get_mut(written).ok_or(NameError::LongName)? = 0;
                *at = end.unwrap_or(from + 1);
                return Ok(written + 1);
            }
            1..=MAX_LABEL => {
                let label = message.get(from..=from + length).ok_or(NameError::Truncated)?;
                wire.get_mut(written..written + label.len())
                    .ok_or(NameError::LongName)?
                    .copy_from_slice(label);
                written += label.len();
                from += label.len();
            }
            0xc0.. => {
                let low = usize::from(*message.get(from + 1).ok_or(NameError::Truncated)?);
                let target = ((length & 0x3f) << 8) | low;
                if target >= fence {
                    return Err(NameError::BadPointer);
                }
                end.get_or_insert(from + 2);
                (fence, from) = (target, target);
            }
            _ => return Err(NameError::BadPointer),
        }
    }
}

impl Deref for Name {
    type Target = NameRef;

    fn deref(&self) -> &NameRef {
        NameRef::wrap(&self.0)
    }
}

impl Borrow<NameRef> for Name {
    fn borrow(&self) -> &NameRef {
        self
    }
}

impl AsRef<NameRef> for Name {
    fn as_ref(&self) -> &NameRef {
        self
    }
}

impl PartialEq for NameRef {
    fn eq(&self, other: &NameRef) -> bool {
        // Length bytes are at most 63, below the letters, so folding case leaves them alone.
        self.0 == other.0 || self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for NameRef {}

impl Hash for NameRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        const LOWER: u64 = 0x2020_2020_2020_2020;
        // As few calls as can be: a hasher takes about as long for one byte as for many. Only the last label, the root's, is empty,
        // so that what fills the last eight bytes makes no two names alike.
        for piece in self.0.chunks(32) {
            let mut folded = [0; 32];
            folded[..piece.len()].copy_from_slice(piece);
            let (words, _) = folded.as_chunks_mut::<8>();
            // Folds case, and a few other pairs, which then have one hash and are different names all the same.
            words.iter_mut().for_each(|word| *word = (u64::from_ne_bytes(*word) | LOWER).to_ne_bytes());
            state.write(&folded[..piece.len().next_multiple_of(8)]);
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        **self == **other
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl FromStr for Name {
    type Err = NameError;

    /// Reads presentation form; the final dot may be left out.
    fn from_str(text: &str) -> Result<Name, NameError> {
        Name::parse(text.as_bytes(), Some(NameRef::ROOT))
    }
}

impl fmt::Display for NameRef {
    /// Presentation form with the final dot; special and unprintable bytes are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                        write!(f, "\\{}", byte as char)?
                    }
                    0x21..=0x7e => write!(f, "{}", byte as char)?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for NameRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&**self, f)
    }
}

impl serde::Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse()
            .map_err(|error| serde::de::Error::custom(format!("`{text}` is not a domain name: {error}")))
    }
}

#[cfg(test)]
mod tests;
