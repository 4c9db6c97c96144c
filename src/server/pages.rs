//! Large pages (of 2 MiB, in place of 512 of 4 KiB) for large zones: an answer out of a million records reads memory that is in no
//! cache, and a processor that does not have the page in mind walks through tables to find it, twice in a virtual machine. There the
//! walk costs as much as the access itself, and many times that while the host is busy.
//!
//! The system is asked to put together what lies in small pages by now (`MADV_COLLAPSE`, Linux from 6.1 on), and only where hardly
//! a page is missing, so that no memory is taken that was not in use. No page is marked for the system's own daemon, which fills
//! holes: what is given back later stays given back.
//!
//! Of the program itself, what only a start takes is let go of.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io, ptr, thread};

/// A large page.
const LARGE: usize = 2 << 20;
/// A small one.
const SMALL: usize = 4 << 10;
/// Small pages that may be missing in a large one: a sixteenth.
const MISSING: usize = LARGE / SMALL / 16;
/// Large pages put together in one call, at most. A call begins with work of the system's on every processor, which took up to 380 ms on
/// busy ones, and a change of the process's map of memory waited for it.
const TOGETHER: usize = 16;
/// What a call is to take. The copy of a page is not interrupted: on a virtual machine whose memory its host had not found yet it took
/// 10 ms, and whoever had something to do on that processor waited for as long.
const AT_A_TIME: Duration = Duration::from_millis(2);
/// A rest between two calls is so many times as long as the call was.
const REST: u32 = 4;
/// A process with less memory than this finds all of its pages at once as it is.
const WORTH_IT: usize = 16 << 20;

/// What the process has in memory, in bytes; 0 where the system does not say.
pub(super) fn resident() -> usize {
    let counts = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    // The second number, in pages (proc(5)).
    counts.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).map_or(0, |pages| pages * SMALL)
}

/// Puts memory that is in use throughout into large pages. Costs a copy of what is not in large pages yet; whoever reads a page that
/// is being copied waits for some hundred microseconds, and so does whoever gets memory from the system meanwhile. Rests after each
/// call, so that nobody waits for many of them.
pub(super) fn gather() {
    if resident() < WORTH_IT || is_forbidden() {
        return;
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut together = 1;
    for run in maps.lines().filter_map(own_memory).flat_map(|memory| dense(&memory)) {
        let mut rest = run;
        while !rest.is_empty() {
            let part = rest.start..rest.end.min(rest.start + together * LARGE);
            let begun = Instant::now();
            if let Err(error) = collapse(&part) {
                // EAGAIN and ENOMEM: there is no large page to be had, or one has gone; EINVAL: an older system.
                tracing::debug!("some memory at {part:x?} stays in small pages: {error}");
            }
            let took = begun.elapsed();
            thread::sleep(took * REST);
            together = if took > AT_A_TIME { together.div_ceil(2) } else { TOGETHER.min(2 * together) };
            rest.start = part.end;
        }
    }
}

/// Lets go of the program's code: what is run again comes back from the system's copy of the file, some pages at a time, and what
/// read the configuration and the zones for the first time, half of it, does not.
pub(super) fn let_go_of_code() {
    let Ok(program) = fs::read_link("/proc/self/exe") else { return };
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for code in maps.lines().filter_map(|line| code_of(&program, line)) {
        // SAFETY: nobody has written to this memory, which could not be written to, so that it comes back as it was.
        unsafe { libc::madvise(ptr::without_provenance_mut(code.start), code.len(), libc::MADV_DONTNEED) };
    }
}

/// Where a line of `/proc/self/maps` says that code of this program is.
fn code_of(program: &Path, line: &str) -> Option<Range<usize>> {
    let mapping = Mapping::read(line)?;
    (mapping.permissions == "r-xp" && Path::new(mapping.path) == program).then_some(mapping.place)
}

/// Whether the operator of this machine wants no large pages.
fn is_forbidden() -> bool {
    let choice = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled");
    choice.is_ok_and(|choice| choice.contains("[never]"))
}

/// Where a line of `/proc/self/maps` says that memory of this process's own is, cut to whole large pages.
fn own_memory(line: &str) -> Option<Range<usize>> {
    let Mapping { place, permissions, inode, path } = Mapping::read(line)?;
    let is_own = permissions == "rw-p" && inode == "0" && matches!(path, "" | "[heap]");
    let memory = place.start.checked_next_multiple_of(LARGE)?..place.end / LARGE * LARGE;
    (is_own && !memory.is_empty()).then_some(memory)
}

/// A line of `/proc/self/maps` (proc(5)).
struct Mapping<'m> {
    place: Range<usize>,
    permissions: &'m str,
    /// Of its file; "0" where there is none.
    inode: &'m str,
    /// Its file, or a name in brackets; empty where there is neither.
    path: &'m str,
}

