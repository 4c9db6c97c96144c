use std::fs::{self, File};

use super::super::scan::MAX_TEXT;
use super::*;

const ZONE: &str = "$TTL 1\n@ SOA a a 1 2 3 4 5\n@ NS a.\n";

fn apex() -> Name {
    "x.".parse().unwrap()
}

#[test]
fn a_file_of_hostile_size_is_refused_unread() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.zone");
    // Sparse: it takes no room on the disk, and would be read as so many zeros.
    File::create(&path).unwrap().set_len(MAX_TEXT + 1).unwrap();
    let error = load(&path, &apex()).unwrap_err().to_string();
    assert!(error.contains("larger than the ") && error.contains("split the zone"), "{error}");
    assert!(content(&path, 1 << 20).is_err());
    fs::write(&path, "12345").unwrap();
    assert_eq!(content(&path, 5).unwrap(), b"12345");
    assert!(content(&path, 4).is_err());
}

#[test]
fn what_is_included_counts_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.zone");
    fs::write(dir.path().join("more"), "a TXT a\n".repeat(100)).unwrap();
    let text = format!("{ZONE}{}", "$INCLUDE more\n".repeat(3));
    let scanned = |limit| {
        let outcome = scan(&path, text.as_bytes(), Some(&apex()), limit, &mut |_| ControlFlow::Continue(()));
        outcome.diagnostics.iter().map(Diagnostic::to_string).collect::<Vec<_>>()
    };
    assert_eq!(scanned(text.len() as u64 + 3 * 800), [""; 0]);
    let told = scanned(text.len() as u64 + 3 * 800 - 1);
    assert!(
        told.len() == 1 && told[0].contains(":6:10: error: cannot include `more`: it is larger"),
        "{told:?}"
    );
}

#[test]
fn a_file_that_cannot_be_read_may_hold_the_zone_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let is_needless = AtomicBool::new(false);
    let open = |name: &str| open(&dir.path().join(name), &|_| None, &Bounds::new(&is_needless));
    for name in ["x.zone", "not a zone.zone"] {
        // Not even root reads so much.
        File::create(dir.path().join(name)).unwrap().set_len(MAX_TEXT + 1).unwrap();
    }
    let Opened { identity, loaded } = open("x.zone").unwrap();
    assert_eq!(identity, Identity::Guess(apex()));
    assert!(matches!(loaded, Some(Err(LoadError::Unreadable { .. }))), "{loaded:?}");
    for name in ["not a zone.zone", "absent.zone"] {
        let opened = open(name);
        assert!(matches!(opened, Err(LoadError::Unreadable { .. })), "{opened:?}");
    }
}

#[test]
fn who_cannot_read_a_file_is_told_which_and_what_to_do() {
    for (kind, step) in [
        (io::ErrorKind::PermissionDenied, "chmod"),
        (io::ErrorKind::NotFound, "; put it there, or correct the path"),
        (io::ErrorKind::NotADirectory, "; put it there, or correct the path"),
    ] {
        let error = unreadable(Path::new("x.zone"), &kind.into()).to_string();
        let path = std::env::current_dir().unwrap().join("x.zone");
        let begins = format!("cannot read zone file {}: ", path.display());
        assert!(error.starts_with(&begins) && error.contains(step), "{error}");
    }
}

#[test]
fn a_check_is_advised_where_it_shows_more() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.zone");
    for (faults, shows_more) in [("a A 1\n", false), ("a A 1\nb A 2\n", true)] {
        fs::write(&path, format!("$TTL 1\n@ SOA a a 1 2 3 4 5\n@ NS a\n{faults}")).unwrap();
        let told = load(&path, &apex()).unwrap_err().to_string();
        assert_eq!(told.contains("(and 1 more; `tidemark check` shows all)"), shows_more, "{told}");
    }
    // Nothing would be found.
    let open = LoadError::Open { path }.to_string();
    assert!(open.ends_with("; it is read once it is closed") && !open.contains("check"), "{open}");
}

fn within(path: &Path, memory: u64) -> Result<Loaded, LoadError> {
    let is_needless = &AtomicBool::new(false);
    load_text(path, &bytes(path).unwrap(), &apex(), None, &Bounds { memory, ..Bounds::new(is_needless) }).1
}

/// Eleven bytes of text can make a record of three hundred.
#[test]
fn records_are_counted_with_the_owners_they_take_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.zone");
    let label = "a".repeat(63);
    let lines: String = (0..100).map(|number| format!(" A 192.0.2.{number}\n")).collect();
    fs::write(&path, format!("{ZONE}{label}.{label}.{label} TXT a\n{lines}")).unwrap();
    let loaded = within(&path, 200 << 10).unwrap();
    assert_eq!(loaded.snapshot.records(), 103);
    let error = within(&path, 20 << 10).unwrap_err().to_string();
    assert!(error.contains("its text and records need more than"), "{error}");
}

#[test]
fn a_warning_stands_at_the_record_it_is_about() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.zone");
    fs::write(&path, format!("{ZONE}m MX 1 one\nm MX 2 a.\nm MX 3 two\n@ NS three\n@ NS b.\n")).unwrap();
    let loaded = load(&path, &apex()).unwrap();
    let told: Vec<_> = lint(&path, &loaded.snapshot).iter().map(|found| found.line).collect();
    // By owner and type: the NS of the apex, then the two MX.
    assert_eq!(told, [7, 4, 6]);
}
