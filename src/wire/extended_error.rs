//! Extended DNS errors (RFC 8914): what a server says of why it answers as it does.

use std::fmt;

use super::edns::EDE;
use super::message::Message;

/// Characters of EXTRA-TEXT that are kept: it is for people to read, and ends up in lines of a log.
const MAX_TEXT: usize = 200;

/// The INFO-CODEs of RFC 8914 section 4, by number.
const NAMES: [&str; 25] = [
    "Other Error",
    "Unsupported DNSKEY Algorithm",
    "Unsupported DS Digest Type",
    "Stale Answer",
    "Forged Answer",
    "DNSSEC Indeterminate",
    "DNSSEC Bogus",
    "Signature Expired",
    "Signature Not Yet Valid",
    "DNSKEY Missing",
    "RRSIGs Missing",
    "No Zone Key Bit Set",
    "NSEC Missing",
    "Cached Error",
    "Not Ready",
    "Blocked",
    "Censored",
    "Filtered",
    "Prohibited",
    "Stale NXDOMAIN Answer",
    "Not Authoritative",
    "Not Supported",
    "No Reachable Authority",
    "Network Error",
    "Invalid Data",
];

/// An INFO-CODE, and what the server adds to it in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtendedError {
    /// The INFO-CODE.
    pub code: u16,
    text: String,
}

impl ExtendedError {
    /// The code of a server that was asked about a zone that it does not have.
    pub const NOT_AUTHORITATIVE: u16 = 20;

    /// The first one in a message.
    pub fn of(message: &Message) -> Option<ExtendedError> {
        message.option(EDE).and_then(ExtendedError::read)
    }

    /// Reads the value of the option; `None` when it is too short.
    pub fn read(value: &[u8]) -> Option<ExtendedError> {
        let (code, text) = value.split_first_chunk::<2>()?;
        // RFC 8914 2: it may be null terminated.
        let text = text.strip_suffix(&[0]).unwrap_or(text);
        let text = String::from_utf8_lossy(text).chars().take(MAX_TEXT).collect();
        Some(ExtendedError { code: u16::from_be_bytes(*code), text })
    }
}

impl fmt::Display for ExtendedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EDE {}", self.code)?;
        if let Some(name) = NAMES.get(usize::from(self.code)) {
            write!(f, " {name}")?;
        }
        if !self.text.is_empty() {
            f.write_str(": ")?;
        }
        self.text.chars().try_for_each(|c| match c {
            // What comes from the network must not pass for other lines, nor move a terminal's cursor.
            ' '..='~' if c != '\\' => write!(f, "{c}"),
            other => write!(f, "{}", other.escape_debug()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_shown_with_their_names_and_words() {
        for (value, expected) in [
            (&b"\0\x12"[..], "EDE 18 Prohibited"),
            (b"\0\x12it's not for \"you\"", "EDE 18 Prohibited: it's not for \"you\""),
            (b"\0\x14no such zone\0", "EDE 20 Not Authoritative: no such zone"),
            (b"\x12\x67", "EDE 4711"),
            (b"\0\0a\nb\x1b[2J\\", "EDE 0 Other Error: a\\nb\\u{1b}[2J\\\\"),
            ("\0\0für \u{202e}".as_bytes(), "EDE 0 Other Error: für \\u{202e}"),
            (b"\0\0\xff", "EDE 0 Other Error: \u{fffd}"),
        ] {
            assert_eq!(ExtendedError::read(value).unwrap().to_string(), expected);
        }
        assert_eq!(ExtendedError::read(b"\0"), None);
        let long = [&[0, 18][..], &[b'a'; 5_000]].concat();
        assert_eq!(ExtendedError::read(&long).unwrap().text.len(), MAX_TEXT);
    }
}