impl Mapping<'_> {
    fn read(line: &str) -> Option<Mapping<'_>> {
        // Place, permissions, offset, device, inode and, in a column of its own, path.
        let mut words = line.splitn(6, ' ');
        let (place, permissions, inode) = (addresses(words.next()?)?, words.next()?, words.nth(2)?);
        Some(Mapping { place, permissions, inode, path: words.next().unwrap_or_default().trim_start() })
    }
}

/// A range of addresses, as `/proc/self/maps` writes them.
fn addresses(text: &str) -> Option<Range<usize>> {
    let (from, to) = text.split_once('-')?;
    let address = |digits| usize::from_str_radix(digits, 16).ok();
    Some(address(from)?..address(to)?)
}

/// The runs of whole large pages in which hardly a small one is missing.
fn dense(memory: &Range<usize>) -> Vec<Range<usize>> {
    let mut present = vec![0u8; memory.len() / SMALL];
    let start = ptr::without_provenance_mut(memory.start);
    // SAFETY: reads no memory but the system's tables of it, and `present` has a byte for each page; fails where there is no memory.
    if unsafe { libc::mincore(start, memory.len(), present.as_mut_ptr()) } != 0 {
        return Vec::new();
    }
    let is_dense = |page: &[u8]| page.iter().filter(|&&small| small & 1 == 0).count() <= MISSING;
    runs(present.chunks(LARGE / SMALL).map(is_dense))
        .into_iter()
        .map(|run| memory.start + run.start * LARGE..memory.start + run.end * LARGE)
        .collect()
}

/// Where `pages` are true, one run after the other.
fn runs(pages: impl Iterator<Item = bool>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (at, _) in pages.enumerate().filter(|&(_, is_dense)| is_dense) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end += 1,
            _ => runs.push(at..at + 1),
        }
    }
    runs
}

