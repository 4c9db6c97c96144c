//! Runs the resolvers, one task per worker. A question always goes to the same one (by the hash of its name and type), so
//! there is one flight per question, and no resolver waits for another.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;

use crate::answer::cached::complete;
use crate::answer::context::{Served, Source};
use crate::ask::exchange::{Arrival, Outbox, Token};
use crate::metrics::registry::Metrics;
use crate::metrics::tally::{Path, Tally};
use crate::resolve::cache::{Ask, Cache};
use crate::resolve::resolver::{Config, Event, Resolver};
use crate::time::Mono;
use crate::wire::name::hash_name;

use super::clock;
use super::exchange::Exchanges;
use super::tcp::mailbox::ReturnPath;

/// Requests that may wait for one resolver; more are turned away at once.
const QUEUE: usize = 4_096;

/// A request that the cache could not answer.
pub struct FollowUp {
    /// The question.
    pub ask: Ask,
    /// The request, to be answered in its own terms.
    pub request: Vec<u8>,
    /// Who asks.
    pub from: Source,
    /// How the reply gets there.
    pub route: Route,
    /// When the request arrived.
    pub began: Mono,
}

/// How a reply gets to its client.
pub enum Route {
    /// From the socket that the request came to.
    Udp(Arc<UdpSocket>, SocketAddr),
    /// To its connection.
    Tcp(ReturnPath),
}

/// The way to the resolvers.
#[derive(Clone)]
pub struct Resolvers {
    queues: Arc<[mpsc::Sender<Input>]>,
}

enum Input {
    Ask(Box<FollowUp>),
    Arrival(Token, Arrival),
}

impl Resolvers {
    /// Starts `count` resolvers within the current tokio runtime.
    pub fn start(
        count: usize,
        config: &Config,
        cache: &Arc<Cache>,
        served: &Arc<ArcSwap<Served>>,
        metrics: &Arc<Metrics>,
    ) -> Resolvers {
        let start = |_| {
            let (queue, inputs) = mpsc::channel(QUEUE);
            let worker = Worker {
                resolver: Resolver::new(config, Arc::clone(cache), rand::random()),
                exchanges: Exchanges::new(queue.clone(), Input::Arrival),
                waiting: HashMap::new(),
                next: 0,
                served: Arc::clone(served),
                tally: metrics.tally(),
                metrics: Arc::clone(metrics),
            };
            tokio::spawn(worker.run(inputs));
            queue
        };
        Resolvers { queues: (0..count.max(1)).map(start).collect() }
    }

    /// Hands a request on; it comes back when its resolver has too many waiting.
    pub fn ask(&self, follow_up: FollowUp) -> Result<(), Box<FollowUp>> {
        let hash = hash_name(&follow_up.ask.name) ^ u64::from(follow_up.ask.rtype.0);
        let queue = &self.queues[hash as usize % self.queues.len()];
        queue.try_send(Input::Ask(Box::new(follow_up))).map_err(|error| match error.into_inner() {
            Input::Ask(follow_up) => follow_up,
            Input::Arrival(..) => unreachable!("an Ask was sent, so an Ask comes back"),
        })
    }
}

struct Worker {
    resolver: Resolver,
    exchanges: Exchanges<Input>,
    waiting: HashMap<u64, Box<FollowUp>>,
    next: u64,
    served: Arc<ArcSwap<Served>>,
    tally: Arc<Tally>,
    metrics: Arc<Metrics>,
}

impl Worker {
    async fn run(mut self, mut inputs: mpsc::Receiver<Input>) {
        let mut outbox = Outbox::default();
        loop {
            let deadline = self.resolver.next_timeout();
            let input = match deadline {
                Some(deadline) => tokio::time::timeout_at(clock::until(deadline), inputs.recv()).await.ok(),
                None => Some(inputs.recv().await),
            };
            let now = clock::now();
            let events = match input {
                None => self.resolver.handle_timeout(now, &mut outbox),
                Some(None) => return,
                Some(Some(Input::Ask(follow_up))) => {
                    let waiter = self.next;
                    self.next += 1;
                    let ask = follow_up.ask.clone();
                    self.waiting.insert(waiter, follow_up);
                    self.resolver.ask(now, ask, waiter, &mut outbox)
                }
                Some(Some(Input::Arrival(token, arrival))) => {
                    if matches!(arrival, Arrival::Failed(_)) {
                        self.exchanges.ended(token);
                    }
                    self.resolver.handle(now, token, arrival, &mut outbox)
                }
            };
            self.exchanges.carry_out(&mut outbox);
            for event in events {
                self.reply(event).await;
            }
        }
    }

    async fn reply(&mut self, event: Event) {
        if let Event::Answered { waiters, stale: true, .. } = &event {
            self.metrics.stale_answers(waiters.len() as u64);
        }
        if let Event::Failed { ask, reason, .. } = &event {
            tracing::debug!(name = %ask.name, rtype = %ask.rtype, "not resolved: {reason}");
        }
        let (waiters, entry) = match event {
            Event::Answered { waiters, entry, .. } | Event::Failed { waiters, entry, .. } => {
                (waiters, Some(entry))
            }
            Event::Refused { waiter, .. } => (vec![waiter], None),
        };
        let served = self.served.load_full();
        for waiter in waiters {
            let Some(follow_up) = self.waiting.remove(&waiter) else { continue };
            let now = clock::now();
            let mut reply = Vec::with_capacity(512);
            complete(&served, now, &follow_up.request, follow_up.from, entry.as_deref(), &mut reply);
            self.tally.response(&reply, Path::Miss, now.mono.since(follow_up.began));
            match follow_up.route {
                // A datagram that cannot be sent is lost, as datagrams are.
                Route::Udp(socket, to) => drop(socket.send_to(&reply, to)),
                Route::Tcp(connection) => connection.reply(reply),
            }
        }
    }
}
