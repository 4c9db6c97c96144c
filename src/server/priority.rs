//! Which thread runs when several could: queries first, and no work without a share.

use std::time::Duration;

/// The share, as a nice value: a tenth of a core.
const SHARE: libc::c_int = 10;

/// Lets this thread have a small share of a busy core. It cannot be taken back.
pub(super) fn small_share() {
    // SAFETY: no preconditions; 0 is the calling thread, and on failure it goes on as it was.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, SHARE) };
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
/// however low that one's share.
pub(super) fn run_at_once() {
    // No slice is shorter.
    slices_of(Duration::from_micros(100));
}

/// Has this thread, which has much to do, take the processor in long slices: a thread that answers queries does not run the moment it is
/// woken where less remains of a slice than it would get itself. What else of its kind waits for the end of a slice, and so they are not
/// as long as they may be (100 ms).
pub(super) fn long_slices() {
    slices_of(Duration::from_millis(20));
}

/// Has this thread take the processor in slices as others do.
pub(super) fn usual_slices() {
    slices_of(Duration::ZERO);
}

fn slices_of(slice: Duration) {
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
        sched_runtime: slice.as_nanos() as u64,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: `attr` is valid and says its size; on failure the slice stays as it is.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) };
}

/// The processor time that the calling thread has had.
pub(super) fn own_time() -> Duration {
    shown(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// What a clock shows; nothing for one that is no more. Signal handlers may call this.
pub(super) fn shown(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` can be written to; a clock that is no more is an error and leaves it.
    unsafe { libc::clock_gettime(clock, &mut time) };
    Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_nanos(time.tv_nsec.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use std::mem;

    use super::*;

    /// The slices of the calling thread in nanoseconds; 0 where Linux is older than they.
    fn slices() -> u64 {
        // SAFETY: zero is a valid value for every field.
        let mut attr: libc::sched_attr = unsafe { mem::zeroed() };
        let size = size_of::<libc::sched_attr>();
        // SAFETY: so many bytes can be written to; 0 is the calling thread.
        let status = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, size, 0) };
        assert_eq!(status, 0);
        attr.sched_runtime
    }

    #[test]
    fn slices_are_as_long_as_asked_for_and_as_before_again() {
        let usual = slices();
        long_slices();
        let long = slices();
        usual_slices();
        assert_eq!(slices(), usual);
        assert!(usual == 0 || long == 20_000_000, "{usual} and {long}");
    }
}
