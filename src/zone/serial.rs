//! Serial numbers (RFC 1982) and what to do when an edited file's serial did not grow.

use std::cmp::Ordering;
use std::fmt;

use crate::time::Utc;

/// An SOA serial. Not `Ord`: RFC 1982 order is not transitive, and two serials 2^31 apart have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Serial(pub u32);

impl Serial {
    /// Whether `self` comes after `other` (RFC 1982 3.2). False both ways when they are 2^31 apart.
    pub fn is_newer_than(self, other: Serial) -> bool {
        self.compare(other) == Some(Ordering::Greater)
    }

    /// RFC 1982 3.2; `None` where the order is undefined.
    pub fn compare(self, other: Serial) -> Option<Ordering> {
        match self.0.wrapping_sub(other.0) {
            0 => Some(Ordering::Equal),
            1..0x8000_0000 => Some(Ordering::Greater),
            0x8000_0000 => None,
            _ => Some(Ordering::Less),
        }
    }

    /// Whether who has this version has got `wanted`: that serial or a newer one.
    pub fn covers(self, wanted: Serial) -> bool {
        matches!(self.compare(wanted), Some(Ordering::Equal | Ordering::Greater))
    }

    /// The next serial.
    pub fn next(self) -> Serial {
        Serial(self.0.wrapping_add(1))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which serial to publish when content changed but the file's serial did not grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// The served serial plus one.
    #[default]
    Increment,
    /// Seconds since 1970; the served serial plus one where that is not newer.
    Unixtime,
    /// YYYYMMDD00 of today (UTC); the served serial plus one where that is not newer.
    Date,
    /// None: the change is refused.
    Keep,
}

impl Policy {
    /// The serial that follows `served`; `None` when the change is to be refused.
    pub fn next(self, served: Serial, utc: Utc) -> Option<Serial> {
        let wanted = match self {
            Policy::Keep => return None,
            Policy::Increment => served.next(),
            Policy::Unixtime => Serial(utc.seconds() as u32),
            Policy::Date => {
                let (year, month, day) = utc.date();
                Serial(((year * 100 + month) * 100 + day).wrapping_mul(100))
            }
        };
        Some(if wanted.is_newer_than(served) { wanted } else { served.next() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_rfc_1982() {
        assert!(Serial(1).is_newer_than(Serial(0)));
        assert!(Serial(0).is_newer_than(Serial(u32::MAX)));
        assert!(Serial(0x8000_0000 - 1).is_newer_than(Serial(0)));
        assert_eq!(Serial(0x8000_0000).compare(Serial(0)), None);
        assert_eq!(Serial(u32::MAX).next(), Serial(0));
        assert!(Serial(0).covers(Serial(u32::MAX)) && Serial(7).covers(Serial(7)));
        assert!(!Serial(6).covers(Serial(7)) && !Serial(0x8000_0000).covers(Serial(0)));
    }

    #[test]
    fn policies() {
        let utc = Utc(1_518_700_000_000_000);
        assert_eq!(Policy::Increment.next(Serial(7), utc), Some(Serial(8)));
        assert_eq!(Policy::Unixtime.next(Serial(7), utc), Some(Serial(1_518_700_000)));
        assert_eq!(Policy::Unixtime.next(Serial(1_518_700_000), utc), Some(Serial(1_518_700_001)));
        assert_eq!(Policy::Date.next(Serial(7), utc), Some(Serial(2_018_021_500)));
        assert_eq!(Policy::Date.next(Serial(2_018_021_500), utc), Some(Serial(2_018_021_501)));
        assert_eq!(Policy::Keep.next(Serial(7), utc), None);
    }
}
