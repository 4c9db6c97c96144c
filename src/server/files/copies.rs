//! Copies of zone files in a folder of zones, which no zone is ever served from: what editors, programs and people leave beside a file.
//! A copy has the ending of zone files only where its mark stands before that (`a.bak.zone`, not `a.zone.bak`).
//!
//! ```text
//! a~  a.~1~  #a#                                            by editors
//! a (copy)  a (1)  a - Copy  a copy 2  Copy of a            by file managers and browsers
//! a (conflicted copy ...)  a.sync-conflict-DATE-TIME-ID     by programs that synchronize
//! a.dpkg-*  a.ucf-*  a.rpmnew  a.rpmsave  a.rpmorig         by package managers
//! ```
//!
//! These are copies whatever they hold. Others could be part of a zone's name, with a number behind them or not:
//!
//! ```text
//! a.bak  a.backup  a.old  a.orig  a.save  a.saved  a.new  a.rej  a.swp  a.tmp  a.temp
//! a-copy  a-bak  a-backup  a-old  and the same with _
//! ```
//!
//! Such a file is a copy unless it says by a SOA or `$ORIGIN` with a final dot that it holds the zone of its whole name (`a.old.`). Where it
//! does not say what it holds, it is a copy for as long as the file without the mark lies beside it, and else a zone.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::load::{Bounds, LoadError, is_namesake, said_name};

/// What is no part of a zone's name, behind the last dot.
const PACKAGED: [&[u8]; 3] = [b"rpmnew", b"rpmsave", b"rpmorig"];
/// How such parts begin.
const PACKAGED_FROM: [&[u8]; 2] = [b"dpkg-", b"ucf-"];
/// What could be the last part of a zone's name.
const LABELS: [&[u8]; 19] = [
    b".bak", b".backup", b".old", b".orig", b".save", b".saved", b".new", b".rej", b".swp", b".tmp",
    b".temp", b"-copy", b"_copy", b"-bak", b"_bak", b"-old", b"_old", b"-backup", b"_backup",
];

/// What a file's name says of its being a copy.
#[derive(Debug, PartialEq, Eq)]
enum Mark {
    /// Nothing.
    None,
    /// It is one.
    Copy,
    /// It is one, or the zone's name ends so.
    Label,
}

/// Whether a file in a folder of zones is a copy of another. This may read it; of one that cannot be read now it cannot be known.
pub(super) fn is_copy(path: &Path, bounds: &Bounds<'_>) -> Result<bool, LoadError> {
    match mark(&stem(path)) {
        Mark::None => Ok(false),
        Mark::Copy => Ok(true),
        Mark::Label => Ok(match said_name(path, bounds)? {
            Some(zone) => !is_namesake(path, &zone),
            None => has_original(path),
        }),
    }
}

/// Whether a file lies beside this one of which it is a copy, unless it says what it holds.
pub(super) fn has_original(path: &Path) -> bool {
    originals(path).iter().any(|original| original.exists())
}

/// Whether a file's name has a mark of copies.
pub(super) fn is_marked(path: &Path) -> bool {
    mark(&stem(path)) != Mark::None
}

/// What is said of a copy.
pub(super) fn told(path: &Path) -> String {
    format!(
        "{} is by its name a copy of another file, and no zone is served from it: move it to another folder or, if it is to be a zone, \
         name it ZONE.zone after its zone",
        path.display()
    )
}

/// The files that lie beside one whose name has a mark, if it is a copy by that: its name without the last mark, without that before it, and so on.
/// Nothing where it does not depend on them.
pub(super) fn originals(path: &Path) -> Vec<PathBuf> {
    let stem = stem(path);
    let (mut originals, mut rest) = (Vec::new(), stem.as_slice());
    while let (Mark::Label, Some(less)) = (mark(rest), without_label(rest)) {
        let mut name = OsString::from(OsStr::from_bytes(less));
        name.push(".zone");
        originals.push(path.with_file_name(name));
        rest = less;
    }
    originals
}

/// The name of a file less `.zone`.
fn stem(path: &Path) -> Vec<u8> {
    path.file_stem().map(|stem| stem.as_bytes().to_vec()).unwrap_or_default()
}

/// The mark at the end of a name, or of what is left of it without one that could be a label.
fn mark(stem: &[u8]) -> Mark {
    let lower = stem.to_ascii_lowercase();
    let mut rest = lower.as_slice();
    let mut found = Mark::None;
    loop {
        if is_copy_for_sure(rest) {
            return Mark::Copy;
        }
        match without_label(rest) {
            Some(less) => (rest, found) = (less, Mark::Label),
            None => return found,
        }
    }
}

/// A name less what could be its last label, with a number behind it or not.
fn without_label(stem: &[u8]) -> Option<&[u8]> {
    let less = without_number(stem);
    let label = LABELS.iter().find(|label| {
        let from = less.len().checked_sub(label.len());
        from.is_some_and(|from| from > 0 && less[from..].eq_ignore_ascii_case(label))
    })?;
    less.get(..less.len() - label.len())
}

fn without_number(name: &[u8]) -> &[u8] {
    let end = name.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |last| last + 1);
    &name[..end]
}

