//! An outsider who keeps asking one server for a zone's SOA and writes down when the answer changed: the yardstick
//! against which reported lags are held.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use super::soa::Client;

/// The pause between two questions.
pub const INTERVAL: Duration = Duration::from_millis(5);

/// A thread that watches one zone at one server until it is dropped.
pub struct Observer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// A moment from which on the server gave another answer than before.
#[derive(Clone, Copy, Debug)]
pub struct Transition {
    /// When the first such answer came in.
    pub at: Instant,
    /// The same on the wall clock.
    pub utc: SystemTime,
    /// When the question before it was sent, which still got the old answer: the change lies between `after` and `at`.
    pub after: Instant,
    /// The serial served with authority from then on; `None` for silence or an error.
    pub serial: Option<u32>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    transitions: Vec<Transition>,
    polls: u64,
    stopping: bool,
}

impl Observer {
    /// Begins to watch `zone` at `addr`.
    pub fn watch(addr: SocketAddr, zone: &str) -> Observer {
        let shared = Arc::new(Shared::default());
        let mut client = Client::new(addr, zone);
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || poll(&mut client, &shared)
        });
        Observer { shared, thread: Some(thread) }
    }

    /// Every change seen so far, the first answer included.
    pub fn transitions(&self) -> Vec<Transition> {
        self.shared.state.lock().unwrap().transitions.clone()
    }

    /// The serials in the order they were seen, without the times when there was none.
    pub fn serials(&self) -> Vec<u32> {
        self.transitions().iter().filter_map(|transition| transition.serial).collect()
    }

    /// How many questions were asked so far.
    pub fn polls(&self) -> u64 {
        self.shared.state.lock().unwrap().polls
    }

    /// Waits until `serial` is seen, and returns its first transition; panics after `limit`.
    pub fn await_serial(&self, serial: u32, limit: Duration) -> Transition {
        let find = |state: &State| state.transitions.iter().find(|seen| seen.serial == Some(serial)).copied();
        let state = self.shared.state.lock().unwrap();
        let (state, _) =
            self.shared.changed.wait_timeout_while(state, limit, |state| find(state).is_none()).unwrap();
        let (found, seen) = (find(&state), state.transitions.clone());
        // The lock goes before a panic, which would poison it for the thread.
        drop(state);
        found.unwrap_or_else(|| panic!("serial {serial} not seen within {limit:?}, only {seen:?}"))
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        // A poisoned lock means that the thread has ended already.
        if let Ok(mut state) = self.shared.state.lock() {
            state.stopping = true;
        }
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn poll(client: &mut Client, shared: &Shared) {
    let mut last: Option<Option<u32>> = None;
    let mut after = Instant::now();
    loop {
        let sent = Instant::now();
        let serial = client.ask().and_then(|answer| answer.serial);
        let (at, utc) = (Instant::now(), SystemTime::now());
        let mut state = shared.state.lock().unwrap();
        state.polls += 1;
        if last != Some(serial) {
            state.transitions.push(Transition { at, utc, after, serial });
            last = Some(serial);
            shared.changed.notify_all();
        }
        after = sent;
        let (state, _) = shared.changed.wait_timeout_while(state, INTERVAL, |state| !state.stopping).unwrap();
        if state.stopping {
            return;
        }
    }
}
