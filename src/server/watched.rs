//! What to watch for a file, and when what was seen is to be acted on: the two halves of the file watch without a thread.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, Instant};

/// After the last change of a file, it is left alone for so long before it is read.
const QUIET: Duration = Duration::from_millis(30);
/// What keeps changing is read after so long all the same.
const PATIENCE: Duration = Duration::from_millis(300);
/// A file that somebody has open for writing is read when nothing was written for so long,
const PATIENCE_OPEN: Duration = Duration::from_secs(5);
/// and after so long all the same.
const PATIENCE_WRITTEN: Duration = Duration::from_secs(60);
/// Links followed on the way to one file; as many as Linux follows.
const MAX_LINKS: usize = 40;

/// Something that happened in a folder that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) what: Happened,
    /// To whom, by the path of the folder watched; empty for [`Happened::Lost`].
    pub(super) path: PathBuf,
}

/// What happened to a file, link or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    /// There it is; perhaps it is still to be written.
    Created,
    /// It was written to and is still open.
    Written,
    /// Its owner, mode or times changed.
    Touched,
    /// It was closed after writing, or moved here, or it has gone.
    Changed,
    /// Events were lost.
    Lost,
}

/// The way to a file through folders and symbolic links.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// Every step of the way, its folder free of links: a change of any may lead elsewhere. The last is the file.
    pub(super) places: BTreeSet<PathBuf>,
    /// The folders, free of links, in which the file and the links on the way lie.
    pub(super) folders: BTreeSet<PathBuf>,
    /// The folders above those, where it shows that one of them was replaced.
    pub(super) above: BTreeSet<PathBuf>,
}

impl Trail {
    /// Follows `path` as far as it exists.
    pub(super) fn follow(path: &Path) -> Trail {
        let mut trail = Trail::default();
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut at = PathBuf::from("/");
        let mut left = steps(&absolute);
        let mut links = 0;
        while let Some(step) = left.pop() {
            if step == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&step);
            trail.places.insert(next.clone());
            match fs::read_link(&next) {
                Ok(target) if links < MAX_LINKS => {
                    links += 1;
                    trail.stop(&at);
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    left.extend(steps(&target));
                }
                // It is no link.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput && !left.is_empty() => at = next,
                _ => {
                    trail.stop(&at);
                    break;
                }
            }
        }
        trail
    }

    pub(super) fn extend(&mut self, other: Trail) {
        self.places.extend(other.places);
        self.folders.extend(other.folders);
        self.above.extend(other.above);
    }

    fn stop(&mut self, folder: &Path) {
        self.folders.insert(folder.to_owned());
        self.above.extend(folder.parent().map(Path::to_owned));
    }
}

/// The steps of a path, the first one last.
fn steps(path: &Path) -> Vec<OsString> {
    let named = |component: Component<'_>| match component {
        Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(named).collect()
}

/// Changes that are gathered until nothing more happened for a moment, because editors write a file in several steps.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// What changed; with the times between which it was written to and not closed.
    pending: BTreeMap<PathBuf, Option<(Instant, Instant)>>,
    all: bool,
    first_and_last: Option<(Instant, Instant)>,
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
        if what == Happened::Lost {
            self.all = true;
        } else if matters(&path) {
            // A file that is made to be written starts empty; one that is made by linking does not.
            let begins = match what {
                Happened::Written => true,
                Happened::Created => {
                    fs::symlink_metadata(&path).is_ok_and(|made| made.is_file() && made.len() == 0)
                }
                _ => false,
            };
            let open = self.pending.entry(path).or_default();
            match what {
                _ if begins => *open = Some((open.map_or(now, |(first, _)| first), now)),
                Happened::Touched => {}
                _ => *open = None,
            }
        } else {
            return;
        }
        // Patience is for what could be read.
        let is_readable = self.all || self.pending.values().any(Option::is_none);
        let first = self.first_and_last.map_or(now, |(first, _)| first);
        self.first_and_last = is_readable.then_some((first, now));
    }

    /// When there is something to [`take`](Changes::take).
    pub(super) fn deadline(&self) -> Option<Instant> {
        let closed = self.first_and_last.map(|(first, last)| (last + QUIET).min(first + PATIENCE));
        let open = self.pending.values().flatten().map(patience).min();
        closed.into_iter().chain(open).min()
    }

    /// What is to be acted on now.
    pub(super) fn take(&mut self, now: Instant) -> Batch {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return Batch::default();
        }
        let is_open =
            |open: &Option<(Instant, Instant)>| open.as_ref().is_some_and(|open| patience(open) > now);
        let (open, ready): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.pending).into_iter().partition(|(_, open)| is_open(open));
        self.first_and_last = None;
        self.pending = open;
        Batch {
            paths: ready.into_keys().collect(),
            open: self.pending.keys().cloned().collect(),
            all: std::mem::take(&mut self.all),
        }
    }
}

/// How long a file that is open for writing is waited for, by the times of the first and the last write.
fn patience(&(first, last): &(Instant, Instant)) -> Instant {
    (last + PATIENCE_OPEN).min(first + PATIENCE_WRITTEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(changes: &mut Changes, now: Instant, what: Happened, path: &str) {
        changes.note(now, Seen { what, path: path.into() }, |path| path != Path::new("/other"));
    }

    #[test]
    fn a_file_being_written_waits_for_its_end_but_not_for_ever() {
        let start = Instant::now();
        let mut changes = Changes::default();
        note(&mut changes, start, Happened::Written, "/other");
        assert_eq!(changes.deadline(), None);
        note(&mut changes, start, Happened::Written, "/a");
        assert_eq!(changes.deadline(), Some(start + PATIENCE_OPEN));
        let later = start + PATIENCE_OPEN / 2;
        note(&mut changes, later, Happened::Changed, "/b");
        assert_eq!(changes.deadline(), Some(later + QUIET));
        assert!(changes.take(later).paths.is_empty());
        let batch = changes.take(later + QUIET);
        assert_eq!(batch.paths, BTreeSet::from(["/b".into()]));
        assert_eq!(batch.open, BTreeSet::from(["/a".into()]));
        assert_eq!(changes.take(start + PATIENCE_OPEN).paths, BTreeSet::from(["/a".into()]));
        assert_eq!(changes.deadline(), None);

        // Who goes on writing is waited for, but not for ever.
        let mut now = start;
        while now < start + PATIENCE_WRITTEN {
            note(&mut changes, now, Happened::Written, "/a");
            assert!(changes.take(now).paths.is_empty());
            now += PATIENCE_OPEN / 2;
        }
        assert_eq!(changes.take(now).paths, BTreeSet::from(["/a".into()]));

        note(&mut changes, later, Happened::Written, "/a");
        note(&mut changes, later + QUIET, Happened::Changed, "/a");
        assert_eq!(changes.deadline(), Some(later + 2 * QUIET));
    }

    #[test]
    fn lost_events_mean_that_all_may_have_changed() {
        let now = Instant::now();
        let mut changes = Changes::default();
        note(&mut changes, now, Happened::Lost, "");
        assert!(changes.take(now + QUIET).all);
        assert_eq!(changes.deadline(), None);
    }
}
