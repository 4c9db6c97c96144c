//! The data folder: one process at a time uses it, and what cannot be read there is kept aside.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Damaged copies of one file that are kept.
pub(super) const MAX_ASIDE: usize = 8;
/// Changes with every start of the system.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A file or folder could not be made, read or written.
    #[error("cannot {action} {path}: {error}{}", next_step(.error))]
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
    /// A later program wrote the file.
    #[error(
        "{path} is of version {version}, which this program does not know; start the program that wrote it, or move it away"
    )]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u16,
    },
}

/// What to do about a file that cannot be used.
fn next_step(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::IsADirectory => "; move that folder away: a file belongs there",
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "; move the file away that stands where a folder belongs"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; give the user of this node the right to read and write there"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room there",
        // A fault of the program says itself what to do.
        io::ErrorKind::Other => "",
        _ => "; look at the disk",
    }
}

pub(super) fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |error| FolderError::Io { action, path, error }
}

/// A folder that this process holds.
pub struct Folder {
    dir: PathBuf,
    lock: File,
    node_id: u64,
    /// The node id was made on this start: nothing was here before.
    pub is_new: bool,
}

impl Folder {
    /// Takes the folder, making it when needed. `fresh` becomes the node's id where there is none.
    pub fn open(dir: &Path, fresh: u64) -> Result<Folder, FolderError> {
        fs::create_dir_all(dir).map_err(io_error("create", dir))?;
        let lock = lock(dir)?;
        let path = dir.join("node-id");
        let (node_id, is_new) = match fs::read(&path) {
            Ok(bytes) => match read_node_id(&bytes) {
                Some(id) => (id, false),
                None => {
                    // Another one does as well: it tells this writer from others.
                    let aside = dir.join("node-id.damaged");
                    fs::rename(&path, &aside).map_err(io_error("rename", &path))?;
                    tracing::warn!(
                        "{} is damaged and kept as {}; this node has another id from now on",
                        path.display(),
                        aside.display()
                    );
                    write_node_id(dir, fresh.max(1))?;
                    (fresh.max(1), false)
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_node_id(dir, fresh.max(1))?;
                (fresh.max(1), true)
            }
            Err(error) => return Err(io_error("read", &path)(error)),
        };
        Ok(Folder { dir: dir.to_owned(), lock, node_id, is_new })
    }

    /// This node's id as a writer.
    pub fn node_id(&self) -> u64 {
        self.node_id
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Makes the folder again that was removed while this process used it.
    pub(super) fn restore(&mut self) -> Result<(), FolderError> {
        fs::create_dir_all(&self.dir).map_err(io_error("create", &self.dir))?;
        if !self.dir.join("lock").exists() {
            self.lock = lock(&self.dir)?;
        }
        if !self.dir.join("node-id").exists() {
            write_node_id(&self.dir, self.node_id)?;
        }
        Ok(())
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }

    pub(super) fn floors(&self) -> [PathBuf; 2] {
        [self.dir.join("floors"), self.dir.join("floors.copy")]
    }

    pub(super) fn contents(&self) -> PathBuf {
        self.dir.join("content")
    }

    /// Keeps a file aside as another of `name`, by a second name for it where it is replaced and never written to again. `None`
    /// when as many are kept already as are kept at all.
    pub(super) fn keep_aside(
        &self,
        path: &Path,
        name: &Path,
        is_copied: bool,
    ) -> Result<Option<PathBuf>, FolderError> {
        let Some(place) = aside(name).find(|place| !place.exists()) else { return Ok(None) };
        // Not every file system has such names.
        if is_copied || fs::hard_link(path, &place).is_err() {
            fs::copy(path, &place).map_err(io_error("copy", &place))?;
        }
        Ok(Some(place))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        sync_folder(&self.dir)
    }
}

/// Where copies of a file are kept that could not be read.
fn aside(path: &Path) -> impl Iterator<Item = PathBuf> {
    let name = path.display().to_string();
    (0..MAX_ASIDE).map(move |number| match number {
        0 => PathBuf::from(format!("{name}.damaged")),
        number => PathBuf::from(format!("{name}.damaged.{number}")),
    })
}

/// What the system's last start is known by; where it cannot be known, each call is taken for another start.
pub(super) fn boot_id() -> u128 {
    let text = fs::read_to_string(BOOT_ID).unwrap_or_default();
    u128::from_str_radix(&text.trim().replace('-', ""), 16).unwrap_or_else(|_| rand::random())
}

pub(super) fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn lock(dir: &Path) -> Result<File, FolderError> {
    let path = dir.join("lock");
    let lock = File::create(&path).map_err(io_error("create", &path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(FolderError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(io_error("lock", &path)(error)),
    }
}

fn read_node_id(bytes: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(bytes).ok()?.trim(), 16).ok()
}

fn write_node_id(dir: &Path, id: u64) -> Result<(), FolderError> {
    let (path, temporary) = (dir.join("node-id"), dir.join("node-id.new"));
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        writeln!(file, "{id:016x}")?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        sync_folder(dir)
    };
    write().map_err(io_error("write", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let _folder = Folder::open(dir.path(), 1).unwrap();
        assert!(matches!(Folder::open(dir.path(), 1), Err(FolderError::InUse(_))));
    }

    #[test]
    fn the_node_id_stays() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::open(dir.path(), 7).unwrap();
        assert_eq!((first.node_id(), first.is_new), (7, true));
        drop(first);
        let second = Folder::open(dir.path(), 8).unwrap();
        assert_eq!((second.node_id(), second.is_new), (7, false));
        drop(second);
        fs::write(dir.path().join("node-id"), [0xff, b'7']).unwrap();
        let third = Folder::open(dir.path(), 9).unwrap();
        assert_eq!((third.node_id(), third.is_new), (9, false));
        assert!(dir.path().join("node-id.damaged").exists());
    }

    #[test]
    fn what_is_kept_aside_is_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), 7).unwrap();
        for number in 0..10 {
            fs::remove_file(folder.journal()).ok();
            fs::write(folder.journal(), [number]).unwrap();
            let kept = folder.keep_aside(&folder.journal(), &folder.journal(), number % 2 == 0).unwrap();
            assert_eq!(kept.is_some(), number < 8);
        }
        assert_eq!(fs::read(dir.path().join("journal.damaged")).unwrap(), [0]);
        assert_eq!(fs::read(dir.path().join("journal.damaged.7")).unwrap(), [7]);
    }
}
