//! Files and folders that are watched.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::settings::ZoneDir;

/// The file of a zone.
pub(super) struct Watched {
    pub(super) path: Arc<Path>,
    /// The index of the folder it was found in.
    pub(super) dir: Option<usize>,
    /// `None` for a plain file in that folder.
    pub(super) way: Option<Box<Way>>,
    /// The ticket under which it is being read.
    pub(super) reading: Option<u64>,
    /// Whether that took the place of a read that was given up.
    pub(super) is_second: bool,
    /// Whether it changed since.
    pub(super) again: bool,
}

/// How a zone's content is come by.
pub(super) struct Way {
    /// The file and what it includes, as far as known from the last time it could be read.
    pub(super) files: Vec<PathBuf>,
    /// The places on the way to any of the files.
    pub(super) places: BTreeSet<PathBuf>,
}

/// A folder of zones.
pub(super) struct Dir {
    pub(super) settings: ZoneDir,
    /// Its path free of links, as of the last look.
    pub(super) real: PathBuf,
    pub(super) places: BTreeSet<PathBuf>,
}

impl Watched {
    /// A file found in a folder of zones, or named by itself.
    pub(super) fn found(path: &Path, dir: Option<usize>, is_link: bool) -> Watched {
        let is_plain = dir.is_some() && !is_link;
        let way = (!is_plain).then(|| Way::to(path));
        Watched { path: path.into(), dir, way, reading: None, is_second: false, again: false }
    }

    /// A file with a way of its own.
    pub(super) fn traced(path: &Path, dir: Option<usize>) -> Watched {
        Watched::found(path, dir, true)
    }
}

impl Way {
    pub(super) fn to(path: &Path) -> Box<Way> {
        Box::new(Way { files: vec![path.to_owned()], places: BTreeSet::new() })
    }
}
