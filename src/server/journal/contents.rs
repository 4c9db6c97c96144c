//! Large contents and changes, in files of their own that a thread writes while the journal goes on.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;

use crate::publish::journal::content::{self, Reader};
use crate::publish::journal::entry::{Aside, Entry, Replayed};
use crate::publish::journal::order::Task;
use crate::wire::name::{Name, NameRef};

use super::folder::sync_folder;
use crate::server::{priority, threads};

/// What is read or written at once.
const CHUNK: usize = 256 << 10;
/// After so many bytes what is written without haste is synced: the journal's own syncs wait behind all that a disk has still to
/// write, and with them the changes of other zones.
pub(super) const BACKLOG: u64 = 1 << 20;

/// What came of a task.
pub struct Done {
    /// Whose content it is.
    pub zone: Name,
    /// The file.
    pub id: u64,
    /// Which commit waits for it.
    pub ticket: Option<u64>,
    /// How many bytes it takes; or why it could not be written, and the task, to be tried again.
    pub result: Result<u64, (io::Error, Task)>,
}

impl Done {
    /// Does a task. Its entry may be the last to hold a content that was replaced meanwhile; that is taken to pieces here, and not by the
    /// journal's thread, where other zones' commits would wait for it.
    fn by(dir: &Path, task: Task) -> Done {
        let (zone, id, ticket) = (task.entry.zone().to_name(), task.aside.id, task.ticket);
        let result = match write(dir, &task.entry, &task.aside) {
            Ok(size) => Ok(size),
            Err(error) => Err((error, task)),
        };
        Done { zone, id, ticket, result }
    }
}

/// What nobody needs any more.
enum Needless {
    Files(Vec<u64>),
    Entry(Box<Entry>),
}

/// The way to a thread that removes files and takes entries to pieces: for as long as that of a large content takes, no commit is to wait.
#[derive(Debug)]
pub struct Remover(mpsc::Sender<Needless>);

impl Remover {
    /// Starts the thread for the contents in `dir`.
    pub fn start(dir: PathBuf) -> io::Result<Remover> {
        let (needless, queue) = mpsc::channel();
        threads::start("remover", move || {
            for needless in queue {
                match needless {
                    Needless::Files(ids) => remove(&dir, ids),
                    Needless::Entry(entry) => drop(entry),
                }
            }
        })?;
        Ok(Remover(needless))
    }

    /// Has files removed that nothing refers to any more.
    pub fn files(&self, ids: Vec<u64>) {
        if !ids.is_empty() {
            // The thread lives as long as this.
            let _ = self.0.send(Needless::Files(ids));
        }
    }

    /// Has an entry taken to pieces.
    pub fn entry(&self, entry: Entry) {
        let _ = self.0.send(Needless::Entry(Box::new(entry)));
    }
}

/// The way to the threads: one for what somebody waits for, one for what nobody does.
pub struct Writers {
    soon: mpsc::Sender<Task>,
    later: mpsc::Sender<Task>,
}

impl Writers {
    /// Starts the threads for the contents in `dir`; `done` is called from them.
    pub fn start(dir: &Path, done: impl Fn(Done) + Clone + Send + 'static) -> io::Result<Writers> {
        let start = |name, lower: fn()| {
            let (tasks, queue) = mpsc::channel::<Task>();
            let (dir, done) = (dir.to_owned(), done.clone());
            threads::start(name, move || {
                lower();
                queue.into_iter().for_each(|task| done(Done::by(&dir, task)));
            })?;
            Ok::<_, io::Error>(tasks)
        };
        Ok(Writers { soon: start("content", || ())?, later: start("first content", priority::small_share)? })
    }

    /// Has a body written.
    pub fn write(&self, task: Task) {
        let tasks = if task.ticket.is_none() { &self.later } else { &self.soon };
        // The threads live as long as this.
        let _ = tasks.send(task);
    }
}

/// Where a content is.
pub fn path(dir: &Path, id: u64) -> PathBuf {
    dir.join(format!("{id:016x}"))
}

