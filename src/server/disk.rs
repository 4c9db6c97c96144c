//! The journal on disk: one file of frames ([`crate::publish::journal`]) for all zones, so that any number of changes costs one
//! write and one sync, and a folder that one process at a time may use.
//!
//! ```text
//! data-dir/node-id       this node's id as a writer, made once
//! data-dir/lock          held while a process runs here
//! data-dir/journal       frames; a torn one at the end is what a crash left and is cut off
//! data-dir/journal.damaged   a copy of a journal in which more was wrong than its end
//! data-dir/journal.new   a compacted journal being written; takes the journal's place by rename
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::publish::journal::entry::{self as journal, Entry, FRAME, Happened};
use crate::publish::journal::log::LogError;
use crate::time::Mono;
use crate::wire::name::Name;

use super::clock;

/// A torn end longer than this is not what a crash leaves of the usual entry.
const ONE_WRITE: u64 = 64 << 10;
/// A journal below this size is never compacted.
const SMALL: u64 = 16 << 20;
/// What was put off is written down after so long: others that are still to come can go with it.
const PUT_OFF: Duration = Duration::from_secs(1);
/// A journal that could not be rewritten is left alone for so long.
const TRY_AGAIN: Duration = Duration::from_secs(60);
/// Bytes a record takes in a journal, about.
const RECORD: u64 = 48;
/// What is read or written at once.
const CHUNK: usize = 256 << 10;
/// Bytes kept free for stamps and changes while content waits to be written.
const RESERVE: u64 = 1 << 20;
/// A buffer that grew beyond this is let go of after use.
const KEEP_BUFFER: usize = 1 << 20;

/// The open journal.
pub struct Disk {
    dir: PathBuf,
    file: File,
    /// How long the file is up to its last whole frame.
    length: u64,
    /// How long it was when it was last compacted (or opened).
    compacted: u64,
    buffer: Vec<u8>,
    broken: bool,
    /// When content that was put off is to be written down.
    owed: Option<Mono>,
    _lock: File,
}

/// A new journal in the making, from a state that the old one had at some length.
pub struct Rewrite {
    dir: PathBuf,
    from: u64,
}

/// A new journal that lacks what the old one got since.
pub struct Rewritten {
    file: File,
    from: u64,
    length: u64,
}

/// The data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// A file or folder could not be made, read or written.
    #[error("{action} {path}: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What came of it.
        error: io::Error,
    },
    /// Another process uses the folder.
    #[error("{0} is in use by another tidemark process; stop it, or give this one a `data-dir` of its own")]
    InUse(PathBuf),
    /// The node id is not one.
    #[error(
        "{0} does not hold a node id (16 hexadecimal digits); restore it, or remove it to become a new node"
    )]
    NodeId(PathBuf),
}

