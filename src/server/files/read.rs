//! A pool of threads that read zone files. Files of about the same size share a thread, so that none waits for a much larger one.
//!
//! The threads for small files stay, and read nothing else. The allocator gives each thread a part of the memory of its own, and one that
//! has ended leaves its part to the next that comes: the reader of a small file that came behind that of a large one had to put a
//! million freed pieces in order first, which took it 50 ms.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::panic;
use crate::publish::store::ZoneStore;
use crate::wire::name::{Name, NameRef};
use crate::zone::snapshot::Snapshot;

use super::super::courtesy::{Courtesy, in_succession};
use super::super::threads;
use super::copies::is_copy;
use super::load::{Bounds, LoadError, Loaded, Opened, load_onto, open, unread};

/// The largest file of each lane but the last, in bytes. A file of the first is read in a millisecond.
const LANES: [u64; 4] = [64 << 10, 1 << 20, 16 << 20, 256 << 20];
/// So many lanes of small files have a thread that stays.
const KEPT: usize = 2;
/// Files that are read by one thread in one go, at most: of those before anything is served ...
const PART_AT_THE_START: usize = 256;
/// ... and later, when a change may come meanwhile that is to be read next.
const PART: usize = 32;
/// Threads that read before anything is served, at most: more than that wait for whoever publishes.
const MAX_THREADS: usize = 4;

/// A file to read.
pub(super) struct Job {
    /// The caller's number for it.
    pub(super) ticket: u64,
    pub(super) path: Arc<Path>,
    /// The zone that it is read for; `None` for whichever it holds.
    pub(super) zone: Option<Name>,
    /// Whether it is left alone if it is a copy of another.
    pub(super) may_be_copy: bool,
    /// Places of files that were written to and not closed yet, as far as could be seen.
    pub(super) open: Arc<BTreeSet<PathBuf>>,
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
    /// For whichever zone is in the file; nothing of a copy.
    File(Result<Option<Opened>, LoadError>),
}

/// How much other work matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// Nothing is served before this is done.
    Start,
    /// Queries come first, and a zone that changes before those that are only looked through.
    Gentle,
}

/// The threads; but for that of small files they come when there is something to read in their lane, and go when there is nothing.
pub(super) struct Readers {
    /// Files of all sizes, before anything is served.
    start: Arc<Lane>,
    lanes: [Arc<Lane>; LANES.len() + 1],
}

struct Lane {
    haste: Haste,
    /// Threads at most: more than there are cores wait for each other.
    most: usize,
    queue: Mutex<Queue>,
    called: Condvar,
    store: Arc<ZoneStore>,
    tell: Box<dyn Fn(Vec<Done>) + Send + Sync>,
}

#[derive(Default)]
struct Queue {
    /// Changes of single zones.
    first: VecDeque<Job>,
    /// Whatever is looked through.
    then: VecDeque<Job>,
    /// Threads at work, or called to it.
    threads: usize,
    keeper: Keeper,
}

/// What a thread reads in one go.
struct Part {
    jobs: Vec<Job>,
    is_change: bool,
}

/// The thread of a lane that stays when there is nothing to read.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Keeper {
    /// There is none.
    #[default]
    Nobody,
    /// It waits, or ends what it was called to.
    Stays,
    Called,
    /// It is to end.
    Leaves,
}

impl Readers {
    /// Reads nothing yet; compares with what `store` has of a zone. `tell` is called from the threads.
    pub(super) fn new(
        store: &Arc<ZoneStore>,
        tell: impl Fn(Vec<Done>) + Clone + Send + Sync + 'static,
    ) -> Readers {
        let lane = |haste, most| {
            let (store, tell) = (Arc::clone(store), Box::new(tell.clone()));
            Arc::new(Lane { haste, most, queue: Mutex::default(), called: Condvar::new(), store, tell })
        };
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let readers = Readers {
            start: lane(Haste::Start, cores.min(MAX_THREADS)),
            lanes: std::array::from_fn(|_| lane(Haste::Gentle, 1)),
        };
        for lane in &readers.lanes[..KEPT] {
            if let Err(error) = lane.keep() {
                tracing::warn!(
                    "no thread of its own for small zone files: {error}; one is started when it is needed"
                );
            }
        }
        readers
    }

