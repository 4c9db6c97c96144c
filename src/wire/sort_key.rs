//! Names as bytes that sort in canonical order (RFC 4034 6.1): for tables with very many names, where finding the labels of two names
//! anew at each comparison would be most of the work.
//!
//! Labels stand in lower case, the one nearest to the root first, each followed by a zero. A zero or one in a label is written as two
//! bytes, `01 01` and `01 02`, so that the end of a label sorts before whatever a longer one has there.

use super::name::{MAX_NAME, Name, NameRef};

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
