//! Threads for the work that the node gives away: some for what is small, so that it does not wait for what is large, and some for what
//! is large, which give way to queries, and to nothing else.
//!
//! ```text
//! job -> idle thread? -- yes --> does it            thread without a job: waits, or ends where enough of them are left
//!            `-- no --> waits in a queue -- nobody takes a job for PATIENCE --> another thread, up to a bound
//! ```

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::publish::job::{Done, Job};

use super::courtesy::{Courtesy, in_succession};
use super::threads;

/// One that is small may take long all the same, as where one record decides on the order of a whole zone: as many zones as this would
/// have to change so at once for another one's change to wait.
const SMALL: Kind = Kind { name: "small jobs", keep: 4, most: 64, gives_way: false };
/// More than there are cores, so that one that takes long does not hold up the others.
const LARGE: Kind = Kind { name: "large jobs", keep: 0, most: 8, gives_way: true };

/// Where jobs wait and none is taken for so long, another thread comes. Ten thousand small ones in a row need no more than there are.
const PATIENCE: Duration = Duration::from_millis(5);

/// The way to the threads; they end when it is dropped.
pub struct Jobs {
    small: Arc<Pool>,
    large: Arc<Pool>,
}

/// What the threads of a pool are like.
struct Kind {
    name: &'static str,
    /// How many stay while there is nothing to do.
    keep: usize,
    most: usize,
    /// To queries.
    gives_way: bool,
}

/// Jobs and who does them.
struct Pool {
    kind: Kind,
    done: Box<dyn Fn(Done) + Send + Sync>,
    queue: Mutex<Queue>,
    more: Condvar,
    /// For the thread that waits to be needed: the pool closes.
    end: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Those of them that wait.
    idle: usize,
    /// Whether there is a thread besides that waits to be needed.
    has_spare: bool,
    /// How many jobs have been taken.
    taken: u64,
    is_closed: bool,
}

impl Jobs {
    /// Starts what is always there; `done` is called from other threads.
    pub fn start(done: impl Fn(Done) + Clone + Send + Sync + 'static) -> io::Result<Jobs> {
        Ok(Jobs { small: Pool::start(SMALL, done.clone())?, large: Pool::start(LARGE, done)? })
    }

    /// Has a job done.
    pub fn run(&self, job: Job) {
        let job = if job.is_large() { self.large.take(job) } else { Some(job) };
        // Some of these threads always live.
        job.into_iter().for_each(|job| drop(self.small.take(job)));
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        for pool in [&self.small, &self.large] {
            pool.queue().is_closed = true;
            pool.more.notify_all();
            pool.end.notify_all();
        }
    }
}

impl Pool {
    fn start(kind: Kind, done: impl Fn(Done) + Send + Sync + 'static) -> io::Result<Arc<Pool>> {
        let (queue, more, end) = (Mutex::default(), Condvar::new(), Condvar::new());
        let pool = Arc::new(Pool { kind, done: Box::new(done), queue, more, end });
        for _ in 0..pool.kind.keep {
            pool.queue().threads += 1;
            pool.start_thread(false)?;
        }
        Ok(pool)
    }

    /// Has a job done by a thread, and gives back one that there is no thread for at all.
    fn take(self: &Arc<Pool>, job: Job) -> Option<Job> {
        let mut queue = self.queue();
        queue.jobs.push_back(job);
        if queue.jobs.len() <= queue.idle {
            self.more.notify_one();
            return None;
        }
        if queue.threads >= self.kind.keep.max(1) {
            self.relieve(queue);
            return None;
        }
        queue.threads += 1;
        drop(queue);
        let error = self.start_thread(false).err()?;
        self.lacks(&error);
        let mut queue = self.queue();
        queue.threads -= 1;
        if queue.threads == 0 { queue.jobs.pop_back() } else { None }
    }

    /// Has another thread look whether jobs wait in vain, if any wait.
    fn relieve(self: &Arc<Pool>, mut queue: MutexGuard<'_, Queue>) {
        let is_needed = !queue.jobs.is_empty() && queue.idle == 0 && queue.threads < self.kind.most;
        if !is_needed || std::mem::replace(&mut queue.has_spare, true) {
            return;
        }
        drop(queue);
        if let Err(error) = self.start_thread(true) {
            self.lacks(&error);
            self.queue().has_spare = false;
        }
    }

    fn lacks(&self, error: &io::Error) {
        tracing::warn!("no more threads for {}: {error}; they wait for each other", self.kind.name);
    }

    /// Starts a thread, which is counted already, or a spare one.
    fn start_thread(self: &Arc<Pool>, mut is_spare: bool) -> io::Result<()> {
        let own = Arc::clone(self);
        let next = move || {
            if std::mem::take(&mut is_spare) && !own.is_stuck() {
                return false;
            }
            own.next().map(|job| own.work(job)).is_some()
        };
        match self.kind.gives_way {
            true => in_succession(self.kind.name, next),
            false => threads::start(self.kind.name, {
                let mut next = next;
                move || while next() {}
            })
            .map(drop),
        }
    }

    /// Waits until jobs wait that nobody takes, for which the thread is then counted; `false` when none wait any more.
    fn is_stuck(&self) -> bool {
        let mut queue = self.queue();
        loop {
            let taken = queue.taken;
            (queue, _) = self.end.wait_timeout(queue, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            let is_stuck = queue.taken == taken;
            if is_stuck || queue.is_closed || queue.jobs.is_empty() {
                queue.has_spare = false;
                let counts = is_stuck && !queue.is_closed && !queue.jobs.is_empty();
                queue.threads += usize::from(counts);
                return counts;
            }
        }
    }

    fn work(&self, job: Job) {
        let _courtesy = self.kind.gives_way.then(Courtesy::begin_long);
        (self.done)(job.run());
    }

    /// The next job, waited for; where a thread more than are kept finds none, it is no longer counted.
    fn next(self: &Arc<Pool>) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            let job = queue.jobs.pop_front();
            if job.is_some() {
                queue.taken += 1;
                self.relieve(queue);
                return job;
            }
            if queue.is_closed || queue.threads > self.kind.keep {
                queue.threads -= 1;
                return None;
            }
            queue.idle += 1;
            queue = self.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use crate::time::Utc;

    use super::*;

    #[test]
    fn a_job_waits_for_no_other_where_few_take_long() {
        let (tell, told) = mpsc::channel();
        let (go_on, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let jobs = Jobs::start(move |done: Done| {
            tell.send(done.ticket).unwrap();
            // Whoever does an even one has no end of it for now.
            if done.ticket.is_multiple_of(2) {
                let _ = held.lock().unwrap_or_else(PoisonError::into_inner).recv();
            }
        })
        .unwrap();
        let job = |ticket| Job::new(ticket, Utc::default(), Vec::new());
        let count = 2 * (SMALL.most - SMALL.keep) as u64;
        (0..count).for_each(|ticket| jobs.run(job(ticket)));
        let mut done: Vec<u64> = told.iter().take(count as usize).collect();
        done.sort_unstable();
        assert!(done.into_iter().eq(0..count));
        // Threads that have nothing to do any more are not kept.
        let small = Arc::clone(&jobs.small);
        drop(go_on);
        let end = |threads| {
            while small.queue().threads > threads {
                std::thread::yield_now();
            }
        };
        end(SMALL.keep);
        drop(jobs);
        end(0);
    }
}