    /// Has files read; what comes of those of a lane is told in no order but about that in which they were given.
    pub(super) fn read(&self, jobs: Vec<Job>, haste: Haste, is_change: bool) {
        let mut given: [usize; LANES.len() + 1] = [0; _];
        let at_the_start = if haste == Haste::Start { jobs.len() } else { 0 };
        for job in jobs {
            let lane = match haste {
                // The threads are as many as there is use for, and it is soon over.
                Haste::Start => &self.start,
                Haste::Gentle => {
                    let lane = lane(&job.path);
                    given[lane] += 1;
                    &self.lanes[lane]
                }
            };
            let mut queue = lane.queue();
            if is_change { queue.first.push_back(job) } else { queue.then.push_back(job) }
        }
        self.start.employ(at_the_start);
        self.lanes.iter().zip(given).for_each(|(lane, given)| lane.employ(given));
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        for lane in &self.lanes[..KEPT] {
            lane.queue().keeper = Keeper::Leaves;
            lane.called.notify_all();
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

    /// Sees to it that so many jobs more have threads.
    fn employ(self: &Arc<Lane>, jobs: usize) {
        for _ in 0..jobs.min(self.most) {
            {
                let mut queue = self.queue();
                if queue.threads >= self.most {
                    return;
                }
                queue.threads += 1;
                if queue.keeper == Keeper::Stays {
                    queue.keeper = Keeper::Called;
                    self.called.notify_all();
                    continue;
                }
            }
            let lane = Arc::clone(self);
            let started = threads::start("load", move || {
                lane.work(false);
            });
            if let Err(error) = started {
                tracing::warn!("no thread to read zone files: {error}; others wait meanwhile");
                self.work(false);
                return;
            }
        }
    }

    /// Starts a thread that stays.
    fn keep(self: &Arc<Lane>) -> io::Result<()> {
        let lane = Arc::clone(self);
        in_succession("load", move || lane.stay())?;
        self.queue().keeper = Keeper::Stays;
        Ok(())
    }

    /// Waits to be called, and reads; `false` once it is to end.
    fn stay(self: &Arc<Lane>) -> bool {
        let waits = |queue: &mut Queue| matches!(queue.keeper, Keeper::Nobody | Keeper::Stays);
        let mut queue = self.called.wait_while(self.queue(), waits).unwrap_or_else(PoisonError::into_inner);
        if queue.keeper == Keeper::Leaves {
            return false;
        }
        queue.keeper = Keeper::Stays;
        drop(queue);
        self.work(true);
        true
    }

    /// Reads until there is nothing left, or a thread that stays leaves a change to the one that follows it.
    fn work(&self, stays: bool) {
        let begin = if stays { Courtesy::begin } else { Courtesy::begin_long };
        let courtesy = (self.haste == Haste::Gentle).then(begin);
        let mut leaves_changes = false;
        while let Some(part) = self.take(leaves_changes) {
            // A small file is read before queries notice, and a thread that stays reads no other.
            courtesy.iter().for_each(|courtesy| courtesy.keep_share(part.is_change && stays));
            let mut done = Vec::with_capacity(part.jobs.len());
            for job in part.jobs.iter().filter(|job| !job.is_needless.load(Ordering::Relaxed)) {
                done.push(self.read(job));
            }
            (self.tell)(done);
            leaves_changes = stays && courtesy.as_ref().is_some_and(Courtesy::gave_way);
        }
    }

    /// What a thread reads next; a thread that gets nothing is one less. A thread that stays may leave changes to the one that follows it.
    fn take(&self, leaves_changes: bool) -> Option<Part> {
        let mut queue = self.queue();
        if leaves_changes && !queue.first.is_empty() && queue.keeper == Keeper::Stays {
            queue.keeper = Keeper::Called;
            return None;
        }
        // With few left, each thread takes one, so that all come to an end together.
        let most = if self.haste == Haste::Start { PART_AT_THE_START } else { PART };
        let many = |jobs: &VecDeque<Job>| jobs.len().min(most).min(1 + jobs.len() / MAX_THREADS);
        let (changes, others) = (many(&queue.first), many(&queue.then));
        let (jobs, is_change): (Vec<Job>, bool) = match (changes, others) {
            (0, 0) => {
                queue.threads -= 1;
                return None;
            }
            (0, others) => (queue.then.drain(..others).collect(), false),
            (changes, _) => (queue.first.drain(..changes).collect(), true),
        };
        Some(Part { jobs, is_change })
    }

    fn read(&self, job: &Job) -> Done {
        let base = |name: &NameRef| -> Option<Snapshot> { Some(self.store.get(name)?.version()?.source()) };
        let bounds = Bounds::new(&job.is_needless).linting().awaiting_writers(&job.open);
        let content = match &job.zone {
            Some(zone) => {
                Content::Zone(or_unreadable(&job.path, || load_onto(&job.path, zone, base(zone), &bounds)))
            }
            None => Content::File(or_unreadable(&job.path, || {
                let is_copy = if job.may_be_copy { is_copy(&job.path, &bounds) } else { Ok(false) };
                match is_copy {
                    Ok(true) => Ok(None),
                    Ok(false) => open(&job.path, &base, &bounds).map(Some),
                    Err(error) => unread(&job.path, error).map(Some),
                }
            })),
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
    use std::fs;
    use std::sync::mpsc;
    use std::thread::ThreadId;

    use super::*;

    /// Reads files one after the other, each when what came of the one before was told; which threads told it.
    fn read_by(readers: &Readers, told: &mpsc::Receiver<ThreadId>, files: &[&Path]) -> Vec<ThreadId> {
        let read = |path: &&Path| {
            let (path, open, is_needless) = (Arc::from(*path), Arc::default(), Arc::default());
            let job = Job { ticket: 1, path, zone: None, may_be_copy: false, open, is_needless };
            readers.read(vec![job], Haste::Gentle, true);
            told.recv().unwrap()
        };
        files.iter().map(read).collect()
    }

    #[test]
    fn the_thread_for_small_files_stays_and_reads_no_large_one() {
        let dir = tempfile::tempdir().unwrap();
        let (small, large) = (dir.path().join("small.zone"), dir.path().join("large.zone"));
        fs::write(&small, "").unwrap();
        fs::write(&large, vec![b'\n'; LANES[KEPT - 1] as usize + 1]).unwrap();
        let (tell, told) = mpsc::channel();
        let store = Arc::new(ZoneStore::new(7));
        let readers = Readers::new(&store, move |_| tell.send(thread::current().id()).unwrap());
        let by = read_by(&readers, &told, &[&small, &large, &small]);
        assert!(by[0] == by[2] && by[0] != by[1], "{by:?}");
        drop(readers);
        assert!(told.recv().is_err(), "it ends with what it is for");
    }

    #[test]
    fn a_panic_costs_its_file_only() {
        let outcome = or_unreadable::<()>(Path::new("x.zone"), || panic!("a fault of this program"));
        assert!(matches!(outcome, Err(LoadError::Unreadable { .. })), "{outcome:?}");
        assert!(matches!(or_unreadable(Path::new("x.zone"), || Ok(7)), Ok(7)));
    }
}
