//! Serial numbers.

use serde::Deserialize;

/// What becomes of the serial when a zone's content changed and its serial did not grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// One more than before.
    #[default]
    Increment,
    /// Seconds since 1970.
    Unixtime,
    /// `YYYYMMDDnn`.
    Date,
    /// The change is refused.
    Keep,
}
