//! Heavy work lets queries go first.
//!
//! ```text
//! heavy thread:  | work ~~~~~ tick ~~~~~ tick ~~~~~ tick: queries wait, the turn is over -> sched_yield | work ~~~~~
//!                                                   the answering threads need much of a core -> a small share from now on
//! ```
//!
//! A thread that has just had more than its fair half of a core is not run at once when a query wakes it, and the system thinks
//! about that again only milliseconds later (EEVDF, sched(7)). So a thread with much to do asks itself several times in a
//! millisecond. Sorting a million owners has no place to ask from: a timer's signal interrupts it, whatever it does. Nor is a thread
//! that answers run at once when less remains of the heavy one's slice than of its own: threads with something large have long
//! slices, so that this is seldom so ([`priority::long_slices`]; one query in fifty waited for 0.2 ms before).

use std::cell::Cell;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::{priority, threads};

/// How often a thread with much to do is interrupted.
const TICK: Duration = Duration::from_micros(250);
/// What a thread does between two times that it lets queries go first. Whoever else wants the core may then have it for a slice of
/// some milliseconds: this much is the least of it that the thread keeps.
const TURN: Duration = Duration::from_millis(1);
/// How often it is looked what the threads that answer queries need.
const LOOK: Duration = Duration::from_millis(10);
/// One that needs more of a core than this, in hundredths, needs more than its fair half of one that it shares; one that needs less
/// gets it whatever the others do ([`priority::run_at_once`]).
const HEAVY: u64 = 40;
/// Threads that answer queries and are known; work gives way to no more.
const MOST: usize = 256;
/// A clock that stands still: the kernel has none of this number.
const NO_CLOCK: libc::clockid_t = libc::clockid_t::MAX;
/// The signal of the timers: its default is to be ignored, and runtimes that interrupt their threads use it for that.
const SIGNAL: libc::c_int = libc::SIGURG;

/// A thread that answers queries. All that a signal's handler needs is in atomics: it may interrupt whoever holds a lock.
struct Slot {
    is_taken: AtomicBool,
    /// Where its queries come in; -1 for nowhere.
    door: AtomicI32,
    /// Shows the processor time that it has had.
    clock: AtomicI32,
    /// What the clock showed at the last look, in nanoseconds.
    used: AtomicU64,
}

static ANSWERING: [Slot; MOST] = [const {
    Slot {
        is_taken: AtomicBool::new(false),
        door: AtomicI32::new(-1),
        clock: AtomicI32::new(NO_CLOCK),
        used: AtomicU64::new(0),
    }
}; MOST];
/// Slots beyond this one have never been taken.
static KNOWN: AtomicUsize = AtomicUsize::new(0);
/// When it was looked last what the threads that answer queries need, in nanoseconds of the monotonic clock.
static LOOKED: AtomicU64 = AtomicU64::new(0);

/// Says that a thread answers queries, until it is dropped.
pub(super) struct Answering {
    slot: Option<&'static Slot>,
    /// Keeps the number of the door from being another file's.
    _door: Option<OwnedFd>,
}

impl Answering {
    /// The calling thread does, and its queries come in by `door`, a socket or a poll of such.
    pub(super) fn at(door: &impl AsRawFd) -> Answering {
        let mut clock = 0;
        // SAFETY: the calling thread exists, and `clock` can be written to.
        let is_clock = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &mut clock) } == 0;
        // SAFETY: `door` is open for as long as it is borrowed.
        let door = unsafe { BorrowedFd::borrow_raw(door.as_raw_fd()) }.try_clone_to_owned().ok();
        let is_free = |slot: &&Slot| !slot.is_taken.swap(true, Ordering::AcqRel);
        let Some((at, slot)) = ANSWERING.iter().enumerate().find(|(_, slot)| is_free(slot)) else {
            return Answering { slot: None, _door: None };
        };
        slot.used.store(shown(clock), Ordering::Relaxed);
        slot.clock.store(if is_clock { clock } else { NO_CLOCK }, Ordering::Release);
        slot.door.store(door.as_ref().map_or(-1, AsRawFd::as_raw_fd), Ordering::Release);
        KNOWN.fetch_max(at + 1, Ordering::AcqRel);
        Answering { slot: Some(slot), _door: door }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let Some(slot) = self.slot else { return };
        slot.door.store(-1, Ordering::Release);
        slot.clock.store(NO_CLOCK, Ordering::Release);
        slot.is_taken.store(false, Ordering::Release);
    }
}

