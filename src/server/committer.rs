//! The journal's thread: takes all commits that wait, writes them with one write and one sync, and says so.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::node::effects::Commit;
use crate::publish::journal::entry::Entry;
use crate::publish::journal::log::LogError;
use crate::publish::store::Checkpoint;

use super::clock;
use super::disk::{Disk, DiskError, Rewritten};
use super::priority;

/// Syncs are at least this far apart: commits that arrive meanwhile go together.
const SYNC_GAP: Duration = Duration::from_millis(5);

/// What the thread is asked to do.
enum Request {
    Commit(Commit),
    Note(Box<Entry>),
    /// Write a new journal from the state that all commits up to this ticket led to.
    Rewrite(u64, Checkpoint),
    Rewritten(Result<Rewritten, DiskError>),
    Stop,
}

/// What the thread tells.
pub enum Report {
    /// Commits that are on stable storage, or failed; in the order of their tickets.
    Written(Vec<(u64, Result<(), LogError>)>),
    /// The journal is to be rewritten: [`Committer::rewrite`] is waited for.
    Overgrown,
}

/// The way to the thread.
pub struct Committer {
    requests: mpsc::Sender<Request>,
    thread: JoinHandle<()>,
}

impl Committer {
    /// Starts the thread; `report` is called from it. `records` tells how many records all zones have.
    pub fn start(
        disk: Disk,
        records: impl Fn() -> u64 + Send + 'static,
        report: impl Fn(Report) + Send + 'static,
    ) -> io::Result<Committer> {
        let (requests, queue) = mpsc::channel();
        let own = requests.clone();
        let ends = VecDeque::from([(0, disk.length())]);
        let writer = Writer { disk, own, ends, last_sync: None, is_rewriting: false };
        let run = move || writer.run(&queue, &records, &report);
        let thread = thread::Builder::new().name("journal".to_owned()).spawn(run)?;
        Ok(Committer { requests, thread })
    }

    /// Has entries written down, behind all that were given before.
    pub fn commit(&self, commit: Commit) {
        // The thread lives as long as this.
        let _ = self.requests.send(Request::Commit(commit));
    }

    /// Has an entry written down whose loss would do no harm.
    pub fn note(&self, entry: Entry) {
        let _ = self.requests.send(Request::Note(Box::new(entry)));
    }

    /// Has a new journal written; `checkpoint` holds all commits up to the one with this ticket.
    pub fn rewrite(&self, ticket: u64, checkpoint: Checkpoint) {
        let _ = self.requests.send(Request::Rewrite(ticket, checkpoint));
    }

    /// Ends the thread, once all that it was given has been written down.
    pub fn stop(self) {
        let _ = self.requests.send(Request::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the journal's thread did not end well");
        }
    }
}

struct Writer {
    disk: Disk,
    own: mpsc::Sender<Request>,
    /// Where in the journal commits end, from the last one on that a rewriting held.
    ends: VecDeque<(u64, u64)>,
    last_sync: Option<Instant>,
    is_rewriting: bool,
}

