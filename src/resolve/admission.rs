//! How much of a resolver one zone's servers and one client may take: as much as stays free for the others.
//!
//! A flight holds memory until its servers answer or its time is over, and servers that are down make every question last that
//! long. A fixed share would bound a client that is alone just as one among many; so the bound is what is left: questions may be in
//! flight for a zone while more than these are free, and a client may wait for answers while more room than it has taken is free. One
//! that takes all it can gets half, two get a third each, and there is always room for one more.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

/// Questions in flight at most; each holds a few KiB.
pub const MAX_FLIGHTS: usize = 8_192;
/// Requests that wait for answers at most.
pub const MAX_WAITING: usize = 32_768;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// A number of the caller's that comes back in exactly one event.
    pub number: u64,
    /// The client that waits.
    pub client: IpAddr,
}

/// Which bound turned a question away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Bound {
    /// What is free of [`MAX_FLIGHTS`] is kept for other zones.
    #[error("too many questions in flight")]
    Flights,
    /// What is free of [`MAX_FLIGHTS`] or of [`MAX_WAITING`] is kept for other clients.
    #[error("too many questions of this client in flight")]
    Client,
    /// [`MAX_WAITERS`](super::resolver::MAX_WAITERS).
    #[error("too many waiters for one question")]
    Waiters,
    /// A type that is not a question of this kind (transfers, OPT, TSIG).
    #[error("not a type that can be resolved")]
    Type,
}

/// The flights and waiters of one resolver, counted.
#[derive(Debug, Default)]
pub(super) struct Admission {
    flights: usize,
    by_route: HashMap<usize, usize>,
    waiting: usize,
    by_client: HashMap<IpAddr, usize>,
}

impl Admission {
    /// Whether a question may be put to the servers of a route on behalf of a client.
    pub(super) fn may_fly(&self, route: usize, client: IpAddr) -> Result<(), Bound> {
        let free = MAX_FLIGHTS.saturating_sub(self.flights);
        let of_route = self.by_route.get(&route).copied().unwrap_or_default();
        if free <= of_route {
            return Err(Bound::Flights);
        }
        // Of what the route may still take, a client leaves as much as it has.
        if free - of_route <= self.waits_of(client) {
            return Err(Bound::Client);
        }
        self.may_wait(client)
    }

    /// Whether one more request of a client may wait.
    pub(super) fn may_wait(&self, client: IpAddr) -> Result<(), Bound> {
        let free = MAX_WAITING.saturating_sub(self.waiting);
        if free <= self.waits_of(client) { Err(Bound::Client) } else { Ok(()) }
    }

    /// Counts a flight.
    pub(super) fn begins(&mut self, route: usize) {
        self.flights += 1;
        *self.by_route.entry(route).or_default() += 1;
    }

    /// Gives a flight's place back, if it had one.
    pub(super) fn ends(&mut self, route: Option<usize>) {
        let Some(route) = route else { return };
        self.flights = self.flights.saturating_sub(1);
        take(&mut self.by_route, route);
    }

    /// Counts a request that waits.
    pub(super) fn waits(&mut self, client: IpAddr) {
        self.waiting += 1;
        *self.by_client.entry(client).or_default() += 1;
    }

    /// Gives the places of waiters back; returns their numbers.
    pub(super) fn release(&mut self, waiters: Vec<Waiter>) -> Vec<u64> {
        self.waiting = self.waiting.saturating_sub(waiters.len());
        waiters.iter().for_each(|waiter| take(&mut self.by_client, waiter.client));
        waiters.into_iter().map(|waiter| waiter.number).collect()
    }

    /// Whether nothing is counted.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.flights + self.waiting == 0 && self.by_route.is_empty() && self.by_client.is_empty()
    }

    fn waits_of(&self, client: IpAddr) -> usize {
        self.by_client.get(&client).copied().unwrap_or_default()
    }
}

fn take<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// How many more flights of this route and client are admitted; they stay.
    fn fill(admission: &mut Admission, route: usize, client: IpAddr) -> usize {
        let mut count = 0;
        while admission.may_fly(route, client).is_ok() {
            admission.begins(route);
            admission.waits(client);
            count += 1;
        }
        count
    }

    #[test]
    fn a_client_that_takes_all_it_can_leaves_room_for_others() {
        let mut admission = Admission::default();
        let first = fill(&mut admission, 0, client(1));
        assert_eq!(first, MAX_FLIGHTS.div_ceil(3));
        assert_eq!(admission.may_fly(0, client(1)), Err(Bound::Client));
        assert!(fill(&mut admission, 0, client(2)) > 500);
        assert!(fill(&mut admission, 1, client(3)) > 500);
        (0..first).for_each(|_| admission.ends(Some(0)));
        admission.release(vec![Waiter { number: 0, client: client(1) }; first]);
        assert!(admission.may_fly(0, client(1)).is_ok());
    }

    #[test]
    fn a_zone_whose_servers_are_down_leaves_half_to_the_others() {
        let mut admission = Admission::default();
        let taken: usize = (0..200).map(|last| fill(&mut admission, 0, client(last))).sum();
        assert_eq!(taken, MAX_FLIGHTS / 2);
        assert_eq!(admission.may_fly(0, client(250)), Err(Bound::Flights));
        assert!(admission.may_fly(1, client(250)).is_ok());
    }

    #[test]
    fn waiters_of_one_client_are_bounded_too() {
        let mut admission = Admission::default();
        while admission.may_wait(client(1)).is_ok() {
            admission.waits(client(1));
        }
        assert_eq!(admission.waiting, MAX_WAITING / 2);
        assert!(admission.may_wait(client(2)).is_ok());
        admission.release(vec![Waiter { number: 0, client: client(1) }; MAX_WAITING / 2]);
        assert!(admission.is_empty());
    }
}
