//! When a change that was seen is to be acted on: not while a file is being written.
//!
//! ```text
//!            written              closed, moved here, gone
//! (nothing) ---------> open -----------------------------> settling -- quiet --> due
//!     |                  |  nobody has it open any more        ^ |
//!     |                  +-------------------------------------+ +-- changed again: waits anew, but not for ever
//!     +------------------- closed, moved here, gone -----------^
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
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
/// It is told that a file is waited for after so many looks.
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
    /// It is being written: looked at at a time, after so many looks.
    Open { look: Instant, looks: u32 },
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
            // The end of writing may be among what was lost.
            for pending in self.pending.values_mut().filter(|pending| matches!(pending, Pending::Open { .. }))
            {
                *pending = Pending::Settling { first: now, due: now + QUIET_AGAIN };
            }
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
            _ if begins => Pending::Open { look: now + LOOK, looks: 0 },
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
        let mut batch = Batch::default();
        self.lately.retain(|_, taken| now - *taken < LONG);
        self.pending.retain(|path, pending| match pending {
            Pending::Settling { due, .. } if *due <= now + TOGETHER => {
                batch.paths.insert(path.clone());
                self.lately.insert(path.clone(), now);
                false
            }
            Pending::Settling { .. } => true,
            Pending::Open { look, looks } => {
                if *look <= now {
                    // It was cut by truncate(2), say, which closes nothing.
                    if is_open(path) == Some(false) {
                        batch.paths.insert(path.clone());
                        return false;
                    }
                    (*look, *looks) = (now + LOOK, *looks + 1);
                    if *looks == TOLD {
                        tell_open(path);
                    }
                }
                batch.open.insert(path.clone());
                true
            }
        });
        if self.lost.is_some_and(|at| at + QUIET_AGAIN <= now) {
            self.lost = None;
            batch.all = true;
        }
        batch
    }
}

fn tell_open(path: &Path) {
    let waited = LOOK * TOLD;
    tracing::warn!(
        "{} was written to and not closed for {waited:?}; it is read once its writer closes it; to have it read as it is, \
         use `tidemark reload` with its zone",
        path.display()
    );
}

/// Whether anybody has a file open for writing; `None` when that cannot be known, as of files of another user.
pub(super) fn is_open_for_writing(path: &Path) -> Option<bool> {
    /// fcntl(2); its number is the same on all architectures.
    const F_SETSIG: libc::c_int = 10;
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    let descriptor = file.as_raw_fd();
    // A read lease is for files that nobody has open for writing. Whoever opens it within the moment of the lease has a signal
    // sent here: one that is ignored unless asked for, in the place of SIGIO, which ends a process.
    // SAFETY: takes integers, and the descriptor is open.
    let asked = unsafe {
        if libc::fcntl(descriptor, F_SETSIG, libc::SIGURG) != 0 {
            return None;
        }
        libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_RDLCK)
    };
    if asked == 0 {
        // SAFETY: as above. Closing the file gives the lease back, too.
        unsafe { libc::fcntl(descriptor, libc::F_SETLEASE, libc::F_UNLCK) };
        return Some(false);
    }
    (io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock).then_some(true)
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
        for round in 1..100 {
            let batch = changes.take(start + LOOK * round, |_| Some(true));
            assert_eq!((batch.paths.len(), batch.open.len()), (0, 1));
        }
        let late = start + LOOK * 100;
        note(&mut changes, late, FileEvent::Changed, "/a");
        assert_eq!(changes.deadline(), Some(late + QUIET));

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
        let batch = changes.take(now + QUIET_AGAIN, |_| Some(true));
        assert!(batch.all && batch.open.is_empty());
        assert_eq!(batch.paths, BTreeSet::from(["/a".into()]));
        assert_eq!(changes.deadline(), None);
    }

    #[test]
    fn a_writer_is_known_of() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.zone");
        let writer = File::create(&path).unwrap();
        // Some file systems know no leases.
        assert_ne!(is_open_for_writing(&path), Some(false));
        drop(writer);
        assert_ne!(is_open_for_writing(&path), Some(true));
        assert_eq!(is_open_for_writing(&dir.path().join("none")), None);
    }
}
