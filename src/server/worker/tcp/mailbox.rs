//! What comes back to a worker: replies of the resolvers, and word of transfers.

use std::sync::Arc;

use mio::Waker;

use crate::server::worker::mail;

/// Names one connection of a worker for all time: a place can be taken again, its number cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) slot: usize,
    pub(super) number: u64,
}

/// Something for a connection.
pub(super) enum Mail {
    /// The reply to a request that was handed on; empty when there will be none.
    Reply(Ticket, Vec<u8>),
    /// A transfer has made a message or has ended.
    Transfer(Ticket),
}

/// A worker's mail. What can lie in it is bounded by what its connections may be waiting for.
pub(super) struct Mailbox(mail::Mailbox<Mail>);

impl Mailbox {
    pub(super) fn new(waker: Waker) -> Mailbox {
        Mailbox(mail::Mailbox::new(waker, usize::MAX))
    }

    /// Puts something in, and wakes the worker if it has not been woken already.
    pub(super) fn post(&self, mail: Mail) {
        // Without a limit there is always room.
        let _ = self.0.post(mail);
    }

    /// Exchanges everything in it for an empty list.
    pub(super) fn take(&self, emptied: &mut Vec<Mail>) {
        self.0.take(emptied);
    }
}

/// The way back to one connection for one reply. A request that is given up answers nothing, but its connection learns that.
pub struct ReturnPath {
    mailbox: Arc<Mailbox>,
    ticket: Ticket,
    reply: Option<Vec<u8>>,
}

impl ReturnPath {
    pub(super) fn new(mailbox: &Arc<Mailbox>, ticket: Ticket) -> ReturnPath {
        ReturnPath { mailbox: Arc::clone(mailbox), ticket, reply: Some(Vec::new()) }
    }

    /// Sends the reply, without waiting.
    pub fn reply(mut self, reply: Vec<u8>) {
        self.reply = Some(reply);
    }

    /// Sends nothing: the connection does not wait for this reply.
    pub fn close(mut self) {
        self.reply = None;
    }
}

impl Drop for ReturnPath {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            self.mailbox.post(Mail::Reply(self.ticket, reply));
        }
    }
}
