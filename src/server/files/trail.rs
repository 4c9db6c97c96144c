//! The way to a file: what to watch so that no change on it is missed.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Links followed on the way to one file; as many as Linux follows.
const MAX_LINKS: usize = 40;

/// The way to a file through folders and symbolic links.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// Every step of the way, its folder free of links: a change of any may lead elsewhere. The last is the file.
    pub(super) places: BTreeSet<PathBuf>,
    /// The folders, free of links, in which the file and the links on the way lie.
    pub(super) folders: BTreeSet<PathBuf>,
    /// The folders above those, where it shows that one of them was replaced.
    pub(super) above: BTreeSet<PathBuf>,
}

impl Trail {
    /// Follows `path` as far as it exists.
    pub(super) fn follow(path: &Path) -> Trail {
        let mut trail = Trail::default();
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut at = PathBuf::from("/");
        let mut left = steps(&absolute);
        let mut links = 0;
        while let Some(step) = left.pop() {
            if step == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&step);
            trail.places.insert(next.clone());
            match fs::read_link(&next) {
                Ok(target) if links < MAX_LINKS => {
                    links += 1;
                    trail.stop(&at);
                    if target.is_absolute() {
                        at = PathBuf::from("/");
                    }
                    left.extend(steps(&target));
                }
                // It is no link.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput && !left.is_empty() => at = next,
                _ => {
                    trail.stop(&at);
                    break;
                }
            }
        }
        trail
    }

    pub(super) fn extend(&mut self, other: Trail) {
        self.places.extend(other.places);
        self.folders.extend(other.folders);
        self.above.extend(other.above);
    }

    /// The same for a folder, of which only the name matters and whether it is still the same.
    pub(super) fn of_names(mut self) -> Trail {
        self.above.append(&mut self.folders);
        self
    }

    fn stop(&mut self, folder: &Path) {
        self.folders.insert(folder.to_owned());
        self.above.extend(folder.parent().map(Path::to_owned));
    }
}

/// The steps of a path, the first one last.
fn steps(path: &Path) -> Vec<OsString> {
    let named = |component: Component<'_>| match component {
        Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(named).collect()
}
