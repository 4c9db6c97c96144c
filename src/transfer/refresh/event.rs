//! What a zone's refresh machine has to say.

use std::net::SocketAddr;
use std::time::Duration;

use crate::publish::messages::Outside;
use crate::publish::proposal::Proposal;
use crate::time::{Mono, Utc};
use crate::wire::extended_error::ExtendedError;
use crate::zone::serial::Serial;

use super::super::query::Kind;
use super::super::reason::Reason;
use super::{Newer, Odd};

/// What came of it.
#[derive(Debug)]
pub enum Event {
    /// A transfer is complete. Whoever composes the node publishes it and answers with [`super::Refresh::published`].
    Fetched {
        /// To be published.
        proposal: Box<Proposal>,
        /// From which primary.
        from: SocketAddr,
    },
    /// What it brought is served, or was found to change nothing.
    Pulled {
        /// How it came.
        kind: Kind,
        /// From which primary.
        from: SocketAddr,
        /// Bytes of its messages.
        bytes: u64,
        /// From the question to the last message.
        took: Duration,
    },
    /// What is served was found current, or has just been replaced by what is.
    Confirmed {
        /// By whom.
        primary: SocketAddr,
        /// When the question was asked that found it so.
        verified_at: Utc,
        /// Since when no newer version can have existed, by what the primary says of itself; `None` when that is not known.
        fresh_at: Option<Mono>,
        /// When it expires unless confirmed again.
        expires_at: Mono,
        /// From when on EXPIRE is counted by that: `verified_at`, less what the primary had used up of it (RFC 7314).
        counted_from: Utc,
    },
    /// A newer version is known to exist.
    Behind(Newer),
    /// A primary did not serve the purpose; the next one is tried.
    Failed {
        /// The primary.
        primary: SocketAddr,
        /// What was asked.
        kind: Kind,
        /// Why it failed.
        reason: Reason,
        /// What the primary says of that.
        because: Option<ExtendedError>,
        /// What exactly is wrong with what it sent, or with storing that.
        detail: Option<String>,
    },
    /// A primary shows something else than what is served, and is not followed. Nothing fails by that.
    AtOdds {
        /// The primary.
        primary: SocketAddr,
        /// What it shows.
        odd: Odd,
    },
    /// What is served from now on came with records outside the zone.
    LeftOut {
        /// From which primary.
        primary: SocketAddr,
        /// How many, and which.
        outside: Outside,
    },
    /// A primary announced a serial, was asked for it some times, and showed an older one to the end.
    NotShown {
        /// The primary.
        primary: SocketAddr,
        /// What it announced.
        announced: Serial,
        /// What it showed last.
        shown: Serial,
    },
    /// The whole zone is pulled (or came) where differences were expected.
    Fallback {
        /// Why.
        reason: Reason,
    },
    /// EXPIRE has passed, at this time, without an answer to the purpose: the zone must not be served any more.
    Expired(Utc),
}

impl Event {
    pub(super) fn failed(primary: SocketAddr, kind: Kind, reason: Reason) -> Event {
        Event::Failed { primary, kind, reason, because: None, detail: None }
    }
}
