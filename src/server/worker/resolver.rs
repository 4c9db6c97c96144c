//! Runs the resolvers, one thread per worker with a poll of its own over its upstream sockets and its mail.
//!
//! ```text
//!              mail: requests that the cache could not answer        question
//!  UDP, TCP, TLS ─────────────────────────────────▶ Resolver ─────────────────────▶ Upstream ──▶ servers
//!       ▲                                             │   ▲                          │
//!       └──────────────── reply ──────────────────────┘   └──────── arrivals ────────┘
//! ```
//!
//! A question always goes to the same resolver, by the hash of its name and type: so there is one flight per question on this
//! node, as RFC 5452 section 5 asks for, and no resolver waits for another.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use mio::{Events, Poll, Token as Place, Waker};
use tokio::sync::mpsc;

use crate::answer::cached::turn_away;
use crate::answer::context::{Client, Outcome, Served};
use crate::answer::elsewhere::Fetched;
use crate::answer::respond::complete;
use crate::ask::exchange::{Arrival, Outbox, Token};
use crate::metrics::registry::Metrics;
use crate::metrics::tally::{Path, Tally};
use crate::node::event::Input;
use crate::resolve::cache::{Ask, Cache, Entry};
use crate::resolve::resolver::{Config, Event, Resolver, Waiter};
use crate::server::control::Command;
use crate::server::courtesy::Answering;
use crate::server::poll::wait;
use crate::server::received::Target;
use crate::server::sockets::{Arrivals, Room, Sockets};
use crate::server::{clock, priority, threads};
use crate::time::{Mono, Now};
use crate::wire::hash::hash_name;

use super::mail::Mailbox;
use super::tcp::mailbox::ReturnPath;
use super::udp::departures::send_one;

/// Requests that may wait for one resolver to take them; more are turned away at once.
const QUEUE: usize = 4_096;
/// The sockets of one resolver.
const SOCKETS: Room = Room { kept: 1_024, most: 1_024 };
/// Events taken from the poll at a time.
const EVENTS: usize = 256;
/// A request for which several questions have to be answered in turn is given up after so long: nobody waits any more.
const LONGEST: Duration = Duration::from_secs(5);
/// The token of the mail; those from the next one on are of upstream sockets.
const MAIL: Place = Place(0);

/// A request that the cache could not answer.
pub struct FollowUp {
    /// The question.
    pub ask: Ask,
    /// What was found for this request before, where it takes several questions.
    pub fetched: Vec<Fetched>,
    /// The request, to be answered in its own terms.
    pub request: Vec<u8>,
    /// Who asks.
    pub from: Client,
    /// How the reply gets there.
    pub route: Route,
    /// When the request arrived.
    pub began: Mono,
}

/// How a reply gets to its client.
pub enum Route {
    /// As a datagram.
    Udp {
        /// The socket that the request came to.
        socket: Arc<UdpSocket>,
        /// The client.
        to: SocketAddr,
        /// The address that was asked, where the socket has several.
        target: Option<Target>,
    },
    /// To its connection.
    Tcp(ReturnPath),
}

impl Route {
    /// Gives the route up: the reply goes another way.
    pub(super) fn close(self) {
        if let Route::Tcp(path) = self {
            path.close();
        }
    }

    fn send(self, reply: Vec<u8>) {
        match self {
            // A datagram that cannot be sent is lost, as datagrams are.
            Route::Udp { socket, to, target } => drop(send_one(&socket, &reply, to, target.as_ref())),
            Route::Tcp(connection) => connection.reply(reply),
        }
    }
}

/// The way to the resolvers.
#[derive(Clone)]
pub struct Resolvers {
    mailboxes: Arc<[Arc<Mailbox<Box<FollowUp>>>]>,
}

impl Resolvers {
    /// Starts the threads of `count` resolvers.
    pub fn start(
        count: usize,
        config: &Config,
        cache: &Arc<Cache>,
        served: &Arc<ArcSwap<Served>>,
        metrics: &Arc<Metrics>,
        node: &mpsc::Sender<Command>,
    ) -> io::Result<Resolvers> {
        let open = |_| {
            let poll = Poll::new()?;
            let mailbox = Mailbox::new(Waker::new(poll.registry(), MAIL)?, QUEUE);
            Ok((poll, Arc::new(mailbox)))
        };
        let (polls, mailboxes): (Vec<_>, Vec<_>) =
            (0..count.max(1)).map(open).collect::<io::Result<Vec<_>>>()?.into_iter().unzip();
        let resolvers = Resolvers { mailboxes: mailboxes.into() };
        for (poll, mailbox) in polls.into_iter().zip(resolvers.mailboxes.iter()) {
            let zones = Arc::clone(&served.load().store);
            let worker = Worker {
                resolver: Resolver::new(config, Arc::clone(cache), rand::random()).beside(zones),
                upstream: Sockets::new(poll.registry().try_clone()?, MAIL.0 + 1, SOCKETS, rand::random()),
                poll,
                mailbox: Arc::clone(mailbox),
                resolvers: resolvers.clone(),
                waiting: HashMap::new(),
                next: 0,
                served: Arc::clone(served),
                tally: metrics.tally(),
                metrics: Arc::clone(metrics),
                cache: Arc::clone(cache),
                node: node.clone(),
                outbox: Outbox::default(),
                arrivals: Arrivals::new(),
            };
            threads::start_endless("resolver", move || worker.run())?;
        }
        Ok(resolvers)
    }