fn answering() -> &'static [Slot] {
    &ANSWERING[..KNOWN.load(Ordering::Acquire)]
}

/// How the calling thread stands with queries. No destructor: a handler may read it whenever the thread runs.
struct Manners {
    is_heavy: Cell<bool>,
    /// The processor time that the thread had had when it last let queries go first.
    yielded: Cell<u64>,
    /// When it looked last whether any wait.
    glanced: Cell<u64>,
    /// Whether it has its share of a core, whatever queries need.
    keeps_share: Cell<bool>,
    gave_way: Cell<bool>,
}

thread_local! {
    static MANNERS: Manners = const {
        Manners {
            is_heavy: Cell::new(false),
            yielded: Cell::new(0),
            glanced: Cell::new(0),
            keeps_share: Cell::new(false),
            gave_way: Cell::new(false),
        }
    };
}

impl Manners {
    /// Lets queries that wait go first, once the thread has had its turn.
    fn queries_first(&self) {
        // With a small share it is behind them anyway.
        if self.gave_way.get() || !queries_wait() {
            return;
        }
        let own = own_time();
        if own.saturating_sub(self.yielded.get()) >= TURN.as_nanos() as u64 {
            // SAFETY: no preconditions.
            unsafe { libc::sched_yield() };
            self.yielded.set(own_time());
        }
    }

    /// Leaves the thread a small share if queries need much of a core.
    fn look_at_shares(&self) {
        if !self.keeps_share.get() && !self.gave_way.get() && queries_need_much() {
            priority::small_share();
            // Before Linux 6.17 a slice may be kept to its end from threads that are ready already.
            priority::usual_slices();
            self.gave_way.set(true);
        }
    }
}

/// Lets queries that wait go first: for a thread that does much in small pieces, between two of these. Does nothing most of the time.
pub(super) fn queries_first() {
    MANNERS.with(|manners| {
        let now = shown(libc::CLOCK_MONOTONIC);
        if now.saturating_sub(manners.glanced.get()) >= TICK.as_nanos() as u64 {
            manners.glanced.set(now);
            manners.queries_first();
        }
    });
}

/// The good manners of a thread with much to do, as long as this lives: it runs like any other program's, so that nothing on the
/// machine can keep it waiting for ever, until queries need much of the processor; from then on it has a small share of a core, for
/// as long as it lives. Before that, too, it lets queries that wait go first.
pub(super) struct Courtesy {
    timer: Option<libc::timer_t>,
    /// The timer is the calling thread's.
    _own: PhantomData<*const ()>,
}

impl Courtesy {
    /// For the calling thread. Where there is no timer to be had, it works on without manners.
    pub(super) fn begin() -> Courtesy {
        // From now on.
        let _ = queries_need_much();
        let timer = handle_signal().and_then(|()| timer());
        MANNERS.with(|manners| {
            manners.is_heavy.set(timer.is_some());
            manners.keeps_share.set(false);
        });
        if timer.is_none() {
            tracing::debug!("no timer that lets queries go first: {}", io::Error::last_os_error());
        }
        Courtesy { timer, _own: PhantomData }
    }

    /// Whether the thread keeps its share from now on, for something short that somebody waits for.
    pub(super) fn keep_share(&self, keeps: bool) {
        MANNERS.with(|manners| manners.keeps_share.set(keeps));
    }

    /// The same for what is long itself: the thread has long slices until the end of this.
    pub(super) fn begin_long() -> Courtesy {
        let courtesy = Courtesy::begin();
        priority::long_slices();
        courtesy
    }

    /// Whether the thread has only a small share by now.
    pub(super) fn gave_way(&self) -> bool {
        gave_way()
    }
}

/// Whether the calling thread was left with a small share.
fn gave_way() -> bool {
    MANNERS.with(|manners| manners.gave_way.get())
}

/// Has a thread do one thing after the other, until `next` says that there is nothing left. Where it was left with a small share by
/// something, another thread goes on: what comes next is not to have that. It is started by a thread that does nothing else, since a
/// thread has the share of the one that starts it.
pub(super) fn in_succession(
    name: &'static str,
    mut next: impl FnMut() -> bool + Send + 'static,
) -> io::Result<()> {
    let succession = move || {
        loop {
            let (hand, taken) = mpsc::channel();
            let (give_back, given_back) = mpsc::channel();
            let turn = move || taken.into_iter().for_each(|next| until_it_gave_way(next, &give_back));
            if let Err(error) = threads::start(name, turn) {
                tracing::warn!("no thread for `{name}`: {error}; the one that is there goes on");
                while next() {}
                return;
            }
            // It waits for that.
            let _ = hand.send(next);
            drop(hand);
            // Who is done has nothing to give back.
            let Ok(given) = given_back.recv() else { return };
            next = given;
        }
    };
    threads::start(name, succession).map(drop)
}

