//! The canonical order of names (RFC 4034 6.1): by label from the right, without case.
//!
//! [`SortKey`] holds a name as bytes that sort so, for tables with very many names, where finding the labels of two names anew at each
//! comparison would be most of the work. Its labels stand in lower case, the one nearest to the root first, each followed by a zero. A
//! zero or one in a label is written as two bytes, `01 01` and `01 02`, so that the end of a label sorts before whatever a longer one
//! has there.

use std::cmp::Ordering;

use super::name::{MAX_NAME, Name, NameRef};

impl NameRef {
    /// Compares in canonical order (RFC 4034 6.1): by label from the right, without case.
    pub fn canonical_cmp(&self, other: &NameRef) -> Ordering {
        let (count, others) = (self.label_count(), other.label_count());
        let mut mine = self.above(count.saturating_sub(others));
        let mut theirs = other.above(others.saturating_sub(count));
        // Labels are found from the left, and the rightmost pair that differs decides.
        let mut outcome = count.cmp(&others);
        while let Some(parents) = mine.parent().zip(theirs.parent()) {
            outcome = canonical_label_cmp(mine.first_label(), theirs.first_label()).then(outcome);
            (mine, theirs) = parents;
        }
        outcome
    }

    /// The name without its first labels.
    fn above(&self, labels: usize) -> &NameRef {
        (0..labels).fold(self, |name, _| name.parent().unwrap_or(name))
    }
}

/// Compares two labels as if all letters were small (RFC 4034 6.1).
fn canonical_label_cmp(a: &[u8], b: &[u8]) -> Ordering {
    for (a, b) in a.iter().zip(b) {
        // Most labels that are compared begin alike.
        if a != b {
            let outcome = a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase());
            if outcome.is_ne() {
                return outcome;
            }
        }
    }
    a.len().cmp(&b.len())
}

impl PartialOrd for NameRef {
    fn partial_cmp(&self, other: &NameRef) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NameRef {
    fn cmp(&self, other: &NameRef) -> Ordering {
        self.canonical_cmp(other)
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        self.canonical_cmp(other)
    }
}

/// A name to be sorted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SortKey(Box<[u8]>);

const END: u8 = 0;
const ESCAPE: u8 = 1;

impl SortKey {
    /// The key of a name.
    pub fn of(name: &NameRef) -> SortKey {
        let mut key = Vec::with_capacity(name.as_wire().len());
        for &start in name.label_starts().iter().rev() {
            for byte in name.suffix(start).first_label().iter().map(u8::to_ascii_lowercase) {
                match byte {
                    END | ESCAPE => key.extend([ESCAPE, byte + 1]),
                    _ => key.push(byte),
                }
            }
            key.push(END);
        }
        SortKey(key.into())
    }

    /// The name, in lower case.
    pub fn to_name(&self) -> Name {
        let mut wire = Vec::with_capacity(MAX_NAME);
        let labels: Vec<&[u8]> = self.0.split_inclusive(|&byte| byte == END).collect();
        for label in labels.into_iter().rev() {
            let start = wire.len();
            wire.push(0);
            let mut bytes = label.iter().take(label.len() - 1);
            while let Some(&byte) = bytes.next() {
                match byte {
                    ESCAPE => wire.extend(bytes.next().map(|byte| byte - 1)),
                    _ => wire.push(byte),
                }
            }
            // A label of a name has at most 63 bytes.
            wire[start] = (wire.len() - start - 1) as u8;
        }
        wire.push(0);
        NameRef::read_trusted(&wire).to_name()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Names of few and odd bytes, so that many are alike in part.
    fn names() -> impl Strategy<Value = Name> {
        let byte = prop::sample::select(vec![0, 1, 2, b'.', b'A', b'a', b'b', 0xff]);
        let labels = prop::collection::vec(prop::collection::vec(byte, 1..4), 0..4);
        labels.prop_map(|labels| {
            let label = |label: Vec<u8>| [vec![label.len() as u8], label].concat();
            let wire = labels.into_iter().map(label).chain([vec![0]]).collect::<Vec<_>>().concat();
            Name::from_wire(&wire).unwrap()
        })
    }

    proptest! {
        #[test]
        fn keys_sort_as_names_do(one in names(), other in names()) {
            prop_assert_eq!(SortKey::of(&one).cmp(&SortKey::of(&other)), one.canonical_cmp(&other));
        }

        #[test]
        fn a_key_holds_the_name(name in names()) {
            prop_assert_eq!(SortKey::of(&name).to_name(), name);
        }
    }
}
