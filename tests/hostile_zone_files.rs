//! Zone files made to exhaust whoever reads them: `tidemark check`, held to little memory, ends with an error that says where
//! and what next.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may end")]

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The address space that the program may have, in KiB.
const MEMORY: u64 = 512 << 10;
/// No file takes longer, on a busy machine either.
const TIME: Duration = Duration::from_secs(60);
const HEAD: &str = "$ORIGIN example.\n$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns.test.\n";

/// What the program says about a file that it is to refuse.
fn refused(path: &Path) -> String {
    let began = Instant::now();
    let output = Command::new("bash")
        .args(["-c", &format!("ulimit -v {MEMORY}; exec \"$0\" check --origin example. \"$1\"")])
        .arg(env!("CARGO_BIN_EXE_tidemark"))
        .arg(path)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{}: {said}", path.display());
    assert!(began.elapsed() < TIME, "{}: {:?}", path.display(), began.elapsed());
    said
}

/// The same of a file with this text behind a sound head.
fn refused_text(dir: &TempDir, text: impl AsRef<[u8]>) -> String {
    let path = dir.path().join("example.zone");
    fs::write(&path, [HEAD.as_bytes(), text.as_ref()].concat()).unwrap();
    refused(&path)
}

#[test]
fn large_files() {
    let dir = TempDir::new().unwrap();
    let sparse = dir.path().join("sparse.zone");
    File::create(&sparse).unwrap().set_len(1 << 40).unwrap();
    for said in [refused(&sparse), refused_text(&dir, "$INCLUDE sparse.zone\n")] {
        assert!(said.contains("it is larger than the 25") && said.contains("split the zone"), "{said}");
    }
    let names: String = (0..1_500_000).map(|number| format!("{number:x} NS .\n")).collect();
    let said = refused_text(&dir, names);
    assert!(
        said.contains("its text and records need more than") && said.contains("split the zone"),
        "{said}"
    );
}

#[test]
fn long_lines_and_tokens() {
    let dir = TempDir::new().unwrap();
    let many = |part: &str| part.repeat(20_000_000 / part.len());
    for (text, told) in [
        (many("("), "5:1"),
        (format!("@ TXT {}", many(")(")), "5:7"),
        (many(")"), "5:1"),
        (many("\r"), "5:1"),
        (many("\0 "), "5:1"),
        (many("a"), "longer than any record can be"),
        (format!("@ TXT {}\n", many("a ")), "the TXT record is longer than 65535 bytes"),
        (format!("@ TXT \"{}\n", many("a")), "the string is never closed"),
        (many("@ TXT ( \"a\"\n"), "the parenthesis is never closed"),
        (format!("a SVCB 1 . {}\n", many("key65000=aaaaaaaaaaaaaaa ")), "longer than RDATA can be"),
        (format!("$GENERATE 1-2 a TXT {}\n", many("\"\" ")), "the pattern is longer than"),
        (format!("$INCLUDE {}\n", many("a")), "longer than any record can be"),
    ] {
        let said = refused_text(&dir, &text);
        assert!(said.contains(told) && said.contains("example.zone:5:"), "{}: {said}", &text[..20]);
        assert!(said.len() < 100_000, "{} bytes said", said.len());
    }
    // Replacement characters for each of these would take three times the room.
    let said = refused_text(&dir, vec![0xff; 150 << 20]);
    assert!(said.contains("longer than any record can be"), "{said}");
}

#[test]
fn a_line_that_makes_millions() {
    let dir = TempDir::new().unwrap();
    for (text, told) in [
        ("$GENERATE 0-4294967295 $ A 192.0.2.1\n".to_owned(), "`$GENERATE` makes more than"),
        // Every name brings a hundred others into being, which have no records.
        (format!("$GENERATE 1-30000 {}$ NS .\n", "a.".repeat(110)), "fewer labels"),
    ] {
        let said = refused_text(&dir, text);
        assert!(said.contains(told) && said.contains("example.zone:5:"), "{said}");
    }
    let long = "${0,63,d} ".repeat(400);
    let said = refused_text(&dir, format!("$GENERATE 1-1048575 $ TXT {long}\n"));
    assert!(
        said.contains("its text and records need more than") && said.contains("split the zone"),
        "{said}"
    );
}

/// The hash of names folds case by a bit that other bytes than letters have, too.
#[test]
fn names_that_are_made_to_collide() {
    let dir = TempDir::new().unwrap();
    let label = |number: u32| -> String {
        (0..20).map(|bit| if number >> bit & 1 == 0 { "0" } else { "\\016" }).collect()
    };
    let names: String = (0..50_000).map(|number| format!("{} NS .\n", label(number))).collect();
    let said = refused_text(&dir, names);
    assert!(said.contains("names that have one hash") && said.contains("example.zone:"), "{said}");
}

#[test]
fn what_is_no_file() {
    let dir = TempDir::new().unwrap();
    let pipe = dir.path().join("pipe.zone");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let pipe = pipe.to_str().unwrap();
    let irregular = "it is not a regular file; name one";
    for (path, next) in [
        ("/dev/zero", irregular),
        ("/dev/null", irregular),
        (pipe, irregular),
        ("/", "it is a folder; name a file"),
    ] {
        let said = refused(Path::new(path));
        assert!(said.contains(path) && said.contains(next), "{said}");
        let said = refused_text(&dir, format!("$INCLUDE {path}\n"));
        assert!(said.contains(&format!("cannot include `{path}`: {next}")), "{said}");
        assert!(said.contains("example.zone:5:10"), "{said}");
    }
}

#[test]
fn inclusions_without_end() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("itself"), "$INCLUDE itself\n").unwrap();
    assert!(refused_text(&dir, "$INCLUDE itself\n").contains("itself` includes itself"));
    for depth in 0..30 {
        let text = format!("$INCLUDE deep{}\n", depth + 1);
        fs::write(dir.path().join(format!("deep{depth}")), text).unwrap();
    }
    assert!(refused_text(&dir, "$INCLUDE deep0\n").contains("more than 16 deep"));
    // Each includes the next ten times: ten to the ninth in all.
    for depth in 0..9 {
        let text = format!("$INCLUDE wide{}\n", depth + 1).repeat(10);
        fs::write(dir.path().join(format!("wide{depth}")), text).unwrap();
    }
    fs::write(dir.path().join("wide9"), "a A 192.0.2.1\n").unwrap();
    assert!(refused_text(&dir, "$INCLUDE wide0\n").contains("more than 1000 files are included"));
}
