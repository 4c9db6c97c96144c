//! What is answered from, who asks, and what became of a request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::publish::store::ZoneStore;
use crate::publish::zone::Zone;
use crate::resolve::cache::{Ask, Cache};
use crate::resolve::settings::Reach;
use crate::resolve::special_use::SpecialUse;
use crate::transfer::notify::Notify;
use crate::wire::cookie::Secrets;
use crate::wire::prefix::{self, Prefix};
use crate::wire::rtype::{Rcode, Rtype};
use crate::wire::via::Via;

/// What the data plane answers from.
#[derive(Clone)]
pub struct Served {
    /// The zones.
    pub store: Arc<ZoneStore>,
    /// The cache, when this node is one.
    pub recursion: Option<Recursion>,
    /// What NSID (RFC 5001) says.
    pub nsid: Option<Box<[u8]>>,
    /// What cookies are made with (RFC 7873).
    pub cookies: Arc<Secrets>,
}

/// Answers from elsewhere.
#[derive(Clone)]
pub struct Recursion {
    /// What is known.
    pub cache: Arc<Cache>,
    /// Who may ask.
    pub allow: Vec<Prefix>,
    /// The names that nobody else is asked for.
    pub special_use: SpecialUse,
    /// The names that others are asked for.
    pub reach: Reach,
}

impl Recursion {
    /// Whether this client may ask.
    pub(super) fn allows(&self, from: Client) -> bool {
        prefix::any_contains(&self.allow, from.addr.ip())
    }
}

/// Who sent a request.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Where replies go.
    pub addr: SocketAddr,
    /// By what it came.
    pub via: Via,
}

/// What became of a request.
#[derive(Debug)]
pub enum Outcome {
    /// The reply is written.
    Reply(Path),
    /// There is nothing to say.
    Drop,
    /// The zone is to be transferred over the connection the request came by; nothing is written.
    Transfer(Arc<Zone>),
    /// A NOTIFY was acknowledged: the reply is written, and the zone may have changed at this primary.
    Notified {
        /// Who says so.
        from: IpAddr,
        /// What it says.
        notify: Notify,
    },
    /// The resolver has to find this; [`super::respond::complete`] goes on then. Nothing is written.
    FollowUp(Ask),
}

/// Where a reply came from, for the measure of its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// A zone served here, or no data at all.
    Zone,
    /// A zone served here that was asked for its SOA, as secondaries do.
    Soa,
    /// The cache.
    Hit,
    /// Nowhere: a NOTIFY that is not listened to, because of this.
    Unheard(Rcode),
    /// Nowhere: the client may not have the zone that it asked to be transferred, or there is none, as this says.
    Withheld(Rcode),
}

impl Path {
    /// How a question of this type is answered from a zone.
    #[inline]
    pub(super) fn of(rtype: Rtype) -> Path {
        if rtype == Rtype::SOA { Path::Soa } else { Path::Zone }
    }
}
