//! A pool of threads that read zone files. Files of about the same size share a thread, so that none waits for a much larger one.

use std::collections::VecDeque;
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::panic;
use crate::publish::store::ZoneStore;
use crate::wire::name::{Name, NameRef};
use crate::zone::snapshot::Snapshot;

use super::super::courtesy::Courtesy;
use super::super::threads;
use super::load::{Bounds, LoadError, Loaded, Opened, load_onto, open};

/// The largest file of each lane but the last, in bytes. A file of the first is read in a few milliseconds.
const LANES: [u64; 3] = [1 << 20, 16 << 20, 256 << 20];
/// Files of the first lane, read by one thread in one go.
const PART: usize = 256;
/// Threads that read before anything is served, at most: more than that wait for whoever publishes.
const MAX_THREADS: usize = 4;

/// A file to read.
pub(super) struct Job {
    /// The caller's number for it.
    pub(super) ticket: u64,
    pub(super) path: Arc<Path>,
    /// The zone that it is read for; `None` for whichever it holds.
    pub(super) zone: Option<Name>,
    /// Set once nobody wants to know any more.
    pub(super) is_needless: Arc<AtomicBool>,
}

/// What came of a [`Job`].
pub(super) struct Done {
    pub(super) ticket: u64,
    pub(super) content: Content,
}

/// What was read.
pub(super) enum Content {
    /// For a zone.
    Zone(Result<Loaded, LoadError>),
    /// For whichever zone is in the file.
    File(Result<Opened, LoadError>),
}

/// How much other work matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// Nothing is served before this is done.
    Start,
    /// Queries come first, and a zone that changes before those that are only looked through.
    Gentle,
}

/// The threads; those of a lane come when there is something to read in it and go when there is nothing.
pub(super) struct Readers {
    lanes: [Arc<Lane>; LANES.len() + 1],
}

struct Lane {
    queue: Mutex<Queue>,
    store: Arc<ZoneStore>,
    tell: Box<dyn Fn(Vec<Done>) + Send + Sync>,
}

#[derive(Default)]
struct Queue {
    /// Changes of single zones.
    first: VecDeque<Job>,
    /// Whatever is looked through.
    then: VecDeque<Job>,
    threads: usize,
}

impl Readers {
    /// Reads nothing yet; compares with what `store` has of a zone. `tell` is called from the threads.
    pub(super) fn new(
        store: &Arc<ZoneStore>,
        tell: impl Fn(Vec<Done>) + Clone + Send + Sync + 'static,
    ) -> Readers {
        let lane = |_| {
            let (queue, store, tell) = (Mutex::default(), Arc::clone(store), Box::new(tell.clone()));
            Arc::new(Lane { queue, store, tell })
        };
        Readers { lanes: std::array::from_fn(lane) }
    }

    /// Has files read; what comes of those of a lane is told in no order but about that in which they were given.
    pub(super) fn read(&self, jobs: Vec<Job>, haste: Haste, is_change: bool) {
        let mut given: [usize; LANES.len() + 1] = [0; _];
        for job in jobs {
            let lane = match haste {
                // The threads are as many as there is use for, and it is soon over.
                Haste::Start => 0,
                Haste::Gentle => lane(&job.path),
            };
            given[lane] += 1;
            let mut queue = self.lanes[lane].queue();
            if is_change { queue.first.push_back(job) } else { queue.then.push_back(job) }
        }
        let most = match haste {
            Haste::Start => thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS),
            Haste::Gentle => 1,
        };
        for (lane, given) in self.lanes.iter().zip(given).filter(|(_, given)| *given > 0) {
            lane.employ(given, most, haste);
        }
    }
}

/// The lane of a file; one that cannot be seen takes no time.
fn lane(path: &Path) -> usize {
    let bytes = std::fs::metadata(path).map_or(0, |file| file.len());
    LANES.iter().take_while(|most| bytes > **most).count()
}

impl Lane {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that so many jobs more have threads, of which there are at most `most`.
    fn employ(self: &Arc<Lane>, jobs: usize, most: usize, haste: Haste) {
        for _ in 0..jobs.min(most) {
            {
                let mut queue = self.queue();
                if queue.threads >= most {
                    return;
                }
                queue.threads += 1;
            }
            let lane = Arc::clone(self);
            let started = threads::start("load", move || lane.work(haste));
            if let Err(error) = started {
                tracing::warn!("no thread to read zone files: {error}; others wait meanwhile");
                self.work(haste);
                return;
            }
        }
    }

    fn work(&self, haste: Haste) {
        let _courtesy = (haste == Haste::Gentle).then(Courtesy::begin);
        while let Some(part) = self.take() {
            let mut done = Vec::with_capacity(part.len());
            for job in part.iter().filter(|job| !job.is_needless.load(Ordering::Relaxed)) {
                done.push(self.read(job));
            }
            (self.tell)(done);
        }
    }

    /// What a thread reads next; a thread that gets nothing is one less.
    fn take(&self) -> Option<Vec<Job>> {
        let mut queue = self.queue();
        // With few left, each thread takes one, so that all come to an end together.
        let many = |jobs: &VecDeque<Job>| jobs.len().min(PART).min(1 + jobs.len() / MAX_THREADS);
        let part: Vec<Job> = match many(&queue.first) {
            0 => {
                let many = many(&queue.then);
                queue.then.drain(..many).collect()
            }
            many => queue.first.drain(..many).collect(),
        };
        if part.is_empty() {
            queue.threads -= 1;
            return None;
        }
        Some(part)
    }

    fn read(&self, job: &Job) -> Done {
        let base = |name: &NameRef| -> Option<Snapshot> { Some(self.store.get(name)?.version()?.source()) };
        let bounds = Bounds::new(&job.is_needless);
        let content = match &job.zone {
            Some(zone) => {
                Content::Zone(or_unreadable(&job.path, || load_onto(&job.path, zone, base(zone), &bounds)))
            }
            None => Content::File(or_unreadable(&job.path, || open(&job.path, &base, &bounds))),
        };
        Done { ticket: job.ticket, content }
    }
}

/// Reads a file. A fault of this program costs that file, and neither its lane a thread nor anybody an outcome to wait for.
fn or_unreadable<T>(path: &Path, read: impl FnOnce() -> Result<T, LoadError>) -> Result<T, LoadError> {
    panic::catch(read).unwrap_or_else(|error| {
        Err(LoadError::Unreadable { path: path.to_owned(), reason: format!("reading it {error}") })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_costs_its_file_only() {
        let outcome = or_unreadable::<()>(Path::new("x.zone"), || panic!("a fault of this program"));
        assert!(matches!(outcome, Err(LoadError::Unreadable { .. })), "{outcome:?}");
        assert!(matches!(or_unreadable(Path::new("x.zone"), || Ok(7)), Ok(7)));
    }
}
