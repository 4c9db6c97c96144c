//! Threads for the work that the node gives away: one for what is small, so that it never waits, and some for what is large, which
//! give way to queries, and to nothing else.

use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use crate::publish::job::{Done, Job};
use crate::publish::stages::MANY_RECORDS;

use super::priority::courteously;

/// Large jobs at once, at most: more than there are cores, so that one that takes long does not hold up the others.
const LARGE: usize = 8;

/// The way to the threads; they end when it is dropped.
pub struct Jobs {
    small: mpsc::Sender<Job>,
    large: mpsc::Sender<Job>,
}

impl Jobs {
    /// Starts the threads; `done` is called from them.
    pub fn start(done: impl Fn(Done) + Clone + Send + 'static) -> io::Result<Jobs> {
        let (small, queue) = mpsc::channel();
        worker("small jobs", Arc::new(Mutex::new(queue)), Job::run, done.clone())?;
        let (large, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..LARGE {
            worker("large jobs", Arc::clone(&queue), |job| courteously(|| job.run()), done.clone())?;
        }
        Ok(Jobs { small, large })
    }

    /// Has a job done.
    pub fn run(&self, job: Job) {
        let queue = if job.weight() > MANY_RECORDS { &self.large } else { &self.small };
        // The threads live as long as this.
        let _ = queue.send(job);
    }
}

fn worker(
    name: &str,
    queue: Arc<Mutex<mpsc::Receiver<Job>>>,
    run: fn(Job) -> Done,
    done: impl Fn(Done) + Send + 'static,
) -> io::Result<()> {
    let work = move || {
        loop {
            let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            done(run(job));
        }
    };
    thread::Builder::new().name(name.to_owned()).spawn(work).map(|_| ())
}
