//! What a node is told, and what it has to say.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::ask::exchange::{Arrival, Token};
use crate::lag::Interval;
use crate::probe::observation;
use crate::publish::job::Done;
use crate::publish::journal::log::LogError;
use crate::publish::messages::Outside;
use crate::publish::proposal::ZoneFile;
use crate::publish::store::Publication;
use crate::time::remote::RemoteClock;
use crate::time::{Now, Utc};
use crate::transfer::notify::{self, Notify};
use crate::transfer::query::Kind;
use crate::transfer::reason::Reason;
use crate::transfer::refresh::{Newer, Odd};
use crate::wire::extended_error::ExtendedError;
use crate::wire::name::Name;
use crate::zone::serial::Serial;

use super::roster::{Changes, Removal};

/// What the node is told.
#[derive(Debug)]
pub enum Input {
    /// An exchange brought something.
    Arrival(Token, Arrival),
    /// A NOTIFY was acknowledged.
    Notified {
        /// Who sent it.
        from: IpAddr,
        /// What it says.
        notify: Notify,
    },
    /// Zones go, others come, or are to be had otherwise than before.
    Zones(Changes),
    /// Zone files were read: the content of each zone, or why it cannot be had.
    Files(Vec<(Name, Result<ZoneFile, String>)>),
    /// Zones that several files hold, each with what is to be said of that, and zones that only one holds now.
    Contested(Vec<(Name, Option<String>)>),
    /// A job of [`Effects::jobs`](super::effects::Effects::jobs) is done.
    Prepared(Done),
    /// A commit of [`Effects::commits`](super::effects::Effects::commits) is on stable storage, or failed as a whole.
    Committed {
        /// Which.
        ticket: u64,
        /// What came of it.
        result: Result<(), LogError>,
    },
    /// A secondary zone's primaries are to be asked now.
    Refresh {
        /// The zone.
        zone: Name,
        /// Whether to take the zone that the first of them has, whatever its serial.
        is_forced: bool,
    },
    /// A server of a stub zone answered a client's question from this version.
    Shown {
        /// The zone.
        zone: Name,
        /// Its serial there.
        serial: Serial,
    },
    /// The node answers queries and transfers from now on.
    Listening,
    /// Time has passed. Where very many zones are due, some of them are left for the next of these: others come between.
    Timeout,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A zone is configured.
    Added(Name),
    /// The node has a zone no more.
    Removed(Removal),
    /// A version is served.
    Published {
        /// Which.
        publication: Publication,
        /// When it was first heard of, for a secondary.
        heard: Option<Now>,
        /// The clock of who published it, where that is another node and known.
        publisher: Option<RemoteClock>,
        /// The present.
        now: Now,
    },
    /// A zone file's content is refused; what was served is served still.
    NotPublished {
        /// The zone.
        zone: Name,
        /// Why.
        why: String,
    },
    /// A zone file that was refused is in order again, with the content that is served, or the only one of its zone. Nothing changes.
    InOrderAgain(Name),
    /// A zone file came with the content that is served and a lower serial than the file had before. Nothing changes.
    SerialLowered {
        /// The zone.
        zone: Name,
        /// The serial in the file.
        file: Serial,
        /// The serial that was in the file before.
        before: Serial,
        /// The serial that is served.
        served: Serial,
    },
    /// A change could not be written down, and so is not served.
    NotKept {
        /// The zone.
        zone: Name,
        /// Why.
        why: String,
    },
    /// A secondary's content was found current.
    Confirmed {
        /// The zone.
        zone: Name,
        /// When the poll that found it so began.
        verified_at: Utc,
    },
    /// A NOTIFY came in.
    Heard {
        /// The zone.
        zone: Name,
        /// From whom.
        from: IpAddr,
        /// The serial it tells.
        serial: Option<Serial>,
    },
    /// Nothing is known of what a primary served before: its other servers are asked first.
    AskingOthers {
        /// The zone.
        zone: Name,
        /// How many they are.
        servers: usize,
        /// For how long they are waited for once they are asked.
        limit: Duration,
    },
    /// One of them has a version that is not known here: the primary goes on above it.
    Resumed {
        /// The zone.
        zone: Name,
        /// Who has it.
        server: SocketAddr,
        /// Its serial.
        serial: Serial,
        /// That in the zone file.
        file: Serial,
        /// The last one known here.
        known: Option<Serial>,
        /// Whether content may get another serial than the file has.
        may_number: bool,
    },
    /// A server of a primary zone shows a newer version than is served, once nothing is under way that may be above that.
    Ahead {
        /// The zone.
        zone: Name,
        /// The server.
        server: SocketAddr,
        /// The serial it shows.
        theirs: Serial,
        /// The one that is served here.
        own: Serial,
    },
    /// A newer version is known to exist.
    Behind(Name, Newer),
    /// A transfer is complete, and a version is to be made of it.
    Fetched {
        /// The zone.
        zone: Name,
        /// From which primary.
        from: SocketAddr,
    },
    /// What a transfer brought is served, or was found to change nothing.
    Pulled {
        /// The zone.
        zone: Name,
        /// From which primary.
        from: SocketAddr,
        /// How.
        kind: Kind,
        /// Bytes of its messages.
        bytes: u64,
        /// From the question to the last message.
        took: Duration,
    },
    /// A primary did not serve the purpose.
    PullFailed {
        /// The zone.
        zone: Name,
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
        /// Whether that has been told since the content was last found current, or of another zone since the primary was last reached.
        is_known: bool,
    },
    /// A primary shows something else than what is served, and is not followed; nothing fails by that.
    AtOdds {
        /// The zone.
        zone: Name,
        /// The primary.
        primary: SocketAddr,
        /// What it shows.
        odd: Odd,
    },
    /// What is served from now on came with records outside the zone.
    LeftOut {
        /// The zone.
        zone: Name,
        /// From which primary.
        primary: SocketAddr,
        /// How many, and which.
        outside: Outside,
    },
    /// A primary announced a serial and showed an older one for as long as it was asked.
    NotShown {
        /// The zone.
        zone: Name,
        /// The primary.
        primary: SocketAddr,
        /// What it announced.
        announced: Serial,
        /// What it showed last.
        shown: Serial,
    },
    /// A primary that could not be reached answers again.
    PrimaryBack(SocketAddr),
    /// The whole zone is pulled where differences were expected.
    Fallback {
        /// Of which zone.
        zone: Name,
        /// Why.
        reason: Reason,
        /// Whether it was so the last time, too.
        is_known: bool,
    },
    /// A secondary's content is not served any more.
    Expired(Name),
    /// What a former life of a secondary left had expired before this one began, by this machine's clock.
    ExpiredMeanwhile {
        /// The zone.
        zone: Name,
        /// From when on its EXPIRE was counted.
        from: Utc,
        /// How long ago that is.
        ago: Duration,
    },
    /// What a former life of a secondary wrote down is still to come: the clock was set back since.
    ClockSetBack {
        /// The zone.
        zone: Name,
        /// How far ahead that is.
        ahead: Duration,
    },
    /// A NOTIFY went out, and this came of it.
    Notify(Name, notify::Event),
    /// A watched server shows another serial than before.
    Observed {
        /// The zone.
        zone: Name,
        /// The server.
        server: SocketAddr,
        /// What it shows.
        serial: Serial,
        /// How long the version served here took to get there, when this is the first time it is seen there.
        propagation: Option<Interval>,
    },
    /// A watched server answers with what it serves, for the first time or again, or does so no more.
    Reachable {
        /// The zone.
        zone: Name,
        /// The server.
        server: SocketAddr,
        /// Whether it answers.
        up: bool,
        /// Whether it has answered before.
        again: bool,
        /// What is wrong with its answer, or why there is none.
        fault: Option<observation::Reason>,
    },
}
