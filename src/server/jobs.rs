//! Threads for the work that the node gives away: some for what is small, so that it hardly ever waits, and some for what is large, which
//! give way to queries, and to nothing else.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use crate::publish::job::{Done, Job};

use super::courtesy::{Courtesy, in_succession};
use super::threads;

/// Threads for small jobs: one of these may take long all the same, as where one record decides on the order of a whole zone.
const SMALL: usize = 4;
/// Large jobs at once, at most: more than there are cores, so that one that takes long does not hold up the others.
const LARGE: usize = 8;

/// The way to the threads; they end when it is dropped.
pub struct Jobs {
    small: mpsc::Sender<Job>,
    large: Arc<Large>,
}

/// Large jobs and who does them: threads that live while there are any.
struct Large {
    done: Box<dyn Fn(Done) + Send + Sync>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    threads: usize,
}

impl Jobs {
    /// Starts what is always there; `done` is called from other threads.
    pub fn start(done: impl Fn(Done) + Clone + Send + Sync + 'static) -> io::Result<Jobs> {
        let (small, queue) = mpsc::channel::<Job>();
        let large = Arc::new(Large { done: Box::new(done.clone()), waiting: Mutex::default() });
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..SMALL {
            let (queue, done) = (Arc::clone(&queue), done.clone());
            let next = move || queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let work = move || std::iter::from_fn(|| next().ok()).for_each(|job| done(job.run()));
            threads::start("small jobs", work)?;
        }
        Ok(Jobs { small, large })
    }

    /// Has a job done.
    pub fn run(&self, job: Job) {
        let job = if job.is_large() { self.large.take(job) } else { Some(job) };
        // The threads live as long as this.
        job.into_iter().for_each(|job| drop(self.small.send(job)));
    }
}

impl Large {
    /// Has a job done by a thread, and gives back one that no thread is to be had for.
    fn take(self: &Arc<Large>, job: Job) -> Option<Job> {
        let mut waiting = self.waiting();
        waiting.jobs.push_back(job);
        if waiting.threads == LARGE {
            return None;
        }
        waiting.threads += 1;
        drop(waiting);
        let error = self.start().err()?;
        tracing::warn!("no thread for a large change: {error}; small ones wait for it");
        let mut waiting = self.waiting();
        waiting.threads -= 1;
        waiting.jobs.pop_back()
    }

    /// Starts a thread, which is counted already, and does what waits until there is nothing left.
    fn start(self: &Arc<Large>) -> io::Result<()> {
        let own = Arc::clone(self);
        in_succession("large jobs", move || {
            let Some(job) = own.next() else { return false };
            let _courtesy = Courtesy::begin();
            (own.done)(job.run());
            true
        })
    }

    /// The next job; where there is none, a thread less is counted.
    fn next(&self) -> Option<Job> {
        let mut waiting = self.waiting();
        let job = waiting.jobs.pop_front();
        waiting.threads -= usize::from(job.is_none());
        job
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
