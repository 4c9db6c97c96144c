//! When a change that was seen is to be acted on: not while a file is being written.
//!
//! ```text
//!            written              closed, moved here, gone
//! (nothing) ---------> open -----------------------------> settling -- quiet --> due
//!     |                  |  nobody has it open any more (1)    ^ |
//!     |                  +-------------------------------------+ +-- changed again: waits anew, but not for ever
//!     +------------------- closed, moved here, gone -----------^
//! ```
//!
//! (1) or, where nobody can be asked, nothing was written to it for a minute: to cut a file with truncate(2) closes nothing.
//!
//! Whatever is due is read only if nobody has it open for writing then; else it is [`Changes::open`] again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A file that was closed is left alone for so long before it is read: whoever has written it may write more.
const QUIET: Duration = Duration::from_millis(3);
/// And for so long when it changed not long ago: editors write a file in several steps.
const QUIET_AGAIN: Duration = Duration::from_millis(30);
/// What "not long ago" is.
const LONG: Duration = Duration::from_millis(500);
/// What keeps changing is read after so long all the same.
const PATIENCE: Duration = Duration::from_millis(300);
/// Changes due so soon are acted on with those that are due.
const TOGETHER: Duration = Duration::from_millis(1);
/// A file that was not closed is looked at when nothing was written for so long, and again after so long.
const LOOK: Duration = Duration::from_secs(5);
/// It is told that a file is waited for after so many looks, and taken for closed then where nobody can be asked.
const TOLD: u32 = 12;

/// Something that happened in a folder that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) what: FileEvent,
    /// To whom, by the path of the folder watched; empty for [`FileEvent::Lost`].
    pub(super) path: PathBuf,
}

/// What happened to a file, link or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileEvent {
    /// There it is; perhaps it is still to be written.
    Created,
    /// It was written to and is still open.
    Written,
    /// Its owner, mode or times changed.
    Touched,
    /// It was closed after writing, or it has gone.
    Changed,
    /// It was moved here, and so is whole.
    Moved,
    /// Events were lost.
    Lost,
}

/// Changes that wait to be acted on.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pending: BTreeMap<PathBuf, Pending>,
    /// When files that changed lately were acted on.
    lately: BTreeMap<PathBuf, Instant>,
    /// Since when it is known that events were lost.
    lost: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Pending {
    /// It is being written: looked at at a time, after so many looks since it was written to; whether it was told that it is waited for.
    Open { look: Instant, looks: u32, is_told: bool },
    /// It was closed, and changed for the first and the last time.
    Settling { first: Instant, due: Instant },
}

/// Changes to act on.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What changed.
    pub(super) paths: BTreeSet<PathBuf>,
    /// What is being written to, and better not read.
    pub(super) open: BTreeSet<PathBuf>,
    /// Events were lost: anything may have changed.
    pub(super) all: bool,
}

impl Changes {
    /// Takes in what was seen, as far as it is about something that matters.
    pub(super) fn note(&mut self, now: Instant, Seen { what, path }: Seen, matters: impl Fn(&Path) -> bool) {
        if what == FileEvent::Lost {
            self.lost.get_or_insert(now);
            return;
        }
        if !matters(&path) {
            return;
        }
        // A file that is made to be written starts empty; one that is made by linking does not.
        let begins = match what {
            FileEvent::Written => true,
            FileEvent::Created => {
                fs::symlink_metadata(&path).is_ok_and(|made| made.is_file() && made.len() == 0)
            }
            _ => false,
        };
        let before = self.pending.get(&path);
        let pending = match before {
            _ if begins => {
                let is_told = matches!(before, Some(Pending::Open { is_told: true, .. }));
                Pending::Open { look: now + LOOK, looks: 0, is_told }
            }
            Some(open @ Pending::Open { .. }) if what == FileEvent::Touched => *open,
            _ => {
                let is_again = self.lately.get(&path).is_some_and(|taken| now - *taken < LONG)
                    || matches!(before, Some(Pending::Settling { .. }));
                let quiet = if is_again && what != FileEvent::Moved { QUIET_AGAIN } else { QUIET };
                let first = match before {
                    Some(Pending::Settling { first, .. }) => *first,
                    _ => now,
                };
                Pending::Settling { first, due: (now + quiet).min(first + PATIENCE) }
            }
        };
        self.pending.insert(path, pending);
    }

    /// A file that was to be read is open for writing; `is_told` when that need not be said any more.
    pub(super) fn open(&mut self, now: Instant, path: PathBuf, is_told: bool) {
        // What has changed since waits for its own time.
        let new = Pending::Open { look: now + LOOK, looks: 0, is_told };
        if let Pending::Open { is_told: before, .. } = self.pending.entry(path).or_insert(new) {
            *before |= is_told;
        }
    }

    /// Whether a file was written to and not closed since, as far as could be seen.
    pub(super) fn is_open(&self, place: &Path) -> bool {
        matches!(self.pending.get(place), Some(Pending::Open { .. }))
    }

