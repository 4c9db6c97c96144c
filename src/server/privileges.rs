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

/// Becomes `user`, giving it `owned` first. Of what root may do it keeps asking whether others have a file open for writing
/// (CAP_LEASE, capabilities(7)). Does nothing when the process is not root's.
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
        libc::initgroups(name.as_ptr(), gid) == 0
            && libc::setgid(gid) == 0
            && libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0
            && libc::setuid(uid) == 0
    };
    if !done {
        return Err(io::Error::last_os_error());
    }
    // Where root itself was not given it, nothing is kept. Threads take over what this one has.
    keep(1 << CAP_LEASE).or_else(|_| keep(0))
}

/// Of <linux/capability.h>, as what follows.
const CAP_LEASE: u32 = 28;

/// Gives up all capabilities but these.
fn keep(capabilities: u32) -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    #[repr(C)]
    struct Header {
        version: u32,
        thread: libc::c_int,
    }
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Sets {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let mut header = Header { version: VERSION_3, thread: 0 };
    let low = Sets { effective: capabilities, permitted: capabilities, inheritable: 0 };
    // The second is for the capabilities from 32 on.
    let sets = [low, Sets { effective: 0, permitted: 0, inheritable: 0 }];
    // SAFETY: both are of the form that this version asks for.
    match unsafe { libc::syscall(libc::SYS_capset, &mut header, sets.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use super::*;

    /// What this thread may do of what root may, as /proc shows it.
    fn capabilities() -> u64 {
        let status = fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("CapPrm:")).unwrap();
        u64::from_str_radix(line.trim(), 16).unwrap()
    }

    #[test]
    fn nothing_but_the_lease_is_kept() {
        // Capabilities are a thread's: others of this process keep theirs.
        let kept = thread::spawn(|| {
            let before = capabilities();
            keep(1 << CAP_LEASE).or_else(|_| keep(0)).unwrap();
            (before, capabilities())
        });
        let (before, after) = kept.join().unwrap();
        assert_eq!(after, before & (1 << CAP_LEASE));
    }
}
