//! Domain names of the test: labels, apart from tidemark's own, so that they do not share its mistakes.

use std::fmt::Write;

/// An absolute name; the root has no labels.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    pub labels: Vec<Vec<u8>>,
}

impl Name {
    /// From plain text such as `www.example.`; no escapes.
    pub fn plain(text: &str) -> Name {
        let labels = text.split('.').filter(|label| !label.is_empty()).map(|label| label.as_bytes().to_vec());
        Name { labels: labels.collect() }
    }

    /// From uncompressed wire form.
    pub fn from_wire(mut wire: &[u8]) -> Name {
        let mut labels = Vec::new();
        while let Some((&length, rest)) = wire.split_first().filter(|(length, _)| **length > 0) {
            let (label, behind) = rest.split_at(usize::from(length));
            labels.push(label.to_vec());
            wire = behind;
        }
        Name { labels }
    }

    /// The name with one more label in front.
    pub fn child(&self, label: &[u8]) -> Name {
        let mut labels = vec![label.to_vec()];
        labels.extend_from_slice(&self.labels);
        Name { labels }
    }

    /// The name without its first label; `None` for the root.
    pub fn parent(&self) -> Option<Name> {
        let (_, rest) = self.labels.split_first()?;
        Some(Name { labels: rest.to_vec() })
    }

    /// The name itself, its parent, and so on up to the root.
    pub fn up(&self) -> impl Iterator<Item = Name> {
        std::iter::successors(Some(self.clone()), Name::parent)
    }

    /// Whether this is `other` or below it; both in lower case.
    pub fn is_in(&self, other: &Name) -> bool {
        self.labels.ends_with(&other.labels)
    }

    /// Whether this is below `other`; both in lower case.
    pub fn is_below(&self, other: &Name) -> bool {
        self.is_in(other) && self.labels.len() > other.labels.len()
    }

    /// In lower case (RFC 4343).
    pub fn lower(&self) -> Name {
        Name { labels: self.labels.iter().map(|label| label.to_ascii_lowercase()).collect() }
    }

    /// Uncompressed wire form.
    pub fn wire(&self) -> Vec<u8> {
        let mut wire = Vec::new();
        for label in &self.labels {
            wire.push(label.len() as u8);
            wire.extend_from_slice(label);
        }
        wire.push(0);
        wire
    }

    /// Length of the wire form.
    pub fn len(&self) -> usize {
        1 + self.labels.iter().map(|label| 1 + label.len()).sum::<usize>()
    }

    /// Whether the name obeys the limits of RFC 1035 2.3.4.
    pub fn is_legal(&self) -> bool {
        self.len() <= 255 && self.labels.iter().all(|label| (1..=63).contains(&label.len()))
    }

    /// Presentation form, every byte but letters, digits, `-`, `_` and `*` escaped as `\DDD`.
    pub fn text(&self) -> String {
        if self.labels.is_empty() {
            return ".".to_owned();
        }
        let mut text = String::new();
        for label in &self.labels {
            for &byte in label {
                match byte {
                    b'-' | b'_' | b'*' => text.push(char::from(byte)),
                    _ if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
                    _ => write!(text, "\\{byte:03}").unwrap(),
                }
            }
            text.push('.');
        }
        text
    }
}