    /// All such files.
    pub(super) fn all_open(&self) -> BTreeSet<PathBuf> {
        let open = self.pending.iter().filter(|(_, pending)| matches!(pending, Pending::Open { .. }));
        open.map(|(place, _)| place.clone()).collect()
    }

    /// When there is something to [`take`](Changes::take).
    pub(super) fn deadline(&self) -> Option<Instant> {
        let pending = self.pending.values().map(|pending| match pending {
            Pending::Open { look, .. } => *look,
            Pending::Settling { due, .. } => *due,
        });
        pending.chain(self.lost.map(|at| at + QUIET_AGAIN)).min()
    }

    /// What is to be acted on now. `is_open` says whether somebody has a file open for writing, if that can be known.
    pub(super) fn take(&mut self, now: Instant, is_open: impl Fn(&Path) -> Option<bool>) -> Batch {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return Batch::default();
        }
        let all = self.lost.take_if(|at| *at + QUIET_AGAIN <= now).is_some();
        let mut batch = Batch { all, ..Batch::default() };
        self.lately.retain(|_, taken| now - *taken < LONG);
        self.pending.retain(|path, pending| match pending {
            Pending::Settling { due, .. } if *due <= now + TOGETHER => {
                batch.paths.insert(path.clone());
                self.lately.insert(path.clone(), now);
                false
            }
            Pending::Settling { .. } => true,
            Pending::Open { look, looks, is_told } => {
                let is_due = *look <= now;
                if is_due {
                    (*look, *looks) = (now + LOOK, *looks + 1);
                }
                let is_open = if is_due || all { is_open(path) } else { Some(true) };
                // It was cut by truncate(2), say, which closes nothing; or the end of writing is among what was lost.
                if !is_open.unwrap_or(!all && *looks < TOLD) {
                    batch.paths.insert(path.clone());
                    return false;
                }
                if *looks >= TOLD && !*is_told {
                    *is_told = true;
                    tell_open(path);
                }
                batch.open.insert(path.clone());
                true
            }
        });
        batch
    }
}