/// Writes and syncs the file of an entry; its size.
pub fn write(dir: &Path, entry: &Entry, aside: &Aside) -> io::Result<u64> {
    fs::create_dir_all(dir)?;
    let (place, temporary) = (path(dir, aside.id), dir.join("new"));
    // Two threads may write at once.
    let temporary = temporary.with_extension(format!("{:016x}", aside.id));
    let mut file = File::create(&temporary)?;
    let (mut buffer, mut size, mut synced) = (Vec::with_capacity(2 * CHUNK), 0, 0);
    let mut each = |bytes: &[u8]| {
        buffer.extend_from_slice(bytes);
        if buffer.len() < CHUNK {
            return Ok(());
        }
        size += buffer.len() as u64;
        file.write_all(&buffer)?;
        buffer.clear();
        if size - synced >= BACKLOG {
            synced = size;
            file.sync_data()?;
        }
        Ok(())
    };
    let written = content::write(entry, aside, &mut each).and_then(|()| {
        size += buffer.len() as u64;
        file.write_all(&buffer)?;
        file.sync_all()?;
        fs::rename(&temporary, &place)?;
        sync_folder(dir)
    });
    match written {
        Ok(()) => Ok(size),
        Err(error) => {
            let _ = fs::remove_file(&temporary);
            Err(error)
        }
    }
}

/// Reads the file of an entry; `None` when it is missing or not whole.
pub fn read(dir: &Path, zone: &NameRef, aside: Aside) -> Option<Replayed> {
    let mut file = File::open(path(dir, aside.id)).ok()?;
    let mut reader = Reader::new(zone, aside);
    let mut bytes = vec![0; CHUNK];
    loop {
        let read = file.read(&mut bytes).ok()?;
        reader.feed(&bytes[..read]);
        if read == 0 {
            return reader.finish();
        }
    }
}

/// A file that the journal refers to.
#[derive(Clone, Debug)]
pub struct Live {
    /// Which.
    pub aside: Aside,
    /// Its size; `None` while it is being written.
    pub size: Option<u64>,
}

/// Which files the journal refers to, from the last whole content of each zone on.
#[derive(Clone, Debug, Default)]
pub struct References(HashMap<Name, Vec<Live>>);

impl References {
    /// Takes in a reference.
    pub fn add(&mut self, zone: &NameRef, live: Live) {
        match self.0.get_mut(zone) {
            Some(files) => files.push(live),
            None => drop(self.0.insert(zone.to_name(), vec![live])),
        }
    }

    /// Notes that a file is written; those that it makes needless.
    pub fn complete(&mut self, zone: &NameRef, id: u64, size: u64) -> Vec<u64> {
        let Some(files) = self.0.get_mut(zone) else { return Vec::new() };
        let Some(at) = files.iter().position(|live| live.aside.id == id) else { return Vec::new() };
        files[at].size = Some(size);
        let needed = if files[at].aside.is_change { 0 } else { at };
        files.drain(..needed).map(|live| live.aside.id).collect()
    }

    /// Forgets the files of a zone whose whole content is in the journal itself.
    pub fn forget(&mut self, zone: &NameRef) -> Vec<u64> {
        self.0.remove(zone).into_iter().flatten().map(|live| live.aside.id).collect()
    }

    /// The newest whole content of a zone that is written.
    pub fn base(&self, zone: &NameRef) -> Option<&Live> {
        self.0.get(zone)?.iter().rev().find(|live| !live.aside.is_change && live.size.is_some())
    }

    /// Forgets files that are not there.
    pub fn retain(&mut self, is_there: impl Fn(u64) -> bool) {
        self.0.values_mut().for_each(|files| files.retain(|live| is_there(live.aside.id)));
    }

    /// Whether a file is referred to.
    pub fn has(&self, id: u64) -> bool {
        self.0.values().flatten().any(|live| live.aside.id == id)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Live)> {
        self.0.iter().flat_map(|(zone, files)| files.iter().map(move |live| (zone, live)))
    }

    /// The names of all of them.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.iter().map(|(_, live)| live.aside.id)
    }

    /// Bytes of all files of contents.
    pub fn content_bytes(&self) -> u64 {
        self.bytes(|aside| !aside.is_change)
    }

    /// Bytes of all files of changes.
    pub fn change_bytes(&self) -> u64 {
        self.bytes(|aside| aside.is_change)
    }

    fn bytes(&self, counts: impl Fn(&Aside) -> bool) -> u64 {
        self.0.values().flatten().filter(|live| counts(&live.aside)).filter_map(|live| live.size).sum()
    }
}

/// Removes files that nothing refers to any more.
pub(super) fn remove(dir: &Path, ids: impl IntoIterator<Item = u64>) {
    for id in ids {
        // One that cannot be removed now is removed at the next start.
        let _ = fs::remove_file(path(dir, id));
    }
}
