//! Folders of zones: which of their files hold zones.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::node::roster::contest::Contest;
use crate::node::settings::ZoneConfig;
use crate::wire::name::Name;

use super::super::settings::{Zone, ZoneDir};
use super::copies::{self, has_original, is_copy};
use super::load::{Bounds, Identity, identify, is_namesake, name_of};

/// All zones that settings name: one by one, as files, and by the folder.
#[derive(Debug)]
pub struct Named {
    /// The zones.
    pub zones: Vec<Zone>,
    /// What is said of copies, which are no zones.
    pub copies: Vec<LeftOut>,
    /// What is wrong with files that are left out: they cannot be made out, or hold a zone that another source has.
    pub problems: Vec<LeftOut>,
}

/// A file from which no zone is served.
#[derive(Debug)]
pub struct LeftOut {
    /// Which.
    pub path: PathBuf,
    /// A sentence that names it.
    pub why: String,
}

/// Looks for all zones: these and those in the folders.
pub fn find_zones(named: &[Zone], zone_dirs: &[ZoneDir]) -> Named {
    let mut zones = named.to_vec();
    let (mut problems, mut copies) = (Vec::new(), Vec::new());
    let named_files: BTreeSet<&Path> = named.iter().filter_map(|zone| zone.file.as_deref()).collect();
    let mut known: BTreeMap<Name, usize> =
        zones.iter().enumerate().map(|(at, zone)| (zone.config.name.clone(), at)).collect();
    let is_needless = AtomicBool::new(false);
    let bounds = Bounds::new(&is_needless);
    for (path, dir) in zone_dirs.iter().flat_map(files_of) {
        // A file may lie in a folder and be named by itself.
        if named_files.contains(&*path) {
            continue;
        }
        let is_copy = || is_copy(&path, &bounds).unwrap_or_else(|_| has_original(&path));
        if is_copy() {
            let why = copies::told(&path);
            copies.push(LeftOut { path, why });
            continue;
        }
        let name = match identify(&path) {
            Ok(Identity::Empty) => {
                tell_empty(&path);
                continue;
            }
            Ok(Identity::Certain(name) | Identity::Guess(name)) => Ok(name),
            Err(_) => name_of(&path),
        };
        match name {
            Err(error) => problems.push(LeftOut { why: error.to_string(), path }),
            Ok(name) => {
                let options = Arc::clone(&dir.options);
                let mut found = Zone { config: ZoneConfig { name: name.clone(), options }, file: Some(path) };
                match known.get(&name).and_then(|at| Some((*at, zones.get_mut(*at)?))) {
                    None => {
                        known.insert(name, zones.len());
                        zones.push(found);
                    }
                    Some((at, first)) => {
                        if at >= named.len() && is_like_its_zone(&found) && !is_like_its_zone(first) {
                            std::mem::swap(first, &mut found);
                        }
                        let path = found.file.unwrap_or_default();
                        let why = left_out(&path, &name, first.file.as_deref());
                        problems.push(LeftOut { path, why });
                    }
                }
            }
        }
    }
    Named { zones, copies, problems }
}

fn files_of(dir: &ZoneDir) -> impl Iterator<Item = (PathBuf, &ZoneDir)> {
    zone_files(&dir.path).into_iter().map(move |file| (file.path, dir))
}

fn is_like_its_zone(zone: &Zone) -> bool {
    zone.file.as_deref().is_some_and(|path| is_namesake(path, &zone.config.name))
}

/// What is said of a file whose zone comes from somewhere else: from the `first` file, or from other servers.
pub(super) fn left_out(path: &Path, zone: &Name, first: Option<&Path>) -> String {
    let path = path.display();
    match first.map(Path::display) {
        None => format!(
            "{path} holds zone {zone}, which comes from other servers; it is left out: remove one of the two"
        ),
        Some(first) => format!(
            "{first} and {path} both hold this zone, {zone}; the first of these two is served: remove one of them"
        ),
    }
}

/// What is said of a zone for as long as other files than its own hold it; nothing once there are none.
pub(super) fn contested(Contest { zone, holder, others }: &Contest<Arc<Path>>) -> (Name, Option<String>) {
    let what = others.iter().min().map(|first| {
        let what = left_out(first, zone, holder.as_deref());
        match others.len() - 1 {
            0 => what,
            more => format!("{what}; files that hold it too: {more} more"),
        }
    });
    (zone.clone(), what)
}

pub(super) fn tell_empty(path: &Path) {
    tracing::info!("{} is empty; it becomes a zone when it has content", path.display());
}

/// Whether a file in a folder of zones may be one of them, by its name; whether it is a copy of another is for `copies` to say. Names
/// that begin with a dot are those of programs that write a file before they rename it, and of what they have left behind.
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
    files_in(folder).unwrap_or_else(|error| {
        tracing::error!(folder = %folder.display(), "cannot read the folder of zones: {error}");
        Vec::new()
    })
}

/// The `*.zone` files in a folder, sorted.
pub(super) fn files_in(folder: &Path) -> io::Result<Vec<InFolder>> {
    let found = fs::read_dir(folder)?.filter_map(|entry| {
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
    Ok(files)
}
