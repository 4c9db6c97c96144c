//! How much memory this process may have (what the machine has, unless its group, cgroups of Linux, as containers are made of, or a
//! limit of its own is narrower), that it gives back what it no longer needs, and that large zones lie in large pages.

use std::fs;
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::publish::zone::Remains;

use super::courtesy::{Courtesy, in_succession};
use super::{pages, priority};

/// Where Linux shows groups.
const GROUPS: &str = "/sys/fs/cgroup";

/// Once taking content to pieces has had so much processor time, the allocator is asked to look for what it can give back: that takes
/// milliseconds, more the more zones there are, and some pieces of a few kilobytes are not worth it.
const WORTH_A_LOOK: Duration = Duration::from_millis(5);

/// How often the process is looked at for growth.
const LOOK: Duration = Duration::from_secs(10);
/// Growth that matters, in bytes.
const GROWTH: usize = 16 << 20;

/// Starts the thread that takes content to pieces which nobody reads any more, and has large zones lie in large pages.
pub(super) fn start_to_retire() -> io::Result<mpsc::Sender<Remains>> {
    let (to, retired) = mpsc::channel();
    let mut retiring = Retiring { tidied: Duration::ZERO, size: 0 };
    in_succession("retire", move || match retired.recv_timeout(LOOK) {
        Ok(remains) => retiring.take(Some(remains)),
        Err(RecvTimeoutError::Timeout) => retiring.take(None),
        Err(RecvTimeoutError::Disconnected) => false,
    })?;
    Ok(to)
}

struct Retiring {
    /// What processor time this thread had had at the last look for what can be given back, and the size of the process then.
    tidied: Duration,
    size: usize,
}

impl Retiring {
    /// Takes to pieces, and looks what can be given back; there is always more to come.
    fn take(&mut self, remains: Option<Remains>) -> bool {
        // Not with a small share from the beginning: whoever wants memory waits for this thread where it is in the middle of giving some
        // back, for seconds when other programs have the processor.
        let _courtesy = Courtesy::begin();
        if priority::own_time() < self.tidied {
            // Another thread goes on, which has had none yet.
            self.tidied = Duration::ZERO;
        }
        let is_due = match remains {
            Some(remains) => {
                // What the next version shares with it stays and takes no time.
                drop::<Remains>(remains);
                priority::own_time().saturating_sub(self.tidied) >= WORTH_A_LOOK
            }
            None => pages::resident() > self.size + GROWTH,
        };
        if is_due {
            tidy();
            (self.tidied, self.size) = (priority::own_time(), pages::resident());
        }
        true
    }
}

/// Has the text of a large zone file, and each large table, go back to the system the moment it is let go of. The allocator learns
/// otherwise to keep pieces of up to 32 MiB for a next time, which may be days away. And has each thread have a part of the memory of its
/// own, so that none waits for what another does in its part.
pub(super) fn return_large_pieces() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes integers; whatever is refused stays as it is.
    unsafe {
        const LARGE: libc::c_int = 1 << 20;
        const PARTS: libc::c_int = 64;
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 8 * LARGE);
        // Pieces that are freed are joined at once: kept apart for later (mallopt(3)), those of a large file were joined all in one go by
        // whichever thread next asked for memory, which took the reader of a small one 50 ms.
        libc::mallopt(libc::M_MXFAST, 0);
        // On few cores there are fewer parts than threads otherwise.
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        libc::mallopt(
            libc::M_ARENA_MAX,
            libc::c_int::try_from(8 * cores).unwrap_or(libc::c_int::MAX).max(PARTS),
        );
    }
}

/// What there is to do once everything has been read for the first time.
pub(super) fn tidy_after_the_start() {
    tidy();
    pages::let_go_of_code();
}

/// Gives back the memory that small pieces were in, as of the texts of zone files and of the journal, and has the rest lie well.
fn tidy() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no preconditions; it locks what it works on.
    unsafe {
        libc::malloc_trim(0);
    }
    pages::gather();
}

/// Half of the memory that this process may have, in bytes.
pub(super) fn half() -> u64 {
    // Asked of the system once: there may be a hundred thousand files.
    static HALF: OnceLock<u64> = OnceLock::new();
    *HALF.get_or_init(|| {
        let limits = [of_the_machine(), of_the_process(), of_the_group()];
        limits.into_iter().flatten().min().map_or(u64::MAX, |least| least / 2)
    })
}

fn of_the_machine() -> Option<u64> {
    // SAFETY: sysconf takes a number and touches no memory of ours.
    let (pages, size) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    Some(u64::try_from(pages).ok()?.saturating_mul(u64::try_from(size).ok()?))
}

/// The address space that it may have (`ulimit -v`).
fn of_the_process() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a structure of the right kind, which is filled in.
    let status = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) };
    (status == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

fn of_the_group() -> Option<u64> {
    narrowest(Path::new(GROUPS), &fs::read_to_string("/proc/self/cgroup").ok()?)
}

/// The narrowest limit of the groups in `listing` (cgroups(7)) and of those around them.
fn narrowest(groups: &Path, listing: &str) -> Option<u64> {
    let limits = listing.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        let (root, file) = match controllers {
            "" => (groups.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|controller| controller == "memory") => {
                (groups.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let group: PathBuf = root.join(path.trim_start_matches('/'));
        let around = group.ancestors().take_while(|folder| folder.starts_with(&root));
        // A group without a limit has a word in place of the number, or no such file.
        around
            .filter_map(|folder| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok())
            .min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_group_counts() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "1000\n");
        write("memory.max", "2000\n");
        write("memory/c/memory.limit_in_bytes", "500\n");
        for (listing, limit) in [
            ("0::/a/b\n", Some(1_000)),
            ("0::/\n", Some(2_000)),
            ("0::/gone\n", Some(2_000)),
            ("7:cpu,memory:/c\n3:pids:/a\n", Some(500)),
            ("7:memory:/c\n0::/a\n", Some(500)),
            ("3:pids:/a\n", None),
            ("", None),
        ] {
            assert_eq!(narrowest(dir.path(), listing), limit, "{listing}");
        }
        assert!((1 << 20..=u64::MAX / 2).contains(&half()));
    }
}