fn tell_open(path: &Path) {
    let waited = LOOK * TOLD;
    let path = path.display();
    tracing::warn!(
        "{path} is open for writing and was not closed for {waited:?} (`fuser -v {path}` shows by whom); what was served before is \
         served until it is closed, also after a reload; to have it read as it is, rename a copy of it over it"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(changes: &mut Changes, now: Instant, what: FileEvent, path: &str) {
        changes.note(now, Seen { what, path: path.into() }, |path| path != Path::new("/other"));
    }

    fn take(changes: &mut Changes, now: Instant) -> BTreeSet<PathBuf> {
        changes.take(now, |_| None).paths
    }

    #[test]
    fn a_file_that_is_closed_waits_for_a_moment_and_longer_if_it_keeps_changing() {
        let start = Instant::now();
        let mut changes = Changes::default();
        note(&mut changes, start, FileEvent::Written, "/other");
        assert_eq!(changes.deadline(), None);
        note(&mut changes, start, FileEvent::Changed, "/a");
        note(&mut changes, start + TOGETHER, FileEvent::Changed, "/b");
        assert_eq!(changes.deadline(), Some(start + QUIET));
        assert!(take(&mut changes, start).is_empty());
        assert_eq!(take(&mut changes, start + QUIET), BTreeSet::from(["/a".into(), "/b".into()]));
        assert_eq!(changes.deadline(), None);

        // Again, soon after, and over and over.
        let mut now = start + LONG / 2;
        let last = now + PATIENCE;
        while now < last {
            note(&mut changes, now, FileEvent::Changed, "/a");
            assert_eq!(changes.deadline(), Some((now + QUIET_AGAIN).min(last)));
            assert!(take(&mut changes, now).is_empty());
            now += QUIET_AGAIN / 2;
        }
        // Others do not wait with it.
        note(&mut changes, last - 2 * QUIET, FileEvent::Changed, "/c");
        assert_eq!(take(&mut changes, last - QUIET), BTreeSet::from(["/c".into()]));
        assert_eq!(take(&mut changes, last), BTreeSet::from(["/a".into()]));
        // What is moved here is whole, however often that happens.
        note(&mut changes, last, FileEvent::Moved, "/a");
        assert_eq!(changes.deadline(), Some(last + QUIET));
    }

    #[test]
    fn a_file_being_written_waits_for_its_end_however_long_that_takes() {
        let start = Instant::now();
        let mut changes = Changes::default();
        note(&mut changes, start, FileEvent::Written, "/a");
        note(&mut changes, start + LOOK, FileEvent::Touched, "/a");
        assert!(changes.is_open(Path::new("/a")) && !changes.is_open(Path::new("/b")));
        assert_eq!(changes.all_open(), BTreeSet::from(["/a".into()]));
        for round in 1..100 {
            let batch = changes.take(start + LOOK * round, |_| Some(true));
            assert_eq!((batch.paths.len(), batch.open.len()), (0, 1));
        }
        let late = start + LOOK * 100;
        note(&mut changes, late, FileEvent::Changed, "/a");
        assert_eq!(changes.deadline(), Some(late + QUIET));
        assert!(!changes.is_open(Path::new("/a")) && changes.all_open().is_empty());

        note(&mut changes, late, FileEvent::Written, "/a");
        // Nobody has it open any more, and nobody closed it.
        assert_eq!(changes.take(late + LOOK, |_| Some(false)).paths, BTreeSet::from(["/a".into()]));
    }

    #[test]
    fn lost_events_mean_that_all_may_have_changed() {
        let now = Instant::now();
        let mut changes = Changes::default();
        note(&mut changes, now, FileEvent::Written, "/a");
        note(&mut changes, now, FileEvent::Lost, "");
        note(&mut changes, now, FileEvent::Written, "/b");
        note(&mut changes, now, FileEvent::Written, "/c");
        // The end of writing may be among them, but not where a writer is known of.
        let is_open = |path: &Path| match path.to_str() {
            Some("/a") => Some(true),
            Some("/b") => Some(false),
            _ => None,
        };
        let batch = changes.take(now + QUIET_AGAIN, is_open);
        assert!(batch.all);
        assert_eq!(batch.open, BTreeSet::from(["/a".into()]));
        assert_eq!(batch.paths, BTreeSet::from(["/b".into(), "/c".into()]));
        assert_eq!(changes.deadline(), Some(now + LOOK));
    }

    #[test]
    fn what_was_to_be_read_and_is_open_is_looked_at_until_it_is_closed() {
        let start = Instant::now();
        let mut changes = Changes::default();
        changes.open(start, "/a".into(), true);
        assert_eq!(changes.deadline(), Some(start + LOOK));
        let batch = changes.take(start + LOOK, |_| Some(true));
        assert_eq!((batch.paths.len(), batch.open), (0, BTreeSet::from(["/a".into()])));
        assert_eq!(take(&mut changes, start + LOOK), BTreeSet::new());
        assert_eq!(changes.take(start + 2 * LOOK, |_| Some(false)).paths, BTreeSet::from(["/a".into()]));

        // Closing it is seen, and so is that it was closed before this is known.
        changes.open(start, "/a".into(), true);
        note(&mut changes, start, FileEvent::Changed, "/a");
        changes.open(start, "/a".into(), true);
        assert_eq!(take(&mut changes, start + QUIET_AGAIN), BTreeSet::from(["/a".into()]));
        assert_eq!(changes.deadline(), None);
    }

    #[test]
    fn a_file_that_stays_open_is_told_of_once() {
        let start = Instant::now();
        let is_told = |changes: &Changes| match changes.pending.values().next() {
            Some(Pending::Open { is_told, .. }) => *is_told,
            _ => panic!("{changes:?}"),
        };
        let mut changes = Changes::default();
        note(&mut changes, start, FileEvent::Written, "/a");
        changes.open(start, "/a".into(), false);
        for round in 1..TOLD {
            changes.take(start + LOOK * round, |_| Some(true));
        }
        assert!(!is_told(&changes));
        let late = start + LOOK * TOLD;
        changes.take(late, |_| Some(true));
        assert!(is_told(&changes));
        // Nor is it told again when more is written, or when whoever asked for it was told.
        note(&mut changes, late, FileEvent::Written, "/a");
        assert!(is_told(&changes));
        let mut changes = Changes::default();
        note(&mut changes, start, FileEvent::Written, "/a");
        changes.open(start, "/a".into(), true);
        note(&mut changes, start, FileEvent::Written, "/a");
        assert!(is_told(&changes));
    }

    /// Where there are no leases it is not known who has a file open, and truncate(2) closes none.
    #[test]
    fn a_file_that_nobody_can_be_asked_about_is_taken_for_closed_after_a_minute() {
        let start = Instant::now();
        let mut changes = Changes::default();
        note(&mut changes, start, FileEvent::Written, "/a");
        let written = start + LOOK * (TOLD - 1);
        for round in 1..TOLD {
            assert!(take(&mut changes, start + LOOK * round).is_empty());
        }
        // Whoever writes has it open, and that a reload was told so makes the wait no shorter.
        note(&mut changes, written, FileEvent::Written, "/a");
        changes.open(written, "/a".into(), true);
        for round in 1..TOLD {
            assert!(take(&mut changes, written + LOOK * round).is_empty());
            assert!(changes.is_open(Path::new("/a")));
        }
        assert_eq!(take(&mut changes, written + LOOK * TOLD), BTreeSet::from(["/a".into()]));
        assert!(!changes.is_open(Path::new("/a")) && changes.deadline().is_none());
    }
}
