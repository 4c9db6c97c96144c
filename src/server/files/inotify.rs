//! Tells of changes in folders, by inotify(7). Only what changes a file or a name is asked for: reading a hundred thousand zone
//! files must not make a hundred thousand events, which would fill the queue and so lose changes.

use std::collections::HashMap;
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};

use super::super::threads;
use super::settle::{FileEvent, Seen};

/// Room for some hundred events at a time; a queue that is longer is read in several goes.
const BUFFER: usize = 16 << 10;
/// What is to be told of a folder and of the names in it: which come and go, and whether what they lead to may be entered.
const NAMES: WatchMask = WatchMask::ATTRIB
    .union(WatchMask::MOVE)
    .union(WatchMask::CREATE)
    .union(WatchMask::DELETE)
    .union(WatchMask::DELETE_SELF)
    .union(WatchMask::MOVE_SELF);
/// The same and what is written to the files in it.
const CHANGES: WatchMask = NAMES.union(WatchMask::MODIFY).union(WatchMask::CLOSE_WRITE);

/// What is told of what lies right in a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// Which names there are. Whoever writes a log there wakes nobody.
    Names,
    /// That, and what is written to files.
    Files,
}

/// A watch on folders.
pub(super) struct Watcher {
    watches: Watches,
    folders: Arc<Mutex<Folders>>,
    /// Closed when this goes, which ends the thread.
    _ends: PipeWriter,
}

/// The folders watched.
#[derive(Default)]
struct Folders {
    paths: HashMap<WatchDescriptor, PathBuf>,
    watches: HashMap<PathBuf, WatchDescriptor>,
}

impl Watcher {
    /// Watches nothing yet. `tell` is called from a thread of its own.
    pub(super) fn start(tell: impl FnMut(Seen) + Send + 'static) -> io::Result<Watcher> {
        let inotify = Inotify::init()?;
        let (end, ends) = io::pipe()?;
        let watches = inotify.watches();
        let folders = Arc::<Mutex<Folders>>::default();
        let known = Arc::clone(&folders);
        threads::start("watch", move || listen(inotify, &end, &known, tell))?;
        Ok(Watcher { watches, folders, _ends: ends })
    }

    /// Watches a folder, which is free of links, and what lies right in it.
    pub(super) fn watch(&mut self, folder: &Path, scope: Scope) -> io::Result<()> {
        let asked = match scope {
            // One folder can have several paths, by mounts, and has one watch: what was asked for before stays.
            Scope::Names => NAMES | WatchMask::MASK_ADD,
            Scope::Files => CHANGES,
        };
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let watch = self.watches.add(folder, asked | WatchMask::ONLYDIR)?;
        folders.paths.insert(watch.clone(), folder.to_owned());
        let old = folders.watches.insert(folder.to_owned(), watch.clone());
        // What was there before under this name is another folder.
        if let Some(old) = old.filter(|old| *old != watch) {
            folders.paths.remove(&old);
            // An error says that the watch is gone already.
            let _ = self.watches.remove(old);
        }
        Ok(())
    }

    /// Ends the watch on a folder.
    pub(super) fn unwatch(&mut self, folder: &Path) {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(watch) = folders.watches.remove(folder) {
            folders.paths.remove(&watch);
            let _ = self.watches.remove(watch);
        }
    }
}

/// Tells of everything, until the other end of the pipe is closed.
fn listen(mut inotify: Inotify, end: &PipeReader, folders: &Mutex<Folders>, mut tell: impl FnMut(Seen)) {
    let mut buffer = [0; BUFFER];
    loop {
        match wait(inotify.as_raw_fd(), end.as_raw_fd()) {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                return tracing::error!(
                    "zone files are no longer watched: {error}; restart to have them watched"
                );
            }
        }
        let events = match inotify.read_events(&mut buffer) {
            Ok(events) => events,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                continue;
            }
            Err(error) => {
                return tracing::error!(
                    "zone files are no longer watched: {error}; restart to have them watched"
                );
            }
        };
        for event in events {
            if event.mask.contains(EventMask::Q_OVERFLOW) {
                tell(Seen { what: FileEvent::Lost, path: PathBuf::new() });
                continue;
            }
            let what = if event.mask.contains(EventMask::CREATE) {
                FileEvent::Created
            } else if event.mask.contains(EventMask::MODIFY) {
                FileEvent::Written
            } else if event.mask.contains(EventMask::ATTRIB) {
                FileEvent::Touched
            } else if event.mask.contains(EventMask::MOVED_TO) {
                FileEvent::Moved
            } else if event.mask.contains(EventMask::IGNORED) {
                continue;
            } else {
                FileEvent::Changed
            };
            let path = {
                let folders = folders.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(folder) = folders.paths.get(&event.wd) else { continue };
                event.name.map_or_else(|| folder.clone(), |name| folder.join(name))
            };
            tell(Seen { what, path });
        }
    }
}

