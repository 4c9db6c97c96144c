//! Work that must not keep queries waiting: threads that run only where a core has nothing else to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long work may wait for an idle core before it takes its share of a busy one: a change of a large zone needs a quarter of
/// this.
const STARVED: Duration = Duration::from_secs(1);
/// The share, as a nice value: a tenth of a core.
const SHARE: libc::c_int = 10;

/// Lets this thread run only where nothing else wants to, and give way at once when something does. It cannot be taken back.
pub(super) fn idle() {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is the calling thread and `none` a valid parameter; on failure the thread goes on as it was.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &none) };
}

/// Lets this thread have a small share of a busy core. It cannot be taken back.
pub(super) fn small_share() {
    // SAFETY: 0 is the calling thread; on failure the thread goes on as it was.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, SHARE) };
}

/// Lets this thread wake up when it wants to: the system puts the end of a sleep off by up to 50 us otherwise, so that timers
/// end together (PR_SET_TIMERSLACK of prctl(2)).
pub(super) fn wake_on_time() {
    const SLACK: libc::c_ulong = 1_000;
    // SAFETY: sets a number of this thread's, in nanoseconds; on failure sleeps stay longer than asked for.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, SLACK) };
}

/// Lets this thread run the moment it is woken: it asks for the processor in the smallest slices (sched_setattr(2); Linux from
/// 6.12 on). Otherwise it waits for the end of the slice of whoever runs, which is milliseconds, however low that one's share.
pub(super) fn run_at_once() {
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

/// Gives the system back what was let go of: the allocator keeps it otherwise, for a next time that may be days away.
pub(super) fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no preconditions; it locks what it works on.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Does the work on a core that has nothing else to do, or, if there is none for long, on a share of a busy one. `work` is told
/// when it need not be finished any more.
pub(super) fn gently<T: Send + 'static>(work: impl Fn(&AtomicBool) -> T + Send + Sync + 'static) -> T {
    let work = Arc::new(work);
    let (done, outcome) = mpsc::channel();
    let begin = |lower: fn()| {
        let (work, done, is_needless) = (Arc::clone(&work), done.clone(), Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&is_needless);
        let run = move || {
            lower();
            // Nobody waits for the slower of two.
            let _ = done.send(work(&told));
            give_back_memory();
        };
        thread::Builder::new().name("load".to_owned()).spawn(run).map(|_| is_needless)
    };
    let Ok(first) = begin(idle) else { return work(&AtomicBool::new(false)) };
    if let Ok(outcome) = outcome.recv_timeout(STARVED) {
        return outcome;
    }
    let second = begin(small_share);
    // Only the two threads hold the other end now, so that it closes should both of them end badly.
    drop(done);
    let outcome = outcome.recv();
    first.store(true, Ordering::Relaxed);
    second.into_iter().for_each(|second| second.store(true, Ordering::Relaxed));
    outcome.unwrap_or_else(|_| work(&AtomicBool::new(false)))
}
