//! Whether anybody has a file open for writing, by asking for a read lease (fcntl(2)): what is in such a file may be half of what it
//! is to be.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::super::content;

/// Whether anybody has a file open for writing; `None` when that cannot be known, as of files of another user, and on file systems
/// without leases.
pub(super) fn is_open_for_writing(path: &Path) -> Option<bool> {
    has_writer(&content::open(path).ok()?)
}

/// The same of a file that is open for reading here.
pub(super) fn has_writer(file: &File) -> Option<bool> {
    /// fcntl(2); its number is the same on all architectures.
    const F_SETSIG: libc::c_int = 10;
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