    /// Hands a request on; it comes back when its resolver has too many waiting.
    pub fn ask(&self, follow_up: Box<FollowUp>) -> Result<(), Box<FollowUp>> {
        let hash = hash_name(&follow_up.ask.name) ^ u64::from(follow_up.ask.rtype.0);
        self.mailboxes[hash as usize % self.mailboxes.len()].post(follow_up)
    }
}

struct Worker {
    poll: Poll,
    mailbox: Arc<Mailbox<Box<FollowUp>>>,
    /// All of them, this one too.
    resolvers: Resolvers,
    resolver: Resolver,
    upstream: Sockets,
    waiting: HashMap<u64, Box<FollowUp>>,
    next: u64,
    served: Arc<ArcSwap<Served>>,
    tally: Arc<Tally>,
    metrics: Arc<Metrics>,
    cache: Arc<Cache>,
    /// Who watches the servers of stub zones.
    node: mpsc::Sender<Command>,
    outbox: Outbox,
    arrivals: Arrivals,
}

impl Worker {
    fn run(mut self) -> io::Result<Infallible> {
        priority::run_at_once();
        let _answering = Answering::at(&self.poll);
        let mut events = Events::with_capacity(EVENTS);
        let mut mail = Vec::new();
        loop {
            let timeout = self.timeout();
            wait(&mut self.poll, &mut events, timeout)?;
            let now = clock::now();
            for event in &events {
                match event.token() {
                    MAIL => self.mailbox.take(&mut mail),
                    _ => self.upstream.ready(event, &mut self.arrivals),
                }
            }
            self.upstream.go_on(now.mono, &mut self.arrivals);
            mail.drain(..).for_each(|follow_up| self.ask(now, follow_up));
            self.arrived(now);
            if self.resolver.next_timeout().is_some_and(|due| due <= now.mono) {
                let events = self.resolver.handle_timeout(now, &mut self.outbox);
                self.finish(now, events);
                self.arrived(now);
            }
        }
    }

    /// How long there is nothing to do but to wait for events.
    fn timeout(&self) -> Option<Duration> {
        let due = self.resolver.next_timeout().into_iter().chain(self.upstream.next_timeout()).min()?;
        // The poll counts milliseconds: a part of one is waited for whole, or it would be waited for in vain.
        Some(due.since(clock::mono()))
    }

    fn ask(&mut self, now: Now, follow_up: Box<FollowUp>) {
        let waiter = Waiter { number: self.next, client: follow_up.from.addr.ip() };
        self.next += 1;
        let ask = follow_up.ask.clone();
        self.waiting.insert(waiter.number, follow_up);
        let events = self.resolver.ask(now, ask, waiter, &mut self.outbox);
        self.finish(now, events);
    }

    /// Hands on what has come in, and what carrying out its consequences brings at once.
    fn arrived(&mut self, now: Now) {
        while !self.arrivals.is_empty() {
            let mut arrivals = std::mem::take(&mut self.arrivals);
            for (token, arrival) in arrivals.drain(..) {
                self.arrive(now, token, arrival);
            }
            if self.arrivals.is_empty() {
                self.arrivals = arrivals;
            }
        }
    }

    fn arrive(&mut self, now: Now, token: Token, arrival: Arrival) {
        let events = self.resolver.handle(now, token, arrival, &mut self.outbox);
        self.finish(now, events);
    }

    fn finish(&mut self, now: Now, events: Vec<Event>) {
        self.upstream.carry_out(now.mono, &mut self.outbox, &mut self.arrivals);
        for event in events {
            self.reply(event);
        }
        for (zone, serial) in self.cache.floors().raised() {
            // A control thread that is that busy finds it out by itself a little later.
            let _ = self.node.try_send(Command::Input(Input::Shown { zone, serial }));
        }
    }

    fn reply(&mut self, event: Event) {
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
        for waiter in waiters {
            if let Some(follow_up) = self.waiting.remove(&waiter) {
                self.go_on(follow_up, entry.clone());
            }
        }
    }

    /// Answers a request for which something was found, or asks for what it takes besides.
    fn go_on(&mut self, mut follow_up: Box<FollowUp>, entry: Option<Arc<Entry>>) {
        let (served, now) = (self.served.load(), clock::now());
        let FollowUp { ask, fetched, request, from, .. } = &mut *follow_up;
        let mut reply = Vec::with_capacity(512);
        let is_refused = entry.is_none();
        fetched.extend(entry.map(|entry| (ask.clone(), entry)));
        if !is_refused
            && let Outcome::FollowUp(next) = complete(&served, now, request, *from, fetched, &mut reply)
        {
            follow_up.ask = next;
            if now.mono.since(follow_up.began) < LONGEST {
                match self.resolvers.ask(follow_up) {
                    Ok(()) => return,
                    Err(returned) => follow_up = returned,
                }
            }
        }
        if reply.is_empty() {
            turn_away(&served, now, &follow_up.request, follow_up.from, &mut reply);
        }
        self.tally.response(&reply, Path::Miss, now.mono.since(follow_up.began));
        follow_up.route.send(reply);
    }
}