fn until_it_gave_way<N: FnMut() -> bool>(mut next: N, give_back: &mpsc::Sender<N>) {
    while next() {
        if gave_way() {
            let _ = give_back.send(next);
            return;
        }
    }
}

impl Drop for Courtesy {
    fn drop(&mut self) {
        // A signal that is on its way already means nothing any more.
        MANNERS.with(|manners| manners.is_heavy.set(false));
        priority::usual_slices();
        if let Some(timer) = self.timer {
            // SAFETY: it was made here and is deleted once.
            unsafe { libc::timer_delete(timer) };
        }
    }
}

/// Has the signal handled, in all threads.
fn handle_signal() -> Option<()> {
    // SAFETY: zero is a valid value for every field, and those that matter are set.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = tick as extern "C" fn(libc::c_int) as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler does only what signal-safety(7) allows, and the structure is valid.
    let status = unsafe { libc::sigaction(SIGNAL, &action, ptr::null_mut()) };
    (status == 0).then_some(())
}

/// Starts a timer that interrupts the calling thread.
fn timer() -> Option<libc::timer_t> {
    // SAFETY: zero is a valid value for every field, and those that matter are set.
    let mut event: libc::sigevent = unsafe { mem::zeroed() };
    event.sigev_notify = libc::SIGEV_THREAD_ID;
    event.sigev_signo = SIGNAL;
    // SAFETY: no preconditions.
    event.sigev_notify_thread_id = unsafe { libc::gettid() };
    let mut timer = ptr::null_mut();
    let period = libc::timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
    let every = libc::itimerspec { it_interval: period, it_value: period };
    // SAFETY: the structures are valid, and `timer` can be written to.
    let is_made = unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer) } == 0;
    // SAFETY: the timer exists, and `every` is valid.
    (is_made && unsafe { libc::timer_settime(timer, 0, &every, ptr::null_mut()) } == 0).then_some(timer)
}

/// Handles the signal. It may interrupt anything, so that it takes no lock and no memory, and leaves `errno` as it was.
extern "C" fn tick(_: libc::c_int) {
    // SAFETY: the address is the calling thread's.
    let errno = unsafe { *libc::__errno_location() };
    MANNERS.with(|manners| {
        if manners.is_heavy.get() {
            manners.queries_first();
            manners.look_at_shares();
        }
    });
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Whether there are queries that nobody has taken yet.
fn queries_wait() -> bool {
    any_waits(answering())
}

fn any_waits(threads: &[Slot]) -> bool {
    let mut doors = [libc::pollfd { fd: -1, events: libc::POLLIN, revents: 0 }; MOST];
    let doors = &mut doors[..threads.len()];
    for (door, thread) in doors.iter_mut().zip(threads) {
        door.fd = thread.door.load(Ordering::Acquire);
    }
    // SAFETY: so many structures can be written to; waits for nothing.
    let ready = unsafe { libc::poll(doors.as_mut_ptr(), doors.len() as libc::nfds_t, 0) };
    ready > 0 && doors.iter().any(|door| door.revents & libc::POLLIN != 0)
}

/// Whether a thread that answers queries has needed much of a core since the last look. Who asks too early hears `false`.
fn queries_need_much() -> bool {
    let now = shown(libc::CLOCK_MONOTONIC);
    let looked = LOOKED.load(Ordering::Acquire);
    let passed = now.saturating_sub(looked);
    // Of those who ask at once, one looks.
    if passed < LOOK.as_nanos() as u64
        || LOOKED.compare_exchange(looked, now, Ordering::AcqRel, Ordering::Relaxed).is_err()
    {
        return false;
    }
    let mut much = false;
    for slot in answering() {
        let used = shown(slot.clock.load(Ordering::Acquire));
        let before = slot.used.swap(used, Ordering::Relaxed);
        much |= used.saturating_sub(before) * 100 > passed * HEAVY;
    }
    much
}

/// The processor time that the calling thread has had, in nanoseconds.
fn own_time() -> u64 {
    shown(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// What a clock shows in nanoseconds, which last for centuries.
fn shown(clock: libc::clockid_t) -> u64 {
    priority::shown(clock).as_nanos() as u64
}

#[cfg(test)]
mod tests;
