//! Transfers: made in a task of their own, as the client takes them, a few messages ahead.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};

use crate::metrics::tally::Path;
use crate::publish::zone::Zone;
use crate::server::clock;
use crate::server::udp::{Context, lock};
use crate::time::Now;
use crate::transfer::provide::provide;
use crate::wire::message::Request;

use super::mailbox::{Mail, Mailbox, Ticket};

/// Messages that are made before the client has taken those before them.
const AHEAD: usize = 8;

/// What a transfer needs to know besides its zone.
pub(super) struct Client {
    pub(super) request: Vec<u8>,
    pub(super) from: SocketAddr,
    pub(super) began: Now,
    pub(super) ticket: Ticket,
}

/// Begins to send a zone, or what changed of it; its messages come out of the receiver, each announced by mail.
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
            give(&zone, &client, &context, &mailbox, &messages).await;
        }
        drop(messages);
        mailbox.post(Mail::Transfer(ticket));
    });
    taken
}

async fn give(
    zone: &Zone,
    client: &Client,
    context: &Context,
    mailbox: &Mailbox,
    messages: &mpsc::Sender<Vec<u8>>,
) {
    let Ok(request) = Request::read(&client.request) else { return };
    let began = client.began;
    let transfer = provide(zone, &request, began, client.from.ip(), &mut lock(&context.stuck));
    let kind = transfer.kind();
    let mut bytes = 0;
    let mut gone = false;
    for message in transfer {
        context.tally.response(&message, Path::Zone, clock::now().mono.since(began.mono));
        bytes += message.len() as u64;
        if messages.send(message).await.is_err() {
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
