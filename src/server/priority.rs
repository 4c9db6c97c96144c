//! Which thread runs when several could: queries first, and no work without a share.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The share, as a nice value: a tenth of a core.
const SHARE: libc::c_int = 10;

/// Lets this thread have a small share of a busy core. It cannot be taken back.
pub(super) fn small_share() {
    leave_small_share(0);
}

/// The same for any thread of this process; 0 is the calling one.
fn leave_small_share(thread: libc::pid_t) {
    // SAFETY: no preconditions; on failure the thread goes on as it was.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, thread.unsigned_abs(), SHARE) };
}

/// Lets this thread wake up when it wants to: the system puts the end of a sleep off by up to 50 us otherwise, so that timers
/// end together (PR_SET_TIMERSLACK of prctl(2)).
pub(super) fn wake_on_time() {
    const SLACK: libc::c_ulong = 1_000;
    // SAFETY: sets a number of this thread's, in nanoseconds; on failure sleeps stay longer than asked for.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, SLACK) };
}

/// Lets this thread, which answers queries, run the moment it is woken: it asks for the processor in the smallest slices
/// (sched_setattr(2); Linux from 6.12 on). Otherwise it waits for the end of the slice of whoever runs, which is milliseconds,
/// however low that one's share. Other work gives way to it ([`Courtesy`]). Queries come in by `door`, a socket or a poll of such.
pub(super) fn run_at_once(door: &impl AsRawFd) {
    answers(door);
    /// In nanoseconds; no slice is shorter.
    const SLICE: u64 = 100_000;
    // SAFETY: no preconditions; 0 is the calling thread.
    let (policy, nice) = unsafe { (libc::sched_getscheduler(0), libc::getpriority(libc::PRIO_PROCESS, 0)) };
    // Whoever chose another policy for the node knows why.
    if policy != libc::SCHED_OTHER {
        return;
    }
    let attr = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: SLICE,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: `attr` is valid and says its size; on failure the slice stays as it is.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) };
}

/// How often a [`Courtesy`] looks at the threads that answer queries.
const LOOK: Duration = Duration::from_millis(10);
/// A thread that answers queries and needs more of a core than this, in hundredths, needs more than its fair half of one that it
/// shares; one that needs less gets it whatever the other does ([`run_at_once`]).
const HEAVY: u32 = 40;

/// How often it is looked whether queries wait.
const GLANCE: Duration = Duration::from_micros(200);
/// What a thread does between two times that it lets them go first. Whoever else wants the core may then have it for a slice of some
/// milliseconds: this much is the least of it that the thread keeps.
const TURN: Duration = Duration::from_millis(1);

/// A thread that answers queries.
struct Answering {
    /// Shows the processor time that it has had.
    clock: libc::clockid_t,
    /// Where its queries come in.
    door: OwnedFd,
}

/// All of them.
static ANSWERING: Mutex<Vec<Answering>> = Mutex::new(Vec::new());

/// The good manners of a thread with much to do: it runs like any other program's, so that nothing on the machine can keep it
/// waiting for ever, until queries need much of the processor; from then on it has a small share of a core. Before that, too, it
/// lets queries that wait go first: who has just had more than a fair half is not run at once, and the system thinks about that again
/// only milliseconds later.
pub(super) struct Courtesy {
    thread: libc::pid_t,
    glanced: Instant,
    /// The processor time that the thread had had when it last let queries go first.
    yielded: Duration,
    looked: Instant,
    /// What the clocks of all that answer queries showed then.
    used: Vec<(libc::clockid_t, Duration)>,
    gave_way: bool,
}

impl Courtesy {
    /// For the calling thread, which must be the one that calls [`Courtesy::look`].
    pub(super) fn new() -> Courtesy {
        Courtesy::of(0)
    }

    /// For another thread, which somebody else looks after.
    fn of(thread: libc::pid_t) -> Courtesy {
        let now = Instant::now();
        Courtesy { thread, glanced: now, yielded: Duration::ZERO, looked: now, used: used(), gave_way: false }
    }

    /// Gives way if queries need it. To be called by the thread itself, ten times in a millisecond; does nothing most of the time.
    pub(super) fn look(&mut self) {
        // With a small share it is behind them anyway.
        if self.gave_way || self.glanced.elapsed() < GLANCE {
            return;
        }
        if queries_wait() && own_time().saturating_sub(self.yielded) >= TURN {
            thread::yield_now();
            self.yielded = own_time();
        }
        self.glanced = Instant::now();
        self.look_at_shares();
    }

    /// Leaves the thread a small share if queries need much. To be called every few milliseconds.
    fn look_at_shares(&mut self) {
        let passed = self.looked.elapsed();
        if self.gave_way || passed < LOOK {
            return;
        }
        let now = used();
        let before = |clock| self.used.iter().find(|(known, _)| *known == clock).map(|(_, used)| *used);
        let is_heavy = |&(clock, used): &(libc::clockid_t, Duration)| {
            before(clock).is_some_and(|before| used.saturating_sub(before) * 100 > passed * HEAVY)
        };
        if now.iter().any(is_heavy) {
            leave_small_share(self.thread);
            self.gave_way = true;
        }
        (self.looked, self.used) = (self.looked + passed, now);
    }
}

