//! A file of frames that grows at its end, and goes back to its last whole frame when a write fails.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::publish::journal::frame::{FileKind, Framer};

/// What is copied at once.
const CHUNK: usize = 256 << 10;

/// An open file of frames.
#[derive(Debug)]
pub struct FrameFile {
    path: PathBuf,
    file: File,
    /// Numbers the next frame.
    pub framer: Framer,
    /// How long the file is up to its last whole frame.
    length: u64,
    /// Whether bytes that do not count stand behind that.
    is_torn: bool,
}

impl FrameFile {
    /// A new file beside `path`; [`FrameFile::put_in_place`] gives it the name.
    pub fn create(path: &Path, kind: FileKind, generation: u32) -> io::Result<FrameFile> {
        let file = begin(path)?;
        let mut head = Vec::new();
        let framer = Framer::begin(&mut head, kind, generation);
        let mut created = FrameFile { path: path.to_owned(), file, framer, length: 0, is_torn: false };
        created.append(&head, framer)?;
        Ok(created)
    }

    /// Opens a file that has whole frames up to `length`, cuts off what follows them, and syncs it: the life before may have
    /// ended without.
    pub fn open(path: &Path, framer: Framer, length: u64) -> io::Result<FrameFile> {
        let file = File::options().read(true).write(true).open(path)?;
        let mut opened = FrameFile { path: path.to_owned(), file, framer, length, is_torn: true };
        opened.cut()?;
        opened.sync()?;
        Ok(opened)
    }

    /// Where the last whole frame ends.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends frames, after which `framer` numbers the next. When it fails the file is as it was.
    pub fn append(&mut self, frames: &[u8], framer: Framer) -> io::Result<()> {
        if self.is_torn {
            self.cut()?;
        }
        if let Err(error) = self.file.write_all_at(frames, self.length) {
            // Half a frame must not stay where whole ones will follow; if it cannot go now, it goes before the next.
            self.is_torn = true;
            let _ = self.cut();
            return Err(error);
        }
        self.length += frames.len() as u64;
        self.framer = framer;
        Ok(())
    }

    /// Takes back what was appended since the file had this length.
    pub fn take_back(&mut self, length: u64, framer: Framer) {
        (self.length, self.framer, self.is_torn) = (length, framer, true);
        let _ = self.cut();
    }

    /// Returns once all that was appended is on stable storage.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.framer.synced();
        Ok(())
    }

    /// Whether the file is still the one that its name leads to, with all that was written to it.
    pub fn is_in_place(&self) -> bool {
        self.is_at(&self.path) && self.is_complete()
    }

    fn is_at(&self, path: &Path) -> bool {
        let (Ok(there), Ok(here)) = (fs::metadata(path), self.file.metadata()) else { return false };
        there.dev() == here.dev() && there.ino() == here.ino()
    }

    /// Whether all that was written to it can be read still, though its name may lead elsewhere.
    pub fn is_complete(&self) -> bool {
        self.file.metadata().is_ok_and(|here| here.len() >= self.length)
    }

    /// Reads a part of the file.
    pub fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    /// Writes the whole frames of the file into a new one and puts that at `path`: after a sync that failed (the system may have
    /// forgotten what it could not write, so that the next sync of the same file succeeds without it), and where the file was
    /// removed or replaced. The folder is to be synced then.
    pub fn copy_to(&self, path: &Path) -> io::Result<FrameFile> {
        let file = begin(path)?;
        let mut bytes = vec![0; CHUNK.min(self.length as usize)];
        let mut at = 0;
        while at < self.length {
            let part = bytes.len().min((self.length - at) as usize);
            self.file.read_exact_at(&mut bytes[..part], at)?;
            file.write_all_at(&bytes[..part], at)?;
            at += part as u64;
        }
        file.sync_all()?;
        let mut framer = self.framer;
        framer.synced();
        let copy = FrameFile { path: path.to_owned(), file, framer, length: at, is_torn: false };
        copy.put_in_place()?;
        Ok(copy)
    }

    /// Gives a file its name that was written beside it; it must have been synced. The folder is to be synced then.
    pub fn put_in_place(&self) -> io::Result<()> {
        let new = new(&self.path);
        if !self.is_at(&new) {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("{} was removed", new.display())));
        }
        fs::rename(new, &self.path)
    }

    /// Removes a file that was written beside its path and is not to get the name.
    pub fn discard(&self) {
        let new = new(&self.path);
        if self.is_at(&new) {
            // One that cannot be removed now is removed when the next is begun.
            let _ = fs::remove_file(new);
        }
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.is_torn = false;
        Ok(())
    }
}

/// Where a file is written that is to get the name `path`.
pub(super) fn new(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// A new file beside `path`. One that is there already may be written to still: it stays another file, without a name.
fn begin(path: &Path) -> io::Result<File> {
    let new = new(path);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    File::options().read(true).write(true).create_new(true).open(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_begun_anew_keeps_clear_of_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut first = FrameFile::create(&path, FileKind::Journal, 1).unwrap();
        let second = FrameFile::create(&path, FileKind::Journal, 2).unwrap();
        second.put_in_place().unwrap();
        let whole = fs::read(&path).unwrap();
        let mut frames = Vec::new();
        let mut framer = first.framer;
        framer.frame(&mut frames, |out| out.extend_from_slice(b"entry"));
        first.append(&frames, framer).unwrap();
        assert!(first.put_in_place().is_err());
        assert_eq!(fs::read(&path).unwrap(), whole);
        assert!(second.is_in_place() && !first.is_in_place());
    }
}
