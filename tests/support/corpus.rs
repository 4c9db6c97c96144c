//! The corpus of zone files in `tests/corpus/zones`, good and bad ones of the zone `example.`, laid out in a folder.
//!
//! A `*.zones` file holds many: a line `==== name` begins one, whose records follow a head that is the same for all
//! ([`HEAD`]); behind `==== name whole` stands a whole file. What is no plain text, or does not end in a line's end, is a
//! file of its own in `bytes/`; `include/` is what the others include. Long ones are made here.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The zone that all of them are.
pub const ZONE: &str = "example.";

/// What stands before the records of most.
pub const HEAD: &str = "\
$ORIGIN example.
$TTL 3600
@ IN SOA ns1 hostmaster 1 7200 900 1209600 300
@ IN NS ns1
ns1 IN A 192.0.2.1
";

/// All cases as files `name.zone` in a folder that goes away with this.
pub struct Corpus {
    dir: TempDir,
    /// Their names, sorted.
    pub names: Vec<String>,
}

impl Corpus {
    /// Writes all cases into a new folder.
    pub fn lay_out() -> Corpus {
        let source = folder();
        let mut corpus = Corpus { dir: TempDir::new().unwrap(), names: Vec::new() };
        for path in files(&source).into_iter().filter(|path| path.is_file()) {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("zones") => corpus.unpack(&fs::read_to_string(&path).unwrap()),
                _ => continue,
            }
        }
        for path in files(&source.join("bytes")) {
            corpus.add(path.file_stem().unwrap().to_str().unwrap(), &fs::read(&path).unwrap());
        }
        let include = corpus.dir().join("include");
        fs::create_dir(&include).unwrap();
        for path in files(&source.join("include")) {
            fs::copy(&path, include.join(path.file_name().unwrap())).unwrap();
        }
        for (name, records) in long() {
            corpus.add(name, format!("{HEAD}{records}").as_bytes());
        }
        corpus.names.sort();
        assert!(corpus.names.windows(2).all(|pair| pair[0] != pair[1]), "a name is given twice");
        corpus
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The text of one case.
    pub fn text(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir().join(format!("{name}.zone"))).unwrap()
    }

    fn unpack(&mut self, text: &str) {
        for case in text.split("==== ").skip(1) {
            let (name, body) = case.split_once('\n').unwrap();
            match name.strip_suffix(" whole") {
                Some(name) => self.add(name, body.as_bytes()),
                None => self.add(name, format!("{HEAD}{body}").as_bytes()),
            }
        }
    }

    fn add(&mut self, name: &str, text: &[u8]) {
        fs::write(self.dir().join(format!("{name}.zone")), text).unwrap();
        self.names.push(name.to_owned());
    }
}

/// Where the corpus is kept.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/zones")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Cases that are too long to be kept as text.
fn long() -> Vec<(&'static str, String)> {
    let strings = |count: usize| format!("@ TXT{}\n", format!(" \"{}\"", "a".repeat(255)).repeat(count));
    let generic = |length: usize| format!("www TYPE65280 \\# {length} {}\n", "00".repeat(length));
    let many = |count: usize, each: fn(usize) -> String| (0..count).map(each).collect::<String>();
    vec![
        ("generic-length-65535", generic(65_535)),
        ("generic-length-65536", generic(65_536)),
        ("txt-long-total", strings(255)),
        ("txt-too-long-total", strings(256)),
        ("size-rrset-over-65535", many(300, |n| format!("big TXT \"{n:03}{}\"\n", "a".repeat(250)))),
        ("size-rrset-many-a", many(3_000, |n| format!("many A 10.0.{}.{}\n", n / 256, n % 256))),
        ("size-token-300k", format!("@ TXT {}\n", "a".repeat(300_000))),
        ("size-parens", format!("@ TXT {}\n", "(".repeat(100_000))),
        ("size-comment", format!("; {}\nwww A 192.0.2.1\n", "a".repeat(1_000_000))),
        ("size-blanks", format!("www{}A 192.0.2.1\n", " ".repeat(1_000_000))),
    ]
}
