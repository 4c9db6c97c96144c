//! Transfers as they are sent, for the tests of both sides.

use std::net::SocketAddr;
use std::sync::Arc;

use super::fixture::Node;
use super::ixfr_loop::Stuck;
use crate::answer::context::{Client, Served};
use crate::answer::transfer::Transfer;
use crate::time::Now;
use crate::wire::cookie::{Secret, Secrets};
use crate::wire::via::Via;

/// The messages of a transfer from a node.
pub(super) struct Given {
    served: Served,
    pub(super) transfer: Transfer,
}

pub(super) fn served(node: &Node) -> Served {
    let cookies = Arc::new(Secrets::new(Secret::new([7; 16]), Vec::new()));
    Served { store: Arc::clone(&node.store), recursion: None, nsid: None, cookies }
}

pub(super) fn given(node: &Node, request: &[u8], now: Now, client: SocketAddr, stuck: &mut Stuck) -> Given {
    let from = Client { addr: client, via: Via::Tcp };
    Given { served: served(node), transfer: Transfer::begin(node.zone(), request, now, from, stuck) }
}

impl Given {
    pub(super) fn with_message_bytes(self, bytes: usize) -> Given {
        Given { transfer: self.transfer.with_message_bytes(bytes), ..self }
    }
}

impl Iterator for Given {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut message = Vec::new();
        self.transfer.write_next(&self.served, &mut message).then_some(message)
    }
}
