//! Watches zone files: an edit is loaded without being told to, a broken one is told of, and files that come and go in a
//! `[[zone-dir]]` become zones and stop being zones.
//!
//! One thread owns the watch. Changes are gathered until nothing more happened for a moment, because editors write a file
//! in several steps.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::wire::name::Name;

use super::settings::{Settings, Source, Zone, ZoneDir};
use super::zone_file::{LoadError, Loaded, load, name_of};

/// After the last change of a file, it is left alone for so long before it is read.
const QUIET: Duration = Duration::from_millis(30);
/// A file that keeps changing is read after so long all the same.
const PATIENCE: Duration = Duration::from_millis(300);

/// What became of a zone file.
pub enum FileEvent {
    /// A zone file was read, well or badly.
    Read(Name, Result<Loaded, LoadError>),
    /// These are all the zones there are now, from the configuration and from folders.
    Zones(Vec<Zone>),
    /// A folder of zones now holds this zone too, to be configured like so.
    Appeared(Zone),
    /// A zone's file has gone from its folder.
    Vanished(Name),
}

/// What the thread is asked to do besides watching.
enum Request {
    Changed(Vec<PathBuf>),
    Reload(Option<Name>, Box<dyn FnOnce() + Send>),
    Configure(Box<Settings>, Box<dyn FnOnce() + Send>),
}

/// The way to the watching thread.
#[derive(Clone)]
pub struct Files {
    requests: mpsc::Sender<Request>,
}

impl Files {
    /// Starts to watch; `report` is called from the thread.
    pub fn start(report: impl Fn(FileEvent) + Send + 'static) -> notify::Result<Files> {
        let (requests, queue) = mpsc::channel();
        let changes = requests.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| match event {
            Ok(event) if !matches!(event.kind, EventKind::Access(_)) || is_close(&event.kind) => {
                // Without a thread that listens the node is stopping.
                let _ = changes.send(Request::Changed(event.paths));
            }
            Ok(_) => {}
            Err(error) => tracing::warn!("watching zone files: {error}"),
        })?;
        let watch =
            Watch { watcher, folders: BTreeSet::new(), zones: BTreeMap::new(), dirs: Vec::new(), report };
        thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || watch.run(&queue))
            .map_err(notify::Error::io)?;
        Ok(Files { requests })
    }

    /// Finds all zones that these settings name, watches their files, and reads every one; `done` is called behind the last
    /// report.
    pub fn configure(&self, settings: &Settings, done: impl FnOnce() + Send + 'static) {
        let _ = self.requests.send(Request::Configure(Box::new(settings.clone()), Box::new(done)));
    }

    /// Reads one zone's file again, or all; `done` is called behind the last report.
    pub fn reload(&self, zone: Option<Name>, done: impl FnOnce() + Send + 'static) {
        let _ = self.requests.send(Request::Reload(zone, Box::new(done)));
    }
}

fn is_close(kind: &EventKind) -> bool {
    use notify::event::{AccessKind, AccessMode};
    matches!(kind, EventKind::Access(AccessKind::Close(AccessMode::Write)))
}

struct Watch<R> {
    watcher: RecommendedWatcher,
    /// Folders watched: those of all files, because a file that is replaced takes a watch on itself along.
    folders: BTreeSet<PathBuf>,
    zones: BTreeMap<Name, Watched>,
    dirs: Vec<ZoneDir>,
    report: R,
}

struct Watched {
    path: PathBuf,
    /// The file and what it includes, as far as known from the last time it could be read.
    files: Vec<PathBuf>,
    /// The index of the folder it was found in.
    dir: Option<usize>,
}