impl Writer {
    fn run(mut self, queue: &mpsc::Receiver<Request>, records: &dyn Fn() -> u64, report: &dyn Fn(Report)) {
        let mut waiting: Vec<Commit> = Vec::new();
        let mut stopping = false;
        // What came behind commits that were to be written first.
        let mut held = None;
        loop {
            if !self.is_rewriting && self.disk.due(records).is_some_and(|due| due <= clock::now().mono) {
                self.is_rewriting = true;
                report(Report::Overgrown);
            }
            let sync_at =
                (!waiting.is_empty()).then(|| self.last_sync.map_or(Instant::now(), |at| at + SYNC_GAP));
            let due = self.disk.due(records).filter(|_| !self.is_rewriting);
            let rewrite_at = due.map(|due| Instant::now() + due.since(clock::now().mono));
            let request = match sync_at.into_iter().chain(rewrite_at).min() {
                _ if held.is_some() => held.take().ok_or(RecvTimeoutError::Timeout),
                None if stopping => return,
                None => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => queue.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match request {
                Ok(Request::Commit(commit)) => waiting.push(commit),
                Ok(Request::Note(entry)) => self.note(&mut waiting, *entry),
                Ok(Request::Rewrite(ticket, checkpoint)) => self.rewrite(ticket, checkpoint),
                Ok(Request::Rewritten(rewritten)) => {
                    self.is_rewriting = false;
                    self.replace(rewritten);
                }
                Ok(Request::Stop) => stopping = true,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let is_due = self.last_sync.is_none_or(|at| at.elapsed() >= SYNC_GAP);
            if !waiting.is_empty() && (is_due || stopping) {
                // All that has arrived goes along, up to the first request of another kind: that keeps its place.
                while held.is_none()
                    && let Ok(request) = queue.try_recv()
                {
                    match request {
                        Request::Commit(commit) => waiting.push(commit),
                        Request::Note(entry) => self.note(&mut waiting, *entry),
                        Request::Stop => stopping = true,
                        other => held = Some(other),
                    }
                }
                report(Report::Written(self.write(std::mem::take(&mut waiting))));
            }
            if stopping && waiting.is_empty() && held.is_none() {
                return;
            }
        }
    }

    /// Writes an entry behind the commits that were given before it.
    fn note(&mut self, waiting: &mut [Commit], entry: Entry) {
        match waiting.last_mut() {
            Some(commit) => commit.entries.push(entry),
            None => self.disk.note(&entry),
        }
    }

    fn write(&mut self, commits: Vec<Commit>) -> Vec<(u64, Result<(), LogError>)> {
        let (mut tickets, mut entries) = (Vec::with_capacity(commits.len()), Vec::new());
        for Commit { ticket, entries: more, may_be_later } in commits {
            tickets.push(ticket);
            let is_later = may_be_later && more.iter().any(Entry::is_large) && self.disk.defers();
            entries.extend(more.into_iter().map(|entry| if is_later { entry.stand_in() } else { entry }));
        }
        let result = if entries.is_empty() { Ok(()) } else { self.disk.append(&entries) };
        self.last_sync = Some(Instant::now());
        if let Some(last) = tickets.last() {
            self.ends.push_back((*last, self.disk.length()));
        }
        tickets.into_iter().map(|ticket| (ticket, result.clone())).collect()
    }

    fn replace(&mut self, rewritten: Result<Rewritten, DiskError>) {
        let before = self.disk.length();
        match self.disk.replace(rewritten) {
            Ok(()) => {
                // What came since the checkpoint stands at the end of the new journal as it did in the old one.
                let after = self.disk.length();
                self.ends.iter_mut().for_each(|(_, end)| *end = (after + *end).saturating_sub(before));
            }
            // The old journal is still whole and in use.
            Err(error) => tracing::error!("journal not rewritten: {error}"),
        }
    }

    fn rewrite(&mut self, ticket: u64, checkpoint: Checkpoint) {
        while self.ends.get(1).is_some_and(|(next, _)| *next <= ticket) {
            self.ends.pop_front();
        }
        let from = self.ends.front().map_or(self.disk.length(), |(_, end)| *end);
        let rewrite = self.disk.rewrite(from);
        let own = self.own.clone();
        let write = move || {
            priority::idle();
            let rewritten = rewrite.write(|each| checkpoint.entries(each));
            // A node that stops does without it.
            let _ = own.send(Request::Rewritten(rewritten));
        };
        if let Err(error) = thread::Builder::new().name("checkpoint".to_owned()).spawn(write) {
            self.is_rewriting = false;
            tracing::error!("journal not rewritten: no thread ({error})");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::journal::entry::Happened;
    use crate::time::Utc;
    use crate::wire::name::Name;

    #[test]
    fn notes_among_commits_keep_their_place_and_hold_nothing_up() {
        const MANY: u64 = 1_000;
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path(), |_, _| {}).unwrap();
        let (reports, reported) = mpsc::channel();
        let report = move |report| {
            if let Report::Written(commits) = report {
                let _ = reports.send(commits.len() as u64);
            }
        };
        let committer = Committer::start(disk, || 0, report).unwrap();
        let zone: Name = "example.".parse().unwrap();
        let entry = |at| Entry::Verified(zone.clone(), Utc(at));
        for ticket in 1..=MANY {
            committer.commit(Commit { ticket, entries: vec![entry(ticket)], may_be_later: false });
            committer.note(entry(ticket));
        }
        let mut written = 0;
        while written < MANY {
            written += reported.recv_timeout(Duration::from_secs(60)).unwrap();
        }
        committer.stop();
        let mut found = Vec::new();
        let reopened = Disk::open(dir.path(), |_, happened| {
            if let Happened::Verified(at) = happened {
                found.push(at.0);
            }
        });
        assert!(reopened.is_ok() && found.is_sorted(), "{found:?}");
        assert_eq!(found.len() as u64, 2 * MANY);
    }
}
