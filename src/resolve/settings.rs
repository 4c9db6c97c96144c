//! What the resolvers are told: which servers to ask for which zone.

use std::net::SocketAddr;

use crate::wire::name::{Name, NameRef};

/// Where questions go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Zones whose names recursive servers are asked for.
    pub forward: Vec<Zone>,
    /// Zones whose names authoritative servers are asked for; no zone stands both here and in `forward`.
    pub stub: Vec<Zone>,
    /// Whether servers are asked over IPv4.
    pub ipv4: bool,
    /// Whether servers are asked over IPv6.
    pub ipv6: bool,
}

/// A zone with the servers to ask for names in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The apex; of several zones that hold a name, the longest counts.
    pub zone: Name,
    /// At least one, and one at least of a family that may be used.
    pub servers: Vec<SocketAddr>,
}

impl Config {
    /// Whether a server's family is allowed.
    pub fn usable(&self, server: &SocketAddr) -> bool {
        if server.is_ipv4() { self.ipv4 } else { self.ipv6 }
    }
}

/// For which names anybody is asked at all.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    zones: Vec<Name>,
}

impl Reach {
    /// Those of these routes.
    pub fn of(routes: &Config) -> Reach {
        Reach { zones: routes.forward.iter().chain(&routes.stub).map(|route| route.zone.clone()).collect() }
    }

    /// Whether somebody is asked for this name.
    pub fn covers(&self, name: &NameRef) -> bool {
        self.zones.iter().any(|zone| name.is_in(zone))
    }
}

impl Default for Config {
    /// Nobody to ask, over both families.
    fn default() -> Config {
        Config { forward: Vec::new(), stub: Vec::new(), ipv4: true, ipv6: true }
    }
}
