//! Folders of zones: which of their files hold zones.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::node::settings::ZoneConfig;
use crate::wire::name::Name;

use super::super::settings::{Settings, Zone};
use super::load::{Identity, identify, name_of};

/// All zones that settings name: one by one, as files, and by the folder.
#[derive(Debug)]
pub struct Named {
    /// The zones.
    pub zones: Vec<Zone>,
    /// What is wrong with files that are left out: they cannot be made out, or hold a zone that another source has.
    pub problems: Vec<String>,
}

/// Looks for all zones that the settings name.
pub fn find_zones(settings: &Settings) -> Named {
    let mut zones = settings.zones.clone();
    let mut problems = Vec::new();
    let mut known: BTreeMap<Name, Option<PathBuf>> =
        zones.iter().map(|zone| (zone.config.name.clone(), zone.file.clone())).collect();
    let files = settings.zone_files.iter().map(|path| (path.clone(), None));
    let in_dirs = settings
        .zone_dirs
        .iter()
        .flat_map(|dir| zone_files(&dir.path).into_iter().map(move |file| (file.path, Some(dir))));
    for (path, dir) in files.chain(in_dirs) {
        let name = match identify(&path) {
            Ok(Identity::Empty) if dir.is_some() => {
                tell_empty(&path);
                continue;
            }
            Ok(Identity::Certain(name) | Identity::Guess(name)) => Ok(name),
            Ok(Identity::Empty) | Err(_) => name_of(&path),
        };
        match name {
            Err(error) => problems.push(error.to_string()),
            Ok(name) => match known.get(&name) {
                // A file may lie in a folder and be named by itself.
                Some(Some(first)) if *first == path => {}
                Some(first) => problems.push(left_out(&path, &name, first.as_deref())),
                None => {
                    known.insert(name.clone(), Some(path.clone()));
                    let options = dir.map(|dir| Arc::clone(&dir.options)).unwrap_or_default();
                    zones.push(Zone { config: ZoneConfig { name, options }, file: Some(path) });
                }
            },
        }
    }
    Named { zones, problems }
}

/// What is said of a file whose zone comes from somewhere else: from the `first` file, or from other servers.
pub(super) fn left_out(path: &Path, zone: &Name, first: Option<&Path>) -> String {
    let path = path.display();
    match first.map(Path::display) {
        None => format!(
            "{path} holds zone {zone}, which comes from other servers; it is left out: remove one of the two"
        ),
        Some(first) => format!(
            "{first} and {path} both hold this zone, {zone}; the one that was there first is served: remove one of them"
        ),
    }
}

pub(super) fn tell_empty(path: &Path) {
    tracing::info!("{} is empty; it becomes a zone when it has content", path.display());
}

/// Whether a file in a folder of zones is one of them, by its name. Names that begin with a dot are those of programs that write a
/// file before they rename it, and of what they have left behind.
pub(super) fn is_zone_file(path: &Path) -> bool {
    let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !is_hidden && path.extension() == Some(OsStr::new("zone"))
}

/// A file in a folder of zones.
#[derive(Clone, Debug)]
pub(super) struct InFolder {
    pub(super) path: PathBuf,
    /// Whether it is a link to a file rather than one.
    pub(super) is_link: bool,
}

/// The `*.zone` files in a folder, sorted; none when it cannot be read, which is told.
pub(super) fn zone_files(folder: &Path) -> Vec<InFolder> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::error!(folder = %folder.display(), "cannot read the folder of zones: {error}");
            return Vec::new();
        }
    };
    let found = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let path = entry.path();
        if !is_zone_file(&path) {
            return None;
        }
        let kind = entry.file_type().ok()?;
        // What is no plain file may still lead to one.
        let is_link = !kind.is_file();
        (!is_link || path.is_file()).then_some(InFolder { path, is_link })
    });
    let mut files: Vec<InFolder> = found.collect();
    // All in one folder: the bytes tell the order, and comparing paths step by step takes long.
    files.sort_unstable_by(|a, b| a.path.as_os_str().cmp(b.path.as_os_str()));
    files
}
