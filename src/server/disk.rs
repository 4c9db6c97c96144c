//! The journal on disk: one file of frames ([`crate::zone::journal`]) for all zones, so that any number of changes costs one
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
use std::path::{Path, PathBuf};

use crate::time::{Now, Utc};
use crate::wire::name::Name;
use crate::zone::journal::{self, Entry, FRAME, Happened, Log, LogError};

use super::clock;

/// A torn end longer than this is not what a crash leaves of the usual entry.
const ONE_WRITE: u64 = 64 << 10;
/// A journal below this size is never compacted.
const SMALL: u64 = 16 << 20;
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
    _lock: File,
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
    pub fn note(&mut self, entry: &Entry<'_>) {
        self.serialise(std::slice::from_ref(entry));
        // If this fails, the next entry that matters will fail too, and be told.
        let _ = self.write();
    }

    /// Whether the journal has grown so far beyond what it has to hold that [`Disk::compact`] is worth its time.
    pub fn is_overgrown(&self) -> bool {
        self.length > SMALL.max(3 * self.compacted)
    }

    /// Writes a new journal from what `fill` hands out, and puts it in the old one's place.
    pub fn compact(&mut self, fill: impl FnOnce(&mut dyn FnMut(Entry<'_>))) -> Result<(), DiskError> {
        let temporary = self.dir.join("journal.new");
        let path = self.dir.join("journal");
        let mut file = File::create(&temporary).map_err(io_error("create", &temporary))?;
        let mut length = 0;
        let mut result = Ok(());
        let mut buffer = Vec::new();
        fill(&mut |entry| {
            buffer.clear();
            entry.write(&mut buffer);
            if result.is_ok() {
                result = file.write_all(&buffer);
                length += buffer.len() as u64;
            }
        });
        result.and_then(|()| file.sync_all()).map_err(io_error("write", &temporary))?;
        fs::rename(&temporary, &path).map_err(io_error("replace", &path))?;
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync", &self.dir))?;
        (self.file, self.length, self.compacted, self.broken) = (file, length, length, false);
        Ok(())
    }

    fn serialise(&mut self, entries: &[Entry<'_>]) {
        self.buffer.clear();
        self.buffer.shrink_to(KEEP_BUFFER);
        entries.iter().for_each(|entry| entry.write(&mut self.buffer));
    }

    fn write(&mut self) -> io::Result<()> {
        if self.broken {
            self.repair()?;
        }
        match self.file.write_all(&self.buffer) {
            Ok(()) => {
                self.length += self.buffer.len() as u64;
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

    fn repair(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.broken = false;
        Ok(())
    }
}

impl Log for Disk {
    fn moment(&self, _: Now) -> Utc {
        clock::now().utc
    }

    fn append(&mut self, entries: &[Entry<'_>]) -> Result<(), LogError> {
        self.serialise(entries);
        let before = self.length;
        let kept = self.write().and_then(|()| self.file.sync_data());
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

    fn entry(name: &Name, at: u64) -> Entry<'_> {
        Entry::Verified(name, Utc(at))
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
        disk.compact(|each| each(entry(&name, 9))).unwrap();
        disk.append(&[entry(&name, 10)]).unwrap();
        drop(disk);
        assert_eq!(read_all(dir.path()).1, [9, 10]);
    }

    #[test]
    fn the_node_id_stays() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Disk::node_id(dir.path(), 7).unwrap(), 7);
        assert_eq!(Disk::node_id(dir.path(), 8).unwrap(), 7);
    }
}