/// Waits for events; `true` when the end has come instead.
fn wait(events: RawFd, end: RawFd) -> io::Result<bool> {
    let mut files = [events, end].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    // SAFETY: `files` holds as many entries as are named, and both files are open for as long as the caller has them.
    let ready = unsafe { libc::poll(files.as_mut_ptr(), files.len() as libc::nfds_t, -1) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) };
    }
    Ok(files[1].revents != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    #[test]
    fn writing_and_renaming_are_told_of_but_not_reading() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        let (one, two) = (real.join("one.zone"), real.join("two.zone"));
        fs::write(&one, "old").unwrap();
        let (told, events) = mpsc::channel();
        let mut watcher = Watcher::start(move |seen| drop(told.send(seen))).unwrap();
        watcher.watch(&real, Scope::Files).unwrap();
        assert!(watcher.watch(&real.join("none"), Scope::Files).is_err());
        fs::read(&one).unwrap();
        fs::read_dir(&real).unwrap().for_each(drop);
        fs::write(&one, "new").unwrap();
        fs::rename(&one, &two).unwrap();
        let mut seen = Vec::new();
        while seen.last().is_none_or(|seen: &Seen| seen.path != two) {
            seen.push(events.recv_timeout(SOON).unwrap());
        }
        let kinds: Vec<FileEvent> = seen.iter().map(|seen| seen.what).collect();
        // Truncated and written, which may be told as one; closed; gone; come under another name.
        let writes = kinds.iter().take_while(|kind| **kind == FileEvent::Written).count();
        assert!((1..=2).contains(&writes), "{kinds:?}");
        assert_eq!(kinds[writes..], [FileEvent::Changed, FileEvent::Changed, FileEvent::Moved]);

        watcher.unwatch(&real);
        fs::write(&two, "newer").unwrap();
        drop(watcher);
        // The thread has ended, and nothing was told before.
        assert_eq!(
            events.recv_timeout(SOON).map(|seen| seen.path),
            Err(mpsc::RecvTimeoutError::Disconnected)
        );
    }

    #[test]
    fn what_is_written_is_told_of_only_where_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        let log = real.join("log");
        fs::write(&log, "old").unwrap();
        let (told, events) = mpsc::channel();
        let mut watcher = Watcher::start(move |seen| drop(told.send(seen))).unwrap();
        watcher.watch(&real, Scope::Names).unwrap();
        fs::write(&log, "new").unwrap();
        fs::create_dir(real.join("zones")).unwrap();
        let first = events.recv_timeout(SOON).unwrap();
        assert_eq!((first.what, first.path), (FileEvent::Created, real.join("zones")));

        // Once it is, it stays so.
        watcher.watch(&real, Scope::Files).unwrap();
        watcher.watch(&real, Scope::Names).unwrap();
        fs::write(&log, "newer").unwrap();
        let next = events.recv_timeout(SOON).unwrap();
        assert_eq!((next.what, next.path), (FileEvent::Written, log));
    }

    #[test]
    fn a_folder_that_is_replaced_is_told_of_and_can_be_watched_again() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        let zones = real.join("zones");
        fs::create_dir(&zones).unwrap();
        let (told, events) = mpsc::channel();
        let mut watcher = Watcher::start(move |seen| drop(told.send(seen))).unwrap();
        watcher.watch(&zones, Scope::Files).unwrap();
        fs::rename(&zones, real.join("old")).unwrap();
        let moved = events.recv_timeout(SOON).unwrap();
        assert_eq!((moved.what, moved.path), (FileEvent::Changed, zones.clone()));
        fs::create_dir(&zones).unwrap();
        watcher.watch(&zones, Scope::Files).unwrap();
        fs::write(real.join("old/a.zone"), "a").unwrap();
        fs::write(zones.join("b.zone"), "b").unwrap();
        assert_eq!(events.recv_timeout(SOON).unwrap().path, zones.join("b.zone"));
    }
}