impl<R: Fn(FileEvent)> Watch<R> {
    fn run(mut self, queue: &mpsc::Receiver<Request>) {
        let mut changed: BTreeSet<PathBuf> = BTreeSet::new();
        let mut since = Instant::now();
        loop {
            let request = if changed.is_empty() {
                queue.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                queue.recv_timeout(QUIET.min(PATIENCE.saturating_sub(since.elapsed())))
            };
            match request {
                Ok(Request::Changed(paths)) => {
                    if changed.is_empty() {
                        since = Instant::now();
                    }
                    changed.extend(paths);
                }
                Err(RecvTimeoutError::Timeout) => self.changed(&std::mem::take(&mut changed)),
                Ok(Request::Reload(zone, done)) => {
                    let zones: Vec<Name> = self
                        .zones
                        .keys()
                        .filter(|name| zone.as_ref().is_none_or(|z| z == *name))
                        .cloned()
                        .collect();
                    zones.iter().for_each(|name| self.read(name));
                    done();
                }
                Ok(Request::Configure(settings, done)) => {
                    self.configure(*settings);
                    done();
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn configure(&mut self, settings: Settings) {
        let zones = find_zones(&settings);
        self.zones.clear();
        self.dirs = settings.zone_dirs;
        for index in 0..self.dirs.len() {
            self.watch(&self.dirs[index].path.clone());
        }
        for zone in &zones {
            if let Source::File(path) = &zone.source {
                let dir = self.dirs.iter().position(|dir| path.parent() == Some(&dir.path));
                self.add(zone.name.clone(), path.clone(), dir);
            }
        }
        (self.report)(FileEvent::Zones(zones));
        let names: Vec<Name> = self.zones.keys().cloned().collect();
        names.iter().for_each(|name| self.read(name));
    }

    fn add(&mut self, name: Name, path: PathBuf, dir: Option<usize>) {
        self.watch(path.parent().unwrap_or(Path::new(".")));
        self.zones.insert(name, Watched { files: vec![path.clone()], path, dir });
    }

    fn watch(&mut self, folder: &Path) {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if self.folders.contains(folder) {
            return;
        }
        match self.watcher.watch(folder, RecursiveMode::NonRecursive) {
            Ok(()) => {
                self.folders.insert(folder.to_owned());
            }
            Err(error) => tracing::warn!(
                folder = %folder.display(),
                "cannot watch for edits ({error}); use `tidemark reload` after an edit"
            ),
        }
    }

    fn changed(&mut self, paths: &BTreeSet<PathBuf>) {
        let is_among = |file: &PathBuf| paths.iter().any(|path| same_file(path, file));
        let touched: Vec<Name> = self
            .zones
            .iter()
            .filter(|(_, zone)| zone.files.iter().any(is_among))
            .map(|(name, _)| name.clone())
            .collect();
        for name in touched {
            let gone = self.zones.get(&name).is_some_and(|zone| zone.dir.is_some() && !zone.path.exists());
            if gone {
                self.zones.remove(&name);
                (self.report)(FileEvent::Vanished(name));
            } else {
                self.read(&name);
            }
        }
        for index in 0..self.dirs.len() {
            for path in zone_files(&self.dirs[index].path) {
                let known = self.zones.values().any(|zone| same_file(&zone.path, &path));
                if !known
                    && paths.iter().any(|changed| same_file(changed, &path))
                    && self.appeared(&path, index)
                {
                    let name =
                        self.zones.iter().find(|(_, zone)| zone.path == path).map(|(name, _)| name.clone());
                    name.iter().for_each(|name| self.read(name));
                }
            }
        }
    }

    /// Takes in a file found in a folder of zones; `false` when it is no new zone.
    fn appeared(&mut self, path: &Path, index: usize) -> bool {
        let name = match name_of(path) {
            Ok(name) => name,
            Err(error) => {
                tracing::error!("{error}");
                return false;
            }
        };
        if let Some(other) = self.zones.get(&name) {
            tracing::error!(zone = %name, "{} and {} both hold this zone; the second is left out", other.path.display(), path.display());
            return false;
        }
        (self.report)(FileEvent::Appeared(self.dirs[index].zone(name.clone(), path)));
        self.add(name, path.to_owned(), Some(index));
        true
    }

    fn read(&mut self, name: &Name) {
        let Some(zone) = self.zones.get_mut(name) else { return };
        let loaded = load(&zone.path, name);
        if let Ok(loaded) = &loaded {
            zone.files.clone_from(&loaded.files);
            loaded.files.iter().filter_map(|file| file.parent()).for_each(|folder| self.watch(folder));
        }
        (self.report)(FileEvent::Read(name.clone(), loaded));
    }
}

/// All zones that the settings name: one by one, as files, and by the folder. What cannot be made out, or is there twice, is
/// told and left out.
pub fn find_zones(settings: &Settings) -> Vec<Zone> {
    let mut zones = settings.zones.clone();
    let mut known: BTreeSet<Name> = zones.iter().map(|zone| zone.name.clone()).collect();
    let files = settings.zone_files.iter().map(|path| (path.clone(), ZoneDir::default()));
    let in_dirs = settings
        .zone_dirs
        .iter()
        .flat_map(|dir| zone_files(&dir.path).into_iter().map(|path| (path, dir.clone())));
    for (path, dir) in files.chain(in_dirs) {
        match name_of(&path) {
            Ok(name) if known.insert(name.clone()) => zones.push(dir.zone(name, &path)),
            Ok(name) => {
                tracing::error!(zone = %name, "{} holds a zone that is served already; it is left out", path.display())
            }
            Err(error) => tracing::error!("{error}"),
        }
    }
    zones
}

/// The `*.zone` files in a folder, sorted; none when it cannot be read, which is told.
fn zone_files(folder: &Path) -> Vec<PathBuf> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            tracing::error!(folder = %folder.display(), "cannot read the folder of zones: {error}");
            return Vec::new();
        }
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension() == Some(OsStr::new("zone")) && path.is_file()).collect();
    files.sort();
    files
}

/// Whether two paths mean one file, as far as their text tells: the watcher reports paths below the folder as it was given.
fn same_file(a: &Path, b: &Path) -> bool {
    a == b
        || (a.file_name() == b.file_name()
            && a.parent().and_then(|folder| folder.canonicalize().ok())
                == b.parent()
                    .map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
                    .and_then(|folder| folder.canonicalize().ok()))
}
