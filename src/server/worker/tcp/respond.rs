//! One request: answered at once, or handed on.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::answer::context::Client;
use crate::answer::door::{self, Asked};
use crate::answer::reply::Reply;
use crate::metrics::tally::Path;
use crate::server::clock;
use crate::server::worker::resolver::Route;
use crate::server::worker::respond::{self, Context};
use crate::time::Now;

use super::framing;
use super::mailbox::{Mailbox, ReturnPath, Ticket};
use super::transfer::{self, Messages, TransferRequest};

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
    /// Nothing has been done since the worker looked at the clock.
    pub(super) fresh: bool,
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
    Transfer(Messages),
    /// This is no client to talk to.
    Close,
}

impl Responder {
    /// Begins a round of the worker.
    pub(super) fn begin_round(&mut self, now: Now) {
        self.now = now;
        self.fresh = true;
    }

    /// Looks at the clock if anything was done since that was done last: requests are about to be answered.
    pub(super) fn begin(&mut self) {
        if !std::mem::replace(&mut self.fresh, false) {
            self.now = self.now.at(clock::mono());
        }
    }

    /// Answers one request: appends the reply with its length to `output`.
    pub(super) fn respond(
        &mut self,
        request: &[u8],
        from: Client,
        ticket: Ticket,
        output: &mut Vec<u8>,
    ) -> After {
        self.requests += 1;
        let ((after, path), reply) = framing::append(output, |output| {
            let start = output.len();
            let (after, path) = self.answer(request, from, ticket, output);
            if path.is_none() {
                // There is no reply now.
                output.truncate(start);
            }
            (after, path)
        });
        let began = self.now.mono;
        self.now = self.now.at(clock::mono());
        if let Some(path) = path {
            self.context.tally.response(reply, path, self.now.mono.since(began));
        }
        after
    }

    fn answer(
        &mut self,
        request: &[u8],
        from: Client,
        ticket: Ticket,
        output: &mut Vec<u8>,
    ) -> (After, Option<Path>) {
        let context = &self.context;
        context.tally.query(from.via, from.addr.is_ipv6());
        let served = context.served.load();
        let asked = Asked { bytes: request, from };
        let outcome = door::answer_one(&served, self.now, asked, &mut self.reply);
        let route = || Route::Tcp(ReturnPath::new(&self.mailbox, ticket));
        match context.carry_out(outcome, asked, &served, self.now, &mut self.reply, route) {
            respond::After::Reply(path) => {
                output.extend_from_slice(self.reply.as_bytes());
                (After::Done, Some(path))
            }
            respond::After::Owed => (After::Owed, None),
            respond::After::Silence => {
                context.tally.unanswered();
                (After::Done, None)
            }
            respond::After::Close => {
                context.tally.unanswered();
                (After::Close, None)
            }
            respond::After::Transfer(zone) => {
                let asked = TransferRequest { bytes: request.to_vec(), from, began: self.now, ticket };
                let messages =
                    transfer::start(&self.runtime, &self.turns, zone, asked, context, &self.mailbox);
                (After::Transfer(messages), None)
            }
        }
    }
}
