//! The successive versions of the root zone, to be replayed at a primary.

use std::path::{Path, PathBuf};

use super::zones;

/// Where all of a longer series stands, when the two or three versions in the repository are not enough.
const FOLDER: &str = "TIDEMARK_ROOT_ZONES";

/// One published version.
#[derive(Clone, Debug)]
pub struct Version {
    pub serial: u32,
    /// The text for a server: without the SOA that is repeated at the end.
    pub text: String,
    /// The file as it was published.
    pub file: PathBuf,
}

/// All versions there are, the oldest first: `SERIAL.zone` each.
pub fn versions() -> Vec<Version> {
    let folder = std::env::var_os(FOLDER)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/root-zone"), PathBuf::from);
    let entries =
        std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("cannot read {}: {e}", folder.display()));
    let mut versions: Vec<Version> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "zone"))
        .map(|file| Version {
            serial: file.file_stem().unwrap().to_str().unwrap().parse().unwrap(),
            text: zones::read(&file),
            file,
        })
        .collect();
    versions.sort_by_key(|version| version.serial);
    assert!(versions.len() > 1, "{} holds fewer than two versions", folder.display());
    versions
}