fn collapse(memory: &Range<usize>) -> io::Result<()> {
    let start = ptr::without_provenance_mut(memory.start);
    // SAFETY: changes no content, only which pages it is in; fails where there is no memory any more.
    match unsafe { libc::madvise(start, memory.len(), libc::MADV_COLLAPSE) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_memory_is_told_from_all_else() {
        let memory = |line| own_memory(line);
        assert_eq!(
            memory("7f0000000000-7f0000400000 rw-p 00000000 00:00 0 "),
            Some(0x7f0000000000..0x7f0000400000)
        );
        assert_eq!(memory("1ff000-601000 rw-p 00000000 00:00 0    [heap]"), Some(0x200000..0x600000));
        for line in [
            "",
            "200000-600000 rw-p",
            "200001-3fffff rw-p 00000000 00:00 0",
            "200000-600000 r--p 00000000 00:00 0",
            "200000-600000 rw-s 00000000 00:00 0",
            "200000-600000 rw-p 00000000 fe:00 1234     /usr/lib/x.so",
            "200000-600000 rw-p 00000000 00:00 0        [stack]",
            "xyz-600000 rw-p 00000000 00:00 0",
        ] {
            assert_eq!(memory(line), None, "{line}");
        }
    }

    #[test]
    fn code_is_what_can_be_run_of_the_program_alone() {
        let code = |line| code_of(Path::new("/a b/tidemark"), line);
        assert_eq!(code("1000-3000 r-xp 00001000 fe:00 24     /a b/tidemark"), Some(0x1000..0x3000));
        for line in [
            "",
            "1000-3000 r-xp 00000000 00:00 0 ",
            "1000-3000 r--p 00001000 fe:00 24     /a b/tidemark",
            "1000-3000 rwxp 00001000 fe:00 24     /a b/tidemark",
            "1000-3000 r-xp 00001000 fe:00 24     /a b/libc.so.6",
            "1000-3000 r-xp 00001000 fe:00 24     /a b/tidemark (deleted)",
        ] {
            assert_eq!(code(line), None, "{line}");
        }
    }

    #[test]
    fn runs_are_where_pages_are_dense() {
        let found = |pages: &[u8]| runs(pages.iter().map(|page| *page == 1));
        assert_eq!(found(&[1, 1, 0, 1, 0, 0, 1, 1, 1]), [0..2, 3..4, 6..9]);
        assert!(found(&[0, 0]).is_empty() && found(&[]).is_empty());
    }

    /// What the system says of the mapping that `place` is in, in bytes.
    fn shown(what: &str, place: usize) -> usize {
        let maps = fs::read_to_string("/proc/self/smaps").unwrap();
        let mut is_it = false;
        for line in maps.lines() {
            if let Some(range) = line.split(' ').next().and_then(addresses) {
                is_it = range.contains(&place);
            } else if let Some(size) = line.strip_prefix(what).filter(|_| is_it) {
                return size.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10;
            }
        }
        panic!("nothing is mapped at {place:x}");
    }

    #[test]
    fn code_that_is_not_run_is_let_go_of() {
        let here = shown as fn(&str, usize) -> usize as usize;
        // All of it is there before, whatever of the file was in the system's cache when the process began.
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let ranges = maps.lines().filter_map(|line| line.split(' ').next().and_then(addresses));
        let code = ranges.into_iter().find(|range| range.contains(&here)).unwrap();
        // SAFETY: reads what is mapped; fails before Linux 5.14, and then what was run is there.
        unsafe {
            libc::madvise(ptr::without_provenance_mut(code.start), code.len(), libc::MADV_POPULATE_READ)
        };
        let before = shown("Rss:", here);
        let_go_of_code();
        let after = shown("Rss:", here);
        assert!(after < before, "{after} bytes of {before}");
    }

    #[test]
    fn what_is_in_use_throughout_comes_into_large_pages_and_keeps_its_content() {
        // More than the allocator ever takes from elsewhere than the system (32 MiB, M_MMAP_THRESHOLD of mallopt(3)): untouched so far.
        const PAGES: usize = 20;
        let mut memory = vec![0u8; (PAGES + 2) * LARGE];
        let whole = memory.as_ptr().addr().next_multiple_of(LARGE) - memory.as_ptr().addr();
        // The first half is in use throughout, the second has a page in use here and there.
        for at in (0..whole + PAGES / 2 * LARGE).step_by(SMALL) {
            memory[at] = (at / SMALL) as u8;
        }
        for at in (whole + PAGES / 2 * LARGE..memory.len()).step_by(64 * SMALL) {
            memory[at] = 1;
        }
        gather();
        let here = memory.as_ptr().addr() + whole;
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let version: Vec<u32> = release.split('.').map_while(|number| number.parse().ok()).collect();
        if !is_forbidden() && version >= vec![6, 1] {
            // Where the system's memory is in small pieces, it has no more to give than it gives here.
            let mut wanted = vec![1_u8; (PAGES / 2 + 1) * LARGE];
            let start = wanted.as_mut_ptr().addr().next_multiple_of(LARGE);
            let pages = (0..PAGES / 2).map(|page| start + page * LARGE);
            let had = pages.filter(|page| collapse(&(*page..page + LARGE)).is_ok()).count();
            assert!(shown("AnonHugePages:", here) >= had.min(PAGES / 2) * LARGE, "{had}");
        }
        assert_eq!(dense(&(here + PAGES / 2 * LARGE..here + PAGES * LARGE)), []);
        for at in (0..whole + PAGES / 2 * LARGE).step_by(SMALL) {
            assert_eq!(memory[at], (at / SMALL) as u8);
        }
    }
}
