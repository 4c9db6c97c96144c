//! One request: answered at once, or handed on.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};

use crate::answer::cached::complete;
use crate::answer::context::{self, Outcome, Source};
use crate::answer::door::{self, Asked};
use crate::answer::reply::Reply;
use crate::metrics::tally::Path;
use crate::node::event::Input;
use crate::server::clock;
use crate::server::control::Command;
use crate::server::udp::Context;
use crate::server::worker::resolver::{FollowUp, Route};
use crate::time::Now;

use super::mailbox::{Mailbox, ReturnPath, Ticket};
use super::transfer::{self, Client};

/// What answers the requests of all connections of a worker.
pub(super) struct Responder {
    pub(super) context: Context,
    pub(super) mailbox: Arc<Mailbox>,
    /// Where transfers run.
    pub(super) runtime: Handle,
    /// Turns of transfers.
    pub(super) turns: Arc<Semaphore>,
    /// The time when the request began, and at its end the next.
    pub(super) now: Now,
    /// Requests so far.
    pub(super) requests: u64,
    /// The reply at hand.
    pub(super) reply: Reply,
}

/// What became of a request.
pub(super) enum After {
    /// It is done; if there was something to say, the reply is in the output.
    Done,
    /// A resolver was asked; mail will come.
    Owed,
    /// These messages are the reply.
    Transfer(mpsc::Receiver<Vec<u8>>),
    /// This is no client to talk to.
    Close,
}

impl Responder {
    /// Looks at the clock: requests are about to be answered.
    pub(super) fn begin(&mut self) {
        self.now.mono = clock::mono();
    }

    /// Answers one request: appends the reply with its length to `output`.
    pub(super) fn respond(
        &mut self,
        request: &[u8],
        from: Source,
        ticket: Ticket,
        output: &mut Vec<u8>,
    ) -> After {
        self.requests += 1;
        let start = output.len();
        output.extend_from_slice(&[0, 0]);
        let (after, path) = self.answer(request, from, ticket, output);
        match u16::try_from(output.len() - start - 2) {
            Ok(length) if path.is_some() && length > 0 => {
                output[start..start + 2].copy_from_slice(&length.to_be_bytes());
            }
            // There is no reply now. (A longer one cannot be: every writer of replies keeps to 65,535 bytes.)
            _ => output.truncate(start),
        }
        // Civil time may be that of the worker's round; spans are measured one by one.
        let began = std::mem::replace(&mut self.now.mono, clock::mono());
        if let Some(path) = path {
            let reply = output.get(start + 2..).unwrap_or_default();
            self.context.tally.response(reply, path, self.now.mono.since(began));
        }
        after
    }

    fn answer(
        &mut self,
        request: &[u8],
        from: Source,
        ticket: Ticket,
        output: &mut Vec<u8>,
    ) -> (After, Option<Path>) {
        let context = &self.context;
        context.tally.query(from.via, from.addr.is_ipv6());
        let served = context.served.load();
        let outcome = door::answer_one(&served, self.now, Asked { bytes: request, from }, &mut self.reply);
        output.extend_from_slice(self.reply.as_bytes());
        let path = match outcome {
            Outcome::Reply(context::Path::Zone) => Path::Zone,
            Outcome::Reply(context::Path::Hit) => Path::Hit,
            Outcome::Reply(context::Path::Unheard(rcode)) => {
                context.metrics.unheard(rcode);
                Path::Zone
            }
            Outcome::Drop => {
                context.tally.unanswered();
                return (After::Close, None);
            }
            Outcome::Notified { zone, from, serial } => {
                // Acknowledged only when it is sure to be acted on; the primary sends it again otherwise.
                if context.node.try_send(Command::Input(Input::Notified { zone, from, serial })).is_err() {
                    context.tally.unanswered();
                    return (After::Done, None);
                }
                Path::Zone
            }
            Outcome::FollowUp(ask) => {
                let Some(resolvers) = &context.resolvers else {
                    complete(&served, self.now, request, from, None, output);
                    return (After::Done, Some(Path::Miss));
                };
                let route = Route::Tcp(ReturnPath::new(&self.mailbox, ticket));
                let began = self.now.mono;
                let asked =
                    resolvers.ask(Box::new(FollowUp { ask, request: request.to_vec(), from, route, began }));
                if asked.is_ok() {
                    return (After::Owed, None);
                }
                complete(&served, self.now, request, from, None, output);
                // The way back that was not taken sends its mail all the same.
                return (After::Owed, Some(Path::Miss));
            }
            Outcome::Transfer(zone) => {
                let client = Client { request: request.to_vec(), from: from.addr, began: self.now, ticket };
                let messages =
                    transfer::start(&self.runtime, &self.turns, zone, client, context, &self.mailbox);
                return (After::Transfer(messages), None);
            }
        };
        (After::Done, Some(path))
    }
}
