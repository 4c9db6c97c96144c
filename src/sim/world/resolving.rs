//! What hosts do for requests that their caches cannot answer at once.

use std::sync::Arc;

use crate::answer::cached::turn_away;
use crate::answer::context::Outcome;
use crate::answer::respond::complete;
use crate::resolve::resolver;
use crate::sim::host::{Driver, FollowUp};

use super::{Violation, World};

impl World {
    /// Has a host's resolver find what a request needs that waits under this number.
    pub(super) fn resolve(&mut self, host: usize, number: u64) -> Result<(), Violation> {
        let now = self.hosts[host].now(self.now);
        let Some(running) = self.hosts[host].running.as_mut() else { return Ok(()) };
        let (Some(resolver), Some(waiting)) = (&mut running.resolver, running.waiting.get(&number)) else {
            return Ok(());
        };
        let waiter = resolver::Waiter { number, client: waiting.source.addr.ip() };
        let events = resolver.ask(now, waiting.ask.clone(), waiter, &mut running.resolver_outbox);
        self.resolved(host, events)
    }

    /// Does what the daemon does with a resolver's events.
    pub(super) fn resolved(&mut self, host: usize, events: Vec<resolver::Event>) -> Result<(), Violation> {
        self.carry_out(host, Driver::Resolver);
        for event in events {
            let (waiters, entry) = match event {
                resolver::Event::Answered { waiters, entry, .. }
                | resolver::Event::Failed { waiters, entry, .. } => (waiters, Some(entry)),
                resolver::Event::Refused { waiter, .. } => (vec![waiter], None),
            };
            for waiter in waiters {
                let now = self.hosts[host].now(self.now);
                let Some(running) = self.hosts[host].running.as_mut() else { return Ok(()) };
                let Some(waiting) = running.waiting.get_mut(&waiter) else { continue };
                let (mut reply, served) = (Vec::new(), &running.served);
                let FollowUp { ask, fetched, request, source, back } = waiting;
                let back = *back;
                match &entry {
                    None => turn_away(served, now, request, *source, &mut reply),
                    Some(entry) => {
                        fetched.push((ask.clone(), Arc::clone(entry)));
                        if let Outcome::FollowUp(next) =
                            complete(served, now, request, *source, fetched, &mut reply)
                        {
                            *ask = next;
                            self.resolve(host, waiter)?;
                            continue;
                        }
                    }
                }
                running.waiting.remove(&waiter);
                self.reply(host, back, reply)?;
            }
        }
        Ok(())
    }
}
