//! What is left to do for a request behind the door of [`crate::answer`], the same for UDP, TCP and TLS.
//!
//! ```text
//!              Reply ──────────────────────────────────────▶ After::Reply
//!              Notified ── the control thread takes it ────▶ After::Reply
//!   outcome ──▶            └─ its queue is full ───────────▶ After::Silence
//!              FollowUp ── a resolver takes it ────────────▶ After::Owed
//!                          └─ there is none, or no room ───▶ After::Reply (SERVFAIL)
//!              Transfer ───────────────────────────────────▶ After::Transfer
//!              Drop ───────────────────────────────────────▶ After::Close
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use crate::answer::cached::turn_away;
use crate::answer::context::{self, Outcome, Served};
use crate::answer::door::Asked;
use crate::answer::reply::Reply;
use crate::metrics::registry::Metrics;
use crate::metrics::tally::{Path, Tally};
use crate::node::event::Input;
use crate::publish::zone::Zone;
use crate::server::control::Command;
use crate::time::Now;
use crate::transfer::ixfr_loop::Stuck;
use crate::wire::message::Request;

use super::refusals::Refusals;
use super::resolver::{FollowUp, Resolvers, Route};

/// What a thread needs to answer requests.
#[derive(Clone)]
pub struct Context {
    /// What is answered from; replaced when the configuration changes.
    pub served: Arc<ArcSwap<Served>>,
    /// Where misses go; `None` when this node is no cache.
    pub resolvers: Option<Resolvers>,
    /// Where NOTIFYs go.
    pub node: mpsc::Sender<Command>,
    /// The thread's counters.
    pub tally: Arc<Tally>,
    /// All other counters.
    pub metrics: Arc<Metrics>,
    /// Clients whose incremental transfers lead nowhere.
    pub stuck: Arc<Mutex<Stuck>>,
    /// What was logged of clients that may not have a zone.
    pub refusals: Arc<Mutex<Refusals>>,
}

/// What a transport has to do.
pub enum After {
    /// To send the reply, and to count it as one of this kind.
    Reply(Path),
    /// Nothing: the client will ask again.
    Silence,
    /// Nothing, and to end the connection: this is no client to talk to.
    Close,
    /// Nothing yet: the resolver sends the reply by the route.
    Owed,
    /// To send this zone, or what changed of it.
    Transfer(Arc<Zone>),
}

impl Context {
    /// Carries out the outcome of a request. `route` is asked for when the reply is to come later.
    pub fn carry_out(
        &self,
        outcome: Outcome,
        asked: Asked<'_>,
        served: &Served,
        now: Now,
        reply: &mut Reply,
        route: impl FnOnce() -> Route,
    ) -> After {
        match outcome {
            Outcome::Reply(context::Path::Zone) => After::Reply(Path::Zone),
            Outcome::Reply(context::Path::Soa) => {
                self.tally.soa(reply.as_bytes());
                After::Reply(Path::Zone)
            }
            Outcome::Reply(context::Path::Hit) => After::Reply(Path::Hit),
            Outcome::Reply(context::Path::Unheard(rcode)) => {
                self.metrics.unheard(rcode);
                After::Reply(Path::Zone)
            }
            Outcome::Reply(context::Path::Withheld(rcode)) => {
                if let Ok(request) = Request::read(asked.bytes) {
                    let client = asked.from.addr.ip();
                    lock(&self.refusals).refused(now.mono, request.name, client, request.rtype, rcode);
                }
                After::Reply(Path::Zone)
            }
            Outcome::Notified { from, notify } => {
                // Acknowledged only when it is sure to be acted on; the primary sends it again otherwise.
                match self.node.try_send(Command::Input(Input::Notified { from, notify })) {
                    Ok(()) => After::Reply(Path::Zone),
                    Err(_) => After::Silence,
                }
            }
            Outcome::FollowUp(ask) => {
                if let Some(resolvers) = &self.resolvers {
                    let (request, from) = (asked.bytes.to_vec(), asked.from);
                    let (fetched, route, began) = (Vec::new(), route(), now.mono);
                    let follow_up = FollowUp { ask, fetched, request, from, route, began };
                    match resolvers.ask(Box::new(follow_up)) {
                        Ok(()) => return After::Owed,
                        Err(refused) => refused.route.close(),
                    }
                }
                reply.append(|reply| turn_away(served, now, asked.bytes, asked.from, reply));
                After::Reply(Path::Miss)
            }
            Outcome::Transfer(zone) => After::Transfer(zone),
            Outcome::Drop => After::Close,
        }
    }
}

/// The guard of a lock that no panic can leave broken: what it guards is only ever replaced whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
