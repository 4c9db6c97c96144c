//! Transfers: one of a few records is answered at once, like a question. Others are made in a task of their own, as the client
//! takes them, a few messages ahead.
//!
//! Messages go to the connection's worker many at a time, since each hand-over wakes it.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use crate::answer::context::{Client, Served};
use crate::answer::transfer::Transfer;
use crate::metrics::tally::Path;
use crate::publish::zone::Zone;
use crate::server::clock;
use crate::server::worker::respond::{Context, lock};
use crate::time::Now;
use crate::transfer::provide::MESSAGE_BYTES;
use crate::wire::message::Request;
use crate::wire::rtype::Rtype;

use super::framing;
use super::mailbox::{Mail, Mailbox, Ticket};

/// Bytes of messages that are handed over together, if there are so many.
const CHUNK: usize = 60 << 10;
/// Chunks that are made before the client has taken those before them.
const AHEAD: usize = 2;

/// What a transfer needs to know besides its zone.
pub(super) struct TransferRequest {
    pub(super) bytes: Vec<u8>,
    pub(super) from: Client,
    pub(super) began: Now,
    pub(super) ticket: Ticket,
}

/// The messages of a transfer, with their TCP lengths.
pub(super) enum Messages {
    /// All of them.
    Whole(Vec<u8>),
    /// Many at a time come out of this, and are announced by mail.
    Made(mpsc::Receiver<Vec<u8>>),
}

/// Begins to send a zone, or what changed of it.
pub(super) fn start(
    runtime: &tokio::runtime::Handle,
    turns: &Arc<Semaphore>,
    zone: Arc<Zone>,
    asked: TransferRequest,
    context: &Context,
    mailbox: &Arc<Mailbox>,
) -> Messages {
    // Who asks for a whole zone and waits for a turn keeps no version in memory meanwhile; who asks for differences does, which shares
    // with later ones what they have in common.
    let is_whole = Request::read(&asked.bytes).is_ok_and(|request| request.rtype == Rtype::AXFR);
    let begun = (!is_whole).then(|| Sending::begin(Arc::clone(&zone), &asked, context));
    let begun = match begun {
        Some(mut sending) if sending.transfer.is_short() => {
            let mut whole = Vec::new();
            while sending.write_next(&mut whole) {}
            sending.end(false);
            return Messages::Whole(whole);
        }
        begun => begun,
    };
    let (messages, taken) = mpsc::channel(AHEAD);
    let (turns, context, mailbox) = (Arc::clone(turns), context.clone(), Arc::clone(mailbox));
    runtime.spawn(async move {
        let ticket = asked.ticket;
        if let Ok(_turn) = turns.acquire_owned().await {
            let sending = begun.unwrap_or_else(|| Sending::begin(zone, &asked, &context));
            sending.give(ticket, &mailbox, &messages).await;
        }
        drop(messages);
        mailbox.post(Mail::Transfer(ticket));
    });
    Messages::Made(taken)
}

/// A transfer that has begun.
struct Sending {
    transfer: Transfer,
    /// Who asked, and what with, stays as it was when the transfer began.
    served: Arc<Served>,
    context: Context,
    began: Now,
    bytes: u64,
}

impl Sending {
    fn begin(zone: Arc<Zone>, asked: &TransferRequest, context: &Context) -> Sending {
        let began = asked.began;
        let served = context.served.load_full();
        let transfer = Transfer::begin(zone, &asked.bytes, began, asked.from, &mut lock(&context.stuck));
        Sending { transfer, served, context: context.clone(), began, bytes: 0 }
    }

    /// Hands over all messages, as the client takes them.
    async fn give(mut self, ticket: Ticket, mailbox: &Mailbox, messages: &mpsc::Sender<Vec<u8>>) {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK + 2 + MESSAGE_BYTES);
            while chunk.len() < CHUNK && self.write_next(&mut chunk) {}
            if chunk.is_empty() {
                return self.end(false);
            }
            if messages.send(chunk).await.is_err() {
                return self.end(true);
            }
            mailbox.post(Mail::Transfer(ticket));
        }
    }

    /// Appends the next message with its length; `false` when there are none left.
    fn write_next(&mut self, bytes: &mut Vec<u8>) -> bool {
        let (_, message) = framing::append(bytes, |bytes| self.transfer.write_next(&self.served, bytes));
        if message.is_empty() {
            return false;
        }
        self.bytes += message.len() as u64;
        let took = clock::mono().since(self.began.mono);
        self.context.tally.response(message, Path::Zone, took);
        true
    }

    /// Counts it.
    fn end(self, is_gone: bool) {
        let took = clock::mono().since(self.began.mono);
        let (kind, outcome) = match self.transfer.kind() {
            Ok(kind) => (kind.label(), if is_gone { "closed".to_owned() } else { "ok".to_owned() }),
            Err(rcode) => ("axfr", rcode.to_string()),
        };
        self.context.metrics.transferred("out", kind, &outcome, self.bytes, took);
    }
}
