//! What is watched for: the ways to zones, and folders of zones.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A zone whose file is being read.
#[derive(Default)]
pub(super) struct Reading {
    /// Under which ticket.
    pub(super) ticket: Option<u64>,
    /// Whether that took the place of a read that was given up.
    pub(super) is_second: bool,
    /// Whether it changed since.
    pub(super) again: bool,
}

/// How a zone's content is come by, where that is more than a plain file in a folder of zones.
pub(super) struct Way {
    /// The file and what it includes, as far as known from the last time it could be read.
    pub(super) files: Vec<PathBuf>,
    /// The places on the way to any of the files.
    pub(super) places: BTreeSet<PathBuf>,
}

/// A folder of zones.
pub(super) struct Dir {
    pub(super) path: PathBuf,
    /// The same free of links, as of the last look.
    pub(super) real: PathBuf,
    pub(super) places: BTreeSet<PathBuf>,
}

impl Way {
    pub(super) fn to(path: &Path) -> Way {
        Way { files: vec![path.to_owned()], places: BTreeSet::new() }
    }
}

impl Dir {
    pub(super) fn new(path: PathBuf) -> Dir {
        Dir { path, real: PathBuf::new(), places: BTreeSet::new() }
    }
}
