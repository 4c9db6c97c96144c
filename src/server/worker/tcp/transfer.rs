//! Transfers: made in a task of their own, as the client takes them, a few messages ahead.
//!
//! Messages go to the connection's worker many at a time, since each hand-over wakes it.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use crate::answer::context::Source;
use crate::answer::transfer::Transfer;
use crate::metrics::tally::Path;
use crate::publish::zone::Zone;
use crate::server::clock;
use crate::server::worker::respond::{Context, lock};
use crate::time::Now;
use crate::transfer::provide::MESSAGE_BYTES;

use super::mailbox::{Mail, Mailbox, Ticket};

/// Bytes of messages that are handed over together, if there are so many.
const CHUNK: usize = 60 << 10;
/// Chunks that are made before the client has taken those before them.
const AHEAD: usize = 2;

/// What a transfer needs to know besides its zone.
pub(super) struct Client {
    pub(super) request: Vec<u8>,
    pub(super) from: Source,
    pub(super) began: Now,
    pub(super) ticket: Ticket,
}

/// Begins to send a zone, or what changed of it; its messages come out of the receiver with their TCP lengths, many
/// at a time, and announced by mail.
pub(super) fn start(
    runtime: &tokio::runtime::Handle,
    turns: &Arc<Semaphore>,
    zone: Arc<Zone>,
    client: Client,
    context: &Context,
    mailbox: &Arc<Mailbox>,
) -> mpsc::Receiver<Vec<u8>> {
    let (messages, taken) = mpsc::channel(AHEAD);
    let (turns, context, mailbox) = (Arc::clone(turns), context.clone(), Arc::clone(mailbox));
    runtime.spawn(async move {
        let ticket = client.ticket;
        if let Ok(_turn) = turns.acquire_owned().await {
            give(zone, &client, &context, &mailbox, &messages).await;
        }
        drop(messages);
        mailbox.post(Mail::Transfer(ticket));
    });
    taken
}

async fn give(
    zone: Arc<Zone>,
    client: &Client,
    context: &Context,
    mailbox: &Mailbox,
    messages: &mpsc::Sender<Vec<u8>>,
) {
    let began = client.began;
    // Who asked, and what with, stays as it was when the transfer began.
    let served = context.served.load_full();
    let mut transfer = Transfer::begin(zone, &client.request, began, client.from, &mut lock(&context.stuck));
    let kind = transfer.kind();
    let mut bytes = 0;
    let mut gone = false;
    loop {
        let mut chunk = Vec::with_capacity(CHUNK + 2 + MESSAGE_BYTES);
        while chunk.len() < CHUNK {
            let start = chunk.len();
            chunk.extend_from_slice(&[0, 0]);
            let length = match transfer.write_next(&served, &mut chunk) {
                // No message is longer than a length can say.
                true => u16::try_from(chunk.len() - start - 2).unwrap_or_default(),
                false => 0,
            };
            if length == 0 {
                chunk.truncate(start);
                break;
            }
            chunk[start..start + 2].copy_from_slice(&length.to_be_bytes());
            bytes += u64::from(length);
            let took = clock::mono().since(began.mono);
            context.tally.response(&chunk[start + 2..], Path::Zone, took);
        }
        if chunk.is_empty() {
            break;
        }
        if messages.send(chunk).await.is_err() {
            gone = true;
            break;
        }
        mailbox.post(Mail::Transfer(client.ticket));
    }
    let took = clock::now().mono.since(began.mono);
    match kind {
        Ok(kind) => {
            context.metrics.transferred("out", kind.label(), if gone { "closed" } else { "ok" }, bytes, took)
        }
        Err(rcode) => context.metrics.transferred("out", "axfr", &rcode.to_string(), bytes, took),
    }
}
