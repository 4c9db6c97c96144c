//! What the other threads of a host do: jobs, contents in files of their own, and groups of commits, each written, synced some
//! time later, and reported. A crash may come between any two of these.

use super::*;

use crate::node::effects::Commit;
use crate::publish::journal::order::{self, Outcomes};

/// The longest that a job takes.
const LONGEST_JOB: Duration = Duration::from_millis(50);
/// The longest that the journal takes to sync what it wrote, or to write a content.
const LONGEST_WRITE: Duration = Duration::from_millis(30);
/// A content that could not be written is tried again after so long.
const AGAIN: Duration = Duration::from_secs(60);

impl World {
    /// Has jobs done and contents written, as the daemon's other threads do, and gives commits to the journal.
    pub(super) fn work(&mut self, host: usize) {
        let life = self.hosts[host].life;
        let Host { running: Some(running), disk, .. } = &mut self.hosts[host] else { return };
        let jobs: Vec<Job> = running.effects.jobs.drain(..).collect();
        let mut tasks = Vec::new();
        for Commit { ticket, entries, may_be_later } in running.effects.commits.drain(..) {
            let placed = entries.into_iter().map(|entry| disk.place(entry)).collect();
            tasks.extend(running.order.commit(order::Commit { ticket, placed }, may_be_later));
        }
        for note in running.effects.notes.drain(..) {
            running.order.note(note).iter().for_each(|note| disk.note(note));
        }
        for job in jobs {
            let at = self.now + self.rng.random_range(Duration::ZERO..=LONGEST_JOB);
            self.schedule(at, Happening::Job { host, life, job });
        }
        tasks.into_iter().for_each(|task| self.write_content(host, task, Duration::ZERO));
    }

    /// Has a content written some time after `wait`.
    fn write_content(&mut self, host: usize, task: Task, wait: Duration) {
        let at = self.now + wait + self.rng.random_range(Duration::ZERO..=LONGEST_WRITE);
        self.schedule(at, Happening::Content { host, life: self.hosts[host].life, task: Box::new(task) });
    }

    /// A content is written down, well or badly.
    pub(super) fn content(&mut self, host: usize, task: Task) -> Result<(), Violation> {
        let Host { running: Some(running), disk, .. } = &mut self.hosts[host] else { return Ok(()) };
        let failed = disk.content(&task.entry, &task.aside).err();
        match task.ticket {
            Some(ticket) => {
                let outcomes = running.order.content(ticket, failed);
                self.committed(host, outcomes)
            }
            None if failed.is_some() => {
                self.write_content(host, task, AGAIN);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A host's journal writes all that is ready.
    pub(super) fn write(&mut self, host: usize) -> Result<(), Violation> {
        let (now, life) = (self.hosts[host].now(self.now), self.hosts[host].life);
        let Host { running: Some(running), disk, .. } = &mut self.hosts[host] else { return Ok(()) };
        let group = running.order.group(now.mono);
        let placed: Vec<_> = group.iter().flat_map(|commit| commit.placed.iter().cloned()).collect();
        match disk.begin(&placed) {
            Err(_) if disk.crashed => {
                self.kill(host, true);
                Ok(())
            }
            Err(error) => {
                let outcomes = group.iter().map(|commit| (commit.ticket, Err(error.clone()))).collect();
                self.committed(host, outcomes)
            }
            Ok(()) => {
                running.is_syncing = true;
                let at = self.now + self.rng.random_range(Duration::ZERO..=LONGEST_WRITE);
                let tickets = group.iter().map(|commit| commit.ticket).collect();
                self.schedule(at, Happening::Synced { host, life, tickets, placed });
                Ok(())
            }
        }
    }

    /// A host's journal has synced what it wrote.
    pub(super) fn synced(
        &mut self,
        host: usize,
        tickets: Vec<u64>,
        placed: Vec<Placed>,
    ) -> Result<(), Violation> {
        let Host { running: Some(running), disk, .. } = &mut self.hosts[host] else { return Ok(()) };
        let result = disk.finish(&placed);
        if disk.crashed {
            self.kill(host, true);
            return Ok(());
        }
        running.is_syncing = false;
        let later = placed.into_iter().filter_map(|(entry, aside)| Some((entry, aside?)));
        let later: Vec<_> = later.filter(|(_, aside)| !disk.has(aside)).collect();
        for (entry, aside) in later {
            self.write_content(host, Task { aside, entry, ticket: None }, Duration::ZERO);
        }
        self.committed(host, tickets.into_iter().map(|ticket| (ticket, result.clone())).collect())
    }

    fn committed(&mut self, host: usize, outcomes: Outcomes) -> Result<(), Violation> {
        let count = outcomes.len();
        for (at, (ticket, result)) in outcomes.into_iter().enumerate() {
            if let Some(running) = &mut self.hosts[host].running {
                running.is_reporting = at + 1 < count;
            }
            self.tell(host, Input::Committed { ticket, result })?;
        }
        Ok(())
    }
}
