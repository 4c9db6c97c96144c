//! What a node is to do with its zones: one type from the configuration to the machines, filled by `config` and by the simulator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::publish::access::Access;
use crate::wire::name::Name;
use crate::wire::prefix::Prefix;
use crate::zone::serial::Policy;

/// A configured zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneConfig {
    /// The apex.
    pub name: Name,
    /// The rest, which all zones of a folder share.
    pub options: Arc<ZoneOptions>,
}

/// What is configured for a zone, or for all zones of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneOptions {
    /// Where the content comes from.
    pub role: Role,
    /// Who is told of a change (RFC 1996).
    pub notify: Vec<SocketAddr>,
    /// Who may transfer the zone; nobody when empty.
    pub allow_transfer: Vec<Prefix>,
    /// Further servers whose serial is observed, besides those in `notify`.
    pub watch: Vec<SocketAddr>,
    /// For secondaries: primaries are asked for their serial at least so often; `None` for REFRESH alone.
    pub lease: Option<Duration>,
    /// For secondaries: the primaries pull the zone themselves, so that one which does not tell how fresh it is knows nothing of newer
    /// versions.
    pub from_secondaries: bool,
}

/// Where a zone's content comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// A zone file; what to do when its content changed and its serial did not grow.
    Primary(Policy),
    /// These servers, in this order of preference; at least one.
    Secondary(Vec<SocketAddr>),
}

impl Default for Role {
    fn default() -> Role {
        Role::Primary(Policy::default())
    }
}

impl ZoneConfig {
    /// A zone with options of its own.
    pub fn new(name: Name, options: ZoneOptions) -> ZoneConfig {
        ZoneConfig { name, options: Arc::new(options) }
    }
}

impl ZoneOptions {
    /// Whether the zone is pulled from other servers.
    pub fn is_secondary(&self) -> bool {
        matches!(self.role, Role::Secondary(_))
    }

    /// The servers that the zone is pulled from; none for a primary.
    pub fn primaries(&self) -> &[SocketAddr] {
        match &self.role {
            Role::Primary(_) => &[],
            Role::Secondary(primaries) => primaries,
        }
    }

    /// Who may do what with the zone.
    pub fn access(&self) -> Access {
        Access {
            secondary: self.is_secondary(),
            transfer: self.allow_transfer.clone(),
            notify: self.primaries().iter().map(|primary| primary.ip().to_canonical()).collect(),
        }
    }

    /// The servers that are watched: each once.
    pub fn servers(&self) -> Vec<SocketAddr> {
        let mut servers: Vec<SocketAddr> = self.notify.iter().chain(&self.watch).copied().collect();
        servers.sort_unstable();
        servers.dedup();
        servers
    }
}
