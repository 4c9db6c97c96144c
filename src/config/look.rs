//! What a configuration names, for its zone files to be checked whether or not it can be used itself.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::error::{Error, Errors};
use crate::node::settings::{ZoneConfig, ZoneOptions};
use crate::server::settings::{Settings, Zone, ZoneDir};
use crate::wire::name::Name;

/// A configuration that was read to be checked.
#[derive(Debug)]
pub struct Look {
    pub(super) path: PathBuf,
    pub(super) text: Arc<str>,
    /// What it says, unless anything is wrong with it.
    pub settings: Result<Settings, Errors>,
    /// What it names.
    pub named: Named,
}

/// The zones and folders that could be made out, whatever else is wrong. They have no options.
#[derive(Debug, Default)]
pub struct Named {
    /// Zones, each with its file if it has one.
    pub zones: Vec<Zone>,
    /// Folders that can be read.
    pub zone_dirs: Vec<ZoneDir>,
    /// Where the file of a zone is named.
    places: BTreeMap<Name, Range<usize>>,
}

impl Named {
    pub(super) fn zone(&mut self, name: &Name, file: Option<(PathBuf, Range<usize>)>) {
        let (file, place) = file.unzip();
        self.places.extend(place.map(|place| (name.clone(), place)));
        self.zones.push(Zone { config: ZoneConfig::new(name.clone(), ZoneOptions::default()), file });
    }

    pub(super) fn zone_dir(&mut self, path: &Path) {
        self.zone_dirs.push(ZoneDir { path: path.to_owned(), ..ZoneDir::default() });
    }
}

impl Look {
    /// Says at the line that names the file of a zone that this cannot be read; `None` where no line does.
    pub fn unreadable(&self, zone: &Name, message: &str) -> Option<Error> {
        let place = self.named.places.get(zone)?.clone();
        let help = "paths are relative to the folder of this file";
        Some(Error::new(&self.path, &self.text, message).at(place, "").help(help))
    }
}