/// Whether a name in small letters is that of a copy, whatever the file holds.
fn is_copy_for_sure(name: &[u8]) -> bool {
    let last = name.rsplit(|byte| *byte == b'.').next().filter(|last| last.len() < name.len());
    let is_packaged = |last: &[u8]| {
        PACKAGED.contains(&last)
            || PACKAGED_FROM.iter().any(|from| last.len() > from.len() && last.starts_with(from))
    };
    let is_copied = {
        let less = without_number(name);
        let less = if less.len() < name.len() { less.trim_ascii_end() } else { less };
        less.ends_with(b" copy")
    };
    name.ends_with(b"~")
        || (name.len() > 1 && name.starts_with(b"#") && name.ends_with(b"#"))
        || name.starts_with(b"copy of ")
        || is_copied
        || is_in_brackets(name)
        || last.is_some_and(|last| is_packaged(last) || is_sync_conflict(last))
}

/// `a (2)`, `a (copy)`, `a (3rd copy)`, `a (anna's conflicted copy 2026-11-30)`.
fn is_in_brackets(name: &[u8]) -> bool {
    let Some(open) = name.iter().rposition(|byte| *byte == b'(').filter(|open| *open > 0) else {
        return false;
    };
    let Some(inside) = name[open + 1..].strip_suffix(b")") else { return false };
    let has = |word: &[u8]| inside.windows(word.len()).any(|part| part == word);
    is_number(inside) || has(b"copy") || has(b"conflict")
}

/// `sync-conflict-20261130-120000-ABCDEFG`, or without what stands at its end.
fn is_sync_conflict(last: &[u8]) -> bool {
    let Some(rest) = last.strip_prefix(b"sync-conflict-") else { return false };
    let mut parts = rest.split(|byte| *byte == b'-');
    let mut is_number_of =
        |digits: usize| parts.next().is_some_and(|part| part.len() == digits && is_number(part));
    is_number_of(8) && is_number_of(6)
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::AtomicBool;

    use super::*;

    fn mark_of(name: &str) -> Mark {
        mark(&stem(Path::new(name)))
    }

    #[test]
    fn names_of_copies_are_known() {
        let copies = [
            "a~.zone",
            "a.~1~.zone",
            "#a#.zone",
            "example.com (copy).zone",
            "example.com (3rd copy).zone",
            "a (1).zone",
            "a(12).zone",
            "a - Copy.zone",
            "a - Copy (2).zone",
            "a copy.zone",
            "a copy 2.zone",
            "Copy of a.zone",
            "a (Anna's conflicted copy 2026-11-30).zone",
            "a.sync-conflict-20261130-120000-ABCDEFG.zone",
            "a.sync-conflict-20261130-120000.zone",
            "a.dpkg-dist.zone",
            "a.ucf-old.zone",
            "a.RPMSAVE.zone",
            "a (copy).bak.zone",
        ];
        for name in copies {
            assert_eq!(mark_of(name), Mark::Copy, "{name}");
        }
        let labels = [
            "a.bak.zone",
            "example.com.BAK.zone",
            "a.bak2.zone",
            "a.old.orig.zone",
            "a-copy.zone",
            "a_old.zone",
            "a.save.zone",
            "a.new.zone",
            "a.tmp.zone",
        ];
        for name in labels {
            assert_eq!(mark_of(name), Mark::Label, "{name}");
        }
        let zones = [
            "example.com.zone",
            "old.example.zone",
            "bak.example.com.zone",
            "bak.zone",
            "copy.zone",
            "new.zone",
            "photocopy.zone",
            "threshold.zone",
            "example.renew.zone",
            "example.com (production).zone",
            "2.0.192.in-addr.arpa.zone",
            "xn--p1ai.zone",
            "a.dpkg-.zone",
            "sync-conflict.example.zone",
            "example.com-.zone",
        ];
        for name in zones {
            assert_eq!(mark_of(name), Mark::None, "{name}");
        }
    }

    #[test]
    fn what_could_be_a_label_is_one_if_the_file_says_so_or_nothing_lies_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let soa = "SOA ns.test. host.test. 1 2 3 4 5\n";
        let is_copy = |name: &str, text: &str| {
            fs::write(path(name), format!("$TTL 1\n{text}")).unwrap();
            super::is_copy(&path(name), &Bounds::new(&AtomicBool::new(false))).unwrap()
        };
        // It says what it holds.
        for (text, expected) in [
            (format!("example.old. {soa}"), false),
            ("example.old. SOA ns host 1 2 3 4 5\n".to_owned(), false),
            (format!("$ORIGIN EXAMPLE.old.\n@ {soa}"), false),
            (format!("$ORIGIN old.\nexample {soa}"), false),
            (format!("example. {soa}"), true),
            (format!("$ORIGIN other.test.\n@ {soa}"), true),
        ] {
            for is_beside in [false, true] {
                match is_beside {
                    true => fs::write(path("example.zone"), "").unwrap(),
                    false => drop(fs::remove_file(path("example.zone"))),
                }
                assert_eq!(is_copy("example.old.zone", &text), expected, "{text}, {is_beside}");
            }
        }
        // It does not.
        let nameless = format!("@ {soa}");
        assert!(is_copy("example.old.zone", &nameless));
        assert!(is_copy("example.old.bak2.zone", &nameless));
        assert!(!is_copy("alone.old.zone", &nameless));
        assert!(!is_copy("alone.test-copy.zone", &nameless));
        assert!(is_copy("alone.old~.zone", &nameless));
        assert_eq!(originals(&path("a.old.bak2.zone")), [path("a.old.zone"), path("a.zone")]);
        assert_eq!(originals(&path("a~.zone")), Vec::<PathBuf>::new());
    }
}
