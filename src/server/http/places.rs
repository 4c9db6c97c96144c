//! The places of a listener: as many connections may be open, and those that do nothing make room for others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The connections that are open.
#[derive(Clone)]
pub(super) struct Places {
    most: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Default)]
struct Taken {
    /// Counts what happens: of two things the earlier one has the smaller number.
    moment: u64,
    /// By the moment when they were opened.
    connections: BTreeMap<u64, Connection>,
}

struct Connection {
    is_busy: bool,
    /// The moment since when it is busy or idle.
    since: u64,
    close: Arc<Notify>,
}

/// The place of one connection; it ends with the value.
pub(super) struct Place {
    places: Places,
    number: u64,
    close: Arc<Notify>,
}

/// A request being answered, until its response has been made.
pub(super) struct Answering(Arc<Place>);

impl Places {
    /// Places for so many connections.
    pub(super) fn new(most: usize) -> Places {
        Places { most, taken: Arc::default() }
    }

    /// A place for one more connection. When all are taken, the connection that has been idle the longest is closed for it; when none
    /// is idle, the one whose answer takes the longest, so that a probe of health is answered however many wait for something.
    pub(super) fn take(&self) -> Place {
        let mut taken = self.taken();
        if taken.connections.len() >= self.most {
            let all = taken.connections.iter();
            let least = all.min_by_key(|(_, connection)| (connection.is_busy, connection.since));
            let least = least.map(|(number, _)| *number);
            if let Some(connection) = least.and_then(|number| taken.connections.remove(&number)) {
                connection.close.notify_one();
            }
        }
        let number = taken.tick();
        let close = Arc::new(Notify::new());
        let connection = Connection { is_busy: false, since: number, close: Arc::clone(&close) };
        taken.connections.insert(number, connection);
        Place { places: self.clone(), number, close }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn tick(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }
}

impl Place {
    /// What tells that the place is given to another connection.
    pub(super) fn close(&self) -> Arc<Notify> {
        Arc::clone(&self.close)
    }

    fn turn(&self, is_busy: bool) {
        let mut taken = self.places.taken();
        let since = taken.tick();
        if let Some(connection) = taken.connections.get_mut(&self.number) {
            (connection.is_busy, connection.since) = (is_busy, since);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.taken().connections.remove(&self.number);
    }
}

impl Answering {
    pub(super) fn begin(place: &Arc<Place>) -> Answering {
        place.turn(true);
        Answering(Arc::clone(place))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.turn(false);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const PLACES: usize = 4;

    fn is_closed(place: &Place) -> bool {
        let told = pin!(place.close.notified()).poll(&mut Context::from_waker(Waker::noop()));
        told == Poll::Ready(())
    }

    #[test]
    fn who_has_been_idle_the_longest_makes_room() {
        let places = Places::new(PLACES);
        let open: Vec<Arc<Place>> = (0..PLACES).map(|_| Arc::new(places.take())).collect();
        let streaming = Answering::begin(&open[0]);
        drop(Answering::begin(&open[1]));
        let more = places.take();
        let closed: Vec<usize> = (0..open.len()).filter(|at| is_closed(&open[*at])).collect();
        assert_eq!(closed, [2]);
        assert!(!is_closed(&more));
        // What ends late gives nothing back that is not its own.
        drop(more);
        drop(open);
        drop(streaming);
        assert!(places.taken().connections.is_empty());
    }

    #[test]
    fn there_is_room_when_all_are_busy() {
        let places = Places::new(PLACES);
        let open: Vec<Arc<Place>> = (0..PLACES).map(|_| Arc::new(places.take())).collect();
        let _busy: Vec<Answering> = open.iter().rev().map(Answering::begin).collect();
        let _more = places.take();
        assert!(is_closed(&open[PLACES - 1]));
        assert_eq!(places.taken().connections.len(), PLACES);
    }
}
