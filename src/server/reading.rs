//! Reads many zone files at once: in parallel, in parts, and handed on in the order they were asked for.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use crate::publish::store::ZoneStore;
use crate::wire::name::{Name, NameRef};
use crate::zone::snapshot::Snapshot;

use super::priority;
use super::zone_file::{Bounds, LoadError, Loaded, Opened, load_onto, open};

/// Files whose zone is not known yet, read by one thread in one go.
const PART: usize = 256;
/// So many bytes are read in a few milliseconds, and not worth a thread.
const LITTLE: u64 = 1 << 20;
/// Threads that read, at most: more than that wait for whoever publishes.
const MAX_THREADS: usize = 4;

/// A file to read.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// For this zone.
    Of(Name, PathBuf),
    /// For whichever zone it holds.
    Unknown(PathBuf),
}

/// What came of a [`Job`].
pub(super) enum Done {
    Of(Name, Result<Loaded, LoadError>),
    Unknown(PathBuf, Result<Opened, LoadError>),
}

/// How much other work matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// Nothing is served before this is done.
    Start,
    /// Queries come first.
    Gentle,
}

/// Reads files, comparing each with what `store` has of its zone, and hands on what came of them in their order.
pub(super) fn read_all(store: &Arc<ZoneStore>, jobs: Vec<Job>, haste: Haste, each: &mut dyn FnMut(Done)) {
    let parts = parts(jobs);
    if haste == Haste::Gentle {
        for part in parts {
            if bytes(&part) <= LITTLE {
                read_part(store, &part, &mut Bounds::new(&AtomicBool::new(false)))
                    .into_iter()
                    .for_each(&mut *each);
                continue;
            }
            let read = || read_part(store, &part, &mut Bounds::polite(&AtomicBool::new(false)));
            let done = thread::scope(|scope| scope.spawn(read).join());
            priority::give_back_memory();
            done.into_iter().flatten().for_each(&mut *each);
        }
        return;
    }
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(MAX_THREADS).min(parts.len());
    let next = AtomicUsize::new(0);
    let (done, results) = mpsc::sync_channel(2 * threads);
    thread::scope(|scope| {
        for _ in 0..threads {
            let (done, parts, next) = (done.clone(), &parts, &next);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(part) = parts.get(index) else { return };
                    // The other end is there as long as this scope.
                    let _ =
                        done.send((index, read_part(store, part, &mut Bounds::new(&AtomicBool::new(false)))));
                }
            });
        }
        drop(done);
        let mut early = BTreeMap::new();
        let mut turn = 0;
        for (index, part) in results {
            early.insert(index, part);
            while let Some(part) = early.remove(&turn) {
                turn += 1;
                part.into_iter().for_each(&mut *each);
            }
        }
    });
}

/// One by one what may be large, in parts what is found in folders.
fn parts(jobs: Vec<Job>) -> Vec<Vec<Job>> {
    let mut parts: Vec<Vec<Job>> = Vec::new();
    for job in jobs {
        match parts.last_mut() {
            Some(part)
                if part.len() < PART && matches!((&job, &part[0]), (Job::Unknown(_), Job::Unknown(_))) =>
            {
                part.push(job);
            }
            _ => parts.push(vec![job]),
        }
    }
    parts
}

/// How much there is to read.
fn bytes(part: &[Job]) -> u64 {
    let paths = part.iter().map(|job| match job {
        Job::Of(_, path) | Job::Unknown(path) => path,
    });
    paths.filter_map(|path| Some(std::fs::metadata(path).ok()?.len())).sum()
}

fn read_part(store: &ZoneStore, part: &[Job], bounds: &mut Bounds<'_>) -> Vec<Done> {
    let base = |name: &NameRef| served(store, name);
    let read = |job: &Job| match job {
        Job::Of(name, path) => Done::Of(name.clone(), load_onto(path, name, base(name), bounds)),
        Job::Unknown(path) => Done::Unknown(path.clone(), open(path, &base, bounds)),
    };
    part.iter().map(read).collect()
}

fn served(store: &ZoneStore, name: &NameRef) -> Option<Snapshot> {
    Some(store.get(name)?.version()?.snapshot.clone())
}