impl Disk {
    /// Opens the journal in `dir`, making both when needed, and hands every entry of it to `each`.
    pub fn open(dir: &Path, mut each: impl FnMut(Name, Happened)) -> Result<Disk, DiskError> {
        fs::create_dir_all(dir).map_err(io_error("create", dir))?;
        let lock_path = dir.join("lock");
        let lock = File::create(&lock_path).map_err(io_error("create", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DiskError::InUse(dir.to_owned())),
            Err(TryLockError::Error(error)) => return Err(io_error("lock", &lock_path)(error)),
        }
        let path = dir.join("journal");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io_error("open", &path))?;
        let size = file.metadata().map_err(io_error("read", &path))?.len();
        let Found { length, damaged } = replay(&file, size, &mut each).map_err(io_error("read", &path))?;
        if damaged > 0 || size - length > ONE_WRITE {
            // More than a crash in the middle of a write: somebody may want to look at it.
            let copy = dir.join("journal.damaged");
            fs::copy(&path, &copy).map_err(io_error("copy", &copy))?;
            tracing::error!(
                journal = %path.display(),
                "the journal is damaged ({damaged} entries within, {} bytes at its end); a copy is in {}",
                size - length,
                copy.display()
            );
        }
        if length < size {
            tracing::warn!(journal = %path.display(), "cut off {} bytes of an unfinished entry at offset {length}", size - length);
            file.set_len(length).map_err(io_error("truncate", &path))?;
        }
        file.seek(SeekFrom::Start(length)).map_err(io_error("read", &path))?;
        Ok(Disk {
            dir: dir.to_owned(),
            file,
            length,
            compacted: length,
            buffer: Vec::new(),
            broken: false,
            owed: None,
            _lock: lock,
        })
    }

    /// This node's id, made on the first call in this folder from `fresh`.
    pub fn node_id(dir: &Path, fresh: u64) -> Result<u64, DiskError> {
        fs::create_dir_all(dir).map_err(io_error("create", dir))?;
        let path = dir.join("node-id");
        match fs::read_to_string(&path) {
            Ok(text) => u64::from_str_radix(text.trim(), 16).map_err(|_| DiskError::NodeId(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let id = fresh.max(1);
                let temporary = dir.join("node-id.new");
                let write = || -> io::Result<()> {
                    let mut file = File::create(&temporary)?;
                    writeln!(file, "{id:016x}")?;
                    file.sync_all()?;
                    fs::rename(&temporary, &path)?;
                    File::open(dir)?.sync_all()
                };
                write().map_err(io_error("write", &path))?;
                Ok(id)
            }
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    /// Appends entries whose loss would do no harm (how fresh a zone is), without waiting for the disk.
    pub fn note(&mut self, entry: &Entry) {
        // If this fails, the next entry that matters will fail too, and be told.
        let _ = self.write(std::slice::from_ref(entry));
    }

    /// When the journal is to be rewritten: content waits to be written down, or the journal may have grown far beyond what it has
    /// to hold, which `records`, the number of all records, decides.
    pub fn due(&mut self, records: impl FnOnce() -> u64) -> Option<Mono> {
        if self.length > SMALL.max(3 * self.compacted) {
            // What was never compacted need not have grown by what is of no use now.
            self.compacted = self.compacted.max(records().saturating_mul(RECORD)).max(1);
            if self.length > 3 * self.compacted {
                return Some(Mono(0));
            }
        }
        self.owed
    }

    /// How long the journal is.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Begins a new journal. What the old one holds up to `from` is to be written to it; what follows is taken over in the end.
    pub fn rewrite(&mut self, from: u64) -> Rewrite {
        self.owed = None;
        Rewrite { dir: self.dir.clone(), from }
    }

    /// Whether content of a zone file may be written down later, soon after it is served: it is made sure that there is room for
    /// stamps and changes meanwhile.
    pub fn defers(&mut self) -> bool {
        let defers = self.reserve().is_ok();
        if defers {
            self.owed.get_or_insert(clock::now().mono + PUT_OFF);
        }
        defers
    }

    /// Puts a new journal in the old one's place. On an error the old one goes on, and the rewriting is to be tried again.
    pub fn replace(&mut self, rewritten: Result<Rewritten, DiskError>) -> Result<(), DiskError> {
        let replaced = rewritten.and_then(|rewritten| self.take_over(rewritten));
        if replaced.is_err() {
            self.owed = Some(clock::now().mono + TRY_AGAIN);
            self.compacted = self.length;
        }
        replaced
    }

    fn take_over(&mut self, rewritten: Rewritten) -> Result<(), DiskError> {
        let Rewritten { mut file, from, mut length } = rewritten;
        let temporary = self.dir.join("journal.new");
        let path = self.dir.join("journal");
        let mut since = vec![0; CHUNK.min((self.length - from) as usize)];
        let mut at = from;
        while at < self.length {
            let part = since.len().min((self.length - at) as usize);
            self.file.read_exact_at(&mut since[..part], at).map_err(io_error("read", &path))?;
            file.write_all(&since[..part]).map_err(io_error("write", &temporary))?;
            at += part as u64;
        }
        length += self.length - from;
        file.sync_all().map_err(io_error("write", &temporary))?;
        fs::rename(&temporary, &path).map_err(io_error("replace", &path))?;
        (self.file, self.length, self.compacted, self.broken) = (file, length, length, false);
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync", &self.dir))
    }

    /// Returns once all entries are on stable storage, in this order; an error means that any prefix may be.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), LogError> {
        let before = self.length;
        let kept = self.write(entries).and_then(|()| self.file.sync_data());
        kept.map_err(|error| {
            if self.length > before {
                // Written but perhaps not kept: what the caller will not serve must not come back after a restart.
                self.length = before;
                self.broken = true;
                let _ = self.repair();
            }
            LogError(format!("{}: {error}", self.dir.join("journal").display()))
        })
    }

    fn write(&mut self, entries: &[Entry]) -> io::Result<()> {
        if self.broken {
            self.repair()?;
        }
        self.buffer.clear();
        let mut written = 0;
        let result = pour(&mut self.file, &mut self.buffer, entries, &mut written);
        self.buffer.shrink_to(KEEP_BUFFER);
        match result {
            Ok(()) => {
                self.length += written;
                Ok(())
            }
            Err(error) => {
                self.broken = true;
                // Half a frame must not stay where whole ones will follow; if it cannot go now, it goes before the next.
                let _ = self.repair();
                Err(error)
            }
        }
    }

    /// Makes sure of room behind the journal's end, so that a disk that fills up before the content is written does not keep the
    /// stamps of later versions from being kept.
    fn reserve(&self) -> io::Result<()> {
        // Up to the same place again and again, so that what was reserved before a restart still counts.
        let end = (self.length / RESERVE + 2) * RESERVE;
        let (Ok(from), Ok(length)) = (self.length.try_into(), (end - self.length).try_into()) else {
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        // SAFETY: the descriptor is that of an open file, and no memory is touched.
        let done = unsafe { libc::fallocate(self.file.as_raw_fd(), libc::FALLOC_FL_KEEP_SIZE, from, length) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn repair(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.broken = false;
        Ok(())
    }
}

impl Rewrite {
    /// Writes the new journal beside the old one, from what `fill` hands out.
    pub fn write(self, fill: impl FnOnce(&mut dyn FnMut(Entry))) -> Result<Rewritten, DiskError> {
        let temporary = self.dir.join("journal.new");
        let open = || File::options().read(true).write(true).create(true).truncate(true).open(&temporary);
        let mut file = open().map_err(io_error("create", &temporary))?;
        let (mut buffer, mut length, mut result) = (Vec::with_capacity(2 * CHUNK), 0, Ok(()));
        fill(&mut |entry| {
            if result.is_ok() {
                result = serialise(&mut file, &mut buffer, &entry, &mut length);
            }
        });
        result
            .and_then(|()| drain(&mut file, &mut buffer, &mut length))
            .and_then(|()| file.sync_all())
            .map_err(io_error("write", &temporary))?;
        Ok(Rewritten { file, from: self.from, length })
    }
}

/// Writes entries, counting the bytes.
fn pour(file: &mut File, buffer: &mut Vec<u8>, entries: &[Entry], written: &mut u64) -> io::Result<()> {
    entries.iter().try_for_each(|entry| serialise(file, buffer, entry, written))?;
    drain(file, buffer, written)
}

/// Appends an entry to the buffer, and writes what is much.
fn serialise(file: &mut File, buffer: &mut Vec<u8>, entry: &Entry, written: &mut u64) -> io::Result<()> {
    if entry.is_large() {
        let mut result = Ok(());
        entry.pieces(&mut |piece| {
            if result.is_ok() {
                buffer.extend_from_slice(piece);
                if buffer.len() >= CHUNK {
                    result = drain(file, buffer, written);
                }
            }
        });
        return result;
    }
    entry.write(buffer);
    if buffer.len() >= CHUNK { drain(file, buffer, written) } else { Ok(()) }
}

fn drain(file: &mut File, buffer: &mut Vec<u8>, written: &mut u64) -> io::Result<()> {
    file.write_all(buffer)?;
    *written += buffer.len() as u64;
    buffer.clear();
    Ok(())
}

/// What a journal holds.
#[derive(Debug, Default)]
struct Found {
    /// Where its last whole frame ends.
    length: u64,
    /// Damaged frames with whole ones behind them.
    damaged: u64,
}

/// Hands every whole entry to `each`. A damaged frame is stepped over when another frame stands where it ends.
fn replay(file: &File, size: u64, each: &mut dyn FnMut(Name, Happened)) -> io::Result<Found> {
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let mut read = Found::default();
    let mut at = 0;
    let mut skipped = 0;
    let mut frame = Vec::new();
    while at + FRAME as u64 <= size {
        frame.resize(FRAME, 0);
        reader.read_exact(&mut frame)?;
        let payload = u64::from(u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]));
        if at + FRAME as u64 + payload > size {
            break;
        }
        frame.resize(FRAME + payload as usize, 0);
        reader.read_exact(&mut frame[FRAME..])?;
        at += FRAME as u64 + payload;
        let Some((payload, _)) = journal::unframe(&frame) else {
            skipped += 1;
            continue;
        };
        read.length = at;
        read.damaged += std::mem::take(&mut skipped);
        if let (Some(zone), Some(happened)) = (journal::zone_of(payload), journal::read(payload)) {
            each(zone.to_name(), happened);
        }
    }
    Ok(read)
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    let path = path.to_owned();
    move |error| DiskError::Io { action, path, error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Utc;

    fn entry(name: &Name, at: u64) -> Entry {
        Entry::Verified(name.clone(), Utc(at))
    }

    fn read_all(dir: &Path) -> (Disk, Vec<u64>) {
        let mut found = Vec::new();
        let disk = Disk::open(dir, |_, happened| {
            let Happened::Verified(at) = happened else { panic!("{happened:?}") };
            found.push(at.0);
        });
        (disk.unwrap(), found)
    }

    #[test]
    fn a_torn_end_is_cut_off_at_every_length() {
        let dir = tempfile::tempdir().unwrap();
        let name: Name = "example.".parse().unwrap();
        let (mut disk, _) = read_all(dir.path());
        disk.append(&[entry(&name, 1), entry(&name, 2)]).unwrap();
        drop(disk);
        let path = dir.path().join("journal");
        let whole = fs::read(&path).unwrap();
        for cut in whole.len() / 2 + 1..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let (mut disk, found) = read_all(dir.path());
            assert_eq!(found, [1]);
            disk.append(&[entry(&name, 3)]).unwrap();
            drop(disk);
            assert_eq!(read_all(dir.path()).1, [1, 3]);
        }
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert_eq!(read_all(dir.path()).1, [1]);
    }

    #[test]
    fn a_damaged_entry_costs_itself_alone() {
        let dir = tempfile::tempdir().unwrap();
        let name: Name = "example.".parse().unwrap();
        let (mut disk, _) = read_all(dir.path());
        disk.append(&[entry(&name, 1), entry(&name, 2), entry(&name, 3)]).unwrap();
        drop(disk);
        let path = dir.path().join("journal");
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read_all(dir.path()).1, [1, 3]);
        assert_eq!(fs::read(dir.path().join("journal.damaged")).unwrap(), bytes);
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let (_disk, _) = read_all(dir.path());
        assert!(matches!(Disk::open(dir.path(), |_, _| ()), Err(DiskError::InUse(_))));
    }

    #[test]
    fn compaction_leaves_what_it_is_given_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let name: Name = "example.".parse().unwrap();
        let (mut disk, _) = read_all(dir.path());
        (0..10).for_each(|at| disk.append(&[entry(&name, at)]).unwrap());
        let rewrite = disk.rewrite(disk.length());
        // What comes meanwhile is kept, also when it never comes to the end.
        disk.append(&[entry(&name, 10)]).unwrap();
        let rewritten = rewrite.write(|each| each(entry(&name, 9)));
        disk.append(&[entry(&name, 11)]).unwrap();
        assert_eq!(
            fs::read(dir.path().join("journal")).map(|bytes| bytes.len()).unwrap(),
            12 * fs::read(dir.path().join("journal.new")).unwrap().len()
        );
        disk.replace(rewritten).unwrap();
        disk.append(&[entry(&name, 12)]).unwrap();
        drop(disk);
        assert_eq!(read_all(dir.path()).1, [9, 10, 11, 12]);
    }

    #[test]
    fn the_node_id_stays() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Disk::node_id(dir.path(), 7).unwrap(), 7);
        assert_eq!(Disk::node_id(dir.path(), 8).unwrap(), 7);
    }
}
