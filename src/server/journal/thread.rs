//! The journal's thread: takes all commits that wait, writes once, syncs once, and says so. [`Order`] says which and when.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::publish::journal::entry::{Aside, Entry, MANY_RECORDS};
use crate::publish::journal::log::LogError;
use crate::publish::journal::order::{Commit, Order, Outcomes, Task};

use super::contents::{Done, Remover, Writers};
use super::folder::FolderError;
use super::group::Writer;
use super::open::Ready;
use super::rewrite::{Files, Mark};
use crate::server::{clock, priority, threads};

/// How often an idle journal looks whether its files are still in place.
const LOOK: Duration = Duration::from_secs(5);
/// What could not be written is tried again after so long.
const AGAIN: Duration = Duration::from_secs(60);
/// A journal that could not be written anew is tried again after [`AGAIN`], and twice as long after each further failure, so often:
/// each try costs as much as the journal is large.
const DOUBLINGS: u32 = 6;

/// Hands out the entries from which all zones are made again: what a journal begins with that is written anew.
type Checkpoint = Box<dyn FnOnce(&mut dyn FnMut(Entry)) + Send>;

enum Request {
    Commit { ticket: u64, entries: Vec<Entry>, may_be_later: bool },
    Note(Box<Entry>),
    Rewrite(Box<(Mark, Checkpoint)>),
    Rewritten(Box<(Mark, Result<Files, FolderError>)>),
    Content(Box<Done>),
    Stop,
}

/// What the thread tells.
pub enum Report {
    /// Commits that are on stable storage, or failed.
    Written(Outcomes),
    /// The journal is to be written anew: [`Journal::rewrite`] is waited for. Its checkpoint holds at least all commits that were
    /// reported before this.
    Overgrown(Mark),
}

/// The way to the thread.
pub struct Journal {
    requests: mpsc::Sender<Request>,
    thread: JoinHandle<()>,
    syncs: Arc<AtomicU64>,
}

impl Journal {
    /// Starts the thread; `report` is called from it. `needed` tells how many bytes of a journal a checkpoint takes now.
    pub fn start(
        ready: Ready,
        needed: impl Fn() -> u64 + Send + 'static,
        report: impl Fn(Report) + Send + 'static,
    ) -> io::Result<Journal> {
        let (requests, queue) = mpsc::channel();
        let syncs = Arc::new(AtomicU64::new(0));
        let worker = Worker::new(ready, Arc::clone(&syncs), requests.clone(), needed)?;
        let run = move || worker.run(&queue, &report);
        let thread = threads::start("journal", run)?;
        Ok(Journal { requests, thread, syncs })
    }

    /// Has entries written that count together or not at all. Where they may be later, a large content is written behind its
    /// stamp: a crash before that costs the differences to what was served before, and the zone file has the content.
    pub fn commit(&self, ticket: u64, entries: Vec<Entry>, may_be_later: bool) {
        // The thread lives as long as this.
        let _ = self.requests.send(Request::Commit { ticket, entries, may_be_later });
    }

    /// Has an entry written whose loss would do no harm.
    pub fn note(&self, entry: Entry) {
        let _ = self.requests.send(Request::Note(Box::new(entry)));
    }

    /// Has a new journal written, from the entries of a checkpoint that was taken behind this mark.
    pub fn rewrite(&self, mark: Mark, checkpoint: impl FnOnce(&mut dyn FnMut(Entry)) + Send + 'static) {
        let _ = self.requests.send(Request::Rewrite(Box::new((mark, Box::new(checkpoint)))));
    }

    /// How many syncs commits have waited for.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Ends the thread, once all commits that it was given are written.
    pub fn stop(self) {
        let _ = self.requests.send(Request::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the journal's thread did not end well");
        }
    }
}

struct Worker {
    writer: Writer,
    contents: Writers,
    own: mpsc::Sender<Request>,
    order: Order,
    /// Contents that could not be written, and when to try again.
    again: Vec<(Instant, Task)>,
    next_look: Instant,
    rewriting: Rewriting,
    needed: Box<dyn Fn() -> u64 + Send>,
}