/// Has work done by a thread of its own with the manners of [`Courtesy`], while the calling one looks after it: for work that knows
/// nothing of threads. Where there is no thread to be had, the calling one does it, with a small share from then on.
pub(super) fn courteously<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let mut work = Some(work);
    let mut outcome = None;
    let (id, told) = mpsc::channel();
    thread::scope(|scope| {
        let (work, outcome) = (&mut work, &mut outcome);
        let run = move || {
            // SAFETY: no preconditions.
            let _ = id.send(unsafe { libc::gettid() });
            *outcome = work.take().map(|work| work());
        };
        let name = thread::current().name().unwrap_or_default().to_owned();
        match thread::Builder::new().name(name).spawn_scoped(scope, run) {
            Err(error) => tracing::warn!("no thread for a large change: {error}; others wait meanwhile"),
            Ok(_) => {
                let mut courtesy = told.recv().ok().map(Courtesy::of);
                while told.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                    courtesy.iter_mut().for_each(Courtesy::look_at_shares);
                }
            }
        }
    });
    match (outcome, work) {
        (Some(outcome), _) => outcome,
        (None, Some(work)) => {
            small_share();
            work()
        }
        (None, None) => unreachable!("the scope passes on the panic of its thread"),
    }
}

/// Counts the calling thread among those that answer queries.
fn answers(door: &impl AsRawFd) {
    let mut clock = 0;
    // SAFETY: the calling thread exists, and `clock` can be written to.
    let status = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &mut clock) };
    // SAFETY: `door` is open for as long as it is borrowed.
    let door = unsafe { BorrowedFd::borrow_raw(door.as_raw_fd()) };
    if let (0, Ok(door)) = (status, door.try_clone_to_owned()) {
        answering().push(Answering { clock, door });
    }
}

fn answering() -> MutexGuard<'static, Vec<Answering>> {
    ANSWERING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there are queries that nobody has taken yet.
fn queries_wait() -> bool {
    any_waits(&answering())
}

fn any_waits(threads: &[Answering]) -> bool {
    let door = |thread: &Answering| {
        let fd = thread.door.as_raw_fd();
        libc::pollfd { fd, events: libc::POLLIN, revents: 0 }
    };
    let mut doors: Vec<libc::pollfd> = threads.iter().map(door).collect();
    // SAFETY: so many structures can be written to; waits for nothing.
    unsafe { libc::poll(doors.as_mut_ptr(), doors.len() as libc::nfds_t, 0) };
    doors.iter().any(|door| door.revents & libc::POLLIN != 0)
}

/// The processor time that each thread which answers queries has had; the clock of a thread that has ended is forgotten.
fn used() -> Vec<(libc::clockid_t, Duration)> {
    let mut used = Vec::new();
    answering().retain(|thread| {
        let time = shown(thread.clock);
        used.extend(time.map(|time| (thread.clock, time)));
        time.is_some()
    });
    used
}

/// The processor time that the calling thread has had.
pub(super) fn own_time() -> Duration {
    shown(libc::CLOCK_THREAD_CPUTIME_ID).unwrap_or_default()
}

/// What a clock shows; `None` for one that is no more.
fn shown(clock: libc::clockid_t) -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` can be written to; a clock that is no more is an error.
    let is_there = unsafe { libc::clock_gettime(clock, &mut time) } == 0;
    let (seconds, nanoseconds) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    is_there.then(|| Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds))
}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::net::UdpSocket;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    use super::*;

    /// The nice value of the calling thread.
    fn nice() -> libc::c_int {
        // SAFETY: no preconditions; 0 is the calling thread.
        unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
    }

    /// What a thread returns that runs beside one that computes, which may be one that answers queries.
    fn beside<T: Send>(answering: bool, act: impl FnOnce() -> T + Send) -> T {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                if answering {
                    answers(&UdpSocket::bind("127.0.0.1:0").unwrap());
                }
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

    /// The nice value after a while of courtesy.
    fn nice_beside(answering: bool) -> libc::c_int {
        beside(answering, || {
            let mut courtesy = Courtesy::new();
            let end = Instant::now() + 30 * LOOK;
            while Instant::now() < end && !courtesy.gave_way {
                thread::sleep(LOOK);
                courtesy.look();
            }
            nice()
        })
    }

    /// The same for work that does not look itself.
    fn nice_of_work_beside(answering: bool) -> libc::c_int {
        beside(answering, || {
            courteously(|| {
                let end = Instant::now() + 30 * LOOK;
                while Instant::now() < end && nice() != SHARE {
                    thread::sleep(LOOK);
                }
                nice()
            })
        })
    }

    #[test]
    fn queries_wait_until_they_are_taken() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let threads = [Answering { clock: 0, door: socket.try_clone().unwrap().into() }];
        assert!(!any_waits(&threads) && !any_waits(&[]));
        socket.send_to(b"query", socket.local_addr().unwrap()).unwrap();
        assert!(any_waits(&threads));
        socket.recv(&mut [0; 512]).unwrap();
        assert!(!any_waits(&threads));
    }

    #[test]
    fn it_gives_way_to_queries_and_to_nothing_else() {
        let own = nice();
        assert_eq!((nice_beside(false), nice_beside(true)), (own, own.max(SHARE)));
        assert_eq!((nice_of_work_beside(false), nice_of_work_beside(true)), (own, own.max(SHARE)));
        assert_eq!(nice(), own, "who looks after work goes on as before");
    }
}
