//! Who may do what with a zone besides asking it.

use std::net::IpAddr;

use crate::wire::prefix::Prefix;

/// The access control list of a zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Whether the zone is pulled from elsewhere.
    pub secondary: bool,
    /// Who may transfer it.
    pub transfer: Vec<Prefix>,
    /// Whose NOTIFY is heard: the primaries' addresses.
    pub notify: Vec<IpAddr>,
}