/// Whether the journal is being written anew, and what came of it before.
#[derive(Default)]
struct Rewriting {
    is_under_way: bool,
    /// Failures since it last went well.
    failures: u32,
    /// A journal that could not be written anew is left alone until then.
    not_before: Option<Instant>,
}

impl Rewriting {
    fn may_begin(&self, now: Instant) -> bool {
        !self.is_under_way && self.not_before.is_none_or(|at| at <= now)
    }

    fn failed(&mut self, now: Instant, folder: &Path, error: impl Display) {
        let wait = AGAIN * (1 << self.failures.min(DOUBLINGS));
        *self = Rewriting { is_under_way: false, failures: self.failures + 1, not_before: Some(now + wait) };
        tracing::error!(
            "the journal in {} was not written anew, goes on as it is, and grows until it is, which is tried again in {} s: {error}",
            folder.display(),
            wait.as_secs()
        );
    }
}

impl Worker {
    /// `own` leads to the queue that [`Worker::run`] takes from.
    fn new(
        ready: Ready,
        syncs: Arc<AtomicU64>,
        own: mpsc::Sender<Request>,
        needed: impl Fn() -> u64 + Send + 'static,
    ) -> io::Result<Worker> {
        let done = own.clone();
        let dir = ready.folder.contents();
        let contents = Writers::start(&dir, move |content| {
            // A journal that has ended needs it no more.
            let _ = done.send(Request::Content(Box::new(content)));
        })?;
        Ok(Worker {
            writer: Writer::new(ready, Remover::start(dir)?, syncs),
            contents,
            own,
            order: Order::default(),
            again: Vec::new(),
            next_look: Instant::now() + LOOK,
            rewriting: Rewriting::default(),
            needed: Box::new(needed),
        })
    }

    fn run(mut self, queue: &mpsc::Receiver<Request>, report: &dyn Fn(Report)) {
        let mut is_stopping = false;
        loop {
            let request = queue.recv_timeout(self.next_deadline().saturating_duration_since(Instant::now()));
            match request {
                Ok(Request::Stop) => is_stopping = true,
                Ok(request) => self.take(request, report),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => is_stopping = true,
            }
            // All that has arrived goes along.
            while let Ok(request) = queue.try_recv() {
                match request {
                    Request::Stop => is_stopping = true,
                    request => self.take(request, report),
                }
            }
            if self.order.due().is_some_and(|due| is_stopping || due <= clock::mono()) {
                self.group(report);
            }
            if is_stopping && !self.order.is_held() {
                self.writer.stop();
                return;
            }
            self.look(report);
        }
    }

    fn next_deadline(&self) -> Instant {
        let group = self.order.due().map(|due| Instant::now() + due.since(clock::mono()));
        let again = self.again.iter().map(|(at, _)| *at);
        group.into_iter().chain(again).chain([self.next_look]).min().unwrap_or(self.next_look)
    }

    fn take(&mut self, request: Request, report: &dyn Fn(Report)) {
        match request {
            Request::Commit { ticket, entries, may_be_later } => self.accept(ticket, entries, may_be_later),
            Request::Note(entry) => self.note(*entry),
            Request::Content(done) => self.written(*done, report),
            Request::Rewrite(request) => self.rewrite(*request),
            Request::Rewritten(done) => {
                let (mark, files) = *done;
                match self.writer.replace(files, mark) {
                    Ok(()) => self.rewriting = Rewriting::default(),
                    Err(error) => self.rewriting.failed(Instant::now(), self.writer.folder().path(), error),
                }
            }
            Request::Stop => {}
        }
    }

    fn note(&mut self, entry: Entry) {
        if let Some(entry) = self.order.note(entry) {
            self.writer.note(entry);
        }
    }

