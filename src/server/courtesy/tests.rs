//! Who gives way to whom, on a core that they share.

use std::hint::black_box;
use std::net::UdpSocket;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::*;

/// What a thread returns that runs beside one that computes, which may be one that answers queries.
fn beside<T: Send>(answering: bool, act: impl FnOnce() -> T + Send) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let _answering = answering.then(|| Answering::at(&UdpSocket::bind("127.0.0.1:0").unwrap()));
            while !done.load(Ordering::Relaxed) {
                black_box(());
            }
        });
        let polite = scope.spawn(|| {
            let outcome = act();
            done.store(true, Ordering::Relaxed);
            outcome
        });
        polite.join().unwrap()
    })
}

/// Threads that answer are known to the whole process, which may run all tests at once.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The nice value of the calling thread.
fn nice() -> libc::c_int {
    // SAFETY: no preconditions; 0 is the calling thread.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

/// Whether work has a small share after a while, and the nice value of its thread.
fn share_beside(answering: bool) -> (bool, libc::c_int) {
    beside(answering, || {
        let courtesy = Courtesy::begin();
        // On a busy host it may take long until a thread that answers gets much of a core.
        let end = Instant::now() + if answering { 3_000 } else { 30 } * LOOK;
        while Instant::now() < end && !courtesy.gave_way() {
            thread::sleep(LOOK);
        }
        (courtesy.gave_way(), nice())
    })
}

#[test]
fn work_gives_way_to_queries_and_to_nothing_else() {
    let _alone = alone();
    let own = nice();
    assert_eq!(share_beside(false), (false, own));
    assert_eq!(share_beside(true), (true, own.max(10)));
}

#[test]
fn a_share_that_is_kept_is_given_up_later() {
    let _alone = alone();
    let own = nice();
    let outcome = beside(true, || {
        let courtesy = Courtesy::begin();
        courtesy.keep_share(true);
        // As much as is enough for others in nearly all cases.
        thread::sleep(30 * LOOK);
        let kept = (courtesy.gave_way(), nice());
        courtesy.keep_share(false);
        let end = Instant::now() + 3_000 * LOOK;
        while Instant::now() < end && !courtesy.gave_way() {
            thread::sleep(LOOK);
        }
        (kept, courtesy.gave_way())
    });
    assert_eq!(outcome, ((false, own), true));
}

#[test]
fn a_thread_that_gave_way_is_followed_by_one_that_has_its_share() {
    let _alone = alone();
    let own = nice();
    let (tell, told) = mpsc::channel();
    let mut turns = 0..3;
    let next = move || {
        if turns.next().is_none() {
            return false;
        }
        let turn = (thread::current().id(), nice());
        let courtesy = Courtesy::begin();
        let end = Instant::now() + 3_000 * LOOK;
        while Instant::now() < end && !courtesy.gave_way() {
            thread::sleep(LOOK);
        }
        tell.send(turn).is_ok()
    };
    let turns = beside(true, move || {
        in_succession("turns", next).unwrap();
        told.iter().collect::<Vec<_>>()
    });
    assert_eq!(turns.iter().map(|(_, nice)| *nice).collect::<Vec<_>>(), [own; 3]);
    assert!(turns[0].0 != turns[1].0 && turns[1].0 != turns[2].0, "{turns:?}");
}

#[test]
fn queries_wait_until_they_are_taken() {
    let _alone = alone();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let answering = Answering::at(&socket);
    let own = || answering.slot.map(std::slice::from_ref).unwrap();
    assert!(!any_waits(own()) && !any_waits(&[]));
    socket.send_to(b"query", socket.local_addr().unwrap()).unwrap();
    assert!(any_waits(own()) && queries_wait());
    socket.recv(&mut [0; 512]).unwrap();
    assert!(!any_waits(own()));
    socket.send_to(b"query", socket.local_addr().unwrap()).unwrap();
    let slot = answering.slot.map(std::slice::from_ref).unwrap();
    drop(answering);
    assert!(!any_waits(slot), "who has ended answers nothing");
}

/// Counts how often the thread let queries go first while it did nothing but compute.
#[test]
fn work_is_interrupted_wherever_it_is_and_queries_go_first_once_a_turn() {
    let _alone = alone();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(b"query", socket.local_addr().unwrap()).unwrap();
    // Of a thread that takes no queries and has had no time.
    let answering = thread::scope(|scope| scope.spawn(|| Answering::at(&socket)).join().unwrap());
    let turns = |work: &dyn Fn()| {
        let (mut turns, mut before) = (0, MANNERS.with(|manners| manners.yielded.get()));
        let end = own_time() + 20 * TURN.as_nanos() as u64;
        while own_time() < end {
            work();
            let yielded = MANNERS.with(|manners| manners.yielded.get());
            turns += u64::from(yielded != before);
            before = yielded;
        }
        turns
    };
    assert_eq!(turns(&|| ()), 0, "nobody asked for it");
    let courtesy = Courtesy::begin();
    let interrupted = turns(&|| ());
    assert!((2..=21).contains(&interrupted), "{interrupted} turns in twenty times a turn");
    drop(courtesy);
    assert_eq!(turns(&|| ()), 0, "nobody asks for it any more");
    assert!((2..=21).contains(&turns(&queries_first)));
    drop(answering);
    assert_eq!(turns(&queries_first), 0, "no queries");
}
