//! Becoming an ordinary user after the ports are bound, room for many sockets, and limits that are errors.

use std::ffi::CString;
use std::io;
use std::os::unix::fs::chown;
use std::path::Path;

/// Has a write beyond the largest file that the process may have (RLIMIT_FSIZE) fail like one to a full disk (EFBIG); by default it
/// ends the process.
pub(super) fn outlive_file_limit() {
    // SAFETY: no handler is set.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Becomes `user`, giving it `owned` first. Does nothing when the process is not root's.
pub(super) fn drop_to(user: &str, owned: &[&Path]) -> io::Result<()> {
    // SAFETY: geteuid has no preconditions and cannot fail.
    if unsafe { libc::geteuid() } != 0 {
        return Ok(());
    }
    let name = CString::new(user).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: `name` is a string that ends in NUL; the result is read before any other call that could overwrite it.
    let (uid, gid) = unsafe {
        let entry = libc::getpwnam(name.as_ptr());
        if entry.is_null() {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("there is no user `{user}`")));
        }
        ((*entry).pw_uid, (*entry).pw_gid)
    };
    for path in owned {
        give(path, uid, gid)?;
    }
    // SAFETY: plain system calls; groups go first, because they can no longer be changed once the user is.
    let done = unsafe {
        libc::initgroups(name.as_ptr(), gid) == 0 && libc::setgid(gid) == 0 && libc::setuid(uid) == 0
    };
    if done { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives a file or folder, and what is right in it, to a user.
fn give(path: &Path, uid: u32, gid: u32) -> io::Result<()> {
    chown(path, Some(uid), Some(gid))?;
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            chown(entry?.path(), Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

/// Raises the limit on open files to what the system allows; connections and watched folders need them.
pub(super) fn raise_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for reading and writing; failure leaves the limit as it is, which is no error.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}