    fn accept(&mut self, ticket: u64, entries: Vec<Entry>, may_be_later: bool) {
        let place = |entry: Entry| {
            let aside = entry.aside(MANY_RECORDS, || self.writer.next_id());
            (entry, aside)
        };
        let commit = Commit { ticket, placed: entries.into_iter().map(place).collect() };
        for task in self.order.commit(commit, may_be_later) {
            self.contents.write(task);
        }
    }

    /// Goes on with what waited for a content.
    fn written(&mut self, done: Done, report: &dyn Fn(Report)) {
        let Done { zone, id, ticket, result } = done;
        let dir = self.writer.folder().path().display();
        if let Some(ticket) = ticket {
            let failed = result
                .err()
                .map(|(error, _)| LogError(format!("{dir}: a large content could not be written: {error}")));
            let outcomes = self.order.content(ticket, failed);
            if !outcomes.is_empty() {
                report(Report::Written(outcomes));
            }
            return;
        }
        match result {
            Ok(size) => self.writer.complete(&zone, id, size),
            Err((error, task)) => {
                tracing::error!(
                    "the content of zone `{zone}` is served and not in {dir} yet: {error}; it is tried again"
                );
                self.again.push((Instant::now() + AGAIN, task));
            }
        }
    }

    /// Writes and syncs all that is ready.
    fn group(&mut self, report: &dyn Fn(Report)) {
        let commits = self.order.group(clock::mono());
        let result = self.writer.write(&commits);
        let outcomes = commits.iter().map(|commit| (commit.ticket, result.clone())).collect();
        report(Report::Written(outcomes));
        for (entry, aside) in commits.into_iter().flat_map(|commit| commit.placed) {
            match (&result, aside) {
                (Ok(()), aside) => self.behind(entry, aside),
                (Err(_), Some(aside)) => {
                    self.writer.discard(aside.id);
                    self.writer.let_go(entry);
                }
                (Err(_), None) => {}
            }
        }
    }

    /// What is still to be done for an entry that counts as written.
    fn behind(&mut self, entry: Entry, aside: Option<Aside>) {
        let Some(aside) = aside else { return };
        match self.writer.size_of(aside.id) {
            Some(size) => {
                self.writer.complete(entry.zone(), aside.id, size);
                self.writer.let_go(entry);
            }
            None => self.contents.write(Task { aside, entry, ticket: None }),
        }
    }

    fn rewrite(&mut self, request: (Mark, Checkpoint)) {
        let (mark, checkpoint) = request;
        let (rewrite, own) = (self.writer.rewrite(), self.own.clone());
        let write = move || {
            priority::small_share();
            let files = rewrite.write(checkpoint);
            // A journal that has ended does without it.
            let _ = own.send(Request::Rewritten(Box::new((mark, files))));
        };
        if let Err(error) = threads::start("checkpoint", write) {
            self.rewriting.failed(
                Instant::now(),
                self.writer.folder().path(),
                format_args!("no thread: {error}"),
            );
        }
    }

    /// Does what is due now and then.
    fn look(&mut self, report: &dyn Fn(Report)) {
        let now = Instant::now();
        let (due, again) = std::mem::take(&mut self.again).into_iter().partition(|(at, _)| *at <= now);
        self.again = again;
        for (_, task) in due {
            // What the journal has forgotten meanwhile need not be written.
            if self.writer.refers_to(task.aside.id) {
                self.contents.write(task);
            }
        }
        if self.next_look <= now {
            self.next_look = now + LOOK;
            self.writer.settle();
            if let Err(error) = self.writer.look() {
                tracing::error!("{}: {error}", self.writer.folder().path().display());
            }
            self.writer.look_for_losses();
        }
        if self.rewriting.may_begin(now)
            && let Some(mark) = self.writer.overgrown(&self.needed)
        {
            self.rewriting.is_under_way = true;
            report(Report::Overgrown(mark));
        }
    }
}

#[cfg(test)]
mod tests;
